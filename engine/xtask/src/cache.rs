//! What was downloaded or compiled once, kept outside the checkout so that a second clone fetches nothing.
//!
//! An entry is a folder that is filled under another name and renamed when it is complete: one that is there is whole.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// The folder of all entries: `$OUTFLOW_CACHE`, else `$XDG_CACHE_HOME/outflow`, else `~/.cache/outflow`.
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Finds the folder; it need not exist yet.
    pub fn locate() -> Result<Cache> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = set("OUTFLOW_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("outflow")))
            .or_else(|| env::home_dir().map(|dir| dir.join(".cache/outflow")))
            .context("there is no home folder to keep downloads in: set OUTFLOW_CACHE to a folder")?;
        Ok(Cache {
            root: std::path::absolute(&root)?,
        })
    }

    /// The entry's folder, if it is there.
    pub fn get(&self, name: &str) -> Option<PathBuf> {
        Some(self.root.join(name)).filter(|path| path.is_dir())
    }

    /// Lets `fill` fill a new folder and makes it the entry. When `fill` fails, nothing is kept.
    pub fn add(&self, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let entry = self.root.join(name);
        let unfinished = Unfinished(self.root.join(format!(".{name}.{}", std::process::id())));
        fs::create_dir_all(&unfinished.0).with_context(|| format!("{} cannot be made", unfinished.0.display()))?;
        fill(&unfinished.0)?;
        match fs::rename(&unfinished.0, &entry) {
            Ok(()) => Ok(entry),
            // Another process was faster; what it put there is just as whole.
            Err(_) if entry.is_dir() => Ok(entry),
            Err(error) => Err(error).with_context(|| format!("{} cannot be put in place", entry.display())),
        }
    }
}

/// A folder that is removed unless it was renamed.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // A failure leaves an unnamed folder behind, which nothing takes for an entry.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Fails unless the file has this SHA-256, given in hexadecimal.
pub fn verify(file: &Path, sha256: &str) -> Result<()> {
    let bytes = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let found: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if found != sha256 {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        bail!(
            "{name} is not the file that was pinned: its SHA-256 is {found}, expected {sha256}; nothing of it was kept"
        );
    }
    Ok(())
}

/// Makes `link` lead to `file`: a symbolic link on Unix, a copy elsewhere. Does nothing when it does already.
pub fn link(file: &Path, link: &Path) -> Result<()> {
    if let Some(dir) = link.parent() {
        fs::create_dir_all(dir)?;
    }
    #[cfg(unix)]
    {
        if fs::read_link(link).is_ok_and(|target| target == file) {
            return Ok(());
        }
        remove(link)?;
        std::os::unix::fs::symlink(file, link)
            .with_context(|| format!("{} cannot be linked to {}", link.display(), file.display()))
    }
    #[cfg(not(unix))]
    {
        remove(link)?;
        fs::copy(file, link)
            .map(drop)
            .with_context(|| format!("{} cannot be copied", file.display()))
    }
}

/// Removes a file or link; that there is none is fine.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(name: &str) -> Cache {
        let root = env::temp_dir().join(format!("outflow-xtask-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        Cache { root }
    }

    #[test]
    fn an_entry_that_fails_to_fill_leaves_nothing() {
        let cache = cache("fails");
        let result = cache.add("thing", |dir| {
            fs::write(dir.join("half"), "half")?;
            verify(&dir.join("half"), "00")
        });
        assert!(
            result
                .unwrap_err()
                .to_string()
                .contains("half is not the file that was pinned")
        );
        assert_eq!(fs::read_dir(&cache.root).unwrap().count(), 0);
        assert!(cache.get("thing").is_none());
        fs::remove_dir_all(&cache.root).unwrap();
    }

    #[test]
    fn an_entry_has_what_it_was_filled_with() {
        let cache = cache("fills");
        let entry = cache
            .add("thing", |dir| {
                fs::write(dir.join("file"), "abc")?;
                verify(
                    &dir.join("file"),
                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                )
            })
            .unwrap();
        assert_eq!(fs::read_to_string(entry.join("file")).unwrap(), "abc");
        assert_eq!(cache.get("thing"), Some(entry));
        fs::remove_dir_all(&cache.root).unwrap();
    }
}
