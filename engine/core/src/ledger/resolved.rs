//! Resolving what is uncertain (rule 3): a person says whether what was sent has arrived.

use serde::Serialize;

use super::forgotten::EditError;
use super::tables::{self, ENTRIES, UNSETTLED, temporary};
use super::{Ledger, LedgerError, Meta};
use crate::mapping::{ImageColumn, Layout, RecordValue, key};
use crate::record::{Event, Records};
use crate::warehouse::{Connection, WarehouseError, quote};

/// What a person says of an attempt without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// The destination has done what was asked.
    Delivered,
    /// It has not.
    NotDelivered,
}

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// The key, a JSON object by column.
    pub key: String,
    /// Whether it is settled now.
    pub settled: bool,
    /// Why it is not, or what follows.
    pub message: String,
}

impl Ledger {
    /// Takes a person's word on keys that are uncertain. The last plan must be folded. Records say what was sent where the
    /// ledger does not.
    ///
    /// # Errors
    /// When a text is no key, or what DuckDB says; then nothing is changed.
    pub(crate) fn resolve(
        &mut self,
        connection: &mut Connection,
        keys: &[String],
        arrival: Arrival,
        records: &Records,
    ) -> Result<Vec<Resolved>, EditError> {
        let Some(mut meta) = self.meta().cloned() else {
            return Ok(Vec::new());
        };
        let mut resolved = Vec::new();
        let mut sent = Vec::new();
        let wanted = temporary("wanted");
        for key in key::read(connection, &meta.layout, keys, &wanted)? {
            let events = records.of_key(&key).map_err(LedgerError::from)?;
            sent.push((key, events));
        }
        connection.transaction::<_, LedgerError>(|connection| {
            for ((key, events), text) in sent.into_iter().zip(keys) {
                let text = std::slice::from_ref(text);
                key::read(connection, &meta.layout, text, &wanted)
                    .map_err(|error| LedgerError::Damaged(error.to_string()))?;
                let one = One {
                    connection,
                    meta: &meta,
                    wanted: &wanted,
                };
                let message = match arrival {
                    Arrival::NotDelivered => one.not_delivered()?,
                    Arrival::Delivered => one.delivered(&events)?,
                };
                let settled = message.is_ok();
                let message = message.unwrap_or_else(|why| why).to_owned();
                resolved.push(Resolved { key, settled, message });
            }
            meta.rows = tables::count(connection, ENTRIES)?;
            meta.clean = None;
            meta.sequence += 1;
            meta.write(connection)?;
            Ok(())
        })?;
        self.set(meta);
        tables::drop_temporary(connection, &["wanted"])?;
        Ok(resolved)
    }
}

/// What follows, or why it is not settled.
type Word = Result<&'static str, &'static str>;

const NOT_UNCERTAIN: Word = Err("it is not uncertain: there is nothing to resolve");

/// One key, in the table `wanted`.
struct One<'a> {
    connection: &'a Connection,
    meta: &'a Meta,
    wanted: &'a str,
}

impl One<'_> {
    fn layout(&self) -> &Layout {
        &self.meta.layout
    }

    /// Nothing that had no answer was done: the destination has what the ledger had before.
    fn not_delivered(&self) -> Result<Word, WarehouseError> {
        let of_key = |table: &str| self.layout().same_key(table, "w");
        let gone = self.connection.execute(&format!(
            "DELETE FROM {ENTRIES} AS e USING {} AS w WHERE e.uncertain AND e.h IS NULL AND {}",
            self.wanted,
            of_key("e")
        ))?;
        let kept = self.connection.execute(&format!(
            "UPDATE {ENTRIES} AS e SET uncertain = false FROM {} AS w WHERE e.uncertain AND {}",
            self.wanted,
            of_key("e")
        ))?;
        self.forget_attempts()?;
        Ok(match (gone, kept) {
            (0, 0) => NOT_UNCERTAIN,
            (_, 0) => Ok("the destination does not have it; it is sent as new while the model has it"),
            _ => Ok("the destination has what the ledger says; what differs from that is sent"),
        })
    }

    /// All that had no answer was done.
    fn delivered(&self, events: &[Event]) -> Result<Word, WarehouseError> {
        let layout = self.layout();
        let uncertain = self.count(&format!(
            "{ENTRIES} AS e JOIN {} AS w ON {} WHERE e.uncertain",
            self.wanted,
            layout.same_key("e", "w")
        ))?;
        if uncertain == 0 {
            return Ok(NOT_UNCERTAIN);
        }
        let of_entry = format!(
            "JOIN {} AS w ON {} JOIN {UNSETTLED} AS u ON {} AND u.state = 'unknown'",
            self.wanted,
            layout.same_key("e", "w"),
            layout.same_entry("u", "e")
        );
        // A removal that was done leaves nothing.
        let removed = self.connection.execute(&format!(
            "DELETE FROM {ENTRIES} AS t USING (SELECT {identity} FROM {ENTRIES} AS e {of_entry} WHERE e.uncertain AND u.change = 'removed') AS a WHERE {same}",
            identity = layout.identity("e."),
            same = layout.same_entry("t", "a"),
        ))?;
        // What was never acknowledged is in the ledger as it was sent.
        let first = self.connection.execute(&format!(
            "UPDATE {ENTRIES} AS e SET uncertain = false, assumed = true, h = CASE WHEN e.mapping = {mapping} THEN {hash} ELSE {most}::UHUGEINT - {hash} END \
             FROM {wanted} AS w WHERE e.uncertain AND e.h IS NULL AND {same}",
            mapping = self.meta.mapping,
            hash = layout.hash("e."),
            most = u128::MAX,
            wanted = self.wanted,
            same = layout.same_key("e", "w"),
        ))?;
        let over = self.overwritten(events)?;
        let left = self.count(&format!(
            "{ENTRIES} AS e JOIN {} AS w ON {} WHERE e.uncertain",
            self.wanted,
            layout.same_key("e", "w")
        ))?;
        if left > 0 {
            return Ok(Err(
                "what was sent is not kept any more, so that it cannot be taken for delivered; the next run that sends it settles it, or say that it was not delivered",
            ));
        }
        self.forget_attempts()?;
        Ok(match (removed, first + over) {
            (_, 0) => Ok("the destination does not have it any more"),
            _ => Ok("the destination has what was sent, which is marked as assumed; it is sent again when it changes"),
        })
    }

    /// An acknowledged record that was written over: what was sent is in the run's record, and the hash says whether it can
    /// be read back as it was.
    fn overwritten(&self, events: &[Event]) -> Result<u64, WarehouseError> {
        let layout = self.layout();
        let mut settled = 0;
        for event in events.iter().filter(|event| event.outcome == "unknown") {
            let Some(sent) = &event.sent else { continue };
            let images: Option<Vec<String>> = (0..layout.image.len())
                .map(|index| read_back(layout, index, sent))
                .collect();
            let Some(images) = images else { continue };
            let columns: String = images
                .iter()
                .enumerate()
                .map(|(index, value)| format!("{value} AS i{index}, "))
                .collect();
            let identity = layout.identity("e.");
            let set: String = (0..layout.image.len())
                .map(|index| format!("i{index} = s.i{index}, "))
                .collect();
            settled += self.connection.execute(&format!(
                "UPDATE {ENTRIES} AS t SET {set}h = s.h, epoch = s.epoch, mapping = {mapping}, uncertain = false, assumed = true \
                 FROM (SELECT {columns}{identity}, u.h, u.epoch FROM {ENTRIES} AS e \
                   JOIN {wanted} AS w ON {same_key} JOIN {UNSETTLED} AS u ON {same_entry} \
                   WHERE u.state = 'unknown' AND u.change <> 'removed' AND u.run = {run}) AS s \
                 WHERE t.uncertain AND {same} AND {hash} = s.h",
                mapping = self.meta.mapping,
                wanted = self.wanted,
                same_key = layout.same_key("e", "w"),
                same_entry = layout.same_entry("u", "e"),
                run = event.run,
                same = layout.same_entry("t", "s"),
                hash = layout.hash("s."),
            ))?;
        }
        Ok(settled)
    }

    fn forget_attempts(&self) -> Result<(), WarehouseError> {
        self.connection.execute(&format!(
            "DELETE FROM {UNSETTLED} AS u USING {} AS w WHERE u.state = 'unknown' AND {}",
            self.wanted,
            self.layout().same_key("u", "w")
        ))?;
        Ok(())
    }

    fn count(&self, rows: &str) -> Result<u64, WarehouseError> {
        let sql = format!("SELECT count(*) FROM {rows}");
        Ok(self.connection.scalar::<u64>(&sql)?.unwrap_or_default())
    }
}

/// The expression for an image's value as a record shows it; none where no field does.
fn read_back(layout: &Layout, index: usize, sent: &str) -> Option<String> {
    let field = layout
        .fields
        .iter()
        .find(|field| field.value == RecordValue::Image(index))?;
    let ImageColumn { data_type, .. } = layout.image.get(index)?;
    let path = quote::text(&format!("$.{}", serde_json::Value::from(field.to.as_str())));
    let json = format!("{}::JSON", quote::text(sent));
    Some(match data_type.as_str() {
        "VARCHAR" => format!("json_extract_string({json}, {path})"),
        "BLOB" => format!("from_base64(json_extract_string({json}, {path}))"),
        // A value in a list or struct is read as JSON.
        nested
            if nested.ends_with(']')
                || nested.starts_with("STRUCT")
                || nested.starts_with("MAP")
                || nested == "JSON" =>
        {
            format!("TRY_CAST(json_extract({json}, {path}) AS {nested})")
        }
        scalar => format!("TRY_CAST(json_extract_string({json}, {path}) AS {scalar})"),
    })
}
