//! `outflow retry`: releases rows that are parked after too many rejections.

use super::engine;
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, say};
use crate::terminal::line;

/// Releases keys, or all that is parked. A warning is that one of them is not parked.
pub async fn execute(arguments: &Arguments, sync: &str, keys: &[String], all: bool) -> anyhow::Result<Exit> {
    let keys = (!all).then(|| keys.to_vec());
    let released = engine(arguments)?.release(sync, keys).await?;
    match arguments.output {
        Output::Json => output::json(&released)?,
        Output::Text => {
            for key in &released.keys {
                say!("{sync} {}: the next run tries it again", line(key));
            }
            for key in &released.not_parked {
                say!("{sync} {}: it is not parked", line(key));
            }
            if released.keys.is_empty() && released.not_parked.is_empty() {
                say!("nothing of {sync} is parked");
            }
        }
    }
    Ok(if released.not_parked.is_empty() {
        Exit::Success
    } else {
        Exit::Warning
    })
}
