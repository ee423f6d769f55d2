//! What a person says of rows by hand, under the sync's lock: that they have arrived or not, are to be tried again, or are
//! to be forgotten.

use std::sync::Arc;

use chrono::Utc;
use outflow_core::ledger::{Arrival, Released, Resolved};
use outflow_core::report::Control;
use outflow_core::run::{Edited, forget, release, resolve};
use serde::Serialize;

use crate::{Engine, Error, RunOptions, renamed};

/// What was forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// The keys, each a JSON object by column.
    pub keys: Vec<String>,
    /// The entries that the ledger had of them.
    pub entries: u64,
    /// The rows that records of runs had of them.
    pub recorded: u64,
    /// Runs whose message or notes had one of them, and have it no more.
    pub runs: u64,
    /// The keys that the model still has, so that the next run sends them as new.
    pub in_model: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Engine {
    /// Erases the values of keys from a sync's ledger, journal and records (rule 39). Nothing is sent: the destination keeps
    /// its records, and nothing removes them later. A key that the model still has would be sent again as new, so that it
    /// is refused unless `still_in_model` says that this is meant. A key is written as for [`explain`](Self::explain).
    ///
    /// A sync that is no longer in the project can be told to forget too.
    ///
    /// # Errors
    /// When the sync is unknown or being run, the model has a key or cannot be read, or something cannot be erased: then it
    /// is to be done again.
    pub async fn forget(&self, sync: &str, keys: Vec<String>, still_in_model: bool) -> Result<Forgotten, Error> {
        let listed = self.project().syncs.contains_key(sync);
        if listed {
            self.taken_over(sync)?;
        } else if self.catalog().find_sync(sync)?.is_none() {
            self.sync(sync)?;
        }
        let lock = Arc::new(self.lock(sync)?.map_err(|holder| Error::Running {
            sync: sync.to_owned(),
            holder,
        })?);
        let seen = self.seen(sync)?;
        let mut notes = Vec::new();
        let mut in_model = Vec::new();
        if listed {
            let (held, options) = (Arc::clone(&lock), RunOptions::default());
            let request = self.request(
                sync,
                held,
                seen.last_run + 1,
                seen.note.clone(),
                options,
                Control::default(),
            );
            match forget::in_model(&request, keys.clone()).await {
                Ok(found) if found.is_empty() || still_in_model => in_model = found,
                Ok(found) => {
                    return Err(Error::StillInModel {
                        sync: sync.to_owned(),
                        keys: found,
                    });
                }
                Err(error) if still_in_model => notes.push(format!(
                    "whether the model still has it is not known, as it cannot be read: {error}"
                )),
                Err(error) => return Err(error.into()),
            }
        }
        let edited = forget::forget(Arc::clone(&lock), self.extensions().to_vec(), seen.note, keys).await?;
        let done = self.noted(sync, edited)?;
        let mut runs = 0;
        if let Some(row) = self.catalog().find_sync(sync)? {
            runs = self.catalog().forget(row.id, &done.keys)?;
        }
        notes.extend(done.notes);
        Ok(Forgotten {
            keys: done.keys,
            entries: done.entries,
            recorded: done.recorded,
            runs,
            in_model,
            notes,
        })
    }

    /// Refuses a sync whose ledger is still under the name that it had before.
    pub(crate) fn taken_over(&self, sync: &str) -> Result<(), Error> {
        match renamed::pending(self.state(), self.catalog(), self.sync(sync)?)? {
            Some(from) => Err(Error::NotTakenOver {
                sync: sync.to_owned(),
                from: from.to_owned(),
            }),
            None => Ok(()),
        }
    }
}

impl Engine {
    /// Takes a person's word on keys that are uncertain, because an attempt had no answer (rule 3): whether what was sent
    /// has arrived. Nothing is sent. A key is written as for [`explain`](Self::explain).
    ///
    /// # Errors
    /// When the sync is unknown, has no ledger, or is being run, or a text is no key.
    pub async fn resolve(&self, sync: &str, keys: Vec<String>, arrival: Arrival) -> Result<Vec<Resolved>, Error> {
        self.taken_over(sync)?;
        let lock = Arc::new(self.lock(sync)?.map_err(|holder| Error::Running {
            sync: sync.to_owned(),
            holder,
        })?);
        let seen = self.seen(sync)?;
        let extensions = self.extensions().to_vec();
        let edited = resolve::resolve(Arc::clone(&lock), extensions, seen.note, keys, arrival).await?;
        self.noted(sync, edited)
    }

    /// Releases rows that are parked after too many rejections (rule 2): of these keys, or with none of all. The next run
    /// tries them again, and counts anew. Nothing is sent. A key is written as for [`explain`](Self::explain).
    ///
    /// # Errors
    /// When the sync is unknown, or is being run, or a text is no key.
    pub async fn release(&self, sync: &str, keys: Option<Vec<String>>) -> Result<Released, Error> {
        self.taken_over(sync)?;
        let lock = Arc::new(self.lock(sync)?.map_err(|holder| Error::Running {
            sync: sync.to_owned(),
            holder,
        })?);
        let seen = self.seen(sync)?;
        let extensions = self.extensions().to_vec();
        let edited = release::release(Arc::clone(&lock), extensions, seen.note, keys).await?;
        self.noted(sync, edited)
    }

    /// Notes what was changed in a ledger, with the sync's lock held: so the process of a run that has no end is gone.
    fn noted<T>(&self, sync: &str, edited: Edited<T>) -> Result<T, Error> {
        if let Some(note) = &edited.note {
            self.catalog().note_ledger(sync, note)?;
        }
        if let Some(row) = self.catalog().find_sync(sync)? {
            self.catalog().repair_runs(row.id, Utc::now())?;
        }
        if let Some(folded) = &edited.recovered {
            self.catalog().count_run(sync, folded.run, &folded.counts)?;
        }
        Ok(edited.done)
    }
}
