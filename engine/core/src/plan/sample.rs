//! A sample of a plan for people: what a row's record was and what it will be; and rows that cannot be sent.

use super::Planned;
use crate::ledger::recorded;
use crate::ledger::tables::temporary;
use crate::operation::Change;
use crate::record::Invalid;
use crate::warehouse::{Connection, WarehouseError};

/// One operation of a plan, for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Sample {
    /// The difference.
    pub change: String,
    /// What is to be done.
    pub kind: String,
    /// The row's key, a JSON object by column.
    pub key: String,
    /// The record as last acknowledged, where there is one.
    pub before: Option<String>,
    /// The record as it will be; absent for removals.
    pub after: Option<String>,
}

impl Planned {
    /// The first operations of each change, at most so many of each.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn sample(&self, connection: &Connection, at_most: usize) -> Result<Vec<Sample>, WarehouseError> {
        let layout = &self.at.layout;
        let mut samples = Vec::new();
        if self.shortcut {
            return Ok(samples);
        }
        let (after, of_former) = recorded::record(layout, &self.at.former);
        for change in Change::ALL {
            let sql = format!(
                "SELECT p.change, p.kind, {key}, CASE WHEN e.epoch IS NOT NULL AND (e.h IS NOT NULL OR p.change = 'removed') THEN {before} END, \
                 CASE WHEN p.change <> 'removed' THEN {after} END \
                 FROM (SELECT * FROM {plan} WHERE change = '{change}' ORDER BY ordinal LIMIT {at_most}) AS p{of_former} \
                 LEFT JOIN {entries} AS e ON {same} ORDER BY p.ordinal",
                key = layout.key_json("p."),
                before = layout.record_json("e."),
                plan = self.at.plan,
                change = change.as_str(),
                entries = self.at.entries,
                same = layout.same_entry("e", "p"),
            );
            samples.extend(connection.query_rows::<_, WarehouseError>(&sql, |row| {
                Ok(Sample {
                    change: row.get(0)?,
                    kind: row.get(1)?,
                    key: row.get(2)?,
                    before: row.get(3)?,
                    after: row.get(4)?,
                })
            })?);
        }
        Ok(samples)
    }

    /// The rows that cannot be sent, at most so many. On the connection that planned.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn invalid(&self, connection: &Connection, at_most: usize) -> Result<Vec<Invalid>, WarehouseError> {
        if self.counts.invalid == 0 {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {key}, d.fault FROM {desired} AS d WHERE d.fault IS NOT NULL ORDER BY {order}, d.fault LIMIT {at_most}",
            key = self.at.layout.key_json("d."),
            desired = temporary("desired"),
            order = self.at.layout.identity("d."),
        );
        connection.query_rows(&sql, |row| {
            Ok(Invalid {
                key: row.get(0)?,
                reason: row.get(1)?,
            })
        })
    }
}
