//! File effects: within one granted folder, whatever paths and symlinks say.

use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptions};

use crate::contract::types::{Append, Rename};

/// The longest path.
const PATH_BYTES_MAX: usize = 1_024;

/// The folder that a destination's file grants, if it does. Effects are performed one after another.
pub(crate) struct Folder {
    path: Option<PathBuf>,
    dir: Arc<tokio::sync::Mutex<Option<Dir>>>,
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
    pub(crate) async fn append(&self, append: Append) -> Result<(), String> {
        self.check(&append.path)?;
        self.with(append.path.clone(), move |dir| append_to(dir, &append)).await
    }

    /// Makes a file durable under its final name.
    pub(crate) async fn rename(&self, rename: Rename) -> Result<(), String> {
        self.check(&rename.from)?;
        self.check(&rename.to)?;
        self.with(rename.from.clone(), move |dir| rename_in(dir, &rename)).await
    }

    /// Removes a file, if it is there.
    pub(crate) async fn remove(&self, path: String) -> Result<(), String> {
        self.check(&path)?;
        self.with(path.clone(), move |dir| match dir.remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        })
        .await
    }

    async fn with(
        &self,
        about: String,
        act: impl FnOnce(&Dir) -> io::Result<()> + Send + 'static,
    ) -> Result<(), String> {
        let Some(path) = self.path.clone() else {
            return Err("no folder is granted".into());
        };
        let mut dir = Arc::clone(&self.dir).lock_owned().await;
        tokio::task::spawn_blocking(move || {
            if dir.is_none() {
                *dir = Some(open(&path).map_err(|error| format!("the folder {}: {error}", path.display()))?);
            }
            dir.as_ref()
                .map_or(Ok(()), act)
                .map_err(|error| format!("{about}: {error}"))
        })
        .await
        .map_err(|error| format!("the file effect was cut short: {error}"))?
    }
}

fn open(path: &Path) -> io::Result<Dir> {
    std::fs::create_dir_all(path)?;
    Dir::open_ambient_dir(path, ambient_authority())
}

fn append_to(dir: &Dir, append: &Append) -> io::Result<()> {
    create_parent(dir, &append.path)?;
    let mut file = dir.open_with(&append.path, OpenOptions::new().append(true).create(true))?;
    let before = file.metadata()?.len();
    let preamble = if before == 0 { append.preamble.as_slice() } else { &[] };
    let written = file.write_all(preamble).and_then(|()| file.write_all(&append.data));
    if written.is_err() {
        // A full disk, say: half a record must not stay.
        file.set_len(before)?;
    }
    written
}

fn rename_in(dir: &Dir, rename: &Rename) -> io::Result<()> {
    // Its bytes before its name: after a cut of power the name must not stand for less than the whole file.
    dir.open_with(&rename.from, OpenOptions::new().write(true))?
        .sync_all()?;
    create_parent(dir, &rename.to)?;
    dir.rename(&rename.from, dir, &rename.to)?;
    sync_parent(dir, &rename.to)?;
    sync_parent(dir, &rename.from)
}

fn create_parent(dir: &Dir, path: &str) -> io::Result<()> {
    match Path::new(path).parent() {
        Some(parent) if !parent.as_os_str().is_empty() => dir.create_dir_all(parent),
        _ => Ok(()),
    }
}

fn sync_parent(dir: &Dir, path: &str) -> io::Result<()> {
    let parent = match Path::new(path).parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let folder: File = dir.open(parent)?;
    folder.sync_all()
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
