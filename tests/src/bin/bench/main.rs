//! The benchmark: what the engine costs, against the physical floor of the same work in the same run.
//!
//! `bench OUTFLOW_BINARY FOLDER TABLE [PART…]` makes its data in FOLDER, prints ratios and keeps them in the file TABLE. Parts are `sync` (a million rows to a
//! local receiver), `scale` (ten million rows, compared and planned), `wear` (what a hundred runs do to the ledger's file),
//! `journal` (what it costs to keep outcomes) and, only where it is named, `large` (5 against 50 million rows).
//!
//! `bench floor FOLDER` and `bench planned FOLDER` are what it measures in processes of their own.

mod data;
mod journal;
mod process;
mod scale;
mod sync;
mod table;
mod wear;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

const USAGE: &str = "usage: bench OUTFLOW_BINARY FOLDER TABLE [sync | scale | wear | journal | large]…";
const PARTS: [&str; 4] = ["sync", "scale", "wear", "journal"];

/// What every part needs.
struct Bench {
    /// The `outflow` binary.
    binary: PathBuf,
    /// Where data and projects go.
    folder: PathBuf,
    /// Where the results are kept.
    table: PathBuf,
    /// The machine that they belong to, and the day.
    machine: String,
    /// A receiver that answers at once.
    receiver: data::Receiver,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [word, folder] if word == "floor" => scale::floor(Path::new(folder)),
        [word, folder] if word == "planned" => scale::planned(Path::new(folder)).await,
        [binary, folder, table, parts @ ..] => {
            let bench = Bench {
                binary: std::path::absolute(binary)?,
                folder: std::path::absolute(folder)?,
                table: std::path::absolute(table)?,
                machine: process::machine(),
                receiver: data::Receiver::start().await?,
            };
            let all = PARTS.map(str::to_owned);
            let parts = if parts.is_empty() { &all[..] } else { parts };
            println!("{}\n", bench.machine);
            for part in parts {
                tokio::task::block_in_place(|| bench.part(part))?;
            }
            Ok(())
        }
        _ => bail!(USAGE),
    }
}

impl Bench {
    fn part(&self, name: &str) -> Result<()> {
        let folder = self.folder.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        let measures = match name {
            "sync" => sync::measure(self, &folder)?,
            "scale" => scale::measure(self, &folder)?,
            "wear" => wear::measure(self, &folder)?,
            "journal" => journal::measure(&folder)?,
            "large" => scale::large(self, &folder)?,
            other => bail!("there is no part `{other}`; {USAGE}"),
        };
        table::keep(&self.table, name, &self.machine, &measures)?;
        println!();
        // Data of gigabytes is not left behind.
        Ok(std::fs::remove_dir_all(folder)?)
    }
}
