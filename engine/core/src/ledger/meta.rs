//! What a ledger says of itself: one JSON document in a table of one row, written in the transaction that it describes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::mapping::Layout;
use crate::operation::Kind;
use crate::project::sync::Mode;
use crate::report::{Counts, Split};
use crate::warehouse::{Column, Connection, HASH_SCHEME, WarehouseError, quote};

use super::{LedgerError, reproject};

/// The version of the format that is written.
pub const FORMAT: u32 = 2;

/// What a ledger says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// The format's version.
    pub format: u32,
    /// The scheme of the rows' hashes.
    pub hash_scheme: String,
    /// A random id, made when the ledger was.
    pub incarnation: String,
    /// The sync's slug.
    pub sync: String,
    /// What the entries are about.
    pub target: TargetName,
    /// The layout of entries, plan and unsettled operations.
    pub layout: Layout,
    /// The version of the mappings: how often they were edited.
    #[serde(default)]
    pub mapping: u64,
    /// Older versions under which entries were acknowledged that the layout cannot tell whole (rule 15).
    #[serde(default)]
    pub former: BTreeMap<u64, Layout>,
    /// The epoch: full resyncs so far (rule 22).
    pub epoch: u64,
    /// Whether the last full resync is not over.
    pub resync_open: bool,
    /// The orders that the last full resync was begun for, so that none is begun twice.
    #[serde(default)]
    pub resynced: Vec<String>,
    /// Commits so far. Every commit of plan or outcomes counts.
    pub sequence: u64,
    /// Entries at the last commit.
    pub rows: u64,
    /// The last run that planned something.
    pub run: u64,
    /// The plan whose outcomes are not folded yet.
    pub plan: Option<OpenPlan>,
    /// Rows with null keys in the last run that held no removals (rule 10).
    pub null_keys: Option<u64>,
    /// The model as the last run saw it, where that left nothing open (rule 36).
    pub clean: Option<Clean>,
    /// The types of text sources' columns, by source (rule 16).
    pub pinned: BTreeMap<String, Vec<Column>>,
    /// The fingerprint of the plugin's bytes in the last run that planned something.
    #[serde(default)]
    pub plugin: Option<String>,
}

/// The target that a ledger is bound to (rule 7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetName {
    /// The plugin.
    pub plugin: String,
    /// Where the records are, as the plugin names it. Absent in ledgers of before, which take it over.
    #[serde(default)]
    pub identity: Option<String>,
    /// The account, where the destination names one.
    pub account: Option<String>,
    /// The object.
    pub object: Option<String>,
}

impl std::fmt::Display for TargetName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "plugin `{}`", self.plugin)?;
        if let Some(identity) = &self.identity {
            write!(f, " at `{identity}`")?;
        }
        if let Some(account) = &self.account {
            write!(f, ", account `{account}`")?;
        }
        if let Some(object) = &self.object {
            write!(f, ", object `{object}`")?;
        }
        Ok(())
    }
}

/// A plan that is in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenPlan {
    /// The run's number.
    pub run: u64,
    /// The ledger's sequence number when it was committed.
    pub sequence: u64,
    /// Its operations.
    pub operations: Split,
    /// The kind of its writes.
    pub write_kind: Kind,
    /// The sync's mode.
    pub mode: Mode,
    /// Whether it replaces everything (rule 24): entries are then what it wrote.
    pub whole: bool,
    /// Whether the journal of a run that went well says that it finished.
    pub finishes: bool,
    /// What to keep as [`Meta::clean`] if every operation succeeds.
    pub clean: Option<Clean>,
    /// Its counts up to `withheld`.
    #[serde(default)]
    pub counts: Counts,
}

/// What must be as it was for a run to end after the query (rule 36).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clean {
    /// Rows, and sums of their hashes.
    pub fingerprint: Fingerprint,
    /// All configuration that decides what is sent.
    pub config: String,
}

/// A model's rows without regard to their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// How many.
    pub rows: u64,
    /// The sums of the hashes' halves, as text.
    pub sums: String,
}

impl Fingerprint {
    /// Of so many rows, with the sums of the lower and the upper halves of their hashes.
    #[must_use]
    pub fn new(rows: u64, low: u128, high: u128) -> Self {
        let sums = format!("{low} {high}");
        Self { rows, sums }
    }
}

impl Meta {
    /// The meta of a new ledger.
    pub(super) fn new(incarnation: String, sync: &str, target: &TargetName, layout: &Layout) -> Self {
        Self {
            format: FORMAT,
            hash_scheme: HASH_SCHEME.to_owned(),
            incarnation,
            sync: sync.to_owned(),
            target: target.clone(),
            layout: layout.clone(),
            mapping: 0,
            former: BTreeMap::new(),
            epoch: 0,
            resync_open: false,
            resynced: Vec::new(),
            sequence: 0,
            rows: 0,
            run: 0,
            plan: None,
            null_keys: None,
            clean: None,
            pinned: BTreeMap::new(),
            plugin: None,
        }
    }

    /// The meta that a preview assumes where there is no ledger yet.
    pub(crate) fn preview(sync: &str, target: &TargetName, layout: &Layout) -> Self {
        Self::new("preview".to_owned(), sync, target, layout)
    }

    /// The older versions of the mappings that are kept, each with its rows' table.
    pub(crate) fn former_tables(&self) -> Vec<(u64, String, Layout)> {
        let former = self.former.iter();
        former
            .map(|(version, layout)| (*version, reproject::former(*version), layout.clone()))
            .collect()
    }

    /// Reads it; `None` where the file has no tables yet.
    pub(super) fn read(connection: &Connection) -> Result<Option<Self>, LedgerError> {
        let tables: Option<u64> = connection
            .scalar("SELECT count(*) FROM duckdb_tables() WHERE database_name = 'ledger' AND table_name = 'meta'")?;
        if tables.unwrap_or_default() == 0 {
            return Ok(None);
        }
        let text: String = connection
            .scalar("SELECT state FROM ledger.main.meta")?
            .ok_or_else(|| LedgerError::Damaged("its table `meta` is empty".into()))?;
        // The version comes first: what a newer one wrote need not be readable.
        let version: Version = serde_json::from_str(&text).map_err(|error| LedgerError::Damaged(error.to_string()))?;
        if version.format > FORMAT || version.hash_scheme != HASH_SCHEME {
            return Err(LedgerError::Newer {
                format: version.format,
                hash_scheme: version.hash_scheme,
            });
        }
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| LedgerError::Damaged(error.to_string()))
    }

    /// Writes it, within a transaction.
    pub(crate) fn write(&self, connection: &Connection) -> Result<(), WarehouseError> {
        // A struct of texts, numbers, lists and maps with text keys always has a JSON form.
        let text = serde_json::to_string(self).unwrap_or_default();
        connection.execute(&format!("UPDATE ledger.main.meta SET state = {}", quote::text(&text)))?;
        Ok(())
    }
}

#[derive(Deserialize)]
struct Version {
    format: u32,
    hash_scheme: String,
}
