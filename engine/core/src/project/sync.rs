//! `syncs/*.yml`: which model's rows go to which destination, and how.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::diagnostic::Diagnostic;
use super::marks::Marks;
use super::review;

mod content;

pub(super) use content::SyncContent;

/// A sync. Its identity is its file's name.
#[derive(Clone, Debug)]
pub struct Sync {
    /// The sync's name: its file's.
    pub slug: String,
    /// The file, relative to the project.
    pub file: PathBuf,
    /// The model whose rows are sent.
    pub model: String,
    /// The destination that they are sent to.
    pub destination: String,
    /// The destination's object, where it has several.
    pub object: Option<String>,
    /// What is sent.
    pub mode: Mode,
    /// How the destination finds a record; absent where it does so by the primary key.
    pub match_on: Option<Match>,
    /// The fields that are sent, at least one, no field twice.
    pub mappings: Vec<Mapping>,
    /// What happens at the destination to a row that leaves the model. `Delete` in mirror mode.
    pub on_removed: OnRemoved,
    /// What insert mode does with a key that left and comes back.
    pub returning: Returning,
    /// What insert mode does with a row of which nobody knows whether it was inserted.
    pub on_unknown: OnUnknown,
    /// After how many rejections in a row, with the same values, a row is parked (rule 2); absent for never.
    pub park_after: Option<NonZeroU32>,
    /// What stops a run.
    pub guards: Guards,
    /// When it runs by itself; absent for never.
    pub schedule: Option<ScheduleConfig>,
    /// Whether it runs neither by schedule nor among all.
    pub disabled: bool,
    /// The name that the sync had before, whose ledger it takes over.
    pub renamed_from: Option<String>,
    /// Where the file's fields stand.
    pub marks: Marks,
}

impl Sync {
    /// A diagnostic about a field of the file, as `mappings[1].from`.
    #[must_use]
    pub fn diagnostic(&self, field: &str, message: impl Into<String>) -> Diagnostic {
        review::value_at_fault(&self.file, &self.marks, field, message)
    }
}

/// What a sync sends (rule 17).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Added and changed rows; records are created or changed.
    #[default]
    Upsert,
    /// Added rows only.
    Insert,
    /// Added and changed rows, as changes of records that exist.
    Update,
    /// Upsert, and what leaves the model is deleted.
    Mirror,
    /// Every row in every run.
    All,
}

impl Mode {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Mirror => "mirror",
            Self::All => "all",
        }
    }
}

/// What happens at the destination to a row that leaves the model (rule 18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnRemoved {
    /// The record stays as it is.
    #[default]
    Nothing,
    /// The mapped fields of the record are emptied.
    Clear,
    /// The record is deleted.
    Delete,
}

impl OnRemoved {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Clear => "clear",
            Self::Delete => "delete",
        }
    }
}

/// What insert mode does with a key that left the model and comes back (rule 19).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Returning {
    /// It is remembered and not inserted again.
    #[default]
    Remember,
    /// It is inserted again.
    Insert,
}

/// What insert mode does with a row of which nobody knows whether it was inserted (rule 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknown {
    /// It is inserted again, so that it is there at least once.
    #[default]
    Resend,
    /// It is held until a person resolves it, so that it is there at most once.
    Hold,
}

/// How the destination finds a record (rule 12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The model's column.
    #[schemars(length(min = 1))]
    pub from: String,
    /// The destination's field.
    #[schemars(length(min = 1))]
    pub to: String,
}

/// One field of the records that are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// The destination's field.
    pub to: String,
    /// Its value.
    pub from: From,
}

/// Where a field's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum From {
    /// A column of the model.
    Column(String),
    /// A scalar SQL expression over the model's columns.
    Sql(String),
    /// The same for every row.
    Value(Value),
}

impl From {
    /// The field that it is written in, below its mapping: `from`, `sql` or `value`.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Column(_) => "from",
            Self::Sql(_) => "sql",
            Self::Value(_) => "value",
        }
    }
}

/// What stops a run (rule 35).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Guards {
    /// A run with more removals than this stops before anything is sent.
    pub max_removed: Threshold,
    /// A run stops before anything is sent where a field turns null in more than this share of the rows, from 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_nulled: f64,
    /// A run stops midway when the destination refuses more than this. Left out, it does not.
    pub max_rejected: Option<Threshold>,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            max_removed: Threshold::default(),
            max_nulled: 0.3,
            max_rejected: None,
        }
    }
}

/// A share and a number; it is passed where both are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Threshold {
    /// The share, from 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f64,
    /// The number of rows.
    pub rows: u64,
}

impl Default for Threshold {
    fn default() -> Self {
        Self { share: 0.3, rows: 5 }
    }
}

impl Threshold {
    /// Whether `part` of `whole` rows are more than this.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    pub fn is_passed(&self, part: u64, whole: u64) -> bool {
        part > self.rows && part as f64 > self.share * whole as f64
    }
}

/// When a sync runs by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleConfig {
    /// So long after it last started.
    Interval(Duration),
    /// By a cron expression of five fields.
    Cron {
        /// The expression.
        expression: String,
        /// Its zone; the project's where absent.
        zone: Option<Tz>,
    },
}
