//! What the whole of it does: values through SQL, and back.

use super::*;

pub(super) fn open() -> Warehouse {
    Warehouse::open(&WarehouseOptions {
        memory_limit_bytes: 256 << 20,
        threads: 2,
        temp_dir: std::env::temp_dir().join(format!("outflow-warehouse-{}", std::process::id())),
        extension_dirs: Vec::new(),
    })
    .unwrap()
}

/// The first column of the first row.
fn text(sql: &str) -> String {
    open()
        .connect()
        .unwrap()
        .scalar::<String>(sql)
        .unwrap()
        .unwrap_or_else(|| "NULL".into())
}

#[test]
fn functions_answer() {
    assert_eq!(
        text("SELECT outflow_json({a: 1, b: 'x\"y', c: NULL, d: 1.10::DECIMAL(5,2)})"),
        r#"{"a":1,"b":"x\"y","c":null,"d":1.10}"#
    );
    assert_eq!(
        text("SELECT outflow_fault(1, 'a', 'nan'::DOUBLE)"),
        "NaN, which JSON does not have"
    );
    let w = open();
    let c = w.connect().unwrap();
    let hash = c
        .scalar::<u128>("SELECT outflow_hash(1, NULL, 'a')")
        .unwrap();
    assert!(hash.is_some());
}
