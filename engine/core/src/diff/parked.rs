//! Parked rows (rule 2): what was rejected too often in a row, with the same values, waits until it changes or a person
//! releases it.

use super::Rules;
use crate::ledger::tables::{UNSETTLED, temporary};
use crate::warehouse::{Connection, WarehouseError};

impl Rules<'_> {
    /// Parks what was rejected as often as the sync says. Not in a full resync, which sends every row; not where everything
    /// is replaced, which a row cannot be left out of; and nothing that is uncertain, which every plan has (rule 3).
    pub(super) fn park(&self, connection: &Connection) -> Result<(), WarehouseError> {
        let Some(times) = self.park_after.filter(|_| !self.resync && !self.whole) else {
            return Ok(());
        };
        connection.execute(&format!(
            "UPDATE {changes} AS c SET action = 'park' FROM {unsettled} AS u \
             WHERE c.action = 'send' AND u.change = c.change AND u.state IN ('rejected', 'parked') AND u.times >= {times} \
             AND u.h IS NOT DISTINCT FROM c.h AND {same} \
             AND NOT EXISTS (SELECT 1 FROM {entries} AS e WHERE e.uncertain AND {there})",
            changes = temporary("changes"),
            unsettled = self.unsettled,
            same = self.layout.same_entry("u", "c"),
            entries = self.entries,
            there = self.layout.same_entry("e", "c"),
        ))?;
        Ok(())
    }
}

/// Has what is parked say so in the ledger, and what is not any more not.
pub(crate) fn mark_parked(connection: &Connection, rules: &Rules<'_>) -> Result<(), WarehouseError> {
    let parked = format!(
        "EXISTS (SELECT 1 FROM {} AS c WHERE c.action = 'park' AND c.change = u.change AND {})",
        temporary("changes"),
        rules.layout.same_entry("c", "u")
    );
    for (before, after, which) in [("rejected", "parked", ""), ("parked", "rejected", "NOT ")] {
        connection.execute(&format!(
            "UPDATE {UNSETTLED} AS u SET state = '{after}' WHERE u.state = '{before}' AND {which}{parked}"
        ))?;
    }
    Ok(())
}
