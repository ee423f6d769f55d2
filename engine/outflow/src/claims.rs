//! What the catalog knows for runs: who writes to which place that takes one sync only, and what each ledger committed.

use outflow_core::ledger::Note;
use outflow_core::run::{Claims, Notes};

use crate::Engine;

impl Claims for Engine {
    fn holder(&self, sync: &str, place: &str) -> Result<Option<String>, String> {
        let held = self.catalog().holder(sync, place, &self.enabled());
        held.map_err(|error| error.to_string())
    }

    fn claim(&self, sync: &str, place: Option<&str>) -> Result<Option<String>, String> {
        let claimed = self.catalog().claim(sync, place, &self.enabled());
        claimed.map_err(|error| error.to_string())
    }
}

impl Notes for Engine {
    fn committed(&self, sync: &str, note: &Note) -> Result<(), String> {
        let noted = self.catalog().note_ledger(sync, note);
        noted.map_err(|error| error.to_string())
    }
}

impl Engine {
    /// The syncs that run by themselves.
    fn enabled(&self) -> Vec<&str> {
        let syncs = self.project().syncs.values();
        syncs
            .filter(|sync| !sync.disabled)
            .map(|sync| sync.slug.as_str())
            .collect()
    }
}
