//! The benchmark: a million rows of 15 columns through the `http` plugin to a local receiver, against the physical floor.
//!
//! `bench OUTFLOW_BINARY FOLDER` makes the data once, runs the binary, and prints CPU seconds of its process (all threads),
//! its peak memory, and ratios taken in this one run. `bench floor FOLDER` is the floor: scanning the same Parquet file and
//! hashing every row with the engine's own function, in a process of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use outflow_core::project::Project;
use outflow_core::warehouse::{Warehouse, WarehouseError, WarehouseOptions};

const ROWS: u64 = 1_000_000;
/// Clock ticks per second in `/proc` (`USER_HZ`), the same on every Linux.
const TICKS: f64 = 100.0;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [word, folder] if word == "floor" => floor(Path::new(folder)),
        [binary, folder] => bench(Path::new(binary), Path::new(folder)).await,
        _ => bail!("usage: bench OUTFLOW_BINARY FOLDER"),
    }
}

async fn bench(binary: &Path, folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
    // A receiver that reads everything and answers at once.
    let app = Router::new()
        .route("/batch", post(|_body: Bytes| async { "{}" }))
        .layer(axum::extract::DefaultBodyLimit::disable());
    tokio::spawn(async move { axum::serve(listener, app).await });
    tokio::task::block_in_place(|| measure(binary, folder, &origin))
}

fn measure(binary: &Path, folder: &Path, origin: &str) -> Result<()> {
    println!("{ROWS} rows of 15 columns, Parquet; `http` in batches of 1,000 to a local receiver");
    println!("{}", machine());
    make(folder, origin)?;
    let run = || {
        let mut command = Command::new(binary);
        command
            .args(["run", "rows-to-sink", "--output", "json"])
            .current_dir(folder);
        measured(command)
    };
    let floor = || {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("floor").arg(folder);
        measured(command)
    };
    // Compiles the plugin and warms the page cache, so that both sides start alike.
    floor()?;
    let mut plugin = Command::new(binary);
    plugin.args(["plugin", "inspect", "http"]).current_dir(folder);
    measured(plugin)?;

    let base = floor()?;
    let first = run()?;
    let same: Vec<Figures> = (0..3).map(|_| run()).collect::<Result<_>>()?;
    let again = floor()?;
    write(folder, true)?;
    let changed = run()?;
    let base = Figures {
        cpu: base.cpu.min(again.cpu),
        ..base
    };
    let best = same.iter().map(|figures| figures.cpu).fold(f64::INFINITY, f64::min);
    let row = |name: &str, figures: &Figures, cpu: f64| {
        println!(
            "{name:<26} {cpu:>6.2} CPU s  {:>6.2} s  {:>4} MB  {:>5.2} x the floor",
            figures.wall.as_secs_f64(),
            figures.peak_kb / 1024,
            cpu / base.cpu
        );
    };
    row("floor: scan and hash", &base, base.cpu);
    row("first sync", &first, first.cpu);
    if let Some(figures) = same.first() {
        row("no change (best of 3)", figures, best);
    }
    row("1 % changed", &changed, changed.cpu);
    Ok(())
}

/// What a process used.
struct Figures {
    cpu: f64,
    wall: Duration,
    peak_kb: u64,
}

/// Runs a process to its end and reads what it used from `/proc`.
fn measured(mut command: Command) -> Result<Figures> {
    let before = children_cpu()?;
    let begun = Instant::now();
    let mut process = command
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("{command:?}"))?;
    let status = PathBuf::from(format!("/proc/{}/status", process.id()));
    let mut peak_kb = 0;
    let code = loop {
        if let Some(code) = process.try_wait()? {
            break code;
        }
        if let Ok(text) = std::fs::read_to_string(&status) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            peak_kb = line
                .and_then(|line| line.trim().split(' ').next()?.parse().ok())
                .unwrap_or(peak_kb);
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    if !code.success() {
        bail!("{command:?} ended with {code}");
    }
    Ok(Figures {
        cpu: children_cpu()? - before,
        wall: begun.elapsed(),
        peak_kb,
    })
}

/// CPU seconds of all children that were waited for.
fn children_cpu() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").context("the benchmark reads /proc, so it needs Linux")?;
    // Fields 16 and 17, counted from the process's name in parentheses.
    let (_, fields) = text.rsplit_once(')').context("/proc/self/stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |index: usize| -> Result<f64> { Ok(fields.get(index).context("/proc/self/stat")?.parse()?) };
    Ok((ticks(13)? + ticks(14)?) / TICKS)
}

/// The machine that the figures belong to.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores,{model}")
}

fn query(changed: bool) -> String {
    let name = if changed {
        "CASE WHEN i % 100 = 7 THEN 'changed ' ELSE 'name ' END || i"
    } else {
        "'name ' || i"
    };
    format!(
        "SELECT i AS id, {name} AS name, 'user' || i || '@example.com' AS email, i % 97 AS age, (i * 31) % 1000 AS score,
            (i / 7.0)::DECIMAL(12,2) AS balance, i % 2 = 0 AS active, DATE '2020-01-01' + (i % 2000)::INTEGER AS joined,
            TIMESTAMP '2024-01-01' + to_seconds(i) AS seen, 'city ' || i % 500 AS city, 'country ' || i % 60 AS country,
            md5(i::VARCHAR) AS token, (i * 7919) % 1000003 AS number, 'plan ' || i % 4 AS plan, i % 12 AS month
         FROM range({ROWS}) AS r(i)"
    )
}

fn write(folder: &Path, changed: bool) -> Result<()> {
    let connection = duckdb::Connection::open_in_memory()?;
    let path = folder.join("rows.parquet");
    connection.execute_batch(&format!(
        "COPY ({}) TO '{}' (FORMAT parquet)",
        query(changed),
        path.display()
    ))?;
    Ok(())
}

fn make(folder: &Path, origin: &str) -> Result<()> {
    let columns = [
        "name", "email", "age", "score", "balance", "active", "joined", "seen", "city", "country", "token", "number",
        "plan", "month",
    ];
    let mappings: String = columns
        .iter()
        .map(|name| format!("  - {{from: {name}, to: {name}}}\n"))
        .collect();
    for (path, text) in [
        ("outflow.yml", "version: 1\nname: bench\n".to_owned()),
        ("sources/rows.yml", "type: parquet\npath: rows.parquet\n".to_owned()),
        ("models/rows.sql", "SELECT * FROM rows\n".to_owned()),
        ("models/rows.yml", "source: rows\nkey: id\n".to_owned()),
        (
            "destinations/sink.yml",
            format!(
                "plugin: http\nconfig:\n  base_url: {origin}\n  upsert: {{method: POST, path: /batch, batch: 1000, body: {{$each: {{id: {{$match: true}}, record: {{$record: true}}}}}}}}\nallow: [\"{origin}\"]\n"
            ),
        ),
        (
            "syncs/rows-to-sink.yml",
            format!("model: rows\ndestination: sink\nmode: upsert\nmappings:\n{mappings}"),
        ),
    ] {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, text)?;
    }
    write(folder, false)
}

/// Scans the model and hashes every row, as a run without a change has to.
fn floor(folder: &Path) -> Result<()> {
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
    if sums.is_none_or(|(rows, ..)| rows != ROWS) {
        bail!("the floor hashed {sums:?}");
    }
    Ok(())
}
