//! The plan: what a run does, decided and durable before the first byte leaves (rules 17 to 24, 33, 35, 36).
//!
//! [`prepare`] runs the model, compares it with the ledger, asks the guards, and commits the operations to the ledger.
//! [`preview()`] does the same into temporary tables and changes nothing. [`rebaseline()`] takes the model's present state as
//! delivered.

pub mod basis;
mod build;
mod compare;
pub mod file;
pub mod guard;
pub mod operations;
mod preview;
pub mod rebaseline;
mod resync;
pub mod sample;
#[cfg(test)]
mod tests;
mod withheld;

use std::collections::BTreeMap;

use crate::destination::{Counting, Target};
use crate::diff::{self, Action, Rules};
use crate::fault;
use crate::journal::{self, Header, JournalError};
use crate::ledger::tables::{self, ENTRIES, PLAN, UNSETTLED};
use crate::ledger::{Fingerprint, Ledger, LedgerError, Meta, OpenPlan};
use crate::mapping::{self, Layout, Projection};
use crate::operation::Kind;
use crate::project::sync::{Mode, OnRemoved, Sync};
use crate::record::{RecordError, Summary};
use crate::report::Counts;
use crate::warehouse::{Column, Connection, WarehouseError};

use basis::{Expected, LedgerVersion};
use build::{Source, Writes};
use compare::{Compared, Comparison, clean, compare};
pub use guard::Stop;
pub use operations::Operations;
pub use preview::preview;
pub use rebaseline::rebaseline;
pub use sample::Sample;

/// What a run is planned from.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// How the model is read.
    pub projection: &'a Projection,
    /// The sync.
    pub sync: &'a Sync,
    /// What the opened destination can do.
    pub target: &'a Target,
    /// The run's number within the sync.
    pub run: u64,
    /// Whether everything is to be sent again (rule 22).
    pub full_resync: bool,
    /// The orders for a full resync that this run takes: it is one, unless the ledger knows them all already.
    pub orders: &'a [String],
    /// Whether a full resync is wanted in spite of what speaks against it.
    pub force: bool,
    /// The tokens of stopped or held plans that a person approved (rule 35).
    pub allow: &'a [String],
    /// The types of text sources' columns, to be kept (rule 16).
    pub pinned: &'a BTreeMap<String, Vec<Column>>,
    /// The fingerprint of the plugin's bytes, where it is known.
    pub plugin: Option<&'a str>,
}

/// Why there is no plan. Nothing was sent, and the ledger says what it said before.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The model or DuckDB failed.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is no journal for it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The configuration does not allow it; the message says what would.
    #[error("{0}")]
    Refused(String),
    /// The model gave other rows when it was read again. Tried once more with a snapshot, so it should not be seen.
    #[error("the model gave other rows when it was read a second time")]
    Moved,
    /// It is not the plan that the run is held to.
    #[error("this is no longer what was planned: {0}. Nothing was sent; make the plan again")]
    NotAsPlanned(String),
    /// A guard stopped it.
    #[error("{0}")]
    Stopped(Box<Stop>),
}

impl From<RecordError> for PlanError {
    fn from(error: RecordError) -> Self {
        LedgerError::from(error).into()
    }
}

/// A plan.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The counts up to `withheld`.
    pub counts: Counts,
    /// Whether the fingerprint alone said that nothing changed (rule 36).
    pub shortcut: bool,
    /// Whether there is something to deliver: operations, or an empty file to replace one that is not. If not, the plan is
    /// closed already.
    pub deliver: bool,
    /// Whether the run ends as a warning whatever comes: rows are invalid, held, or wait after no match.
    pub warn: bool,
    /// What a person should know.
    pub notes: Vec<String>,
    /// The guards that stop a run of this plan. A preview shows it all the same; a run has none.
    pub stops: Vec<Stop>,
    /// Whether the rows that are known to be as acknowledged were left out of the comparison's tables.
    pub(crate) known_apart: bool,
    /// Where the plan is.
    pub(crate) at: Place,
}

/// Where a plan's tables are, and what rows in them mean.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub layout: Layout,
    /// Older versions of the mappings under which something is sent again, with the rows' table and layout.
    pub former: Vec<(u64, String, Layout)>,
    pub entries: String,
    pub unsettled: String,
    pub plan: String,
    pub incarnation: String,
    pub sequence: u64,
    pub previous: bool,
}

impl Planned {
    /// The ledger's sequence number with which the plan was committed.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.at.sequence
    }

    /// The ledger's incarnation.
    #[must_use]
    pub fn incarnation(&self) -> &str {
        &self.at.incarnation
    }
}

/// Refuses what the target cannot do, with a message for the person who configured it (rule 18).
///
/// # Errors
/// What is not supported.
pub fn check_target(projection: &Projection, sync: &Sync, target: &Target) -> Result<(), PlanError> {
    let rules = rules_of(&projection.layout, sync, target);
    let lacks = |kind: Kind| !target.kinds.contains(&kind);
    let known: Vec<_> = target.kinds.iter().map(|kind| format!("`{kind}`")).collect();
    let known = known.join(", ");
    if lacks(rules.write_kind()) {
        let mode = sync.mode.as_str();
        return refused(format!(
            "mode `{mode}` needs the operation `{}`, and the destination takes {known}",
            rules.write_kind()
        ));
    }
    if target.whole {
        return match sync.mode {
            Mode::Insert | Mode::Update => refused(format!(
                "the destination is replaced whole, which mode `{}` cannot be; use `mirror` or `upsert`",
                sync.mode.as_str()
            )),
            _ => Ok(()),
        };
    }
    if sync.on_removed != OnRemoved::Nothing && sync.mode != Mode::All && lacks(rules.removal_kind()) {
        let wanted = sync.on_removed.as_str();
        return refused(format!(
            "`on_removed: {wanted}` needs the operation `{}`, and the destination takes {known}",
            rules.removal_kind()
        ));
    }
    if sync.on_removed == OnRemoved::Clear && projection.layout.cleared_json().is_none() {
        return refused("`on_removed: clear` has nothing to clear: only key and match fields are mapped".into());
    }
    Ok(())
}

fn refused<T>(message: String) -> Result<T, PlanError> {
    Err(PlanError::Refused(message))
}

/// The rules of a sync, before anything is known of its ledger.
fn rules_of<'a>(layout: &'a Layout, sync: &Sync, target: &Target) -> Rules<'a> {
    Rules {
        layout,
        entries: ENTRIES,
        unsettled: UNSETTLED,
        proposed: None,
        mode: sync.mode,
        on_removed: sync.on_removed,
        returning: sync.returning,
        on_unknown: sync.on_unknown,
        park_after: sync.park_after,
        whole: target.whole,
        resync: false,
        epoch: 0,
        run: 0,
        mapping: 0,
    }
}

/// Makes the journal of a plan that is about to be committed; it must be durable by name when this returns.
pub type MakeJournal<'a> = dyn FnMut(&Header) -> Result<(), JournalError> + 'a;

/// Plans a run and commits the plan to the ledger, which must be bound, and whose last plan must be folded. With
/// `expected` the plan is that one or none. Where there is something to deliver, `journal` is called before the commit:
/// a plan without a journal is one whose journal was lost (rule 4).
///
/// # Errors
/// Why there is no plan. The ledger is then as it was, but for what a guard proposes to allow. A journal may have been made
/// all the same; it belongs to no plan.
pub fn prepare(
    connection: &mut Connection,
    ledger: &mut Ledger,
    request: &Request<'_>,
    mut expected: Option<&mut dyn Expected>,
    journal: &mut MakeJournal<'_>,
) -> Result<Planned, PlanError> {
    let first = expected.as_mut().map(|expected| &mut **expected as &mut dyn Expected);
    let planned = match attempt(connection, ledger, request, Source::Model, first, journal) {
        Err(PlanError::Moved) => {
            let snapshot = Source::take_snapshot(connection, request.projection)?;
            let planned = attempt(connection, ledger, request, snapshot, expected, journal);
            tables::drop_temporary(connection, &["snapshot"])?;
            planned
        }
        planned => planned,
    };
    // Where that fails, whoever opens the ledger next does it.
    let _ = tables::drop_staged(connection);
    planned.map_err(|error| match &error {
        PlanError::Warehouse(said) => ledger.blame(connection, said).map_or(error, PlanError::Ledger),
        _ => error,
    })
}

fn attempt(
    connection: &mut Connection,
    ledger: &mut Ledger,
    request: &Request<'_>,
    source: Source,
    expected: Option<&mut dyn Expected>,
    journal: &mut MakeJournal<'_>,
) -> Result<Planned, PlanError> {
    let mut meta = ledger.meta().cloned().ok_or_else(unbound)?;
    if meta.plan.is_some() {
        return Err(LedgerError::Damaged("its last plan is not folded".into()).into());
    }
    let resync = resync::decide(&meta, request)?;
    let edits = mapping::edits(&meta.layout, &request.projection.layout);
    if meta.layout != request.projection.layout {
        resync::take_over_layout(connection, &mut meta, request)?;
        ledger.set(meta.clone());
    }
    let at = Place {
        layout: meta.layout.clone(),
        former: former(&meta, &meta.layout),
        entries: ENTRIES.to_owned(),
        unsettled: UNSETTLED.to_owned(),
        plan: PLAN.to_owned(),
        incarnation: meta.incarnation.clone(),
        sequence: meta.sequence + 1,
        previous: request.target.previous,
    };
    let rules = Rules {
        entries: ENTRIES,
        unsettled: UNSETTLED,
        mapping: meta.mapping,
        ..resync.rules(request, &request.projection.layout)
    };
    let entries = tables::count(connection, ENTRIES)?;
    let nothing = entries == 0 && tables::count(connection, UNSETTLED)? == 0;
    let source = match source {
        Source::Model if nothing => {
            let staged = Source::stage(connection, &rules, request.projection, false)?;
            reach("rows-staged")?;
            staged
        }
        Source::Model if diff::narrows(&rules, entries) => Source::Unknown,
        other => other,
    };
    let Comparison {
        desired,
        tally,
        held,
        mut planned,
    } = match compare(connection, &meta, request, &resync, source, at)? {
        Compared::Same(planned) => {
            if let Some(records) = ledger.records() {
                records.begin(request.run)?.complete(Summary::default())?;
                records.publish(request.run)?;
            }
            return match expected.map(|expected| expected.basis().operations) {
                Some(operations) if operations.total() > 0 => Err(PlanError::NotAsPlanned(
                    "the model is as the destination has it, and nothing is to be done".into(),
                )),
                _ => Ok(*planned),
            };
        }
        Compared::Differs(comparison) => *comparison,
    };
    planned.notes.extend(new_plugin(&meta, request));
    if let Some(stop) = planned.stops.first() {
        guard::propose(connection, &planned.at, &meta, &rules, &stop.token)?;
    }
    stop_at(std::mem::take(&mut planned.stops))?;
    // After these, entries differ from the model even if every operation succeeds.
    let open = [
        Action::Wait,
        Action::Owed,
        Action::Extra,
        Action::Held,
        Action::Resend,
        Action::Keep,
        Action::Doubt,
        Action::Park,
    ];
    let open: u64 = open.into_iter().map(|action| tally.of(action)).sum();
    let clean = (open == 0 && desired.invalid == 0).then(|| clean(&desired, request));
    let draft = ledger.records().map(|records| records.begin(request.run)).transpose()?;
    planned.deliver = tally.planned().total() > 0 || tally.of(Action::Replace) > 0;
    let writes = Writes::compared(connection, &rules, source, &desired)?;
    writes.make_room(connection)?;
    connection.transaction::<_, PlanError>(|connection| {
        build::plan(connection, &rules, request.projection, &writes, &planned.at, &tally)?;
        stop_at(guard::nulled(connection, &planned.at, request, planned.counts)?)?;
        planned
            .notes
            .extend(resync::edit_note(connection, &planned.at, &edits, rules.mode)?);
        // After all that looks at the entries as they were compared.
        if draft.is_some() {
            withheld::keep(connection, rules.layout, &tally)?;
        }
        build::apply(connection, &rules, request.projection, source, &tally)?;
        if let Some(draft) = &draft {
            withheld::write(connection, rules.layout, &tally, desired.invalid, draft)?;
        }
        if let Some(expected) = expected {
            basis::check_after(connection, &planned.at, expected, tally.planned())?;
        }
        meta.plugin = request.plugin.map(str::to_owned).or(meta.plugin.take());
        meta.sequence = planned.at.sequence;
        meta.run = request.run;
        meta.rows = tables::count(connection, ENTRIES)?;
        meta.epoch = resync.epoch;
        meta.resync_open = resync.open;
        if resync.begun {
            meta.resynced = request.orders.to_vec();
        }
        match &held {
            Some(token) => guard::propose_held(connection, &rules, token)?,
            None => meta.null_keys = Some(desired.null_keys),
        }
        meta.pinned.extend(request.pinned.clone());
        meta.clean = None;
        meta.plan = Some(OpenPlan {
            run: request.run,
            sequence: meta.sequence,
            operations: tally.planned(),
            write_kind: rules.write_kind(),
            mode: rules.mode,
            whole: rules.whole,
            finishes: request.target.finish || request.target.counting == Counting::Finish,
            clean: clean.clone(),
            counts: planned.counts,
        });
        meta.write(connection)?;
        reach("plan-written")?;
        if planned.deliver {
            journal(&Header {
                format: journal::FORMAT,
                incarnation: meta.incarnation.clone(),
                run: request.run,
                sequence: meta.sequence,
                operations: tally.planned().total(),
                counting: request.target.counting,
            })?;
        }
        reach("journal-made")?;
        Ok(())
    })?;
    ledger.set(meta);
    reach("plan-committed")?;
    // Delivery may take hours; what was only compared need not be held for so long.
    tables::drop_temporary(connection, &["changes", "desired"])?;
    if !planned.deliver {
        ledger.fold(connection, None)?;
    }
    Ok(planned)
}

/// A plan's operations as a fingerprint, and the ledger that it was made from; for a preview, on its connection.
///
/// # Errors
/// What DuckDB says.
pub fn basis_of(
    connection: &Connection,
    ledger: &Ledger,
    planned: &Planned,
) -> Result<(Option<LedgerVersion>, Fingerprint), PlanError> {
    let version = ledger.meta().and_then(LedgerVersion::of);
    Ok((version, basis::fingerprint(connection, &planned.at)?))
}

/// What is kept of versions of the mappings other than that of `layout`.
fn former(meta: &Meta, layout: &Layout) -> Vec<(u64, String, Layout)> {
    if !meta.layout.same_match(layout) {
        return Vec::new(); // Found otherwise, everything is sent anew.
    }
    let present = (meta.layout != *layout).then(|| (meta.mapping, ENTRIES.to_owned(), meta.layout.clone()));
    meta.former_tables().into_iter().chain(present).collect()
}

/// Says that the plugin has other bytes than in the last run (rule 31).
fn new_plugin(meta: &Meta, request: &Request<'_>) -> Option<String> {
    let (before, now) = (meta.plugin.as_deref()?, request.plugin?);
    (before != now).then(|| "the plugin is another than in the last run; that by itself sends nothing again".to_owned())
}

/// Ends a run that guards stop, with the first of them.
fn stop_at(stops: Vec<Stop>) -> Result<(), PlanError> {
    stops
        .into_iter()
        .next()
        .map_or(Ok(()), |stop| Err(PlanError::Stopped(Box::new(stop))))
}

/// A step is done; a test may want it to have failed.
fn reach(step: &str) -> Result<(), PlanError> {
    Ok(fault::point(step).map_err(|error| JournalError::Closed(error.to_string()))?)
}

fn unbound() -> PlanError {
    LedgerError::Damaged("it is not bound to a sync".into()).into()
}
