//! A first project to begin with: small, commented, and right as it is.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The files by their paths in the project.
const FILES: [(&str, &str); 7] = [
    ("outflow.yml", include_str!("scaffold/outflow.yml")),
    ("data/customers.csv", include_str!("scaffold/data/customers.csv")),
    ("sources/customers.yml", include_str!("scaffold/sources/customers.yml")),
    (
        "models/active_customers.sql",
        include_str!("scaffold/models/active_customers.sql"),
    ),
    (
        "models/active_customers.yml",
        include_str!("scaffold/models/active_customers.yml"),
    ),
    (
        "destinations/files.yml",
        include_str!("scaffold/destinations/files.yml"),
    ),
    (
        "syncs/customers-to-file.yml",
        include_str!("scaffold/syncs/customers-to-file.yml"),
    ),
];

/// The one file that may be there already; then it stays as it is.
const GITIGNORE: (&str, &str) = (".gitignore", include_str!("scaffold/gitignore"));

/// Why no first project was written.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// Files are in the way. Nothing was written.
    #[error("{} already has {}; nothing was written", .folder.display(), .files.join(", "))]
    InTheWay {
        /// The folder.
        folder: PathBuf,
        /// The files, relative to it.
        files: Vec<String>,
    },
    /// A file or folder could not be made.
    #[error("{} cannot be written: {error}", .path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Writes a first project into a folder, which is made where it is missing, and tells the paths of its files, relative
/// to the folder. No file is ever overwritten.
///
/// # Errors
/// When a file is in the way, before anything is written; and when writing fails.
pub fn write(folder: &Path) -> Result<Vec<PathBuf>, ScaffoldError> {
    let is_there = |name: &&str| fs::symlink_metadata(folder.join(name)).is_ok();
    let files: Vec<String> = FILES
        .iter()
        .map(|(name, _)| *name)
        .filter(is_there)
        .map(str::to_owned)
        .collect();
    if !files.is_empty() {
        return Err(ScaffoldError::InTheWay {
            folder: folder.to_owned(),
            files,
        });
    }
    let ignored = Some(GITIGNORE).filter(|(name, _)| !is_there(name));
    let mut written = Vec::new();
    for (name, content) in FILES.into_iter().chain(ignored) {
        let path = folder.join(name);
        write_new(&path, content).map_err(|error| ScaffoldError::Write { path, error })?;
        written.push(PathBuf::from(name));
    }
    Ok(written)
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, content: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    File::create_new(path)?.write_all(content.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;

    #[test]
    fn the_first_project_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("new/project");
        let written = write(&root).unwrap();
        assert_eq!(written.len(), 8);
        let project = Project::load(&root).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(project.syncs.keys().collect::<Vec<_>>(), ["customers-to-file"]);
        assert_eq!(project.settings.name, "first-steps");
    }

    #[test]
    fn no_file_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("models/active_customers.sql");
        fs::create_dir_all(taken.parent().unwrap()).unwrap();
        fs::write(&taken, "mine").unwrap();
        let error = write(folder.path()).unwrap_err().to_string();
        assert!(error.contains("models/active_customers.sql"), "{error}");
        assert_eq!(fs::read_to_string(&taken).unwrap(), "mine");
        assert!(!folder.path().join("outflow.yml").exists());
    }

    #[test]
    fn a_gitignore_of_ones_own_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".gitignore"), "mine").unwrap();
        assert_eq!(write(folder.path()).unwrap().len(), 7);
        assert_eq!(fs::read_to_string(folder.path().join(".gitignore")).unwrap(), "mine");
    }
}
