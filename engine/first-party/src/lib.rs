//! The plugins that come with Outflow (`http`, `file`), as the components that `cargo xtask plugins` builds: for programs that
//! carry them, as the `outflow` command does.
//!
//! ```no_run
//! let options = outflow_plugin::RegistryOptions {
//!     bundled: outflow_first_party::plugins(),
//!     ..Default::default()
//! };
//! let registry = outflow_plugin::Registry::new(options)?;
//! # Ok::<(), outflow_plugin::HostError>(())
//! ```

use std::borrow::Cow;

use outflow_plugin::Bundled;

/// Names and components.
const COMPONENTS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/components.rs"));

/// The plugins, for [`RegistryOptions::bundled`](outflow_plugin::RegistryOptions::bundled). A project's or a program's own
/// plugin of the same name goes before them.
#[must_use]
pub fn plugins() -> Vec<Bundled> {
    let bundled = |(name, bytes): &(&str, &'static [u8])| Bundled {
        name: (*name).to_owned(),
        bytes: Cow::Borrowed(*bytes),
    };
    COMPONENTS.iter().map(bundled).collect()
}
