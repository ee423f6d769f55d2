//! Insert mode (rules 3, 12, 17, 19, 27): only what was never there is sent.
//!
//! A record stays where it was inserted, and its entry with it, wherever the row's match value goes. So a row is compared
//! with all entries of its key. Differences are those of [`classes`](super::classes).

use super::Rules;
use crate::ledger::tables::temporary;
use crate::project::sync::{OnRemoved, Returning};
use crate::warehouse::{Connection, WarehouseError};

/// A condition: the destination has the record, and the model the key.
const CERTAIN: &str = "NOT uncertain AND NOT memory";

impl Rules<'_> {
    /// The rows that are not as acknowledged, and the inserts that are repeated.
    pub(super) fn inserts(&self) -> String {
        let layout = self.layout;
        let valid = valid();
        let entries = self.entries_with_cuts();
        let returned = match self.returning {
            Returning::Remember => "'back'",
            Returning::Insert => "'send'",
        };
        // In this order: what is uncertain at the row's own place, a record that is certain, what is uncertain elsewhere, a
        // memory, nothing. A key whose insert is repeated has no other difference.
        format!(
            "SELECT {identity}, d.h, \
             CASE WHEN o.removing IS NOT TRUE AND coalesce(x.fresh OR NOT (x.here OR x.doubt), true) THEN 'added' ELSE 'changed' END AS change, \
             CASE WHEN o.removing THEN 'wait' WHEN o.uncertain THEN 'send' WHEN x.here THEN 'follow' \
             WHEN x.doubt OR x.here IS NULL THEN 'send' ELSE {returned} END AS action, \
             {run}::UBIGINT AS op_run, NULL::VARCHAR AS dest_id \
             FROM {valid} AS d LEFT JOIN {by_key} AS x ON {same_key} \
             LEFT JOIN (SELECT *, {removing} AS removing FROM {plain} WHERE uncertain) AS o ON {own} \
             WHERE x.cut IS NOT TRUE AND (x.here AND x.low = d.h AND x.high = d.h AND o.uncertain IS NULL) IS NOT TRUE \
             UNION ALL SELECT {cut_identity}, e.h, 'added', 'resend', e.op_run, e.dest_id \
             FROM (SELECT * FROM {entries} WHERE cut) AS e SEMI JOIN {valid} AS v ON {wanted}",
            identity = layout.identity("d."),
            run = self.run,
            by_key = self.by_key(&entries),
            same_key = layout.same_key("x", "d"),
            removing = self.removing(),
            plain = self.entries,
            own = layout.same_entry("o", "d"),
            cut_identity = layout.identity("e."),
            wanted = layout.same_key("v", "e"),
        )
    }

    /// The entries, with `cut`: an insert that may not have arrived and is repeated with what was first sent.
    pub(super) fn entries_with_cuts(&self) -> String {
        format!(
            "(SELECT *, uncertain AND h IS NULL AND kind = 'insert' AS cut FROM {})",
            self.entries
        )
    }

    /// What the entries of a key say together; `here` and hashes of those that are certain and no memory. Whether a full
    /// resync has come to them does not count, as nothing would be sent for that.
    fn by_key(&self, entries: &str) -> String {
        let layout = self.layout;
        let keys: String = (0..layout.key.len())
            .map(|index| format!("any_value(k{index}) AS k{index}, "))
            .collect();
        format!(
            "(SELECT {keys}bool_or(cut) AS cut, bool_or({CERTAIN}) AS here, bool_or(uncertain) AS doubt, \
             bool_and(h IS NULL) AS fresh, min(h) FILTER ({CERTAIN}) AS low, max(h) FILTER ({CERTAIN}) AS high \
             FROM {entries} GROUP BY {comparable})",
            comparable = layout.comparable_keys(""),
        )
    }

    /// Which entries without need of a removal: a condition of an entry `e` with cuts and a valid row `v`. What is uncertain
    /// at a place that its key no longer has counts as moved away from.
    pub(super) fn is_wanted_in_insert_mode(&self) -> String {
        format!(
            "{} AND (NOT e.uncertain OR e.cut OR ({}))",
            self.layout.same_key("v", "e"),
            self.layout.same_place("v", "e")
        )
    }

    /// What has a place: the rows, but for those whose records are elsewhere for certain; and inserts that are repeated.
    pub(super) fn holders_in_insert_mode(&self) -> String {
        let layout = self.layout;
        format!(
            "(SELECT {identity} FROM {desired} AS d \
             ANTI JOIN (SELECT * FROM {entries} WHERE {CERTAIN}) AS q ON {same_key} AND NOT ({same_place}) \
             UNION ALL SELECT {cut_identity} FROM (SELECT * FROM {cuts} WHERE cut) AS e SEMI JOIN {valid} AS v ON {wanted})",
            identity = layout.identity("d."),
            desired = temporary("desired"),
            entries = self.entries,
            same_key = layout.same_key("q", "d"),
            same_place = layout.same_place("q", "d"),
            cut_identity = layout.identity("e."),
            cuts = self.entries_with_cuts(),
            valid = valid(),
            wanted = layout.same_key("v", "e"),
        )
    }

    /// Rule 19: an uncertain removal is repeated, though its row is back.
    pub(super) fn repeated_removals(&self) -> String {
        let layout = self.layout;
        format!(
            "SELECT {identity}, e.h, 'removed', 'send', {run}::UBIGINT, e.dest_id \
             FROM (SELECT * FROM {entries} WHERE {removing}) AS e JOIN {valid} AS d ON {back}",
            identity = layout.identity("e."),
            run = self.run,
            entries = self.entries,
            removing = self.removing(),
            valid = valid(),
            back = layout.same_entry("d", "e"),
        )
    }

    /// Rule 3: holds what would be sent of a key while nobody knows which of its records are there. Removals are not: they can
    /// be repeated, and end what is not known.
    pub(super) fn hold_doubted(&self, connection: &Connection) -> Result<(), WarehouseError> {
        connection.execute(&format!(
            "UPDATE {changes} AS c SET action = 'doubt' FROM (SELECT DISTINCT {keys} FROM {entries} AS e WHERE e.uncertain) AS u \
             WHERE c.action IN ('send', 'resend') AND c.change <> 'removed' AND {same}",
            changes = temporary("changes"),
            keys = self.layout.keys("e."),
            entries = self.entries,
            same = self.layout.same_key("u", "c"),
        ))?;
        Ok(())
    }

    /// A condition of an entry: a removal was the last that was sent there, and nobody knows whether it was done. Never where
    /// what was owed is given up (rule 18).
    fn removing(&self) -> String {
        format!(
            "(uncertain AND kind IN ('delete', 'clear') AND {})",
            self.on_removed != OnRemoved::Nothing
        )
    }
}

/// The rows that can be sent.
pub(super) fn valid() -> String {
    format!("(SELECT * FROM {} WHERE fault IS NULL)", temporary("desired"))
}
