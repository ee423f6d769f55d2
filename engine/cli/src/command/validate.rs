//! `outflow validate`: everything that can be checked without sending.

use serde_json::json;

use super::engine;
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, say};

/// Checks every sync, and tells all that is wrong.
pub async fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let engine = engine(arguments)?;
    let mut exit = Exit::Success;
    let mut found = Vec::new();
    for (sync, checked) in engine.check_all().await {
        let error = match checked {
            Ok(()) => None,
            Err(error) => {
                exit = exit.worse(if error.is_configuration() {
                    Exit::Configuration
                } else {
                    Exit::Failed
                });
                Some(error)
            }
        };
        let message = error.as_ref().map(ToString::to_string);
        if arguments.output == Output::Text {
            match &message {
                None => say!("{sync}: good"),
                Some(message) => say!("{sync}: {}", output::indented(message)),
            }
        }
        let diagnostics = error.as_ref().map_or(&[][..], outflow::Error::diagnostics);
        found.push(json!({"sync": sync, "error": message, "diagnostics": diagnostics}));
    }
    if arguments.output == Output::Json {
        output::json(&found)?;
    }
    Ok(exit)
}
