//! Rebaseline: the model's present state is declared to be what the destination has (rule 15). Nothing is sent.

use super::build::Source;
use super::{PlanError, Request, Stop, rules_of, unbound, withheld};
use crate::diff::{self, Tally};
use crate::ledger::tables::{self, ENTRIES, PLAN, PROPOSED, UNSETTLED, temporary};
use crate::ledger::{Ledger, Meta, reproject};
use crate::record::Summary;
use crate::report::Counts;
use crate::warehouse::{Connection, WarehouseError};

/// Takes the model's present rows for acknowledged, and settles what is uncertain. Entries of keys that left go; those of
/// invalid rows stay, unless their place has another owner now.
///
/// The ledger must be bound (accepting another target or key), and its last plan folded. Gives `queried`, `invalid` and,
/// as `unchanged`, the rows taken over.
///
/// # Errors
/// What the model or the ledger say; then nothing has changed.
pub fn rebaseline(
    connection: &mut Connection,
    ledger: &mut Ledger,
    request: &Request<'_>,
) -> Result<Counts, PlanError> {
    let declared = declare(connection, ledger, request);
    // Where that fails, whoever opens the ledger next does it.
    let _ = tables::drop_staged(connection);
    declared
}

fn declare(connection: &mut Connection, ledger: &mut Ledger, request: &Request<'_>) -> Result<Counts, PlanError> {
    let mut meta = ledger.meta().cloned().ok_or_else(unbound)?;
    let layout = &request.projection.layout;
    let projection = request.projection;
    let mut rules = rules_of(layout, request.sync, request.target);
    rules.epoch = meta.epoch;
    rules.run = request.run;
    rules.mapping = meta.mapping;
    // One reading: what is compared is what is kept.
    let source = if meta.layout == *layout && tables::count(connection, ENTRIES)? == 0 {
        Source::stage(connection, &rules, projection, true)?
    } else {
        Source::take_snapshot(connection, projection)?
    };
    let mut desired = diff::desired(connection, &source.identities(projection))?;
    desired.validate(connection, layout)?;
    let counts = Counts {
        queried: desired.fingerprint.rows,
        invalid: desired.invalid,
        unchanged: desired.fingerprint.rows - desired.invalid,
        ..Counts::default()
    };
    ask(connection, request, &meta, &desired)?;
    let draft = ledger.records().map(|records| records.begin(request.run)).transpose()?;
    connection.transaction::<_, PlanError>(|connection| {
        if meta.layout != *layout {
            let keys_differ = !meta.layout.same_key_columns(layout);
            if keys_differ {
                connection.execute(&format!("DELETE FROM {ENTRIES}"))?;
                connection.execute(&format!("DROP TABLE {ENTRIES}"))?;
                tables::create_rows(connection, ENTRIES, layout)?;
                tables::renew_small(connection, layout)?;
            } else {
                reproject::adopt(connection, &mut meta, layout)?;
            }
        }
        reproject::forget_former(connection, &mut meta)?;
        let (valid, same) = (temporary("desired"), layout.same_entry("v", "d"));
        if source == Source::Staged && desired.invalid == 0 {
            tables::plan_staged(connection)?;
        } else {
            tables::create_rows(connection, PLAN, layout)?;
            connection.execute(&format!(
                "INSERT INTO {PLAN} SELECT 0, 'added', '{kind}', {run}, {identity}, d.h, {images}e.dest_id, {epoch}, true, false, false, {mapping} \
                 FROM {rows} AS d JOIN (SELECT * FROM {valid} WHERE fault IS NULL) AS v ON {same} \
                 LEFT JOIN {ENTRIES} AS e ON {entry}",
                kind = rules.write_kind(),
                run = rules.run,
                identity = layout.identity("d."),
                images = layout.images("d."),
                epoch = rules.epoch,
                mapping = meta.mapping,
                rows = projection.rows(&source.relation(projection)),
                entry = layout.same_entry("e", "d"),
            ))?;
        }
        // What was shown under older mappings is not known any more, so that it is written again.
        let kept = format!(
            "e.* REPLACE (e.uncertain OR e.mapping <> {mapping} AS uncertain, {mapping}::UBIGINT AS mapping)",
            mapping = meta.mapping,
        );
        connection.execute(&format!(
            "INSERT INTO {PLAN} SELECT {kept} FROM {ENTRIES} AS e \
             SEMI JOIN (SELECT * FROM {valid} WHERE fault IS NOT NULL) AS w ON {invalid} \
             ANTI JOIN (SELECT * FROM {valid} WHERE fault IS NULL) AS v ON {taken}",
            invalid = layout.same_key("w", "e"),
            taken = layout.same_place("v", "e"),
        ))?;
        // Rule 19: a key that left in insert mode stays remembered.
        connection.execute(&format!(
            "INSERT INTO {PLAN} SELECT {kept} FROM {ENTRIES} AS e \
             ANTI JOIN {valid} AS v ON {here} ANTI JOIN (SELECT * FROM {valid} WHERE fault IS NULL) AS t ON {taken} WHERE e.memory",
            here = layout.same_key("v", "e"),
            taken = layout.same_place("t", "e"),
        ))?;
        if let Some(draft) = &draft {
            withheld::write(connection, layout, &Tally::default(), desired.invalid, draft)?;
            withheld::write_declared(connection, layout, draft)?;
        }
        tables::replace_entries(connection, PLAN)?;
        connection.execute(&format!("DELETE FROM {UNSETTLED}; DELETE FROM {PROPOSED}"))?;
        meta.layout = layout.clone();
        meta.sequence += 1;
        meta.rows = tables::count(connection, ENTRIES)?;
        meta.resync_open = false;
        meta.run = request.run;
        meta.null_keys = Some(desired.null_keys);
        meta.pinned.extend(request.pinned.clone());
        meta.clean = (desired.invalid == 0).then(|| super::clean(&desired, request));
        meta.write(connection)?;
        if let Some(draft) = &draft {
            draft.complete(Summary::default())?;
        }
        Ok(())
    })?;
    if let Some(records) = ledger.records() {
        records.publish(request.run)?;
    }
    tables::drop_temporary(connection, &["snapshot"])?;
    ledger.set(meta);
    Ok(counts)
}

/// Rule 35: to forget what the destination has is no smaller thing than to remove it.
fn ask(connection: &Connection, request: &Request<'_>, meta: &Meta, desired: &diff::Desired) -> Result<(), PlanError> {
    let layout = &request.projection.layout;
    if !meta.layout.same_key_columns(layout) {
        return Ok(());
    }
    let forgotten = connection.query_row::<_, WarehouseError>(
        &format!(
            "SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (SELECT 1 FROM {desired} AS d WHERE {same})) \
             FROM {ENTRIES} AS e WHERE NOT memory",
            desired = temporary("desired"),
            same = layout.same_key("d", "e"),
        ),
        |row| Ok((row.get::<u64>(0)?, row.get::<u64>(1)?)),
    )?;
    let (entries, forgotten) = forgotten.unwrap_or_default();
    let empty = desired.fingerprint.rows == 0 && entries > 0;
    let limit = request.sync.guards.max_removed;
    if !empty && !limit.is_passed(forgotten, entries) {
        return Ok(());
    }
    let name = format!("{} {} {forgotten}", request.sync.slug, meta.sequence);
    let token = format!("forget-{:08x}", crc32fast::hash(name.as_bytes()));
    if request.allow.contains(&token) {
        return Ok(());
    }
    Err(PlanError::Stopped(Box::new(Stop {
        reason: format!(
            "{forgotten} of {entries} records that the destination has would be forgotten, as the model has {} rows and not theirs; they would never be removed",
            desired.fingerprint.rows
        ),
        token,
        counts: Counts {
            queried: desired.fingerprint.rows,
            ..Counts::default()
        },
    })))
}
