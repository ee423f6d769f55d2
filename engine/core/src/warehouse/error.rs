//! What goes wrong in DuckDB, in words that a person can use.

use std::path::PathBuf;

use serde::Deserialize;

use super::source::MOVED;
use super::storage;

/// Why DuckDB, or something that is read through it, failed.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// DuckDB refuses or fails a statement.
    #[error("{message}")]
    Database {
        /// DuckDB's word for what kind of error it is: `Binder`, `Catalog`, `Conversion`, `IO`, `Out of Memory`, …
        kind: String,
        /// What DuckDB says.
        message: String,
        /// Where in the statement, in bytes from 0, if DuckDB says it.
        position: Option<usize>,
    },
    /// Somebody cancelled.
    #[error("the query was cancelled")]
    Cancelled,
    /// A source's file is not there.
    #[error("source `{source_name}`: there is no file {}", .path.display())]
    Missing {
        /// The source.
        source_name: String,
        /// The path or pattern that was looked for.
        path: PathBuf,
    },
    /// A source's file is in use by another process that keeps readers out.
    #[error("source `{source_name}`: {} is locked by another process: {message}", .path.display())]
    Locked {
        /// The source.
        source_name: String,
        /// The file.
        path: PathBuf,
        /// What DuckDB says.
        message: String,
    },
    /// A source's server is not there, or cannot serve us now.
    #[error("source `{source_name}`: the server is away: {message}")]
    Away {
        /// The source.
        source_name: String,
        /// What is known of why.
        message: String,
    },
    /// A field of a source's file is wrong, as the source itself says.
    #[error("source `{source_name}`: `{field}`: {message}")]
    Setting {
        /// The source.
        source_name: String,
        /// The field of the source's file.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// A source cannot be opened or declared.
    #[error("source `{source_name}`: {message}")]
    Source {
        /// The source.
        source_name: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A value of a result was read as what it is not.
    #[error("column `{column}` of the result is {found}, not {wanted}")]
    Cell {
        /// The column.
        column: String,
        /// What is there.
        found: String,
        /// What was asked for.
        wanted: &'static str,
    },
    /// A statement holds a zero byte, which DuckDB's interface cannot take.
    #[error("the statement holds a zero byte")]
    ZeroByte,
}

impl WarehouseError {
    /// Whether waiting and trying again may help: a file that is missing or locked, a server that is away (rule 16).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Locked { .. } | Self::Away { .. } => true,
            Self::Database { message, .. } => {
                is_missing(message) || is_locked(message) || is_away(message) || message.contains(MOVED)
            }
            _ => false,
        }
    }

    /// Whether somebody cancelled.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }

    /// The error that DuckDB's text describes. With `errors_as_json` it is a JSON object, else plain text.
    pub(super) fn from_duckdb(text: &str) -> Self {
        let Ok(error) = serde_json::from_str::<ErrorJson>(text) else {
            return Self::plain(text);
        };
        if error.exception_type.eq_ignore_ascii_case("interrupt") {
            return Self::Cancelled;
        }
        let position = error.position.and_then(|position| position.parse().ok());
        Self::Database {
            message: clean(&error.exception_message),
            kind: error.exception_type,
            position,
        }
    }

    fn plain(text: &str) -> Self {
        let (kind, message) = text.split_once(" Error: ").unwrap_or(("Unknown", text));
        if kind.eq_ignore_ascii_case("interrupt") {
            return Self::Cancelled;
        }
        Self::Database {
            kind: kind.to_owned(),
            message: clean(message),
            position: None,
        }
    }
}

#[derive(Deserialize)]
struct ErrorJson {
    exception_type: String,
    exception_message: String,
    position: Option<String>,
}

/// Whether DuckDB's message says that a file is not there. Its error codes do not tell.
pub(super) fn is_missing(message: &str) -> bool {
    // A path that is not there is taken for a folder, which a locked-down instance may not look into.
    let taken_for_folder = message.starts_with("Cannot access file") && message.contains("/**/");
    taken_for_folder
        || storage::status(message) == Some(404)
        || [
            "No files found that match the pattern",
            "No such file or directory",
            "database does not exist",
        ]
        .iter()
        .any(|words| message.contains(words))
}

/// Whether DuckDB's message says that another process keeps a file.
pub(super) fn is_locked(message: &str) -> bool {
    [
        "Could not set lock on file",
        "database is locked",
        "being used by another process",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// Whether the message of a server, or of what speaks to it, says that it is not there or cannot serve us now.
pub(super) fn is_away(message: &str) -> bool {
    storage::broke_off(message)
        || matches!(storage::status(message), Some(408 | 429 | 500..=599))
        || [
            "Connection refused",
            "Connection reset by peer",
            "Connection timed out",
            "Broken pipe",
            "No route to host",
            "Network is unreachable",
            "could not translate host name",
            "could not receive data from server",
            "could not send data to server",
            "timeout expired",
            "server closed the connection unexpectedly",
            "connection has been closed unexpectedly",
            "no connection to the server",
            "SSL SYSCALL error",
            "the database system is",
            "too many clients",
            "too many connections",
            "remaining connection slots",
            "terminating connection due to",
            "canceling statement due to conflict with recovery",
            // MySQL's
            "Can't connect to ",
            "Unknown server host",
            "Lost connection to server",
            "Server has gone away",
            "Too many connections",
            "Server shutdown in progress",
            "Connection was killed",
        ]
        .iter()
        .any(|words| message.contains(words))
}

/// DuckDB's message without the picture of the statement that follows it, which speaks of text that we wrapped, or a
/// setting that is advised and nobody can make.
fn clean(message: &str) -> String {
    let follow = [
        "\n\nLINE ",
        "\nLINE ",
        "\nSet pg_array_as_varchar",
        "\n* See https://duckdb.org",
        "\nYou can disable checking etags",
    ];
    let end = follow
        .iter()
        .filter_map(|follows| message.find(follows))
        .min()
        .unwrap_or(message.len());
    let message = message[..end].trim_end();
    csv(message).unwrap_or_else(|| message.to_owned())
}

/// What is wrong in a CSV file: the file, the line and why, without the line itself, and without advice about options that
/// a source does not have.
fn csv(message: &str) -> Option<String> {
    let (said, settings) = message.rsplit_once("\n\n  file = ")?;
    let file = settings.lines().next().unwrap_or_default();
    if message.starts_with("The CSV Parser state machine reached an invalid state") {
        return Some(format!(
            "{file}: its lines end in different ways, with and without a carriage return; write them in one way"
        ));
    }
    let (line, said) = said.strip_prefix("CSV Error on Line: ")?.split_once('\n')?;
    // The line itself comes first, and may say anything.
    let after = |words: &str| {
        said.rfind(words)
            .map(|at| said[at + words.len()..].lines().next().unwrap_or_default())
    };
    let why = if let Some((wanted, found)) =
        after("Expected Number of Columns: ").and_then(|n| n.split_once(" Found: "))
    {
        format!("it has {}, and there are {wanted} columns", values(found))
    } else if let Some(why) = after("Error when converting column ") {
        format!("column {why}; mend the file, or declare another type in the source's `columns`")
    } else if said.contains("Value with unterminated quote found") {
        "a quote is not closed, or text follows a quoted value; mend the file, or say in the source's `quote` and `escape` how it is written".to_owned()
    } else if said.contains("Invalid unicode") {
        "it is not UTF-8; convert the file".to_owned()
    } else {
        let lines = said.lines().skip(1).take_while(|line| !line.starts_with("Possible"));
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
    };
    Some(format!("{file}, line {line}: {why}"))
}

fn values(count: &str) -> String {
    match count {
        "1" => "1 value".to_owned(),
        _ => format!("{count} values"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_error_keeps_message_and_position() {
        let error = WarehouseError::from_duckdb(
            r#"{"exception_type":"Binder","exception_message":"no column x\n\nLINE 1: …","position":"7","error_subtype":"COLUMN_NOT_FOUND"}"#,
        );
        let WarehouseError::Database {
            kind,
            message,
            position,
        } = error
        else {
            panic!("{error:?}")
        };
        assert_eq!(
            (kind.as_str(), message.as_str(), position),
            ("Binder", "no column x", Some(7))
        );
    }

    #[test]
    fn a_plain_error_is_split_at_its_kind() {
        let error = WarehouseError::from_duckdb("IO Error: no such file");
        let WarehouseError::Database { kind, message, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!((kind.as_str(), message.as_str()), ("IO", "no such file"));
        assert!(WarehouseError::from_duckdb("INTERRUPT Error: Interrupted!").is_cancelled());
    }
}
