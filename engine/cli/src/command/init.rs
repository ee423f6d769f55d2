//! `outflow init`: a small project that runs.

use std::path::Path;

use outflow::project::scaffold;
use serde_json::json;

use crate::arguments::{Arguments, Output};
use crate::exit::{Exit, Usage};
use crate::output::{self, say};

/// Writes the project's files.
pub fn execute(arguments: &Arguments, folder: &Path) -> anyhow::Result<Exit> {
    let written = scaffold::write(folder).map_err(|error| Usage(error.to_string()))?;
    match arguments.output {
        Output::Json => output::json(&json!({"project": folder, "files": written}))?,
        Output::Text => {
            for file in &written {
                say!("{}", folder.join(file).display());
            }
            say!("\nTry it: outflow -C {} plan customers-to-file", folder.display());
        }
    }
    Ok(Exit::Success)
}
