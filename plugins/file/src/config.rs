//! The destination's `config`.

use outflow_plugin_sdk::{Problem, Run};
use serde::Deserialize;

/// The schema that the host checks `config` against.
pub const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["mode", "format", "path"],
  "additionalProperties": false,
  "properties": {
    "mode": {"enum": ["mirror", "changes"], "description": "mirror: one file with every current record, replaced in one step. changes: a file per run with one line per operation."},
    "format": {"enum": ["jsonl", "csv"], "description": "jsonl: one JSON text per line. csv: RFC 4180 with a header; null is empty, an empty text is two quotes."},
    "path": {"type": "string", "minLength": 1, "description": "A path relative to the granted folder. {sync}, {run} and {date} (UTC) are filled in; a change log's path needs {run}."},
    "previous": {"type": "boolean", "default": false, "description": "Whether a jsonl change log tells the record as last acknowledged, too."}
  }
}"#;

/// What the file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Every current record.
    Mirror,
    /// One line per operation of a run.
    Changes,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON Lines.
    Jsonl,
    /// RFC 4180 with a header.
    Csv,
}

/// The whole of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub mode: Mode,
    pub format: Format,
    pub path: String,
    #[serde(default)]
    pub previous: bool,
}

impl Config {
    /// Checks what its types do not.
    pub fn check(&self) -> Result<(), Problem> {
        let foreign = self.path.starts_with('/') || self.path.contains(['\\', '\0']);
        if foreign || self.path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(problem(
                "/path",
                "must be a path relative to the granted folder, without `.` or `..`",
            ));
        }
        if self.mode == Mode::Changes && !self.path.contains("{run}") {
            return Err(problem(
                "/path",
                "needs `{run}`: otherwise each run's change log replaces the one before",
            ));
        }
        if self.previous && (self.mode, self.format) != (Mode::Changes, Format::Jsonl) {
            return Err(problem(
                "/previous",
                "only a change log in jsonl has room for the previous record",
            ));
        }
        Ok(())
    }

    /// The path with its slots filled in.
    pub fn path_of(&self, sync: &str, run: Option<&Run>) -> Result<String, Problem> {
        let (number, started) = run.map_or((0, 0), |run| (run.number, run.started));
        let path = self.place(sync).replace("{run}", &number.to_string());
        let path = path.replace("{date}", &date(started));
        match path.contains(['{', '}']) {
            true => Err(problem(
                "/path",
                "has an unknown slot; there are {sync}, {run} and {date}",
            )),
            false => Ok(path),
        }
    }

    /// The path for all runs of the sync.
    pub fn place(&self, sync: &str) -> String {
        self.path.replace("{sync}", sync)
    }

    /// Where a run writes. It is the same file for all runs of the sync, so that each finds what one before it left when
    /// it was killed; and it is in the folder that all their files have in common.
    pub fn part_of(&self, sync: &str) -> String {
        let place = self.place(sync);
        let fixed = place.find('{').unwrap_or(place.len());
        let name = place[..fixed].rfind('/').map_or(0, |slash| slash + 1);
        let (folder, name) = place.split_at(name);
        let name = name.replace(['{', '}'], "").replace('/', "-");
        format!("{folder}{name}.{sync}.part")
    }
}

fn problem(path: &str, message: &str) -> Problem {
    Problem::config(path, message)
}

/// The UTC day of a time in milliseconds since 1970, after Howard Hinnant's `civil_from_days`: years begin in March, so
/// that the leap day is a year's last, and repeat every 146,097 days.
pub fn date(ms: u64) -> String {
    let days = ms / 86_400_000 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
