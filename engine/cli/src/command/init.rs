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
            let place = match folder == Path::new(".") {
                true => String::new(),
                false => format!("-C {} ", folder.display()),
            };
            say!("\nTry it: outflow {place}plan customers-to-file");
        }
    }
    Ok(Exit::Success)
}
