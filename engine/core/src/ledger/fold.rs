//! Folding: the outcomes of a plan become entries, in one transaction that also closes the plan (rules 1 to 4, 12, 20).

use crate::fault;
use crate::journal::{JournalError, Reader, State};
use crate::mapping::Layout;
use crate::operation::Change;
use crate::project::sync::Mode;
use crate::record::{Draft, Part, Summary};
use crate::report::{Counts, Split};
use crate::warehouse::{Connection, Value, WarehouseError};

use super::meta::OpenPlan;
use super::tables::{self, ENTRIES, HEAD, PLAN, TAIL, UNSETTLED};
use super::verdicts::{Verdict, Verdicts};
use super::{Ledger, LedgerError, Meta};
use super::{recorded, reproject};

/// Removals of which every one finds no record are believed up to this number (rule 20).
const MISSING_BELIEVED_MAX: u64 = 5;
/// Ids of the destination's own up to this share (one in so many) are written into rows that are kept in place.
const IDS_IN_PLACE_SHARE: u64 = 10;

/// What a fold did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The run whose plan it was.
    pub run: u64,
    /// Its counts.
    pub counts: Counts,
    /// Whether every one of more than a few removals found no record, so that none is believed (rule 20).
    pub all_missing: bool,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Ledger {
    /// Folds the outcomes of the open plan into the entries. Without a journal nothing of it was sent.
    ///
    /// # Errors
    /// When the journal is damaged, or what DuckDB says; then the ledger is as before.
    pub fn fold(&mut self, connection: &mut Connection, journal: Option<Reader>) -> Result<Folded, LedgerError> {
        self.close(connection, |plan| {
            // A journal of an earlier plan says nothing of this one.
            let journal = journal.filter(|reader| reader.header().sequence == plan.sequence);
            Verdicts::read(journal, plan.operations.total())
        })
    }

    /// Closes the open plan, if there is one, though its journal is gone: each of its operations may have been applied.
    ///
    /// # Errors
    /// What DuckDB says; then the ledger is as before.
    pub(crate) fn doubt(&mut self, connection: &mut Connection) -> Result<Option<Folded>, LedgerError> {
        if self.meta().is_none_or(|meta| meta.plan.is_none()) {
            return Ok(None);
        }
        self.close(connection, |plan| Ok(Verdicts::unknown(plan.operations.total())))
            .map(Some)
    }

    fn close(
        &mut self,
        connection: &mut Connection,
        verdicts: impl FnOnce(&OpenPlan) -> Result<Verdicts, JournalError>,
    ) -> Result<Folded, LedgerError> {
        let nothing = || LedgerError::Damaged("it has no plan to fold".into());
        let mut meta = self.meta().cloned().ok_or_else(nothing)?;
        let plan = meta.plan.take().ok_or_else(nothing)?;
        let verdicts = verdicts(&plan)?;
        let draft = self.records().map(|records| records.resume(plan.run)).transpose()?;
        let folded = connection.transaction(|connection| {
            Fold {
                connection,
                meta: &mut meta,
                plan: &plan,
                verdicts: &verdicts,
                draft: draft.as_ref(),
            }
            .run()
            .and_then(|folded| reach("fold-written").map(|()| folded))
        });
        let folded = folded.map_err(LedgerError::if_damaged)?;
        tables::drop_temporary(connection, &["verdicts"])?;
        self.set(meta);
        reach("fold-committed")?;
        if let Some(records) = self.records() {
            records.publish(plan.run)?;
        }
        Ok(folded)
    }
}

/// A fold under way.
struct Fold<'a> {
    connection: &'a mut Connection,
    meta: &'a mut Meta,
    plan: &'a OpenPlan,
    verdicts: &'a Verdicts,
    /// The run's record, where one is kept.
    draft: Option<&'a Draft>,
}

impl Fold<'_> {
    fn run(mut self) -> Result<Folded, LedgerError> {
        // What has no word of its own was accepted: so there must be no row that the journal could not know.
        let (found, wanted) = (tables::count(self.connection, PLAN)?, self.plan.operations.total());
        if found != wanted {
            return Err(LedgerError::Damaged(format!(
                "its plan has {found} operations and should have {wanted}"
            )));
        }
        let ids = self.load()?;
        let tally = self.tally()?;
        let all_missing = tally.all_missing();
        self.unsettle(all_missing)?;
        let first = self.meta.rows == 0 && self.plan.operations.removed == 0;
        self.record(&tally, first, ids > 0)?;
        let mut taken = 0;
        let ended = self.verdicts.finished || (!self.plan.finishes && self.verdicts.none_aborted());
        let replaced = self.plan.whole && ended;
        if (first || replaced) && ids * IDS_IN_PLACE_SHARE <= self.plan.operations.total() {
            self.become_entries()?;
        } else {
            if replaced {
                self.execute(format!("DELETE FROM {ENTRIES}"))?;
            }
            taken = self.settle(all_missing)?;
            self.doubt(all_missing)?;
            self.execute(format!("DROP TABLE {PLAN}"))?;
        }
        let resync_over = self.meta.resync_open && self.verdicts.none_aborted();
        if resync_over {
            self.execute(format!("DELETE FROM {ENTRIES} WHERE change = 'gone'"))?;
            self.meta.resync_open = false;
        }
        reproject::drop_former(self.connection, self.meta)?;
        let counts = tally.counts(self.plan, all_missing);
        // An insert may take the place where another row's record was, which is to be inserted again then.
        let lost = self.plan.mode == Mode::Insert && taken > 0;
        self.meta.clean = if (ended || !self.plan.whole) && !lost && self.is_clean(&counts, all_missing)? {
            self.plan.clean.clone()
        } else {
            None
        };
        self.meta.rows = tables::count(self.connection, ENTRIES)?;
        self.meta.sequence += 1;
        self.meta.write(self.connection)?;
        if let Some(draft) = self.draft {
            draft.complete(Summary {
                operations: self.plan.operations,
                resync_over,
                replaced,
                ..Summary::default()
            })?;
        }
        let mut notes = Vec::new();
        if all_missing {
            notes.push(format!(
                "none of the {} records to be removed was found at the destination; that is taken for a fault (of the match field, the account or the object), so they stay in the ledger",
                tally.missing_removals
            ));
        }
        Ok(Folded {
            run: self.plan.run,
            counts,
            all_missing,
            notes,
        })
    }

    fn execute(&self, sql: impl AsRef<str>) -> Result<u64, WarehouseError> {
        self.connection.execute(sql.as_ref())
    }

    fn layout(&self) -> &Layout {
        &self.meta.layout
    }

    /// Loads what is not simply accepted, and gives how many ids the destination told.
    fn load(&mut self) -> Result<u64, WarehouseError> {
        tables::drop_temporary(self.connection, &["verdicts"])?;
        self.execute(format!(
            "CREATE TEMP TABLE {} (ordinal UBIGINT, state VARCHAR, id VARCHAR, code VARCHAR, message VARCHAR, field VARCHAR)",
            verdicts()
        ))?;
        let mut ids = 0;
        let mut rows = self.connection.append("temp", "~verdicts")?;
        for exception in self.verdicts.exceptions() {
            let (mut id, mut code, mut message, mut field) = (None, None, None, None);
            match exception.state {
                Some(State::Accepted { id: told }) => {
                    ids += 1;
                    id = Some(told.as_str());
                }
                Some(State::Rejected(rejection)) => {
                    code = Some(rejection.code.as_str());
                    message = Some(rejection.message.as_str());
                    field = rejection.field.as_deref();
                }
                Some(State::Unknown { reason }) => message = Some(reason.as_str()),
                Some(State::NoMatch) => {}
                None if exception.verdict == Verdict::Unknown => {
                    message = Some("no answer was recorded");
                }
                None => {}
            }
            rows.push(Value::U64(exception.ordinal))?;
            rows.push(Value::Text(exception.verdict.as_str()))?;
            for text in [id, code, message, field] {
                rows.push(text.into())?;
            }
            rows.end_row()?;
        }
        rows.finish()?;
        Ok(ids)
    }

    fn tally(&self) -> Result<Tally, WarehouseError> {
        let rows = self.connection.query_rows::<_, WarehouseError>(
            &format!("SELECT p.change, v.state, count(*) FROM {} GROUP BY ALL", joined()),
            |row| Ok((row.get::<String>(0)?, row.get::<Option<String>>(1)?, row.get::<u64>(2)?)),
        )?;
        let mut tally = Tally::default();
        for (change, state, count) in rows {
            let Some(change) = Change::parse(&change) else {
                continue;
            };
            let verdict = state.as_deref().and_then(Verdict::parse).unwrap_or(Verdict::Accepted);
            tally.add(change, verdict, count);
        }
        Ok(tally)
    }

    /// What was not accepted is remembered, until it is tried again or its place is settled. Rule 27: an operation on a key
    /// or place ends the ids of earlier ones there.
    fn unsettle(&self, all_missing: bool) -> Result<(), WarehouseError> {
        let layout = self.layout();
        let source = joined();
        let earlier = temporary_earlier();
        tables::drop_temporary(self.connection, &["earlier"])?;
        self.execute(format!("CREATE TEMP TABLE {earlier} AS FROM {UNSETTLED}"))?;
        if tables::count(self.connection, &earlier)? > 0 {
            let attempted = |which: &str| {
                let identity = layout.identity("p.");
                format!("(SELECT {identity} FROM {source} WHERE v.state IS DISTINCT FROM 'aborted' AND {which})")
            };
            for (ended, same) in [
                (attempted("true"), layout.same_entry("u", "a")),
                (attempted(&settles("p", "v", all_missing)), layout.same_place("u", "a")),
                // A key has one row, so that another write of it is no longer wanted.
                (
                    attempted("p.change <> 'removed'"),
                    format!(
                        "{} AND u.change <> 'removed' AND u.state <> 'unknown'",
                        layout.same_key("u", "a")
                    ),
                ),
            ] {
                self.execute(format!("DELETE FROM {UNSETTLED} AS u USING {ended} AS a WHERE {same}"))?;
            }
            for same in [layout.same_key("u", "a"), layout.same_place("u", "a")] {
                self.execute(format!(
                    "UPDATE {UNSETTLED} AS u SET epoch = NULL FROM {} AS a WHERE {same}",
                    attempted("true")
                ))?;
            }
        }
        self.execute(format!(
            "INSERT INTO {UNSETTLED}
             SELECT {identity}, p.change, p.kind, p.op_run, p.h, {epoch}, v.state, v.code, v.message, v.field,
               coalesce(u.times, 0) + 1, coalesce(u.since, {run}), {run}
             FROM {PLAN} AS p JOIN {verdicts} AS v ON p.ordinal = v.ordinal
             LEFT JOIN {earlier} AS u ON {same} AND u.kind = p.kind AND u.state = v.state AND u.h IS NOT DISTINCT FROM p.h
             WHERE v.state IN ('rejected', 'unknown') OR (v.state = 'unmatched' AND (p.change <> 'removed' OR {all_missing}))",
            identity = layout.identity("p."),
            epoch = self.epoch_of_id(),
            run = self.plan.run,
            verdicts = verdicts(),
            same = layout.same_entry("u", "p"),
        ))?;
        tables::drop_temporary(self.connection, &["earlier"])
    }

    /// The epoch of an operation `p` whose id a retry keeps: none where another one on its key or place left after it.
    fn epoch_of_id(&self) -> String {
        let layout = self.layout();
        if layout.place_is_key() {
            return "p.epoch".to_owned();
        }
        let later = |same: String| {
            format!(
                "EXISTS (SELECT 1 FROM {PLAN} AS q LEFT JOIN {} AS w ON q.ordinal = w.ordinal \
                 WHERE w.state IS DISTINCT FROM 'aborted' AND q.ordinal > p.ordinal AND {same})",
                verdicts()
            )
        };
        format!(
            "CASE WHEN {} OR {} THEN NULL ELSE p.epoch END",
            later(layout.same_key("q", "p")),
            later(layout.same_place("q", "p"))
        )
    }

    /// Writes the record's parts that tell what came of operations, while the entries are as they were before.
    fn record(&self, tally: &Tally, first: bool, with_ids: bool) -> Result<(), LedgerError> {
        let Some(draft) = self.draft else {
            return Ok(());
        };
        let all_missing = tally.all_missing();
        let mut others = self.plan.operations.total();
        if first && tally.counts.succeeded.added > 0 {
            let query = recorded::first_accepted(self.layout(), &joined(), with_ids);
            draft.write(self.connection, Part::First, &query)?;
            others -= tally.counts.succeeded.added;
        }
        if others > 0 {
            let query = if first {
                recorded::first_others(self.layout(), &joined(), all_missing)
            } else {
                recorded::operations(self.layout(), &self.meta.former_tables(), &joined(), all_missing)
            };
            draft.write(self.connection, Part::Changes, &query)?;
        }
        if tables::count(self.connection, UNSETTLED)? > 0 {
            draft.write(
                self.connection,
                Part::Unsettled,
                &recorded::unsettled(self.layout(), UNSETTLED),
            )?;
        }
        Ok(())
    }

    /// A plan of writes alone, where nothing of the old entries remains: its rows are the entries.
    fn become_entries(&self) -> Result<(), WarehouseError> {
        tables::replace_entries(self.connection, PLAN)?;
        let of = |states: &str| {
            format!(
                "ordinal IN (SELECT ordinal FROM {} WHERE state IN ({states}))",
                verdicts()
            )
        };
        self.execute(format!(
            "DELETE FROM {ENTRIES} WHERE {}",
            of("'aborted', 'rejected', 'unmatched'")
        ))?;
        self.execute(format!(
            "UPDATE {ENTRIES} SET uncertain = true, h = NULL WHERE {}",
            of("'unknown'")
        ))?;
        self.execute(format!(
            "UPDATE {ENTRIES} AS e SET dest_id = v.id FROM {} AS v WHERE e.ordinal = v.ordinal AND v.id IS NOT NULL",
            verdicts()
        ))?;
        Ok(())
    }

    /// What an accepted operation says of its place, and no match, settles all that was there (rules 3, 12 and 20): a write
    /// owns it from now on. Gives how many entries ended because of a write.
    fn settle(&self, all_missing: bool) -> Result<u64, WarehouseError> {
        let layout = self.layout();
        let source = joined();
        let settles = settles("p", "v", all_missing);
        let accepted = "p.change <> 'removed' AND coalesce(v.state, 'accepted') = 'accepted'";
        let taken = self.delete_at(&format!("{source} WHERE {accepted}"))?;
        self.delete_at(&format!("{source} WHERE {settles} AND NOT ({accepted})"))?;
        self.execute(format!(
            "INSERT INTO {ENTRIES} SELECT p.ordinal, {HEAD}, {identity}, p.h, {images}coalesce(v.id, p.dest_id), {tail}
             FROM {source} WHERE {accepted}{last}",
            identity = layout.identity("p."),
            images = layout.images("p."),
            tail = TAIL.trim_start_matches("dest_id, "),
            last = self.is_last(all_missing),
        ))?;
        Ok(taken)
    }

    /// A condition, with `AND` before it: nothing settled the place of the operation `p` after it. Only in insert mode can
    /// there be several at one place: an insert is repeated where it was first sent, and another row has the place now.
    fn is_last(&self, all_missing: bool) -> String {
        let layout = self.layout();
        if self.plan.mode != Mode::Insert || layout.place_is_key() {
            return String::new();
        }
        format!(
            " AND NOT EXISTS (SELECT 1 FROM {PLAN} AS q LEFT JOIN {verdicts} AS w ON q.ordinal = w.ordinal \
             WHERE {settles} AND q.ordinal > p.ordinal AND {same})",
            verdicts = verdicts(),
            settles = settles("q", "w", all_missing),
            same = layout.same_place("q", "p"),
        )
    }

    /// Ends every entry at the places of these operations.
    fn delete_at(&self, operations: &str) -> Result<u64, WarehouseError> {
        let layout = self.layout();
        self.execute(format!(
            "DELETE FROM {ENTRIES} AS e USING (SELECT {} FROM {operations}) AS a WHERE {}",
            layout.identity("p."),
            layout.same_place("e", "a")
        ))
    }

    /// An unknown operation makes all that is at its place uncertain; a write there is an entry from now on (rule 3).
    fn doubt(&self, all_missing: bool) -> Result<(), WarehouseError> {
        let layout = self.layout();
        let unknown = format!(
            "{PLAN} AS p JOIN {} AS v ON p.ordinal = v.ordinal WHERE v.state = 'unknown'{}",
            verdicts(),
            self.is_last(all_missing)
        );
        self.execute(format!(
            "UPDATE {ENTRIES} AS e SET uncertain = true FROM (SELECT DISTINCT {place} FROM {unknown}) AS a WHERE {same}",
            place = layout.identity("p."),
            same = layout.same_place("e", "a"),
        ))?;
        // What it was decides what insert mode does about it.
        self.execute(format!(
            "UPDATE {ENTRIES} AS e SET kind = a.kind FROM (SELECT {identity}, p.kind FROM {unknown}) AS a WHERE {same}",
            identity = layout.identity("p."),
            same = layout.same_entry("e", "a"),
        ))?;
        // An insert is retried as it was sent (rule 27), whatever was there before.
        self.execute(format!(
            "DELETE FROM {ENTRIES} AS e USING (SELECT {identity} FROM {unknown} AND p.kind = 'insert') AS a WHERE {same}",
            identity = layout.identity("p."),
            same = layout.same_entry("e", "a"),
        ))?;
        self.execute(format!(
            "INSERT INTO {ENTRIES} SELECT p.ordinal, {HEAD}, {identity}, NULL, {images}p.dest_id, p.epoch, false, true, false, p.mapping
             FROM {unknown} AND p.change <> 'removed' AND NOT EXISTS (SELECT 1 FROM {ENTRIES} AS e WHERE {same})",
            identity = layout.identity("p."),
            images = layout.images("p."),
            same = layout.same_entry("e", "p"),
        ))?;
        Ok(())
    }

    /// Rule 36: nothing aborted, refused, unknown or waiting, so that the same model means the same state.
    fn is_clean(&self, counts: &Counts, all_missing: bool) -> Result<bool, WarehouseError> {
        if counts.succeeded != counts.planned || all_missing || self.meta.resync_open {
            return Ok(false);
        }
        // What an earlier epoch left is not for insert mode to send.
        let epochs = self.plan.mode != Mode::Insert;
        let open: Option<bool> = self.connection.scalar(&format!(
            "SELECT EXISTS (FROM {UNSETTLED}) OR EXISTS (FROM {ENTRIES} WHERE uncertain) \
             OR EXISTS (FROM {ENTRIES} WHERE {epochs} AND epoch <> {} AND NOT memory)",
            self.meta.epoch
        ))?;
        Ok(open == Some(false))
    }
}

/// A step is done; a test may want it to have failed.
fn reach(step: &str) -> Result<(), LedgerError> {
    Ok(fault::point(step).map_err(|error| JournalError::Closed(error.to_string()))?)
}

fn verdicts() -> String {
    tables::temporary("verdicts")
}

fn temporary_earlier() -> String {
    tables::temporary("earlier")
}

/// A condition: the operation, with its verdict, settles all that is at its place.
fn settles(operation: &str, verdict: &str, all_missing: bool) -> String {
    format!(
        "(coalesce({verdict}.state, 'accepted') = 'accepted' \
         OR ({verdict}.state = 'unmatched' AND ({operation}.change <> 'removed' OR NOT {all_missing})))"
    )
}

/// The plan with what is known beyond "accepted".
fn joined() -> String {
    format!("{PLAN} AS p LEFT JOIN {} AS v ON p.ordinal = v.ordinal", verdicts())
}

/// Operations by change and verdict.
#[derive(Default)]
struct Tally {
    counts: Counts,
    removals_attempted: u64,
    missing_removals: u64,
}

impl Tally {
    fn add(&mut self, change: Change, verdict: Verdict, count: u64) {
        let counts = &mut self.counts;
        if verdict == Verdict::Aborted {
            *counts.aborted.of(change) += count;
            return;
        }
        *counts.attempted.of(change) += count;
        if change == Change::Removed {
            self.removals_attempted += count;
        }
        let split: &mut Split = match verdict {
            Verdict::Rejected => &mut counts.rejected,
            Verdict::Unknown => &mut counts.unknown,
            Verdict::NoMatch if change == Change::Removed => {
                self.missing_removals += count;
                &mut counts.succeeded
            }
            Verdict::NoMatch => &mut counts.unmatched,
            Verdict::Accepted | Verdict::Aborted => &mut counts.succeeded,
        };
        *split.of(change) += count;
    }

    /// Rule 20: every one of more than a few is missing.
    const fn all_missing(&self) -> bool {
        self.missing_removals > MISSING_BELIEVED_MAX && self.missing_removals == self.removals_attempted
    }

    fn counts(&self, plan: &OpenPlan, all_missing: bool) -> Counts {
        let mut counts = Counts {
            queried: plan.counts.queried,
            invalid: plan.counts.invalid,
            unchanged: plan.counts.unchanged,
            changes: plan.counts.changes,
            withheld: plan.counts.withheld,
            planned: plan.operations,
            ..self.counts
        };
        if all_missing {
            counts.succeeded.removed -= self.missing_removals;
            counts.unmatched.removed += self.missing_removals;
        }
        counts
    }
}
