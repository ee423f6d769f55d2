//! Runs of a sync whose source has secrets. Nothing that the process writes may have them.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use outflow_core::report::{Report, Status};

use crate::project::{Project, SYNC};

/// Secrets by the environment variables that a source takes them from.
pub type Secrets<'a> = [(&'a str, &'a str)];

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// The report's status.
    pub status: Status,
    /// The report's message, if it has one.
    pub message: String,
    /// The exit code.
    pub code: i32,
}

/// Runs the sync to its end.
///
/// # Errors
/// When the binary prints no report, or a secret is seen.
pub fn run(project: &Project, secrets: &Secrets<'_>) -> Result<Ended> {
    ended(project, secrets, start(project, secrets)?)
}

/// Starts a run, and does not wait for it.
///
/// # Errors
/// When it cannot be started.
pub fn start(project: &Project, secrets: &Secrets<'_>) -> Result<Child> {
    let mut command = project.command(&["run", SYNC, "--output", "json"])?;
    command.envs(secrets.iter().copied());
    Ok(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

/// Waits for a run that was started.
///
/// # Errors
/// When the binary prints no report, or a secret is seen.
pub fn ended(project: &Project, secrets: &Secrets<'_>, started: Child) -> Result<Ended> {
    let output = tokio::task::block_in_place(|| started.wait_with_output())?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    for (_, secret) in secrets {
        let part = telling(secret);
        ensure!(
            !out.contains(part) && !err.contains(part),
            "a secret is shown: {out}{err}"
        );
        let files = files_with(&project.path().join(".outflow"), part);
        ensure!(files.is_empty(), "a secret is kept: {files:?}");
    }
    let reports: Vec<Report> = serde_json::from_str(&out).with_context(|| format!("no report: {out}{err}"))?;
    let report = reports.into_iter().next().context("an empty list of reports")?;
    Ok(Ended {
        status: report.status,
        message: report.message.unwrap_or_default(),
        code: output.status.code().unwrap_or(-1),
    })
}

/// The part of a secret that looks the same however the secret is quoted.
fn telling(secret: &str) -> &str {
    let parts = secret.split(|character: char| !character.is_ascii_alphanumeric() && character != '-');
    parts.max_by_key(|part| part.len()).unwrap_or(secret)
}

/// The files in or below a folder that have a text.
fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        if path.is_dir() {
            found.append(&mut files_with(&path, text));
        } else if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path);
        }
    }
    found
}
