//! The content of a sync's file, and the check of it.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::schedule::Cron;

use super::{From, Guards, Mapping, Match, Mode, OnRemoved, OnUnknown, Returning, ScheduleConfig, Sync};
use crate::project::quantity::Span;
use crate::project::review::Review;
use crate::project::settings::zone;

/// The shortest interval of a schedule, in seconds.
const INTERVAL_SECONDS_MIN: u64 = 1;
/// The longest interval of a schedule, in seconds: 366 days.
const INTERVAL_SECONDS_MAX: u64 = 366 * 86_400;

/// A sync: which model's rows go to which destination, and how. Its name is its file's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "sync")]
pub(in crate::project) struct SyncContent {
    /// The model whose rows are sent, by its file's name.
    #[schemars(length(min = 1), example = &"aircraft")]
    model: String,
    /// The destination that they are sent to, by its file's name.
    #[schemars(length(min = 1), example = &"crm")]
    destination: String,
    /// The destination's object, where it has several.
    #[schemars(length(min = 1), example = &"contacts")]
    object: Option<String>,
    /// What is sent.
    #[serde(default)]
    mode: Mode,
    /// How the destination finds a record. Left out, it does so by the model's key.
    #[serde(rename = "match")]
    match_on: Option<Match>,
    /// The fields that are sent.
    #[schemars(length(min = 1))]
    mappings: Vec<MappingContent>,
    /// What happens at the destination to a row that leaves the model: `nothing` unless said.
    on_removed: Option<OnRemoved>,
    /// What insert mode does with a key that left the model and comes back: `remember` unless said.
    returning: Option<Returning>,
    /// What insert mode does with a row whose insert had no answer, so that nobody knows whether it is there: `resend` unless
    /// said. With `hold` it waits for `outflow resolve`.
    on_unknown: Option<OnUnknown>,
    /// After so many rejections in a row a row is no longer sent until its values change, or `outflow retry` releases it.
    /// Left out, it is sent in every run.
    park_after: Option<NonZeroU32>,
    /// What stops a run.
    #[serde(default)]
    guards: Guards,
    /// When the sync runs by itself. Left out, it runs by hand only.
    schedule: Option<ScheduleContent>,
    /// Whether the sync is switched off.
    #[serde(default)]
    disabled: bool,
    /// The name that the sync had before. It takes that one's ledger over.
    #[schemars(length(min = 1))]
    renamed_from: Option<String>,
}

/// One field of the records that are sent: `to`, and one of `from`, `sql` and `value`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["from"]}, {"required": ["sql"]}, {"required": ["value"]}]))]
struct MappingContent {
    /// The destination's field.
    #[schemars(length(min = 1))]
    to: String,
    /// A column of the model.
    #[schemars(length(min = 1))]
    from: Option<String>,
    /// A scalar SQL expression over the model's columns.
    #[schemars(length(min = 1), example = &"year < 2000")]
    sql: Option<String>,
    /// A value that is the same for every row: text, a number, `true` or `false`, null, a list or fields.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Value")]
    value: Option<Value>,
}

/// When a sync runs: `every` so long, or by a `cron` expression.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["every"]}, {"required": ["cron"]}]))]
struct ScheduleContent {
    /// The time from one run's start to the next.
    every: Option<Span>,
    /// A cron expression: minute, hour, day of month, month, day of week.
    #[schemars(length(min = 1), example = &"0 6 * * 1-5")]
    cron: Option<String>,
    /// The zone of the cron expression, by its IANA name. Left out, it is the project's.
    #[schemars(length(min = 1), example = &"Europe/Berlin")]
    timezone: Option<String>,
}

/// Tells a null that is there from a field that is not.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl SyncContent {
    pub(in crate::project) fn check(self, slug: &str, review: &mut Review<'_>) -> Option<Sync> {
        let on_removed = self.removal(review);
        if self.returning.is_some() && self.mode != Mode::Insert {
            let message = format!(
                "only mode `insert` remembers keys that left; the mode is `{}`",
                self.mode.as_str()
            );
            review.note_with_help("returning", message, "leave the field out");
        }
        if self.on_unknown.is_some() && self.mode != Mode::Insert {
            let message = format!(
                "only mode `insert` would do harm by sending again; the mode is `{}`",
                self.mode.as_str()
            );
            review.note_with_help("on_unknown", message, "leave the field out");
        }
        self.check_targets(review);
        let schedule = self.schedule.and_then(|schedule| schedule.check(review));
        let mappings = self
            .mappings
            .into_iter()
            .enumerate()
            .filter_map(|(i, mapping)| mapping.check(i, review))
            .collect();
        if self.renamed_from.as_deref() == Some(slug) {
            review.note("renamed_from", "is the sync's own name");
        }
        review.found.is_empty().then(|| Sync {
            slug: slug.to_owned(),
            file: review.file.to_owned(),
            model: self.model,
            destination: self.destination,
            object: self.object,
            mode: self.mode,
            match_on: self.match_on,
            mappings,
            on_removed,
            returning: self.returning.unwrap_or_default(),
            on_unknown: self.on_unknown.unwrap_or_default(),
            park_after: self.park_after,
            guards: self.guards,
            schedule,
            disabled: self.disabled,
            renamed_from: self.renamed_from,
            marks: review.marks.clone(),
        })
    }

    /// Delete behaviour and mode together (rules 17 and 19).
    fn removal(&self, review: &mut Review<'_>) -> OnRemoved {
        let said = self.on_removed.unwrap_or_default();
        match (self.mode, self.on_removed) {
            (Mode::Mirror, None | Some(OnRemoved::Delete)) => return OnRemoved::Delete,
            (Mode::Mirror, Some(other)) => review.note_with_help(
                "on_removed",
                format!(
                    "found `{}`; mode `mirror` always deletes what leaves the model",
                    other.as_str()
                ),
                "leave the field out, or use mode `upsert`",
            ),
            (Mode::Insert, Some(OnRemoved::Clear)) => review.note_with_help(
                "on_removed",
                "found `clear`; mode `insert` changes no record that exists",
                "use `nothing` or `delete`, or another mode",
            ),
            (Mode::All, Some(OnRemoved::Clear | OnRemoved::Delete)) => review.note_with_help(
                "on_removed",
                format!(
                    "found `{}`; mode `all` sends every row and removes nothing",
                    said.as_str()
                ),
                "use `nothing`, or mode `upsert` or `mirror`",
            ),
            _ => {}
        }
        said
    }

    /// No field is sent twice.
    fn check_targets(&self, review: &mut Review<'_>) {
        for (index, mapping) in self.mappings.iter().enumerate() {
            let field = format!("mappings[{index}].to");
            if self.match_on.as_ref().is_some_and(|on| on.to == mapping.to) {
                let message = format!("`{}` is the match field, which every record has already", mapping.to);
                review.note_with_help(&field, message, "remove this mapping");
            } else if let Some(first) = self.mappings[..index].iter().position(|other| other.to == mapping.to) {
                let message = format!("`{}` is mapped twice, first by mappings[{first}]", mapping.to);
                review.note_with_help(&field, message, "keep one of them");
            }
        }
    }
}

impl MappingContent {
    fn check(self, index: usize, review: &mut Review<'_>) -> Option<Mapping> {
        if self.sql.as_ref().is_some_and(|sql| sql.trim().is_empty()) {
            review.note(&format!("mappings[{index}].sql"), "the expression is empty");
        }
        // The schema lets exactly one of the three through.
        let from = (self.from.map(From::Column))
            .or_else(|| self.sql.map(From::Sql))
            .or_else(|| self.value.map(From::Value))?;
        Some(Mapping { to: self.to, from })
    }
}

impl ScheduleContent {
    fn check(self, review: &mut Review<'_>) -> Option<ScheduleConfig> {
        if let Some(Span(interval)) = self.every {
            if self.timezone.is_some() {
                let message = "an interval has no zone";
                review.note_with_help("schedule.timezone", message, "leave the field out, or use `cron`");
            }
            let allowed = INTERVAL_SECONDS_MIN..=INTERVAL_SECONDS_MAX;
            if !allowed.contains(&interval.as_secs()) {
                let message = format!("found {} seconds; must be from `1s` to `366d`", interval.as_secs());
                review.note("schedule.every", message);
            }
            return Some(ScheduleConfig::Interval(Duration::from_secs(interval.as_secs())));
        }
        let zone = match &self.timezone {
            Some(name) => Some(zone(name, "schedule.timezone", review)?),
            None => None,
        };
        let expression = self.cron?;
        // Which zone it is in changes nothing about whether it can be read.
        if let Err(error) = Cron::parse(&expression, zone.unwrap_or(Tz::UTC)) {
            review.note("schedule.cron", error.to_string());
        }
        Some(ScheduleConfig::Cron { expression, zone })
    }
}
