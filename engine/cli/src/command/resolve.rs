//! `outflow resolve`: a person's word on rows of which nobody knows whether they arrived.

use outflow::Arrival;

use super::engine;
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, say};
use crate::terminal::line;

/// Resolves keys. A warning is that one of them is still as it was.
pub async fn execute(arguments: &Arguments, sync: &str, keys: &[String], delivered: bool) -> anyhow::Result<Exit> {
    let arrival = if delivered {
        Arrival::Delivered
    } else {
        Arrival::NotDelivered
    };
    let resolved = engine(arguments)?.resolve(sync, keys.to_vec(), arrival).await?;
    match arguments.output {
        Output::Json => output::json(&resolved)?,
        Output::Text if resolved.is_empty() => say!("{sync} has no ledger yet"),
        Output::Text => {
            for one in &resolved {
                say!("{sync} {}: {}", line(&one.key), line(&one.message));
            }
        }
    }
    let settled = !resolved.is_empty() && resolved.iter().all(|one| one.settled);
    Ok(if settled { Exit::Success } else { Exit::Warning })
}
