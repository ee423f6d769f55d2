//! Releasing what is parked (rule 2): the next run tries it again, and counts its rejections anew.

use super::forgotten::EditError;
use super::tables::{self, UNSETTLED, temporary};
use super::{Ledger, LedgerError};
use crate::mapping::key;
use crate::warehouse::Connection;

/// What was released.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Released {
    /// The keys that were parked, each a JSON object by column.
    pub keys: Vec<String>,
    /// Those that were asked for and are not parked.
    pub not_parked: Vec<String>,
}

impl Ledger {
    /// Releases what is parked: of these keys, or with none of all. The last plan must be folded.
    ///
    /// # Errors
    /// When a text is no key, or what DuckDB says; then nothing is released.
    pub(crate) fn release(
        &mut self,
        connection: &mut Connection,
        keys: Option<&[String]>,
    ) -> Result<Released, EditError> {
        let Some(mut meta) = self.meta().cloned() else {
            return Ok(Released::default());
        };
        let layout = meta.layout.clone();
        let wanted = temporary("wanted");
        let asked = key::read(connection, &layout, keys.unwrap_or_default(), &wanted)?;
        let which = match keys {
            Some(_) => format!(
                "u.state = 'parked' AND EXISTS (SELECT 1 FROM {wanted} AS w WHERE {})",
                layout.same_key("w", "u")
            ),
            None => "u.state = 'parked'".to_owned(),
        };
        let parked: Vec<String> = connection.query_rows::<_, LedgerError>(
            &format!(
                "SELECT DISTINCT {} AS key FROM {UNSETTLED} AS u WHERE {which} ORDER BY key",
                layout.key_json("u.")
            ),
            |row| Ok(row.get(0)?),
        )?;
        connection.transaction::<_, LedgerError>(|connection| {
            connection.execute(&format!(
                "UPDATE {UNSETTLED} AS u SET state = 'rejected', times = 0 WHERE {which}"
            ))?;
            meta.sequence += 1;
            meta.write(connection)?;
            Ok(())
        })?;
        self.set(meta);
        tables::drop_temporary(connection, &["wanted"])?;
        let not_parked = asked.into_iter().filter(|key| !parked.contains(key)).collect();
        Ok(Released {
            keys: parked,
            not_parked,
        })
    }
}
