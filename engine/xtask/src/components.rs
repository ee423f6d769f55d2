//! The plugins of this repository, compiled to components: `target/plugins/NAME.wasm`, named like their folders.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::setup::{self, TARGET};
use crate::tool;

/// The folder of the plugins' workspace, if this checkout has one.
pub fn workspace(root: &Path) -> Option<PathBuf> {
    Some(root.join("plugins")).filter(|folder| folder.join("Cargo.toml").is_file())
}

/// Builds every plugin, with a compiler that is got if need be, and gives the components. Cargo decides what has to be compiled again.
pub fn build(root: &Path) -> Result<Vec<PathBuf>> {
    let Some(workspace) = workspace(root) else {
        bail!(
            "there is no plugins/Cargo.toml in {}, so there are no plugins to build",
            root.display()
        );
    };
    build_into(root, &workspace, &["--locked"], &root.join("target/plugins"))
}

/// Builds somebody's own plugin, or a workspace of them, into `target/plugins` of its folder.
pub fn build_at(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let folder = folder
        .canonicalize()
        .with_context(|| format!("there is no folder {}", folder.display()))?;
    let components = build_into(root, &folder, &[], &folder.join("target/plugins"))?;
    if components.is_empty() {
        bail!(
            "{} has no plugin: its Cargo.toml needs `[lib] crate-type = [\"cdylib\", \"rlib\"]`",
            folder.display()
        );
    }
    for component in &components {
        println!("{}", component.display());
    }
    Ok(components)
}

fn build_into(root: &Path, workspace: &Path, locked: &[&str], to: &Path) -> Result<Vec<PathBuf>> {
    let compiler = setup::compiler()?;
    // A target folder of their own: the compiler and its flags differ from the engine's.
    let target = workspace.join("target");
    let mut build = compiler.build()?;
    build
        .args(["--workspace", "--quiet"])
        .args(locked)
        .current_dir(workspace)
        .env("CARGO_TARGET_DIR", &target);
    build.env("CARGO_ENCODED_RUSTFLAGS", remapped_paths(root, compiler.sources())?);
    tool::show(&mut build)?;

    let metadata = tool::output(
        tool::cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .args(locked)
            .current_dir(workspace),
    )?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    fs::create_dir_all(to)?;
    let mut components = Vec::new();
    for (name, library) in libraries(&metadata) {
        let from = target.join(TARGET).join("release").join(format!("{library}.wasm"));
        let component = to.join(format!("{name}.wasm"));
        let bytes = fs::read(&from).with_context(|| format!("{} cannot be read", from.display()))?;
        // One that is the same keeps its time of change, so that nothing built with it is built again.
        if fs::read(&component).ok().as_ref() != Some(&bytes) {
            fs::write(&component, &bytes).with_context(|| format!("{} cannot be written", component.display()))?;
            println!("plugins: {name}.wasm, {} kB", bytes.len().div_ceil(1000));
        }
        components.push(component);
    }
    Ok(components)
}

/// Folder and library name of every package that is a dynamic library, which for this target is a component.
fn libraries(metadata: &Value) -> Vec<(String, String)> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let of_package = |package: &Value| {
        let folder = Path::new(package["manifest_path"].as_str()?)
            .parent()?
            .file_name()?
            .to_str()?
            .to_owned();
        let library = package["targets"].as_array()?.iter().find(|target| {
            target["crate_types"]
                .as_array()
                .is_some_and(|types| types.iter().any(|kind| kind == "cdylib"))
        })?;
        Some((folder, library["name"].as_str()?.replace('-', "_")))
    };
    packages.filter_map(of_package).collect()
}

/// Flags that keep this machine's folders out of the components, so that everybody gets the same bytes.
fn remapped_paths(root: &Path, sources: Option<&Path>) -> Result<String> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".cargo")));
    let home = home.context("there is no home folder, and CARGO_HOME is not set")?;
    let mut folders = vec![(home.as_path(), "/cargo"), (root, "/outflow")];
    folders.extend(sources.map(|sources| (sources, "/rust")));
    // The last that fits wins, so an outer folder comes before one inside it.
    folders.sort_by_key(|(folder, _)| folder.as_os_str().len());
    let flags = folders
        .iter()
        .map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display()));
    Ok(flags.collect::<Vec<_>>().join("\u{1f}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_named_like_its_folder_and_a_library_that_is_none_is_passed_over() {
        let metadata = serde_json::json!({"packages": [
            {"manifest_path": "/x/plugins/http/Cargo.toml", "targets": [{"name": "plugin-http", "crate_types": ["cdylib", "rlib"]}]},
            {"manifest_path": "/x/plugins/sdk/rust/Cargo.toml", "targets": [{"name": "sdk", "crate_types": ["lib"]}]},
        ]});
        assert_eq!(libraries(&metadata), [("http".to_owned(), "plugin_http".to_owned())]);
    }

    #[test]
    fn an_inner_folder_is_renamed_after_the_outer_one() {
        let flags = remapped_paths(Path::new("/a/b/c/d/e/f/g/h/i/j/k/l/m/n"), Some(Path::new("/r"))).unwrap();
        let flags: Vec<&str> = flags.split('\u{1f}').collect();
        assert_eq!(flags[0], "--remap-path-prefix=/r=/rust");
        assert_eq!(flags[2], "--remap-path-prefix=/a/b/c/d/e/f/g/h/i/j/k/l/m/n=/outflow");
    }
}
