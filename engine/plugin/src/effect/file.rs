//! File effects: within one granted folder, whatever paths and symlinks say.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::contract::types::{Append, Rename};

/// How a folder is opened on the way to a file.
const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// The longest path.
const PATH_BYTES_MAX: usize = 1_024;

/// How a file effect went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filed {
    /// As was asked.
    Done,
    /// Not at all: a file that must not be replaced is there.
    Exists,
}

/// The folder that a destination's file grants, if it does. Effects are performed one after another.
pub(crate) struct Folder {
    path: Option<PathBuf>,
    dir: Arc<tokio::sync::Mutex<Option<OwnedFd>>>,
}

impl Folder {
    /// Opens nothing yet: the folder is created by the first effect.
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            dir: Arc::default(),
        }
    }

    /// Whether a plugin may touch that path at all.
    pub(crate) fn check(&self, path: &str) -> Result<(), String> {
        if self.path.is_none() {
            return Err("no folder is granted: add `folder` to the destination's file".into());
        }
        let wrong = |why: &str| Err(format!("the path `{path}` is refused: {why}"));
        if path.is_empty() || path.len() > PATH_BYTES_MAX {
            return wrong("it is empty or too long");
        }
        if path.contains(['\0', '\\']) {
            return wrong("it has a character that separates folders elsewhere, or ends names");
        }
        if path.ends_with('/')
            || !Path::new(path)
                .components()
                .all(|part| matches!(part, Component::Normal(_)))
        {
            return wrong("right is a relative path to a file, without `..`");
        }
        Ok(())
    }

    /// Appends whole or not at all.
    pub(crate) async fn append(&self, append: Append) -> Result<Filed, String> {
        self.check(&append.path)?;
        self.with(append.path.clone(), move |dir| {
            append_to(dir, &append).map(|()| Filed::Done)
        })
        .await
    }

    /// Makes a file durable under its final name.
    pub(crate) async fn rename(&self, rename: Rename) -> Result<Filed, String> {
        self.check(&rename.from)?;
        self.check(&rename.to)?;
        self.with(rename.from.clone(), move |dir| rename_in(dir, &rename)).await
    }

    /// Removes a file, if it is there.
    pub(crate) async fn remove(&self, path: String) -> Result<Filed, String> {
        self.check(&path)?;
        self.with(path.clone(), move |dir| remove_from(dir, &path).map(|()| Filed::Done))
            .await
    }

    async fn with(
        &self,
        about: String,
        act: impl FnOnce(&OwnedFd) -> io::Result<Filed> + Send + 'static,
    ) -> Result<Filed, String> {
        let Some(path) = self.path.clone() else {
            return Err("no folder is granted".into());
        };
        let mut dir = Arc::clone(&self.dir).lock_owned().await;
        tokio::task::spawn_blocking(move || {
            if dir.is_none() {
                *dir = Some(open(&path).map_err(|error| format!("the folder {}: {error}", path.display()))?);
            }
            dir.as_ref()
                .map_or(Ok(Filed::Done), act)
                .map_err(|error| format!("{about}: {error}"))
        })
        .await
        .map_err(|error| format!("the file effect was cut short: {error}"))?
    }
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    std::fs::create_dir_all(path)?;
    Ok(fs::open(path, FOLDER - OFlags::NOFOLLOW, Mode::empty())?)
}

/// The folder that a file is in, and the file's name there; `create` makes the folders on the way. Every folder is
/// opened from the one before and no symlink is followed, so nothing can lead out, also not one that is put there
/// meanwhile.
fn parent<'a>(dir: &OwnedFd, path: &'a str, create: bool) -> io::Result<(OwnedFd, &'a str)> {
    let mut at = dir.try_clone()?;
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return Ok((at, part));
        }
        if create {
            match fs::mkdirat(&at, part, Mode::from_raw_mode(0o777)) {
                Err(Errno::EXIST) | Ok(()) => {}
                Err(error) => return Err(error.into()),
            }
        }
        at = fs::openat(&at, part, FOLDER, Mode::empty())?;
    }
    Err(io::ErrorKind::InvalidInput.into())
}

fn append_to(dir: &OwnedFd, append: &Append) -> io::Result<()> {
    let (folder, name) = parent(dir, &append.path, true)?;
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(fs::openat(folder, name, flags, Mode::from_raw_mode(0o666))?);
    let before = file.metadata()?.len();
    let preamble = if before == 0 { append.preamble.as_slice() } else { &[] };
    let written = file.write_all(preamble).and_then(|()| file.write_all(&append.data));
    if written.is_err() {
        // A full disk, say: half a record must not stay.
        file.set_len(before)?;
    }
    written
}

fn rename_in(dir: &OwnedFd, rename: &Rename) -> io::Result<Filed> {
    let (old, from) = parent(dir, &rename.from, false)?;
    let (new, to) = parent(dir, &rename.to, true)?;
    // Its bytes before its name: after a cut of power the name must not stand for less than the whole file.
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    File::from(fs::openat(&old, from, flags, Mode::empty())?).sync_all()?;
    if rename.replace {
        fs::renameat(&old, from, &new, to)?;
    } else {
        match fs::renameat_with(&old, from, &new, to, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => return Ok(Filed::Exists),
            // This file system cannot: a second name, and then not the first.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                match fs::linkat(&old, from, &new, to, AtFlags::empty()) {
                    Err(Errno::EXIST) => return Ok(Filed::Exists),
                    linked => linked?,
                }
                fs::unlinkat(&old, from, AtFlags::empty())?;
            }
            renamed => renamed?,
        }
    }
    fs::fsync(new)?;
    fs::fsync(old)?;
    Ok(Filed::Done)
}

fn remove_from(dir: &OwnedFd, path: &str) -> io::Result<()> {
    let removed = parent(dir, path, false).and_then(|(folder, name)| Ok(fs::unlinkat(folder, name, AtFlags::empty())?));
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::types::Covers;

    fn append(path: &str, data: &str) -> Append {
        Append {
            path: path.into(),
            preamble: b"head\n".to_vec(),
            data: data.into(),
            covers: Covers::Batch,
        }
    }

    #[tokio::test]
    async fn a_file_grows_gets_its_name_and_goes() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("not/yet");
        let folder = Folder::new(Some(root.clone()));
        folder.append(append("a/x.part", "1\n")).await.unwrap();
        folder.append(append("a/x.part", "2\n")).await.unwrap();
        folder
            .rename(Rename {
                from: "a/x.part".into(),
                to: "b/x.csv".into(),
                replace: true,
            })
            .await
            .unwrap();
        assert_eq!(std::fs::read_to_string(root.join("b/x.csv")).unwrap(), "head\n1\n2\n");
        assert!(!root.join("a/x.part").exists());
        folder.remove("b/x.csv".into()).await.unwrap();
        folder.remove("b/x.csv".into()).await.unwrap();
        assert!(!root.join("b/x.csv").exists());
    }

    #[tokio::test]
    async fn a_file_that_is_not_to_be_replaced_stays() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::new(Some(temp.path().to_owned()));
        let rename = || Rename {
            from: "x.part".into(),
            to: "x.csv".into(),
            replace: false,
        };
        let read = |name: &str| std::fs::read_to_string(temp.path().join(name)).unwrap();
        folder.append(append("x.part", "1\n")).await.unwrap();
        assert_eq!(folder.rename(rename()).await, Ok(Filed::Done));
        folder.append(append("x.part", "2\n")).await.unwrap();
        assert_eq!(folder.rename(rename()).await, Ok(Filed::Exists));
        assert_eq!(
            (read("x.csv"), read("x.part")),
            ("head\n1\n".into(), "head\n2\n".into())
        );
    }

    #[tokio::test]
    async fn no_path_leads_out_of_the_folder() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("granted");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(temp.path().join("precious"), "p").unwrap();
        std::os::unix::fs::symlink(temp.path(), root.join("out")).unwrap();
        std::os::unix::fs::symlink(temp.path().join("precious"), root.join("link")).unwrap();
        let folder = Folder::new(Some(root));
        let absolute = temp.path().join("precious").display().to_string();
        for path in [
            "../precious",
            "a/../../precious",
            &absolute,
            "out/precious",
            "link",
            "",
            "a/",
            "./x",
            "a\\b",
        ] {
            assert!(folder.append(append(path, "x")).await.is_err(), "append {path}");
            let there = Rename {
                from: path.into(),
                to: "got".into(),
                replace: true,
            };
            assert!(folder.rename(there).await.is_err(), "rename {path}");
        }
        assert!(folder.remove("out/precious".into()).await.is_err());
        assert_eq!(std::fs::read_to_string(temp.path().join("precious")).unwrap(), "p");
    }

    #[tokio::test]
    async fn without_a_granted_folder_nothing_is_touched() {
        let error = Folder::new(None).append(append("x", "1")).await.unwrap_err();
        assert!(error.contains("no folder is granted"), "{error}");
    }
}
