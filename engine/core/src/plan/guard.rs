//! Guards: what stops a run before anything is sent, and how a person allows it (rule 35).
//!
//! A stop has a token. The token of removals names their set, which the ledger keeps: it holds for a later run whose
//! removals are a subset.

use super::{Place, PlanError, Request};
use crate::diff::{Desired, Rules, Tally};
use crate::ledger::Meta;
use crate::ledger::tables::{self, LEFT, PROPOSED, temporary};
use crate::mapping::{Layout, is_widening};
use crate::project::sync::{Mode, OnRemoved};
use crate::report::{Counts, Stopped};
use crate::warehouse::{Connection, WarehouseError};

/// Rows in which a field turns null, up to which no guard minds.
const NULLED_ROWS_MIN: u64 = 5;
/// Runs that a proposed set of removals is kept for.
const PROPOSED_RUNS: u64 = 100;

/// Why a guard stopped a run, and how to allow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What it would have done.
    pub reason: String,
    /// What to pass to `--allow`.
    pub token: String,
    /// The counts of the plan, as far as it got.
    pub counts: Counts,
}

impl From<&Stop> for Stopped {
    fn from(stop: &Stop) -> Self {
        Self {
            reason: stop.reason.clone(),
            allow: stop.token.clone(),
        }
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}. Nothing was sent. If that is right: --allow {}",
            self.reason, self.token
        )
    }
}

/// The removals of a plan.
pub(super) struct Removals {
    /// Entries that would go, sent or not.
    pub count: u64,
    /// Entries in all.
    entries: u64,
    /// The name of the set.
    pub token: String,
}

impl Removals {
    pub fn read(connection: &Connection, at: &Place, meta: &Meta, tally: &Tally) -> Result<Self, WarehouseError> {
        let entries = connection
            .scalar(&format!("SELECT count(*) FROM {} WHERE NOT memory", at.entries))?
            .unwrap_or_default();
        if entries == 0 || (tally.withheld().removed == 0 && tally.planned().removed == 0) {
            return Ok(Self {
                count: 0,
                entries,
                token: format!(
                    "empty-model-{:08x}",
                    crc32fast::hash(format!("{} {} {entries}", meta.sync, meta.incarnation).as_bytes())
                ),
            });
        }
        let hash = format!(
            "(outflow_hash({}) & 18446744073709551615::UHUGEINT)::UBIGINT",
            at.layout.identity("")
        );
        let read = connection.query_row::<_, WarehouseError>(
            &format!(
                "SELECT count(*), (sum({hash}) % 18446744073709551616)::UBIGINT FROM {}",
                removed()
            ),
            |row| Ok((row.get::<u64>(0)?, row.get::<Option<u64>>(1)?)),
        )?;
        let (count, sum) = read.unwrap_or_default();
        Ok(Self {
            count,
            entries,
            // Of this sync: the same keys may leave another one for another reason.
            token: format!(
                "removals-{:016x}",
                sum.unwrap_or_default() ^ u64::from(crc32fast::hash(meta.sync.as_bytes())) << 16
            ),
        })
    }

    /// Whether one of the tokens is this set's, or that of a set which it is a part of.
    pub fn approved(
        &self,
        connection: &Connection,
        at: &Place,
        meta: &Meta,
        allow: &[String],
    ) -> Result<bool, WarehouseError> {
        if allow.contains(&self.token) {
            return Ok(true);
        }
        if self.count == 0 || at.layout != meta.layout || meta.sequence == 0 {
            return Ok(false);
        }
        for token in allow {
            let token = crate::warehouse::quote::text(token);
            let outside: Option<bool> = connection.scalar(&format!(
                "SELECT EXISTS (FROM {PROPOSED} WHERE token = {token}) AND NOT EXISTS (FROM {removed} AS r \
                 ANTI JOIN (SELECT * FROM {PROPOSED} WHERE token = {token}) AS p ON {same})",
                removed = removed(),
                same = at.layout.same_entry("p", "r"),
            ))?;
            if outside == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The removals that would take an entry away.
fn removed() -> String {
    format!(
        "(SELECT * FROM {} WHERE change = 'removed' AND action NOT IN ('end', 'gone'))",
        temporary("changes")
    )
}

/// The entries that left the model; those too that go at the end of a full resync only.
fn left() -> String {
    format!(
        "(SELECT * FROM {} WHERE change = 'removed' AND action <> 'end')",
        temporary("changes")
    )
}

/// An empty model, and too many removals.
pub(super) fn removals(
    request: &Request<'_>,
    desired: &Desired,
    removals: &Removals,
    held: bool,
    counts: Counts,
) -> Option<Stop> {
    let stop = |reason: String| {
        Some(Stop {
            reason,
            token: removals.token.clone(),
            counts,
        })
    };
    if desired.fingerprint.rows == 0 && removals.entries > 0 {
        return stop(format!(
            "the model returned no rows, and the destination has {} records",
            removals.entries
        ));
    }
    let limit = request.sync.guards.max_removed;
    if !held && limit.is_passed(removals.count, removals.entries) {
        return stop(format!(
            "{} of {} records would be removed, more than {} % and more than {} (guards.max_removed)",
            removals.count,
            removals.entries,
            limit.share * 100.0,
            limit.rows
        ));
    }
    None
}

/// Keeps the set of removals that was stopped, so that an approval names it.
pub(super) fn propose(
    connection: &mut Connection,
    at: &Place,
    meta: &Meta,
    rules: &Rules<'_>,
    token: &str,
) -> Result<(), PlanError> {
    if at.entries != tables::ENTRIES || at.plan != tables::PLAN || at.layout != meta.layout {
        return Ok(()); // A preview changes nothing.
    }
    connection.transaction(|connection| {
        keep_proposed(connection, rules, token, &removed())?;
        note_left(connection, rules, &left())?;
        Ok(())
    })
}

/// Sets aside the removals of a plan that is about to hold them back.
pub(super) fn set_aside(connection: &Connection, layout: &Layout) -> Result<(), WarehouseError> {
    tables::drop_temporary(connection, &["held"])?;
    connection.execute(&format!(
        "CREATE TEMP TABLE {} AS SELECT {} FROM {}",
        temporary("held"),
        layout.identity(""),
        removed()
    ))?;
    Ok(())
}

/// Keeps the set of removals that was held back, so that an approval names it.
pub(super) fn propose_held(connection: &Connection, rules: &Rules<'_>, token: &str) -> Result<(), WarehouseError> {
    keep_proposed(connection, rules, token, &temporary("held"))?;
    tables::drop_temporary(connection, &["held"])
}

fn keep_proposed(connection: &Connection, rules: &Rules<'_>, token: &str, set: &str) -> Result<(), WarehouseError> {
    let run = rules.run;
    connection.execute(&format!(
        "DELETE FROM {PROPOSED} WHERE token = '{token}' OR (run + {PROPOSED_RUNS} < {run} AND token <> '{LEFT}')"
    ))?;
    connection.execute(&format!(
        "INSERT INTO {PROPOSED} SELECT '{token}', {run}, {} FROM {set}",
        rules.layout.identity("")
    ))?;
    Ok(())
}

/// Notes which entries left under `nothing` though they are entries still, those of `kept`; and forgets of which that is
/// no longer so (rule 21).
pub(super) fn note_left(connection: &Connection, rules: &Rules<'_>, kept: &str) -> Result<(), WarehouseError> {
    if rules.whole || rules.mode == Mode::All {
        return Ok(());
    }
    let layout = rules.layout;
    if rules.on_removed != OnRemoved::Nothing {
        connection.execute(&format!(
            "DELETE FROM {PROPOSED} AS p WHERE token = '{LEFT}' AND NOT EXISTS (FROM {} AS r WHERE {})",
            left(),
            layout.same_entry("r", "p")
        ))?;
        return Ok(());
    }
    connection.execute(&format!("DELETE FROM {PROPOSED} WHERE token = '{LEFT}'"))?;
    connection.execute(&format!(
        "INSERT INTO {PROPOSED} SELECT '{LEFT}', {}, {} FROM {kept}",
        rules.run,
        layout.identity("")
    ))?;
    Ok(())
}

/// Mapped columns whose type changed, other than by widening.
pub(super) fn types(old: &Layout, request: &Request<'_>) -> Vec<Stop> {
    let new = &request.projection.layout;
    let mut stops = Vec::new();
    for column in &new.image {
        let Some(before) = old.image.iter().find(|before| before.source == column.source) else {
            continue;
        };
        if is_widening(&before.data_type, &column.data_type) {
            continue;
        }
        let name = match &column.source {
            crate::mapping::ImageSource::Column(name) => format!("the column `{name}`"),
            crate::mapping::ImageSource::Sql(sql) => format!("the expression `{sql}`"),
        };
        let token = format!(
            "type-{:08x}",
            crc32fast::hash(format!("{name} {} {}", before.data_type, column.data_type).as_bytes())
        );
        if !request.allow.contains(&token) {
            let reason = format!("{name} was {} and is {} now", before.data_type, column.data_type);
            stops.push(Stop {
                reason,
                token,
                counts: Counts::default(),
            });
        }
    }
    stops
}

/// Fields that turn null in too many of the rows that are compared.
pub(super) fn nulled(
    connection: &Connection,
    at: &Place,
    request: &Request<'_>,
    counts: Counts,
) -> Result<Vec<Stop>, WarehouseError> {
    let entries: Option<bool> =
        connection.scalar(&format!("SELECT EXISTS (FROM {} WHERE h IS NOT NULL)", at.entries))?;
    if entries != Some(true) || at.layout.image.is_empty() {
        return Ok(Vec::new());
    }
    let limit = crate::project::sync::Threshold {
        share: request.sync.guards.max_nulled,
        rows: NULLED_ROWS_MIN,
    };
    let suspects = suspects(connection, at, |nulls| {
        // Of at least so many rows.
        limit.is_passed(nulls, if request.target.whole { 0 } else { counts.unchanged })
    })?;
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    // By key, as a record may move at the same time; a key may have several entries then.
    let layout = &at.layout;
    let (all, group) = if layout.place_is_key() {
        (("", ""), String::new())
    } else {
        (
            ("any_value", "bool_or"),
            format!(" GROUP BY {}", layout.comparable_keys("")),
        )
    };
    let keys = (0..layout.key.len()).map(|index| format!("{}(k{index}) AS k{index}", all.0));
    let shown = suspects
        .iter()
        .map(|index| format!("{}(i{index} IS NOT NULL) AS n{index}", all.1));
    let shown: Vec<_> = keys.chain(shown).collect();
    let count = |index| format!(", count(*) FILTER (WHERE p.i{index} IS NULL AND e.n{index})");
    let sql = format!(
        "SELECT count(*){columns} FROM {plan} AS p \
         JOIN (SELECT {shown} FROM {entries} WHERE h IS NOT NULL{group}) AS e ON {same} \
         WHERE p.change <> 'removed'",
        columns = suspects.iter().map(count).collect::<String>(),
        plan = at.plan,
        shown = shown.join(", "),
        entries = at.entries,
        same = layout.same_key("p", "e"),
    );
    let read = connection.query_row::<_, WarehouseError>(&sql, |row| {
        let nulled = (1..=suspects.len()).map(|column| row.get::<u64>(column));
        Ok((row.get::<u64>(0)?, nulled.collect::<Result<Vec<_>, _>>()?))
    })?;
    let (changed, nulled) = read.unwrap_or_default();
    let compared = if request.target.whole {
        changed
    } else {
        changed + counts.unchanged
    };
    let mut stops = Vec::new();
    for (index, nulled) in suspects.into_iter().zip(nulled) {
        let name = at.layout.image_name(index);
        let token = format!("nulls-{:08x}", crc32fast::hash(format!("{name} {nulled}").as_bytes()));
        if limit.is_passed(nulled, compared) && !request.allow.contains(&token) {
            let reason = format!(
                "the field `{name}` turns null in {nulled} of {compared} records, more than {} % (guards.max_nulled)",
                limit.share * 100.0
            );
            stops.push(Stop { reason, token, counts });
        }
    }
    Ok(stops)
}

/// The values of the image that are null in so many rows of the plan that the guard may mind: only theirs are compared with
/// what the entries hold.
fn suspects(connection: &Connection, at: &Place, may: impl Fn(u64) -> bool) -> Result<Vec<usize>, WarehouseError> {
    let columns = at.layout.image.len();
    let counts: Vec<_> = (0..columns)
        .map(|index| format!("count(*) - count(i{index})"))
        .collect();
    let sql = format!(
        "SELECT {} FROM {} WHERE change <> 'removed'",
        counts.join(", "),
        at.plan
    );
    let nulls = connection.query_row::<_, WarehouseError>(&sql, |row| {
        (0..columns)
            .map(|column| row.get::<u64>(column))
            .collect::<Result<Vec<_>, _>>()
    })?;
    let nulls = nulls.unwrap_or_default().into_iter().enumerate();
    Ok(nulls.filter(|(_, nulls)| may(*nulls)).map(|(index, _)| index).collect())
}
