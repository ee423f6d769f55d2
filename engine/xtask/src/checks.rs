//! The tests and the lints, as everybody runs them.

use std::path::Path;

use anyhow::Result;

use crate::tool;

/// Formatting and every test.
pub fn test(root: &Path) -> Result<()> {
    tool::show(tool::cargo().args(["fmt", "--all", "--check"]).current_dir(root))?;
    tool::show(tool::cargo().args(["test", "--workspace"]).current_dir(root))
}

/// Clippy and the documentation. Apart from the tests, because checking compiles every dependency once more.
pub fn lint(root: &Path) -> Result<()> {
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    tool::show(tool::cargo().args(clippy).current_dir(root))?;
    tool::show(
        tool::cargo()
            .args(["doc", "--workspace", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "--deny warnings")
            .current_dir(root),
    )
}
