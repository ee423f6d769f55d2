//! The state is its owner's alone (rule 39): what is made is made so, and what others can look into is closed or refused.

use std::path::Path;

use super::CatalogError;

/// Makes the state folder, or closes it to others where it is ours: empty, or with this catalog in it. A folder of other
/// things is not touched.
pub fn folder(folder: &Path, catalog: &Path) -> Result<(), CatalogError> {
    let io = |source| CatalogError::Io {
        path: folder.to_owned(),
        source,
    };
    if !folder.is_dir() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(io)?;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = folder.metadata().map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 == 0 {
            return Ok(());
        }
        let open = |reason: String| CatalogError::Open {
            path: folder.to_owned(),
            mode,
            reason,
        };
        let is_ours = catalog.is_file() || folder.read_dir().map_err(io)?.next().is_none();
        if !is_ours {
            return Err(open("it has other things in it".to_owned()));
        }
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
            .map_err(|error| open(error.to_string()))?;
    }
    #[cfg(not(unix))]
    let _ = catalog;
    Ok(())
}

/// Makes a file, or closes it to others. SQLite gives the files that it makes beside it the same rights.
pub fn file(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        use std::os::unix::fs::PermissionsExt;
        let file = options.open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    options.open(path)?;
    Ok(())
}
