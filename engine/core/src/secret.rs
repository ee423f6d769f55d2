//! Secrets: where their values come from. A value is read when it is needed, and shown by nothing (rule 38).

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

/// The longest value of a secret.
const VALUE_BYTES_MAX: u64 = 64 << 10;
/// How long a command may take to tell a secret.
const COMMAND_MS_MAX: u64 = 30_000;
/// How much of a failed command's standard error is told.
const STDERR_CHARS_MAX: usize = 200;

/// Where a secret's value comes from. The value itself is read once per run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SecretSource {
    /// An environment variable of the engine's process.
    Env(String),
    /// A file, its last line end left out. Relative to the project.
    File(PathBuf),
    /// A command whose standard output is the value, its last line end left out. No shell: the words as they are.
    Command(Vec<String>),
}

impl SecretSource {
    /// Reads the value of the secret `name`. Relative files are looked for, and commands run, in `base`.
    ///
    /// # Errors
    /// Why there is none, by the secret's name and source, never a value.
    pub async fn read(&self, name: &str, base: &Path) -> Result<Secret, String> {
        let value = value(self, base)
            .await
            .map_err(|why| format!("the secret `{name}` has no value: {why}"))?;
        if value.chars().any(char::is_control) {
            return Err(format!(
                "the secret `{name}` cannot be used: its value has a line break or another control character"
            ));
        }
        Ok(Secret(value))
    }

    /// The field that is empty, if one is.
    pub(crate) fn empty_field(&self) -> Option<&'static str> {
        let (field, empty) = match self {
            Self::Env(variable) => ("env", variable.is_empty()),
            Self::File(path) => ("file", path.as_os_str().is_empty()),
            Self::Command(words) => ("command", words.first().is_none_or(String::is_empty)),
        };
        empty.then_some(field)
    }
}

/// A secret's value, which has to be asked for by name to be seen.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A value that is known already.
    #[cfg(test)]
    pub(crate) fn of(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

async fn value(source: &SecretSource, base: &Path) -> Result<String, String> {
    let (value, from) = match source {
        SecretSource::Env(variable) => {
            let value = std::env::var(variable).map_err(|error| match error {
                std::env::VarError::NotPresent => {
                    format!("the environment variable `{variable}` is not set")
                }
                std::env::VarError::NotUnicode(_) => {
                    format!("the environment variable `{variable}` is no UTF-8")
                }
            })?;
            (value, format!("the environment variable `{variable}`"))
        }
        SecretSource::File(path) => {
            let from = format!("the file {}", path.display());
            let read = async {
                let file = tokio::fs::File::open(base.join(path)).await?;
                let mut bytes = Vec::new();
                file.take(VALUE_BYTES_MAX + 1).read_to_end(&mut bytes).await?;
                Ok::<_, std::io::Error>(bytes)
            };
            (
                utf8(read.await.map_err(|error| format!("{from}: {error}"))?, &from)?,
                from,
            )
        }
        SecretSource::Command(words) => {
            let from = format!("the command `{}`", words.first().map_or("", String::as_str));
            (
                utf8(run(words, base).await.map_err(|why| format!("{from} {why}"))?, &from)?,
                from,
            )
        }
    };
    if value.len() as u64 > VALUE_BYTES_MAX {
        return Err(format!("{from} gives more than {VALUE_BYTES_MAX} bytes"));
    }
    let value = value
        .strip_suffix('\n')
        .map_or(value.as_str(), |value| value.strip_suffix('\r').unwrap_or(value));
    if value.is_empty() {
        return Err(format!("{from} is empty"));
    }
    Ok(value.to_owned())
}

fn utf8(bytes: Vec<u8>, from: &str) -> Result<String, String> {
    // The error would show the bytes.
    String::from_utf8(bytes).map_err(|_| format!("{from} gives no UTF-8 text"))
}

async fn run(words: &[String], base: &Path) -> Result<Vec<u8>, String> {
    let Some((program, arguments)) = words.split_first() else {
        return Err("has no words".into());
    };
    // Where a program with a slash is looked for after a change of folder differs between systems, so we say it.
    let program = if program.contains('/') {
        base.join(program).into_os_string()
    } else {
        program.into()
    };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .current_dir(base)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let talk = async {
        let (mut value, mut complaint) = (Vec::new(), Vec::new());
        let read_out = async {
            match out {
                Some(out) => out.take(VALUE_BYTES_MAX + 1).read_to_end(&mut value).await,
                None => Ok(0),
            }
        };
        let read_err = async {
            match err {
                Some(err) => err.take(VALUE_BYTES_MAX).read_to_end(&mut complaint).await,
                None => Ok(0),
            }
        };
        tokio::try_join!(read_out, read_err)?;
        let status = child.wait().await?;
        Ok::<_, std::io::Error>((status, value, complaint))
    };
    let (status, value, complaint) = tokio::time::timeout(Duration::from_millis(COMMAND_MS_MAX), talk)
        .await
        .map_err(|_| format!("did not end within {} s", COMMAND_MS_MAX / 1_000))?
        .map_err(|error| format!("failed: {error}"))?;
    if status.success() {
        return Ok(value);
    }
    let complaint = String::from_utf8_lossy(&complaint);
    let first: String = complaint
        .lines()
        .next()
        .unwrap_or("")
        .chars()
        .take(STDERR_CHARS_MAX)
        .collect();
    Err(format!(
        "failed ({status}){}{first}",
        if first.is_empty() { "" } else { ": " }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(source: &SecretSource, base: &Path) -> Result<String, String> {
        source.read("token", base).await.map(|secret| secret.0)
    }

    #[tokio::test]
    async fn secrets_come_from_files_and_commands_without_their_line_end() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t"), "abc\r\n").unwrap();
        let file = read(&SecretSource::File("t".into()), folder.path()).await;
        assert_eq!(file.as_deref(), Ok("abc"));
        let words = ["cat", "t"].map(String::from).to_vec();
        assert_eq!(
            read(&SecretSource::Command(words), folder.path()).await.as_deref(),
            Ok("abc")
        );
    }

    #[tokio::test]
    async fn rule_38_a_value_is_not_shown_by_debug() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t"), "abc").unwrap();
        let secret = SecretSource::File("t".into()).read("token", folder.path()).await;
        assert_eq!(format!("{secret:?}"), "Ok(…)");
    }
}
