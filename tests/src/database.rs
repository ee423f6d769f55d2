//! A source `shop` that is a database of a server, as the engine reads it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Error, Result, bail};
use outflow_core::project::Marks;
use outflow_core::project::source::Source;
use outflow_core::secret::{Secret, SecretSource};
use outflow_core::warehouse::{Column, Warehouse, WarehouseError, WarehouseOptions};
use serde_json::Value;

use crate::project::Project;
use crate::receiver::Receiver;

/// An instance with the source, locked down.
///
/// # Errors
/// What the server or DuckDB says.
pub fn attach(file: &str, password: &str) -> Result<Warehouse> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("password"), password)?;
    let password = read(&SecretSource::File("password".into()), folder.path())?;
    let source = Source {
        name: "shop".into(),
        file: "sources/shop.yml".into(),
        kind: serde_json::from_value(serde_saphyr::from_str::<Value>(file)?)?,
        marks: Marks::default(),
    };
    let mut warehouse = Warehouse::open(&WarehouseOptions {
        memory_limit_bytes: 256 << 20,
        threads: 2,
        temp_dir: folder.path().join("temp"),
        extension_dirs: Vec::new(),
    })?;
    let passwords = BTreeMap::from([("password".to_owned(), password)]);
    warehouse.entrust(BTreeMap::from([("shop".to_owned(), passwords)]));
    warehouse.attach_sources(&[&source], &BTreeMap::new())?;
    warehouse.lock_down()?;
    Ok(warehouse)
}

/// On a thread of its own, because whoever tests may have a runtime already.
fn read(secret: &SecretSource, base: &Path) -> Result<Secret> {
    std::thread::scope(|scope| {
        let work = || {
            tokio::runtime::Runtime::new()?
                .block_on(secret.read("password", base))
                .map_err(Error::msg)
        };
        scope
            .spawn(work)
            .join()
            .unwrap_or_else(|_| bail!("reading a secret panicked"))
    })
}

/// The columns of a model over it, before anything is read.
///
/// # Errors
/// What is wrong with the model.
pub fn columns(warehouse: &Warehouse, model: &str) -> Result<Vec<Column>> {
    Ok(warehouse.check_model(model, &["shop".into()])?)
}

/// The rows of a model over it, as JSON.
///
/// # Errors
/// What is wrong with the model, or what reading says.
pub fn rows(warehouse: &Warehouse, model: &str) -> Result<Vec<Value>> {
    let columns = columns(warehouse, model)?;
    warehouse.serve()?;
    let members: Vec<String> = columns
        .iter()
        .map(|column| format!("'{0}': \"{0}\"", column.name))
        .collect();
    let texts = warehouse.connect()?.query_rows(
        &format!("SELECT outflow_json({{{}}}) FROM ({model})", members.join(", ")),
        |row| row.get::<String>(0),
    );
    let texts = texts.map_err(|error: WarehouseError| error)?;
    texts.iter().map(|text| Ok(serde_json::from_str(text)?)).collect()
}

/// A project whose model reads the source, and that sends `id` and `name` to a receiver.
///
/// # Errors
/// When it cannot be written.
pub async fn project(file: &str, model: &str) -> Result<(Project, Receiver)> {
    let receiver = Receiver::start().await?;
    let sync = "mode: mirror\nmatch: {from: id, to: id}\nmappings: [{from: name, to: name}]";
    let project = Project::new(&receiver.origin(), &[("id", "INTEGER")], "id", sync)?;
    project.write("sources/shop.yml", file)?;
    project.write("models/people.sql", model)?;
    project.write("models/people.yml", "source: shop\nkey: id\n")?;
    Ok((project, receiver))
}
