//! The demo: the quickstart, synced three times into a folder of its own, against a small CRM that it starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::tool;

/// How long the CRM may take to listen.
const START: Duration = Duration::from_secs(20);
/// The placeholder in the quickstart's destination.
const ORIGIN: &str = "http://localhost:7070";
const SYNC: &str = "aircraft-to-crm";

/// Builds what is missing, and runs it.
pub fn run(root: &Path) -> Result<()> {
    println!("demo: building (the first time takes a while)");
    build(root)?;
    let begun = Instant::now();
    let demo = Demo::start(root)?;

    demo.heading("What a run would do, before anything is sent");
    demo.outflow(&["plan", SYNC, "--sample", "2"])?;
    demo.heading("First sync: everything is new");
    demo.outflow(&["run"])?;
    demo.tell()?;
    demo.heading("Second sync: nothing changed, so nothing is sent");
    demo.outflow(&["run"])?;
    demo.tell()?;
    demo.heading("The registry changes: one aircraft is new, two have another maker, one is gone");
    demo.change()?;
    demo.outflow(&["plan", SYNC])?;
    demo.outflow(&["run"])?;
    demo.tell()?;
    demo.heading("What was done");
    demo.outflow(&["runs", SYNC])?;
    println!(
        "{:.1} s. The project is in {}: look around, change it, run it again.",
        begun.elapsed().as_secs_f64(),
        demo.project.display()
    );
    Ok(())
}

/// One build for tests, demo and benchmark: the same features, so that nothing is compiled twice.
pub fn build(root: &Path) -> Result<()> {
    tool::show(
        tool::cargo()
            .args(["build", "--workspace", "--all-targets", "--quiet"])
            .current_dir(root),
    )
}

/// The binary that tests kill at named points, as `outflow-faults` beside the ordinary one. That must be built after it,
/// for cargo gives both one name.
pub fn build_faults(root: &Path) -> Result<()> {
    let mut cargo = tool::cargo();
    cargo.args([
        "build",
        "--workspace",
        "--bin",
        "outflow",
        "--features",
        "outflow-cli/faults",
        "--quiet",
    ]);
    // Not optimised, as that would take longer than all that is done with it. What they depend on is there already.
    for package in ["outflow-core", "outflow-plugin", "outflow", "outflow-cli"] {
        cargo
            .arg("--config")
            .arg(format!("profile.dev.package.{package}.opt-level=0"));
    }
    tool::show(cargo.current_dir(root))?;
    let built = target(root).join("debug");
    // Not written over: a test may be running it.
    let next = built.join("outflow-faults.next");
    fs::copy(built.join("outflow"), &next)?;
    Ok(fs::rename(next, built.join("outflow-faults"))?)
}

/// The benchmark, or those parts of it, with the binary of this build.
pub fn bench(root: &Path, parts: &[String]) -> Result<()> {
    build(root)?;
    let built = target(root).join("debug");
    let mut command = Command::new(built.join("bench"));
    command.arg(built.join("outflow")).arg(target(root).join("bench"));
    command.arg(root.join("tests/benchmark.md"));
    tool::show(command.args(parts))
}

struct Demo {
    outflow: PathBuf,
    project: PathBuf,
    status: PathBuf,
    crm: Child,
}

impl Demo {
    fn start(root: &Path) -> Result<Self> {
        let built = target(root).join("debug");
        let folder = target(root).join("demo");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let project = folder.join("quickstart");
        copy(&root.join("examples/quickstart"), &project)?;
        let status = folder.join("crm.json");
        let crm = Command::new(built.join("crm"))
            .arg(&status)
            .spawn()
            .context("the demo's CRM cannot be started")?;
        let demo = Self {
            outflow: built.join("outflow"),
            project,
            status,
            crm,
        };
        let origin = demo.origin()?;
        let file = demo.project.join("destinations/crm.yml");
        fs::write(&file, fs::read_to_string(&file)?.replace(ORIGIN, &origin))?;
        Ok(demo)
    }

    fn origin(&self) -> Result<String> {
        let begun = Instant::now();
        while begun.elapsed() < START {
            if self.status.exists() {
                let status = self.read()?;
                return Ok(status["origin"].as_str().unwrap_or_default().to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the demo's CRM did not start within {} s", START.as_secs())
    }

    fn read(&self) -> Result<Value> {
        Ok(serde_json::from_str(&fs::read_to_string(&self.status)?)?)
    }

    fn heading(&self, text: &str) {
        println!("\n== {text}");
    }

    fn outflow(&self, arguments: &[&str]) -> Result<()> {
        println!("$ outflow {}", arguments.join(" "));
        let mut command = Command::new(&self.outflow);
        command
            .args(arguments)
            .current_dir(&self.project)
            .env("CRM_TOKEN", "a-token-for-the-demo");
        tool::show(&mut command)
    }

    /// What the CRM has, by its own word.
    fn tell(&self) -> Result<()> {
        let status = self.read()?;
        println!(
            "the CRM has {} assets after {} requests",
            status["assets"], status["requests"]
        );
        Ok(())
    }

    /// The registry of the next day.
    fn change(&self) -> Result<()> {
        let file = self.project.join("data/planes.csv");
        let registry = fs::read_to_string(&file)?;
        let mut next = String::new();
        for line in registry.lines().filter(|line| !line.starts_with("N102UW,")) {
            let changed = line.starts_with("N103US,") || line.starts_with("N104UW,");
            next.push_str(&if changed {
                line.replace("AIRBUS INDUSTRIE", "AIRBUS")
            } else {
                line.to_owned()
            });
            next.push('\n');
        }
        next.push_str("N00001,2026,Fixed wing multi engine,BOEING,737-10,2,188,NA,Turbo-fan\n");
        Ok(fs::write(file, next)?)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do about either.
        let _ = self.crm.kill();
        let _ = self.crm.wait();
    }
}

/// Cargo's target folder.
pub fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// A folder with all that is in it, but for state.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if name == ".outflow" || name == "out" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(name))?;
        } else {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}
