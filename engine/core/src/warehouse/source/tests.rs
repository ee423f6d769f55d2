//! Sources of every kind, and what can be wrong with them.

mod csv;

use super::*;
use crate::warehouse::tests::open;

struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }
}

fn source(name: &str, kind: SourceKind) -> Source {
    Source {
        name: name.into(),
        file: format!("sources/{name}.yml").into(),
        kind,
        marks: Default::default(),
    }
}

fn csv(path: PathBuf, columns: &[(&str, &str)]) -> Source {
    let columns = columns
        .iter()
        .map(|(name, data_type)| ((*name).to_owned(), (*data_type).to_owned()))
        .collect();
    source(
        "people",
        SourceKind::Csv {
            path,
            columns,
            nulls: vec!["NA".into()],
            delimiter: None,
            quote: None,
            escape: None,
            header: None,
            s3: None,
        },
    )
}

fn columns(columns: &[(&str, &str)]) -> Vec<Column> {
    columns
        .iter()
        .map(|(name, data_type)| Column {
            name: (*name).into(),
            data_type: (*data_type).into(),
        })
        .collect()
}

fn attach(source: &Source, pinned: Vec<Column>) -> Result<(Warehouse, Option<Vec<Column>>), WarehouseError> {
    let mut warehouse = open();
    let pinned = BTreeMap::from([(source.name.clone(), pinned)]);
    let found = warehouse.attach_sources(&[source], &pinned)?.remove(&source.name);
    warehouse.lock_down()?;
    Ok((warehouse, found))
}

fn rows(warehouse: &Warehouse, sql: &str) -> Result<Vec<String>, WarehouseError> {
    warehouse.connect()?.query_rows(sql, |row| row.get(0))
}

#[test]
fn rule_16_types_of_a_csv_are_declared_else_pinned_else_found() {
    let fixture = Fixture::new();
    let path = fixture.file("p.csv", "id,Year,code\n1,2001,7\n2,NA,8\n3,,9\n");
    let (warehouse, found) = attach(
        &csv(path, &[("year", "SMALLINT")]),
        columns(&[("code", "VARCHAR"), ("gone", "DATE")]),
    )
    .unwrap();
    assert_eq!(
        found,
        Some(columns(&[("id", "BIGINT"), ("Year", "SMALLINT"), ("code", "VARCHAR")]))
    );
    let sql = "SELECT outflow_json({i: id, y: year, c: code}) FROM people ORDER BY id";
    assert_eq!(
        rows(&warehouse, sql).unwrap(),
        [
            r#"{"i":1,"y":2001,"c":"7"}"#,
            r#"{"i":2,"y":null,"c":"8"}"#,
            r#"{"i":3,"y":null,"c":"9"}"#
        ]
    );
    assert_eq!(
        warehouse
            .check_model("SELECT id FROM people", &["people".into()])
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn rule_16_a_row_that_does_not_fit_is_an_error() {
    let fixture = Fixture::new();
    let mut lines: String = (0..30_000).map(|n| format!("{n},x\n")).collect();
    lines.insert_str(0, "id,name\n");
    for (bad, why) in [
        ("zz,x\n", "a text among numbers"),
        ("1,x,2\n", "a field too many"),
        ("5\n", "a field too few"),
    ] {
        let path = fixture.file("p.csv", &format!("{lines}{bad}"));
        let (warehouse, _) = attach(&csv(path, &[]), Vec::new()).unwrap();
        let error = rows(&warehouse, "SELECT outflow_json(id) FROM people").unwrap_err();
        assert!(
            !error.is_transient() && error.to_string().contains("30002"),
            "{why}: {error}"
        );
    }
}

#[test]
fn a_declared_column_that_the_file_lacks_is_named() {
    let fixture = Fixture::new();
    let path = fixture.file("p.csv", "id,name\n1,x\n");
    let error = attach(&csv(path, &[("naem", "VARCHAR")]), Vec::new())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("source `people`") && error.contains("`naem`") && error.contains("`name`"),
        "{error}"
    );
}

#[test]
fn json_has_the_columns_that_are_declared_or_pinned_too() {
    let fixture = Fixture::new();
    let path = fixture.file("p.json", "{\"id\": 1, \"tags\": [\"a\"]}\n{\"id\": 2}\n");
    let declared = IndexMap::from([("id".to_owned(), "INTEGER".to_owned())]);
    let people = source(
        "people",
        SourceKind::Json {
            path,
            columns: declared,
            s3: None,
        },
    );
    let (warehouse, found) = attach(&people, columns(&[("note", "VARCHAR")])).unwrap();
    assert_eq!(
        found,
        Some(columns(&[
            ("id", "INTEGER"),
            ("tags", "VARCHAR[]"),
            ("note", "VARCHAR")
        ]))
    );
    let json = rows(
        &warehouse,
        "SELECT outflow_json({i: id, t: tags, n: note}) FROM people ORDER BY id",
    )
    .unwrap();
    assert_eq!(json, [r#"{"i":1,"t":["a"],"n":null}"#, r#"{"i":2,"t":null,"n":null}"#]);
}

#[test]
fn parquet_and_globs_are_read_after_the_lock_down() {
    let fixture = Fixture::new();
    for n in 1..=2 {
        let path = fixture.path(&format!("part{n}.parquet"));
        let sql = format!(
            "COPY (SELECT 'p{n}' AS name) TO {} (FORMAT parquet)",
            quote::text(path.to_str().unwrap())
        );
        open().connect().unwrap().execute(&sql).unwrap();
        fixture.file(&format!("part{n}.csv"), &format!("name\nc{n}\n"));
    }
    let parquet = source(
        "people",
        SourceKind::Parquet {
            path: fixture.path("part*.parquet"),
            s3: None,
        },
    );
    let (warehouse, found) = attach(&parquet, Vec::new()).unwrap();
    assert_eq!(
        (found, rows(&warehouse, "SELECT name FROM people ORDER BY 1").unwrap()),
        (None, vec!["p1".into(), "p2".into()])
    );
    let (warehouse, _) = attach(&csv(fixture.path("part?.csv"), &[]), Vec::new()).unwrap();
    assert_eq!(
        rows(&warehouse, "SELECT name FROM people ORDER BY 1").unwrap(),
        ["c1", "c2"]
    );
}

#[test]
fn a_duckdb_file_is_a_catalog_that_cannot_be_written() {
    let fixture = Fixture::new();
    let path = fixture.path("crm.duckdb");
    let location = quote::text(path.to_str().unwrap());
    open()
        .connect()
        .unwrap()
        .execute(&format!(
            "ATTACH {location} AS c; CREATE TABLE c.t AS SELECT 'x' AS name"
        ))
        .unwrap();
    let (warehouse, _) = attach(&source("crm", SourceKind::Duckdb { path }), Vec::new()).unwrap();
    assert_eq!(rows(&warehouse, "SELECT name FROM crm.t").unwrap(), ["x"]);
    assert!(
        warehouse
            .connect()
            .unwrap()
            .execute("INSERT INTO crm.t VALUES ('y')")
            .is_err()
    );
    warehouse
        .check_model("SELECT name FROM crm.t", &["crm".into()])
        .unwrap();
    assert!(warehouse.check_model("SELECT name FROM crm.t", &[]).is_err());
}

#[test]
fn an_sqlite_file_is_a_catalog_or_the_extension_is_asked_for() {
    let fixture = Fixture::new();
    let path = fixture.path("crm.sqlite");
    let mut warehouse = open();
    let connection = warehouse.connect().unwrap();
    let people = source("crm", SourceKind::Sqlite { path: path.clone() });
    if extension::load(&connection, SQLITE, &[]).is_err() {
        eprintln!("without DuckDB's SQLite extension only its absence is tested");
        std::fs::write(&path, "").unwrap();
        let error = warehouse
            .attach_sources(&[&people], &BTreeMap::new())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("sqlite_scanner.duckdb_extension") && error.contains("INSTALL sqlite"),
            "{error}"
        );
        return;
    }
    let location = quote::text(path.to_str().unwrap());
    connection
        .execute(&format!(
            "ATTACH {location} AS c (TYPE sqlite); CREATE TABLE c.t AS SELECT 'x' AS name; DETACH c"
        ))
        .unwrap();
    warehouse.attach_sources(&[&people], &BTreeMap::new()).unwrap();
    warehouse.lock_down().unwrap();
    assert_eq!(rows(&warehouse, "SELECT name FROM crm.t").unwrap(), ["x"]);
    warehouse
        .check_model("SELECT name FROM crm.t", &["crm".into()])
        .unwrap();
}

#[test]
fn rule_16_a_missing_or_locked_file_may_come_back() {
    let fixture = Fixture::new();
    for path in ["none.csv", "none*.csv"] {
        let error = attach(&csv(fixture.path(path), &[]), Vec::new()).err().unwrap();
        assert!(error.is_transient() && error.to_string().contains("none"), "{error}");
    }
    let error = attach(
        &source(
            "crm",
            SourceKind::Duckdb {
                path: fixture.path("none.duckdb"),
            },
        ),
        Vec::new(),
    )
    .err()
    .unwrap();
    assert!(matches!(error, WarehouseError::Missing { .. }), "{error}");

    let path = fixture.file("p.csv", "id\n1\n");
    let (warehouse, _) = attach(&csv(path.clone(), &[]), Vec::new()).unwrap();
    std::fs::remove_file(path).unwrap();
    let error = rows(&warehouse, "SELECT outflow_json(id) FROM people").unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[test]
fn locks_are_told_by_duckdbs_words() {
    let text =
        r#"IO Error: Could not set lock on file "/x/crm.duckdb": Conflicting lock is held in /usr/bin/x (PID 1)"#;
    let error = of_source(
        &source(
            "crm",
            SourceKind::Duckdb {
                path: "/x/crm.duckdb".into(),
            },
        ),
        &Secrets::new(),
        WarehouseError::from_duckdb(text),
    );
    assert!(
        matches!(error, WarehouseError::Locked { .. }) && error.is_transient(),
        "{error}"
    );
}

#[test]
fn a_locked_down_instance_reads_only_its_sources() {
    let fixture = Fixture::new();
    let path = fixture.file("p.csv", "id\n1\n");
    let other = fixture.file("other.csv", "id\n1\n");
    let (warehouse, _) = attach(&csv(path, &[]), Vec::new()).unwrap();
    let connection = warehouse.connect().unwrap();
    let other = other.to_str().unwrap();
    for sql in [
        format!("SELECT * FROM read_csv('{other}')"),
        format!("SELECT * FROM '{other}'"),
        format!("SELECT * FROM read_text('{other}')"),
        "SELECT * FROM read_text('/etc/passwd')".into(),
        format!("COPY (SELECT 1) TO '{other}'"),
        "ATTACH '/tmp/x.duckdb' AS x".into(),
        "SET threads = 1".into(),
        "SET enable_external_access = true".into(),
        "LOAD httpfs".into(),
        "INSTALL httpfs".into(),
    ] {
        assert!(connection.execute(&sql).is_err(), "{sql} passes");
    }
}
