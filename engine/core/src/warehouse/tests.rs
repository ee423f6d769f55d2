//! Connections, streams and what stops them.

use super::*;

mod identity;
mod render;

/// An instance for tests.
pub(super) fn open() -> Warehouse {
    open_with(2)
}

fn open_with(threads: usize) -> Warehouse {
    Warehouse::open(&WarehouseOptions {
        memory_limit_bytes: 256 << 20,
        threads,
        temp_dir: std::env::temp_dir().join(format!("outflow-warehouse-{}", std::process::id())),
        extension_dirs: Vec::new(),
    })
    .unwrap()
}

/// The first column of the first row.
#[track_caller]
fn text(sql: &str) -> String {
    open()
        .connect()
        .unwrap()
        .scalar::<String>(sql)
        .unwrap()
        .unwrap_or_else(|| "NULL".into())
}

#[test]
fn rows_stream_with_typed_cells() {
    let mut connection = open().connect().unwrap();
    let mut rows = connection
        .stream(
            "SELECT i::UBIGINT AS n, -i AS m, 'text ' || repeat('x', i % 20) AS t, i % 2 = 0 AS even, \
             (i::UHUGEINT << 100) AS big, CASE WHEN i % 3 = 0 THEN (i % 10)::TINYINT END AS maybe, i / 2 AS half, 'ab'::BLOB AS b \
             FROM range(0, 5000) AS r(i) WHERE i < 100 OR i >= 4900",
        )
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(rows.names()[..3], ["n", "m", "t"]);
    let mut count = 0;
    while let Some(row) = rows.next_row().unwrap_or_else(|error| panic!("{error}")) {
        let n: u64 = row.get(0).unwrap();
        assert_eq!(row.get::<i64>(1).unwrap(), -i64::try_from(n).unwrap());
        assert_eq!(
            row.get::<&str>(2).unwrap(),
            format!("text {}", "x".repeat(n as usize % 20))
        );
        assert_eq!(row.get::<bool>(3).unwrap(), n.is_multiple_of(2));
        assert_eq!(row.get::<u128>(4).unwrap(), u128::from(n) << 100);
        assert_eq!(row.get::<Option<i64>>(5).unwrap().is_some(), n.is_multiple_of(3));
        assert_eq!(row.get::<f64>(6).unwrap(), n as f64 / 2.0);
        assert_eq!(row.get::<&[u8]>(7).unwrap(), b"ab");
        count += 1;
    }
    assert_eq!(count, 200);
}

#[test]
fn a_cell_of_another_type_is_an_error() {
    let connection = open().connect().unwrap();
    let read = |sql: &str| {
        connection
            .query_row(sql, |row| row.get::<u64>(0))
            .unwrap_err()
            .to_string()
    };
    assert!(read("SELECT -1 AS n").contains("column `n`"));
    assert!(read("SELECT NULL::INT AS n").contains("null"));
    assert!(read("SELECT 'x' AS n").contains("\"x\""));
    assert!(connection.query_row("SELECT 1", |row| row.get::<u64>(1)).is_err());
    assert!(
        connection
            .query_row("SELECT 1.5::DECIMAL(3,1)", |row| row.get::<u64>(0))
            .is_err()
    );
    assert_eq!(connection.scalar::<u64>("SELECT 1 WHERE false").unwrap(), None);
}

#[test]
fn an_error_in_the_middle_of_a_stream_is_an_error_and_the_connection_lives() {
    let mut connection = open_with(1).connect().unwrap();
    let mut rows = connection
        .stream("SELECT CASE WHEN i = 500000 THEN error('boom') ELSE 'x' END AS t FROM range(1000000) AS r(i)")
        .unwrap_or_else(|error| panic!("{error}"));
    let mut count = 0;
    let error = loop {
        match rows.next_row() {
            Ok(Some(_)) => count += 1,
            Ok(None) => panic!("the stream ends without the error"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("boom"), "{error}");
    assert!(count > 0, "nothing came before");
    drop(rows);
    assert_eq!(connection.scalar::<i64>("SELECT 42::BIGINT").unwrap(), Some(42));
}

#[test]
fn a_dropped_stream_leaves_the_connection_usable() {
    let mut connection = open().connect().unwrap();
    let mut rows = connection
        .stream("SELECT * FROM range(1000000000)")
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(rows.next_row().unwrap_or_else(|error| panic!("{error}")).is_some());
    drop(rows);
    assert_eq!(connection.scalar::<i64>("SELECT 1::BIGINT").unwrap(), Some(1));
}

#[test]
fn cancelling_ends_what_runs_and_what_comes_after_until_reset() {
    let warehouse = open();
    let connection = warehouse.connect().unwrap();
    let interrupter = warehouse.interrupter();
    let other = interrupter.clone();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        other.cancel();
    });
    let started = std::time::Instant::now();
    let error =
        connection.scalar::<u128>("SELECT sum(outflow_hash(a.range, b.range)) FROM range(1000000) a, range(1000000) b");
    assert!(error.as_ref().is_err_and(WarehouseError::is_cancelled), "{error:?}");
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
    canceller.join().unwrap();
    assert!(connection.execute("SELECT 1").is_err_and(|error| error.is_cancelled()));
    assert!(interrupter.is_cancelled());
    interrupter.reset();
    connection.execute("SELECT 1").unwrap();
}

#[test]
fn cancelling_ends_an_open_stream() {
    let warehouse = open();
    let mut connection = warehouse.connect().unwrap();
    let mut rows = connection
        .stream("SELECT * FROM range(100000000000)")
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(rows.next_row().is_ok());
    warehouse.interrupter().cancel();
    let error = loop {
        match rows.next_row() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ends"),
            Err(error) => break error,
        }
    };
    assert!(error.is_cancelled(), "{error}");
}

#[test]
fn progress_is_seen_from_another_thread() {
    let warehouse = open();
    let connection = warehouse.connect().unwrap();
    connection
        .execute("CREATE TABLE t AS SELECT range AS a FROM range(4000000)")
        .unwrap();
    let progress = connection.progress().unwrap();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (watcher, stop) = (progress.clone(), Arc::clone(&done));
    let watching = std::thread::spawn(move || {
        let mut seen = Vec::new();
        while !stop.load(std::sync::atomic::Ordering::SeqCst) {
            seen.extend(watcher.share());
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        seen
    });
    for _ in 0..3 {
        connection
            .scalar::<u128>("SELECT max(outflow_hash(a, a::VARCHAR)) FROM t")
            .unwrap();
    }
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    let seen = watching.join().unwrap();
    assert!(
        seen.iter().any(|share| *share > 0.0) && seen.iter().all(|share| *share <= 1.0),
        "{seen:?}"
    );
    drop(connection);
    assert_eq!(progress.share(), None);
}

#[test]
fn appended_rows_count_when_finished() {
    let warehouse = open();
    let mut connection = warehouse.connect().unwrap();
    connection
        .execute("CREATE TABLE t(a UBIGINT, b VARCHAR, c UHUGEINT, d BOOLEAN, e BLOB, f DOUBLE, g TINYINT)")
        .unwrap();
    let mut appender = connection
        .append("memory", "t")
        .unwrap_or_else(|error| panic!("{error}"));
    for n in 0..5_000_u64 {
        for value in [
            Value::U64(n),
            Value::from((n % 2 == 0).then_some("even")),
            Value::U128(u128::MAX - u128::from(n)),
            Value::Boolean(true),
            Value::Bytes(b"\x00\xff"),
            Value::F64(0.5),
            Value::I64(-1),
        ] {
            appender.push(value).unwrap_or_else(|error| panic!("{error}"));
        }
        appender.end_row().unwrap_or_else(|error| panic!("{error}"));
    }
    appender.finish().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        connection
            .scalar::<u64>("SELECT count(*)::UBIGINT FROM t WHERE b IS NULL AND g = -1")
            .unwrap(),
        Some(2_500)
    );
    assert_eq!(
        connection.scalar::<u128>("SELECT min(c) FROM t").unwrap(),
        Some(u128::MAX - 4_999)
    );

    let mut appender = connection
        .append("memory", "t")
        .unwrap_or_else(|error| panic!("{error}"));
    appender.push(Value::U64(1)).unwrap_or_else(|error| panic!("{error}"));
    assert!(appender.end_row().is_err());
    drop(appender);
    assert!(connection.append("memory", "none").is_err());
    assert_eq!(
        connection.scalar::<u64>("SELECT count(*)::UBIGINT FROM t").unwrap(),
        Some(5_000)
    );
}

#[test]
fn a_failed_transaction_leaves_nothing() {
    let mut connection = open().connect().unwrap();
    connection.execute("CREATE TABLE t(a INT PRIMARY KEY)").unwrap();
    let failed = connection.transaction(|connection| {
        connection.execute("INSERT INTO t VALUES (1)")?;
        connection.execute("INSERT INTO t VALUES (1)")
    });
    assert!(failed.is_err());
    connection
        .transaction(|connection| connection.execute("INSERT INTO t VALUES (2)"))
        .unwrap();
    assert_eq!(
        connection
            .query_rows("SELECT a FROM t", |row| row.get::<i64>(0))
            .unwrap(),
        [2]
    );
}

#[test]
fn a_ledger_is_attached_beside_and_never_main() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it's.duckdb");
    let warehouse = open();
    warehouse.attach_ledger(&path, false).unwrap();
    warehouse.lock_down().unwrap();
    let connection = warehouse.connect().unwrap();
    connection
        .execute("CREATE TABLE ledger.entries AS SELECT range AS key FROM range(300000)")
        .unwrap();
    connection.execute("CHECKPOINT ledger").unwrap();
    assert_eq!(
        connection
            .scalar::<String>("SELECT current_database()")
            .unwrap()
            .as_deref(),
        Some("memory")
    );
    drop(connection);
    warehouse.detach_ledger().unwrap();
    drop(warehouse);
    let reader = open();
    reader.attach_ledger(&path, true).unwrap();
    let connection = reader.connect().unwrap();
    assert_eq!(
        connection
            .scalar::<u64>("SELECT count(*)::UBIGINT FROM ledger.entries")
            .unwrap(),
        Some(300_000)
    );
    assert!(connection.execute("DELETE FROM ledger.entries").is_err());
    let missing = reader.attach_ledger(&folder.path().join("none.duckdb"), true);
    assert!(missing.is_err());
}

#[test]
fn a_query_larger_than_memory_spills_after_the_lock_down() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Warehouse::open(&WarehouseOptions {
        memory_limit_bytes: 64 << 20,
        threads: 2,
        temp_dir: folder.path().join("temp"),
        extension_dirs: Vec::new(),
    })
    .unwrap();
    warehouse.lock_down().unwrap();
    let connection = warehouse.connect().unwrap();
    let sql = "SELECT count(*)::UBIGINT FROM (SELECT i, repeat('x', 200) || i AS t FROM range(600000) AS r(i) ORDER BY hash(i)) WHERE t > ''";
    assert_eq!(connection.scalar::<u64>(sql).unwrap(), Some(600_000));
}

#[test]
fn a_zero_byte_and_an_empty_statement_are_errors() {
    let connection = open().connect().unwrap();
    assert!(matches!(
        connection.execute("SELECT '\0'"),
        Err(WarehouseError::ZeroByte)
    ));
    assert!(connection.query_row("", |row| row.get::<u64>(0)).is_err());
}
