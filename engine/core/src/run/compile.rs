//! Compile: from project files to an instance with ledger and sources, a checked model, and an opened destination.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::destination::{Destination, OpenError, RunInfo, Settings, Target};
use crate::ledger::{Ledger, LedgerError, TargetName};
use crate::mapping::{Layout, Projection};
use crate::private;
use crate::project::Project;
use crate::project::config_check;
use crate::project::destination::DestinationFile;
use crate::project::diagnostic::{Diagnostic, Diagnostics};
use crate::project::model::Model;
use crate::project::source::Source;
use crate::project::sync::Sync;
use crate::record::Records;
use crate::warehouse::{self, Column, Connection, Warehouse, WarehouseError, WarehouseOptions};

use super::lock;
use super::{RunError, RunRequest};

/// What compiling gives.
pub struct Compiled {
    /// The instance with its ledger.
    pub opened: Opened,
    /// The connection for the run's work.
    pub connection: Connection,
    /// How the model is read.
    pub projection: Projection,
    /// Types of text sources' columns, to be kept (rule 16).
    pub pinned: BTreeMap<String, Vec<Column>>,
    /// What was done with a ledger that cannot be used, for a person to know.
    pub set_aside: Option<String>,
}

/// An instance with its ledger.
pub struct Opened {
    /// The instance.
    pub warehouse: Warehouse,
    /// The ledger.
    pub ledger: Ledger,
}

/// What is done with the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is left alone, as if there were none.
    None,
    /// It is read; a missing one is empty.
    Read,
    /// It is a copy, which nobody else has; a missing one is empty.
    Copy,
    /// It is changed; a missing one is made.
    Write,
    /// It is made anew from what the model says, so it may be lost or older than what was noted (rule 7).
    Restate,
}

/// The secrets of sources, by source.
pub type Secrets = BTreeMap<String, warehouse::Secrets>;

/// Reads the secrets of the sources that the sync's model reads.
pub async fn secrets(request: &RunRequest) -> Result<Secrets, RunError> {
    let project = &request.project;
    let model = model(project, sync(project, &request.sync)?)?;
    let mut secrets = Secrets::new();
    for source in sources(project, model) {
        for (field, from) in source.kind.secrets() {
            let name = field.rsplit('.').next().unwrap_or(field);
            let secret = from
                .read(name, &project.root)
                .await
                .map_err(|why| Diagnostics(vec![source.diagnostic(field, why)]))?;
            secrets
                .entry(source.name.clone())
                .or_default()
                .insert(name.to_owned(), secret);
        }
    }
    Ok(secrets)
}

/// Opens the instance, locks it down, and checks the model and what the sync reads of it.
pub fn compile(request: &RunRequest, access: Access, secrets: Secrets) -> Result<Compiled, RunError> {
    let project = &request.project;
    let sync = sync(project, &request.sync)?;
    let model = model(project, sync)?;
    let io = |source| RunError::Io {
        path: request.lock.temporary(),
        source,
    };
    private::folder(&request.lock.temporary()).map_err(io)?;
    let options = WarehouseOptions {
        memory_limit_bytes: project.settings.memory_limit.0,
        threads: project.settings.threads,
        temp_dir: request.lock.temporary(),
        extension_dirs: request.extensions.clone(),
    };
    let mut warehouse = Warehouse::open(&options)?;
    let (path, note) = (request.lock.ledger(), request.note.as_ref());
    let mut set_aside = None;
    let mut ledger = match access {
        Access::None => Ledger::default(),
        Access::Read => Ledger::open(&warehouse, &path, false, note)?,
        Access::Copy => Ledger::open(&warehouse, &path, path.exists(), note)?,
        Access::Write => Ledger::open(&warehouse, &path, true, note)?,
        Access::Restate => match readable(&warehouse, &path) {
            Err(LedgerError::Damaged(why)) => {
                // Let go of the file before it is moved.
                warehouse = Warehouse::open(&options)?;
                let aside = lock::set_aside(&path).map_err(|source| RunError::Io {
                    path: path.clone(),
                    source,
                })?;
                set_aside = Some(format!(
                    "the ledger was damaged ({why}); it was set aside as {}",
                    aside.display()
                ));
                Ledger::open(&warehouse, &path, true, None)?
            }
            opened => opened?,
        },
    };
    if matches!(access, Access::Write | Access::Restate) {
        let records = Records::of(request.lock.folder());
        private::folder(records.folder()).map_err(|source| RunError::Io {
            path: records.folder().to_owned(),
            source,
        })?;
        warehouse.let_write(records.folder());
        ledger.keep_records(records);
    }
    let known = ledger.meta().map(|meta| meta.pinned.clone()).unwrap_or_default();
    warehouse.entrust(secrets);
    let pinned = warehouse
        .attach_sources(&sources(project, model), &known)
        .map_err(|error| of_source(project, error))?;
    warehouse.lock_down()?;
    let columns = warehouse
        .check_model(&model.sql, &model.sources)
        .map_err(|error| Diagnostics(vec![model.sql_diagnostic(error.line, error.column, error.message)]))?;
    let projection = Projection::new(model, sync, &columns, |expression| {
        warehouse.check_expression(&model.sql, expression)
    })?;
    warehouse.serve()?;
    let connection = warehouse.connect()?;
    Ok(Compiled {
        opened: Opened { warehouse, ledger },
        connection,
        projection,
        pinned,
        set_aside,
    })
}

/// Opens a ledger of which everything can be read.
fn readable(warehouse: &Warehouse, path: &Path) -> Result<Ledger, LedgerError> {
    let ledger = Ledger::open(warehouse, path, true, None)?;
    // A connection of its own, so that none keeps the file that is set aside.
    ledger.verify(&warehouse.connect()?)?;
    Ok(ledger)
}

/// Opens the sync's destination, with its configuration checked against the plugin's schema.
pub async fn open(
    request: &RunRequest,
    projection: &Projection,
    run: Option<RunInfo>,
) -> Result<Box<dyn Destination>, RunError> {
    let project = &request.project;
    let sync = sync(project, &request.sync)?;
    let file = destination(project, sync)?;
    let description = request.plugins.describe(&file.plugin).await;
    let description = description.map_err(|error| not_opened(file, sync, error))?;
    config_check::check(file, &description)?;
    let settings = Settings {
        config: file.config.clone(),
        object: sync.object.clone(),
        fields: projection.fields(),
        match_field: sync.match_on.as_ref().map(|matched| matched.to.clone()),
        grants: file.grants(&project.root),
        sync: sync.slug.clone(),
        run,
    };
    let opened = request.plugins.open(&file.plugin, settings).await;
    opened.map_err(|error| not_opened(file, sync, error))
}

/// Why a destination was not opened, at its place in the files where it has one.
fn not_opened(file: &DestinationFile, sync: &Sync, error: OpenError) -> RunError {
    let found = match error {
        OpenError::Settings(problems) => config_check::problems(file, sync, &problems),
        OpenError::Grant { field, message } => vec![file.diagnostic(&field, message)],
        OpenError::NoSuchPlugin { .. } | OpenError::NotAPlugin { .. } => {
            vec![file.diagnostic("plugin", error.to_string())]
        }
        error @ OpenError::Plugin { .. } => return error.into(),
    };
    Diagnostics(found).into()
}

/// The fingerprint of the bytes of the sync's plugin.
pub async fn plugin(request: &RunRequest) -> Result<String, RunError> {
    let sync = sync(&request.project, &request.sync)?;
    let file = destination(&request.project, sync)?;
    let fingerprint = request.plugins.fingerprint(&file.plugin).await;
    fingerprint.map_err(|error| not_opened(file, sync, error))
}

/// The hash of each part of the configuration that decides what is sent.
pub fn configuration(
    request: &RunRequest,
    layout: &Layout,
    plugin: &str,
) -> Result<BTreeMap<String, String>, RunError> {
    let project = &request.project;
    let sync = sync(project, &request.sync)?;
    let (model, destination) = (model(project, sync)?, destination(project, sync)?);
    let secrets: Vec<_> = destination.secrets.iter().collect();
    let parts = [
        ("model", json!([model.sql, model.key, model.sources])),
        ("mapping", json!(layout)),
        (
            "sync",
            json!([
                sync.mode,
                sync.on_removed,
                sync.returning,
                sync.on_unknown,
                sync.park_after,
                sync.object
            ]),
        ),
        (
            "destination",
            json!([
                destination.plugin,
                destination.config,
                destination.allow,
                destination.folder,
                secrets
            ]),
        ),
        ("plugin", json!(plugin)),
    ];
    let hash = |value: &serde_json::Value| {
        let digest = Sha256::digest(value.to_string());
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    };
    Ok(parts
        .iter()
        .map(|(part, value)| ((*part).to_owned(), hash(value)))
        .collect())
}

/// The sync of that slug.
pub fn sync<'a>(project: &'a Project, slug: &str) -> Result<&'a Sync, RunError> {
    project.syncs.get(slug).ok_or_else(|| {
        let known: Vec<_> = project.syncs.keys().map(|slug| format!("`{slug}`")).collect();
        let message = format!("there is no sync `{slug}`; the project has {}", known.join(", "));
        Diagnostics(vec![Diagnostic::new("syncs", message)]).into()
    })
}

/// The target that the sync's ledger is about.
pub fn target_name(request: &RunRequest, target: &Target, account: Option<String>) -> Result<TargetName, RunError> {
    let sync = sync(&request.project, &request.sync)?;
    Ok(TargetName {
        plugin: destination(&request.project, sync)?.plugin.clone(),
        identity: Some(target.identity.clone()),
        account,
        object: sync.object.clone(),
    })
}

fn model<'a>(project: &'a Project, sync: &Sync) -> Result<&'a Model, RunError> {
    project
        .model_of(sync)
        .ok_or_else(|| missing(sync, "model", &sync.model))
}

fn destination<'a>(project: &'a Project, sync: &Sync) -> Result<&'a DestinationFile, RunError> {
    project
        .destination_of(sync)
        .ok_or_else(|| missing(sync, "destination", &sync.destination))
}

fn sources<'a>(project: &'a Project, model: &Model) -> Vec<&'a Source> {
    let names = model.sources.iter();
    names.filter_map(|name| project.sources.get(name)).collect()
}

/// What a source says is wrong with its file is an error of the project.
fn of_source(project: &Project, error: WarehouseError) -> RunError {
    let WarehouseError::Setting {
        source_name,
        field,
        message,
    } = &error
    else {
        return error.into();
    };
    match project.sources.get(source_name) {
        Some(source) => Diagnostics(vec![source.diagnostic(field, message.as_str())]).into(),
        None => error.into(),
    }
}

/// Loading a project refuses this already.
fn missing(sync: &Sync, field: &str, name: &str) -> RunError {
    Diagnostics(vec![sync.diagnostic(field, format!("there is no {field} `{name}`"))]).into()
}
