//! The ledger: what the destination has, as far as it told (rules 1 to 8).
//!
//! One DuckDB file per sync, attached to a run's instance as the catalog `ledger`. It holds the entries, the plan of the
//! run under way, what is unsettled, and a document about itself ([`Meta`]). Outcomes come in through
//! [`fold`](Ledger::fold) only, after a run as after a crash.

mod fold;
mod forgotten;
mod meta;
mod migrate;
pub(crate) mod recorded;
mod released;
pub(crate) mod reproject;
mod resolved;
pub(crate) mod tables;
#[cfg(test)]
mod tests;
mod verdicts;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::journal::{JournalError, Reader};
use crate::mapping::{self, Layout};
use crate::record::{RecordError, Records, Unsettled};
use crate::warehouse::{Connection, Warehouse, WarehouseError, quote};

pub use fold::Folded;
pub use forgotten::EditError;
pub use meta::{Clean, Fingerprint, Meta, OpenPlan, TargetName};
pub use released::Released;
pub use resolved::{Arrival, Resolved};

/// What the catalog remembers of a ledger's last commit (rule 7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The ledger's incarnation.
    pub incarnation: String,
    /// Its sequence number.
    pub sequence: u64,
    /// Its entries, and the operations of a plan whose outcomes are not in them yet.
    pub rows: u64,
}

/// What a ledger is to belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The sync's slug.
    pub sync: &'a str,
    /// The slug that the sync had before, if it says so.
    pub renamed_from: Option<&'a str>,
    /// The target. An account that is not known (in a preview) is not compared.
    pub target: TargetName,
    /// What may be another than it was.
    pub accept: Accept,
}

/// What a person said of a ledger that is about something else (rule 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Nothing: it must be about the same.
    Nothing,
    /// Another target is the same place under a new address.
    SameTarget,
    /// What the ledger says is replaced by a declaration (rebaseline), so target and key may be others.
    Anew,
}

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// DuckDB's word.
    #[error("the ledger: {0}")]
    Warehouse(#[from] WarehouseError),
    /// The journal's word.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There was one.
    #[error(
        "the ledger {path} is gone, though it had {rows} entries or operations under way; restore the state folder from a backup, or take the model's present state as delivered (`outflow rebaseline SYNC`), or send everything again after that (`outflow run SYNC --full-resync`)"
    )]
    Lost {
        /// The file.
        path: PathBuf,
        /// What it had.
        rows: u64,
    },
    /// It is behind the catalog's note.
    #[error(
        "the ledger is older than the last run: {message}; restore the newest backup, or take the model's present state as delivered (`outflow rebaseline SYNC`)"
    )]
    Older {
        /// What does not agree.
        message: String,
    },
    /// It cannot be read.
    #[error(
        "the ledger is damaged: {0}; restore it from a backup, or take the model's present state as delivered (`outflow rebaseline SYNC`)"
    )]
    Damaged(String),
    /// Another version wrote it.
    #[error(
        "the ledger has format {format} and hash scheme `{hash_scheme}`, and this version knows format {} and `{}`; use the newer version of outflow that wrote it",
        meta::FORMAT,
        crate::warehouse::HASH_SCHEME
    )]
    Newer {
        /// Its format.
        format: u32,
        /// Its hash scheme.
        hash_scheme: String,
    },
    /// An older version wrote it, and it may not be changed now.
    #[error(
        "the ledger has the older format {format}; the next run brings it up to date, and nothing can be shown before that"
    )]
    ToMigrate {
        /// Its format.
        format: u32,
    },
    /// It belongs to another sync.
    #[error(
        "the ledger belongs to the sync `{found}`, not to `{wanted}`; if the sync was renamed, say `renamed_from: {found}` in its file"
    )]
    OtherSync {
        /// Its sync.
        found: String,
        /// This one.
        wanted: String,
    },
    /// It is about another target.
    #[error(
        "the ledger is about {found}, and the sync now goes to {wanted}. If those are the same records under a new address: outflow run {sync} --same-target. If they are others, give the sync a new name, or say by `outflow rebaseline {sync}` that they are as the model says (and if there are none yet, then `outflow run {sync} --full-resync`)"
    )]
    OtherTarget {
        /// The sync.
        sync: String,
        /// Its target.
        found: Box<TargetName>,
        /// The present one.
        wanted: Box<TargetName>,
    },
    /// The key has other columns or types (rule 11).
    #[error(
        "{message}; the rows' identities would all be new. Cast the key back in the model, or take the present state as delivered (`outflow rebaseline SYNC`)"
    )]
    OtherKey {
        /// What changed.
        message: String,
    },
    /// The run's record cannot be written.
    #[error(transparent)]
    Record(RecordError),
    /// There was a journal, and what is there is none, or an earlier one.
    #[error(
        "the journal {path} of run {run} is gone, so what that run sent is not known; restore the state folder from a backup, or take the model's present state as delivered (`outflow rebaseline SYNC`), or send everything again (`outflow run SYNC --full-resync`)"
    )]
    JournalLost {
        /// The journal.
        path: PathBuf,
        /// The run whose plan it was.
        run: u64,
    },
    /// The journal belongs to something else.
    #[error("the journal {path} does not belong to this ledger: {message}")]
    ForeignJournal {
        /// The journal.
        path: PathBuf,
        /// What does not agree.
        message: String,
    },
}

impl LedgerError {
    /// Whether waiting and trying again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Warehouse(error) if error.is_transient())
    }

    /// The same, or that the ledger is damaged where DuckDB says so of a statement that reads nothing else.
    fn if_damaged(self) -> Self {
        match self {
            Self::Warehouse(error) => damaged(error),
            other => other,
        }
    }

    /// Whether the outcomes of a plan are lost with its journal.
    pub(crate) const fn is_outcomes_lost(&self) -> bool {
        matches!(
            self,
            Self::JournalLost { .. } | Self::Journal(JournalError::Damaged { .. })
        )
    }
}

impl From<RecordError> for LedgerError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Warehouse(error) => Self::Warehouse(error),
            other => Self::Record(other),
        }
    }
}

/// An attached ledger.
#[derive(Debug, Default)]
pub struct Ledger {
    meta: Option<Meta>,
    writable: bool,
    records: Option<Records>,
}

impl Ledger {
    /// Attaches the ledger of that file. Without `writable`, nothing is changed, and a missing file is an empty ledger.
    ///
    /// # Errors
    /// When it is lost, older than `note`, damaged, or of a newer version.
    pub fn open(warehouse: &Warehouse, path: &Path, writable: bool, note: Option<&Note>) -> Result<Self, LedgerError> {
        let exists = path.exists();
        if let (false, Some(note)) = (exists, note)
            && note.rows > 0
        {
            return Err(LedgerError::Lost {
                path: path.to_owned(),
                rows: note.rows,
            });
        }
        if !exists && !writable {
            return Ok(Self {
                meta: None,
                writable,
                records: None,
            });
        }
        Self::attach(warehouse, path, writable, note).map_err(LedgerError::if_damaged)
    }

    /// Reads everything that is in it.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] where something cannot be read.
    pub fn verify(&self, connection: &Connection) -> Result<(), LedgerError> {
        if self.meta.is_none() {
            return Ok(());
        }
        let names = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'ledger'";
        let verified = connection
            .query_rows::<String, WarehouseError>(names, |row| row.get(0))
            .and_then(|tables| {
                tables.iter().try_for_each(|table| {
                    let table = quote::identifier(table);
                    connection
                        .execute(&format!("SELECT bit_xor(hash(t)) FROM ledger.main.{table} AS t"))
                        .map(drop)
                })
            });
        verified.map_err(damaged)
    }

    /// What an error of a statement over sources and ledger says of the ledger: that it is damaged, where the statement
    /// could not read something, and the ledger cannot be read by itself either.
    pub(crate) fn blame(&self, connection: &Connection, error: &WarehouseError) -> Option<LedgerError> {
        is_unreadable(error).then(|| self.verify(connection).err()).flatten()
    }

    fn attach(warehouse: &Warehouse, path: &Path, writable: bool, note: Option<&Note>) -> Result<Self, LedgerError> {
        warehouse.attach_ledger(path, !writable)?;
        let mut connection = warehouse.connect()?;
        let mut meta = Meta::read(&connection)?;
        if let Some(meta) = &mut meta {
            migrate::migrate(&mut connection, meta, writable)?;
        }
        let ledger = Self {
            meta,
            writable,
            records: None,
        };
        ledger.check(&connection, path, note)?;
        if writable && ledger.meta.is_some() {
            // A run that died before it had a plan left it; rows in it may be about to be forgotten.
            tables::drop_staged(&connection)?;
        }
        Ok(ledger)
    }

    /// Compares with what was noted, and the entries with what the ledger says of them (rule 7): a damaged file or log
    /// opens with fewer rows and without an error.
    fn check(&self, connection: &Connection, path: &Path, note: Option<&Note>) -> Result<(), LedgerError> {
        let older = |message: String| Err(LedgerError::Older { message });
        let Some(meta) = &self.meta else {
            return match note {
                Some(note) if note.rows > 0 => Err(LedgerError::Lost {
                    path: path.to_owned(),
                    rows: note.rows,
                }),
                _ => Ok(()),
            };
        };
        let rows = tables::count(connection, tables::ENTRIES)?;
        if rows != meta.rows {
            return Err(LedgerError::Damaged(format!(
                "it has {rows} entries and should have {}",
                meta.rows
            )));
        }
        if let Some(plan) = &meta.plan {
            let operations = tables::count(connection, tables::PLAN)?;
            if operations != plan.operations.total() {
                let wanted = plan.operations.total();
                return Err(LedgerError::Damaged(format!(
                    "its plan has {operations} operations and should have {wanted}"
                )));
            }
        }
        match note {
            Some(note) if note.incarnation != meta.incarnation => older(format!(
                "it is another ledger ({}, not {})",
                meta.incarnation, note.incarnation
            )),
            Some(note) if note.sequence > meta.sequence => older(format!(
                "its last commit is number {}, and number {} was noted",
                meta.sequence, note.sequence
            )),
            Some(note) if note.sequence == meta.sequence && note.rows != held(meta) => older(format!(
                "it has {} entries and operations under way, and {} were noted",
                held(meta),
                note.rows
            )),
            _ => Ok(()),
        }
    }

    /// Folds the journal that a stopped run left, if there is one, and closes its plan: what has no attempt in it was
    /// not sent. The file may be removed after that, and must be before the next run.
    ///
    /// A plan that has operations has a journal, which is there before the plan is: without it, nobody knows what was sent.
    ///
    /// # Errors
    /// When the journal is damaged, gone, or belongs to another ledger.
    pub fn recover(&mut self, connection: &mut Connection, journal: &Path) -> Result<Option<Folded>, LedgerError> {
        let mut reader = Reader::open(journal)?;
        let Some(meta) = &self.meta else {
            return match reader {
                Some(_) => Err(foreign(journal, "the ledger is empty".into())),
                None => Ok(None),
            };
        };
        if let Some(reader) = &mut reader {
            let header = reader.header().clone();
            if header.incarnation != meta.incarnation {
                return Err(foreign(
                    journal,
                    format!("it speaks of {}, not of {}", header.incarnation, meta.incarnation),
                ));
            }
            let never_committed = meta.plan.is_none() && header.sequence == meta.sequence + 1;
            if never_committed && reader.next_entry()?.is_none() {
                return Ok(None);
            }
            if header.sequence > meta.sequence {
                let message = format!(
                    "its last commit is number {}, and a journal speaks of {}",
                    meta.sequence, header.sequence
                );
                return Err(LedgerError::Older { message });
            }
        }
        // Without a plan, it is folded already; only the file's removal is missing.
        let folded = match &meta.plan {
            None => None,
            Some(plan) => {
                let own = reader.filter(|reader| reader.header().sequence == plan.sequence);
                if own.is_none() && plan.operations.total() > 0 {
                    return Err(LedgerError::JournalLost {
                        path: journal.to_owned(),
                        run: plan.run,
                    });
                }
                Some(self.fold(connection, own)?)
            }
        };
        if let Some(records) = &self.records {
            records.settle()?;
        }
        Ok(folded)
    }

    /// Checks that the ledger belongs to this sync and target and has this key; a new one is made so.
    ///
    /// # Errors
    /// What does not agree, with the choices.
    pub fn bind(
        &mut self,
        connection: &mut Connection,
        binding: &Binding<'_>,
        layout: &Layout,
    ) -> Result<(), LedgerError> {
        let Some(meta) = &mut self.meta else {
            let incarnation = format!("{:032x}", rand::random::<u128>());
            let meta = Meta::new(incarnation, binding.sync, &binding.target, layout);
            if self.writable {
                connection.transaction::<_, LedgerError>(|connection| {
                    tables::create(connection, layout)?;
                    meta.write(connection)?;
                    Ok(())
                })?;
                self.meta = Some(meta);
            }
            return Ok(());
        };
        if meta.sync != binding.sync && Some(meta.sync.as_str()) != binding.renamed_from {
            return Err(LedgerError::OtherSync {
                found: meta.sync.clone(),
                wanted: binding.sync.to_owned(),
            });
        }
        let before = meta.target.clone();
        binding.sync.clone_into(&mut meta.sync);
        if !same_target(&meta.target, &binding.target) {
            if binding.accept == Accept::Nothing {
                return Err(LedgerError::OtherTarget {
                    sync: binding.sync.to_owned(),
                    found: Box::new(meta.target.clone()),
                    wanted: Box::new(binding.target.clone()),
                });
            }
            meta.target = binding.target.clone();
        }
        if meta.target.account.is_none() {
            meta.target.account.clone_from(&binding.target.account);
        }
        meta.target.identity.clone_from(&binding.target.identity);
        if binding.accept != Accept::Anew
            && let Some(message) = key_change(&meta.layout, layout)
        {
            return Err(LedgerError::OtherKey { message });
        }
        if self.writable && binding.accept != Accept::Anew && before != meta.target {
            // At once: a run that finds nothing to do commits nothing else.
            connection.transaction::<_, LedgerError>(|connection| Ok(meta.write(connection)?))?;
        }
        Ok(())
    }

    /// What it says of itself; nothing before a first run.
    #[must_use]
    pub const fn meta(&self) -> Option<&Meta> {
        self.meta.as_ref()
    }

    /// What the catalog is to remember, after a run.
    #[must_use]
    pub fn note(&self) -> Option<Note> {
        self.meta.as_ref().map(|meta| Note {
            incarnation: meta.incarnation.clone(),
            sequence: meta.sequence,
            rows: held(meta),
        })
    }

    /// Takes over a meta that a transaction has committed.
    pub(crate) fn set(&mut self, meta: Meta) {
        self.meta = Some(meta);
    }

    /// What is attempted and not accepted, by key: rejected, unknown and unmatched operations.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn unsettled(&self, connection: &Connection) -> Result<Vec<Unsettled>, LedgerError> {
        self.meta.as_ref().map_or(Ok(Vec::new()), |meta| {
            Ok(crate::record::read_unsettled(
                connection,
                &recorded::unsettled(&meta.layout, tables::UNSETTLED),
            )?)
        })
    }

    /// Keeps records of runs there from now on. Without them, none are written.
    pub(crate) fn keep_records(&mut self, records: Records) {
        self.records = Some(records);
    }

    /// Where records of runs are kept, if they are.
    pub(crate) const fn records(&self) -> Option<&Records> {
        self.records.as_ref()
    }
}

/// What would be lost with a ledger.
fn held(meta: &Meta) -> u64 {
    let under_way = meta.plan.as_ref().map_or(0, |plan| plan.operations.total());
    meta.rows + under_way
}

fn damaged(error: WarehouseError) -> LedgerError {
    if is_unreadable(&error) {
        LedgerError::Damaged(error.to_string())
    } else {
        error.into()
    }
}

/// Whether DuckDB cannot read a file, as opposed to one that it may not have now.
fn is_unreadable(error: &WarehouseError) -> bool {
    let WarehouseError::Database { kind, message, .. } = error else {
        return false;
    };
    let says_so = UNREADABLE.iter().any(|word| message.contains(word)) || kind == "Serialization";
    says_so && !error.is_transient()
}

/// What DuckDB says of files that are no databases, or whose blocks are not what was written.
const UNREADABLE: [&str; 7] = [
    "Could not read enough bytes",
    "not a valid DuckDB database",
    "Corrupt",
    "corrupt",
    "checksum",
    "replaying WAL",
    "has been invalidated",
];

fn foreign(path: &Path, message: String) -> LedgerError {
    LedgerError::ForeignJournal {
        path: path.to_owned(),
        message,
    }
}

/// The same plugin, object and, where both are known, place and account.
fn same_target(a: &TargetName, b: &TargetName) -> bool {
    let same = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    a.plugin == b.plugin && a.object == b.object && same(&a.identity, &b.identity) && same(&a.account, &b.account)
}

/// How the key differs, other than by widening.
fn key_change(old: &Layout, new: &Layout) -> Option<String> {
    let names = |layout: &Layout| {
        layout
            .key
            .iter()
            .map(|column| format!("`{}`", column.name))
            .collect::<Vec<_>>()
            .join(", ")
    };
    if !old.same_key_columns(new) {
        return Some(format!("the key was {} and is {} now", names(old), names(new)));
    }
    let pairs = old.key.iter().zip(&new.key).chain(old.place.iter().zip(&new.place));
    let changed = |(old, new): &(&crate::warehouse::Column, &crate::warehouse::Column)| {
        old.name == new.name && !mapping::is_widening(&old.data_type, &new.data_type)
    };
    pairs.into_iter().find(changed).map(|(old, new)| {
        format!(
            "the type of column `{}`, by which rows are told apart, was {} and is {} now",
            old.name, old.data_type, new.data_type
        )
    })
}
