//! The tests and the lints, as everybody runs them.

use std::path::Path;

use anyhow::Result;

use crate::tool;
use crate::{components, demo, licences};

/// Formatting and every test. Plugins are tested natively, and built, so that those that come with the engine compile.
pub fn test(root: &Path) -> Result<()> {
    tool::show(tool::cargo().args(["fmt", "--all", "--check"]).current_dir(root))?;
    if let Some(plugins) = components::workspace(root) {
        tool::show(tool::cargo().args(["fmt", "--all", "--check"]).current_dir(&plugins))?;
        components::build(root)?;
        tool::show(
            tool::cargo()
                .args(["test", "--workspace", "--locked"])
                .current_dir(&plugins)
                .env("CARGO_TARGET_DIR", plugins.join("target")),
        )?;
    }
    // The end-to-end tests run the binaries.
    demo::build_faults(root)?;
    demo::build(root)?;
    tool::show(tool::cargo().args(["test", "--workspace"]).current_dir(root))
}

/// Licences, clippy and the documentation. Apart from the tests, because checking compiles every dependency once more.
pub fn lint(root: &Path) -> Result<()> {
    licences::check(root)?;
    if let Some(plugins) = components::workspace(root) {
        licences::check(&plugins)?;
    }
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    tool::show(tool::cargo().args(clippy).current_dir(root))?;
    tool::show(
        tool::cargo()
            .args(["doc", "--workspace", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "--deny warnings")
            .current_dir(root),
    )
}
