//! What DuckDB's types mean to a sync: as keys, as stored values, as fields of a record, and as they change.
//!
//! Types are DuckDB's own texts, such as `DECIMAL(10,2)`.

use crate::destination::FieldType;

/// The type that values of `data_type` are kept as. Enumerations are kept as text, because their lists of values change
/// from run to run.
pub(super) fn stored(data_type: &str) -> String {
    match data_type {
        _ if data_type.starts_with("ENUM(") && data_type.ends_with(')') => "VARCHAR".to_owned(),
        "NULL" | "\"NULL\"" => "INTEGER".to_owned(),
        _ => data_type.to_owned(),
    }
}

/// Why values of that type cannot tell rows or records apart, if so.
pub(super) fn key_fault(data_type: &str) -> Option<&'static str> {
    match base(data_type) {
        "FLOAT" | "DOUBLE" => {
            Some("is a floating-point number, which has no exact equality; cast it to DECIMAL or text")
        }
        "JSON" | "VARIANT" | "GEOMETRY" => Some("has no equality that a destination shares; cast it to text"),
        "STRUCT" | "MAP" | "UNION" => Some("is nested; use its parts as columns of their own"),
        _ if data_type.ends_with(']') => Some("is a list; use a scalar column"),
        _ => None,
    }
}

/// Whether DuckDB's `=` agrees with the canonical equality (rule 14). Others compare by their canonical hash.
pub(super) fn compares_by_value(data_type: &str) -> bool {
    is_integer(data_type)
        || matches!(
            base(data_type),
            "BOOLEAN"
                | "DECIMAL"
                | "VARCHAR"
                | "BLOB"
                | "BIT"
                | "UUID"
                | "DATE"
                | "TIME"
                | "TIMESTAMP"
                | "TIMESTAMP_S"
                | "TIMESTAMP_MS"
                | "TIMESTAMP_NS"
                | "TIMESTAMP WITH TIME ZONE"
        )
}

/// Whether every value of that type has a JSON form, so that no row need be looked at.
pub(super) fn is_always_sound(data_type: &str) -> bool {
    is_integer(data_type)
        || matches!(
            base(data_type),
            "BOOLEAN" | "DECIMAL" | "VARCHAR" | "BLOB" | "BIT" | "UUID" | "TIME" | "INTERVAL"
        )
}

/// What a field of that type is to a plugin.
pub(super) fn field_type(data_type: &str) -> FieldType {
    if is_integer(data_type) {
        return FieldType::Integer;
    }
    match base(data_type) {
        _ if data_type.ends_with(']') => FieldType::Json,
        "BOOLEAN" => FieldType::Boolean,
        "DECIMAL" => FieldType::Decimal,
        "FLOAT" | "DOUBLE" => FieldType::Float,
        "DATE" => FieldType::Date,
        "TIME" | "TIME_NS" | "TIME WITH TIME ZONE" => FieldType::Time,
        "TIMESTAMP" | "TIMESTAMP_S" | "TIMESTAMP_MS" | "TIMESTAMP_NS" => FieldType::Datetime,
        "TIMESTAMP WITH TIME ZONE" => FieldType::Instant,
        "BLOB" | "GEOMETRY" => FieldType::Bytes,
        "JSON" | "STRUCT" | "MAP" | "UNION" | "VARIANT" => FieldType::Json,
        _ => FieldType::Text,
    }
}

/// Whether every value of `old` is the same value of `new`, equal under the canonical encoding and in JSON (rule 11).
pub(crate) fn is_widening(old: &str, new: &str) -> bool {
    if old == new {
        return true;
    }
    if let (Some(old), Some(new)) = (integer_range(old), integer_range(new)) {
        return new.0 >= old.0 && new.1 >= old.1;
    }
    if let (Some((old_width, old_scale)), Some((width, scale))) = (decimal(old), decimal(new)) {
        return scale >= old_scale && width - scale >= old_width - old_scale;
    }
    matches!(
        (old, new),
        ("FLOAT", "DOUBLE")
            | ("TIMESTAMP_S", "TIMESTAMP_MS" | "TIMESTAMP" | "TIMESTAMP_NS")
            | ("TIMESTAMP_MS", "TIMESTAMP" | "TIMESTAMP_NS")
            | ("TIMESTAMP", "TIMESTAMP_NS")
    )
}

fn is_integer(data_type: &str) -> bool {
    integer_range(data_type).is_some() || data_type == "BIGNUM"
}

/// Bits below zero and above it: a range holds another where both numbers are no smaller.
fn integer_range(data_type: &str) -> Option<(u32, u32)> {
    Some(match data_type {
        "TINYINT" => (7, 7),
        "SMALLINT" => (15, 15),
        "INTEGER" => (31, 31),
        "BIGINT" => (63, 63),
        "HUGEINT" => (127, 127),
        "UTINYINT" => (0, 8),
        "USMALLINT" => (0, 16),
        "UINTEGER" => (0, 32),
        "UBIGINT" => (0, 64),
        "UHUGEINT" => (0, 128),
        _ => return None,
    })
}

/// Width and scale of a `DECIMAL(width,scale)`.
fn decimal(data_type: &str) -> Option<(i32, i32)> {
    let (width, scale) = data_type.strip_prefix("DECIMAL(")?.strip_suffix(')')?.split_once(',')?;
    Some((width.trim().parse().ok()?, scale.trim().parse().ok()?))
}

/// The type's name without its parameters.
fn base(data_type: &str) -> &str {
    data_type.split('(').next().unwrap_or(data_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_11_widening_keeps_every_value() {
        for (old, new) in [
            ("INTEGER", "BIGINT"),
            ("UINTEGER", "BIGINT"),
            ("DECIMAL(10,2)", "DECIMAL(12,2)"),
            ("DECIMAL(10,2)", "DECIMAL(12,4)"),
            ("FLOAT", "DOUBLE"),
            ("VARCHAR", "VARCHAR"),
        ] {
            assert!(is_widening(old, new), "{old} to {new}");
        }
        for (old, new) in [
            ("BIGINT", "INTEGER"),
            ("INTEGER", "UBIGINT"),
            ("INTEGER", "VARCHAR"),
            ("DECIMAL(10,2)", "DECIMAL(10,4)"),
            ("DATE", "TIMESTAMP"),
        ] {
            assert!(!is_widening(old, new), "{old} to {new}");
        }
    }

    #[test]
    fn rule_11_keys_without_exact_equality_are_refused() {
        for refused in [
            "FLOAT",
            "DOUBLE",
            "JSON",
            "INTEGER[]",
            "STRUCT(a INTEGER)",
            "MAP(VARCHAR, INTEGER)",
            "INTEGER[3]",
        ] {
            assert!(key_fault(refused).is_some(), "{refused}");
        }
        for fine in [
            "INTEGER",
            "VARCHAR",
            "DECIMAL(18,3)",
            "UUID",
            "INTERVAL",
            "TIMESTAMP WITH TIME ZONE",
            "ENUM('a', 'b')",
        ] {
            assert!(key_fault(fine).is_none(), "{fine}");
        }
    }
}
