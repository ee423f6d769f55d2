//! Quantities as people write them: `256MB`, `1h30m`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A number of bytes, written with a unit: `256MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

/// Units, largest first.
const BYTE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = BYTE_UNITS.iter().find(|(unit, _)| *unit == &text[digits.len()..]);
        let size = digits
            .parse::<u64>()
            .ok()
            .zip(unit)
            .and_then(|(count, (_, unit))| count.checked_mul(*unit));
        size.map(Self).ok_or_else(|| {
            format!("`{text}` is no size; a size is a number with B, kB, MB, GB, KiB, MiB or GiB, as `256MB`")
        })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, unit): &&(&str, u64)| self.0 > 0 && self.0.is_multiple_of(*unit);
        let (name, unit) = BYTE_UNITS
            .iter()
            .filter(fits)
            .max_by_key(|(_, unit)| *unit)
            .unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A number of bytes with its unit: B, kB, MB, GB, KiB, MiB or GiB.",
            "pattern": "^[0-9]{1,9}(B|kB|MB|GB|KiB|MiB|GiB)$",
            "examples": ["256MB", "2GB"],
        })
    }
}

/// A length of time, written with units: `15m`, `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

const SPAN_UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is no length of time; write days, hours, minutes and seconds, as `1h30m`");
        let mut seconds = 0;
        let mut units = SPAN_UNITS.iter();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
            let count: u64 = rest[..end].parse().map_err(|_| fault())?;
            let (_, unit) = units
                .find(|(unit, _)| rest[end..].starts_with(*unit))
                .ok_or_else(fault)?;
            seconds = count
                .checked_mul(*unit)
                .and_then(|add| add.checked_add(seconds))
                .ok_or_else(fault)?;
            rest = &rest[end + 1..];
        }
        if text.is_empty() {
            Err(fault())
        } else {
            Ok(Self(Duration::from_secs(seconds)))
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_secs();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, seconds) in SPAN_UNITS {
            if rest >= seconds {
                write!(f, "{}{unit}", rest / seconds)?;
                rest %= seconds;
            }
        }
        Ok(())
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time in days, hours, minutes and seconds.",
            "pattern": "^(?=.)([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$",
            "examples": ["15m", "1h30m", "1d"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [
            ("256MB", 256_000_000),
            ("2GiB", 2 << 30),
            ("1kB", 1000),
            ("7B", 7),
            ("1500kB", 1_500_000),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        assert_eq!(ByteSize(256_000_000).to_string(), "256MB");
        assert_eq!(ByteSize(2 << 30).to_string(), "2GiB");
        assert_eq!(ByteSize(0).to_string(), "0B");
        for text in ["", "256", "MB", "1.5GB", "256 MB", "-1MB", "99999999999999GB", "1TB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_of_time_are_read() {
        for (text, seconds) in [("15m", 900), ("1h30m", 5400), ("1d", 86_400), ("90s", 90), ("0s", 0)] {
            let span = Span(Duration::from_secs(seconds));
            assert_eq!(text.parse(), Ok(span), "{text}");
            assert_eq!(span.to_string().parse(), Ok(span), "{text}");
        }
        for text in ["", "15", "m", "30m1h", "1m1m", "15 m", "1w", "99999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
