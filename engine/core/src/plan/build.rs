//! Building the plan's rows: the images of what changed, in the order in which they leave (rules 5, 23, 24).

use super::{Place, PlanError, guard};
use crate::diff::{self, Action, Desired, Rules, Tally};
use crate::ledger::tables::{self, ENTRIES, STAGED, UNSETTLED, temporary};
use crate::ledger::{Fingerprint, LedgerError};
use crate::mapping::Projection;
use crate::project::sync::Mode;
use crate::warehouse::{Connection, WarehouseError};

/// Where the model's rows are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The model itself, once to compare and once more to plan.
    Model,
    /// A snapshot of it, where two readings disagree.
    Snapshot,
    /// What was staged of it: where there are no entries, every row is to be written anyhow.
    Staged,
    /// Those rows of it that were not known to be as acknowledged when it was compared (see [`Known`](diff::Known)).
    Unknown,
}

impl Source {
    /// The relation with key, match value and image.
    pub fn relation(self, projection: &Projection) -> String {
        match self {
            Self::Model => projection.relation(),
            Self::Snapshot => temporary("snapshot"),
            Self::Staged => STAGED.to_owned(),
            Self::Unknown => projection.unpacked(&temporary("desired")),
        }
    }

    /// The query for the thin form of the rows.
    pub fn identities(self, projection: &Projection) -> String {
        let relation = self.relation(projection);
        if self == Self::Staged {
            projection.identities_of_hashed(&relation)
        } else {
            projection.identities(&relation)
        }
    }

    /// Reads the model into the plan that it becomes if every row can be sent. With `assumed`, it is what the destination is
    /// declared to have.
    pub fn stage(
        connection: &Connection,
        rules: &Rules<'_>,
        projection: &Projection,
        assumed: bool,
    ) -> Result<Self, WarehouseError> {
        tables::drop_staged(connection)?;
        tables::create_rows(connection, STAGED, rules.layout)?;
        let rows = first_writes(rules, projection, Self::Model);
        insert(connection, rules, STAGED, &rows, assumed)?;
        Ok(Self::Staged)
    }

    /// Reads the model once and for all.
    pub fn take_snapshot(connection: &Connection, projection: &Projection) -> Result<Self, WarehouseError> {
        tables::drop_temporary(connection, &["snapshot"])?;
        connection.execute(&format!(
            "CREATE TEMP TABLE {} AS SELECT * FROM {} AS r",
            temporary("snapshot"),
            projection.relation()
        ))?;
        Ok(Self::Snapshot)
    }
}

/// Does what follows from differences without an operation, within the transaction that commits the plan.
pub(super) fn apply(
    connection: &Connection,
    rules: &Rules<'_>,
    projection: &Projection,
    source: Source,
    tally: &Tally,
) -> Result<(), WarehouseError> {
    let changes = temporary("changes");
    let same = rules.layout.same_entry("e", "c");
    if tally.of(Action::Follow) + tally.of(Action::Back) > 0 {
        follow(connection, rules, projection, source)?;
    }
    if tally.of(Action::Give) + tally.of(Action::End) > 0 {
        connection.execute(&format!(
            "DELETE FROM {ENTRIES} AS e USING {changes} AS c WHERE c.action IN ('give', 'end') AND {same}"
        ))?;
    }
    if tally.of(Action::Remember) > 0 {
        connection.execute(&format!(
            "UPDATE {ENTRIES} AS e SET memory = true FROM {changes} AS c WHERE c.action = 'remember' AND {same}"
        ))?;
    }
    if rules.mode == Mode::Insert {
        // A key that is back is no memory, be it as uncertain as it was (rule 19).
        connection.execute(&format!(
            "UPDATE {ENTRIES} AS e SET memory = false FROM {} AS d \
             WHERE e.memory AND e.uncertain AND d.fault IS NULL AND {}",
            temporary("desired"),
            rules.layout.same_key("d", "e"),
        ))?;
    }
    if rules.resync {
        connection.execute(&format!(
            "UPDATE {ENTRIES} SET change = 'changed' WHERE change = 'gone'"
        ))?;
        connection.execute(&format!(
            "UPDATE {ENTRIES} AS e SET change = 'gone' FROM {changes} AS c WHERE c.action = 'gone' AND {same}"
        ))?;
    }
    guard::note_left(
        connection,
        rules,
        &format!("(FROM {changes} WHERE action IN ('held', 'gone'))"),
    )?;
    prune(connection, rules)?;
    diff::mark_parked(connection, rules)
}

/// Insert mode: the entry takes the row's values, which nobody sends (rule 17). It stays at the place where its record is.
fn follow(
    connection: &Connection,
    rules: &Rules<'_>,
    projection: &Projection,
    source: Source,
) -> Result<(), WarehouseError> {
    let layout = rules.layout;
    let followed = temporary("followed");
    tables::drop_temporary(connection, &["followed"])?;
    // Read first, so that a row that has gone meanwhile leaves its entry as it is.
    connection.execute(&format!(
        "CREATE TEMP TABLE {followed} AS SELECT {identity}, d.h, {images}e.dest_id, e.epoch, e.assumed OR e.h <> d.h AS assumed \
         FROM {rows} AS d JOIN {changes} AS c ON {same} JOIN {ENTRIES} AS e ON {same_key} \
         WHERE (c.action = 'follow' AND NOT e.memory OR c.action = 'back') AND NOT e.uncertain",
        identity = layout.identity("e."),
        images = layout.images("d."),
        rows = projection.rows(&source.relation(projection)),
        changes = temporary("changes"),
        same = layout.same_entry("c", "d"),
        same_key = layout.same_key("e", "d"),
    ))?;
    connection.execute(&format!(
        "DELETE FROM {ENTRIES} AS e USING {followed} AS f WHERE {}",
        layout.same_entry("e", "f")
    ))?;
    connection.execute(&format!(
        "INSERT INTO {ENTRIES} SELECT 0, 'changed', '{kind}', {run}, {identity}, h, {images}dest_id, epoch, assumed, false, false, {mapping} FROM {followed}",
        kind = rules.write_kind(),
        run = rules.run,
        identity = layout.identity(""),
        images = layout.images(""),
        mapping = rules.mapping,
    ))?;
    tables::drop_temporary(connection, &["followed"])
}

/// Forgets unsettled operations that nobody wants any more: the source reverted, or the row left (rule 2).
fn prune(connection: &Connection, rules: &Rules<'_>) -> Result<(), WarehouseError> {
    if tables::count(connection, UNSETTLED)? == 0 {
        return Ok(());
    }
    let layout = rules.layout;
    connection.execute(&format!(
        "DELETE FROM {UNSETTLED} AS u WHERE NOT EXISTS (SELECT 1 FROM {changes} AS c WHERE {wanted}) \
         AND NOT EXISTS (SELECT 1 FROM {desired} AS d WHERE d.fault IS NOT NULL AND {invalid}) \
         AND NOT (u.state = 'unknown' AND EXISTS (SELECT 1 FROM {ENTRIES} AS e WHERE {there}))",
        changes = temporary("changes"),
        wanted = layout.same_entry("c", "u"),
        desired = temporary("desired"),
        invalid = layout.same_key("d", "u"),
        there = layout.same_entry("e", "u"),
    ))?;
    Ok(())
}

/// A plan's writes as a whole, as they were compared.
pub(super) struct Writes {
    source: Source,
    order: Order,
    hashes: Fingerprint,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Nothing was ever sent and every row of the model is, and they are staged in the plan's order.
    Staged,
    /// Nothing was ever sent and every row of the model is.
    First,
    Later,
}

impl Writes {
    /// Reads what the temporary tables of the comparison say of them; they are to be read from the same source again.
    pub fn compared(
        connection: &Connection,
        rules: &Rules<'_>,
        source: Source,
        desired: &Desired,
    ) -> Result<Self, WarehouseError> {
        if !is_first(connection, rules)? {
            let hashes = diff::fingerprint_of(connection, &compared(rules))?;
            return Ok(Self {
                source,
                order: Order::Later,
                hashes,
            });
        }
        // Sorting whole rows costs as much as writing them, and a model is often in order.
        let columns = rules.layout.identity_columns();
        let in_order = source == Source::Staged && tables::every_row_follows(connection, STAGED, ">=", &columns)?;
        Ok(Self {
            source,
            order: if in_order { Order::Staged } else { Order::First },
            hashes: desired.fingerprint.clone(),
        })
    }

    /// Empties the tables of the comparison where nothing more is asked of them: in a first plan, where they have every row
    /// of the model, and where each is sent. Their memory is worth more to the table that is about to be written. Within a
    /// transaction they would be kept until its end.
    pub fn make_room(&self, connection: &Connection) -> Result<(), WarehouseError> {
        if self.order == Order::Later {
            return Ok(());
        }
        for table in [temporary("changes"), temporary("desired")] {
            connection.execute(&format!("CREATE OR REPLACE TEMP TABLE {table} AS FROM {table} LIMIT 0"))?;
        }
        Ok(())
    }
}

/// Makes the plan's table: removals first, then writes, each by key. What is kept of a row is what this reading gives; it
/// must be the rows that were compared, else the model is read once more, and only once (rule 5).
pub(super) fn plan(
    connection: &Connection,
    rules: &Rules<'_>,
    projection: &Projection,
    compared: &Writes,
    at: &Place,
    tally: &Tally,
) -> Result<(), PlanError> {
    let identity = rules.layout.identity("");
    let source = compared.source;
    let rows = match compared.order {
        Order::Staged => None,
        Order::First => Some(format!(
            "{} ORDER BY {identity}",
            first_writes(rules, projection, source)
        )),
        Order::Later => Some(format!(
            "SELECT * FROM ({} UNION ALL {}) ORDER BY change <> 'removed', {identity}",
            writes(rules, projection, source),
            of_entries(rules)
        )),
    };
    if let Some(rows) = rows {
        tables::create_rows(connection, &at.plan, rules.layout)?;
        insert(connection, rules, &at.plan, &rows, false)?;
    } else {
        tables::plan_staged(connection)?;
    }
    let planned = diff::fingerprint_of(
        connection,
        &format!("(SELECT h FROM {} WHERE change <> 'removed')", at.plan),
    )?;
    if planned != compared.hashes {
        return Err(PlanError::Moved);
    }
    let (found, wanted) = (tables::count(connection, &at.plan)?, tally.planned().total());
    if found != wanted {
        let message = format!("its plan would have {found} operations and should have {wanted}");
        return Err(LedgerError::Damaged(message).into());
    }
    Ok(())
}

/// Puts operations into a table of rows, numbered as they come.
fn insert(
    connection: &Connection,
    rules: &Rules<'_>,
    table: &str,
    operations: &str,
    assumed: bool,
) -> Result<(), WarehouseError> {
    connection.execute(&format!(
        "INSERT INTO {table} SELECT row_number() OVER () - 1, {head}, {identity}, h, {images}dest_id, {epoch}, {assumed}, false, false, mapping \
         FROM ({operations})",
        head = tables::HEAD,
        identity = rules.layout.identity(""),
        images = rules.layout.images(""),
        epoch = rules.epoch,
    ))?;
    Ok(())
}

/// Operations with every row of the model, all alike: no need to look each of them up.
fn first_writes(rules: &Rules<'_>, projection: &Projection, source: Source) -> String {
    let layout = rules.layout;
    format!(
        "SELECT 'added' AS change, '{kind}' AS kind, {run}::UBIGINT AS op_run, {identity}, d.h, {images}NULL::VARCHAR AS dest_id, {mapping}::UBIGINT AS mapping FROM {rows} AS d",
        mapping = rules.mapping,
        kind = rules.write_kind(),
        run = rules.run,
        identity = layout.identity("d."),
        images = layout.images("d."),
        rows = projection.rows(&source.relation(projection)),
    )
}

/// Operations with the model's present rows.
fn writes(rules: &Rules<'_>, projection: &Projection, source: Source) -> String {
    let layout = rules.layout;
    format!(
        "SELECT c.change, '{kind}' AS kind, c.op_run, {identity}, {hash} AS h, {images}c.dest_id, {mapping}::UBIGINT AS mapping FROM {rows} AS d \
         JOIN {changes} AS c ON {same} WHERE c.action = 'send' AND c.change <> 'removed'",
        hash = if source == Source::Unknown {
            "d.h".to_owned()
        } else {
            layout.hash("d.")
        },
        mapping = rules.mapping,
        kind = rules.write_kind(),
        identity = layout.identity("d."),
        images = layout.images("d."),
        rows = source.relation(projection),
        changes = temporary("changes"),
        same = layout.same_entry("c", "d"),
    )
}

/// Whether nothing was ever sent and every row of the model is.
fn is_first(connection: &Connection, rules: &Rules<'_>) -> Result<bool, WarehouseError> {
    let nothing = tables::count(connection, rules.entries)? == 0 && tables::count(connection, rules.unsettled)? == 0;
    let sent = format!("{} WHERE action = 'send' AND change <> 'removed'", temporary("changes"));
    Ok(nothing && tables::count(connection, &sent)? == tables::count(connection, &temporary("desired"))?)
}

/// Operations with an entry's record: removals, and what is written again as it was.
fn of_entries(rules: &Rules<'_>) -> String {
    let layout = rules.layout;
    format!(
        "SELECT c.change, CASE WHEN c.change = 'removed' THEN '{removal}' ELSE '{write}' END, c.op_run, {identity}, \
         CASE WHEN c.change = 'removed' THEN e.h ELSE {hash} END, {images}e.dest_id, \
         CASE WHEN c.action = 'resend' THEN e.mapping ELSE {mapping} END FROM {entries} AS e \
         JOIN {changes} AS c ON {same} WHERE c.action IN ('resend', 'keep') OR (c.action = 'send' AND c.change = 'removed')",
        removal = rules.removal_kind(),
        write = rules.write_kind(),
        identity = layout.identity("e."),
        hash = hash_again(rules),
        mapping = rules.mapping,
        images = layout.images("e."),
        entries = rules.entries,
        changes = temporary("changes"),
        same = layout.same_entry("c", "e"),
    )
}

/// The hashes of the writes as they were compared.
fn compared(rules: &Rules<'_>) -> String {
    let layout = rules.layout;
    format!(
        "(SELECT h FROM {changes} WHERE action = 'send' AND change <> 'removed' UNION ALL \
         SELECT {hash} AS h FROM {entries} AS e JOIN {changes} AS c ON {same} WHERE c.action IN ('resend', 'keep'))",
        changes = temporary("changes"),
        hash = hash_again(rules),
        entries = rules.entries,
        same = layout.same_entry("c", "e"),
    )
}

/// The hash of an entry `e` whose record is written again; one that no row has where older mappings made the record.
fn hash_again(rules: &Rules<'_>) -> String {
    let hash = rules.layout.hash("e.");
    format!(
        "CASE WHEN e.mapping = {} THEN {hash} ELSE {}::UHUGEINT - {hash} END",
        rules.mapping,
        u128::MAX
    )
}
