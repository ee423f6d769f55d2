//! Rebaseline: the model's present state is declared to be what the destination has (rule 15). Nothing is sent.

use super::build::Source;
use super::{PlanError, Request, rules_of, unbound};
use crate::diff;
use crate::ledger::tables::{self, ENTRIES, PLAN, PROPOSED, UNSETTLED, temporary};
use crate::ledger::{Ledger, reproject};
use crate::report::Counts;
use crate::warehouse::Connection;

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
    let mut meta = ledger.meta().cloned().ok_or_else(unbound)?;
    let layout = &request.projection.layout;
    let projection = request.projection;
    let mut rules = rules_of(layout, request.sync, request.target);
    rules.epoch = meta.epoch;
    rules.run = request.run;
    // One reading: what is compared is what is kept.
    let source = Source::take_snapshot(connection, projection)?.relation(projection);
    let mut desired = diff::desired(connection, &projection.identities(&source))?;
    desired.validate(connection, layout)?;
    let counts = Counts {
        queried: desired.fingerprint.rows,
        invalid: desired.invalid,
        unchanged: desired.fingerprint.rows - desired.invalid,
        ..Counts::default()
    };
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
            rows = projection.rows(&source),
            entry = layout.same_entry("e", "d"),
        ))?;
        connection.execute(&format!(
            "INSERT INTO {PLAN} SELECT e.* FROM {ENTRIES} AS e \
             SEMI JOIN (SELECT * FROM {valid} WHERE fault IS NOT NULL) AS w ON {invalid} \
             ANTI JOIN (SELECT * FROM {valid} WHERE fault IS NULL) AS v ON {taken}",
            invalid = layout.same_key("w", "e"),
            taken = layout.same_place("v", "e"),
        ))?;
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
        Ok(())
    })?;
    tables::drop_temporary(connection, &["snapshot"])?;
    ledger.set(meta);
    Ok(counts)
}
