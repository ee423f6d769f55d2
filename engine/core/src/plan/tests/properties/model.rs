//! The rules about entries, places, unknown outcomes, ids and counts as plain Rust, to be read beside their text. It knows
//! nothing of SQL, hashes, files or crashes: what the real core does with those has to come to the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::operation::{Change, Kind};
use crate::project::sync::{Mode, OnRemoved, Returning};
use crate::report::Split;

/// A row's key.
pub type Key = u8;
/// Key and place of an entry; places are compared as the destination does.
pub type At = (Key, u8);
/// A record by field; values are equal if their second texts are.
pub type Record = BTreeMap<&'static str, (String, String)>;

/// A match value: what it is equal by, and how it is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub class: u8,
    pub spelled: u8,
}

/// A row of the desired state; no record where a value has no JSON form.
#[derive(Clone, Debug)]
pub struct Row {
    pub key: Option<Key>,
    pub place: Option<Place>,
    pub record: Option<Record>,
}

/// What the sync says.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub mode: Mode,
    pub on_removed: OnRemoved,
    pub returning: Returning,
}

/// Why nobody knows what a place holds (rule 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The last operation of this key here was an insert, which is repeated as it was.
    Insert,
    /// It was another write.
    Write,
    /// It was a removal.
    Removal,
    /// An operation of another key.
    Other,
}

/// What the destination has, as far as it told (rule 1).
#[derive(Clone, Debug)]
pub struct Entry {
    pub shown: Record,
    /// The match value of the entry, and of the row that it was made from or follows.
    pub place: Place,
    row: u8,
    /// Whether anything was ever acknowledged.
    pub known: bool,
    pub assumed: bool,
    pub doubt: Option<Doubt>,
    pub memory: bool,
    epoch: u64,
    id: u64,
}

/// An operation that was attempted and is not settled, in the order in which they were.
#[derive(Clone, Debug)]
struct Tried {
    kind: Kind,
    record: Option<(u8, Record)>,
    epoch: u64,
    id: u64,
    /// Whether another operation on the key or the place was sent since (rule 27).
    over: bool,
    /// No matches in a row, and the last run that had one (rule 20).
    missing: (u32, u64),
}

#[derive(Clone, Debug)]
pub struct Operation {
    pub key: Key,
    pub place: Place,
    pub kind: Kind,
    pub change: Change,
    pub record: Record,
    /// Equal for retries of one operation.
    pub id: u64,
    compared: Option<(u8, Record)>,
}

impl Operation {
    pub const fn at(&self) -> At {
        (self.key, self.place.class)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub operations: Vec<Operation>,
    pub withheld: Split,
    pub unchanged: u64,
    pub invalid: u64,
    pub held: bool,
    /// What is or would be removed.
    pub removed: BTreeSet<At>,
    /// Entries that go without an operation, so that their records are nobody's.
    pub given: BTreeSet<At>,
    /// Whether the next run has something to look at although nothing changes (rule 36).
    pub open: bool,
    gone: BTreeSet<At>,
}

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Aborted,
    Accepted,
    Rejected,
    NoMatch,
    Unknown,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub entries: BTreeMap<At, Entry>,
    tried: BTreeMap<At, Tried>,
    /// What left under `nothing` and has an entry still (rule 21).
    left: BTreeSet<At>,
    epoch: u64,
    pub resync: bool,
    null_keys: u64,
    run: u64,
    ids: u64,
}

/// The rows of a run: the valid ones, and what the others keep in place (rules 9 and 12).
pub struct Desired {
    valid: BTreeMap<Key, (Place, Record)>,
    invalid_keys: BTreeSet<Key>,
    /// Keys, where there are any, and places of all rows.
    holders: Vec<(Option<Key>, u8)>,
    null_keys: u64,
    rows: u64,
}

impl Desired {
    pub fn of(rows: &[Row]) -> Self {
        let keys = |key: Key| rows.iter().filter(|row| row.key == Some(key)).count();
        let places = |place: Place| {
            let same = |row: &&Row| row.place.is_some_and(|other| other.class == place.class);
            rows.iter().filter(same).count()
        };
        let mut desired = Self {
            valid: BTreeMap::new(),
            invalid_keys: BTreeSet::new(),
            holders: Vec::new(),
            null_keys: rows.iter().filter(|row| row.key.is_none()).count() as u64,
            rows: rows.len() as u64,
        };
        for row in rows {
            desired.holders.extend(row.place.map(|place| (row.key, place.class)));
            match (row.key, row.place, &row.record) {
                (Some(key), Some(place), Some(record)) if keys(key) == 1 && places(place) == 1 => {
                    desired.valid.insert(key, (place, record.clone()));
                }
                (Some(key), ..) => drop(desired.invalid_keys.insert(key)),
                (None, ..) => {}
            }
        }
        desired
    }

    pub fn wants(&self, place: u8) -> bool {
        self.holders.iter().any(|(_, wanted)| *wanted == place)
    }

    pub const fn rows(&self) -> u64 {
        self.rows
    }

    pub const fn valid(&self) -> &BTreeMap<Key, (Place, Record)> {
        &self.valid
    }

    fn has(&self, (key, place): At) -> bool {
        self.valid.get(&key).is_some_and(|(its, _)| its.class == place)
    }
}

/// Whether an entry shows the record in every field that the mappings have now (rules 14 and 15).
fn shows(entry: &Entry, place: Place, record: &Record) -> bool {
    let same = |(field, value): (&&str, &(String, String))| entry.shown.get(*field).is_some_and(|its| its.1 == value.1);
    entry.row == place.spelled && record.iter().all(same)
}

const fn is_certain(entry: &Entry) -> bool {
    entry.doubt.is_none() && !entry.memory
}

impl Model {
    /// Plans a run, and does what follows without an operation.
    pub fn plan(&mut self, desired: &Desired, config: Config, full_resync: bool, allowed: &BTreeSet<At>) -> Plan {
        self.run += 1;
        self.epoch += u64::from(full_resync);
        // Rule 22: one that was interrupted is continued, unless the mode is insert now.
        self.resync = full_resync || self.resync && config.mode != Mode::Insert;
        let mut plan = Plan {
            invalid: desired.rows - desired.valid.len() as u64,
            ..Plan::default()
        };
        let mut touched = BTreeSet::new();
        if config.mode == Mode::Insert && !self.resync {
            self.inserts(desired, config, &mut plan, &mut touched);
        } else {
            self.writes(desired, config, &mut plan, &mut touched);
        }
        if self.resync {
            let gone = |at: &&At| !desired.valid.contains_key(&at.0) && !desired.invalid_keys.contains(&at.0);
            plan.gone = self.entries.keys().filter(gone).copied().collect();
            self.leave(&plan.gone, config);
        } else {
            self.removals(desired, config, allowed, &mut plan, &mut touched);
        }
        // Rule 2: what nobody wants any more is no longer retried.
        let entries = &self.entries;
        self.tried.retain(|at, tried| {
            touched.contains(at)
                || desired.invalid_keys.contains(&at.0)
                || entries.get(at).is_some_and(|entry| entry.doubt.is_some()) && tried.missing.0 == 0
        });
        for operation in &mut plan.operations {
            operation.id = match self.tried.get(&operation.at()) {
                _ if operation.id > 0 => operation.id,
                Some(tried) if is_retry(tried, operation, self.epoch) => tried.id,
                _ => {
                    self.ids += 1;
                    self.ids
                }
            };
        }
        if !plan.held {
            self.null_keys = desired.null_keys;
        }
        plan
    }

    /// Rules 17, 20 and 22: every row that is not as acknowledged.
    fn writes(&mut self, desired: &Desired, config: Config, plan: &mut Plan, touched: &mut BTreeSet<At>) {
        for (key, (place, record)) in &desired.valid {
            let at = (*key, place.class);
            let there = self.entries.get(&at);
            let equal = there.is_some_and(|entry| {
                entry.known && is_certain(entry) && entry.epoch == self.epoch && shows(entry, *place, record)
            });
            if equal && (config.mode != Mode::All || self.resync) {
                plan.unchanged += 1;
                continue;
            }
            let known = self.entries.iter().any(|(at, entry)| at.0 == *key && entry.known);
            let change = if known && !self.resync {
                Change::Changed
            } else {
                Change::Added
            };
            touched.insert(at);
            let kind = match config.mode {
                Mode::Insert => Kind::Insert,
                Mode::Update => Kind::Update,
                _ => Kind::Upsert,
            };
            let operation = write(*key, *place, kind, change, record);
            let waits = self.tried.get(&at).is_some_and(|tried| {
                let (times, run) = tried.missing;
                times > 0 && same_record(&tried.record, &operation.compared) && self.run - run <= 1 << (times - 1)
            });
            if waits && config.mode == Mode::Update && !self.resync {
                *plan.withheld.of(change) += 1;
                plan.open = true;
            } else {
                plan.operations.push(operation);
            }
        }
    }

    /// Insert mode (rules 3, 17, 19 and 27): only what was never there. A record stays where it was inserted.
    fn inserts(&mut self, desired: &Desired, config: Config, plan: &mut Plan, touched: &mut BTreeSet<At>) {
        for (key, (place, record)) in &desired.valid {
            let at = (*key, place.class);
            let all: Vec<(At, Entry)> = self
                .entries
                .range((*key, 0)..=(*key, u8::MAX))
                .map(|(at, e)| (*at, e.clone()))
                .collect();
            let mut repeated = all
                .iter()
                .filter(|(_, entry)| entry.doubt == Some(Doubt::Insert))
                .peekable();
            if repeated.peek().is_some() {
                for (its, entry) in repeated {
                    touched.insert(*its);
                    let mut operation = write(*key, entry.place, Kind::Insert, Change::Added, &entry.shown);
                    operation.id = entry.id;
                    plan.operations.push(operation);
                    plan.open = true;
                }
                self.recall(*key);
                continue;
            }
            let here = all.iter().any(|(_, entry)| is_certain(entry));
            let doubted = all.iter().any(|(_, entry)| entry.doubt.is_some());
            let known = all.iter().any(|(_, entry)| entry.known);
            let own = all
                .iter()
                .find(|(its, _)| *its == at)
                .and_then(|(_, entry)| entry.doubt);
            let same = |entry: &Entry| entry.known && shows(entry, *place, record);
            let removing = own == Some(Doubt::Removal) && config.on_removed != OnRemoved::Nothing;
            let change = if removing || known && (here || doubted) {
                Change::Changed
            } else {
                Change::Added
            };
            let mut send = || plan.operations.push(write(*key, *place, Kind::Insert, change, record));
            if removing {
                // Its removal is repeated first.
                touched.insert(at);
                *plan.withheld.of(change) += 1;
                plan.open = true;
            } else if own.is_some() {
                touched.insert(at);
                send();
            } else if here {
                if all
                    .iter()
                    .filter(|(_, entry)| is_certain(entry))
                    .all(|(_, entry)| same(entry))
                {
                    plan.unchanged += 1;
                } else {
                    touched.insert(at);
                    *plan.withheld.of(Change::Changed) += 1;
                    self.follow(*key, *place, record);
                }
            } else if doubted || all.is_empty() || config.returning == Returning::Insert {
                touched.insert(at);
                send();
            } else {
                plan.unchanged += 1;
                self.follow(*key, *place, record);
            }
            self.recall(*key);
        }
    }

    /// Entries take the row's values, which nobody sends.
    fn follow(&mut self, key: Key, place: Place, record: &Record) {
        for (_, entry) in self.entries.range_mut((key, 0)..=(key, u8::MAX)) {
            if entry.doubt.is_none() {
                entry.assumed |= !(entry.known && shows(entry, place, record));
                (entry.known, entry.memory, entry.row) = (true, false, place.spelled);
                entry.shown.clone_from(record);
            }
        }
    }

    /// A key that is back is no memory, be it as uncertain as it was.
    fn recall(&mut self, key: Key) {
        for (_, entry) in self.entries.range_mut((key, 0)..=(key, u8::MAX)) {
            entry.memory &= entry.doubt.is_none();
        }
    }

    /// Rules 10, 12, 18, 19 and 21: the entries that no row has.
    fn removals(
        &mut self,
        desired: &Desired,
        config: Config,
        allowed: &BTreeSet<At>,
        plan: &mut Plan,
        touched: &mut BTreeSet<At>,
    ) {
        let insert = config.mode == Mode::Insert;
        let removing = |entry: &Entry| entry.doubt == Some(Doubt::Removal) && config.on_removed != OnRemoved::Nothing;
        let repeats = |at: &At, entry: &Entry| insert && removing(entry) && desired.has(*at);
        let is_removed = |at: &At, entry: &Entry| {
            let wanted = if insert {
                desired.valid.contains_key(&at.0)
                    && (entry.doubt.is_none() || entry.doubt == Some(Doubt::Insert) || desired.has(*at))
            } else {
                desired.has(*at)
            };
            !entry.memory && !wanted && !desired.invalid_keys.contains(&at.0)
        };
        let removed: Vec<At> = self
            .entries
            .iter()
            .filter(|(at, entry)| is_removed(at, entry) || repeats(at, entry))
            .map(|(at, _)| *at)
            .collect();
        if config.mode == Mode::All {
            for at in removed {
                self.entries.remove(&at);
                plan.given.insert(at);
            }
            return;
        }
        touched.extend(&removed);
        plan.removed = removed.iter().copied().collect();
        // Rule 35: an approval holds for a part of what was approved.
        let is_allowed = plan.removed.is_subset(allowed);
        plan.held = desired.null_keys > self.null_keys && !is_allowed;
        let left = std::mem::take(&mut self.left);
        if plan.held {
            plan.withheld.removed += removed.len() as u64;
            plan.open = true;
            self.left = left;
            self.leave(&plan.removed.clone(), config);
            return;
        }
        let mut places = BTreeSet::new();
        // Of several at one place, one that is certain goes first.
        let mut ordered = removed;
        ordered.sort_by_key(|at| (self.entries[at].doubt.is_some(), *at));
        for at in ordered {
            let entry = self.entries[&at].clone();
            if config.on_removed == OnRemoved::Nothing || left.contains(&at) {
                plan.withheld.removed += 1;
                if insert && !desired.valid.contains_key(&at.0) {
                    self.entries.entry(at).and_modify(|entry| entry.memory = true);
                } else {
                    self.entries.remove(&at);
                    plan.given.insert(at);
                }
                continue;
            }
            if !repeats(&at, &entry) && (self.is_held_by_a_row(desired, at.1, insert) || !places.insert(at.1)) {
                plan.withheld.removed += 1;
                plan.open = true;
                continue;
            }
            let kind = if config.on_removed == OnRemoved::Clear {
                Kind::Clear
            } else {
                Kind::Delete
            };
            plan.operations.push(Operation {
                key: at.0,
                place: entry.place,
                kind,
                change: Change::Removed,
                compared: entry.known.then(|| (entry.row, entry.shown.clone())),
                record: entry.shown,
                id: 0,
            });
        }
    }

    /// Whether a row has the place, or an insert is repeated there. In insert mode a row whose record is elsewhere for
    /// certain has none.
    fn is_held_by_a_row(&self, desired: &Desired, place: u8, insert: bool) -> bool {
        let is_elsewhere = |key: &Option<Key>| {
            let its = |key: &Key| {
                self.entries
                    .iter()
                    .any(|(at, entry)| at.0 == *key && at.1 != place && is_certain(entry))
            };
            insert && key.as_ref().is_some_and(its)
        };
        let repeated = |(at, entry): (&At, &Entry)| {
            entry.doubt == Some(Doubt::Insert) && at.1 == place && desired.valid.contains_key(&at.0)
        };
        desired
            .holders
            .iter()
            .any(|(key, wanted)| *wanted == place && !is_elsewhere(key))
            || insert && self.entries.iter().any(repeated)
    }

    /// Takes in what came of the operations, one after the other as they were sent.
    pub fn settle(&mut self, plan: &Plan, outcomes: &[(Operation, Verdict)], missing_believed: bool) {
        for (operation, verdict) in outcomes {
            let at = operation.at();
            let removal = operation.change == Change::Removed;
            if *verdict == Verdict::Aborted {
                continue;
            }
            for (its, tried) in &mut self.tried {
                tried.over |= *its != at && (its.0 == at.0 || its.1 == at.1);
            }
            let done = *verdict == Verdict::Accepted || *verdict == Verdict::NoMatch && (!removal || missing_believed);
            if done {
                // A place has one owner, and no match there settles all.
                self.entries.retain(|its, _| its.1 != at.1);
                self.tried.retain(|its, _| its.1 != at.1 || *its == at);
            }
            let before = self.tried.remove(&at);
            if *verdict != Verdict::Accepted && !(removal && done) {
                let times = before
                    .filter(|tried| tried.kind == operation.kind && same_record(&tried.record, &operation.compared));
                let times = times.map_or(0, |tried| tried.missing.0);
                let tried = Tried {
                    kind: operation.kind,
                    record: operation.compared.clone(),
                    epoch: self.epoch,
                    id: operation.id,
                    over: false,
                    missing: if *verdict == Verdict::NoMatch {
                        (times + 1, self.run)
                    } else {
                        (0, 0)
                    },
                };
                self.tried.insert(at, tried);
            }
            if *verdict == Verdict::Unknown {
                self.doubt(operation, removal);
            }
            if *verdict == Verdict::Accepted && !removal {
                self.entries.insert(at, self.entry(operation, true, None));
            }
        }
        if self.resync && outcomes.iter().all(|(_, verdict)| *verdict != Verdict::Aborted) {
            self.entries.retain(|at, _| !plan.gone.contains(at));
            self.resync = false;
        }
    }

    /// The entries that a full resync forgets at its end.
    pub fn forgotten(&self, plan: &Plan, outcomes: &[(Operation, Verdict)]) -> BTreeSet<At> {
        let ends = self.resync && outcomes.iter().all(|(_, verdict)| *verdict != Verdict::Aborted);
        if ends { plan.gone.clone() } else { BTreeSet::new() }
    }

    /// Nobody knows whether it was applied: all that is at its place is uncertain, and a write there is an entry.
    fn doubt(&mut self, operation: &Operation, removal: bool) {
        let at = operation.at();
        for (its, entry) in &mut self.entries {
            if its.1 == at.1 && entry.doubt.is_none() {
                entry.doubt = Some(Doubt::Other);
            }
        }
        let doubt = match operation.kind {
            Kind::Insert => Doubt::Insert,
            _ if removal => Doubt::Removal,
            _ => Doubt::Write,
        };
        if doubt == Doubt::Insert || !removal && !self.entries.contains_key(&at) {
            self.entries.insert(at, self.entry(operation, false, Some(doubt)));
        } else if let Some(entry) = self.entries.get_mut(&at) {
            entry.doubt = Some(doubt);
        }
    }

    fn entry(&self, operation: &Operation, known: bool, doubt: Option<Doubt>) -> Entry {
        Entry {
            shown: operation.record.clone(),
            place: operation.place,
            row: operation.place.spelled,
            known,
            assumed: false,
            doubt,
            memory: false,
            epoch: self.epoch,
            id: operation.id,
        }
    }

    /// The rows are declared to be what the destination has (rule 15). Gives the entries that go.
    pub fn rebaseline(&mut self, desired: &Desired) -> BTreeSet<At> {
        self.run += 1;
        let before = std::mem::take(&mut self.entries);
        let taken = |place: u8| desired.valid.values().any(|(its, _)| its.class == place);
        for (key, (place, record)) in &desired.valid {
            let operation = write(*key, *place, Kind::Upsert, Change::Added, record);
            let entry = Entry {
                assumed: true,
                ..self.entry(&operation, true, None)
            };
            self.entries.insert((*key, place.class), entry);
        }
        let mut gone = BTreeSet::new();
        for (at, entry) in before {
            let stays = desired.invalid_keys.contains(&at.0) || entry.memory && !desired.valid.contains_key(&at.0);
            if stays && !taken(at.1) {
                self.entries.insert(at, entry);
            } else {
                gone.insert(at);
            }
        }
        self.tried.clear();
        self.left.clear();
        self.resync = false;
        self.null_keys = desired.null_keys;
        gone
    }

    /// Mappings that were edited make every record another one (rule 27), but for inserts, which are repeated as they were.
    pub fn edit_mappings(&mut self) {
        for tried in self.tried.values_mut() {
            tried.over = true;
            tried.record = None;
        }
    }

    /// Whether a run has to look although the model is as it was (rule 36).
    pub fn is_open(&self) -> bool {
        !self.tried.is_empty()
            || self.resync
            || self
                .entries
                .values()
                .any(|entry| entry.doubt.is_some() || entry.epoch != self.epoch && !entry.memory)
    }

    /// What left under `nothing` did so, though its entries stay for now (rule 21).
    fn leave(&mut self, left: &BTreeSet<At>, config: Config) {
        match (config.mode, config.on_removed) {
            (Mode::All, _) => {}
            (_, OnRemoved::Nothing) => self.left.clone_from(left),
            _ => self.left.retain(|at| left.contains(at)),
        }
    }

    /// A run that a guard stopped because there was no row.
    pub fn stopped(&mut self, config: Config, full_resync: bool) {
        self.run += 1;
        let resync = full_resync || self.resync && config.mode != Mode::Insert;
        let left = self.entries.iter().filter(|(_, entry)| resync || !entry.memory);
        self.leave(&left.map(|(at, _)| *at).collect(), config);
    }
}

fn write(key: Key, place: Place, kind: Kind, change: Change, record: &Record) -> Operation {
    Operation {
        key,
        place,
        kind,
        change,
        record: record.clone(),
        id: 0,
        compared: Some((place.spelled, record.clone())),
    }
}

/// Rule 27: the same operation, place and record, in the same epoch, with no other one sent since.
fn is_retry(tried: &Tried, operation: &Operation, epoch: u64) -> bool {
    !tried.over
        && tried.epoch == epoch
        && tried.kind == operation.kind
        && same_record(&tried.record, &operation.compared)
}

fn same_record(a: &Option<(u8, Record)>, b: &Option<(u8, Record)>) -> bool {
    let values = |record: &Record| {
        record
            .iter()
            .map(|(field, value)| (*field, value.1.clone()))
            .collect::<Vec<_>>()
    };
    match (a, b) {
        (Some(a), Some(b)) => a.0 == b.0 && values(&a.1) == values(&b.1),
        (None, None) => true,
        _ => false,
    }
}
