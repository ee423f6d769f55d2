//! Values as JSON text (rule 40), and values that have none.

use super::*;

#[track_caller]
fn json(expression: &str) -> String {
    text(&format!("SELECT outflow_json({expression})"))
}

#[track_caller]
fn fault(expression: &str) -> String {
    text(&format!("SELECT outflow_fault({expression})"))
}

#[test]
fn rule_40_numbers_keep_all_their_digits() {
    for (expression, expected) in [
        ("127::TINYINT", "127"),
        ("'-9223372036854775808'::BIGINT", "-9223372036854775808"),
        ("18446744073709551615::UBIGINT", "18446744073709551615"),
        (
            "'-170141183460469231731687303715884105728'::HUGEINT",
            "-170141183460469231731687303715884105728",
        ),
        (
            "340282366920938463463374607431768211455::UHUGEINT",
            "340282366920938463463374607431768211455",
        ),
        (
            "'-123456789012345678901234567890123456789012345678901234567890'::BIGNUM",
            "-123456789012345678901234567890123456789012345678901234567890",
        ),
        (
            "'1000000000000000000000000000000000000000000'::BIGNUM",
            "1000000000000000000000000000000000000000000",
        ),
        ("'0'::BIGNUM", "0"),
        ("1.10::DECIMAL(5,2)", "1.10"),
        ("-0.05::DECIMAL(3,2)", "-0.05"),
        ("0.001::DECIMAL(3,3)", "0.001"),
        ("0::DECIMAL(3,3)", "0.000"),
        ("12::DECIMAL(9,0)", "12"),
        (
            "99999999999999999999999999999999999.999::DECIMAL(38,3)",
            "99999999999999999999999999999999999.999",
        ),
        ("-12345678901234567.8901::DECIMAL(38,4)", "-12345678901234567.8901"),
        ("0.1::DOUBLE", "0.1"),
        ("0.1::FLOAT", "0.1"),
        ("1e300::DOUBLE", "1e+300"),
        ("1::DOUBLE", "1.0"),
        ("true", "true"),
        ("NULL", "null"),
    ] {
        assert_eq!(json(expression), expected, "{expression}");
    }
}

#[test]
fn rule_40_texts_and_bytes() {
    for (expression, expected) in [
        ("'a\"b\\c'", r#""a\"b\\c""#),
        ("'ä€😀'", "\"ä€😀\""),
        (
            "chr(10) || chr(9) || chr(13) || chr(8) || chr(12) || chr(1) || chr(127)",
            "\"\\n\\t\\r\\b\\f\\u0001\u{7f}\"",
        ),
        ("''", "\"\""),
        ("'x'::ENUM('x')", "\"x\""),
        ("'\\x00\\xFF\\x01\\x02'::BLOB", "\"AP8BAg==\""),
        ("''::BLOB", "\"\""),
        ("'10110'::BIT", "\"10110\""),
        ("'101101011'::BIT", "\"101101011\""),
        (
            "uuid 'F23E4567-e89b-12d3-a456-426614174000'",
            "\"f23e4567-e89b-12d3-a456-426614174000\"",
        ),
        (
            "uuid '00000000-0000-0000-0000-00000000000a'",
            "\"00000000-0000-0000-0000-00000000000a\"",
        ),
    ] {
        assert_eq!(json(expression), expected, "{expression}");
    }
}

#[test]
fn rule_40_dates_and_times_are_iso_8601() {
    for (expression, expected) in [
        ("DATE '2024-02-29'", "2024-02-29"),
        ("DATE '0044-03-15 (BC)'", "-0043-03-15"),
        ("DATE '12024-01-01'", "+12024-01-01"),
        ("TIME '01:02:03.5'", "01:02:03.500"),
        ("TIME '24:00:00'", "24:00:00"),
        ("'01:02:03.123456789'::TIME_NS", "01:02:03.123456789"),
        ("'00:30:00+01:30'::TIMETZ", "23:00:00Z"),
        ("'12:00:00-05'::TIMETZ", "17:00:00Z"),
        ("TIMESTAMP '2024-01-02 03:04:05'", "2024-01-02T03:04:05"),
        ("TIMESTAMP '1969-12-31 23:59:59.000001'", "1969-12-31T23:59:59.000001"),
        ("TIMESTAMP_S '2024-01-02 03:04:05'", "2024-01-02T03:04:05"),
        ("TIMESTAMP_MS '2024-01-02 03:04:05.006'", "2024-01-02T03:04:05.006"),
        (
            "TIMESTAMP_NS '2024-01-02 03:04:05.000000001'",
            "2024-01-02T03:04:05.000000001",
        ),
        ("TIMESTAMPTZ '2024-01-02 03:04:05+05:30'", "2024-01-01T21:34:05Z"),
        (
            "INTERVAL 14 MONTHS + INTERVAL 3 DAYS + INTERVAL 90 SECONDS",
            "P1Y2M3DT1M30S",
        ),
        ("INTERVAL 0 SECONDS", "PT0S"),
    ] {
        assert_eq!(json(expression), format!("\"{expected}\""), "{expression}");
    }
}

#[test]
fn rule_40_nested_values() {
    for (expression, expected) in [
        ("[1, NULL, 3]", "[1,null,3]"),
        ("[]::INT[]", "[]"),
        ("[[1], [], NULL]", "[[1],[],null]"),
        ("[1, 2]::INT[2]", "[1,2]"),
        ("{'b': 1, 'a': {'x y\"': 'z'}}", r#"{"b":1,"a":{"x y\"":"z"}}"#),
        ("row(1, 'a')", r#"[1,"a"]"#),
        ("MAP {'k': 1, 'l': NULL}", r#"{"k":1,"l":null}"#),
        ("MAP {1: 'a', 2: 'b'}", r#"[[1,"a"],[2,"b"]]"#),
        ("union_value(n := 5)", "5"),
        ("[{'d': 1.50::DECIMAL(4,2)}]", r#"[{"d":1.50}]"#),
    ] {
        assert_eq!(json(expression), expected, "{expression}");
    }
    assert_eq!(
        text("SELECT outflow_json({a: i, c: 'x', l: [i, 7]}) FROM range(3) AS r(i) ORDER BY i DESC"),
        r#"{"a":2,"c":"x","l":[2,7]}"#
    );
}

#[test]
fn rule_40_json_is_embedded_as_it_is_on_one_line() {
    assert_eq!(
        json(r#"'{"b": 1.50, "a": "\u00e4"}'::JSON"#),
        r#"{"b": 1.50, "a": "\u00e4"}"#
    );
    assert_eq!(
        json(r#"{'j': '[1, 2]'::JSON, 'l': ['{}'::JSON]}"#),
        r#"{"j":[1, 2],"l":[{}]}"#
    );
    assert_eq!(json(r#"('[1,' || chr(10) || '2]')::JSON"#), "[1, 2]");
}

#[test]
fn rule_40_values_without_a_json_form_are_faults() {
    for expression in [
        "'nan'::DOUBLE",
        "'inf'::FLOAT",
        "'-inf'::DOUBLE",
        "[1.0::DOUBLE, 'nan']",
        "{'a': {'b': 'nan'::DOUBLE}}",
        "MAP {'a': 'inf'::DOUBLE}",
        "union_value(n := 'nan'::DOUBLE)",
        "'infinity'::DATE",
        "'-infinity'::TIMESTAMP",
        "'infinity'::TIMESTAMPTZ",
        "'[1,]'::JSON",
        "'NaN'::JSON",
        r#"'{"a":1,"b":2,"a":1}'::JSON"#,
        r#"'[{"x":{"a":1,"\u0061":2}}]'::JSON"#,
        "1, 'a', 'nan'::DOUBLE",
        "['nan'::DOUBLE, 1]::DOUBLE[2]",
    ] {
        assert_ne!(fault(expression), "NULL", "{expression}");
        let one = expression.split(", 'a', ").last().unwrap_or(expression);
        serde_json::from_str::<serde_json::Value>(&json(one)).unwrap();
    }
    for expression in [
        "1, 'a', NULL, 1.5::DOUBLE, [1], {'a': 1}",
        "NULL",
        "'{}'::JSON",
        "NULL::JSON, DATE '2024-01-01'",
        r#"'{"a":{"a":"a","b":["a","a"]},"b":[{"a":1},{"a":2}]}'::JSON"#,
        "union_value(s := 'x')",
    ] {
        assert_eq!(fault(expression), "NULL", "{expression}");
    }
    assert!(fault("{'a': {'b': 'nan'::DOUBLE}}").contains("`b`"));
}

#[test]
fn outflow_json_takes_one_value() {
    assert!(
        open()
            .connect()
            .unwrap()
            .scalar::<String>("SELECT outflow_json(1, 2)")
            .is_err()
    );
}
