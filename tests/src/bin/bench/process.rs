//! What a process used, from `/proc`, and the machine that it ran on.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Clock ticks per second in `/proc` (`USER_HZ`), the same on every Linux.
const TICKS: f64 = 100.0;

/// What a process used.
#[derive(Clone, Copy)]
pub struct Figures {
    /// CPU seconds of all its threads.
    pub cpu: f64,
    /// From start to end.
    pub wall: Duration,
    /// The most memory that it had, in KB.
    pub peak_kb: u64,
    /// Bytes that it had written to disk, by the kernel's account.
    pub written: u64,
}

impl Figures {
    /// Prints them in a line, against the CPU of a floor.
    pub fn print(&self, name: &str, floor: f64) {
        println!(
            "{name:<34} {:>6.2} CPU s  {:>6.2} s  {:>4} MB  {:>5.2} x the floor",
            self.cpu,
            self.wall.as_secs_f64(),
            self.peak_kb / 1024,
            self.cpu / floor
        );
    }
}

/// Runs a process to its end and reads what it used.
pub fn measured(mut command: Command) -> Result<Figures> {
    let before = children_cpu()?;
    let begun = Instant::now();
    let mut process = command
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("{command:?}"))?;
    let proc = PathBuf::from(format!("/proc/{}", process.id()));
    let (mut peak_kb, mut written) = (0, 0);
    let code = loop {
        if let Some(code) = process.try_wait()? {
            break code;
        }
        peak_kb = field(&proc.join("status"), "VmHWM:").unwrap_or(peak_kb);
        written = field(&proc.join("io"), "write_bytes:").unwrap_or(written);
        std::thread::sleep(Duration::from_millis(2));
    };
    if !code.success() {
        bail!("{command:?} ended with {code}");
    }
    Ok(Figures {
        cpu: children_cpu()? - before,
        wall: begun.elapsed(),
        peak_kb,
        written,
    })
}

/// `outflow ARGUMENTS` in a project.
pub fn outflow(binary: &Path, project: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).current_dir(project);
    command
}

/// This program with other arguments, in a process of its own.
pub fn myself(arguments: &[&str], folder: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).arg(folder);
    Ok(command)
}

/// The number after a field's name in a file of `/proc`.
fn field(file: &Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().split(' ').next()?.parse().ok()
}

/// CPU seconds of this process.
pub fn own_cpu() -> Result<f64> {
    cpu(11)
}

/// CPU seconds of all children that were waited for.
fn children_cpu() -> Result<f64> {
    cpu(13)
}

/// Two neighbouring fields of `/proc/self/stat`, counted from the process's name in parentheses.
fn cpu(index: usize) -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").context("the benchmark reads /proc, so it needs Linux")?;
    let (_, fields) = text.rsplit_once(')').context("/proc/self/stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |index: usize| -> Result<f64> { Ok(fields.get(index).context("/proc/self/stat")?.parse()?) };
    Ok((ticks(index)? + ticks(index + 1)?) / TICKS)
}

/// The day and the machine that the figures belong to.
pub fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{}; {cores} cores,{model}; Linux {}; outflow {}, DuckDB {}",
        chrono::Utc::now().format("%Y-%m-%d"),
        kernel.trim(),
        env!("CARGO_PKG_VERSION"),
        duckdb_version()
    )
}

fn duckdb_version() -> String {
    let asked = duckdb::Connection::open_in_memory()
        .and_then(|connection| connection.query_row("SELECT version()", [], |row| row.get(0)));
    asked.unwrap_or_else(|error| error.to_string())
}
