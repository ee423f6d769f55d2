//! The licences of everything that is built into the engine or a plugin: only those that ask for no more than a notice.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::tool;

/// By their names in the SPDX list. The two of data are of a certificate list and of Unicode's tables.
const ALLOWED: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

/// Fails when a package of the workspace in this folder, on whatever platform, has another licence.
pub fn check(workspace: &Path) -> Result<()> {
    let metadata = tool::output(
        tool::cargo()
            .args(["metadata", "--locked", "--format-version", "1"])
            .current_dir(workspace),
    )?;
    let refused = refused(&serde_json::from_str(&metadata)?);
    if !refused.is_empty() {
        bail!(
            "licences that are not on the list in engine/xtask/src/licences.rs: {}",
            refused.join("; ")
        );
    }
    Ok(())
}

/// Each package that may not be used, with its licence.
fn refused(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter(|package| !package["license"].as_str().is_some_and(allows))
        .map(|package| {
            let text = |field: &str| package[field].as_str().unwrap_or("none named").to_owned();
            format!("{} {} ({})", text("name"), text("version"), text("license"))
        })
        .collect()
}

/// Whether an expression such as `(MIT OR Apache-2.0) AND Unicode-3.0` can be met with the allowed licences. One that
/// cannot be read counts as not allowed.
fn allows(expression: &str) -> bool {
    // Older packages write a slash for `OR`.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest).unwrap_or(false) && rest.is_empty()
}

fn any(words: &mut &[&str]) -> Option<bool> {
    let mut allowed = all(words)?;
    while take(words, "OR") {
        allowed |= all(words)?;
    }
    Some(allowed)
}

fn all(words: &mut &[&str]) -> Option<bool> {
    let mut allowed = one(words)?;
    while take(words, "AND") {
        allowed &= one(words)?;
    }
    Some(allowed)
}

fn one(words: &mut &[&str]) -> Option<bool> {
    if take(words, "(") {
        let allowed = any(words)?;
        return take(words, ")").then_some(allowed);
    }
    let mut name = next(words)?.to_owned();
    if take(words, "WITH") {
        name = format!("{name} WITH {}", next(words)?);
    }
    Some(ALLOWED.contains(&name.as_str()))
}

fn take(words: &mut &[&str], word: &str) -> bool {
    let found = words.first() == Some(&word);
    if found {
        *words = &words[1..];
    }
    found
}

fn next<'a>(words: &mut &[&'a str]) -> Option<&'a str> {
    let (first, rest) = words.split_first()?;
    *words = rest;
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_allowed_when_allowed_licences_meet_it() {
        for allowed in [
            "MIT",
            "MIT OR LGPL-2.1-or-later",
            "Unlicense/MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "GPL-3.0 AND MIT OR ISC",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(allows(allowed), "{allowed}");
        }
        for refused in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "MIT AND (GPL-3.0 OR LGPL-3.0)",
            "MIT WITH Some-exception",
            "MIT OR",
            "(MIT",
            "MIT ISC",
            "",
        ] {
            assert!(!allows(refused), "{refused}");
        }
    }

    #[test]
    fn a_package_without_a_licence_is_refused_by_name() {
        let metadata = serde_json::json!({"packages": [
            {"name": "good", "version": "1.0.0", "license": "MIT"},
            {"name": "mute", "version": "2.0.0", "license": null},
            {"name": "viral", "version": "3.0.0", "license": "GPL-3.0"},
        ]});
        assert_eq!(refused(&metadata), ["mute 2.0.0 (none named)", "viral 3.0.0 (GPL-3.0)"]);
    }
}
