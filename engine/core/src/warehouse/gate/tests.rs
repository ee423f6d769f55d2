//! Ways out of a model's SQL, tried one by one.

use std::collections::BTreeSet;

use super::*;
use crate::warehouse::tests::open;
use crate::warehouse::{LEDGER, Shape};

/// An instance with a ledger, a relation `registry` (a, b) and a database `crm`, locked down.
struct Fixture {
    warehouse: Warehouse,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| quote::text(folder.path().join(name).to_str().unwrap());
        std::fs::write(folder.path().join("registry.csv"), "a,b\n1,x\n2,y\n").unwrap();
        let maker = open();
        maker
            .connect()
            .unwrap()
            .execute(&format!(
                "ATTACH {} AS crm; CREATE TABLE crm.t(a INT, b TEXT); CREATE SCHEMA crm.s; CREATE TABLE crm.s.u(c INT);
                 CREATE VIEW crm.v AS SELECT 1 AS a; CREATE VIEW crm.s.w AS SELECT 1 AS a;
                 CREATE MACRO crm.m() AS 1; CREATE MACRO crm.tm() AS TABLE SELECT 1; CREATE SEQUENCE crm.q",
                file("crm.duckdb")
            ))
            .unwrap();
        drop(maker);
        let mut warehouse = open();
        warehouse
            .attach_ledger(&folder.path().join("ledger.duckdb"), false)
            .unwrap();
        warehouse
            .connect()
            .unwrap()
            .execute(&format!(
                "CREATE TABLE {LEDGER}.entries(key INT); INSERT INTO {LEDGER}.entries VALUES (1); CREATE SEQUENCE {LEDGER}.q;
                 CREATE VIEW registry AS SELECT * FROM read_csv({0}); CREATE VIEW other AS SELECT 1 AS a;
                 ATTACH {1} AS crm (READ_ONLY)",
                file("registry.csv"),
                file("crm.duckdb")
            ))
            .unwrap();
        warehouse.files.push(folder.path().join("registry.csv"));
        warehouse.sources.insert("registry".into(), Shape::Relation);
        warehouse.sources.insert("other".into(), Shape::Relation);
        warehouse.sources.insert("crm".into(), Shape::Catalog);
        warehouse.lock_down().unwrap();
        Self {
            warehouse,
            _folder: folder,
        }
    }

    fn check(&self, sql: &str) -> Result<Vec<Column>, SqlError> {
        self.warehouse
            .check_model(sql, &["registry".to_owned(), "crm".to_owned()])
    }

    /// As it stands, and as runs use it.
    #[track_caller]
    fn passes(&self, sql: &str) {
        if let Err(error) = self.check(sql) {
            panic!("{sql}: {error}");
        }
        let table = format!("SELECT count(*)::UBIGINT FROM {} AS model", subquery(sql));
        if let Err(error) = self.warehouse.connect().unwrap().scalar::<u64>(&table) {
            panic!("{sql}: {error}");
        }
    }

    #[track_caller]
    fn refuses(&self, sql: &str) -> SqlError {
        match self.check(sql) {
            Ok(columns) => panic!("{sql} passes with {columns:?}"),
            Err(error) => error,
        }
    }
}

#[test]
fn a_model_over_its_sources_passes_with_names_and_types() {
    let fixture = Fixture::new();
    let columns = fixture
        .check("SELECT a, b AS \"B b\", 1.10 AS c, '{}'::JSON AS j FROM registry -- end\n;\n")
        .unwrap();
    let columns: Vec<_> = columns
        .iter()
        .map(|column| (column.name.as_str(), column.data_type.as_str()))
        .collect();
    assert_eq!(
        columns,
        [
            ("a", "BIGINT"),
            ("B b", "VARCHAR"),
            ("c", "DECIMAL(3,2)"),
            ("j", "JSON")
        ]
    );
    for sql in [
        "FROM registry",
        "TABLE registry;",
        "SELECT ';' AS x, a FROM registry; -- the end;\n/* of it */",
        "SELECT r.a, c FROM Registry AS r JOIN crm.t USING (a) JOIN crm.s.u ON true",
        "WITH c AS (SELECT * FROM registry), d AS (FROM c) SELECT d.a FROM d, crm.main.t WHERE d.a IN (SELECT c FROM crm.s.u)",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r",
        "WITH registry AS (SELECT * FROM registry) FROM registry",
        "SELECT sum(a) OVER (PARTITION BY b ORDER BY a) AS s, row_number() OVER () AS n, count(*) AS c FROM registry GROUP BY a, b",
        "SELECT count(*) FILTER (WHERE a > 1) AS n, list(a ORDER BY b) AS l FROM registry",
        "FROM (PIVOT registry ON b IN ('x', 'y') USING sum(a))",
        "UNPIVOT (SELECT a, a + 1 AS a2 FROM registry) ON a, a2",
        "SELECT unnest([1, 2]) AS u, [x + 1 FOR x IN [1, 2] IF x > 1] AS l, {a: 1, 'b': 2} AS s, MAP {'k': 1} AS m",
        "SELECT CASE WHEN a > 1 THEN coalesce(b, '?') ELSE nullif(b, 'x') END AS c, b LIKE 'x%' AS l, a BETWEEN 1 AND 2 AS w FROM registry",
        "SELECT CAST(a AS VARCHAR) AS x, TRY_CAST(b AS INT) AS y, b COLLATE NOCASE AS z, DATE '2020-01-01' + INTERVAL 1 DAY AS d FROM registry",
        "SELECT extract(year FROM TIMESTAMP '2020-01-01') AS y, now() AT TIME ZONE 'Europe/Berlin' AS t, random() AS r",
        "SELECT r.range AS n FROM range(10) AS r",
        "SELECT j.key, j.value FROM (SELECT '{\"a\":1}'::JSON AS d) AS x, json_each(x.d) AS j",
        "SELECT DISTINCT ON (b) a, b FROM registry ORDER BY b, a DESC LIMIT 10 OFFSET 1",
        "SELECT a FROM registry UNION SELECT a FROM crm.t EXCEPT SELECT 5",
        "VALUES (1, 'a'), (2, 'b')",
        "SELECT * EXCLUDE (b) REPLACE (a + 1 AS a) FROM registry TABLESAMPLE 10%",
        "SELECT exists(FROM crm.t) AS e, (SELECT max(a) FROM registry) AS m, a = ANY (SELECT a FROM crm.t) AS x FROM registry",
        "SELECT lower(b) AS \"from\", main.upper(b) AS u, system.main.trim(b) AS t FROM registry",
        "SELECT a, rank() OVER w AS r FROM registry WINDOW w AS (ORDER BY a) QUALIFY r = 1",
        "SELECT a, sum(a) AS s, grouping(a) AS g FROM registry GROUP BY ROLLUP (a)",
    ] {
        fixture.passes(sql);
    }
}

#[test]
fn an_expression_of_many_levels_passes() {
    let fixture = Fixture::new();
    fixture.passes(&format!("SELECT a{} AS n FROM registry", " + a".repeat(250)));
    fixture.passes(&format!(
        "SELECT {}1{} AS n FROM registry",
        "(-".repeat(200),
        ")".repeat(200)
    ));
}

#[test]
fn a_statement_that_is_no_select_is_refused() {
    let fixture = Fixture::new();
    for sql in [
        "",
        ";",
        "-- nothing",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE ledger.entries",
        "COPY registry TO 'x.csv'",
        "COPY (SELECT 1) TO 'x.csv'",
        "COPY ledger.entries FROM 'x.csv'",
        "ATTACH 'x.duckdb'",
        "DETACH ledger",
        "USE ledger",
        "PRAGMA version",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "SET threads = 1",
        "RESET threads",
        "SET VARIABLE x = 1",
        "INSTALL httpfs",
        "LOAD httpfs",
        "UPDATE EXTENSIONS",
        "CREATE TABLE x(a INT)",
        "CREATE TEMP TABLE x AS SELECT 1",
        "CREATE OR REPLACE VIEW registry AS SELECT 1",
        "CREATE MACRO lower(x) AS x",
        "CREATE SECRET s (TYPE s3)",
        "DROP VIEW registry",
        "INSERT INTO ledger.entries VALUES (1)",
        "UPDATE ledger.entries SET key = 2",
        "DELETE FROM ledger.entries",
        "TRUNCATE ledger.entries",
        "MERGE INTO ledger.entries USING registry ON key = a WHEN MATCHED THEN DELETE",
        "WITH x AS (INSERT INTO ledger.entries VALUES (1) RETURNING key) SELECT * FROM x",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "DESCRIBE registry",
        "SUMMARIZE registry",
        "SHOW TABLES",
        "SHOW ALL TABLES",
        "FROM (DESCRIBE registry)",
        "FROM (SHOW TABLES)",
        "FROM (SUMMARIZE ledger.entries)",
        "CHECKPOINT",
        "FORCE CHECKPOINT ledger",
        "VACUUM",
        "ANALYZE",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "EXPORT DATABASE 'x'",
        "IMPORT DATABASE 'x'",
        "COMMENT ON TABLE ledger.entries IS 'x'",
        "ALTER TABLE ledger.entries ADD COLUMN x INT",
        "PIVOT registry ON b USING sum(a)",
        "SELECT ?",
        "SELECT $1",
        "SELECT $name",
        "SELEC 1",
        "SELECT 1 FROM",
        "SELECT a FROM registry LIMIT ?",
    ] {
        fixture.refuses(sql);
    }
}

#[test]
fn a_table_that_is_no_source_is_refused_wherever_it_stands() {
    let fixture = Fixture::new();
    for table in [
        "other",
        "ledger.entries",
        "ledger.main.entries",
        "\"ledger\".\"entries\"",
        "LEDGER.Entries",
        "memory.main.registry",
        "main.registry",
        "main.other",
        "temp.x",
        "'x.csv'",
        "\"x.csv\"",
        "'/etc/passwd'",
        "'x.parquet'",
        "\"https://example.com/x.csv\"",
        "crm",
        "crm.v",
        "crm.main.v",
        "crm.s.w",
        "CRM.V",
        "information_schema.tables",
        "system.information_schema.tables",
        "crm.information_schema.tables",
        "duckdb_settings",
        "duckdb_tables",
        "sqlite_master",
        "crm.sqlite_master",
        "crm.duckdb_tables",
        "pg_catalog.pg_class",
        "pg_class",
        "system.main.duckdb_tables",
        "main.duckdb_settings",
        "pragma_database_list",
        "crm.nothing",
        "nothing",
    ] {
        for sql in [
            "SELECT * FROM {}",
            "TABLE {}",
            "SELECT a FROM registry, {}",
            "SELECT a FROM registry JOIN {} AS z ON true",
            "SELECT (SELECT count(*) FROM {}) AS n",
            "SELECT a FROM registry WHERE EXISTS (FROM {})",
            "SELECT a FROM registry ORDER BY (SELECT 1 FROM {})",
            "SELECT count(*) AS n FROM registry GROUP BY (SELECT 1 FROM {})",
            "SELECT a FROM registry LIMIT (SELECT 1 FROM {})",
            "SELECT sum(a) OVER (ORDER BY (SELECT 1 FROM {})) AS s FROM registry",
            "SELECT a FROM registry GROUP BY a HAVING a IN (FROM {})",
            "SELECT a FROM registry QUALIFY row_number() OVER () IN (FROM {})",
            "WITH c AS (SELECT * FROM {}) SELECT 1 AS one",
            "WITH c AS MATERIALIZED (SELECT * FROM {}) FROM c",
            "SELECT 1 AS x UNION ALL SELECT 1 FROM {}",
            "FROM (FROM (FROM {}))",
            "SELECT * FROM (VALUES ((SELECT 1 FROM {})))",
            "FROM (PIVOT {} ON b IN ('x') USING sum(a))",
            "FROM (UNPIVOT {} ON a)",
            "SELECT list_transform([1], x -> (SELECT 1 FROM {})) AS l",
            "SELECT * FROM range((SELECT 1 FROM {}))",
            "SELECT * REPLACE ((SELECT 1 FROM {}) AS a) FROM registry",
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n FROM r, {}) FROM r",
            "SELECT CASE WHEN (SELECT true FROM {}) THEN 1 END AS c",
            "SELECT count(*) FILTER (WHERE (SELECT true FROM {})) AS n",
            "SELECT a FROM registry SEMI JOIN {} USING (a)",
            "SELECT a FROM registry ASOF JOIN {} AS z ON registry.a >= z.a",
            "SELECT x.a FROM registry, LATERAL (SELECT * FROM {}) AS x",
            "SELECT [(SELECT 1 FROM {})] AS l",
            "SELECT DISTINCT ON ((SELECT 1 FROM {})) a FROM registry",
        ] {
            fixture.refuses(&sql.replace("{}", table));
        }
    }
}

#[test]
fn a_with_hides_no_table_outside_of_its_reach() {
    let fixture = Fixture::new();
    for sql in [
        "SELECT * FROM (WITH other AS (SELECT 1) SELECT * FROM other), other",
        "WITH duckdb_settings AS (SELECT * FROM duckdb_settings) SELECT * FROM duckdb_settings",
        "WITH RECURSIVE duckdb_settings AS (SELECT name FROM duckdb_settings UNION ALL SELECT name FROM duckdb_settings WHERE false) FROM duckdb_settings",
        "WITH a AS (SELECT * FROM other), other AS (SELECT 1 AS a) SELECT * FROM a",
        "SELECT (WITH other AS (SELECT 1) SELECT 1) AS x, (SELECT a FROM other) AS y",
        "WITH \"x.csv\" AS (SELECT 1) SELECT * FROM (SELECT 1), \"y.csv\"",
        "WITH entries AS (SELECT 1) SELECT * FROM ledger.entries",
        "(WITH other AS (SELECT 1 AS a) SELECT a FROM other) UNION ALL SELECT a FROM other",
        "WITH RECURSIVE other AS (WITH other AS (SELECT 1 AS a) SELECT a FROM other UNION ALL SELECT a FROM other) FROM other",
    ] {
        fixture.refuses(sql);
    }
}

#[test]
fn functions_of_schemas_and_sources_are_refused() {
    let fixture = Fixture::new();
    for sql in [
        "SELECT crm.m() AS x",
        "SELECT crm.main.m() AS x",
        "FROM crm.tm()",
        "FROM crm.main.tm()",
        "SELECT nextval('crm.q') AS x",
        "SELECT nextval('ledger.q') AS x",
        "SELECT b.lower() AS x FROM registry",
        "SELECT pg_catalog.pg_typeof(1) AS x",
        "SELECT temp.lower('x') AS x",
        "SELECT \"current_setting\"('threads') AS x",
        "SELECT CURRENT_SETTING('threads') AS x",
        "SELECT getenv('HOME') AS x",
        "SELECT getvariable('x') AS x",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM query_table('other')",
        "SELECT * FROM query_table(['registry'])",
        "SELECT * FROM \"READ_CSV\"('registry.csv')",
        "SELECT * FROM system.main.read_csv('x')",
        "SELECT * FROM json_execute_serialized_sql('x')",
        "SELECT * FROM histogram_values(other, a)",
        "SELECT * FROM enable_logging(storage := 'file', storage_path := '/tmp/x')",
        "SELECT * FROM enable_profiling(save_location := '/tmp/x')",
        "SELECT current_setting('threads') OVER () AS x FROM registry",
        "SELECT list_transform([1], x -> current_setting('threads')) AS l",
        "SELECT write_log('x') AS x",
        "SELECT setseed(0.5) AS x",
        "SELECT outflow_hash(1) AS x",
    ] {
        fixture.refuses(sql);
    }
}

/// Every function that DuckDB lists, called in every way that its kind has.
#[test]
fn every_function_off_the_lists_is_refused() {
    let fixture = Fixture::new();
    let connection = fixture.warehouse.connect().unwrap();
    let functions: Vec<(String, String)> = connection
        .query_rows(
            "SELECT DISTINCT function_name, function_type FROM duckdb_functions() ORDER BY ALL",
            |row| Ok::<_, WarehouseError>((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert!(functions.len() > 800, "{} functions", functions.len());
    let refused_by_list = |error: &SqlError| error.message.contains("not allowed");
    for (name, kind) in &functions {
        let (quoted, lower) = (quote::identifier(name), name.to_lowercase());
        let one_row = allowed::is_scalar(&lower) || allowed::is_aggregate(&lower) || allowed::makes_rows(&lower);
        for arguments in ["", "'x'"] {
            if !one_row {
                let error = fixture.refuses(&format!("SELECT {quoted}({arguments}) AS x FROM registry"));
                assert!(refused_by_list(&error), "{name}: {error}");
            }
            if !allowed::is_aggregate(&lower) {
                let error = fixture.refuses(&format!("SELECT {quoted}({arguments}) OVER () AS x FROM registry"));
                assert!(
                    refused_by_list(&error) || error.message.contains("syntax error"),
                    "{name}: {error}"
                );
            }
            if !allowed::is_table_function(&lower) {
                let error = fixture.refuses(&format!("SELECT * FROM {quoted}({arguments})"));
                assert!(refused_by_list(&error), "{name}: {error}");
            }
        }
        if kind == "pragma" {
            fixture.refuses(&format!("PRAGMA {quoted}"));
            fixture.refuses(&format!("CALL {quoted}()"));
        }
    }
}

/// What is on the lists must be what it says: a later DuckDB may turn a name into something else.
#[test]
fn the_lists_name_functions_of_their_kinds() {
    let connection = open().connect().unwrap();
    let names = |kinds: &str| -> BTreeSet<String> {
        let sql =
            format!("SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE function_type IN ({kinds})");
        connection
            .query_rows(&sql, |row| row.get::<String>(0))
            .unwrap()
            .into_iter()
            .collect()
    };
    let (scalars, aggregates, tables) = (
        names("'scalar', 'macro'"),
        names("'aggregate', 'macro'"),
        names("'table'"),
    );
    for name in allowed::SCALAR.split_whitespace().filter(|name| *name != "row") {
        assert!(scalars.contains(name), "{name} is no scalar function");
        assert!(!names("'aggregate'").contains(name), "{name} is an aggregate");
    }
    for name in allowed::AGGREGATE.split_whitespace() {
        assert!(aggregates.contains(name), "{name} is no aggregate");
    }
    for name in allowed::TABLE.split_whitespace() {
        assert!(tables.contains(name), "{name} is no table function");
    }
}

#[test]
fn an_error_says_where_it_is_in_the_model() {
    let fixture = Fixture::new();
    let place = |sql: &str| {
        let error = fixture.refuses(sql);
        (error.line, error.column, error.message)
    };
    let (line, column, message) = place("SELECT a,\n  nope\nFROM registry");
    assert_eq!((line, column), (Some(2), Some(3)), "{message}");
    assert!(message.contains("nope"), "{message}");
    let (line, column, message) = place("SELECT 'ä' AS x, current_setting('y') AS z\nFROM registry");
    assert_eq!((line, column), (Some(1), Some(18)), "{message}");
    let (line, column, message) = place("SELECT a\nFROM registry\nWHRE a = 1 2");
    assert_eq!(line, Some(3), "{message} {column:?}");
    let (line, column, message) = place("SELECT *\nFROM\n  ledger.entries");
    assert_eq!((line, column), (Some(3), Some(3)), "{message}");
    assert!(
        message.contains("`registry`") && message.contains("`crm.…`"),
        "{message}"
    );
}

#[test]
fn rule_16_two_columns_of_one_name_are_refused() {
    let fixture = Fixture::new();
    for sql in [
        "SELECT a, b AS A FROM registry",
        "SELECT a, a FROM registry",
        "SELECT * FROM registry AS r JOIN crm.t ON true",
    ] {
        assert!(fixture.refuses(sql).message.contains("two columns"), "{sql}");
    }
}

#[test]
fn an_expression_is_one_value_of_one_row() {
    let fixture = Fixture::new();
    let model = "SELECT a, b FROM registry -- c\n;";
    let check = |sql: &str| fixture.warehouse.check_expression(model, sql);
    for (sql, data_type) in [
        ("a + 1", "BIGINT"),
        ("lower(b) || '-' || a -- why", "VARCHAR"),
        ("CASE WHEN a > 1 THEN 'x' END", "VARCHAR"),
        ("{'k': a}", "STRUCT(k BIGINT)"),
        ("list_transform([a], x -> x + 1)", "BIGINT[]"),
        ("model.a", "BIGINT"),
        ("a::DECIMAL(10,2)", "DECIMAL(10,2)"),
    ] {
        assert_eq!(
            check(sql).unwrap_or_else(|error| panic!("{sql}: {error}")).data_type,
            data_type,
            "{sql}"
        );
    }
    for sql in [
        "",
        "a, b",
        "a AS x",
        "sum(a)",
        "count(*)",
        "row_number() OVER ()",
        "sum(a) OVER ()",
        "(SELECT 1)",
        "EXISTS (FROM registry)",
        "a IN (SELECT 1)",
        "*",
        "COLUMNS(*)",
        "COLUMNS('a') + 1",
        "unnest([1])",
        "a FROM registry",
        "a) FROM registry; DROP TABLE x; --",
        "1) AS x, (2",
        "a WHERE true",
        "a ORDER BY 1",
        "DISTINCT a",
        "a LIMIT 1",
        "1; SELECT 2",
        "current_setting('threads')",
        "crm.m()",
        "?",
        "a;",
        "ALL a",
        "a UNION SELECT 1",
        "(FROM registry)",
        "ARRAY(SELECT 1)",
    ] {
        if let Ok(column) = check(sql) {
            panic!("{sql} passes as {column:?}");
        }
    }
    let error = check("a +\n  nope").unwrap_err();
    assert_eq!((error.line, error.column), (Some(2), Some(3)), "{error}");
    let error = check("1 +\n sum(a)").unwrap_err();
    assert_eq!((error.line, error.column), (Some(2), Some(2)), "{error}");
    let error = check("a + + ) 1").unwrap_err();
    assert_eq!(error.line, Some(1), "{error}");
}
