//! Names in one file that stand for another.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::Diagnostic;
use super::suggest;
use super::{Model, Sync};

/// The names that files have, whether or not their contents are right: what is there but broken is reported once.
pub(super) struct Names<'a> {
    /// Sources.
    pub sources: BTreeSet<&'a str>,
    /// Models.
    pub models: BTreeSet<&'a str>,
    /// Destinations.
    pub destinations: BTreeSet<&'a str>,
    /// Syncs.
    pub syncs: BTreeSet<&'a str>,
}

/// Checks that what models and syncs name exists.
pub(super) fn check(
    models: &BTreeMap<String, Model>,
    syncs: &BTreeMap<String, Sync>,
    names: &Names<'_>,
    found: &mut Vec<Diagnostic>,
) {
    for model in models.values() {
        for (index, source) in model.sources.iter().enumerate() {
            if !names.sources.contains(source.as_str()) {
                // The mark of `source` itself is the nearest one where it is no list.
                let field = format!("source[{index}]");
                let diagnostic = model.diagnostic(&field, format!("there is no source `{source}`"));
                let help = suggest::instead(source, "the project has", names.sources.iter().copied());
                found.push(
                    Diagnostic {
                        field: Some("source".to_owned()),
                        ..diagnostic
                    }
                    .with_help(help),
                );
            }
        }
    }
    let mut renamed: BTreeMap<&str, &str> = BTreeMap::new();
    for sync in syncs.values() {
        let mut refer = |field: &str, what: &str, name: &str, there: &BTreeSet<&str>| {
            if !there.contains(name) {
                let help = suggest::instead(name, "the project has", there.iter().copied());
                found.push(
                    sync.diagnostic(field, format!("there is no {what} `{name}`"))
                        .with_help(help),
                );
            }
        };
        refer("model", "model", &sync.model, &names.models);
        refer("destination", "destination", &sync.destination, &names.destinations);
        let Some(old) = &sync.renamed_from else {
            continue;
        };
        if names.syncs.contains(old.as_str()) {
            let message = format!("there still is a sync `{old}`");
            found.push(
                sync.diagnostic("renamed_from", message)
                    .with_help("a ledger can move only from a sync that is gone"),
            );
        }
        if let Some(other) = renamed.insert(old, &sync.slug) {
            found.push(sync.diagnostic(
                "renamed_from",
                format!("sync `{other}` takes the ledger of `{old}` already"),
            ));
        }
    }
}
