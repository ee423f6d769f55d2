//! Ten million rows, and 50 against 5 million: compared and planned, against scanning and hashing the same file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use outflow::{Engine, Event, Registry, RegistryOptions, RunOptions};
use outflow_core::project::Project;
use outflow_core::warehouse::{Warehouse, WarehouseError, WarehouseOptions};

use crate::Bench;
use crate::data::{self, Order, Rows};
use crate::process::{Figures, measured, myself, outflow, own_cpu};
use crate::table::Measure;

const ROWS: u64 = 10_000_000;
const LARGE: [u64; 2] = [5_000_000, 50_000_000];
const MEMORY_LIMIT: &str = "256MB";
/// What `planned` prints before its CPU seconds.
const PLANNED: &str = "planned after CPU s";

/// No change, and one row in a hundred changed.
pub fn measure(bench: &Bench, folder: &Path) -> Result<Vec<Measure>> {
    println!("{ROWS} rows of 15 columns, Parquet; memory_limit {MEMORY_LIMIT}; the ledger was seeded by rebaseline");
    data::project(
        folder,
        bench.receiver.origin(),
        Some(MEMORY_LIMIT),
        Rows::sorted(ROWS, 0),
    )?;
    let seeded = rebaseline(bench, folder)?;
    let floor = || measured(myself(&["floor"], folder)?);
    let same = by_turns(floor, || run(bench, folder))?;
    Rows::sorted(ROWS, 1).write(folder)?;
    let planned = by_turns(floor, || plan(folder))?;
    bench.receiver.take_bytes();
    let changed = run(bench, folder)?;
    let sent = bench.receiver.take_bytes();
    let cpu = same.floor.cpu;
    same.floor.print("floor: scan and hash", cpu);
    seeded.print("rebaseline", cpu);
    same.print("no change");
    planned.print("1 % changed, compared and planned");
    changed.print("1 % changed, the whole run", cpu);
    let written = changed.written as f64 / sent as f64;
    println!(
        "{:<34} {written:>6.1} x what was sent: {} MB written, {} MB sent",
        "bytes written to disk, 1 % changed",
        changed.written / 1_000_000,
        sent / 1_000_000
    );
    let peak = planned.figures.peak_kb as f64 / 1024.0;
    Ok(vec![
        Measure::new("10 M rows, no change, CPU", same.ratio(), "×", 1.3, 1.1),
        Measure::new(
            "10 M rows, 1 % changed, diff and plan, CPU",
            planned.ratio(),
            "×",
            2.0,
            1.6,
        ),
        Measure::new("same, peak memory at `memory_limit` 256 MB", peak, "MB", 600.0, 400.0),
        Measure::new(
            "bytes written by a run with 1 % changed, against those sent",
            written,
            "×",
            8.0,
            3.0,
        ),
    ])
}

/// Turns in which something and its floor are measured, one after the other.
const TURNS: usize = 5;

/// Something that was measured, right after its floor.
struct Turn {
    floor: Figures,
    figures: Figures,
}

impl Turn {
    fn ratio(&self) -> f64 {
        self.figures.cpu / self.floor.cpu
    }

    fn print(&self, name: &str) {
        self.figures.print(name, self.floor.cpu);
    }
}

/// Measures by turns, as a machine's speed changes within minutes. Gives the turn with the middle ratio.
fn by_turns(floor: impl Fn() -> Result<Figures>, work: impl Fn() -> Result<Figures>) -> Result<Turn> {
    let turn = |_| {
        Ok(Turn {
            floor: floor()?,
            figures: work()?,
        })
    };
    let mut turns = (0..TURNS).map(turn).collect::<Result<Vec<_>>>()?;
    turns.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
    let ratios: Vec<_> = turns.iter().map(|turn| format!("{:.2}", turn.ratio())).collect();
    println!("{TURNS} turns: {} x", ratios.join(", "));
    Ok(turns.swap_remove(TURNS / 2))
}

/// How the cost grows with the rows, by sorted and by random keys.
pub fn large(bench: &Bench, folder: &Path) -> Result<Vec<Measure>> {
    let [few, many] = LARGE;
    println!("{many} against {few} rows of 15 columns, 1 % changed, compared and planned; memory_limit {MEMORY_LIMIT}");
    let mut measures = Vec::new();
    let orders = [
        (Order::Sorted, "sorted keys", "50 M rows against 5 M, sorted keys, CPU"),
        (Order::Random, "random keys", "50 M rows against 5 M, random keys, CPU"),
    ];
    for (order, name, work) in orders {
        let mut figures = Vec::new();
        for count in LARGE {
            let project = folder.join(format!("{count}"));
            let rows = |round| Rows { count, order, round };
            data::project(&project, bench.receiver.origin(), Some(MEMORY_LIMIT), rows(0))?;
            rebaseline(bench, &project)?;
            rows(1).write(&project)?;
            figures.push(plan(&project)?);
            std::fs::remove_dir_all(project)?;
        }
        let [least, most] = figures[..] else {
            bail!("two were to be measured");
        };
        println!(
            "{name:<34} {:>6.2} CPU s, {} MB  against {:.2} CPU s, {} MB: {:.1} x",
            most.cpu,
            most.peak_kb / 1024,
            least.cpu,
            least.peak_kb / 1024,
            most.cpu / least.cpu
        );
        measures.push(Measure::new(work, most.cpu / least.cpu, "×", 12.0, 10.0));
    }
    Ok(measures)
}

fn rebaseline(bench: &Bench, folder: &Path) -> Result<Figures> {
    measured(outflow(&bench.binary, folder, &["rebaseline", "rows-to-sink"]))
}

fn run(bench: &Bench, folder: &Path) -> Result<Figures> {
    measured(outflow(
        &bench.binary,
        folder,
        &["run", "rows-to-sink", "--output", "json"],
    ))
}

/// Compares and plans in a process of its own, with the CPU that was used up to there.
fn plan(folder: &Path) -> Result<Figures> {
    let told = folder.join("planned");
    let figures = measured(myself(&["planned"], folder)?)?;
    let text = std::fs::read_to_string(&told).with_context(|| told.display().to_string())?;
    let mut numbers = text
        .strip_prefix(PLANNED)
        .context("what was measured")?
        .split_whitespace();
    let cpu = numbers.next().context("what was measured")?.parse()?;
    Ok(Figures { cpu, ..figures })
}

/// Runs the sync up to its plan, and writes into the folder how much CPU that took. Then the run is cancelled, before the
/// first request.
pub async fn planned(folder: &Path) -> Result<()> {
    // The binary carries the plugins, a host program has them in a folder.
    let target = std::env::current_exe()?;
    let plugins = target.ancestors().nth(2).context("the target folder")?.join("plugins");
    let registry = Registry::new(RegistryOptions {
        folders: vec![plugins],
        // To compile a plugin is no part of a plan.
        cache: Some(folder.join("compiled")),
        ..RegistryOptions::default()
    })?;
    let engine = Engine::builder(folder, Arc::new(registry)).build()?;
    let mut run = engine.run("rows-to-sink", RunOptions::default());
    let (mut events, control) = (run.events(), run.control());
    loop {
        if let Event::Planned { counts } = events.recv().await.context("no plan was made")? {
            control.cancel();
            std::fs::write(folder.join("planned"), format!("{PLANNED} {:.2}", own_cpu()?))?;
            if counts.planned.changed == 0 {
                bail!("nothing was planned");
            }
            break;
        }
    }
    run.wait().await?;
    Ok(())
}

/// Scans the model and hashes every row, as a run without a change has to.
pub fn floor(folder: &Path) -> Result<()> {
    let project = Project::load(folder)?;
    let source = project.sources.get("rows").context("the source")?;
    let mut warehouse = Warehouse::open(&WarehouseOptions {
        memory_limit_bytes: project.settings.memory_limit.0,
        threads: project.settings.threads,
        temp_dir: folder.join("floor"),
        extension_dirs: Vec::new(),
    })?;
    warehouse.attach_sources(&[source], &BTreeMap::new())?;
    let sums = warehouse.connect()?.query_row::<_, WarehouseError>(
        "SELECT count(*), sum((h & 18446744073709551615::UHUGEINT)::UBIGINT), sum((h >> 64)::UBIGINT)
         FROM (SELECT outflow_hash(*COLUMNS(*)) AS h FROM rows)",
        |row| Ok((row.get::<u64>(0)?, row.get::<u128>(1)?, row.get::<u128>(2)?)),
    )?;
    if sums.is_none_or(|(rows, ..)| rows == 0) {
        bail!("the floor hashed {sums:?}");
    }
    Ok(())
}
