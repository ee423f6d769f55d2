//! The last results as a table of text, for readers who do not run the benchmark.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

const HEAD: &str = "# What the engine costs

Written by `cargo xtask bench`, part by part. A ratio is against the floor of the same run: scanning the same Parquet file and
hashing every row with the same function. Bars are what must hold, aims what is hoped for.
";

/// A figure, and what it is held against.
pub struct Measure {
    /// What was done.
    pub work: &'static str,
    /// What it took.
    pub value: f64,
    /// In what: `×` for a ratio.
    pub unit: &'static str,
    /// What must hold, and what is hoped for; both at most so much.
    pub bar: f64,
    /// See `bar`.
    pub aim: Option<f64>,
}

impl Measure {
    /// A figure that has an aim too.
    pub const fn new(work: &'static str, value: f64, unit: &'static str, bar: f64, aim: f64) -> Self {
        let aim = Some(aim);
        Self {
            work,
            value,
            unit,
            bar,
            aim,
        }
    }

    /// A figure without one.
    pub const fn plain(work: &'static str, value: f64, unit: &'static str, bar: f64) -> Self {
        Self {
            work,
            value,
            unit,
            bar,
            aim: None,
        }
    }
}

/// Puts the results of a part in the place of its earlier ones.
pub fn keep(file: &Path, part: &str, machine: &str, measures: &[Measure]) -> Result<()> {
    let known = std::fs::read_to_string(file).unwrap_or_default();
    let mut sections: Vec<(String, String)> = known.split("\n## ").skip(1).filter_map(section).collect();
    let text = rendered(machine, measures)?;
    match sections.iter_mut().find(|(name, _)| name == part) {
        Some((_, known)) => *known = text,
        None => sections.push((part.to_owned(), text)),
    }
    let mut all = HEAD.to_owned();
    for (name, text) in sections {
        write!(all, "\n## {name}\n\n{}\n", text.trim())?;
    }
    std::fs::write(file, all).with_context(|| file.display().to_string())
}

fn section(text: &str) -> Option<(String, String)> {
    let (name, text) = text.split_once('\n')?;
    Some((name.to_owned(), text.to_owned()))
}

fn rendered(machine: &str, measures: &[Measure]) -> Result<String> {
    let mut text = format!("{machine}\n\n| work | measured | bar | aim |\n|---|---|---|---|\n");
    for measure in measures {
        let aim = measure.aim.map_or(String::new(), |aim| aim.to_string());
        writeln!(
            text,
            "| {} | {:.2} {} | {} | {aim} |",
            measure.work, measure.value, measure.unit, measure.bar
        )?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_takes_the_place_of_its_earlier_results_and_leaves_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("benchmark.md");
        let of = |value| [Measure::new("no change", value, "×", 1.3, 1.1)];
        keep(&file, "scale", "here", &of(1.5)).unwrap();
        keep(&file, "wear", "here", &[Measure::plain("bytes", 3.0, "bytes", 40.0)]).unwrap();
        keep(&file, "scale", "there", &of(1.25)).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(HEAD));
        let scale = "\n## scale\n\nthere\n\n| work | measured | bar | aim |\n|---|---|---|---|\n| no change | 1.25 × | 1.3 | 1.1 |\n";
        let wear =
            "\n## wear\n\nhere\n\n| work | measured | bar | aim |\n|---|---|---|---|\n| bytes | 3.00 bytes | 40 |  |\n";
        assert_eq!(text[HEAD.len()..], format!("{scale}{wear}"));
    }
}
