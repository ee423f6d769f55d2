//! The identity of values: a canonical encoding per type, and its 128-bit hash.
//!
//! Two rows are equal (rule 14) when their encodings are; the hash stands for the encoding in ledgers, so a change of
//! either needs a new [`HASH_SCHEME`]. Every value begins with a tag and says where it ends, so that neighbours cannot
//! run into each other.

use xxhash_rust::xxh3::xxh3_128;

use super::json_scan::{self, Events};
use super::vector::{Bignum, Kind, Unit, Vector};

/// The name of the encoding and hash below, as ledgers note it.
pub const HASH_SCHEME: &str = "xxh3-128/1";

mod tag {
    pub const NULL: u8 = 0;
    pub const BOOLEAN: u8 = 1;
    /// Scale and 8 bytes.
    pub const NUMBER: u8 = 2;
    /// Scale and 16 bytes, where 8 are too few.
    pub const LARGE_NUMBER: u8 = 3;
    /// Sign, length and magnitude, where 16 bytes are too few.
    pub const HUGE_NUMBER: u8 = 4;
    pub const FLOAT: u8 = 5;
    pub const TEXT: u8 = 6;
    pub const BLOB: u8 = 7;
    pub const BIT: u8 = 8;
    pub const UUID: u8 = 9;
    pub const GEOMETRY: u8 = 10;
    pub const DATE: u8 = 11;
    pub const TIME: u8 = 12;
    pub const TIME_TZ: u8 = 13;
    pub const TIMESTAMP: u8 = 14;
    pub const TIMESTAMP_TZ: u8 = 15;
    pub const INTERVAL: u8 = 16;
    pub const LIST: u8 = 17;
    pub const STRUCT: u8 = 18;
    pub const MAP: u8 = 19;
    pub const UNION: u8 = 20;
    pub const JSON: u8 = 21;
    pub const NOT_JSON: u8 = 22;
    pub const JSON_NUMBER: u8 = 23;
    pub const JSON_ARRAY: u8 = 24;
    pub const JSON_OBJECT: u8 = 25;
    /// Of a JSON array.
    pub const END: u8 = 26;
}

/// Encodes values one after another and hashes them together.
#[derive(Default)]
pub(super) struct Canonical {
    bytes: Vec<u8>,
}

impl Canonical {
    /// The hash of what has been written since the last, which begins the next.
    pub(super) fn finish(&mut self) -> u128 {
        let hash = xxh3_128(&self.bytes);
        self.bytes.clear();
        hash
    }

    /// Writes one value.
    ///
    /// # Safety
    /// The row is within the vector, and its chunk is still there.
    pub(super) unsafe fn write(&mut self, vector: &Vector, row: usize) {
        if !vector.is_valid(row) {
            return self.tag(tag::NULL);
        }
        // SAFETY: every arm reads what its kind stores; the row is valid and within the vector, as the caller says.
        unsafe {
            match &vector.kind {
                Kind::Null => self.tag(tag::NULL),
                Kind::Boolean => self.put(tag::BOOLEAN, [u8::from(vector.value::<u8>(row) != 0)]),
                Kind::I8 => self.integer(vector.value::<i8>(row).into()),
                Kind::I16 => self.integer(vector.value::<i16>(row).into()),
                Kind::I32 => self.integer(vector.value::<i32>(row).into()),
                Kind::I64 => self.integer(vector.value(row)),
                Kind::U8 => self.integer(vector.value::<u8>(row).into()),
                Kind::U16 => self.integer(vector.value::<u16>(row).into()),
                Kind::U32 => self.integer(vector.value::<u32>(row).into()),
                Kind::U64 => self.number(vector.value::<u64>(row).into(), 0),
                Kind::I128 => self.number(vector.i128(row), 0),
                Kind::U128 => self.unsigned(vector.u128(row)),
                Kind::Decimal16(scale) => self.decimal(vector.value::<i16>(row).into(), *scale),
                Kind::Decimal32(scale) => self.decimal(vector.value::<i32>(row).into(), *scale),
                Kind::Decimal64(scale) => self.decimal(vector.value(row), *scale),
                Kind::Decimal128(scale) => self.large_decimal(vector.i128(row), *scale),
                Kind::Bignum => self.bignum(vector.bytes(row)),
                Kind::F32 => self.float(vector.value::<f32>(row).into()),
                Kind::F64 => self.float(vector.value(row)),
                Kind::Text => self.sized(tag::TEXT, vector.bytes(row)),
                Kind::Json => self.json(vector.bytes(row)),
                Kind::Blob => self.sized(tag::BLOB, vector.bytes(row)),
                Kind::Bit => self.sized(tag::BIT, vector.bytes(row)),
                Kind::Geometry => self.sized(tag::GEOMETRY, vector.bytes(row)),
                Kind::Uuid => self.put(tag::UUID, vector.uuid(row).to_le_bytes()),
                Kind::Date => self.put(tag::DATE, vector.value::<i32>(row).to_le_bytes()),
                Kind::Time => self.put(tag::TIME, (vector.value::<i64>(row) * 1_000).to_le_bytes()),
                Kind::TimeNs => self.put(tag::TIME, vector.value::<i64>(row).to_le_bytes()),
                Kind::TimeTz => self.put(tag::TIME_TZ, vector.value::<u64>(row).to_le_bytes()),
                Kind::Timestamp(unit) => self.timestamp(tag::TIMESTAMP, vector.value(row), *unit),
                Kind::TimestampTz => {
                    self.timestamp(tag::TIMESTAMP_TZ, vector.value(row), Unit::Micros);
                }
                Kind::Interval => {
                    let interval: duckdb::ffi::duckdb_interval = vector.value(row);
                    self.put(tag::INTERVAL, interval.months.to_le_bytes());
                    self.bytes.extend_from_slice(&interval.days.to_le_bytes());
                    self.bytes.extend_from_slice(&interval.micros.to_le_bytes());
                }
                Kind::Enum(dictionary) => self.sized(tag::TEXT, vector.word(dictionary, row).as_bytes()),
                Kind::List(items) => self.list(items, vector.entry(row)),
                Kind::Array(items, size) => self.list(items, row * size..(row + 1) * size),
                Kind::Struct(fields) => {
                    self.count(tag::STRUCT, fields.all.len());
                    for (name, field) in fields.by_name.iter().map(|index| &fields.all[*index]) {
                        self.sized(tag::TEXT, name.as_bytes());
                        self.write(field, row);
                    }
                }
                Kind::Map(keys, values) => self.map(keys, values, vector.entry(row)),
                Kind::Union(tags, members) => {
                    // A row without a member is NULL, so that this finds one.
                    match members.get(usize::from(tags.value::<u8>(row))) {
                        Some((name, member)) => {
                            self.sized(tag::UNION, name.as_bytes());
                            self.write(member, row);
                        }
                        None => self.tag(tag::NULL),
                    }
                }
            }
        }
    }

    #[inline]
    fn tag(&mut self, tag: u8) {
        self.bytes.push(tag);
    }

    #[inline]
    fn put<const N: usize>(&mut self, tag: u8, value: [u8; N]) {
        self.bytes.reserve(N + 1);
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&value);
    }

    #[inline]
    fn count(&mut self, tag: u8, count: usize) {
        self.put(tag, (count as u64).to_le_bytes());
    }

    #[inline]
    fn sized(&mut self, tag: u8, value: &[u8]) {
        self.count(tag, value.len());
        self.bytes.extend_from_slice(value);
    }

    #[inline]
    fn integer(&mut self, value: i64) {
        self.small_number(value, 0);
    }

    #[inline]
    fn small_number(&mut self, value: i64, scale: u8) {
        self.put(tag::NUMBER, [scale]);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    #[inline]
    fn number(&mut self, value: i128, scale: u8) {
        if let Ok(value) = i64::try_from(value) {
            return self.small_number(value, scale);
        }
        self.put(tag::LARGE_NUMBER, [scale]);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    #[inline]
    fn decimal(&mut self, mut value: i64, mut scale: u8) {
        while scale > 0 && value % 10 == 0 {
            value /= 10;
            scale -= 1;
        }
        self.small_number(value, scale);
    }

    fn large_decimal(&mut self, mut value: i128, mut scale: u8) {
        while scale > 0 && value % 10 == 0 {
            value /= 10;
            scale -= 1;
        }
        self.number(value, scale);
    }

    fn unsigned(&mut self, value: u128) {
        match i128::try_from(value) {
            Ok(value) => self.number(value, 0),
            Err(_) => self.magnitude(false, value.to_be_bytes().into_iter()),
        }
    }

    fn bignum(&mut self, cell: &[u8]) {
        let Some(bignum) = Bignum::new(cell) else {
            return self.integer(0);
        };
        if bignum.magnitude().count() > 16 {
            return self.magnitude(bignum.negative, bignum.magnitude());
        }
        let magnitude = bignum
            .magnitude()
            .fold(0, |value: u128, byte| value << 8 | u128::from(byte));
        match (bignum.negative, i128::try_from(magnitude)) {
            (false, _) => self.unsigned(magnitude),
            (true, Ok(value)) => self.number(-value, 0),
            (true, Err(_)) if magnitude == i128::MIN.unsigned_abs() => self.number(i128::MIN, 0),
            (true, Err(_)) => self.magnitude(true, bignum.magnitude()),
        }
    }

    /// A number that no `i128` holds; the magnitude begins with its highest byte, which is not zero.
    fn magnitude(&mut self, negative: bool, bytes: impl Iterator<Item = u8> + Clone) {
        self.put(tag::HUGE_NUMBER, [u8::from(negative)]);
        self.bytes
            .extend_from_slice(&(bytes.clone().count() as u64).to_le_bytes());
        self.bytes.extend(bytes);
    }

    #[inline]
    fn float(&mut self, value: f64) {
        let value = if value.is_nan() {
            f64::NAN
        } else if value == 0.0 {
            0.0
        } else {
            value
        };
        self.put(tag::FLOAT, value.to_bits().to_le_bytes());
    }

    #[inline]
    fn timestamp(&mut self, tag: u8, value: i64, unit: Unit) {
        let nanos = match value {
            i64::MAX => i128::MAX,
            // DuckDB's negative infinity.
            value if value == -i64::MAX => i128::MIN,
            value => i128::from(value) * i128::from(unit.nanos()),
        };
        self.put(tag, nanos.to_le_bytes());
    }

    /// # Safety
    /// The rows are within the vector.
    unsafe fn list(&mut self, items: &Vector, rows: std::ops::Range<usize>) {
        self.count(tag::LIST, rows.len());
        for row in rows {
            // SAFETY: as the caller says.
            unsafe { self.write(items, row) };
        }
    }

    /// Entries count in any order: the sum of their hashes stands for them.
    ///
    /// # Safety
    /// The rows are within the vectors.
    unsafe fn map(&mut self, keys: &Vector, values: &Vector, rows: std::ops::Range<usize>) {
        let mut sum = 0_u128;
        let start = self.bytes.len();
        let count = rows.len();
        for row in rows {
            // SAFETY: as the caller says.
            unsafe {
                self.write(keys, row);
                self.write(values, row);
            }
            sum = sum.wrapping_add(xxh3_128(&self.bytes[start..]));
            self.bytes.truncate(start);
        }
        self.count(tag::MAP, count);
        self.bytes.extend_from_slice(&sum.to_le_bytes());
    }

    fn json(&mut self, text: &[u8]) {
        let start = self.bytes.len();
        self.tag(tag::JSON);
        let read = std::str::from_utf8(text).is_ok_and(|text| {
            let mut listener = JsonHash {
                canonical: self,
                objects: Vec::new(),
            };
            json_scan::scan(text, &mut listener).is_ok()
        });
        if !read {
            self.bytes.truncate(start);
            self.sized(tag::NOT_JSON, text);
        }
    }
}

/// Encodes JSON as it is read. Objects count in any order of their members.
struct JsonHash<'c> {
    canonical: &'c mut Canonical,
    objects: Vec<OpenObject>,
}

struct OpenObject {
    /// Where its members are encoded, one at a time.
    start: usize,
    count: usize,
    sum: u128,
}

impl Events for JsonHash<'_> {
    fn null(&mut self) {
        self.canonical.tag(tag::NULL);
    }

    fn boolean(&mut self, value: bool) {
        self.canonical.put(tag::BOOLEAN, [u8::from(value)]);
    }

    fn number(&mut self, digits: &str) {
        let number = JsonNumber::of(digits);
        self.canonical.put(tag::JSON_NUMBER, [u8::from(number.negative)]);
        self.canonical.bytes.extend_from_slice(&number.exponent.to_le_bytes());
        let start = self.canonical.bytes.len();
        self.canonical.bytes.extend_from_slice(&[0; 8]);
        self.canonical.bytes.extend(number.digits());
        let count = (self.canonical.bytes.len() - start - 8) as u64;
        self.canonical.bytes[start..start + 8].copy_from_slice(&count.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.canonical.sized(tag::TEXT, text.as_bytes());
    }

    fn begin_array(&mut self) {
        self.canonical.tag(tag::JSON_ARRAY);
    }

    fn end_array(&mut self) {
        self.canonical.tag(tag::END);
    }

    fn begin_object(&mut self) {
        self.objects.push(OpenObject {
            start: self.canonical.bytes.len(),
            count: 0,
            sum: 0,
        });
    }

    fn end_member(&mut self) {
        if let Some(object) = self.objects.last_mut() {
            object.count += 1;
            object.sum = object.sum.wrapping_add(xxh3_128(&self.canonical.bytes[object.start..]));
            self.canonical.bytes.truncate(object.start);
        }
    }

    fn end_object(&mut self) {
        if let Some(object) = self.objects.pop() {
            self.canonical.count(tag::JSON_OBJECT, object.count);
            self.canonical.bytes.extend_from_slice(&object.sum.to_le_bytes());
        }
    }
}

/// A JSON number without what does not change its value: `1.0`, `1` and `10e-1` are one.
struct JsonNumber<'t> {
    negative: bool,
    integer: &'t str,
    fraction: &'t str,
    /// Of ten, for the digits read as an integer.
    exponent: i64,
}

impl<'t> JsonNumber<'t> {
    /// `text` is a JSON number.
    fn of(text: &'t str) -> Self {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let integer = integer.trim_start_matches('0');
        // An exponent beyond 64 bits is no number that anybody means; it saturates.
        let written = exponent.parse().unwrap_or(if exponent.starts_with('-') {
            i64::MIN / 2
        } else {
            i64::MAX / 2
        });
        let mut number = Self {
            negative,
            integer,
            fraction,
            exponent: written,
        };
        if fraction.is_empty() {
            number.integer = integer.trim_end_matches('0');
            number.exponent = number
                .exponent
                .saturating_add((integer.len() - number.integer.len()) as i64);
        } else {
            number.exponent = number.exponent.saturating_sub(fraction.len() as i64);
        }
        if number.digits().next().is_none() {
            number.negative = false;
            number.exponent = 0;
        }
        number
    }

    /// Without leading and trailing zeros.
    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.integer
            .bytes()
            .chain(self.fraction.bytes())
            .skip_while(|digit| *digit == b'0')
    }
}
