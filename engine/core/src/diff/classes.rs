//! The classes of differences: for every valid row that is not as acknowledged, and for every entry that no row has,
//! which change it is and what follows.
//!
//! The result is the temporary table `~changes`: key, match value, `h` (of the desired row; of a removal, the entry's),
//! `change`, `action`, `op_run` and `dest_id`.

use super::{Rules, insert};
use crate::ledger::tables::{LEFT, drop_temporary, temporary};
use crate::mapping::Layout;
use crate::operation::Change;
use crate::project::sync::{Mode, OnRemoved, OnUnknown};
use crate::report::Split;
use crate::warehouse::{Connection, WarehouseError};

/// What follows from a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    /// It becomes an operation.
    Send,
    /// It becomes an operation with the record first sent: an uncertain insert (rule 27).
    Resend,
    /// The entry's record is written again: into a whole file, for a key whose rows are invalid or whose removal is held.
    Keep,
    /// Not sent, the entry follows (insert mode).
    Follow,
    /// The key is back in insert mode and counts as unchanged; the entry is no memory any more, and follows (rule 19).
    Back,
    /// Not sent in this run: after no match (rule 20), or uncertain in insert mode.
    Wait,
    /// A removal that waits, because a row has the place (rule 12).
    Owed,
    /// A removal at a place from which another one removes already.
    Extra,
    /// Rejected so often that it is not sent until it changes or is released (rule 2).
    Park,
    /// The entry goes without an operation (`nothing`).
    Give,
    /// The entry stays as a memory (rule 19).
    Remember,
    /// The entry goes when the whole file has been replaced.
    Replace,
    /// An insert that is held until a person says whether it has arrived (rule 3).
    Doubt,
    /// A removal that is held back (rule 10).
    Held,
    /// The entry ends unseen (mode `all`).
    End,
    /// The entry goes at the end of the full resync.
    Gone,
}

impl Action {
    const ALL: [Self; 16] = [
        Self::Send,
        Self::Resend,
        Self::Keep,
        Self::Follow,
        Self::Back,
        Self::Wait,
        Self::Owed,
        Self::Extra,
        Self::Park,
        Self::Give,
        Self::Remember,
        Self::Replace,
        Self::Doubt,
        Self::Held,
        Self::End,
        Self::Gone,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Resend => "resend",
            Self::Keep => "keep",
            Self::Follow => "follow",
            Self::Back => "back",
            Self::Wait => "wait",
            Self::Owed => "owed",
            Self::Extra => "extra",
            Self::Park => "park",
            Self::Give => "give",
            Self::Remember => "remember",
            Self::Replace => "replace",
            Self::Doubt => "doubt",
            Self::Held => "held",
            Self::End => "end",
            Self::Gone => "gone",
        }
    }

    const fn is_planned(self) -> bool {
        matches!(self, Self::Send | Self::Resend | Self::Keep)
    }

    const fn is_counted(self) -> bool {
        !matches!(self, Self::Back | Self::End | Self::Gone)
    }
}

/// Differences by change and action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    counts: Vec<(Change, Action, u64)>,
    /// Inserts that are repeated, beyond the first of their key.
    further: u64,
}

impl Tally {
    /// How many have that action.
    pub(crate) fn of(&self, action: Action) -> u64 {
        self.counts
            .iter()
            .filter(|(_, its, _)| *its == action)
            .map(|(_, _, count)| count)
            .sum()
    }

    /// Those that become operations.
    pub(crate) fn planned(&self) -> Split {
        self.split(|action| action.is_planned())
    }

    /// Those that do not.
    pub(crate) fn withheld(&self) -> Split {
        self.split(|action| action.is_counted() && !action.is_planned())
    }

    /// Those that become none, and those that are not counted.
    pub(crate) fn without_operation(&self) -> u64 {
        let without = self.counts.iter().filter(|(_, action, _)| !action.is_planned());
        without.map(|(_, _, count)| count).sum()
    }

    /// Rows of the model that differ.
    pub(crate) fn rows(&self) -> u64 {
        let differ = self
            .counts
            .iter()
            .filter(|(change, action, _)| *change != Change::Removed && !matches!(action, Action::Keep | Action::Back));
        differ.map(|(_, _, count)| count).sum::<u64>() - self.further
    }

    fn split(&self, which: impl Fn(Action) -> bool) -> Split {
        let mut split = Split::default();
        for (change, action, count) in &self.counts {
            if which(*action) {
                *split.of(*change) += count;
            }
        }
        split
    }

    /// Reads it from `~changes`.
    pub(crate) fn read(connection: &Connection, layout: &Layout) -> Result<Self, WarehouseError> {
        let rows = connection.query_rows::<_, WarehouseError>(
            &format!(
                "SELECT change, action, count(*) FROM {} GROUP BY ALL",
                temporary("changes")
            ),
            |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?, row.get::<u64>(2)?)),
        )?;
        let parse = |(change, action, count): (String, String, u64)| {
            let action = Action::ALL.into_iter().find(|known| known.as_str() == action)?;
            Some((Change::parse(&change)?, action, count))
        };
        let counts = rows.into_iter().filter_map(parse).collect();
        let mut tally = Self { counts, further: 0 };
        let repeated = tally.of(Action::Resend);
        if repeated > 1 {
            let keys: Option<u64> = connection.scalar(&format!(
                "SELECT count(DISTINCT ({})) FROM {} WHERE action = 'resend'",
                layout.comparable_keys(""),
                temporary("changes")
            ))?;
            tally.further = repeated - keys.unwrap_or(repeated);
        }
        Ok(tally)
    }
}

/// Compares `~desired` with the entries; `narrowed`, with those that may differ.
pub(crate) fn changes(connection: &Connection, rules: &Rules<'_>, narrowed: bool) -> Result<Tally, WarehouseError> {
    drop_temporary(connection, &["changes"])?;
    let near = Rules {
        entries: &temporary("near_entries"),
        ..rules.clone()
    };
    let compared = if narrowed { &near } else { rules };
    connection.execute(&format!(
        "CREATE TEMP TABLE {} AS {}",
        temporary("changes"),
        compared.writes()
    ))?;
    connection.execute(&format!("INSERT INTO {} {}", temporary("changes"), compared.removals()))?;
    drop_temporary(connection, &["near_entries"])?;
    rules.spare_what_left(connection)?;
    if rules.mode == Mode::Update && !rules.resync {
        rules.wait_after_no_match(connection)?;
    }
    if rules.whole {
        rules.complete_whole(connection)?;
    }
    if rules.mode == Mode::Insert && !rules.resync && rules.on_unknown == OnUnknown::Hold {
        rules.hold_doubted(connection)?;
    }
    rules.park(connection)?;
    rules.keep_ids(connection)?;
    Tally::read(connection, rules.layout)
}

/// Holds back every removal (rule 10).
pub(crate) fn hold_removals(connection: &Connection, rules: &Rules<'_>) -> Result<Tally, WarehouseError> {
    let set = if rules.whole {
        "change = 'changed', action = 'keep'"
    } else {
        "action = 'held'"
    };
    connection.execute(&format!(
        "UPDATE {} SET {set} WHERE change = 'removed' AND action NOT IN ('end', 'gone')",
        temporary("changes")
    ))?;
    Tally::read(connection, rules.layout)
}

impl Rules<'_> {
    /// The rows that are not as acknowledged.
    fn writes(&self) -> String {
        if self.mode == Mode::Insert && !self.resync {
            return self.inserts();
        }
        let layout = self.layout;
        // Keys are looked up apart from places only where the two differ.
        let (key_join, known, fresh) = if layout.place_is_key() {
            (String::new(), "e.epoch IS NOT NULL", "e.h IS NULL")
        } else {
            let columns = (0..layout.key.len()).map(|index| format!("any_value(k{index}) AS k{index}, "));
            let join = format!(
                "LEFT JOIN (SELECT {columns}bool_and(h IS NULL) AS fresh FROM {entries} GROUP BY {keys}) AS x ON {same}",
                columns = columns.collect::<String>(),
                keys = layout.comparable_keys(""),
                entries = self.entries,
                same = layout.same_key("x", "d"),
            );
            (join, "x.fresh IS NOT NULL", "x.fresh")
        };
        let equal = format!(
            "(e.h = d.h AND NOT e.uncertain AND NOT e.memory AND e.epoch = {})",
            self.epoch
        );
        let class = format!("CASE WHEN {known} AND NOT ({fresh}) THEN 'changed' ELSE 'added' END");
        let (filter, change) = match self.mode {
            _ if self.resync && self.whole => ("TRUE".to_owned(), "'added'".to_owned()),
            _ if self.resync => (format!("{equal} IS NOT TRUE"), "'added'".to_owned()),
            Mode::All => ("TRUE".to_owned(), class),
            _ => (format!("{equal} IS NOT TRUE"), class),
        };
        format!(
            "SELECT {identity}, d.h, {change} AS change, 'send' AS action, {run}::UBIGINT AS op_run, e.dest_id \
             FROM {desired} AS d LEFT JOIN {entries} AS e ON {same} {key_join} WHERE d.fault IS NULL AND ({filter})",
            identity = layout.identity("d."),
            run = self.run,
            desired = temporary("desired"),
            entries = self.entries,
            same = layout.same_entry("e", "d"),
        )
    }

    /// The entries that no valid row has.
    fn removals(&self) -> String {
        let layout = self.layout;
        let desired = temporary("desired");
        let (entries, wanted, repeated) = if self.resync {
            (self.entries.to_owned(), layout.same_key("v", "e"), String::new())
        } else if self.mode == Mode::Insert {
            let repeated = format!(" UNION ALL {}", self.repeated_removals());
            (self.entries_with_cuts(), self.is_wanted_in_insert_mode(), repeated)
        } else {
            (self.entries.to_owned(), layout.same_entry("v", "e"), String::new())
        };
        format!(
            "SELECT {identity}, e.h, 'removed' AS change, {action} AS action, {run}::UBIGINT AS op_run, e.dest_id \
             FROM (SELECT * FROM {entries} WHERE NOT memory OR {resync}) AS e \
             ANTI JOIN {valid} AS v ON {wanted} \
             ANTI JOIN (SELECT * FROM {desired} WHERE fault IS NOT NULL) AS w ON {same_key}{repeated}",
            identity = layout.identity("e."),
            action = self.removal_action(),
            run = self.run,
            resync = self.resync,
            valid = insert::valid(),
            same_key = layout.same_key("w", "e"),
        )
    }

    fn removal_action(&self) -> String {
        let layout = self.layout;
        if self.whole {
            return "'replace'".to_owned();
        }
        if self.resync {
            return "'gone'".to_owned();
        }
        match (self.mode, self.on_removed) {
            (Mode::All, _) => "'end'".to_owned(),
            (Mode::Insert, OnRemoved::Nothing) => format!(
                "CASE WHEN EXISTS (SELECT 1 FROM {} AS b WHERE {}) THEN 'give' ELSE 'remember' END",
                insert::valid(),
                layout.same_key("b", "e")
            ),
            (_, OnRemoved::Nothing) => "'give'".to_owned(),
            _ if layout.place_is_key() => "'send'".to_owned(),
            _ => format!(
                "CASE WHEN EXISTS (SELECT 1 FROM {holders} AS p WHERE {wanted}) THEN 'owed' \
                 WHEN row_number() OVER (PARTITION BY {place} ORDER BY e.uncertain, {keys}) > 1 THEN 'extra' ELSE 'send' END",
                holders = self.holders(),
                wanted = layout.same_place("p", "e"),
                place = layout.comparable_place("e."),
                keys = layout.keys("e."),
            ),
        }
    }

    /// What has a place, so that nothing is removed there.
    fn holders(&self) -> String {
        if self.mode == Mode::Insert {
            self.holders_in_insert_mode()
        } else {
            temporary("desired")
        }
    }

    /// Rule 21: what left under `nothing` is treated so, whatever the sync says now.
    fn spare_what_left(&self, connection: &Connection) -> Result<(), WarehouseError> {
        let Some(proposed) = self.proposed.filter(|_| self.may_remove()) else {
            return Ok(());
        };
        let given = Self {
            on_removed: OnRemoved::Nothing,
            ..self.clone()
        };
        connection.execute(&format!(
            "UPDATE {changes} AS e SET action = {action} FROM {proposed} AS p \
             WHERE p.token = '{LEFT}' AND e.change = 'removed' AND {same}",
            changes = temporary("changes"),
            action = given.removal_action(),
            same = self.layout.same_entry("p", "e"),
        ))?;
        Ok(())
    }

    /// Rule 20: what found no record is sent again when it changes, or after 1, 2, 4, 8… runs.
    fn wait_after_no_match(&self, connection: &Connection) -> Result<(), WarehouseError> {
        connection.execute(&format!(
            "UPDATE {changes} AS c SET action = 'wait' FROM {unsettled} AS u \
             WHERE c.action = 'send' AND c.change <> 'removed' AND u.state = 'unmatched' AND u.h = c.h AND {same} \
             AND {run} - u.run::BIGINT <= pow(2, least(u.times, 40) - 1)::BIGINT",
            changes = temporary("changes"),
            unsettled = self.unsettled,
            same = self.layout.same_entry("u", "c"),
            run = self.run,
        ))?;
        Ok(())
    }

    /// Rule 24: where anything differs, a whole file gets every row; and the entries of keys whose rows are invalid.
    fn complete_whole(&self, connection: &Connection) -> Result<(), WarehouseError> {
        let layout = self.layout;
        let (changes, desired) = (temporary("changes"), temporary("desired"));
        let any: Option<u64> = connection.scalar(&format!("SELECT count(*) FROM {changes}"))?;
        if any.unwrap_or_default() == 0 {
            return Ok(());
        }
        connection.execute(&format!(
            "INSERT INTO {changes} SELECT {identity}, d.h, 'changed', 'send', {run}, e.dest_id \
             FROM {desired} AS d JOIN {entries} AS e ON {same} \
             ANTI JOIN (SELECT * FROM {changes} WHERE change <> 'removed') AS c ON {there} WHERE d.fault IS NULL",
            identity = layout.identity("d."),
            run = self.run,
            entries = self.entries,
            same = layout.same_entry("e", "d"),
            there = layout.same_entry("c", "d"),
        ))?;
        connection.execute(&format!(
            "INSERT INTO {changes} SELECT {identity}, e.h, 'changed', 'keep', {run}, e.dest_id FROM {entries} AS e \
             SEMI JOIN (SELECT * FROM {desired} WHERE fault IS NOT NULL) AS w ON {same_key} \
             ANTI JOIN (SELECT * FROM {desired} WHERE fault IS NULL) AS v ON {same_place}",
            identity = layout.identity("e."),
            run = self.run,
            entries = self.entries,
            same_key = layout.same_key("w", "e"),
            same_place = layout.same_place("v", "e"),
        ))?;
        Ok(())
    }

    /// Rule 27: a retry of the same operation keeps the run that makes its id. An insert that is repeated has it already.
    fn keep_ids(&self, connection: &Connection) -> Result<(), WarehouseError> {
        connection.execute(&format!(
            "UPDATE {changes} AS c SET op_run = u.op_run FROM {unsettled} AS u \
             WHERE {same} AND c.action <> 'resend' AND u.epoch = {epoch} AND u.h IS NOT DISTINCT FROM c.h \
             AND u.state IN ('rejected', 'parked', 'unknown', 'unmatched') AND u.kind = CASE WHEN c.change = 'removed' THEN '{removal}' ELSE '{write}' END",
            changes = temporary("changes"),
            unsettled = self.unsettled,
            same = self.layout.same_entry("u", "c"),
            epoch = self.epoch,
            removal = self.removal_kind(),
            write = self.write_kind(),
        ))?;
        Ok(())
    }
}
