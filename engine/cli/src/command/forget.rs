//! `outflow forget`: erases what is kept of rows.

use super::engine;
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, say};
use crate::terminal::line;

/// Forgets keys, and says what that means.
pub async fn execute(arguments: &Arguments, sync: &str, keys: &[String], still: bool) -> anyhow::Result<Exit> {
    let forgotten = engine(arguments)?.forget(sync, keys.to_vec(), still).await?;
    match arguments.output {
        Output::Json => output::json(&forgotten)?,
        Output::Text => {
            say!(
                "{sync}: forgotten: {} entries of the ledger, {} of records, messages of {}",
                forgotten.entries,
                output::counted(forgotten.recorded, "row"),
                output::counted(forgotten.runs, "run")
            );
            if forgotten.entries > 0 {
                say!("nothing was sent: the destination keeps what it has, and outflow will not remove it there");
            }
            for key in &forgotten.in_model {
                say!("the model has {}: the next run sends it as new", line(key));
            }
            for note in &forgotten.notes {
                say!("note: {}", output::indented(note));
            }
            say!(
                "not promised: what the disk keeps of files that were replaced, backups, plans that `plan --out` wrote, and logs"
            );
        }
    }
    Ok(Exit::Success)
}
