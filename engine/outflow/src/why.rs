//! Why: what became of a row, and what runs did, from records and a copy of the ledger. Nothing here keeps a run waiting
//! or waits for one (rule 30), and nothing changes (rule 31).

use std::sync::Arc;

use outflow_core::record::{Differences, Event};
use outflow_core::report::Control;
use outflow_core::run::RunError;
use outflow_core::run::explain::{self, Held, Next};
use outflow_core::run::lock;
use outflow_core::run::snapshot::Snapshot;
use serde::Serialize;

use crate::catalog::Run;
use crate::run::take;
use crate::{Engine, Error, RunOptions};

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The key, a JSON object by column.
    pub key: String,
    /// What runs did about it, the newest last, as far back as records are kept.
    pub history: Vec<Event>,
    /// What the ledger has of it; absent where the sync has no ledger yet.
    pub ledger: Option<Held>,
    /// What the next run does about it; absent where that is not known.
    pub next: Option<Next>,
    /// Why it is not known.
    pub next_unknown: Option<String>,
}

impl Explanation {
    /// Whether records, ledger or model know the key at all.
    #[must_use]
    pub fn is_known(&self) -> bool {
        let held = |held: &Held| !held.entries.is_empty() || !held.unsettled.is_empty();
        let wanted = |next: &Next| next.in_model || !next.steps.is_empty();
        !self.history.is_empty() || self.ledger.as_ref().is_some_and(held) || self.next.as_ref().is_some_and(wanted)
    }
}

/// A run, and whether its record is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The run.
    pub run: Run,
    /// Whether its record is there, so that it can be compared with others.
    pub recorded: bool,
}

impl Engine {
    /// What became of a row, what the ledger has of it, and what the next run does about it. The key is a plain value
    /// where it has one column, else a JSON object or list.
    ///
    /// # Errors
    /// When the sync is unknown, the text is no key, or neither ledger nor model can be read.
    pub async fn explain(&self, sync: &str, key: &str) -> Result<Explanation, Error> {
        self.taken_over(sync)?;
        let seen = self.seen(sync)?;
        let (state, slug) = (self.state().to_owned(), sync.to_owned());
        let snapshot = tokio::task::spawn_blocking(move || Snapshot::take(&state, &slug))
            .await
            .map_err(|error| Error::Broken(error.to_string()))?
            .map_err(|source| Error::Io {
                path: lock::folder(self.state(), sync),
                source,
            })?;
        // First, so that it is the one to say what was taken in.
        let next = match &snapshot.under_way {
            Some(holder) => Err(Error::Unsettled {
                sync: sync.to_owned(),
                holder: holder.clone(),
            }),
            None => {
                let copy = Arc::clone(&snapshot.lock);
                let options = RunOptions::default();
                let (number, note) = (seen.last_run + 1, seen.note.clone());
                let mut request = self.request(sync, copy, number, note, options, Control::default());
                take(&mut request, &seen.orders);
                explain::next(request, key.to_owned()).await.map_err(Error::from)
            }
        };
        let copy = Arc::clone(&snapshot.lock);
        let extensions = self.extensions().to_vec();
        let ledger = explain::held(copy, extensions, seen.note, key.to_owned()).await?;
        let next = match next {
            Err(error @ Error::Plan(RunError::Key(_))) => return Err(error),
            // Without a ledger, only the model could have said what the key is.
            Err(error) if ledger.is_none() => return Err(error),
            next => next,
        };
        let known = next.as_ref().ok().map(|next| next.key.clone());
        let key = ledger
            .as_ref()
            .map(|held| held.key.clone())
            .or(known)
            .unwrap_or_default();
        let (records, wanted) = (self.records(sync), key.clone());
        let mut history = tokio::task::spawn_blocking(move || records.of_key(&wanted))
            .await
            .map_err(|error| Error::Broken(error.to_string()))??;
        // A first sync's records are in the ledger alone, until another run touches them.
        let entries = ledger.iter().flat_map(|held| &held.entries);
        for entry in entries {
            let mut of_place = history.iter_mut().filter(|event| event.place == entry.place);
            if let Some(last) = of_place.next_back().filter(|event| event.lacks_sent()) {
                last.sent.clone_from(&entry.record);
            }
        }
        let (next, next_unknown) = match next {
            Ok(next) => (Some(next), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Ok(Explanation {
            key,
            history,
            ledger,
            next,
            next_unknown,
        })
    }

    /// A sync's runs, newest first, and whether each left a record that is still kept.
    ///
    /// # Errors
    /// When the sync is unknown, or catalog or records cannot be read.
    pub fn history(&self, sync: &str, at_most: u64) -> Result<Vec<Past>, Error> {
        let runs = self.runs(sync, at_most)?;
        let recorded = self.records(sync).runs()?;
        let past = runs.into_iter().map(|run| Past {
            recorded: recorded.contains(&run.number),
            run,
        });
        Ok(past.collect())
    }

    /// What the destination had acknowledged otherwise after the run `from` than after the later run `to`, by key and field;
    /// at most so many records, and all counted. Run 0 is before the first.
    ///
    /// # Errors
    /// When there are no such runs, the record of one in between is not kept any more, or one is damaged.
    pub async fn diff(&self, sync: &str, from: u64, to: u64, at_most: usize) -> Result<Differences, Error> {
        if from >= to {
            return Err(Error::NoSuchSpan {
                message: format!("run {from} is not before run {to}; name the earlier run first"),
            });
        }
        let past = self.history(sync, u64::MAX)?;
        for number in [from, to].into_iter().filter(|number| *number > 0) {
            let Some(found) = past.iter().find(|past| past.run.number == number) else {
                let newest = past.first().map_or(0, |past| past.run.number);
                return Err(Error::NoSuchSpan {
                    message: format!("`{sync}` has no run {number}; its newest is run {newest}"),
                });
            };
            if found.run.ended.is_none() {
                return Err(Error::NoSuchSpan {
                    message: format!("run {number} of `{sync}` is not over yet"),
                });
            }
        }
        let changed = |past: &&Past| {
            let counts = past.run.ended.as_ref().map(|ended| ended.counts).unwrap_or_default();
            counts.changes.total() > 0
        };
        let between = past
            .iter()
            .filter(|past| (from + 1..=to).contains(&past.run.number) && !past.recorded);
        if let Some(gone) = between.filter(changed).map(|past| past.run.number).max() {
            return Err(Error::NoSuchSpan {
                message: format!(
                    "the record of run {gone} of `{sync}` is not kept any more (`records: {{keep: …}}` in outflow.yml); compare with run {gone} or a later one"
                ),
            });
        }
        let records = self.records(sync);
        let found = tokio::task::spawn_blocking(move || records.differences(from, to, at_most)).await;
        Ok(found.map_err(|error| Error::Broken(error.to_string()))??)
    }
}
