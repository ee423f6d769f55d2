//! A plan as a file: for people to read and approve, and for a run to be held to.
//!
//! JSON Lines: a [`Header`], a line per operation in the order in which they leave, and a last line with the digest of
//! all before it, so that a file that was cut or edited is seen. It holds rows, so it is for its owner only.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::basis::{Basis, Expected};
use super::operations::Operations;
use crate::delivery;
use crate::destination::Effect;
use crate::operation::Kind;
use crate::record::Invalid;
use crate::report::Counts;
use crate::warehouse::WarehouseError;

/// The version of the format.
pub const FORMAT: u32 = 1;
/// Operations that are rendered at a time.
const READ_RECORDS: usize = 1_000;

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The format's version, and what tells such a file from others.
    pub outflow_plan: u32,
    /// The project's name.
    pub project: String,
    /// When it was made, in RFC 3339.
    pub made_at: String,
    /// What it was made from.
    pub basis: Basis,
    /// Whether every row is sent again.
    pub full_resync: bool,
    /// Whether that is wanted in spite of what speaks against it.
    pub force: bool,
    /// The approvals of guards.
    pub allow: Vec<String>,
    /// Whether another target is the same place under a new address.
    #[serde(default)]
    pub same_target: bool,
    /// The counts up to `withheld`.
    pub counts: Counts,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Rows that cannot be sent, some of them.
    pub invalid: Vec<Invalid>,
    /// The first effects of each kind of operation, where they were asked for; secrets by name.
    pub requests: Vec<(Kind, Vec<Effect>)>,
}

/// A line for an operation.
#[derive(Serialize, Deserialize)]
struct Line {
    change: String,
    kind: String,
    key: Box<RawValue>,
    #[serde(rename = "match")]
    match_value: Box<RawValue>,
    record: Box<RawValue>,
    /// Fields that differ from what was last acknowledged: before and after.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    differs: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
}

/// The last line.
#[derive(Serialize, Deserialize)]
struct Footer {
    operations: u64,
    sha256: String,
}

/// Why a plan's file cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// The operating system's word.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// It is no plan, or not the whole of one.
    #[error("{path}: {message}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// The plan cannot be read.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
}

/// Writes a plan, in one step: the file is there whole or not at all. Gives its digest.
///
/// # Errors
/// When the folder cannot be written, or the plan not be read.
pub(crate) fn write(path: &Path, header: &Header, mut operations: Operations) -> Result<String, PlanFileError> {
    let io = |source: std::io::Error| PlanFileError::Io {
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // Readable by its owner only, as the library makes such files.
    let file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(io)?;
    let mut out = Digesting {
        out: BufWriter::new(file),
        digest: Sha256::new(),
    };
    let json = |error: serde_json::Error| io(error.into());
    out.line(&serde_json::to_vec(header).map_err(json)?).map_err(io)?;
    let mut count = 0;
    loop {
        let read = operations.next(READ_RECORDS)?;
        if read.is_empty() {
            break;
        }
        count += read.len() as u64;
        for planned in read {
            let line = line(planned, header.basis.ledger.is_some()).map_err(json)?;
            out.line(&serde_json::to_vec(&line).map_err(json)?).map_err(io)?;
        }
    }
    let sha256 = hex(out.digest.clone());
    let footer = Footer {
        operations: count,
        sha256: sha256.clone(),
    };
    out.line(&serde_json::to_vec(&footer).map_err(json)?).map_err(io)?;
    let file = out.out.into_inner().map_err(|error| io(error.into_error()))?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(sha256)
}

fn line(planned: delivery::Planned, ids: bool) -> Result<Line, serde_json::Error> {
    let operation = planned.operation;
    let removal = operation.kind.is_removal();
    let mut differs = Map::new();
    if let (Some(previous), false) = (&operation.previous, removal) {
        let (before, after): (Map<_, _>, Map<_, _>) = (
            serde_json::from_str(previous)?,
            serde_json::from_str(&operation.fields)?,
        );
        for (name, after) in after {
            let before = before.get(&name).cloned().unwrap_or_default();
            if before != after {
                differs.insert(name, Value::Array(vec![before, after]));
            }
        }
    }
    Ok(Line {
        change: planned.change.as_str().to_owned(),
        kind: operation.kind.to_string(),
        key: RawValue::from_string(operation.key.into())?,
        match_value: RawValue::from_string(operation.match_value.into())?,
        record: RawValue::from_string(operation.fields.into())?,
        differs,
        // Before a first run the ledger has no name, and ids begin with it.
        idempotency_key: ids.then(|| operation.idempotency_key.into()),
    })
}

struct Digesting<W> {
    out: W,
    digest: Sha256,
}

impl<W: Write> Digesting<W> {
    fn line(&mut self, line: &[u8]) -> std::io::Result<()> {
        self.digest.update(line);
        self.digest.update(b"\n");
        self.out.write_all(line)?;
        self.out.write_all(b"\n")
    }
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A plan's file that was read to its end once and is whole.
#[derive(Debug)]
pub struct PlanFile {
    /// Its first line.
    pub header: Header,
    /// Its digest.
    pub digest: String,
    lines: std::io::Lines<BufReader<File>>,
}

impl PlanFile {
    /// Opens a file, and checks that it is one and whole.
    ///
    /// # Errors
    /// When it cannot be read, is no plan, was cut or edited, or comes from a newer version.
    pub fn open(path: &Path) -> Result<Self, PlanFileError> {
        let io = |source: std::io::Error| PlanFileError::Io {
            path: path.to_owned(),
            source,
        };
        let content = |message: String| PlanFileError::Content {
            path: path.to_owned(),
            message,
        };
        let digest = verify(path, io, &content)?;
        let mut lines = BufReader::new(File::open(path).map_err(io)?).lines();
        let first = lines.next().transpose().map_err(io)?.unwrap_or_default();
        let header = serde_json::from_str(&first).map_err(|error| content(format!("its first line: {error}")))?;
        Ok(Self { header, digest, lines })
    }
}

/// Reads the whole file and gives its digest.
fn verify(
    path: &Path,
    io: impl Fn(std::io::Error) -> PlanFileError,
    content: &impl Fn(String) -> PlanFileError,
) -> Result<String, PlanFileError> {
    #[derive(Deserialize)]
    struct Version {
        outflow_plan: u32,
    }
    let mut reader = BufReader::new(File::open(path).map_err(&io)?);
    let (mut digest, mut line, mut last) = (Sha256::new(), Vec::new(), Vec::new());
    let mut count: u64 = 0;
    while {
        line.clear();
        reader.read_until(b'\n', &mut line).map_err(&io)? > 0
    } {
        if count == 0 {
            let version: Version = serde_json::from_slice(&line)
                .map_err(|_| content("it is no plan; `outflow plan SYNC --out FILE` writes one".to_owned()))?;
            if version.outflow_plan > FORMAT {
                let its = version.outflow_plan;
                return Err(content(format!(
                    "it has format {its}, and this version knows {FORMAT}; use the newer version of outflow that wrote it"
                )));
            }
        } else {
            digest.update(&last);
        }
        std::mem::swap(&mut line, &mut last);
        count += 1;
    }
    let cut = || content("it was cut or edited after it was written; make the plan again".to_owned());
    let footer: Footer = serde_json::from_slice(&last).map_err(|_| cut())?;
    let digest = hex(digest);
    if footer.sha256 != digest || footer.operations + 2 != count {
        return Err(cut());
    }
    Ok(digest)
}

impl Expected for PlanFile {
    fn basis(&self) -> &Basis {
        &self.header.basis
    }

    fn next_operation(&mut self) -> Option<(String, String, String)> {
        let line = self.lines.next()?.ok()?;
        // The last line is none.
        let line: Line = serde_json::from_str(&line).ok()?;
        Some((line.kind, line.key.get().to_owned(), line.record.get().to_owned()))
    }
}
