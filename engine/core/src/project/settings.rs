//! `outflow.yml`: what holds for the whole project.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::{TZ_VARIANTS, Tz};
use schemars::JsonSchema;
use serde::Deserialize;

use super::marks::Marks;
use super::quantity::{ByteSize, Span};
use super::review::Review;
use super::suggest;

/// What holds for the whole project.
#[derive(Clone, Debug)]
pub struct ProjectSettings {
    /// The project's name.
    pub name: String,
    /// The zone of schedules and of times that are shown.
    pub timezone: Tz,
    /// What the queries of one run may use.
    pub memory_limit: ByteSize,
    /// Threads of one run's queries.
    pub threads: usize,
    /// How many syncs run side by side.
    pub concurrency: usize,
    /// How long a run waits for a source that is locked, missing or away.
    pub wait_for_sources: Duration,
    /// How long records of runs are kept.
    pub keep_records: Duration,
    /// The file, relative to the project.
    pub file: PathBuf,
    /// Where its fields stand.
    pub marks: Marks,
}

impl ProjectSettings {
    /// Those of a project whose file of them cannot be read: named after its folder.
    pub(super) fn unread(root: &Path) -> Self {
        Self {
            name: root
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            timezone: Tz::UTC,
            memory_limit: memory_limit(),
            threads: threads(),
            concurrency: concurrency(),
            wait_for_sources: wait_for_sources().0,
            keep_records: RecordsContent::default().keep.0,
            file: super::PROJECT_FILE.into(),
            marks: Marks::default(),
        }
    }
}

/// What holds for the whole project.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "outflow.yml")]
pub(super) struct SettingsContent {
    /// The version of the project's format: 1.
    #[schemars(extend("const" = 1))]
    #[expect(dead_code, reason = "read for its check alone")]
    version: u32,
    /// The project's name, for people.
    #[schemars(length(min = 1), example = &"fleet")]
    name: String,
    /// The zone of schedules and of times that are shown, by its IANA name.
    #[serde(default = "timezone")]
    #[schemars(example = &"Europe/Berlin")]
    timezone: String,
    /// The memory that the queries of one run may use before they spill to disk. A run needs 7 bytes besides for every record
    /// that the destination has, up to 450 MB.
    #[serde(default = "memory_limit")]
    memory_limit: ByteSize,
    /// The threads that the queries of one run use.
    #[serde(default = "threads")]
    #[schemars(range(min = 1, max = 256))]
    threads: usize,
    /// The number of syncs that run side by side.
    #[serde(default = "concurrency")]
    #[schemars(range(min = 1, max = 64))]
    concurrency: usize,
    /// How long a run waits for a source that is locked, missing or away, before it ends as interrupted.
    #[serde(default = "wait_for_sources")]
    #[schemars(example = &"5m")]
    wait_for_sources: Span,
    /// The records of runs: what was done about each row, with its values.
    #[serde(default)]
    records: RecordsContent,
}

/// The records of runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RecordsContent {
    /// How long they are kept. A sync's newest one is kept until there is a newer one.
    keep: Span,
}

impl Default for RecordsContent {
    fn default() -> Self {
        Self {
            keep: Span(Duration::from_secs(90 * 86_400)),
        }
    }
}

fn timezone() -> String {
    "UTC".to_owned()
}

const fn memory_limit() -> ByteSize {
    ByteSize(192_000_000)
}

const fn threads() -> usize {
    2
}

const fn concurrency() -> usize {
    4
}

const fn wait_for_sources() -> Span {
    Span(Duration::from_secs(30))
}

impl SettingsContent {
    pub(super) fn check(self, review: &mut Review<'_>) -> Option<ProjectSettings> {
        let timezone = zone(&self.timezone, "timezone", review);
        // DuckDB itself needs some room; less fails in ways that nobody would trace back to here.
        if self.memory_limit < ByteSize(32_000_000) {
            review.note(
                "memory_limit",
                format!("found `{}`; must be at least `32MB`", self.memory_limit),
            );
        }
        Some(ProjectSettings {
            name: self.name,
            timezone: timezone?,
            memory_limit: self.memory_limit,
            threads: self.threads,
            concurrency: self.concurrency,
            wait_for_sources: self.wait_for_sources.0,
            keep_records: self.records.keep.0,
            file: review.file.to_owned(),
            marks: review.marks.clone(),
        })
    }
}

/// The zone of that IANA name.
pub(super) fn zone(name: &str, field: &str, review: &mut Review<'_>) -> Option<Tz> {
    if let Ok(zone) = name.parse() {
        return Some(zone);
    }
    let help = suggest::nearest(name, TZ_VARIANTS.iter().map(|zone| zone.name())).map_or_else(
        || "a zone is named as in `Europe/Berlin` or `UTC`".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    review.note_with_help(field, format!("there is no time zone `{name}`"), help);
    None
}
