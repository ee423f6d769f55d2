//! Run records: what a run leaves for anybody to read without a lock, in Parquet, so that any tool can query it.
//!
//! A folder per run under the sync's state folder, written once. So far it has the rows that the destination refused, or
//! whose outcome is not known, and the rows that could not be sent.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::durable;
use crate::ledger::Unsettled;
use crate::plan::Invalid;
use crate::private;
use crate::warehouse::{Value, Warehouse, WarehouseError, WarehouseOptions, quote};

/// Memory for writing or reading a record, in bytes.
const MEMORY_BYTES: u64 = 64 << 20;

/// What a run left of rows that did not get through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Attempted and not accepted.
    pub unsettled: Vec<Unsettled>,
    /// Not sendable.
    pub invalid: Vec<Invalid>,
}

/// Why a record cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// DuckDB's word.
    #[error("the run's record: {0}")]
    Warehouse(#[from] WarehouseError),
    /// The operating system's word.
    #[error("{path}: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
}

/// The folder of a run's record.
#[must_use]
pub fn folder(sync: &Path, run: u64) -> PathBuf {
    sync.join("runs").join(run.to_string())
}

impl Record {
    /// Writes the record of a run, for its owner only.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), RecordError> {
        let io = |source| RecordError::Io {
            path: folder.to_owned(),
            source,
        };
        durable::folder(folder).map_err(io)?;
        let warehouse = instance(folder)?;
        let mut connection = warehouse.connect()?;
        connection.execute(
            "CREATE TABLE unsettled (key VARCHAR, change VARCHAR, kind VARCHAR, state VARCHAR, code VARCHAR,
                message VARCHAR, field VARCHAR, times UBIGINT, since UBIGINT, run UBIGINT);
             CREATE TABLE invalid (key VARCHAR, reason VARCHAR)",
        )?;
        let mut rows = connection.append("memory", "unsettled")?;
        for row in &self.unsettled {
            for text in [&row.key, &row.change, &row.kind, &row.state] {
                rows.push(Value::Text(text))?;
            }
            for text in [&row.code, &row.message, &row.field] {
                rows.push(text.as_deref().into())?;
            }
            for number in [row.times, row.since, row.run] {
                rows.push(Value::U64(number))?;
            }
            rows.end_row()?;
        }
        rows.finish()?;
        let mut rows = connection.append("memory", "invalid")?;
        for row in &self.invalid {
            rows.push(Value::Text(&row.key))?;
            rows.push(Value::Text(&row.reason))?;
            rows.end_row()?;
        }
        rows.finish()?;
        for table in ["unsettled", "invalid"] {
            let file = folder.join(format!("{table}.parquet"));
            let path = quote::text(&file.to_string_lossy());
            connection.execute(&format!("COPY {table} TO {path} (FORMAT parquet)"))?;
            private::seal(&file).map_err(|source| RecordError::Io { path: file, source })?;
        }
        durable::names(folder).map_err(io)
    }

    /// Reads the record of a run; nothing where it left none.
    ///
    /// # Errors
    /// When the record is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>, RecordError> {
        if !folder.join("invalid.parquet").is_file() {
            return Ok(None);
        }
        let warehouse = instance(folder)?;
        let connection = warehouse.connect()?;
        let table = |name: &str| {
            let path = quote::text(&folder.join(format!("{name}.parquet")).to_string_lossy());
            format!("SELECT * FROM read_parquet({path})")
        };
        let unsettled = connection.query_rows::<_, WarehouseError>(&table("unsettled"), |row| {
            Ok(Unsettled {
                key: row.get(0)?,
                change: row.get(1)?,
                kind: row.get(2)?,
                state: row.get(3)?,
                code: row.get(4)?,
                message: row.get(5)?,
                field: row.get(6)?,
                times: row.get(7)?,
                since: row.get(8)?,
                run: row.get(9)?,
            })
        })?;
        let invalid = connection.query_rows::<_, WarehouseError>(&table("invalid"), |row| {
            Ok(Invalid {
                key: row.get(0)?,
                reason: row.get(1)?,
            })
        })?;
        Ok(Some(Self { unsettled, invalid }))
    }
}

fn instance(folder: &Path) -> Result<Warehouse, WarehouseError> {
    Warehouse::open(&WarehouseOptions {
        memory_limit_bytes: MEMORY_BYTES,
        threads: 1,
        temp_dir: folder.join("temporary"),
        extension_dirs: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let state = tempfile::tempdir().unwrap();
        let folder = folder(state.path(), 7);
        assert_eq!(Record::read(&folder).unwrap(), None);
        let record = Record {
            unsettled: vec![Unsettled {
                key: "{\"id\":1}".into(),
                change: "added".into(),
                kind: "upsert".into(),
                state: "rejected".into(),
                code: Some("NO".into()),
                message: Some("it's no".into()),
                field: None,
                times: 2,
                since: 5,
                run: 7,
            }],
            invalid: vec![Invalid {
                key: "{\"id\":null}".into(),
                reason: "null key".into(),
            }],
        };
        record.write(&folder).unwrap();
        assert_eq!(Record::read(&folder).unwrap(), Some(record));
    }
}
