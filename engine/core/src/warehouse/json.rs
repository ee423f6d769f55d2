//! Values as JSON text (rule 40), written straight from DuckDB's vectors.
//!
//! A value without a JSON form (see [`fault`](super::fault)) is written as `null`, so that what is written is always
//! JSON; whoever sends a row asks for its fault first.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::iso;
use super::json_scan::{self, Silent};
use super::vector::{Bignum, Fields, Kind, TIMETZ_OFFSET_MAX_S, Unit, Vector};

/// Appends one value as JSON text.
///
/// # Safety
/// The row is within the vector, and its chunk is still there.
pub(super) unsafe fn write(out: &mut Vec<u8>, vector: &Vector, row: usize) {
    if !vector.is_valid(row) {
        return out.extend_from_slice(b"null");
    }
    // SAFETY: every arm reads what its kind stores; the row is valid and within the vector, as the caller says.
    unsafe {
        match &vector.kind {
            Kind::Null => out.extend_from_slice(b"null"),
            Kind::Boolean => out.extend_from_slice(if vector.value::<u8>(row) == 0 {
                b"false"
            } else {
                b"true"
            }),
            Kind::I8 => integer(out, vector.value::<i8>(row)),
            Kind::I16 => integer(out, vector.value::<i16>(row)),
            Kind::I32 => integer(out, vector.value::<i32>(row)),
            Kind::I64 => integer(out, vector.value::<i64>(row)),
            Kind::I128 => integer(out, vector.i128(row)),
            Kind::U8 => integer(out, vector.value::<u8>(row)),
            Kind::U16 => integer(out, vector.value::<u16>(row)),
            Kind::U32 => integer(out, vector.value::<u32>(row)),
            Kind::U64 => integer(out, vector.value::<u64>(row)),
            Kind::U128 => integer(out, vector.u128(row)),
            Kind::Decimal16(scale) => decimal(out, vector.value::<i16>(row).into(), *scale),
            Kind::Decimal32(scale) => decimal(out, vector.value::<i32>(row).into(), *scale),
            Kind::Decimal64(scale) => decimal(out, vector.value::<i64>(row).into(), *scale),
            Kind::Decimal128(scale) => decimal(out, vector.i128(row), *scale),
            Kind::Bignum => bignum(out, vector.bytes(row)),
            // Infinities and NaN become null in here.
            Kind::F32 => serialize(out, &vector.value::<f32>(row)),
            Kind::F64 => serialize(out, &vector.value::<f64>(row)),
            Kind::Text => text(out, vector.bytes(row)),
            Kind::Json => embedded(out, vector.bytes(row)),
            Kind::Blob | Kind::Geometry => blob(out, vector.bytes(row)),
            Kind::Bit => bits(out, vector.bytes(row)),
            Kind::Uuid => uuid(out, vector.uuid(row)),
            Kind::Date => quoted(out, |out| iso::date(out, vector.value(row))),
            Kind::Time => quoted(out, |out| iso::time(out, vector.value::<i64>(row) * 1_000)),
            Kind::TimeNs => quoted(out, |out| iso::time(out, vector.value(row))),
            Kind::TimeTz => quoted(out, |out| time_tz(out, vector.value(row))),
            Kind::Timestamp(unit) => {
                quoted(out, |out| iso::timestamp(out, vector.value(row), *unit));
            }
            Kind::TimestampTz => quoted(out, |out| {
                iso::timestamp(out, vector.value(row), Unit::Micros)?;
                out.push(b'Z');
                Some(())
            }),
            Kind::Interval => quoted(out, |out| {
                let interval: duckdb::ffi::duckdb_interval = vector.value(row);
                iso::interval(out, interval.months, interval.days, interval.micros);
                Some(())
            }),
            Kind::Enum(dictionary) => text(out, vector.word(dictionary, row).as_bytes()),
            Kind::List(items) => list(out, items, vector.entry(row)),
            Kind::Array(items, size) => list(out, items, row * size..(row + 1) * size),
            Kind::Struct(fields) => structure(out, fields, row),
            Kind::Map(keys, values) => map(out, keys, values, vector.entry(row)),
            Kind::Union(tags, members) => match members.get(usize::from(tags.value::<u8>(row))) {
                Some((_, member)) => write(out, member, row),
                None => out.extend_from_slice(b"null"),
            },
        }
    }
}

fn serialize(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    // Writing numbers into memory does not fail.
    let _ = serde_json::to_writer(out, value);
}

fn integer(out: &mut Vec<u8>, value: impl serde::Serialize) {
    serialize(out, &value);
}

fn decimal(out: &mut Vec<u8>, value: i128, scale: u8) {
    if scale == 0 {
        return match i64::try_from(value) {
            Ok(value) => integer(out, value),
            Err(_) => integer(out, value),
        };
    }
    if value < 0 {
        out.push(b'-');
    }
    let start = out.len();
    match u64::try_from(value.unsigned_abs()) {
        Ok(value) => integer(out, value),
        Err(_) => integer(out, value.unsigned_abs()),
    }
    let scale = usize::from(scale);
    let digits = out.len() - start;
    if digits <= scale {
        out.splice(start..start, std::iter::repeat_n(b'0', scale + 1 - digits));
    }
    out.insert(out.len() - scale, b'.');
}

fn bignum(out: &mut Vec<u8>, cell: &[u8]) {
    /// The highest power of ten in 64 bits, and its zeros: the digits are made in pieces of so many.
    const PIECE: (u64, usize) = (10_u64.pow(18), 18);
    let Some(bignum) = Bignum::new(cell) else {
        return out.extend_from_slice(b"null");
    };
    let mut magnitude: Vec<u8> = bignum.magnitude().collect();
    let mut pieces = Vec::new();
    while !magnitude.is_empty() {
        let mut rest = 0_u128;
        for byte in &mut magnitude {
            let value = rest << 8 | u128::from(*byte);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the rest before was below the piece, so this is a byte"
            )]
            let quotient = (value / u128::from(PIECE.0)) as u8;
            *byte = quotient;
            rest = value % u128::from(PIECE.0);
        }
        pieces.push(rest);
        let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
        magnitude.drain(..zeros);
    }
    if bignum.negative && !pieces.is_empty() {
        out.push(b'-');
    }
    match pieces.pop() {
        Some(first) => out.extend_from_slice(first.to_string().as_bytes()),
        None => out.push(b'0'),
    }
    for piece in pieces.iter().rev() {
        out.extend_from_slice(format!("{piece:0width$}", width = PIECE.1).as_bytes());
    }
}

/// A text in quotes; `null` when it is no UTF-8.
pub(super) fn text(out: &mut Vec<u8>, text: &[u8]) {
    let is_special = |byte: u8| !(0x20..0x80).contains(&byte) | (byte == b'"') | (byte == b'\\');
    // Without early returns, so that many bytes are looked at together: most texts hold nothing special.
    if !text.iter().fold(false, |special, byte| special | is_special(*byte)) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text);
        return out.push(b'"');
    }
    if std::str::from_utf8(text).is_err() {
        return out.extend_from_slice(b"null");
    }
    out.push(b'"');
    let mut plain = 0;
    for (at, byte) in text.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..=0x1f => 0,
            _ => continue,
        };
        out.extend_from_slice(&text[plain..at]);
        plain = at + 1;
        if short == 0 {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
    }
    out.extend_from_slice(&text[plain..]);
    out.push(b'"');
}

/// JSON text as it is, but for line breaks and tabs between its tokens: records are lines in many places.
fn embedded(out: &mut Vec<u8>, text: &[u8]) {
    let is_json = std::str::from_utf8(text).is_ok_and(|text| json_scan::scan(text, &mut Silent).is_ok());
    if !is_json {
        return out.extend_from_slice(b"null");
    }
    // Within JSON's texts these are always escaped.
    out.extend(text.iter().map(|byte| {
        if matches!(byte, b'\n' | b'\r' | b'\t') {
            b' '
        } else {
            *byte
        }
    }));
}

fn blob(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    let length = bytes.len().div_ceil(3) * 4;
    out.resize(start + length, 0);
    // The room is what the encoding takes.
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
    out.push(b'"');
}

fn bits(out: &mut Vec<u8>, cell: &[u8]) {
    out.push(b'"');
    if let [unused, bytes @ ..] = cell {
        for at in usize::from(*unused)..bytes.len() * 8 {
            out.push(b'0' + (bytes[at / 8] >> (7 - at % 8) & 1));
        }
    }
    out.push(b'"');
}

fn uuid(out: &mut Vec<u8>, value: u128) {
    let bytes = value.to_be_bytes();
    out.push(b'"');
    for (part, range) in [0..4, 4..6, 6..8, 8..10, 10..16].into_iter().enumerate() {
        if part > 0 {
            out.push(b'-');
        }
        hex(out, &bytes[range]);
    }
    out.push(b'"');
}

/// Two hexadecimal digits for each byte.
pub(crate) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    for (pair, byte) in out[start..].as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
}

/// The time of day in UTC.
fn time_tz(out: &mut Vec<u8>, stored: u64) -> Option<()> {
    const DAY_MICROS: i64 = 86_400_000_000;
    #[expect(clippy::cast_possible_wrap, reason = "40 and 24 bits")]
    let (micros, offset) = ((stored >> 24) as i64, TIMETZ_OFFSET_MAX_S - (stored & 0xff_ffff) as i64);
    iso::time(out, (micros - offset * 1_000_000).rem_euclid(DAY_MICROS) * 1_000)?;
    out.push(b'Z');
    Some(())
}

/// What `write` writes, in quotes; `null` when it has nothing.
fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) {
    let start = out.len();
    out.push(b'"');
    match write(out) {
        Some(()) => out.push(b'"'),
        None => {
            out.truncate(start);
            out.extend_from_slice(b"null");
        }
    }
}

/// # Safety
/// The rows are within the vector.
unsafe fn list(out: &mut Vec<u8>, items: &Vector, rows: std::ops::Range<usize>) {
    out.push(b'[');
    let first = rows.start;
    for row in rows {
        if row > first {
            out.push(b',');
        }
        // SAFETY: as the caller says.
        unsafe { write(out, items, row) };
    }
    out.push(b']');
}

/// What an object has before a field's value.
pub(super) fn label(is_first: bool, name: &str) -> Vec<u8> {
    let mut out = vec![if is_first { b'{' } else { b',' }];
    text(&mut out, name.as_bytes());
    out.push(b':');
    out
}

/// # Safety
/// The row is within the fields' vectors.
unsafe fn structure(out: &mut Vec<u8>, fields: &Fields, row: usize) {
    // A tuple's fields have no names, and an object would lose all but one.
    let named = fields.all.iter().any(|(name, _)| !name.is_empty());
    for (index, (_, field)) in fields.all.iter().enumerate() {
        match (named, index) {
            (true, _) => out.extend_from_slice(&fields.labels[index]),
            (false, 0) => out.push(b'['),
            (false, _) => out.push(b','),
        }
        // SAFETY: as the caller says.
        unsafe { write(out, field, row) };
    }
    out.push(if named { b'}' } else { b']' });
}

/// # Safety
/// The rows are within the vectors.
unsafe fn map(out: &mut Vec<u8>, keys: &Vector, values: &Vector, rows: std::ops::Range<usize>) {
    let object = matches!(keys.kind, Kind::Text | Kind::Enum(_));
    out.push(if object { b'{' } else { b'[' });
    let first = rows.start;
    for row in rows {
        if row > first {
            out.push(b',');
        }
        if !object {
            out.push(b'[');
        }
        // SAFETY: as the caller says.
        unsafe { write(out, keys, row) };
        out.push(if object { b':' } else { b',' });
        // SAFETY: as above.
        unsafe { write(out, values, row) };
        if !object {
            out.push(b']');
        }
    }
    out.push(if object { b'}' } else { b']' });
}
