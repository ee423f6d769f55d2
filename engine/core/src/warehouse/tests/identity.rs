//! What is equal and what is not (rule 14), and that nothing but the values counts.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn hash(connection: &Connection, expression: &str) -> u128 {
    let sql = format!("SELECT outflow_hash({expression})");
    connection
        .scalar::<u128>(&sql)
        .unwrap_or_else(|error| panic!("{expression}: {error}"))
        .unwrap()
}

#[test]
fn rule_14_equal_values_have_equal_hashes() {
    let connection = open().connect().unwrap();
    for (a, b) in [
        ("'nan'::DOUBLE", "(-'nan'::DOUBLE)"),
        ("'nan'::DOUBLE", "'nan'::FLOAT"),
        ("-0.0::DOUBLE", "0.0::DOUBLE"),
        ("1.10::DECIMAL(5,2)", "1.1::DECIMAL(3,1)"),
        ("100.00::DECIMAL(38,2)", "100::TINYINT"),
        ("0.00::DECIMAL(9,2)", "0"),
        ("-5::SMALLINT", "-5::HUGEINT"),
        ("5::UTINYINT", "5::BIGNUM"),
        (
            "'-170141183460469231731687303715884105728'::HUGEINT",
            "'-170141183460469231731687303715884105728'::BIGNUM",
        ),
        (
            "340282366920938463463374607431768211455::UHUGEINT",
            "'340282366920938463463374607431768211455'::BIGNUM",
        ),
        ("9223372036854775808::UBIGINT", "9223372036854775808::HUGEINT"),
        ("0.5::FLOAT", "0.5::DOUBLE"),
        ("'a'", "'a'::ENUM('b', 'a')"),
        ("TIMESTAMP '2024-01-02 03:04:05'", "TIMESTAMP_NS '2024-01-02 03:04:05'"),
        (
            "TIMESTAMP_S '2024-01-02 03:04:05'",
            "TIMESTAMP_MS '2024-01-02 03:04:05'",
        ),
        ("'infinity'::TIMESTAMP", "'infinity'::TIMESTAMP_NS"),
        (
            "TIMESTAMPTZ '2024-01-02 03:04:05+01'",
            "TIMESTAMPTZ '2024-01-02 02:04:05Z'",
        ),
        ("TIME '01:02:03'", "'01:02:03'::TIME_NS"),
        ("[1, 2]", "[1, 2]::INT[2]"),
        ("[1, 2]", "[1.0::DECIMAL(3,1), 2.0::DECIMAL(3,1)]"),
        ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}"),
        ("MAP {'x': 1, 'y': 2}", "MAP {'y': 2, 'x': 1}"),
        (
            r#"'{"a": 1, "b": [1, {"c": null}]}'::JSON"#,
            r#"'{ "b":[1,{"c":null}],"a":1.0 }'::JSON"#,
        ),
        (r#"'"\u0041"'::JSON"#, r#"'"A"'::JSON"#),
        ("'1e2'::JSON", "'100.00'::JSON"),
        ("'-0'::JSON", "'0.0'::JSON"),
        ("'0.001'::JSON", "'1E-3'::JSON"),
    ] {
        assert_eq!(hash(&connection, a), hash(&connection, b), "{a} and {b}");
    }
}

#[test]
fn rule_14_different_values_have_different_hashes() {
    let connection = open().connect().unwrap();
    let values = [
        "NULL",
        "''",
        "' '",
        "'NULL'",
        "[]",
        "[NULL]",
        "[NULL, NULL]",
        "[[]]",
        "NULL::INT, NULL::INT",
        "'', ''",
        "'a', 'b'",
        "'ab', ''",
        "'', 'ab'",
        "['a', 'b']",
        "['ab']",
        "['b', 'a']",
        "0",
        "1",
        "-1",
        "0.1::DECIMAL(3,1)",
        "0.01::DECIMAL(3,2)",
        "10",
        "0::DOUBLE",
        "'nan'::DOUBLE",
        "'inf'::DOUBLE",
        "'-inf'::DOUBLE",
        "'0'",
        "false",
        "true",
        "'\\x00'::BLOB",
        "''::BLOB",
        "DATE '1970-01-01'",
        "TIMESTAMP '1970-01-01'",
        "TIMESTAMPTZ '1970-01-01 00:00:00Z'",
        "TIME '00:00:00'",
        "'00:00:00+00'::TIMETZ",
        "'00:00:00+01'::TIMETZ",
        "INTERVAL 1 MONTH",
        "INTERVAL 30 DAYS",
        "INTERVAL 720 HOURS",
        "9223372036854775807",
        "9223372036854775808",
        "170141183460469231731687303715884105728::UHUGEINT",
        "'340282366920938463463374607431768211456'::BIGNUM",
        "'-340282366920938463463374607431768211456'::BIGNUM",
        "{'a': 1}",
        "{'a': NULL}",
        "{'b': 1}",
        "{'a': 1, 'b': 2}",
        "{'a': 2, 'b': 1}",
        "row(1, 2)",
        "row(2, 1)",
        "MAP {'x': 1}",
        "MAP {'x': 1, 'y': 1}",
        "MAP {'a': 'b'}",
        "MAP {'b': 'a'}",
        "MAP {}",
        "union_value(a := 1)",
        "union_value(b := 1)",
        "'null'::JSON",
        "'1'::JSON",
        "'[1,2]'::JSON",
        "'[2,1]'::JSON",
        "'[]'::JSON",
        "'{}'::JSON",
        "'[{}]'::JSON",
        "'[[],[]]'::JSON",
        "'[[[]]]'::JSON",
        r#"'{"a":1}'::JSON"#,
        r#"'{"a":"1"}'::JSON"#,
        r#"'{"a":1,"b":2}'::JSON"#,
        r#"'{"a":2,"b":1}'::JSON"#,
        r#"'{"a":null}'::JSON"#,
        "'\"\"'::JSON",
        "'0.1'::JSON",
        "'10'::JSON",
        "'100'::JSON",
        "'-1'::JSON",
        "uuid '00000000-0000-0000-0000-000000000000'",
        "uuid '00000000-0000-0000-0000-000000000001'",
        "'0'::BIT",
        "'00'::BIT",
        "'01'::BIT",
        "'infinity'::TIMESTAMP",
        "'-infinity'::TIMESTAMP",
        "'infinity'::DATE",
    ];
    let mut seen = BTreeMap::new();
    for value in values {
        if let Some(other) = seen.insert(hash(&connection, value), value) {
            panic!("{value} and {other} are one");
        }
    }
}

/// Ledgers keep hashes: these must never change under one scheme's name.
#[test]
fn hashes_of_the_scheme_stay() {
    assert_eq!(HASH_SCHEME, "xxh3-128/1");
    let connection = open().connect().unwrap();
    let all = "1, -1.5::DECIMAL(9,3), 'text', NULL, true, 1.5::DOUBLE, DATE '2024-02-29', TIMESTAMP '2024-02-29 12:00:00', [1, 2], \
               {'a': 1, 'b': 'x'}, MAP {'k': 1}, '{\"j\": [1.0, \"x\"]}'::JSON, uuid '123e4567-e89b-12d3-a456-426614174000', INTERVAL 1 DAY";
    assert_eq!(
        format!("{:032x}", hash(&connection, all)),
        "9c38aa1c55158d16c5dc6021a9c7d2fa"
    );
    assert_eq!(
        format!("{:032x}", hash(&connection, "NULL")),
        "a6cd5e9392000f6ac44bdff4074eecdb"
    );
}

/// A literal NULL, which DuckDB would answer itself.
#[test]
fn a_hash_is_never_null() {
    let connection = open().connect().unwrap();
    assert_eq!(
        connection
            .scalar::<bool>("SELECT outflow_hash(NULL, 1) IS NULL OR outflow_hash(NULL) IS NULL")
            .unwrap(),
        Some(false)
    );
    assert_ne!(hash(&connection, "1, NULL"), hash(&connection, "1"));
}

#[test]
fn every_type_of_duckdb_has_a_hash_a_json_form_and_an_answer_to_faults() {
    let connection = open().connect().unwrap();
    let columns = connection
        .query_rows(
            "SELECT column_name, column_type FROM (DESCRIBE FROM test_all_types(use_large_enum := true))",
            |row| Ok::<(String, String), WarehouseError>((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert!(columns.len() > 50, "{}", columns.len());
    for (name, data_type) in columns {
        let column = quote::identifier(&name);
        if data_type == "VARIANT" {
            let error = connection.scalar::<u128>(&format!("SELECT outflow_hash({column}) FROM test_all_types()"));
            assert!(error.unwrap_err().to_string().contains("cast it"));
            continue;
        }
        let sql = format!(
            "SELECT outflow_hash({column}), outflow_json({column}), outflow_fault({column}), {column} IS NULL FROM test_all_types(use_large_enum := true)"
        );
        let rows = connection
            .query_rows(&sql, |row| {
                Ok::<(u128, String, Option<String>, bool), WarehouseError>((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                ))
            })
            .unwrap_or_else(|error| panic!("{name} {data_type}: {error}"));
        assert_eq!(rows.len(), 3, "{name}");
        for (_, json, fault, is_null) in &rows {
            serde_json::from_str::<serde_json::Value>(json).unwrap_or_else(|error| panic!("{name}: {json}: {error}"));
            assert_eq!(*is_null, json == "null" && fault.is_none(), "{name}: {json} {fault:?}");
        }
        let hashes: BTreeSet<_> = rows.iter().map(|row| row.0).collect();
        assert!(
            hashes.len() == 3 || data_type.contains("[]") || rows[0].1 == rows[1].1,
            "{name}: {rows:?}"
        );
    }
}

/// The same rows by ways that give DuckDB's vectors every form: flat, constant, dictionary, sliced, nested.
const SHAPES: [&str; 14] = [
    "SELECT id, outflow_hash(COLUMNS) AS h FROM t",
    "SELECT id, outflow_hash(COLUMNS) AS h FROM t ORDER BY id DESC",
    "SELECT id, h FROM (SELECT id, outflow_hash(COLUMNS) AS h, row_number() OVER (ORDER BY id DESC) AS n FROM t) WHERE n > 0",
    "SELECT t.id, outflow_hash(COLUMNS) AS h FROM t JOIN (SELECT id AS other FROM t) AS o ON t.id = o.other",
    "SELECT t.id, outflow_hash(COLUMNS) AS h FROM (SELECT id AS other FROM t) AS o LEFT JOIN t ON t.id = o.other",
    "SELECT id, any_value(h) AS h FROM (SELECT id, outflow_hash(COLUMNS) AS h FROM t, range(3)) GROUP BY id",
    "SELECT id, outflow_hash(COLUMNS) AS h FROM (FROM t WHERE id % 2 = 0 UNION ALL FROM t WHERE id % 2 = 1)",
    "SELECT id, outflow_hash(COLUMNS) AS h FROM (SELECT DISTINCT * FROM t)",
    "SELECT id, outflow_hash(COLUMNS) AS h FROM (SELECT unnest(list(t), max_depth := 2) FROM t)",
    "SELECT id, outflow_hash(COLUMNS) AS h FROM (SELECT id, first(a), first(b), first(c), first(d), first(e), first(f), first(g), first(k) FROM t GROUP BY id) AS firsts(id, a, b, c, d, e, f, g, k)",
    "SELECT id, (SELECT outflow_hash(COLUMNS)) AS h FROM t",
    "SELECT id, CASE WHEN id >= 0 THEN outflow_hash(COLUMNS) END AS h FROM t",
    "SELECT id, outflow_hash(COLUMNS) AS h FROM (SELECT id, lag(a, 0) OVER w AS a, lag(b, 0) OVER w AS b, lag(c, 0) OVER w AS c, lag(d, 0) OVER w AS d, \
     lag(e, 0) OVER w AS e, lag(f, 0) OVER w AS f, lag(g, 0) OVER w AS g, lag(k, 0) OVER w AS k FROM t WINDOW w AS (ORDER BY id))",
    "SELECT id, h FROM (SELECT t.id, outflow_hash(COLUMNS) AS h FROM t LIMIT 1000000) WHERE h IS NOT NULL",
];

/// What is hashed: columns as they are, and nested ones made of them and of constants.
const COLUMNS: [&[&str]; 5] = [
    &["a", "b", "c", "d", "e", "f", "g", "k"],
    &["{'c': 1, 'a': a, 'b': b, 'l': c, 'k': 'constant'}"],
    &["[a, 1, NULL]", "[c, ['x']]", "{'s': d, 'n': NULL::INT}"],
    &[
        "MAP {'x': a, 'y': 1}",
        "[{'p': a, 'q': 'q'}, {'p': 2, 'q': b}]",
        "{'a': a, 'z': [b]}",
    ],
    &[
        "list_transform(c, x -> {'v': x, 'i': a})",
        "list_filter(c, x -> x IS NOT NULL)",
        "list_sort(c)",
        "c[1:2]",
        "d.x",
        "[d, d]",
    ],
];

type Texts = Vec<Option<String>>;

fn fill(connection: &Connection, rows: &[(Option<i64>, Option<String>, Option<Texts>)]) {
    connection
        .execute(
            "CREATE OR REPLACE TABLE t(id BIGINT, a BIGINT, b VARCHAR, c VARCHAR[], d STRUCT(x INT, y VARCHAR), e DECIMAL(18,3), f MAP(VARCHAR, BIGINT), \
             g INT[2], k UNION(n BIGINT, s VARCHAR))",
        )
        .unwrap();
    let sql_text = |text: &Option<String>| {
        text.as_deref()
            .map_or("NULL".into(), |text| quote::text(&text.replace('\0', "0")))
    };
    let values: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(id, (number, text, list))| {
            let number = number.map_or("NULL".into(), |number| number.to_string());
            let list = list.as_ref().map_or("NULL".into(), |list| format!("[{}]::VARCHAR[]", list.iter().map(sql_text).collect::<Vec<_>>().join(",")));
            let text = sql_text(text);
            let member = if id % 2 == 0 { format!("union_value(n := {number}::BIGINT)") } else { format!("union_value(s := {text})") };
            format!(
                "({id}, {number}, {text}, {list}, {{'x': {id}, 'y': {text}}}, {id}.125, MAP {{'id': {id}, 'n': {number}::BIGINT}}, [{id}, NULL], {member})"
            )
        })
        .collect();
    // Several copies, so that chunks are full and more than one.
    connection
        .execute(&format!("INSERT INTO t VALUES {}", values.join(",")))
        .unwrap();
    let count = rows.len();
    connection
        .execute(&format!(
            "INSERT INTO t SELECT id + {count} * (r.range + 1), a, b, c, d, e, f, g, k FROM t, range({}) AS r",
            5_000 / count
        ))
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    #[test]
    fn a_hash_does_not_depend_on_the_plan(
        rows in proptest::collection::vec(
            (
                proptest::option::of(any::<i64>().prop_map(|n| n % 1_000_000)),
                proptest::option::of(".{0,20}"),
                proptest::option::of(proptest::collection::vec(proptest::option::of("[a-z]{0,16}"), 0..4)),
            ),
            1..20,
        )
    ) {
        let connection = open().connect().unwrap();
        fill(&connection, &rows);
        for values in COLUMNS {
            let columns = values.join(", ");
            connection.execute(&format!("CREATE OR REPLACE TABLE stored AS {}", SHAPES[0].replace("COLUMNS", &columns))).unwrap();
            // Against values that lie in a table, where nothing is constant, sliced or shared.
            let named: Vec<_> = values.iter().enumerate().map(|(index, value)| format!("{value} AS v{index}")).collect();
            connection.execute(&format!("CREATE OR REPLACE TABLE made AS SELECT id, {} FROM t", named.join(", "))).unwrap();
            let made: Vec<_> = (0..values.len()).map(|index| format!("made.v{index}")).collect();
            let json: Vec<_> = values
                .iter()
                .enumerate()
                .map(|(index, value)| format!("outflow_json({value}) <> outflow_json(made.v{index})"))
                .collect();
            let differing = format!(
                "SELECT count(*)::UBIGINT FROM made JOIN t USING (id) JOIN stored USING (id) WHERE h <> outflow_hash({}) OR {}",
                made.join(", "),
                json.join(" OR ")
            );
            let count = connection.scalar::<u64>(&differing).unwrap_or_else(|error| panic!("{differing}: {error}"));
            prop_assert_eq!(count, Some(0), "{}", columns);
            for shape in SHAPES {
                let query = shape.replace("COLUMNS", &columns);
                let differing = format!(
                    "SELECT count(*)::UBIGINT FROM ({query}) AS q FULL JOIN stored USING (id) WHERE q.h IS DISTINCT FROM stored.h"
                );
                let count = connection.scalar::<u64>(&differing).unwrap_or_else(|error| panic!("{query}: {error}"));
                prop_assert_eq!(count, Some(0), "{}", query);
            }
        }
    }
}
