//! What is still there after a cut of power: names of files, as well as what is in them.
//!
//! A file's bytes are durable once it is synchronised; that there is a file of that name, or none any more, only once its
//! folder is.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::private;

/// Makes durable which files there are in a folder.
pub(crate) fn names(folder: &Path) -> io::Result<()> {
    // Windows opens no folders; there the file system sees to it.
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Makes a folder for its owner only, and those above it that are missing; each is durable by name.
pub(crate) fn folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.exists()).collect();
    private::folder(folder)?;
    for made in missing {
        match made.parent() {
            Some(above) if above.as_os_str().is_empty() => names(Path::new("."))?,
            Some(above) => names(above)?,
            None => {}
        }
    }
    Ok(())
}

/// A file that this process has open, with the path at which everybody else finds it.
#[derive(Debug)]
pub(crate) struct Held {
    /// The file.
    pub file: File,
    path: PathBuf,
}

impl Held {
    /// The open file that is at this path.
    pub const fn new(file: File, path: PathBuf) -> Self {
        Self { file, path }
    }

    /// Whether it is still the file at its path. If not, somebody put another in its place, or took it away: what is
    /// written to it reaches nobody, and what it locks is not locked for anybody else (rule 30).
    ///
    /// # Errors
    /// That it is not.
    pub fn check(&self) -> io::Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let own = self.file.metadata()?;
            let there = std::fs::metadata(&self.path);
            if !there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
                return Err(io::Error::other(format!(
                    "{} was replaced or removed while this process worked; it lost its place, and does nothing more",
                    self.path.display()
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_folders_are_made() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b/c");
        folder(&deep).unwrap();
        folder(&deep).unwrap();
        assert!(deep.is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn rule_30_a_file_that_was_replaced_or_removed_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("lock");
        let held = Held::new(private::file(&path).unwrap(), path.clone());
        held.check().unwrap();
        std::fs::write(root.path().join("other"), "").unwrap();
        std::fs::rename(root.path().join("other"), &path).unwrap();
        assert!(held.check().unwrap_err().to_string().contains("lost its place"));
        std::fs::remove_file(&path).unwrap();
        assert!(held.check().is_err());
    }
}
