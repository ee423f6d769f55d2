//! The traits that plugins fill: what a run knows of a destination.
//!
//! The core neither loads plugins nor performs effects. It opens a destination through [`Plugins`] and gives batches to
//! [`Destination`]; everything between that and the wire is the implementor's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::operation::{Kind, Operation};
use crate::outcome::{Failure, Outcome};
pub use crate::secret::SecretSource;

/// The type of a mapped field, as plugins see it. See `field-type` in `wit/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// JSON string.
    Text,
    /// JSON `true` or `false`.
    Boolean,
    /// JSON number without a fraction.
    Integer,
    /// JSON number with all its decimal digits.
    Decimal,
    /// JSON number from a binary floating-point value.
    Float,
    /// ISO 8601 date.
    Date,
    /// ISO 8601 time of day.
    Time,
    /// ISO 8601 date and time without a zone.
    Datetime,
    /// ISO 8601 date and time in UTC, with `Z`.
    Instant,
    /// Base64 text.
    Bytes,
    /// Any JSON value.
    Json,
}

/// A mapped field of a sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name at the destination.
    pub name: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub field_type: FieldType,
}

/// How much one batch may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most operations, at least 1.
    pub records: u32,
    /// The most bytes of JSON text.
    pub bytes: u32,
    /// The most batches in flight at a time, at least 1.
    pub concurrency: u32,
    /// Whether a batch may hold several kinds.
    pub mixed: bool,
    /// Whether the destination takes a batch whole or not at all.
    pub all_or_nothing: bool,
}

/// When an accepted record is really there (rule 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Counting {
    /// When its batch has been answered.
    Batch,
    /// When `finish` has succeeded.
    Finish,
}

/// How the destination compares match values (rule 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Equality {
    /// Byte for byte.
    Exact,
    /// Without regard to case.
    Caseless,
}

/// What an opened destination can do under its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The kinds of operations that it takes.
    pub kinds: Vec<Kind>,
    /// The size of a batch.
    pub limits: Limits,
    /// When records count.
    pub counting: Counting,
    /// How match values compare.
    pub equality: Equality,
    /// Whether a run that changes anything carries every current record (rule 24).
    pub whole: bool,
    /// Whether a repeated insert with the same idempotency key creates no second record.
    pub idempotent: bool,
    /// Whether operations carry the previous record.
    pub previous: bool,
    /// Whether operations need a match value.
    pub matching: bool,
    /// Whether the plugin wants `finish` and `abort`.
    pub finish: bool,
    /// Whether it writes files. Two syncs that write the same ones lose each other's records.
    pub folder: bool,
    /// Where the records are (rule 7): two configurations have it in common exactly where they write the same records.
    pub identity: String,
}

impl Target {
    /// Its identity, where no other sync may write there: what this one writes replaces what is there.
    #[must_use]
    pub fn exclusive(&self) -> Option<&str> {
        (self.whole || self.folder).then_some(&self.identity)
    }
}

/// A secret that a plugin can use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretNeed {
    /// Its name under `secrets`.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Whether the plugin works without it.
    pub required: bool,
}

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The plugin's name.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// What it is for, in a sentence.
    pub summary: String,
    /// A JSON Schema of the destination's `config`.
    pub config_schema: serde_json::Value,
    /// A destination's file that uses it, in YAML.
    pub example: String,
    /// The secrets that it can use; with none listed, any name may be given.
    pub secrets: Vec<SecretNeed>,
    /// The kinds of operations that it takes under one configuration or another.
    pub kinds: Vec<Kind>,
}

/// What a destination's file grants its plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Origins (`https://crm.example.com`, with a port where it is not the scheme's) that requests may go to.
    pub hosts: Vec<String>,
    /// The one folder that file effects may touch, absolute.
    pub folder: Option<PathBuf>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, SecretSource>,
    /// The folder that relative secret files are looked for in, and commands run in.
    pub base: PathBuf,
}

impl Grants {
    /// A path in the granted folder, if one is granted, as it stays when the project is moved: from the project's folder
    /// on, where it is inside.
    #[must_use]
    pub fn place(&self, path: &str) -> Option<String> {
        let folder = self.folder.as_ref()?;
        let folder: PathBuf = folder.strip_prefix(&self.base).unwrap_or(folder).components().collect();
        Some(folder.join(path).display().to_string())
    }
}

/// The run that a destination is opened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// The run's number within the sync, from 1.
    pub number: u64,
    /// When it started, in milliseconds since 1970 (UTC).
    pub started_ms: u64,
}

/// What a destination is opened with.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The destination's `config`.
    pub config: serde_json::Value,
    /// The sync's `object`.
    pub object: Option<String>,
    /// The mapped fields in the sync's order.
    pub fields: Vec<Field>,
    /// The destination's field that match values belong to.
    pub match_field: Option<String>,
    /// What the destination's file grants.
    pub grants: Grants,
    /// The sync's slug.
    pub sync: String,
    /// The run; absent when the destination is only checked.
    pub run: Option<RunInfo>,
}

/// Which of the settings something is wrong with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The destination's `config`.
    Config,
    /// The sync's `object`.
    Object,
    /// The sync's mappings.
    Fields,
    /// The sync's match field.
    MatchField,
}

/// Something wrong in the settings, as a plugin tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which of them.
    pub subject: Subject,
    /// A JSON pointer into `config`, empty for the whole and for other subjects.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let subject = match self.subject {
            Subject::Config => "config",
            Subject::Object => "object",
            Subject::Fields => "mappings",
            Subject::MatchField => "match",
        };
        write!(f, "{subject}{}: {}", self.path, self.message)
    }
}

/// Why a destination cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No plugin of that name.
    #[error("there is no plugin named `{name}`; looked in {}", .looked.join(", "))]
    NoSuchPlugin {
        /// The name.
        name: String,
        /// Where it was looked for.
        looked: Vec<String>,
    },
    /// The file is no component, or one of another world.
    #[error("the plugin `{name}` cannot be loaded: {message}")]
    NotAPlugin {
        /// The plugin's name.
        name: String,
        /// What is wrong with the file.
        message: String,
    },
    /// The plugin refuses its settings.
    #[error("the plugin refuses its settings: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings(Vec<Problem>),
    /// The destination's file does not grant what the plugin needs, or grants a secret that has no value. The message names a
    /// secret and its source, never a value.
    #[error("{field}: {message}")]
    Grant {
        /// The file's field: `allow`, `folder` or `secrets.NAME`.
        field: String,
        /// What is missing.
        message: String,
    },
    /// The plugin failed while it was opened.
    #[error("the plugin `{name}` failed: {message}")]
    Plugin {
        /// The plugin's name.
        name: String,
        /// What happened.
        message: String,
    },
}

/// A request as it would be sent, secrets shown by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "lowercase")]
pub enum Effect {
    /// An HTTP request.
    Http {
        /// The method.
        method: String,
        /// The URL.
        url: String,
        /// The headers.
        headers: Vec<(String, String)>,
        /// The body; bytes that are no UTF-8 are shown as base64.
        body: String,
    },
    /// Bytes for the end of a file.
    Append {
        /// The path in the granted folder.
        path: String,
        /// Written first where the file is empty.
        preamble: String,
        /// What is appended.
        data: String,
    },
    /// A file gets its final name.
    Rename {
        /// The present path.
        from: String,
        /// The new one.
        to: String,
        /// Whether a file that is there already is replaced.
        replace: bool,
    },
    /// A file goes.
    Remove {
        /// The path.
        path: String,
    },
    /// A pause.
    Wait {
        /// Its length.
        ms: u32,
    },
}

/// Finds plugins and opens destinations with them.
#[async_trait]
pub trait Plugins: Send + Sync {
    /// What the plugin of that name says of itself.
    async fn describe(&self, plugin: &str) -> Result<Description, OpenError>;

    /// The fingerprint of the plugin's bytes: a hexadecimal SHA-256.
    async fn fingerprint(&self, plugin: &str) -> Result<String, OpenError>;

    /// Opens a destination. Reads the secrets; sends nothing.
    async fn open(&self, plugin: &str, settings: Settings) -> Result<Box<dyn Destination>, OpenError>;
}

/// An opened destination. All methods may be called while others are under way.
#[async_trait]
pub trait Destination: Send + Sync {
    /// What it can do.
    fn target(&self) -> &Target;

    /// Whether it can be reached with these credentials, and the account that they belong to.
    async fn check(&self) -> Result<Option<String>, Failure>;

    /// The account as [`check`](Self::check) would name it, where that takes no request; else nothing. For previews.
    async fn check_offline(&self) -> Option<String>;

    /// Writes a batch: one outcome per operation, in order.
    async fn write(&self, batch: &[Operation]) -> Result<Vec<Outcome>, Failure>;

    /// The first effects that [`write`](Self::write) would ask for, without performing them.
    async fn preview(&self, batch: &[Operation]) -> Result<Vec<Effect>, Failure>;

    /// Makes the run's records count, after the last batch has been answered.
    async fn finish(&self) -> Result<(), Failure>;

    /// Leaves nothing half done behind after a run that stopped early. Failures are logged, nothing depends on it.
    async fn abort(&self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_07_a_place_in_the_granted_folder_stays_when_the_project_is_moved() {
        let place = |base: &str, folder: &str| {
            let grants = Grants {
                folder: Some(PathBuf::from(base).join(folder)),
                base: base.into(),
                ..Grants::default()
            };
            grants.place("{sync}/x.csv")
        };
        for base in ["/here", "/there/project"] {
            for folder in ["out", "out/", "./out"] {
                assert_eq!(
                    place(base, folder).as_deref(),
                    Some("out/{sync}/x.csv"),
                    "{base} {folder}"
                );
            }
            assert_eq!(place(base, "/data").as_deref(), Some("/data/{sync}/x.csv"));
        }
        assert_eq!(Grants::default().place("x.csv"), None);
    }
}
