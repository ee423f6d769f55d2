//! Who writes to which place that takes one sync only: as the catalog knows it.

use outflow_core::run::Claims;

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
