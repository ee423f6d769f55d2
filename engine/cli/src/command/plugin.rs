//! `outflow plugin`: which plugins there are, and what they say of themselves.

use outflow::Plugins;
use outflow::destination::Description;
use outflow::operation::Kind;
use serde_json::json;

use super::registry;
use crate::arguments::{Arguments, Output, Plugin};
use crate::exit::{Exit, Usage};
use crate::output::{self, say};

/// Lists or inspects.
pub async fn execute(arguments: &Arguments, command: &Plugin) -> anyhow::Result<Exit> {
    let registry = registry(arguments)?;
    match command {
        Plugin::List => {
            let found = registry.list();
            match arguments.output {
                Output::Json => {
                    let plugins: Vec<_> = found
                        .iter()
                        .map(|plugin| json!({"name": plugin.name, "file": plugin.file}))
                        .collect();
                    output::json(&plugins)?;
                }
                Output::Text => {
                    let mut table = output::Table::new(&["plugin", "from"]);
                    for plugin in found {
                        let from = plugin
                            .file
                            .map_or("this binary".to_owned(), |file| file.display().to_string());
                        table.row([plugin.name, from]);
                    }
                    say!("{table}");
                }
            }
        }
        Plugin::Inspect { plugin } => {
            let description = registry
                .describe(plugin)
                .await
                .map_err(|error| Usage(error.to_string()))?;
            match arguments.output {
                Output::Json => output::json(&description)?,
                Output::Text => {
                    say!(
                        "{} {}: {}\n",
                        description.name,
                        description.version,
                        description.summary
                    );
                    say!(
                        "modes, as far as the configuration has the operations: {}",
                        modes(&description)
                    );
                    say!("on_removed: {}\n", removals(&description));
                    for secret in &description.secrets {
                        let need = if secret.required { "required" } else { "optional" };
                        say!("secret {} ({need}): {}", secret.name, secret.description);
                    }
                    if !description.example.is_empty() {
                        say!("an example:\n\n{}", description.example);
                    }
                    say!("config:\n{}", serde_json::to_string_pretty(&description.config_schema)?);
                }
            }
        }
    }
    Ok(Exit::Success)
}

/// The modes that the plugin has the operations for, with them.
fn modes(plugin: &Description) -> String {
    let modes = [
        ("upsert", &[Kind::Upsert][..]),
        ("insert", &[Kind::Insert]),
        ("update", &[Kind::Update]),
        ("mirror", &[Kind::Upsert, Kind::Delete]),
        ("all", &[Kind::Upsert]),
    ];
    able(plugin, &modes)
}

/// What it can do with records whose rows are gone.
fn removals(plugin: &Description) -> String {
    let removals = [
        ("nothing", &[][..]),
        ("clear", &[Kind::Clear]),
        ("delete", &[Kind::Delete]),
    ];
    able(plugin, &removals)
}

fn able(plugin: &Description, of: &[(&str, &[Kind])]) -> String {
    let able = of
        .iter()
        .filter(|(_, kinds)| kinds.iter().all(|kind| plugin.kinds.contains(kind)));
    let told = able.map(|(name, kinds)| match kinds {
        [] => (*name).to_owned(),
        _ => {
            let kinds: Vec<_> = kinds.iter().map(ToString::to_string).collect();
            format!("{name} ({})", kinds.join(", "))
        }
    });
    told.collect::<Vec<_>>().join("; ")
}
