//! Sources that are MySQL databases, against a real server, which is MariaDB.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::{Duration, Instant};

use outflow_core::report::Status;
use outflow_core::warehouse::Warehouse;
use outflow_tests::database;
use outflow_tests::mysql::{Mysql, PASSWORD};
use outflow_tests::project::Project;
use outflow_tests::secrets::{self, Ended, Secrets};
use serde_json::{Value, json};

const SECRETS: &Secrets<'static> = &[("SHOP_PASSWORD", PASSWORD)];
const PEOPLE: &str = "CREATE TABLE people (id int PRIMARY KEY, name varchar(20), balance decimal(12,2));
    INSERT INTO people VALUES (1, 'Ada', 1.10), (2, 'Bob', NULL)";

fn attach(server: &Mysql) -> Warehouse {
    database::attach(&server.source(), PASSWORD).unwrap()
}

fn rows(server: &Mysql, model: &str) -> Result<Vec<Value>, String> {
    database::rows(&attach(server), model).map_err(|error| error.to_string())
}

fn run(project: &Project) -> Ended {
    secrets::run(project, SECRETS).unwrap()
}

#[track_caller]
fn succeeds(project: &Project) {
    let ended = run(project);
    assert_eq!((ended.status, ended.message.as_str()), (Status::Success, ""));
}

#[test]
fn rule_40_every_type_of_mysql_keeps_its_values() {
    let Some(server) = Mysql::start().unwrap() else {
        return;
    };
    // Name, type, a value, its type in DuckDB, and its JSON.
    let cases = [
        ("tiny", "tinyint", "-128", "TINYINT", "-128"),
        ("tinyu", "tinyint unsigned", "255", "UTINYINT", "255"),
        ("flag", "boolean", "true", "TINYINT", "1"),
        ("some", "tinyint(1)", "5", "TINYINT", "5"),
        ("small", "smallint", "-32768", "SMALLINT", "-32768"),
        ("smallu", "smallint unsigned", "65535", "USMALLINT", "65535"),
        ("medium", "mediumint", "-8388608", "INTEGER", "-8388608"),
        ("mediumu", "mediumint unsigned", "16777215", "UINTEGER", "16777215"),
        ("int", "int", "-2147483648", "INTEGER", "-2147483648"),
        ("intu", "int unsigned", "4294967295", "UINTEGER", "4294967295"),
        ("filled", "int(6) zerofill", "42", "UINTEGER", "42"),
        (
            "big",
            "bigint",
            "-9223372036854775808",
            "BIGINT",
            "-9223372036854775808",
        ),
        (
            "bigu",
            "bigint unsigned",
            "18446744073709551615",
            "UBIGINT",
            "18446744073709551615",
        ),
        ("year", "year", "2024", "SMALLINT", "2024"),
        ("real", "float", "1.5", "FLOAT", "1.5"),
        ("exact", "float", "16777215", "FLOAT", "16777215.0"),
        ("double", "double", "0.1", "DOUBLE", "0.1"),
        (
            "price",
            "decimal(10,2)",
            "-12345678.90",
            "DECIMAL(10,2)",
            "-12345678.90",
        ),
        (
            "priceu",
            "decimal(10,2) unsigned",
            "12345678.90",
            "DECIMAL(10,2)",
            "12345678.90",
        ),
        (
            "whole",
            "decimal(10,0) unsigned",
            "9999999999",
            "DECIMAL(10,0)",
            "9999999999",
        ),
        (
            "wide",
            "decimal(38,10)",
            "1234567890123456789012345678.0123456789",
            "DECIMAL(38,10)",
            "1234567890123456789012345678.0123456789",
        ),
        (
            "wider",
            "decimal(65,30)",
            "12345678901234567890123456789012345.123456789000000000000000000000",
            "VARCHAR",
            r#""12345678901234567890123456789012345.123456789""#,
        ),
        ("hundred", "decimal(65,30)", "100", "VARCHAR", r#""100""#),
        ("huge", "decimal(65,0)", "100", "VARCHAR", r#""100""#),
        ("day", "date", "'2024-02-29'", "DATE", r#""2024-02-29""#),
        ("last", "date", "'9999-12-31'", "DATE", r#""9999-12-31""#),
        (
            "wall",
            "datetime(6)",
            "'2024-01-02 03:04:05.678901'",
            "TIMESTAMP",
            r#""2024-01-02T03:04:05.678901""#,
        ),
        (
            "plain",
            "datetime",
            "'1000-01-01 00:00:00'",
            "TIMESTAMP",
            r#""1000-01-01T00:00:00""#,
        ),
        (
            "instant",
            "timestamp(6) NULL",
            "'2024-01-02 03:04:05.678901'",
            "TIMESTAMP WITH TIME ZONE",
            r#""2024-01-02T01:04:05.678901Z""#,
        ),
        ("clock", "time", "'12:34:56'", "VARCHAR", r#""12:34:56""#),
        ("span", "time(3)", "'-838:59:58.5'", "VARCHAR", r#""-838:59:58.500""#),
        ("short", "char(5)", "'ab'", "VARCHAR", r#""ab""#),
        ("words", "varchar(20)", "'it''s äöü 😀'", "VARCHAR", r#""it's äöü 😀""#),
        (
            "exactly",
            "varchar(20) COLLATE utf8mb4_bin",
            "'äöü'",
            "VARCHAR",
            r#""äöü""#,
        ),
        (
            "old",
            "varchar(20) CHARACTER SET latin1",
            "'äöü'",
            "VARCHAR",
            r#""äöü""#,
        ),
        ("text", "longtext", "'a\\nb'", "VARCHAR", r#""a\nb""#),
        ("empty", "text", "''", "VARCHAR", r#""""#),
        ("doc", "json", "'{\"a\": [1, 1.10]}'", "JSON", r#"{"a":[1,1.10]}"#),
        ("mood", "enum('sad','ok')", "'ok'", "VARCHAR", r#""ok""#),
        ("tags", "set('a','b','c')", "'a,c'", "VARCHAR", r#""a,c""#),
        ("one", "bit(1)", "b'1'", "UBIGINT", "1"),
        ("bits", "bit(64)", "~0", "UBIGINT", "18446744073709551615"),
        ("bytes", "blob", "x'00ff'", "BLOB", r#""AP8=""#),
        ("fixed", "binary(3)", "x'00ff'", "BLOB", r#""AP8A""#),
        ("varied", "varbinary(3)", "x'ff'", "BLOB", r#""/w==""#),
        (
            "uuid",
            "uuid",
            "'7F0F4D8E-0000-4000-8000-000000000001'",
            "UUID",
            r#""7f0f4d8e-0000-4000-8000-000000000001""#,
        ),
        ("address", "inet6", "'2001:db8::1'", "VARCHAR", r#""2001:db8::1""#),
        (
            "place",
            "point",
            "ST_GeomFromText('POINT(1 2)')",
            "VARCHAR",
            r#""0101000000000000000000F03F0000000000000040""#,
        ),
        ("Odd `Name", "varchar(5)", "'x'", "VARCHAR", r#""x""#),
    ];
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let columns: Vec<String> = cases
        .iter()
        .map(|(name, kind, ..)| format!("{} {kind}", quoted(name)))
        .collect();
    let values: Vec<&str> = cases.iter().map(|(_, _, value, ..)| *value).collect();
    server
        .sql(&format!(
            "SET GLOBAL time_zone = '-05:00'; SET time_zone = '+02:00';
             CREATE TABLE things ({}); INSERT INTO things VALUES ({}); INSERT INTO things () VALUES ()",
            columns.join(", "),
            values.join(", ")
        ))
        .unwrap();

    let warehouse = attach(&server);
    let found = database::columns(&warehouse, "SELECT * FROM shop.things").unwrap();
    for ((name, kind, _, wanted, _), found) in cases.iter().zip(&found) {
        assert_eq!(
            (found.name.as_str(), found.data_type.as_str()),
            (*name, *wanted),
            "{kind}"
        );
    }
    let select: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(number, (name, ..))| format!("\"{name}\" AS c{number}"))
        .collect();
    let model = format!("SELECT {} FROM shop.things ORDER BY tiny NULLS LAST", select.join(", "));
    let rows = database::rows(&warehouse, &model).unwrap();
    let [full, empty] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    for (number, (name, kind, _, _, wanted)) in cases.iter().enumerate() {
        let column = format!("c{number}");
        assert_eq!(full[&column].to_string(), *wanted, "{name} {kind}");
        assert_eq!(empty[&column], Value::Null, "{name} {kind}");
    }
}

#[test]
fn rule_16_what_is_no_date_is_a_fault() {
    let Some(server) = Mysql::start().unwrap() else {
        return;
    };
    server
        .sql(
            "SET sql_mode = 'ALLOW_INVALID_DATES'; CREATE TABLE odd (id int, zero date, part datetime, instant timestamp NULL, late date);
             INSERT INTO odd VALUES (1, '0000-00-00', '2024-00-10', '0000-00-00 00:00:00', '2024-02-31'), (2, NULL, NULL, NULL, NULL)",
        )
        .unwrap();
    for (column, said) in [
        ("zero", "the column zero has what is no date: 0000-00-00"),
        ("part", "the column part has what is no date: 2024-00-10"),
        ("instant", "the column instant has what is no date: 0000-00-00"),
        ("late", "2024-02-31"),
    ] {
        let error = rows(&server, &format!("SELECT id, {column} FROM shop.odd")).unwrap_err();
        assert!(error.contains(said), "{column}: {error}");
    }
    // What a model does not read does not trouble it.
    assert_eq!(rows(&server, "SELECT id FROM shop.odd").unwrap().len(), 2);
}

#[test]
fn a_query_over_several_tables_sees_one_moment() {
    let Some(server) = Mysql::start().unwrap() else {
        return;
    };
    // Whichever is read first, the other is read half a second later.
    server
        .sql(
            "CREATE TABLE n AS SELECT 1 AS n;
             CREATE VIEW early AS SELECT n + sleep(0.5) AS n FROM n; CREATE VIEW late AS SELECT n + sleep(0.5) AS n FROM n",
        )
        .unwrap();
    let read = std::thread::scope(|scope| {
        let model = "SELECT a.n::INT AS a, b.n::INT AS b FROM shop.early AS a, shop.late AS b";
        let read = scope.spawn(|| rows(&server, model));
        let reading = "SELECT count(*) FROM information_schema.processlist \
                       WHERE user = 'outflow' AND command = 'Execute' AND info LIKE '%`early`%'";
        let started = Instant::now();
        while server.sql(reading).unwrap() == "0" && started.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        server.sql("UPDATE n SET n = 2").unwrap();
        read.join().unwrap()
    });
    assert_eq!(read.unwrap(), [json!({"a": 1, "b": 1})]);
    assert_eq!(server.sql("SELECT n FROM n").unwrap(), "2");
}

#[test]
fn a_model_reaches_its_servers_tables_and_nothing_else_of_it() {
    let Some(server) = Mysql::start().unwrap() else {
        return;
    };
    server
        .sql(&format!(
            "{PEOPLE};
             CREATE DATABASE `Odd Base`; CREATE TABLE `Odd Base`.`Things` AS SELECT 7 AS `Id`;
             CREATE VIEW grown AS SELECT id FROM people;
             CREATE TABLE twins (id int); CREATE TABLE Twins (id int)"
        ))
        .unwrap();
    let model = "SELECT (SELECT count(*) FROM shop.people) AS a, (SELECT count(*) FROM shop.shop.people) AS b,
        (SELECT count(*) FROM SHOP.People) AS c, (SELECT count(*) FROM shop.grown) AS d,
        (SELECT \"Id\" FROM shop.\"Odd Base\".\"Things\") AS e";
    let counts = json!({"a": 2, "b": 2, "c": 2, "d": 2, "e": 7});
    assert_eq!(rows(&server, model).unwrap(), [counts]);
    let link = "server of shop";
    let warehouse = attach(&server);
    for model in [
        format!("SELECT * FROM \"{link}\".shop.people"),
        format!("SELECT * FROM \"{link}\".people"),
        format!("SELECT * FROM mysql_query('{link}', 'SELECT 1')"),
        format!("SELECT * FROM mysql_execute('{link}', 'DROP TABLE people')"),
        "SELECT * FROM mysql_scan('x', 'shop', 'people')".into(),
        "SELECT * FROM mysql_clear_cache()".into(),
        "SELECT * FROM mysql_explain_federated('x')".into(),
        "SELECT * FROM mysql_debug_execution_plan('x')".into(),
        "SELECT * FROM shop.mysql.user".into(),
        "SELECT * FROM shop.information_schema.tables".into(),
        "SELECT * FROM shop.nothing".into(),
        "SELECT * FROM shop.twins".into(),
        "SELECT * FROM duckdb_secrets()".into(),
        "SELECT * FROM duckdb_databases()".into(),
        "ATTACH 'host=127.0.0.1' AS other (TYPE mysql)".into(),
    ] {
        assert!(warehouse.check_model(&model, &["shop".into()]).is_err(), "{model}");
    }
    // Nor is there a secret any more that could be read.
    let secrets = warehouse
        .connect()
        .unwrap()
        .scalar::<u64>("SELECT count(*) FROM duckdb_secrets()");
    assert_eq!(secrets.unwrap(), Some(0));
    // Nor can DuckDB itself reach another server any more.
    let attached = warehouse.connect().unwrap().execute(&format!(
        "ATTACH 'host=127.0.0.1 port={}' AS other (TYPE mysql)",
        server.port
    ));
    assert!(attached.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_38_a_sync_reads_a_server_and_nothing_shows_its_password() {
    let Some(server) = Mysql::start().unwrap() else {
        return;
    };
    server.sql(PEOPLE).unwrap();
    let (project, receiver) = database::project(&server.source(), "SELECT id, name FROM shop.people")
        .await
        .unwrap();
    succeeds(&project);
    assert_eq!(receiver.records().len(), 2);
    server
        .sql("UPDATE people SET name = 'Eve' WHERE id = 1; DELETE FROM people WHERE id = 2")
        .unwrap();
    succeeds(&project);
    let names: Vec<Value> = receiver
        .records()
        .values()
        .map(|record| record["name"].clone())
        .collect();
    assert_eq!(names, [json!("Eve")]);

    // What the file gets wrong is said with file and field.
    project.write("wrong", "another").unwrap();
    for (part, by, field) in [
        ("env: SHOP_PASSWORD", "file: wrong", "secrets.password"),
        ("env: SHOP_PASSWORD", "env: NOT_SET", "secrets.password"),
        ("database: shop", "database: nope", "database"),
        ("ssl_mode: disabled", "ssl_mode: required", "ssl_mode"),
    ] {
        let content = server.source().replace(part, by);
        project.write("sources/shop.yml", &content).unwrap();
        let ended = run(&project);
        assert_eq!((ended.status, ended.code), (Status::Failed, 2), "{ended:?}");
        assert!(
            ended.message.contains("sources/shop.yml") && ended.message.contains(field),
            "{by}: {ended:?}"
        );
    }
    project.write("sources/shop.yml", &server.source()).unwrap();
    project
        .write("models/people.sql", "SELECT id, name FROM shop.nobody")
        .unwrap();
    let ended = run(&project);
    assert_eq!((ended.status, ended.code), (Status::Failed, 2), "{ended:?}");
    assert!(
        ended.message.contains("models/people.sql") && ended.message.contains("has no table `main.nobody`"),
        "{ended:?}"
    );
    assert_eq!(receiver.records().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_38_a_password_in_the_machines_environment_counts_for_nothing() {
    let Some(server) = Mysql::start().unwrap() else {
        return;
    };
    server.sql(PEOPLE).unwrap();
    let source = server.source();
    let (source, _) = source.split_once("secrets").unwrap();
    let (project, _receiver) = database::project(source, "SELECT id, name FROM shop.people")
        .await
        .unwrap();
    let ended = secrets::run(&project, &[("MYSQL_PWD", PASSWORD)]).unwrap();
    assert_eq!((ended.status, ended.code), (Status::Failed, 2), "{ended:?}");
    assert!(ended.message.contains("say `{env: MYSQL_PWD}`"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_16_a_server_that_is_away_removes_nothing() {
    let Some(mut server) = Mysql::start().unwrap() else {
        return;
    };
    server.sql(PEOPLE).unwrap();
    let (project, receiver) = database::project(&server.source(), "SELECT id, name FROM shop.people")
        .await
        .unwrap();
    succeeds(&project);
    server.stop().unwrap();
    let ended = run(&project);
    assert_eq!((ended.status, ended.code), (Status::Interrupted, 4), "{ended:?}");
    assert!(
        ended.message.contains("source `shop`: the server is away") && ended.message.contains("Can't connect"),
        "{ended:?}"
    );
    assert_eq!(receiver.records().len(), 2);
    // It is waited for.
    project
        .write("outflow.yml", "version: 1\nname: test\nwait_for_sources: 2m\n")
        .unwrap();
    let waiting = secrets::start(&project, SECRETS).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    server.restart().unwrap();
    let ended = secrets::ended(&project, SECRETS, waiting).unwrap();
    assert_eq!(ended.status, Status::Success, "{ended:?}");
    assert_eq!(receiver.records().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_16_a_connection_that_breaks_in_the_middle_of_a_query_plans_nothing() {
    let Some(server) = Mysql::start().unwrap() else {
        return;
    };
    server.sql(PEOPLE).unwrap();
    let (project, receiver) = database::project(&server.source(), "SELECT id, name FROM shop.people")
        .await
        .unwrap();
    succeeds(&project);
    // Some rows come, others never.
    server
        .sql(
            "RENAME TABLE people TO all_people;
             CREATE VIEW people AS SELECT id, repeat('x', 100000) AS name FROM all_people
                 UNION ALL SELECT id, repeat('y', 10 + sleep(60)) FROM all_people",
        )
        .unwrap();
    let reading = secrets::start(&project, SECRETS).unwrap();
    let busy = "SELECT id FROM information_schema.processlist WHERE user = 'outflow' AND info LIKE '%people%' AND time_ms > 300";
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        let id = server.sql(busy).unwrap();
        if !id.is_empty() && server.sql(&format!("KILL {id}")).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = secrets::ended(&project, SECRETS, reading).unwrap();
    assert_eq!((ended.status, ended.code), (Status::Interrupted, 4), "{ended:?}");
    assert_eq!(receiver.records().len(), 2);
    server
        .sql("DROP VIEW people; RENAME TABLE all_people TO people")
        .unwrap();
    succeeds(&project);
    let sent = receiver.take_sent();
    assert!(sent.iter().all(|sent| !format!("{sent:?}").contains("xxx")));
}
