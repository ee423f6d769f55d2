//! The comparison of what the model says with what the destination has, before anything is planned.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::build::Source;
use super::resync::Resync;
use super::{Place, PlanError, Planned, Request, guard};
use crate::diff::{self, Action, Desired, Known, Rules, Tally};
use crate::ledger::tables::{self, PROPOSED};
use crate::ledger::{Clean, Meta};
use crate::project::sync::Mode;
use crate::report::{Counts, Split};
use crate::warehouse::Connection;

/// The outcome of a comparison.
pub(super) enum Compared {
    /// Nothing changed since a run that left nothing open.
    Same(Box<Planned>),
    /// Anything else.
    Differs(Box<Comparison>),
}

/// What was found, in temporary tables besides.
pub(super) struct Comparison {
    /// What the model says.
    pub desired: Desired,
    /// What is to be done about the differences.
    pub tally: Tally,
    /// The approval of the removals that are held back, where they are (rule 10).
    pub held: Option<String>,
    /// The plan, as far as it is known now.
    pub planned: Planned,
}

/// Runs the model and compares it with the entries; asks the guards that need no images.
pub(super) fn compare(
    connection: &mut Connection,
    meta: &Meta,
    request: &Request<'_>,
    resync: &Resync,
    source: Source,
    at: Place,
) -> Result<Compared, PlanError> {
    let rules = Rules {
        entries: &at.entries,
        unsettled: &at.unsettled,
        proposed: (meta.sequence > 0).then_some(PROPOSED),
        ..resync.rules(request, &at.layout)
    };
    let projection = request.projection;
    let unknown = |connection: &Connection, known: &Arc<Known>| {
        diff::unknown(connection, &projection.checked_rows(&projection.relation()), known)
    };
    let mut known = None;
    let mut desired = if source == Source::Unknown {
        let entries = tables::count(connection, &at.entries)?;
        let known = known.insert(Known::learn(connection, &rules, entries)?);
        unknown(connection, known)?
    } else {
        diff::desired(connection, &source.identities(projection))?
    };
    let mut counts = Counts {
        queried: desired.fingerprint.rows,
        ..Counts::default()
    };
    let may_end = !rules.resync && rules.mode != Mode::All && meta.layout == at.layout;
    if may_end && meta.clean.as_ref() == Some(&clean(&desired, request)) {
        counts.unchanged = counts.queried;
        return Ok(Compared::Same(Box::new(Planned {
            counts,
            shortcut: true,
            deliver: false,
            warn: false,
            notes: Vec::new(),
            stops: Vec::new(),
            known_apart: known.is_some(),
            at,
        })));
    }
    if let Some(known) = &known
        && !diff::near(connection, &rules, known)?
    {
        let nothing = Known::nothing();
        desired = unknown(connection, &nothing)?;
        diff::near(connection, &rules, &nothing)?;
        counts.queried = desired.fingerprint.rows;
    }
    desired.validate(connection, &at.layout)?;
    let mut tally = diff::changes(connection, &rules, known.is_some())?;
    let mut notes = Vec::new();
    let removed = guard::Removals::read(connection, &at, meta, &tally)?;
    let approved = removed.approved(connection, &at, meta, request.allow)?;
    let nulls_grew = desired.null_keys > meta.null_keys.unwrap_or_default();
    let held = nulls_grew && removed.count > 0 && !approved;
    if held {
        guard::set_aside(connection, &at.layout)?;
        tally = diff::hold_removals(connection, &rules)?;
        notes.push(format!(
            "{} removals are held back: {} rows have a null key, more than in earlier runs, and may be the very rows that seem to have left; if they did leave: --allow {}",
            removed.count, desired.null_keys, removed.token
        ));
    }
    counts.invalid = desired.invalid;
    counts.unchanged = (counts.queried - counts.invalid).saturating_sub(tally.rows());
    counts.planned = tally.planned();
    counts.withheld = tally.withheld();
    counts.changes = sum(counts.planned, counts.withheld);
    let stop = guard::removals(request, &desired, &removed, held, counts);
    let doubted = tally.of(Action::Doubt);
    if doubted > 0 {
        notes.push(format!(
            "{doubted} rows are held, as nobody knows whether they were inserted (`on_unknown: hold`); see what is there, and say so: outflow resolve {} KEY --delivered, or --not-delivered",
            request.sync.slug
        ));
    }
    let parked = tally.of(Action::Park);
    if parked > 0 {
        notes.push(format!(
            "{parked} rows are parked: they were rejected {} times in a row or more, and are sent when their values change; to list them: outflow rejected {slug}; to try them again: outflow retry {slug} KEY, or --all",
            request.sync.park_after.map_or(0, NonZeroU32::get),
            slug = request.sync.slug
        ));
    }
    let warn = counts.invalid > 0 || held || doubted > 0 || parked > 0 || tally.of(Action::Wait) > 0;
    let planned = Planned {
        counts,
        shortcut: false,
        deliver: false,
        warn,
        notes,
        stops: stop.filter(|_| !approved).into_iter().collect(),
        known_apart: known.is_some(),
        at,
    };
    Ok(Compared::Differs(Box::new(Comparison {
        desired,
        tally,
        held: held.then_some(removed.token),
        planned,
    })))
}

pub(super) fn sum(mut a: Split, b: Split) -> Split {
    a += b;
    a
}

/// What makes a later run the same as this one (rule 36).
pub(super) fn clean(desired: &Desired, request: &Request<'_>) -> Clean {
    let sync = request.sync;
    let config = (
        &request.projection.layout,
        sync.mode,
        sync.on_removed,
        sync.returning,
        request.target.whole,
    );
    // Structs of texts, numbers and lists always have a JSON form.
    Clean {
        fingerprint: desired.fingerprint.clone(),
        config: serde_json::to_string(&config).unwrap_or_default(),
    }
}
