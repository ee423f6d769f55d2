//! What the destination has already, by the hashes of its entries: so that one reading of the model keeps what differs.
//!
//! A row's hash covers its key, match value and image, so a row that is as acknowledged has the hash of its entry. The hashes
//! of the entries are learned before the model is read; of its rows, those that are not known are kept whole in `~desired`,
//! and the entries that no row met into `~near_entries`. What is in these two is compared by key and place, and is little
//! where little changed: no table of everything, nothing that must spill, and no second reading.
//!
//! A known hash takes less than seven bytes: some of its bits, at a place that others of them tell. Two hashes may be taken
//! for one, then, though hardly ever. So the rows that were known and the entries that were met are summed up with all their
//! bits: where the two sums differ, the model is read again with nothing known (as for the fingerprint of rule 36).

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Rules;
use crate::ledger::Fingerprint;
use crate::ledger::tables::{drop_temporary, temporary};
use crate::project::sync::Mode;
use crate::warehouse::{Condition, Connection, WarehouseError};

/// Hashes whose slots are looked at together before they are used: as many as the processor keeps at hand.
const APPROACHED: usize = 32;

/// Entries up to which their hashes are held in memory: 450 MB.
const ENTRIES_MAX: u64 = 1 << 26;

/// A slot: the mark of a hash, and what is known of it. In tests marks have two bits, so that hashes are mistaken often.
const MARK: u32 = if cfg!(test) { 3 } else { (1 << 30) - 1 };
/// Two entries have this mark at this place: neither is known.
const AMBIGUOUS: u32 = 1 << 30;
/// A row of the model has met it.
const MET: u32 = 1 << 31;

/// The hashes of the entries that are as acknowledged.
pub(crate) struct Known {
    /// A table with open addressing; an empty slot is zero.
    slots: Vec<AtomicU32>,
    /// The condition of such an entry.
    acknowledged: String,
    sums: Mutex<Sums>,
}

/// What was asked, all of it together.
#[derive(Clone, Copy, Default)]
struct Sums {
    /// The rows of the model: how many, and the sums of the halves of their hashes.
    rows: (u64, u128, u128),
    /// Those of them that were known: how many, and the sum of their hashes.
    known: (u64, u128),
    /// The entries that were met.
    met: (u64, u128),
}

/// Whether what differs can be found so: not where every row is sent, nor where a row is compared with other entries than
/// that of its key and place.
pub(crate) fn applies(rules: &Rules<'_>, entries: u64) -> bool {
    let modes = matches!(rules.mode, Mode::Upsert | Mode::Mirror | Mode::Update);
    modes && !rules.resync && !rules.whole && (1..=ENTRIES_MAX).contains(&entries)
}

impl Known {
    /// Nothing: every row of the model is kept.
    pub fn nothing() -> Arc<Self> {
        Self::with_room(0, "false".to_owned())
    }

    fn with_room(slots: usize, acknowledged: String) -> Arc<Self> {
        Arc::new(Self {
            slots: (0..slots).map(|_| AtomicU32::new(0)).collect(),
            acknowledged,
            sums: Mutex::default(),
        })
    }

    /// The hashes of the entries, of which there are so many.
    pub fn learn(connection: &Connection, rules: &Rules<'_>, entries: u64) -> Result<Arc<Self>, WarehouseError> {
        let entries = usize::try_from(entries).unwrap_or_default();
        let known = Self::with_room(entries + entries / 3 * 2 + 16, acknowledged(connection, rules)?);
        connection.execute_asking(
            known.asked(Question::Learn),
            &format!(
                "SELECT bool_or(learned) FROM (SELECT outflow_holds(h, true) AS learned FROM {} WHERE {})",
                rules.entries, known.acknowledged
            ),
        )?;
        Ok(known)
    }

    /// The condition of a statement over the model's rows: that a row is known.
    pub fn knows(self: &Arc<Self>) -> Arc<dyn Condition> {
        self.asked(Question::Meet)
    }

    /// The fingerprint of the rows that were asked for.
    pub fn fingerprint(&self) -> Fingerprint {
        let (count, low, high) = self.sums().rows;
        Fingerprint::new(count, low, high)
    }

    fn asked(self: &Arc<Self>, question: Question) -> Arc<dyn Condition> {
        Arc::new(Asked {
            known: Arc::clone(self),
            question,
        })
    }

    fn sums(&self) -> Sums {
        *self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, hash: u128) -> Place {
        #[expect(clippy::cast_possible_truncation, reason = "parts of it, none in both")]
        let (low, high) = (hash as u64, (hash >> 64) as u32);
        #[expect(clippy::cast_possible_truncation, reason = "below the number of slots")]
        let first = ((u128::from(low) * self.slots.len() as u128) >> 64) as usize;
        Place {
            first,
            mark: (high & MARK).max(1),
        }
    }

    /// The slot with that mark, from the first place on; or the empty one before which it is not.
    fn find(&self, place: Place) -> Option<(&AtomicU32, u32)> {
        let (before, after) = self.slots.split_at(place.first.min(self.slots.len()));
        find_among(after, place.mark).or_else(|| find_among(before, place.mark))
    }

    /// The places of some hashes, whose slots are looked at. None waits for another here, as the changes do that follow: they
    /// find what main memory has in the processor's cache.
    fn approach(&self, rows: &[(u128, bool)]) -> [Place; APPROACHED] {
        let mut places = [Place::default(); APPROACHED];
        let mut all = 0;
        for (place, (hash, _)) in places.iter_mut().zip(rows) {
            *place = self.place(*hash);
            all ^= self
                .slots
                .get(place.first)
                .map_or(0, |slot| slot.load(Ordering::Relaxed));
        }
        std::hint::black_box(all);
        places
    }

    fn learn_at(&self, place: Place) {
        while let Some((slot, held)) = self.find(place) {
            if held & MARK == place.mark {
                slot.fetch_or(AMBIGUOUS, Ordering::Relaxed);
                return;
            }
            // Another thread may have taken the slot, for this mark even: then it is looked for anew.
            let learned = slot.compare_exchange(0, place.mark, Ordering::Relaxed, Ordering::Relaxed);
            if learned.is_ok() {
                return;
            }
        }
    }

    /// Whether the hash is known, and no row before had it: of two rows with one hash the second is kept.
    fn meet(&self, place: Place) -> bool {
        self.find(place).is_some_and(|(slot, held)| {
            let is_known = held & MARK == place.mark && held & AMBIGUOUS == 0;
            is_known && slot.fetch_or(MET, Ordering::Relaxed) & MET == 0
        })
    }

    fn is_met(&self, place: Place) -> bool {
        let found = self.find(place);
        found.is_some_and(|(_, held)| held & AMBIGUOUS == 0 && held & MET != 0)
    }
}

/// Where a hash is looked for first, and its mark.
#[derive(Clone, Copy, Default)]
struct Place {
    first: usize,
    mark: u32,
}

fn find_among(slots: &[AtomicU32], mark: u32) -> Option<(&AtomicU32, u32)> {
    let mut held = slots.iter().map(|slot| (slot, slot.load(Ordering::Relaxed)));
    held.find(|(_, held)| held & MARK == mark || *held == 0)
}

/// What is asked of a hash.
#[derive(Clone, Copy)]
enum Question {
    /// Nothing: an entry's is learned.
    Learn,
    /// Whether a row's is known.
    Meet,
    /// Whether a row has met an entry's.
    IsMet,
}

struct Asked {
    known: Arc<Known>,
    question: Question,
}

impl Condition for Asked {
    fn ask(&self, rows: &[(u128, bool)], holds: &mut [bool]) {
        let mut here = Sums::default();
        for (rows, holds) in rows.chunks(APPROACHED).zip(holds.chunks_mut(APPROACHED)) {
            self.ask_few(rows, holds, &mut here);
        }
        let mut all = self.known.sums.lock().unwrap_or_else(PoisonError::into_inner);
        all.rows.0 += here.rows.0;
        all.rows.1 += here.rows.1;
        all.rows.2 += here.rows.2;
        add(&mut all.known, here.known);
        add(&mut all.met, here.met);
    }
}

impl Asked {
    fn ask_few(&self, rows: &[(u128, bool)], holds: &mut [bool], sums: &mut Sums) {
        let known = &self.known;
        let places = known.approach(rows);
        for (((hash, sound), place), holds) in rows.iter().zip(places).zip(holds) {
            match self.question {
                Question::Learn => known.learn_at(place),
                Question::Meet => {
                    sums.rows.0 += 1;
                    sums.rows.1 += hash & u128::from(u64::MAX);
                    sums.rows.2 += hash >> 64;
                    *holds = *sound && known.meet(place);
                    if *holds {
                        add(&mut sums.known, (1, *hash));
                    }
                }
                Question::IsMet => {
                    *holds = *sound && known.is_met(place);
                    if *holds {
                        add(&mut sums.met, (1, *hash));
                    }
                }
            }
        }
    }
}

fn add(sum: &mut (u64, u128), more: (u64, u128)) {
    sum.0 += more.0;
    sum.1 = sum.1.wrapping_add(more.1);
}

/// A condition: an entry is as acknowledged, so that its row need not be sent.
fn acknowledged(connection: &Connection, rules: &Rules<'_>) -> Result<String, WarehouseError> {
    let mut condition = format!(
        "h IS NOT NULL AND NOT uncertain AND NOT memory AND epoch = {}",
        rules.epoch
    );
    // An entry that followed its row in insert mode is where its record is, and has the hash of a row that may be elsewhere.
    let assumed = format!("SELECT EXISTS (FROM {} WHERE assumed)", rules.entries);
    if !rules.layout.place_is_key() && connection.scalar(&assumed)? == Some(true) {
        condition = format!("{condition} AND (NOT assumed OR h = {})", rules.layout.hash(""));
    }
    Ok(condition)
}

/// Puts the entries that may differ from the rows in `~desired` into `~near_entries`: those that no row met, and those whose
/// key or place is that of one of these. The rows of the latter, which are as acknowledged, come to `~desired` too, without
/// their images: keys and places are there as often as in the model, wherever more than once.
///
/// Gives whether what was known is what was met. If not, hashes were mistaken, and the tables say nothing.
pub(crate) fn near(connection: &Connection, rules: &Rules<'_>, known: &Arc<Known>) -> Result<bool, WarehouseError> {
    let layout = rules.layout;
    let (desired, near, drawn) = (temporary("desired"), temporary("near_entries"), temporary("drawn"));
    let identity = layout.identity("");
    drop_temporary(connection, &["near_entries", "drawn"])?;
    let kept = "h, dest_id, epoch, uncertain, memory";
    connection.execute_asking(
        known.asked(Question::IsMet),
        &format!(
            "CREATE TEMP TABLE {near} AS SELECT {identity}, {kept} FROM \
             (SELECT {identity}, {kept}, outflow_holds(h, {}) AS met FROM {}) WHERE NOT met",
            known.acknowledged, rules.entries,
        ),
    )?;
    let sums = known.sums();
    if sums.known != sums.met {
        return Ok(false);
    }
    let alike = |table: &str, same: String| {
        format!(
            "SELECT {}, e.h, e.dest_id, e.epoch, e.uncertain, e.memory FROM {} AS e SEMI JOIN {table} AS t ON {same}",
            layout.identity("e."),
            rules.entries
        )
    };
    let mut alike_any = vec![alike(&desired, layout.same_key("t", "e"))];
    if !layout.place_is_key() {
        alike_any.push(alike(&desired, layout.same_place("t", "e")));
        alike_any.push(alike(&near, layout.same_place("t", "e")));
    }
    connection.execute(&format!(
        "CREATE TEMP TABLE {drawn} AS SELECT * FROM ({alike}) AS a ANTI JOIN {near} AS n ON {same};
         INSERT INTO {near} FROM {drawn};
         INSERT INTO {desired} ({identity}, h) SELECT {identity}, h FROM {drawn};
         DROP TABLE {drawn}",
        alike = alike_any.join(" UNION "),
        same = layout.same_entry("n", "a"),
    ))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(known: &Arc<Known>, question: Question, hashes: &[u128]) -> Vec<bool> {
        let rows: Vec<_> = hashes.iter().map(|hash| (*hash, true)).collect();
        let mut holds = vec![false; rows.len()];
        known.asked(question).ask(&rows, &mut holds);
        holds
    }

    fn of(hashes: &[u128]) -> Arc<Known> {
        let known = Known::with_room(hashes.len() + hashes.len() / 3 + 16, String::new());
        ask(&known, Question::Learn, hashes);
        known
    }

    /// A hash with these upper and lower halves.
    const fn hash(upper: u64, lower: u64) -> u128 {
        ((upper as u128) << 64) | lower as u128
    }

    #[test]
    fn what_is_learned_is_known_once() {
        let known = of(&[hash(1, 1 << 63), hash(2, 1 << 63), hash(3, u64::MAX)]);
        let rows = [hash(2, 1 << 63), hash(2, 1 << 63), hash(3, u64::MAX), hash(1, u64::MAX)];
        assert_eq!(ask(&known, Question::Meet, &rows), [true, false, true, false]);
        let entries = [hash(1, 1 << 63), hash(2, 1 << 63), hash(3, u64::MAX)];
        assert_eq!(ask(&known, Question::IsMet, &entries), [false, true, true]);
        assert_eq!(known.sums().known, known.sums().met);
        assert_eq!(known.fingerprint().rows, 4);
    }

    #[test]
    fn of_two_entries_that_cannot_be_told_apart_neither_is_known() {
        let alike = [hash(1, 7), hash(1 | (4 << 32), 7)];
        let known = of(&alike);
        assert_eq!(ask(&known, Question::Meet, &alike), [false, false]);
        assert_eq!(ask(&known, Question::IsMet, &alike), [false, false]);
    }

    #[test]
    fn a_row_that_is_taken_for_an_entry_shows_in_the_sums() {
        let (entry, row) = (hash(1, 7), hash(1 | (4 << 32), 7));
        let known = of(&[entry]);
        assert_eq!(ask(&known, Question::Meet, &[row]), [true]);
        assert_eq!(ask(&known, Question::IsMet, &[entry]), [true]);
        assert_ne!(known.sums().known, known.sums().met);
    }

    #[test]
    fn a_row_that_is_not_sound_is_never_known() {
        let known = of(&[5]);
        let mut holds = [true];
        holds.fill(false);
        known.asked(Question::Meet).ask(&[(5, false)], &mut holds);
        assert_eq!(holds, [false]);
        assert_eq!(known.fingerprint().rows, 1);
    }

    #[test]
    fn many_threads_learn_and_meet() {
        let hashes: Vec<u128> = (0..20_000_u64)
            .map(|number| xxhash_rust::xxh3::xxh3_128(&number.to_le_bytes()))
            .collect();
        let known = Known::with_room(1 << 20, String::new());
        let each = |question| {
            std::thread::scope(|scope| {
                for part in hashes.chunks(500) {
                    let known = &known;
                    scope.spawn(move || ask(known, question, part));
                }
            });
        };
        each(Question::Learn);
        each(Question::Meet);
        each(Question::IsMet);
        let sums = known.sums();
        assert_eq!(sums.rows.0, 20_000);
        assert_eq!(sums.known, sums.met);
        // The others cannot be told apart.
        assert!(sums.known.0 > 19_000, "{} are known", sums.known.0);
    }
}
