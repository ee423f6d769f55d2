//! A destination's file against what its plugin says of itself: configuration and secrets.

use serde_json::Value;

use super::destination::DestinationFile;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::marks::{field_of_pointer, join_name};
use super::sync::Sync;
use super::{conform, suggest};
use crate::destination::{Description, Problem, Subject};

/// Checks a destination's `config` and `secrets` against the description of its plugin.
///
/// # Errors
/// What is wrong, each with its place in the destination's file; or that the plugin's own schema is no JSON Schema.
pub fn check(destination: &DestinationFile, plugin: &Description) -> Result<(), Diagnostics> {
    let mut found = config(destination, &plugin.config_schema);
    found.extend(secrets(destination, plugin));
    let mut found = Diagnostics(found);
    found.sort();
    if found.0.is_empty() { Ok(()) } else { Err(found) }
}

/// The problems that a plugin itself has with its settings, with their places in the destination's and the sync's file.
#[must_use]
pub fn problems(destination: &DestinationFile, sync: &Sync, problems: &[Problem]) -> Vec<Diagnostic> {
    let place = |problem: &Problem| match problem.subject {
        Subject::Config => destination.diagnostic(&field(&destination.config, &problem.path), &problem.message),
        Subject::Object => sync.diagnostic("object", &problem.message),
        Subject::Fields => sync.diagnostic("mappings", &problem.message),
        Subject::MatchField => sync.diagnostic("match", &problem.message),
    };
    problems.iter().map(place).collect()
}

fn config(destination: &DestinationFile, schema: &Value) -> Vec<Diagnostic> {
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => {
            let message = format!(
                "the plugin `{}` has a configuration schema that is none: {error}",
                destination.plugin
            );
            return vec![destination.diagnostic("plugin", message)];
        }
    };
    conform::conform(&validator, schema, &destination.config, &[])
        .into_iter()
        .map(|finding| {
            let field = field(&destination.config, &finding.pointer);
            let position = match finding.of_name {
                true => destination.marks.name(&field),
                false => destination.marks.value(&field),
            };
            let diagnostic = Diagnostic::new(&destination.file, finding.message)
                .at(position)
                .in_field(field);
            Diagnostic {
                help: finding.help,
                ..diagnostic
            }
        })
        .collect()
}

fn secrets(destination: &DestinationFile, plugin: &Description) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let known = plugin.secrets.iter().map(|need| need.name.as_str());
    if !plugin.secrets.is_empty() {
        for name in destination
            .secrets
            .keys()
            .filter(|name| !known.clone().any(|known| known == name.as_str()))
        {
            let field = join_name("secrets", name);
            let help = suggest::instead(name, "it uses", known.clone());
            found.push(
                Diagnostic::new(
                    &destination.file,
                    format!("the plugin `{}` uses no such secret", destination.plugin),
                )
                .at(destination.marks.name(&field))
                .in_field(field)
                .with_help(help),
            );
        }
    }
    for need in plugin
        .secrets
        .iter()
        .filter(|need| need.required && !destination.secrets.contains_key(&need.name))
    {
        let message = format!(
            "the plugin `{}` needs this secret: {}",
            destination.plugin, need.description
        );
        let help = format!("give it as `{}: {{env: NAME}}`, or by `file` or `command`", need.name);
        found.push(
            destination
                .diagnostic(&join_name("secrets", &need.name), message)
                .with_help(help),
        );
    }
    found
}

/// The path in the destination's file of a pointer into its configuration.
fn field(config: &Value, pointer: &str) -> String {
    let below = field_of_pointer(config, pointer);
    match below.as_str() {
        "" => "config".to_owned(),
        _ if below.starts_with('[') => format!("config{below}"),
        _ => format!("config.{below}"),
    }
}
