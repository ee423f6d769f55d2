//! A million rows through the `http` plugin to a local receiver.

use std::path::Path;

use anyhow::Result;

use crate::Bench;
use crate::data::{self, Rows};
use crate::process::{Figures, measured, myself, outflow};
use crate::table::Measure;

const ROWS: u64 = 1_000_000;

/// First sync, no change, and one row in a hundred changed; against scanning the same file and hashing every row.
pub fn measure(bench: &Bench, folder: &Path) -> Result<Vec<Measure>> {
    println!("{ROWS} rows of 15 columns, Parquet; `http` in batches of 1,000 to a local receiver");
    data::project(folder, bench.receiver.origin(), None, Rows::sorted(ROWS, 0))?;
    let run = || {
        measured(outflow(
            &bench.binary,
            folder,
            &["run", "rows-to-sink", "--output", "json"],
        ))
    };
    let floor = || measured(myself(&["floor"], folder)?);
    // Compiles the plugin and warms the page cache, so that both sides start alike.
    floor()?;
    measured(outflow(&bench.binary, folder, &["plugin", "inspect", "http"]))?;

    let base = floor()?;
    let first = run()?;
    let same = least((0..3).map(|_| run()))?;
    let again = floor()?;
    Rows::sorted(ROWS, 1).write(folder)?;
    let changed = run()?;
    let base = if again.cpu < base.cpu { again } else { base };
    base.print("floor: scan and hash", base.cpu);
    first.print("first sync", base.cpu);
    same.print("no change (best of 3)", base.cpu);
    changed.print("1 % changed", base.cpu);
    let peak = [&first, &same, &changed]
        .map(|figures| figures.peak_kb)
        .into_iter()
        .max();
    Ok(vec![
        Measure::new("first sync of 1 M rows over HTTP, CPU", first.cpu, "s", 8.0, 4.0),
        Measure::plain("1 M rows, no change, CPU", same.cpu / base.cpu, "×", 1.5),
        Measure::plain(
            "peak memory of these",
            peak.unwrap_or_default() as f64 / 1024.0,
            "MB",
            400.0,
        ),
    ])
}

/// The one with the least CPU, which noise disturbed least.
pub fn least(mut tries: impl Iterator<Item = Result<Figures>>) -> Result<Figures> {
    let first = tries.next().unwrap_or_else(|| anyhow::bail!("nothing was measured"))?;
    tries.try_fold(first, |best, next| {
        next.map(|next| if next.cpu < best.cpu { next } else { best })
    })
}
