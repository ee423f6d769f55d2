//! Printing: tables and sentences for people, one JSON document for programs. Nothing of this crate prints past it.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use chrono::{DateTime, TimeZone, Utc};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, TableComponent, Width};
use outflow::project::Diagnostic;
use serde::Serialize;

use crate::arguments::Output;
use crate::exit::Exit;
use crate::terminal;

/// Characters of a cell of a table; a person who wants more asks for JSON.
const CELL_MAX: usize = 400;
/// Columns from which a terminal counts as wide.
const WIDE: u16 = 110;

/// Prints a line on standard output. That nobody reads it any more (`| head`) is no reason to stop a run.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::out(&format!($($text)*)) };
}
/// Prints a line on standard error.
macro_rules! tell {
    ($($text:tt)*) => { $crate::output::err(&format!($($text)*)) };
}
pub(crate) use {say, tell};

/// See [`say`].
pub fn out(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", terminal::text(text));
}

/// See [`tell`].
pub fn err(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", terminal::text(text));
}

/// Prints one JSON document.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    let _ = writeln!(std::io::stdout(), "{}", terminal::json(&text));
    Ok(())
}

/// A table.
pub struct Table {
    table: comfy_table::Table,
    numbers: Vec<bool>,
}

impl Table {
    /// A table with these headings; those of columns of numbers begin with `#`.
    pub fn new(headings: &[&str]) -> Self {
        let numbers: Vec<_> = headings.iter().map(|heading| heading.starts_with('#')).collect();
        let mut table = comfy_table::Table::new();
        table
            .load_preset(UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(headings.iter().zip(&numbers).map(|(heading, number)| {
                let heading = Cell::new(heading.trim_start_matches('#'));
                if *number {
                    heading.set_alignment(CellAlignment::Right)
                } else {
                    heading
                }
            }));
        for line in [
            TableComponent::HorizontalLines,
            TableComponent::MiddleIntersections,
            TableComponent::LeftBorderIntersections,
            TableComponent::RightBorderIntersections,
        ] {
            table.remove_style(line);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 1));
        }
        Self { table, numbers }
    }

    /// Bounds the width of a column to a share of the whole, in percent.
    pub fn narrow(&mut self, column: usize, percent: u16) {
        if let Some(column) = self.table.column_mut(column) {
            column.set_constraint(ColumnConstraint::UpperBoundary(Width::Percentage(percent)));
        }
    }

    /// Draws lines between its rows, where cells will have several lines.
    pub fn ruled(&mut self) {
        self.table.set_style(TableComponent::HorizontalLines, '─');
        self.table.set_style(TableComponent::MiddleIntersections, '─');
    }

    /// Adds a row. What its cells say is one line each, however it came to be.
    pub fn row<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let cells = cells.into_iter().zip(&self.numbers).map(|(text, number)| {
            let text = terminal::line(terminal::cut(text.as_ref(), CELL_MAX).as_ref()).into_owned();
            let cell = Cell::new(text);
            if *number {
                cell.set_alignment(CellAlignment::Right)
            } else {
                cell
            }
        });
        self.table.add_row(cells.collect::<Vec<_>>());
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.table.trim_fmt())
    }
}

/// Whether a table may have columns that a narrow terminal has no room for.
pub fn is_wide() -> bool {
    let table = comfy_table::Table::new();
    !std::io::stdout().is_terminal() || table.width().is_none_or(|width| width >= WIDE)
}

/// A message that follows words of ours: its further lines are indented, so that none passes for a line of ours.
pub fn indented(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join("\n    ")
}

/// A count and what it counts.
pub fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// A time for people, in a zone that is named elsewhere.
pub fn at<Z: TimeZone<Offset: Display>>(time: DateTime<Utc>, zone: &Z) -> String {
    time.with_timezone(zone).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Prints an error; in JSON on standard output, where a program reads.
pub fn error(output: Output, error: &anyhow::Error, exit: Exit) {
    // Its sources are told in it already.
    let message = error.to_string();
    match output {
        Output::Text => tell!("error: {}", indented(&message)),
        Output::Json => {
            let diagnostics = error.downcast_ref().map_or(&[][..], outflow::Error::diagnostics);
            fault(&message, diagnostics, exit);
        }
    }
}

/// The document of an error.
pub fn fault(message: &str, diagnostics: &[Diagnostic], exit: Exit) {
    let error = serde_json::json!({"message": message, "exit": exit as u8, "diagnostics": diagnostics});
    // Texts and numbers can always be written.
    let _ = json(&serde_json::json!({"error": error}));
}
