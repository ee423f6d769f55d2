//! Which files a project has. Names are slugs, contents are text of a bounded size.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::diagnostic::Diagnostic;

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The files of one ending in one folder of the project, by slug; each path is relative to the project.
pub(super) fn list(root: &Path, folder: &str, ending: &str, found: &mut Vec<Diagnostic>) -> BTreeMap<String, PathBuf> {
    let mut files = BTreeMap::new();
    let names = match names_in(&root.join(folder)) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return files,
        Err(error) => {
            found.push(Diagnostic::new(folder, format!("the folder cannot be read: {error}")));
            return files;
        }
    };
    for (name, is_folder) in names {
        let file = Path::new(folder).join(&name);
        if name.starts_with('.') {
            continue;
        }
        if is_folder {
            // Said once per folder, by the pass over its descriptions.
            if ending == "yml" {
                let help = format!("put the files into `{folder}` itself");
                found.push(Diagnostic::new(file, "folders in here are not read").with_help(help));
            }
            continue;
        }
        if ending == "yml"
            && let Some(stem) = name.strip_suffix(".yaml")
        {
            let help = format!("rename it to `{stem}.yml`");
            found.push(Diagnostic::new(file, "files of a project end in `.yml`").with_help(help));
            continue;
        }
        let Some(stem) = name.strip_suffix(ending).and_then(|stem| stem.strip_suffix('.')) else {
            continue;
        };
        if is_slug(stem) {
            files.insert(stem.to_owned(), file);
        } else {
            let help = "a name has lower-case letters, digits, `_` and `-`, and begins with a letter or digit";
            found.push(Diagnostic::new(file, format!("`{stem}` cannot be a name")).with_help(help));
        }
    }
    files
}

/// Whether a text may name something in a project.
pub(super) fn is_slug(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(plain) && text.len() <= 100 && text.chars().all(|c| plain(c) || c == '_' || c == '-')
}

/// The text of a file.
pub(super) fn text(root: &Path, file: &Path) -> Result<String, Diagnostic> {
    let path = root.join(file);
    let unreadable = |error: io::Error| Diagnostic::new(file, format!("the file cannot be read: {error}"));
    let bytes = fs::metadata(&path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(Diagnostic::new(
            file,
            format!("the file has {bytes} bytes; at most {FILE_BYTES_MAX} are read"),
        ));
    }
    let bytes = fs::read(&path).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| Diagnostic::new(file, "the file is not UTF-8 text"))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The entries of a folder, sorted, and which of them are folders themselves.
fn names_in(folder: &Path) -> io::Result<Vec<(String, bool)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Links are followed: a shared file may be linked into a project.
        let is_folder = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir());
        names.push((entry.file_name().to_string_lossy().into_owned(), is_folder));
    }
    names.sort();
    Ok(names)
}
