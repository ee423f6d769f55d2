//! What a plan leaves in its run's record: changes that become no operation, and rows that cannot be sent.

use crate::diff::Tally;
use crate::ledger::recorded;
use crate::ledger::tables::{self, ENTRIES, PLAN, temporary};
use crate::mapping::Layout;
use crate::record::{Draft, Part, RecordError};
use crate::warehouse::{Connection, WarehouseError};

/// Keeps the changes that become no operation, with the entries as they are before anything is done about them.
pub(super) fn keep(connection: &Connection, layout: &Layout, tally: &Tally) -> Result<(), WarehouseError> {
    tables::drop_temporary(connection, &["withheld"])?;
    if tally.without_operation() == 0 {
        return Ok(());
    }
    // What follows a row does so wherever its record is.
    connection.execute(&format!(
        "CREATE TEMP TABLE {} AS SELECT {identity}, c.change, c.action, {previous} AS previous \
         FROM {changes} AS c LEFT JOIN {ENTRIES} AS e ON {same} WHERE c.action NOT IN ('send', 'resend', 'keep', 'follow', 'back') \
         UNION ALL SELECT {entry}, c.change, c.action, {previous} FROM {changes} AS c JOIN {ENTRIES} AS e ON {same_key} \
         WHERE c.action IN ('follow', 'back')",
        temporary("withheld"),
        identity = layout.identity("c."),
        entry = layout.identity("e."),
        previous = recorded::previous(layout, "e."),
        changes = temporary("changes"),
        same = layout.same_entry("e", "c"),
        same_key = layout.same_key("e", "c"),
    ))?;
    Ok(())
}

/// Writes them, with the entries as they are after that; and the rows that cannot be sent.
pub(super) fn write(
    connection: &Connection,
    layout: &Layout,
    tally: &Tally,
    invalid: u64,
    draft: &Draft,
) -> Result<(), RecordError> {
    if tally.without_operation() > 0 {
        let query = format!(
            "SELECT {key} AS key, {place} AS place, c.change, c.action AS reason, c.previous, {kept} AS kept \
             FROM {withheld} AS c LEFT JOIN {ENTRIES} AS e ON {same}",
            key = layout.key_json("c."),
            place = recorded::place(layout, "c."),
            kept = recorded::previous(layout, "e."),
            withheld = temporary("withheld"),
            same = layout.same_entry("e", "c"),
        );
        draft.write(connection, Part::Withheld, &query)?;
        tables::drop_temporary(connection, &["withheld"])?;
    }
    if invalid > 0 {
        let query = format!(
            "SELECT {key} AS key, d.fault AS reason FROM {desired} AS d WHERE d.fault IS NOT NULL ORDER BY {order}, d.fault",
            key = layout.key_json("d."),
            desired = temporary("desired"),
            order = layout.identity("d."),
        );
        draft.write(connection, Part::Invalid, &query)?;
    }
    Ok(())
}

/// Writes what a rebaseline changes: the entries are still as they were, and the plan's table has those to come.
pub(super) fn write_declared(connection: &Connection, layout: &Layout, draft: &Draft) -> Result<(), RecordError> {
    if tables::count(connection, ENTRIES)? == 0 {
        if tables::count(connection, PLAN)? == 0 {
            return Ok(());
        }
        let place = layout.place.as_ref().map_or(String::new(), |_| {
            format!(", {} AS place", recorded::place(layout, "n."))
        });
        let query = format!("SELECT {} AS key{place} FROM {PLAN} AS n", layout.key_json("n."));
        return draft.write(connection, Part::Declared, &query);
    }
    let either = |expression: &dyn Fn(&str) -> String| {
        format!(
            "CASE WHEN n.epoch IS NOT NULL THEN {} ELSE {} END",
            expression("n."),
            expression("e.")
        )
    };
    let query = format!(
        "SELECT {key} AS key, {place} AS place, \
         CASE WHEN n.epoch IS NULL THEN 'removed' WHEN e.h IS NULL THEN 'added' ELSE 'changed' END AS change, 'declared' AS reason, \
         {previous} AS previous, {kept} AS kept FROM {PLAN} AS n FULL JOIN {ENTRIES} AS e ON {same} \
         WHERE n.h IS DISTINCT FROM e.h OR e.uncertain",
        key = either(&|prefix| layout.key_json(prefix)),
        place = either(&|prefix| recorded::place(layout, prefix)),
        previous = recorded::previous(layout, "e."),
        kept = recorded::previous(layout, "n."),
        same = layout.same_entry("n", "e"),
    );
    draft.write(connection, Part::Withheld, &query)
}
