//! What a million rows cost. Run by hand: `cargo test -p outflow-core --lib plan::tests::cost -- --ignored --nocapture`.

use super::*;

/// CPU seconds of this process, all threads.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let before = cpu();
    let result = work();
    println!("{what}: {:.2} CPU s", cpu() - before);
    result
}

#[test]
#[ignore = "takes seconds and judges nothing by itself"]
fn a_million_rows_of_fifteen_columns() {
    let mut world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let parquet = folder.path().join("m.parquet");
    let numbers: Vec<_> = (0..5)
        .map(|c| format!("(hash(i + {c}) % 100000)::BIGINT AS n{c}"))
        .collect();
    let texts: Vec<_> = (0..6)
        .map(|c| format!("'text ' || (hash(i + {c}) % 50000) AS t{c}"))
        .collect();
    let columns = format!("{}, {}", numbers.join(", "), texts.join(", "));
    world.warehouse().connect().unwrap().execute(&format!(
        "COPY (SELECT i AS id, {columns}, ((hash(i) % 10000) / 7.0)::DOUBLE AS d0, (hash(i) % 100000)::DECIMAL(12,2) AS c0, \
         DATE '2020-01-01' + (hash(i) % 3000)::INT AS dt FROM range(1000000) AS r(i) ORDER BY hash(i)) TO '{}'",
        parquet.display()
    )).unwrap();
    let names: Vec<_> = (0..5)
        .map(|c| format!("n{c}"))
        .chain((0..6).map(|c| format!("t{c}")))
        .chain(["d0", "c0", "dt"].map(String::from))
        .collect();
    world.sync.mappings = names
        .iter()
        .map(|name| Mapping {
            to: name.clone(),
            from: From::Column(name.clone()),
        })
        .collect();
    for run in 1..=4 {
        let change = if run >= 3 {
            "CASE WHEN id % 100 = 0 THEN n0 + 1 ELSE n0 END AS n0"
        } else {
            "n0 AS n0"
        };
        world.sql = format!("SELECT * REPLACE ({change}) FROM outflow_bench");
        let warehouse = world.warehouse();
        let mut connection = warehouse.connect().unwrap();
        connection
            .execute(&format!(
                "CREATE VIEW outflow_bench AS SELECT * FROM read_parquet('{}')",
                parquet.display()
            ))
            .unwrap();
        let all = names.join(", ");
        timed("floor: scan and hash", || {
            connection
                .scalar::<u64>(&format!(
                    "SELECT bit_xor(hash(outflow_hash(id, {all}))) FROM outflow_bench"
                ))
                .unwrap()
        });
        let model = Model {
            name: "m".into(),
            sql: world.sql.clone(),
            sql_file: "m.sql".into(),
            file: "m.yml".into(),
            sources: Vec::new(),
            key: vec!["id".into()],
            marks: Default::default(),
        };
        let columns = connection
            .query_rows::<_, WarehouseError>(&format!("DESCRIBE {}", world.sql), |row| {
                Ok(Column {
                    name: row.get(0)?,
                    data_type: row.get(1)?,
                })
            })
            .unwrap();
        let projection = Projection::new(&model, &world.sync, &columns, |_| unreachable!()).unwrap();
        let mut ledger = timed("open", || world.open(&warehouse, None).unwrap());
        ledger
            .bind(&mut connection, &world.binding(), &projection.layout)
            .unwrap();
        *world.run.borrow_mut() += 1;
        let planned = timed("prepare", || {
            prepare(
                &mut connection,
                &mut ledger,
                &world.request(&projection),
                None,
                &mut |_| Ok(()),
            )
            .unwrap()
        });
        println!("run {run}: {:?} shortcut {}", planned.counts, planned.shortcut);
        if !planned.deliver {
            continue;
        }
        let mut source = planned.operations(connection.try_clone().unwrap());
        let count = timed("read", || {
            let mut count = 0;
            loop {
                let some = source.next(1000).unwrap();
                if some.is_empty() {
                    return count;
                }
                count += some.len() as u64;
            }
        });
        drop(source);
        let header = Header {
            format: journal::FORMAT,
            incarnation: planned.incarnation().into(),
            run,
            sequence: planned.sequence(),
            operations: count,
            counting: Counting::Batch,
        };
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(async {
                let journal = Journal::create(&world.journal_path(), &header).unwrap();
                journal
                    .append(Entry::Outcomes {
                        accepted: vec![Span(0, count - 1)],
                        aborted: Vec::new(),
                        others: Vec::new(),
                    })
                    .await
                    .unwrap();
            });
        timed("fold", || {
            ledger
                .fold(&mut connection, Reader::open(&world.journal_path()).unwrap())
                .unwrap()
        });
        std::fs::remove_file(world.journal_path()).unwrap();
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}
