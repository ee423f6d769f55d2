//! Forgetting keys (rule 39): no table of the ledger has a value of them any more.

use super::tables::{self, ENTRIES, PROPOSED, UNSETTLED};
use super::{Ledger, LedgerError, reproject};
use crate::mapping::{KeyError, key};
use crate::warehouse::Connection;

/// What was forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// The keys, each a JSON object by column.
    pub keys: Vec<String>,
    /// The entries that the ledger had of them.
    pub entries: u64,
}

/// Why keys are not forgotten or resolved.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// A text is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The ledger's word.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<crate::warehouse::WarehouseError> for EditError {
    fn from(error: crate::warehouse::WarehouseError) -> Self {
        Self::Ledger(error.into())
    }
}

impl Ledger {
    /// Forgets keys. The last plan must be folded. What was in the tables stays in the file until it is written anew.
    ///
    /// # Errors
    /// When a text is no key, or what DuckDB says; then nothing is forgotten.
    pub(crate) fn forget(&mut self, connection: &mut Connection, keys: &[String]) -> Result<Forgotten, EditError> {
        let Some(mut meta) = self.meta().cloned() else {
            return Ok(Forgotten::default());
        };
        let wanted = tables::temporary("wanted");
        let keys = key::read(connection, &meta.layout, keys, &wanted)?;
        let before = meta.rows;
        connection.transaction::<_, LedgerError>(|connection| {
            let former = meta.former.keys().map(|version| reproject::former(*version));
            let all = [ENTRIES, UNSETTLED, PROPOSED].map(str::to_owned);
            for table in all.into_iter().chain(former) {
                connection.execute(&format!(
                    "DELETE FROM {table} AS t USING {wanted} AS w WHERE {}",
                    meta.layout.same_key("t", "w")
                ))?;
            }
            reproject::drop_former(connection, &mut meta)?;
            meta.rows = tables::count(connection, ENTRIES)?;
            // The model is no longer all that the ledger knows.
            meta.clean = None;
            meta.sequence += 1;
            meta.write(connection)?;
            Ok(())
        })?;
        let entries = before - meta.rows;
        self.set(meta);
        tables::drop_temporary(connection, &["wanted"])?;
        Ok(Forgotten { keys, entries })
    }
}
