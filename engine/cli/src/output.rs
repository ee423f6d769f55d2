//! Printing: tables and sentences for people, one JSON document for programs.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use crate::arguments::Output;
use crate::exit::Exit;

/// Prints a line on standard output. That nobody reads it any more (`| head`) is no reason to stop a run.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}
pub(crate) use say;

/// Prints one JSON document.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    say!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A table with these headings.
pub fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(headings);
    table
}

/// Prints an error; in JSON on standard output, where a program reads.
pub fn error(output: Output, error: &anyhow::Error, exit: Exit) {
    // Its sources are told in it already.
    let message = error.to_string();
    match output {
        Output::Text => eprintln!("error: {message}"),
        Output::Json => {
            say!(
                "{}",
                serde_json::json!({"error": {"message": message, "exit": exit as u8}})
            );
        }
    }
}
