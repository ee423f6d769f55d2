//! Trials: a sync that is disturbed on its way, and an oracle that knows what must have become of it.
//!
//! The oracle looks from outside only, at the receiver's records, the ledger's file, and what the next runs do: all must
//! be as if nothing had happened, and nothing that the ledger knows to be accepted may be sent again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail, ensure};
use outflow_core::report::{Report, Status};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::project::{Project, SYNC};
use crate::receiver::Receiver;

/// Mirrors all changes, however many rows leave.
pub const MIRROR: &str = "mode: mirror\nmatch: {from: id, to: id}\nmappings: [{from: name, to: name}]\nguards: {max_removed: {share: 1.0, rows: 100000}}";

/// A sync of people under trial.
pub struct Trial {
    /// The project.
    pub project: Project,
    /// The destination.
    pub receiver: Receiver,
    rows: BTreeMap<u64, String>,
    random: StdRng,
    size: u64,
}

impl Trial {
    /// A model of about `size` rows, whose changes `seed` decides.
    ///
    /// # Errors
    /// When the project cannot be written or no port is free.
    pub async fn new(size: u64, seed: u64) -> Result<Self> {
        let receiver = Receiver::start().await?;
        let columns = [("id", "BIGINT"), ("name", "VARCHAR")];
        let project = Project::new(&receiver.origin(), &columns, "id", MIRROR)?;
        let mut trial = Self {
            project,
            receiver,
            rows: BTreeMap::new(),
            random: StdRng::seed_from_u64(seed),
            size,
        };
        trial.change()?;
        Ok(trial)
    }

    /// Adds, changes and removes rows of the model; at first all are new.
    ///
    /// # Errors
    /// When the model's file cannot be written.
    pub fn change(&mut self) -> Result<()> {
        let (random, size) = (&mut self.random, self.size);
        let count = if self.rows.is_empty() { size } else { size / 2 };
        for _ in 0..count {
            let id = random.random_range(0..size * 2);
            if random.random_bool(0.3) && self.rows.len() > 10 {
                self.rows.remove(&id);
            } else {
                self.rows
                    .insert(id, format!("name {}", random.random_range(0..1_000_000)));
            }
        }
        let lines: Vec<String> = self.rows.iter().map(|(id, name)| format!("{id},{name}\n")).collect();
        self.project.rows(&format!("id,name\n{}", lines.concat()))
    }

    /// Starts a run of the binary with faults, which has this one: `POINT:ACTION:NTH`.
    ///
    /// # Errors
    /// When that binary was not built.
    pub fn start(&self, fault: &str) -> Result<Child> {
        let mut command = self.project.faulty(&["run", SYNC])?;
        command.env("OUTFLOW_FAULT", fault).env("OUTFLOW_POWER", "1");
        Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }

    /// Cuts the power, after the process was killed: what ledger and journal had not made durable is gone, and a journal
    /// whose removal had not been made durable is back.
    ///
    /// # Errors
    /// When the files cannot be changed.
    pub fn cut_power(&self) -> Result<()> {
        let folder = self.folder();
        let durable = folder.join("durable");
        if !durable.exists() {
            return Ok(()); // Nothing had been written yet.
        }
        let journal = folder.join("journal");
        if journal.exists() {
            let bytes = std::fs::read_to_string(durable.join("journal-bytes"))?.parse()?;
            std::fs::File::options().write(true).open(&journal)?.set_len(bytes)?;
        } else if durable.join("journal").exists() {
            std::fs::copy(durable.join("journal"), &journal)?;
        }
        for name in ["ledger.duckdb", "ledger.duckdb.wal"] {
            if durable.join(name).exists() {
                std::fs::copy(durable.join(name), folder.join(name))?;
            } else if folder.join(name).exists() {
                std::fs::remove_file(folder.join(name))?;
            }
        }
        Ok(())
    }

    /// The sync's state folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.project.path().join(".outflow/syncs").join(SYNC)
    }

    /// Runs once more, undisturbed, and judges; gives the report.
    ///
    /// # Errors
    /// What is not as it must be.
    pub fn judge(&self) -> Result<Report> {
        let (report, _) = self.project.run(&[])?;
        ensure!(report.status == Status::Success, "it ended otherwise: {report:?}");
        self.compare()?;
        Ok(report)
    }

    /// Compares receiver and ledger with the model, and proves that a further run does nothing.
    ///
    /// # Errors
    /// What is not as it must be.
    pub fn compare(&self) -> Result<()> {
        let wanted: BTreeMap<String, Value> = self
            .rows
            .iter()
            .map(|(id, name)| (id.to_string(), json!({"name": name})))
            .collect();
        let found = self.receiver.records();
        ensure!(
            found == wanted,
            "the receiver has {} records and should have {}; or others",
            found.len(),
            wanted.len()
        );
        let entries: BTreeMap<u64, String> = self
            .project
            .ledger()?
            .iter()
            .map(|entry| {
                ensure!(entry["uncertain"] == json!(false), "uncertain: {entry}");
                let key = entry["k0"].as_u64().context("no key")?;
                let name = entry["i0"].as_str().context("no image")?;
                Ok((key, name.to_owned()))
            })
            .collect::<Result<_>>()?;
        ensure!(entries == self.rows, "the ledger has other entries than the model");
        let before = self.receiver.received();
        let (idle, _) = self.project.run(&[])?;
        if idle.status != Status::Success || idle.counts.changes.total() != 0 {
            bail!("a run that had nothing to do: {idle:?}");
        }
        ensure!(self.receiver.received() == before, "a run that had nothing to do sent");
        Ok(())
    }
}
