//! Why a value has no JSON form (rule 40): NaN, infinities, text that is no UTF-8, JSON that is none or that readers take
//! for different things.

use xxhash_rust::xxh3::xxh3_128;

use super::json_scan::{self, Events};
use super::vector::{Kind, Vector};

/// What is wrong with a value or with something in it, in words that follow its column's name.
///
/// # Safety
/// The row is within the vector, and its chunk is still there.
pub(super) unsafe fn find(vector: &Vector, row: usize) -> Option<String> {
    if !vector.is_valid(row) {
        return None;
    }
    // SAFETY: every arm reads what its kind stores; the row is valid and within the vector, as the caller says.
    unsafe {
        match &vector.kind {
            Kind::F32 => float(vector.value::<f32>(row).into()),
            Kind::F64 => float(vector.value(row)),
            Kind::Date => infinite(vector.value(row), i32::MAX, -i32::MAX, "date"),
            Kind::Timestamp(_) | Kind::TimestampTz => infinite(vector.value(row), i64::MAX, -i64::MAX, "timestamp"),
            Kind::Text => std::str::from_utf8(vector.bytes(row))
                .err()
                .map(|_| "text that is not UTF-8".to_owned()),
            Kind::Json => json(vector.bytes(row)),
            Kind::List(items) => first(items, vector.entry(row)),
            Kind::Array(items, size) => first(items, row * size..(row + 1) * size),
            Kind::Struct(fields) => fields
                .all
                .iter()
                .find_map(|(name, field)| Some(format!("{} in `{name}`", find(field, row)?))),
            Kind::Map(keys, values) => first(keys, vector.entry(row)).or_else(|| first(values, vector.entry(row))),
            Kind::Union(tags, members) => find(&members.get(usize::from(tags.value::<u8>(row)))?.1, row),
            _ => None,
        }
    }
}

/// Whether a value of that kind can have a fault at all: most columns need no look at their rows.
pub(super) fn is_possible(kind: &Kind) -> bool {
    match kind {
        Kind::F32 | Kind::F64 | Kind::Date | Kind::Timestamp(_) | Kind::TimestampTz | Kind::Text | Kind::Json => true,
        Kind::List(items) | Kind::Array(items, _) => is_possible(&items.kind),
        Kind::Struct(fields) => fields.all.iter().any(|(_, field)| is_possible(&field.kind)),
        Kind::Union(_, members) => members.iter().any(|(_, member)| is_possible(&member.kind)),
        Kind::Map(keys, values) => is_possible(&keys.kind) || is_possible(&values.kind),
        _ => false,
    }
}

/// # Safety
/// The rows are within the vector.
unsafe fn first(items: &Vector, mut rows: std::ops::Range<usize>) -> Option<String> {
    // SAFETY: as the caller says.
    rows.find_map(|row| unsafe { find(items, row) })
}

fn float(value: f64) -> Option<String> {
    if value.is_finite() {
        return None;
    }
    Some(
        if value.is_nan() {
            "NaN, which JSON does not have"
        } else {
            "an infinite number, which JSON does not have"
        }
        .to_owned(),
    )
}

fn infinite<T: PartialEq + Copy>(value: T, highest: T, lowest: T, what: &str) -> Option<String> {
    (value == highest || value == lowest).then(|| format!("an infinite {what}, which ISO 8601 does not have"))
}

fn json(text: &[u8]) -> Option<String> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Some("text that is not UTF-8".to_owned());
    };
    let mut names = Names::default();
    match json_scan::scan(text, &mut names) {
        Err(error) => Some(format!("invalid JSON: {error}")),
        Ok(()) if names.repeated => {
            Some("JSON with two members of one name, of which some readers take the first and some the last".to_owned())
        }
        Ok(()) => None,
    }
}

/// Looks for objects that have a member's name twice.
#[derive(Default)]
struct Names {
    /// The names' hashes of the objects that are open, one object's after the other's.
    hashes: Vec<u128>,
    /// Where each of those objects begins.
    objects: Vec<usize>,
    is_name: bool,
    repeated: bool,
}

impl Events for Names {
    fn text(&mut self, text: &str) {
        if std::mem::take(&mut self.is_name) {
            self.hashes.push(xxh3_128(text.as_bytes()));
        }
    }

    fn begin_object(&mut self) {
        self.objects.push(self.hashes.len());
    }

    fn begin_member(&mut self) {
        self.is_name = true;
    }

    fn end_object(&mut self) {
        let start = self.objects.pop().unwrap_or_default();
        let names = self.hashes.get_mut(start..).unwrap_or_default();
        names.sort_unstable();
        self.repeated |= names.windows(2).any(|pair| pair[0] == pair[1]);
        self.hashes.truncate(start);
    }
}
