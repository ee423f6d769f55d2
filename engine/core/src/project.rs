//! A project: files in a folder, read and checked into types. Knows no database, no plugin and no network.
//!
//! [`Project::load`] reads everything and reports everything that is wrong at once. What only a database or a plugin
//! can tell (whether a column exists, whether a configuration suits its plugin) is checked by those who have one, with
//! the places of fields that the types here keep.

pub mod config_check;
mod conform;
pub mod destination;
pub mod diagnostic;
mod files;
pub mod marks;
pub mod model;
mod names;
pub mod quantity;
mod reference;
mod review;
pub mod scaffold;
pub mod schema;
pub mod settings;
pub mod source;
mod suggest;
pub mod sync;
mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use destination::DestinationFile;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use marks::{Marks, Position};
pub use model::Model;
pub use quantity::ByteSize;
pub use schema::{FileKind, schema};
pub use settings::ProjectSettings;
pub use source::{Source, SourceKind};
pub use sync::{From, Guards, Mapping, Match, Mode, OnRemoved, Returning, ScheduleConfig, Sync, Threshold};

use destination::DestinationContent;
use model::ModelContent;
use review::Review;
use settings::SettingsContent;
use sync::SyncContent;

/// The name of the file that makes a folder a project.
pub const PROJECT_FILE: &str = "outflow.yml";

/// A project whose files are right, as far as they tell by themselves.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its folder, absolute.
    pub root: PathBuf,
    /// What holds for the whole project.
    pub settings: ProjectSettings,
    /// Sources by name.
    pub sources: BTreeMap<String, Source>,
    /// Models by name.
    pub models: BTreeMap<String, Model>,
    /// Destinations by name.
    pub destinations: BTreeMap<String, DestinationFile>,
    /// Syncs by name.
    pub syncs: BTreeMap<String, Sync>,
}

impl Project {
    /// Reads the project in a folder.
    ///
    /// # Errors
    /// Everything that is wrong in its files.
    pub fn load(root: &Path) -> Result<Self, Diagnostics> {
        match Self::read(root) {
            (project, found) if found.0.is_empty() => Ok(project),
            (_, found) => Err(found),
        }
    }

    /// Reads what can be read of the project in a folder, to look at and not to run, with everything that is wrong.
    #[must_use]
    pub fn read(root: &Path) -> (Self, Diagnostics) {
        // A folder that cannot be found has no files either, which is told below.
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let mut loader = Loader {
            root: &root,
            found: Vec::new(),
        };

        let settings = loader.settings();
        let source_files = loader.list("sources");
        let sources = loader.load(FileKind::Source, &source_files, |kind, name, review| {
            source::check(kind, name, &root, review)
        });
        let model_files = loader.list("models");
        let models = loader.models(&model_files);
        let destination_files = loader.list("destinations");
        let destinations = loader.load(FileKind::Destination, &destination_files, |content, name, review| {
            DestinationContent::check(content, name, &root, review)
        });
        let sync_files = loader.list("syncs");
        let syncs = loader.load(FileKind::Sync, &sync_files, SyncContent::check);

        let names = reference::Names {
            sources: source_files.keys().map(String::as_str).collect(),
            models: model_files.keys().map(String::as_str).collect(),
            destinations: destination_files.keys().map(String::as_str).collect(),
            syncs: sync_files.keys().map(String::as_str).collect(),
        };
        reference::check(&models, &syncs, &names, &mut loader.found);

        let mut found = Diagnostics(loader.found);
        found.sort();
        let project = Self {
            settings: settings.unwrap_or_else(|| ProjectSettings::unread(&root)),
            root,
            sources,
            models,
            destinations,
            syncs,
        };
        (project, found)
    }

    /// The syncs that a folder has files of, whatever is in them or in other files.
    #[must_use]
    pub fn sync_files(root: &Path) -> Vec<String> {
        let files = files::list(root, "syncs", "yml", &mut Vec::new());
        files.into_keys().collect()
    }

    /// The model of a sync.
    #[must_use]
    pub fn model_of(&self, sync: &Sync) -> Option<&Model> {
        self.models.get(&sync.model)
    }

    /// The destination of a sync.
    #[must_use]
    pub fn destination_of(&self, sync: &Sync) -> Option<&DestinationFile> {
        self.destinations.get(&sync.destination)
    }
}

/// Reads files and gathers what is wrong in them.
struct Loader<'a> {
    root: &'a Path,
    found: Vec<Diagnostic>,
}

impl Loader<'_> {
    fn list(&mut self, folder: &str) -> BTreeMap<String, PathBuf> {
        files::list(self.root, folder, "yml", &mut self.found)
    }

    fn settings(&mut self) -> Option<ProjectSettings> {
        let file = Path::new(PROJECT_FILE);
        if !self.root.join(file).exists() {
            let missing = Diagnostic::new(file, format!("there is no such file in {}", self.root.display()));
            self.found
                .push(missing.with_help("give a project's folder, or make one with `outflow init`"));
            return None;
        }
        self.read(FileKind::Outflow, file, SettingsContent::check)
    }

    /// Reads files of one kind.
    fn load<C: serde::de::DeserializeOwned, T>(
        &mut self,
        kind: FileKind,
        files: &BTreeMap<String, PathBuf>,
        check: impl Fn(C, &str, &mut Review<'_>) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let mut loaded = BTreeMap::new();
        for (name, file) in files {
            if let Some(item) = self.read(kind, file, |content, review| check(content, name, review)) {
                loaded.insert(name.clone(), item);
            }
        }
        loaded
    }

    /// Reads models: pairs of a query and its description.
    fn models(&mut self, files: &BTreeMap<String, PathBuf>) -> BTreeMap<String, Model> {
        let queries = files::list(self.root, "models", "sql", &mut self.found);
        for (name, query) in &queries {
            if !files.contains_key(name) {
                let missing = format!("`{name}.yml` is missing beside it");
                self.found
                    .push(Diagnostic::new(query, missing).with_help("it names the model's `key` and `source`"));
            }
        }
        let mut models = BTreeMap::new();
        for (name, file) in files {
            let query = queries.get(name);
            if query.is_none() {
                let missing = format!("`{name}.sql` is missing beside it");
                self.found
                    .push(Diagnostic::new(file, missing).with_help("it holds the model's query"));
            }
            let sql = query.and_then(|query| {
                files::text(self.root, query)
                    .map_err(|unreadable| self.found.push(unreadable))
                    .ok()
            });
            // A description is checked without its query too.
            let query = sql.zip(query.cloned());
            let model = self.read(FileKind::Model, file, |content: ModelContent, review| {
                content.check(name, query, review)
            });
            if let Some(model) = model {
                models.insert(name.clone(), model);
            }
        }
        models
    }

    /// Reads one file and checks what it says.
    fn read<C: serde::de::DeserializeOwned, T>(
        &mut self,
        kind: FileKind,
        file: &Path,
        check: impl FnOnce(C, &mut Review<'_>) -> Option<T>,
    ) -> Option<T> {
        let text = files::text(self.root, file)
            .map_err(|unreadable| self.found.push(unreadable))
            .ok()?;
        match review::read(kind, file, &text) {
            Ok((content, marks)) => {
                let mut review = Review::new(file, &marks);
                let item = check(content, &mut review);
                self.found.append(&mut review.found);
                item
            }
            Err(mut wrong) => {
                self.found.append(&mut wrong);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
