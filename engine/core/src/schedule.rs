//! When a sync runs by itself: intervals, and cron expressions in a named zone (rule 37).
//!
//! Expressions are Unix's: five fields, Sunday is 0 or 7, names are allowed, and where day of month and weekday are both
//! restricted either will do. The `cron` crate evaluates them, on the wall clock without a zone; it knows other rules
//! for weekdays and for the two days, so each field is first read here and handed over as a plain list. The zone is
//! resolved here too: a time that does not exist becomes the first instant after the gap, one that exists twice is the
//! first of both.

mod field;
#[cfg(test)]
mod tests;

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use field::Field;

/// No gap or overlap of a zone is longer, and no two of them lie closer together.
const SHIFT_MAX: TimeDelta = TimeDelta::hours(26);

/// When a sync runs by itself.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// So long after the last start.
    Interval(Duration),
    /// At the times of a cron expression.
    Cron(Cron),
}

impl Schedule {
    /// The first time after `last`.
    #[must_use]
    pub fn next_after(&self, last: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Interval(every) => last.checked_add_signed(TimeDelta::from_std(*every).ok()?),
            Self::Cron(cron) => cron.next_after(last),
        }
    }
}

/// A cron expression in a zone. It fires at some time.
#[derive(Clone, Debug)]
pub struct Cron {
    zone: Tz,
    /// One, or one for each of the two day fields where both are restricted.
    parts: Vec<cron::Schedule>,
}

/// What is wrong with a cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error("a cron expression has five fields (minute, hour, day of month, month, weekday), and `{0}` has {1}")]
    Fields(String, usize),
    /// A field that cannot be read.
    #[error("the {field} `{found}` of the cron expression is wrong: {message}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A day that no month has.
    #[error("the cron expression `{0}` never fires: no such day comes")]
    Never(String),
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it is not five fields of Unix's cron, or never fires.
    pub fn parse(expression: &str, zone: Tz) -> Result<Self, CronError> {
        let texts: Vec<&str> = expression.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = texts[..] else {
            return Err(CronError::Fields(expression.trim().to_owned(), texts.len()));
        };
        let minute = field::MINUTE.parse(minute)?;
        let hour = field::HOUR.parse(hour)?;
        let day = field::DAY.parse(day)?;
        let month = field::MONTH.parse(month)?;
        let weekday = field::WEEKDAY.parse(weekday)?;
        let part = |day: &Field, weekday: &Field| {
            let text = format!(
                "0 {} {} {} {} {}",
                minute.list(),
                hour.list(),
                day.list(),
                month.list(),
                weekday.weekdays()
            );
            // The fields were read above; that the crate refuses a list of theirs would be its fault, told as it says.
            cron::Schedule::from_str(&text).map_err(|error| CronError::Field {
                field: "whole",
                found: text,
                message: error.to_string(),
            })
        };
        let parts = if day.restricted && weekday.restricted {
            vec![part(&day, &Field::any())?, part(&Field::any(), &weekday)?]
        } else {
            vec![part(&day, &weekday)?]
        };
        let cron = Self { zone, parts };
        // From a fixed day, so that an expression is not refused because it is late in the century.
        if cron.next_after(DateTime::UNIX_EPOCH).is_none() {
            return Err(CronError::Never(expression.trim().to_owned()));
        }
        Ok(cron)
    }

    /// The first time after an instant. None after the year 2100, where the `cron` crate ends.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let wall = after.with_timezone(&self.zone).naive_local();
        let next = |part: &cron::Schedule| {
            part.after(&wall.and_utc())
                .map(|wall| self.resolve(wall.naive_utc()))
                // In an overlap the wall clock shows times again that were.
                .find(|instant| *instant > after)
        };
        self.parts.iter().filter_map(next).min()
    }

    /// The instant at which the zone's wall clock first shows this time, or has just skipped it.
    fn resolve(&self, wall: NaiveDateTime) -> DateTime<Utc> {
        match self.zone.from_local_datetime(&wall) {
            LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => instant.to_utc(),
            LocalResult::None => self.after_gap(wall),
        }
    }

    /// The end of the gap that this time falls into, found by halving.
    fn after_gap(&self, wall: NaiveDateTime) -> DateTime<Utc> {
        let mut before = (wall - SHIFT_MAX).and_utc();
        let mut after = (wall + SHIFT_MAX).and_utc();
        while after - before > TimeDelta::seconds(1) {
            let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
            if middle.with_timezone(&self.zone).naive_local() < wall {
                before = middle;
            } else {
                after = middle;
            }
        }
        after
    }
}
