//! A project in a folder of its own, and the `outflow` binary to run it with.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use outflow_core::report::Report;
use serde_json::Value;

/// The secret that the destination sends.
pub const TOKEN: &str = "t0ken-that-nobody-may-see";

/// A project with one sync, `people-to-receiver`, from a CSV file to a [`Receiver`](crate::receiver::Receiver).
pub struct Project {
    folder: tempfile::TempDir,
}

/// The sync's name.
pub const SYNC: &str = "people-to-receiver";

impl Project {
    /// Makes one: a CSV file with these columns and types, and the lines of the sync's file that say what is sent.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn new(origin: &str, columns: &[(&str, &str)], key: &str, sync: &str) -> Result<Self> {
        let project = Self {
            folder: tempfile::tempdir()?,
        };
        let types: Vec<String> = columns
            .iter()
            .map(|(name, data_type)| format!("  {name}: {data_type}\n"))
            .collect();
        project.write("outflow.yml", "version: 1\nname: test\nwait_for_sources: 0s\n")?;
        project.write(
            "sources/people.yml",
            &format!(
                "type: csv\npath: people.csv\ncolumns:\n{}nulls: [\"NULL\"]\n",
                types.concat()
            ),
        )?;
        project.write("models/people.sql", "SELECT * FROM people\n")?;
        project.write("models/people.yml", &format!("source: people\nkey: {key}\n"))?;
        project.point_to(origin)?;
        project.sync(sync)?;
        Ok(project)
    }

    /// Replaces the lines of the sync's file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn sync(&self, lines: &str) -> Result<()> {
        self.write(
            &format!("syncs/{SYNC}.yml"),
            &format!("model: people\ndestination: receiver\n{lines}\n"),
        )
    }

    /// Replaces the destination's file: the receiver is there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn point_to(&self, origin: &str) -> Result<()> {
        self.write("destinations/receiver.yml", &destination(origin))
    }

    /// Replaces the source's file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn rows(&self, csv: &str) -> Result<()> {
        // In one step, so that a run reads the old file or the new one.
        self.write("people.csv.next", csv)?;
        Ok(std::fs::rename(
            self.path().join("people.csv.next"),
            self.path().join("people.csv"),
        )?)
    }

    /// Writes a file of the project.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
        Ok(std::fs::write(path, text)?)
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The binary with these arguments, on this project.
    ///
    /// # Errors
    /// When the binary was not built.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        Ok(self.command_of(&binary("outflow", "cargo build --workspace")?, arguments))
    }

    /// The same, with the binary that has faults on purpose (`outflow_core::fault`).
    ///
    /// # Errors
    /// When that binary was not built.
    pub fn faulty(&self, arguments: &[&str]) -> Result<Command> {
        Ok(self.command_of(&binary("outflow-faults", "cargo xtask faults")?, arguments))
    }

    fn command_of(&self, binary: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command
            .args(arguments)
            .current_dir(self.path())
            .env("RECEIVER_TOKEN", TOKEN)
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn outflow(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command(arguments)?.output()?)
    }

    /// Runs the sync; its report and exit code.
    ///
    /// # Errors
    /// When the binary prints no report.
    pub fn run(&self, arguments: &[&str]) -> Result<(Report, i32)> {
        let output = self.outflow(&[&["run", SYNC, "--output", "json"], arguments].concat())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let reports: Vec<Report> = serde_json::from_str(&text)
            .with_context(|| format!("no report: {text}{}", String::from_utf8_lossy(&output.stderr)))?;
        let report = reports.into_iter().next().context("an empty list of reports")?;
        Ok((report, output.status.code().unwrap_or(-1)))
    }

    /// Starts a run, and does not wait for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> Result<Child> {
        let mut command = self.command(&["run", SYNC])?;
        Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }

    /// What the ledger says: match value or key and image hash are not shown, but each entry's key and images as JSON.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn ledger(&self) -> Result<Vec<Value>> {
        let path = self.path().join(".outflow/syncs").join(SYNC).join("ledger.duckdb");
        let connection = duckdb::Connection::open_in_memory()?;
        connection.execute_batch(&format!("ATTACH '{}' AS l (READ_ONLY)", path.display()))?;
        let mut statement = connection.prepare("SELECT to_json(e)::VARCHAR FROM l.main.entries AS e ORDER BY ALL")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        rows.map(|row| Ok(serde_json::from_str(&row?)?)).collect()
    }
}

/// What a process printed: standard output, then standard error.
#[must_use]
pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Where cargo puts the binary: two folders above the tests.
fn binary(name: &str, built_by: &str) -> Result<PathBuf> {
    let tests = std::env::current_exe()?;
    let folder = tests.parent().and_then(Path::parent).context("no target folder")?;
    let binary = folder.join(name);
    if !binary.is_file() {
        bail!("there is no {}: run `{built_by}` first", binary.display());
    }
    Ok(binary)
}

/// Every kind of operation, in batches where the receiver can tell what came of each.
fn destination(origin: &str) -> String {
    let one = "{match: {$match: true}, fields: {$record: true}, idempotency_key: {$idempotency_key: true}}";
    let results = "{records: /results, match: /match, errors: /errors, error_match: /match, message: /message}";
    let batch = |kind: &str| {
        format!("  {kind}: {{method: POST, path: /{kind}, batch: 20, body: {{$each: {one}}}, results: {results}}}\n")
    };
    format!(
        "plugin: http\nconfig:\n  base_url: {origin}\n  headers: {{authorization: \"Bearer {{secret.token}}\"}}\n{}{}{}{}  update: {{method: POST, path: /update, body: {one}, not_found: [404]}}\nsecrets: {{token: {{env: RECEIVER_TOKEN}}}}\nallow: [\"{origin}\"]\n",
        batch("insert"),
        batch("upsert"),
        batch("clear"),
        batch("delete"),
    )
}
