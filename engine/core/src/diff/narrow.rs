//! Which rows and entries may differ, found without a join.
//!
//! A row's hash covers its key, match value and image, so a row that is as acknowledged has the hash of its entry. Hashes
//! are counted into buckets, the model's added and the entries' taken away: where a bucket's sum is nothing, its rows are
//! its entries (as for the fingerprint of rule 36, with a sum per bucket). What is in the other buckets is compared by key
//! and place, and is little where little changed: no hash table of everything, and nothing that must spill.

use super::Rules;
use crate::ledger::tables::{drop_temporary, temporary};
use crate::project::sync::Mode;
use crate::warehouse::{Connection, Value, WarehouseError};

/// Buckets at least, so that few rows share one.
const BUCKETS_MIN: usize = 1 << 10;
/// Buckets at most: 32 MB of sums.
const BUCKETS_MAX: usize = 1 << 22;
/// Where more than one bucket in so many differs, everything is compared at once.
const DIFFERING_SHARE: usize = 4;

/// Parts of the sums, each small enough for a processor's cache, and how much is gathered for one before it is added:
/// adding in the order in which hashes come would wait for main memory with each of them.
const PARTS: usize = 64;
const GATHERED: usize = 256;

/// The model's hashes by bucket, and later what they have beyond the entries'.
pub(crate) struct Sketch {
    sums: Vec<u64>,
    gathered: Vec<Vec<(usize, u64)>>,
}

impl Sketch {
    /// For so many rows.
    pub fn new(rows: u64) -> Self {
        let rows = usize::try_from(rows).unwrap_or(BUCKETS_MAX).min(BUCKETS_MAX);
        let buckets = rows.next_power_of_two().clamp(BUCKETS_MIN, BUCKETS_MAX);
        Self {
            sums: vec![0; buckets],
            gathered: (0..PARTS).map(|_| Vec::with_capacity(GATHERED)).collect(),
        }
    }

    /// Counts a row in.
    pub fn add(&mut self, hash: u128) {
        self.gather(hash, upper(hash));
    }

    /// Takes an entry away.
    fn take(&mut self, hash: u128) {
        self.gather(hash, upper(hash).wrapping_neg());
    }

    fn gather(&mut self, hash: u128, part: u64) {
        let bucket = hash as usize & (self.sums.len() - 1);
        let gathered = &mut self.gathered[bucket / (self.sums.len() / PARTS)];
        gathered.push((bucket, part));
        if gathered.len() == GATHERED {
            add_up(&mut self.sums, gathered);
        }
    }

    /// The buckets whose rows are not the entries.
    fn differing(mut self) -> Vec<u64> {
        for gathered in &mut self.gathered {
            add_up(&mut self.sums, gathered);
        }
        let sums = self.sums.into_iter().zip(0..);
        sums.filter(|(sum, _)| *sum != 0).map(|(_, bucket)| bucket).collect()
    }
}

fn add_up(sums: &mut [u64], gathered: &mut Vec<(usize, u64)>) {
    for (bucket, part) in gathered.drain(..) {
        sums[bucket] = sums[bucket].wrapping_add(part);
    }
}

const fn upper(hash: u128) -> u64 {
    (hash >> 64) as u64
}

/// Whether what differs can be found so: not where every row is sent, nor where a row is compared with other entries than
/// that of its key and place.
pub(crate) fn applies(rules: &Rules<'_>) -> bool {
    !rules.resync && matches!(rules.mode, Mode::Upsert | Mode::Mirror | Mode::Update)
}

/// Puts the rows and entries that may differ into `~near_rows` and `~near_entries`, unless they are too many. Every entry
/// that is never equal (uncertain, of an older epoch, a memory), or whose hash may be that of a row elsewhere, is among them.
pub(crate) fn narrow(
    connection: &mut Connection,
    rules: &Rules<'_>,
    mut sketch: Sketch,
) -> Result<bool, WarehouseError> {
    // An entry that followed its row in insert mode is where its record is, and has the hash of a row that may be elsewhere.
    let settled = if rules.layout.place_is_key() {
        ""
    } else {
        " AND NOT assumed"
    };
    let comparable = format!(
        "h IS NOT NULL AND NOT uncertain AND NOT memory AND epoch = {}{settled}",
        rules.epoch
    );
    let mut hashes = connection.stream(&format!("SELECT h FROM {} WHERE {comparable}", rules.entries))?;
    while let Some(row) = hashes.next_row()? {
        sketch.take(row.get(0)?);
    }
    drop(hashes);
    let buckets = sketch.sums.len();
    let numbers = sketch.differing();
    if numbers.len() > buckets / DIFFERING_SHARE {
        return Ok(false);
    }
    drop_temporary(connection, &["differing", "near_rows", "near_entries"])?;
    let differing = temporary("differing");
    connection.execute(&format!("CREATE TEMP TABLE {differing} (bucket UBIGINT)"))?;
    let mut rows = connection.append("temp", "~differing")?;
    for number in numbers {
        rows.push(Value::U64(number))?;
        rows.end_row()?;
    }
    rows.finish()?;
    let differs = format!("(h & {}::UHUGEINT)::UBIGINT IN (FROM {differing})", buckets - 1);
    connection.execute(&format!(
        "CREATE TEMP TABLE {near_rows} AS SELECT * FROM {desired} WHERE fault IS NULL AND {differs}",
        near_rows = temporary("near_rows"),
        desired = temporary("desired"),
    ))?;
    connection.execute(&format!(
        "CREATE TEMP TABLE {near_entries} AS SELECT {identity}, h, dest_id, epoch, uncertain, memory FROM {entries} \
         WHERE ({comparable}) IS NOT TRUE OR {differs}",
        near_entries = temporary("near_entries"),
        identity = rules.layout.identity(""),
        entries = rules.entries,
    ))?;
    drop_temporary(connection, &["differing"])?;
    Ok(true)
}
