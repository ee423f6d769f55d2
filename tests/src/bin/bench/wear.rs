//! What a hundred runs, each with one row in a hundred changed, do to the ledger's file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::Bench;
use crate::data::{self, Rows};
use crate::process::{measured, outflow};
use crate::table::Measure;

const ROWS: u64 = 1_000_000;
const RUNS: u64 = 100;

/// The ledger's bytes per row beyond its image columns: its file, less a file that holds those columns alone.
pub fn measure(bench: &Bench, folder: &Path) -> Result<Vec<Measure>> {
    println!("{ROWS} rows of 15 columns, {RUNS} runs that change 1 % each; bigint key");
    data::project(folder, bench.receiver.origin(), None, Rows::sorted(ROWS, 0))?;
    measured(outflow(&bench.binary, folder, &["rebaseline", "rows-to-sink"]))?;
    let ledger = find(&folder.join(".outflow"))?.context("the ledger")?;
    let seeded = size(&ledger)?;
    let mut most = seeded;
    for round in 1..=RUNS {
        Rows::sorted(ROWS, round).write(folder)?;
        measured(outflow(
            &bench.binary,
            folder,
            &["run", "rows-to-sink", "--output", "json"],
        ))?;
        most = most.max(size(&ledger)?);
    }
    let images = images(&ledger, folder)?;
    let per_row = |bytes: u64| (bytes.saturating_sub(images)) as f64 / ROWS as f64;
    println!(
        "{:<34} {:>6.1} bytes beyond its image columns ({} MB of {} MB)",
        "a ledger's row, seeded",
        per_row(seeded),
        seeded / 1_000_000,
        images / 1_000_000
    );
    println!(
        "{:<34} {:>6.1} bytes ({} MB)",
        "after the runs",
        per_row(size(&ledger)?),
        size(&ledger)? / 1_000_000
    );
    println!(
        "{:<34} {:>6.1} bytes ({} MB)",
        "at most, between runs",
        per_row(most),
        most / 1_000_000
    );
    let work = "ledger bytes per row beyond its image columns, after 100 runs of 1 %";
    Ok(vec![Measure::new(work, per_row(size(&ledger)?), "bytes", 40.0, 24.0)])
}

/// The ledger in a state folder.
fn find(folder: &Path) -> Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            find(&path)?
        } else {
            Some(path).filter(|path| path.ends_with("ledger.duckdb"))
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Its file, and the log beside it.
fn size(ledger: &Path) -> Result<u64> {
    let log = ledger.with_extension("duckdb.wal");
    Ok(std::fs::metadata(ledger)?.len() + std::fs::metadata(log).map_or(0, |log| log.len()))
}

/// The size of a file that holds the image columns alone.
fn images(ledger: &Path, folder: &Path) -> Result<u64> {
    let file = folder.join("images.duckdb");
    let connection = duckdb::Connection::open(&file)?;
    connection.execute_batch(&format!(
        "ATTACH '{}' AS ledger (READ_ONLY);
         CREATE TABLE images AS SELECT COLUMNS('^i[0-9]+$') FROM ledger.main.entries;
         CHECKPOINT",
        ledger.display()
    ))?;
    drop(connection);
    Ok(std::fs::metadata(file)?.len())
}
