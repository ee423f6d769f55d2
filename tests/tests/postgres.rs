//! Sources that are PostgreSQL databases, against a real server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::process::Child;
use std::time::{Duration, Instant};

use outflow_core::report::Status;
use outflow_core::warehouse::Warehouse;
use outflow_tests::database;
use outflow_tests::postgres::{PASSWORD, Postgres};
use outflow_tests::project::Project;
use outflow_tests::receiver::Receiver;
use outflow_tests::secrets::{self, Secrets};
use serde_json::{Value, json};

const PEOPLE: &str = "CREATE TABLE people (id int PRIMARY KEY, name text, balance numeric(12,2));
    INSERT INTO people VALUES (1, 'Ada', 1.10), (2, 'Bob', NULL)";

fn attach(server: &Postgres) -> Warehouse {
    database::attach(&server.source(), PASSWORD).unwrap()
}

fn rows(server: &Postgres, model: &str) -> Result<Vec<Value>, String> {
    database::rows(&attach(server), model).map_err(|error| error.to_string())
}

fn types(server: &Postgres, model: &str) -> BTreeMap<String, String> {
    let columns = database::columns(&attach(server), model).unwrap();
    columns
        .into_iter()
        .map(|column| (column.name, column.data_type))
        .collect()
}

#[test]
fn rule_40_every_type_of_postgresql_keeps_its_values() {
    let Some(server) = Postgres::start().unwrap() else {
        return;
    };
    // Name, type, a value, its type in DuckDB, and its JSON.
    let cases = [
        ("small", "int2", "-32768", "SMALLINT", "-32768"),
        ("int", "int4", "2147483647", "INTEGER", "2147483647"),
        ("big", "int8", "9223372036854775807", "BIGINT", "9223372036854775807"),
        ("real", "float4", "1.5", "FLOAT", "1.5"),
        ("double", "float8", "0.1", "DOUBLE", "0.1"),
        ("flag", "bool", "true", "BOOLEAN", "true"),
        ("price", "numeric(10,2)", "12345678.90", "DECIMAL(10,2)", "12345678.90"),
        (
            "wide",
            "numeric(38,10)",
            "1234567890123456789012345678.0123456789",
            "DECIMAL(38,10)",
            "1234567890123456789012345678.0123456789",
        ),
        (
            "free",
            "numeric",
            "12345678901234567890.1234567890123456789000",
            "VARCHAR",
            r#""12345678901234567890.1234567890123456789""#,
        ),
        ("hundred", "numeric", "100", "VARCHAR", r#""100""#),
        ("rounded", "numeric(5,-2)", "12345", "VARCHAR", r#""12300""#),
        ("tiny", "numeric(3,5)", "0.00123", "VARCHAR", r#""0.00123""#),
        ("words", "text", "'it''s äöü'", "VARCHAR", r#""it's äöü""#),
        ("short", "varchar(10)", "'ab'", "VARCHAR", r#""ab""#),
        ("padded", "char(5)", "'ab'", "VARCHAR", r#""ab""#),
        ("bytes", "bytea", r"'\x00ff'", "BLOB", r#""AP8=""#),
        ("day", "date", "'2024-02-29'", "DATE", r#""2024-02-29""#),
        ("clock", "time", "'12:34:56.789012'", "TIME", r#""12:34:56.789012""#),
        (
            "wall",
            "timestamp",
            "'2024-01-02 03:04:05.678901'",
            "TIMESTAMP",
            r#""2024-01-02T03:04:05.678901""#,
        ),
        (
            "instant",
            "timestamptz",
            "'2024-01-02 03:04:05+02'",
            "TIMESTAMP WITH TIME ZONE",
            r#""2024-01-02T01:04:05Z""#,
        ),
        ("span", "interval", "'1 year 2 days 03:00'", "INTERVAL", r#""P1Y2DT3H""#),
        (
            "uuid",
            "uuid",
            "'7F0F4D8E-0000-4000-8000-000000000001'",
            "UUID",
            r#""7f0f4d8e-0000-4000-8000-000000000001""#,
        ),
        ("doc", "jsonb", "'{\"a\": [1, 1.10]}'", "JSON", r#"{"a":[1,1.10]}"#),
        ("raw", "json", "'{\"a\": 1}'", "JSON", r#"{"a":1}"#),
        ("mood", "mood", "'ok'", "VARCHAR", r#""ok""#),
        ("amount", "amount", "1.10", "DECIMAL(12,2)", "1.10"),
        ("age", "age", "7", "INTEGER", "7"),
        ("ints", "int[]", "'{1,NULL,3}'", "INTEGER[]", "[1,null,3]"),
        ("texts", "text[]", "'{a,\"b c\"}'", "VARCHAR[]", r#"["a","b c"]"#),
        ("prices", "numeric(4,1)[]", "'{1.5}'", "DECIMAL(4,1)[]", "[1.5]"),
        ("frees", "numeric[]", "'{1.50}'", "VARCHAR[]", r#"["1.50"]"#),
        ("moods", "mood[]", "'{ok,sad}'", "VARCHAR[]", r#"["ok","sad"]"#),
        (
            "docs",
            "jsonb[]",
            r#"ARRAY['{"a": 1}'::jsonb]"#,
            "JSON[]",
            r#"[{"a":1}]"#,
        ),
        ("grid", "int[][]", "'{{1,2},{3,4}}'", "JSON", "[[1,2],[3,4]]"),
        ("address", "inet", "'10.0.0.1/8'", "VARCHAR", r#""10.0.0.1/8""#),
        ("range", "int4range", "'[1,5)'", "VARCHAR", r#""[1,5)""#),
        (
            "window",
            "tstzrange",
            "'[2024-01-01 00:00+02,)'",
            "VARCHAR",
            r#""[\"2023-12-31 22:00:00+00\",)""#,
        ),
        ("bits", "bit(4)", "B'1010'", "VARCHAR", r#""1010""#),
        ("Odd \"Name\"", "text", "'x'", "VARCHAR", r#""x""#),
    ];
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let columns: Vec<String> = cases
        .iter()
        .map(|(name, kind, ..)| format!("{} {kind}", quoted(name)))
        .collect();
    let values: Vec<&str> = cases.iter().map(|(_, _, value, ..)| *value).collect();
    server
        .sql(&format!(
            "CREATE TYPE mood AS ENUM ('sad', 'ok');
             CREATE DOMAIN amount AS numeric(12,2); CREATE DOMAIN age AS int CHECK (value >= 0);
             CREATE TABLE things ({}); INSERT INTO things VALUES ({}); INSERT INTO things DEFAULT VALUES",
            columns.join(", "),
            values.join(", ")
        ))
        .unwrap();

    let found = types(&server, "SELECT * FROM shop.things");
    for (name, kind, _, wanted, _) in &cases {
        assert_eq!(found[*name], *wanted, "{name} {kind}");
    }
    let select: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(number, (name, ..))| format!("{} AS c{number}", quoted(name)))
        .collect();
    let rows = rows(&server, &format!("SELECT {} FROM shop.things", select.join(", "))).unwrap();
    let (full, empty) = (&rows[0], &rows[1]);
    for (number, (name, kind, _, _, wanted)) in cases.iter().enumerate() {
        let column = format!("c{number}");
        assert_eq!(full[&column].to_string(), *wanted, "{name} {kind}");
        assert_eq!(empty[&column], Value::Null, "{name} {kind}");
    }
}

#[test]
fn rule_16_what_cannot_be_read_as_its_type_is_a_fault() {
    let Some(server) = Postgres::start().unwrap() else {
        return;
    };
    server
        .sql(
            "CREATE TABLE odd (id int, price numeric(10,2), prices numeric(10,2)[], list int[]);
             INSERT INTO odd VALUES (1, 'NaN', '{NaN}', '{{1,2}}'), (2, 1.5, '{1.5}', '{1}')",
        )
        .unwrap();
    for (column, said) in [
        ("price", "the column price has what is no number: NaN"),
        ("prices", "the column prices has what is no number: {NaN}"),
        ("list", "Expected an array with 1 dimensions"),
    ] {
        let error = rows(&server, &format!("SELECT id, {column} FROM shop.odd")).unwrap_err();
        assert!(error.contains(said), "{column}: {error}");
    }
    // What a model does not read does not trouble it.
    assert_eq!(rows(&server, "SELECT id FROM shop.odd").unwrap().len(), 2);
}

#[test]
fn a_query_over_several_tables_sees_one_moment() {
    let Some(server) = Postgres::start().unwrap() else {
        return;
    };
    // Whichever is read first, the other is read half a second later.
    server
        .sql(
            "CREATE TABLE n AS SELECT 1 AS n;
             CREATE VIEW early AS SELECT n FROM n, pg_sleep(0.5);
             CREATE VIEW late AS SELECT n FROM n, pg_sleep(0.5)",
        )
        .unwrap();
    let read = std::thread::scope(|scope| {
        let model = "SELECT a.n AS a, b.n AS b FROM shop.early AS a, shop.late AS b";
        let read = scope.spawn(|| rows(&server, model));
        // A connection shows its last query also when it is over; and COPY reads the catalog as well.
        let reading = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'outflow' AND state = 'active' \
                       AND query LIKE 'COPY%' AND query ~ '\\m(early|late)\\M'";
        let started = Instant::now();
        while server.sql(reading).unwrap() != "1" && started.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(10));
        }
        server.sql("UPDATE n SET n = 2").unwrap();
        read.join().unwrap()
    });
    assert_eq!(read.unwrap(), [json!({"a": 1, "b": 1})]);
    assert_eq!(server.sql("SELECT n FROM n").unwrap(), "2");
}

#[test]
fn a_model_reaches_its_servers_tables_and_nothing_else_of_it() {
    let Some(server) = Postgres::start().unwrap() else {
        return;
    };
    server
        .sql(&format!(
            "{PEOPLE};
             CREATE SCHEMA \"Odd Schema\"; CREATE TABLE \"Odd Schema\".\"Things\" AS SELECT 7 AS \"Id\";
             CREATE VIEW grown AS SELECT id FROM people;
             CREATE TABLE twins (id int); CREATE TABLE \"Twins\" (id int)"
        ))
        .unwrap();
    let model = "SELECT (SELECT count(*) FROM shop.people) AS a, (SELECT count(*) FROM shop.public.people) AS b,
        (SELECT count(*) FROM SHOP.People) AS c, (SELECT count(*) FROM shop.grown) AS d,
        (SELECT \"Id\" FROM shop.\"Odd Schema\".\"Things\") AS e";
    let counts = json!({"a": 2, "b": 2, "c": 2, "d": 2, "e": 7});
    assert_eq!(rows(&server, model).unwrap(), [counts]);
    let link = "server of shop";
    let warehouse = attach(&server);
    for model in [
        format!("SELECT * FROM \"{link}\".public.people"),
        format!("SELECT * FROM \"{link}\".people"),
        format!("SELECT * FROM postgres_query('{link}', 'SELECT 1')"),
        format!("SELECT * FROM postgres_execute('{link}', 'DROP TABLE people')"),
        format!("FROM postgres_configure_pool(catalog_name='{link}')"),
        "SELECT * FROM postgres_scan('host=127.0.0.1', 'public', 'people')".into(),
        "SELECT * FROM postgres_scan_pushdown('host=127.0.0.1', 'public', 'people')".into(),
        "SELECT * FROM postgres_attach('host=127.0.0.1')".into(),
        "SELECT * FROM read_postgres_binary('x')".into(),
        "SELECT * FROM shop.pg_catalog.pg_shadow".into(),
        "SELECT * FROM shop.information_schema.tables".into(),
        "SELECT * FROM shop.nothing".into(),
        "SELECT * FROM shop.twins".into(),
        "SELECT * FROM duckdb_secrets()".into(),
        "SELECT * FROM duckdb_databases()".into(),
        "ATTACH 'host=127.0.0.1' AS other (TYPE postgres)".into(),
    ] {
        assert!(warehouse.check_model(&model, &["shop".into()]).is_err(), "{model}");
    }
    // Nor is there a secret any more that could be read.
    let secrets = warehouse
        .connect()
        .unwrap()
        .scalar::<u64>("SELECT count(*) FROM duckdb_secrets()");
    assert_eq!(secrets.unwrap(), Some(0));
}

async fn project(server: &Postgres, model: &str) -> (Project, Receiver) {
    database::project(&server.source(), model).await.unwrap()
}

const SECRETS: &Secrets<'static> = &[("SHOP_PASSWORD", PASSWORD)];

/// Runs the sync; how it ended, its message, and the exit code. Nothing that it wrote has the password.
fn run(project: &Project) -> (Status, String, i32) {
    ended(project, start(project))
}

fn start(project: &Project) -> Child {
    secrets::start(project, SECRETS).unwrap()
}

fn ended(project: &Project, started: Child) -> (Status, String, i32) {
    let ended = secrets::ended(project, SECRETS, started).unwrap();
    (ended.status, ended.message, ended.code)
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_38_a_sync_reads_a_server_and_nothing_shows_its_password() {
    let Some(server) = Postgres::start().unwrap() else {
        return;
    };
    server.sql(PEOPLE).unwrap();
    let (project, receiver) = project(&server, "SELECT id, name FROM shop.people").await;
    assert_eq!(run(&project), (Status::Success, String::new(), 0));
    assert_eq!(receiver.records().len(), 2);
    server
        .sql("UPDATE people SET name = 'Eve' WHERE id = 1; DELETE FROM people WHERE id = 2")
        .unwrap();
    assert_eq!(run(&project), (Status::Success, String::new(), 0));
    let names: Vec<Value> = receiver
        .records()
        .values()
        .map(|record| record["name"].clone())
        .collect();
    assert_eq!(names, [json!("Eve")]);

    // What the file gets wrong is said with file and field.
    for (part, by, field) in [
        ("env: SHOP_PASSWORD", "file: wrong", "secrets.password"),
        ("env: SHOP_PASSWORD", "env: NOT_SET", "secrets.password"),
        ("database: postgres", "database: nope", "database"),
        ("sslmode: disable", "sslmode: require", "sslmode"),
    ] {
        project.write("wrong", "another").unwrap();
        let content = server.source().replace(part, by);
        project.write("sources/shop.yml", &content).unwrap();
        let (status, message, code) = run(&project);
        assert_eq!((status, code), (Status::Failed, 2), "{message}");
        assert!(
            message.contains("sources/shop.yml") && message.contains(field),
            "{by}: {message}"
        );
    }
    project.write("sources/shop.yml", &server.source()).unwrap();
    project
        .write("models/people.sql", "SELECT id, name FROM shop.nobody")
        .unwrap();
    let (status, message, code) = run(&project);
    assert_eq!((status, code), (Status::Failed, 2), "{message}");
    assert!(
        message.contains("models/people.sql") && message.contains("has no table `main.nobody`"),
        "{message}"
    );
    assert_eq!(receiver.records().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_16_a_server_that_is_away_removes_nothing() {
    let Some(mut server) = Postgres::start().unwrap() else {
        return;
    };
    server.sql(PEOPLE).unwrap();
    let (project, receiver) = project(&server, "SELECT id, name FROM shop.people").await;
    run(&project);
    server.stop().unwrap();
    let (status, message, code) = run(&project);
    assert_eq!((status, code), (Status::Interrupted, 4), "{message}");
    assert!(
        message.contains("source `shop`: the server is away") && message.contains("Connection refused"),
        "{message}"
    );
    assert_eq!(receiver.records().len(), 2);
    // It is waited for.
    project
        .write("outflow.yml", "version: 1\nname: test\nwait_for_sources: 2m\n")
        .unwrap();
    let waiting = start(&project);
    std::thread::sleep(Duration::from_millis(500));
    server.restart().unwrap();
    let (status, message, _) = ended(&project, waiting);
    assert_eq!(status, Status::Success, "{message}");
    assert_eq!(receiver.records().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_16_a_connection_that_breaks_in_the_middle_of_a_query_plans_nothing() {
    let Some(server) = Postgres::start().unwrap() else {
        return;
    };
    server.sql(PEOPLE).unwrap();
    let (project, receiver) = project(&server, "SELECT id, name FROM shop.people").await;
    assert_eq!(run(&project).0, Status::Success);
    // Some rows come, others never.
    server
        .sql(
            "ALTER TABLE people RENAME TO all_people;
             CREATE VIEW people AS SELECT 1 AS id, repeat('x', 100000) AS name FROM generate_series(1, 100)
                 UNION ALL SELECT 2, pg_sleep(60)::text",
        )
        .unwrap();
    let reading = start(&project);
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'outflow' AND query LIKE 'COPY%people%'";
    let started = Instant::now();
    while server.sql(cut).unwrap() == "0" && started.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let (status, message, code) = ended(&project, reading);
    assert_eq!((status, code), (Status::Interrupted, 4), "{message}");
    assert_eq!(receiver.records().len(), 2);
    server
        .sql("DROP VIEW people; ALTER TABLE all_people RENAME TO people")
        .unwrap();
    let (status, message, _) = run(&project);
    assert_eq!(status, Status::Success, "{message}");
    assert!(
        receiver
            .take_sent()
            .iter()
            .all(|sent| !format!("{sent:?}").contains("xxx"))
    );
}
