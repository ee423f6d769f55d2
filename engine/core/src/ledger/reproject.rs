//! Reprojection: entries brought into another layout, after mappings were edited or types changed (rule 15).
//!
//! An entry says what the destination shows, field by field. So a column of the new image gets what the fields that now
//! read it showed before. Where a field showed something that the column cannot say, or was not there, the entry's hash
//! is changed into one that no row has: the row differs, and is sent. Where anything is lost, the entry keeps its
//! mappings' version, and its row under that version is kept beside, so that a later edit starts from what was shown.

use std::collections::BTreeMap;

use super::tables::{self, ENTRIES, HEAD, PROPOSED, UNSETTLED};
use super::{LedgerError, Meta};
use crate::mapping::{ImageColumn, ImageSource, Layout, RecordField, RecordValue};
use crate::warehouse::{Column, Connection, WarehouseError, quote};

/// Brings entries and unsettled operations into the layout `to`, within a transaction, and takes that into `meta`.
pub(crate) fn adopt(connection: &Connection, meta: &mut Meta, to: &Layout) -> Result<(), LedgerError> {
    const INTO: &str = "ledger.main.reprojected";
    let version = meta.mapping + 1;
    copy(connection, meta, to, version, INTO)?;
    if meta.layout.same_match(to) {
        keep_former(connection, meta, INTO)?;
        settle_unsettled(connection, meta, to)?;
    } else {
        // Found by other values, so that what was shown there no longer tells one row's record from another's.
        forget_former(connection, meta)?;
        connection.execute(&format!("UPDATE {INTO} SET mapping = {version}"))?;
        tables::renew_small(connection, to)?;
    }
    tables::replace_entries(connection, INTO)?;
    meta.layout = to.clone();
    meta.mapping = version;
    Ok(())
}

/// Makes the table `into`, with the entries in the layout `to`; those that lose nothing have that `version`.
pub(crate) fn copy(
    connection: &Connection,
    meta: &Meta,
    to: &Layout,
    version: u64,
    into: &str,
) -> Result<(), LedgerError> {
    tables::create_rows(connection, into, to)?;
    let present = BTreeMap::from([(meta.mapping, &meta.layout)]);
    for (its, shown) in present
        .into_iter()
        .chain(meta.former.iter().map(|(its, layout)| (*its, layout)))
    {
        let (row, rows) = if its == meta.mapping {
            ("e", format!("{ENTRIES} AS e"))
        } else {
            let same = meta.layout.same_entry("e", "r");
            ("r", format!("{ENTRIES} AS e JOIN {} AS r ON {same}", former(its)))
        };
        let between = Between { shown, row, to };
        connection.execute(&format!(
            "INSERT INTO {into} {}",
            between.select(&meta.layout, &rows, its, version)
        ))?;
    }
    let (before, after) = (tables::count(connection, ENTRIES)?, tables::count(connection, into)?);
    if before != after {
        return Err(LedgerError::Damaged(format!(
            "it has {before} entries, of which {after} are known under their mappings"
        )));
    }
    Ok(())
}

/// Copies what is unsettled into a table of the layout `to`, as [`adopt`] would leave it. Its record is another one now, and
/// so is its id (rule 27).
pub(crate) fn copy_unsettled(connection: &Connection, to: &Layout, into: &str) -> Result<(), WarehouseError> {
    let keys = to
        .key
        .iter()
        .enumerate()
        .map(|(index, column)| (format!("k{index}"), &column.data_type));
    let identity: Vec<_> = keys
        .chain(to.place.iter().map(|column| ("m".to_owned(), &column.data_type)))
        .map(|(name, data_type)| format!("TRY_CAST({name} AS {data_type})"))
        .collect();
    connection.execute(&format!(
        "INSERT INTO {into} SELECT {}, change, kind, op_run, NULL, NULL, state, code, message, field, times, since, run FROM {UNSETTLED}",
        identity.join(", ")
    ))?;
    Ok(())
}

/// Forgets what was kept of older versions.
pub(crate) fn forget_former(connection: &Connection, meta: &mut Meta) -> Result<(), WarehouseError> {
    for version in std::mem::take(&mut meta.former).into_keys() {
        connection.execute(&format!("DROP TABLE {}", former(version)))?;
    }
    Ok(())
}

/// Forgets versions that no entry names any more.
pub(crate) fn drop_former(connection: &Connection, meta: &mut Meta) -> Result<(), WarehouseError> {
    if meta.former.is_empty() {
        return Ok(());
    }
    let named = connection
        .query_rows::<_, WarehouseError>(&format!("SELECT DISTINCT mapping FROM {ENTRIES}"), |row| {
            row.get::<u64>(0)
        })?;
    let unnamed: Vec<u64> = meta
        .former
        .keys()
        .filter(|version| !named.contains(version))
        .copied()
        .collect();
    for version in unnamed {
        connection.execute(&format!("DROP TABLE {}", former(version)))?;
        meta.former.remove(&version);
    }
    Ok(())
}

/// The table of rows that an older version tells whole.
pub(crate) fn former(version: u64) -> String {
    format!("ledger.main.former_{version}")
}

/// Keeps the rows of entries that lost something, and forgets those that no entry needs.
fn keep_former(connection: &Connection, meta: &mut Meta, into: &str) -> Result<(), WarehouseError> {
    let needed = |version: u64, row: &str| {
        format!(
            "EXISTS (SELECT 1 FROM {into} AS n WHERE n.mapping = {version} AND {})",
            meta.layout.same_entry("n", row)
        )
    };
    let table = former(meta.mapping);
    tables::create_rows(connection, &table, &meta.layout)?;
    connection.execute(&format!(
        "INSERT INTO {table} SELECT e.* FROM {ENTRIES} AS e WHERE e.mapping = {} AND {}",
        meta.mapping,
        needed(meta.mapping, "e")
    ))?;
    for version in meta.former.keys() {
        connection.execute(&format!(
            "DELETE FROM {} AS r WHERE NOT {}",
            former(*version),
            needed(*version, "r")
        ))?;
    }
    meta.former.insert(meta.mapping, meta.layout.clone());
    let mut empty = Vec::new();
    for version in meta.former.keys() {
        if tables::count(connection, &former(*version))? == 0 {
            empty.push(*version);
        }
    }
    for version in empty {
        connection.execute(&format!("DROP TABLE {}", former(version)))?;
        meta.former.remove(&version);
    }
    Ok(())
}

/// What was unsettled stays so.
fn settle_unsettled(connection: &Connection, meta: &Meta, to: &Layout) -> Result<(), WarehouseError> {
    const NEXT: &str = "ledger.main.unsettled_next";
    tables::create_unsettled(connection, NEXT, to)?;
    copy_unsettled(connection, to, NEXT)?;
    connection.execute(&format!(
        "DROP TABLE {UNSETTLED}; ALTER TABLE {NEXT} RENAME TO unsettled"
    ))?;
    let columns = |layout: &Layout| {
        let keys = layout.key.iter().enumerate();
        let keys = keys.map(|(index, column)| (format!("k{index}"), column.data_type.clone()));
        let place = layout
            .place
            .iter()
            .map(|column| ("m".to_owned(), column.data_type.clone()));
        keys.chain(place).collect::<Vec<_>>()
    };
    for (before, (name, data_type)) in columns(&meta.layout).into_iter().zip(columns(to)) {
        if before.1 != data_type {
            connection.execute(&format!(
                "ALTER TABLE {PROPOSED} ALTER {name} TYPE {data_type} USING TRY_CAST({name} AS {data_type})"
            ))?;
        }
    }
    Ok(())
}

/// From what was shown under one layout to another.
struct Between<'a> {
    /// The layout of what was shown.
    shown: &'a Layout,
    /// The name of the row in that layout.
    row: &'a str,
    /// The new layout.
    to: &'a Layout,
}

impl Between<'_> {
    /// The entries `e` of `rows` in the new layout, where they were acknowledged under the version `its`.
    fn select(&self, entries: &Layout, rows: &str, its: u64, version: u64) -> String {
        let keeps = self.shown.fields.iter().all(|field| self.to.field(&field.to).is_some());
        let images: String = (0..self.to.image.len())
            .map(|index| format!("{} AS i{index}, ", self.value(index)))
            .collect();
        let head: Vec<_> = HEAD.split(", ").map(|name| format!("e.{name}")).collect();
        format!(
            "SELECT p.ordinal, {HEAD}, {identity}, \
             CASE WHEN p.was IS NULL THEN NULL WHEN p.faithful THEN {hash} ELSE {MAX}::UHUGEINT - p.was END, \
             {new_images}dest_id, epoch, assumed, uncertain, memory, CASE WHEN p.faithful AND {keeps} THEN {version} ELSE {its} END \
             FROM (SELECT e.ordinal, {head}, {old_identity}, {row}.h AS was, {images}e.dest_id, e.epoch, e.assumed, e.uncertain, e.memory, \
             coalesce({faithful}, false) AS faithful FROM {rows} WHERE e.mapping = {its}) AS p",
            MAX = u128::MAX,
            identity = self.to.identity("p."),
            hash = self.to.hash("p."),
            new_images = self.to.images("p."),
            head = head.join(", "),
            row = self.row,
            old_identity = self.identity(entries),
            faithful = self.faithful(),
        )
    }

    /// Key and match value of `e`, in their new types.
    fn identity(&self, entries: &Layout) -> String {
        let keys = self.to.key.iter().enumerate();
        let keys = keys.map(|(index, column)| format!("TRY_CAST(e.k{index} AS {}) AS k{index}", column.data_type));
        let place = self.to.place.iter().map(|column| {
            let old = place_of(entries, column).map_or("NULL".to_owned(), |old| format!("e.{old}"));
            format!("TRY_CAST({old} AS {}) AS m", column.data_type)
        });
        keys.chain(place).collect::<Vec<_>>().join(", ")
    }

    /// The fields that read a column of the new image, with what they were.
    fn readers(&self, index: usize) -> impl Iterator<Item = &RecordField> {
        let reads = self
            .to
            .fields
            .iter()
            .filter(move |field| field.value == RecordValue::Image(index));
        reads.filter_map(|field| self.shown.field(&field.to))
    }

    /// What one of the fields that read this column showed, as a value of the column's type.
    fn value(&self, index: usize) -> String {
        let data_type = self.to.image.get(index).map_or("VARCHAR", |column| &column.data_type);
        match self.readers(index).next().map(|field| &field.value) {
            None => format!("NULL::{data_type}"),
            Some(RecordValue::Image(old)) if self.old_type(*old) == Some(data_type) => self.old(*old),
            Some(RecordValue::Image(old)) => format!("TRY_CAST({} AS {data_type})", self.old(*old)),
            Some(RecordValue::Constant(json)) => {
                format!("TRY_CAST({}::JSON ->> '$' AS {data_type})", quote::text(json))
            }
        }
    }

    fn old(&self, index: usize) -> String {
        format!("{}.i{index}", self.row)
    }

    fn old_type(&self, index: usize) -> Option<&str> {
        self.shown.image.get(index).map(|column| column.data_type.as_str())
    }

    /// A condition: under the new mappings the entry shows in every field what it showed before.
    fn faithful(&self) -> String {
        let mut conditions = vec!["true".to_owned()];
        for field in &self.to.fields {
            let Some(before) = self.shown.field(&field.to) else {
                return "false".to_owned();
            };
            conditions.extend(match (&before.value, &field.value) {
                (RecordValue::Constant(before), RecordValue::Constant(now)) if before == now => None,
                (RecordValue::Constant(_), RecordValue::Constant(_)) => return "false".to_owned(),
                (RecordValue::Image(old), RecordValue::Constant(now)) => {
                    Some(format!("outflow_json({}) = {}", self.old(*old), quote::text(now)))
                }
                (RecordValue::Constant(before), RecordValue::Image(new)) => {
                    Some(format!("outflow_json({}) = {}", self.value(*new), quote::text(before)))
                }
                (RecordValue::Image(old), RecordValue::Image(new)) => {
                    let (before, now) = (self.old(*old), self.value(*new));
                    (before != now).then(|| format!("outflow_hash({before}) = outflow_hash({now})"))
                }
            });
        }
        conditions.join(" AND ")
    }
}

/// The column of the old layout that has the values of the new match column.
fn place_of(from: &Layout, column: &Column) -> Option<String> {
    if from.place.as_ref().is_some_and(|old| old.name == column.name) {
        return Some("m".to_owned());
    }
    if let Some(index) = from.key.iter().position(|old| old.name == column.name) {
        return Some(format!("k{index}"));
    }
    let source = ImageSource::Column(column.name.clone());
    let is = |old: &ImageColumn| old.source == source;
    from.image.iter().position(is).map(|index| format!("i{index}"))
}
