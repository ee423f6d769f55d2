//! The contract with plugins, one module per version of `wit/`.
//!
//! The rest of the crate speaks the newest version's types, re-exported here; an older version gets an adapter that
//! lifts its types to these.

pub(crate) mod v0_1;

pub(crate) use v0_1::Work;
pub(crate) use v0_1::bindings::Destination as Bindings;
pub(crate) use v0_1::bindings::DestinationPre as BindingsPre;
pub(crate) use v0_1::bindings::outflow::destination::log;
pub(crate) use v0_1::bindings::outflow::destination::types;

/// The interface that every plugin exports, without its version.
pub(crate) const EXPORT: &str = "outflow:destination/plugin";

/// The interfaces that a plugin may import, without their version.
pub(crate) const IMPORTS: [&str; 2] = ["outflow:destination/log", "outflow:destination/types"];

/// The versions that this host loads, as people read them.
pub(crate) const VERSIONS: &str = "0.1";

/// Whether this host loads components of that version of the package.
pub(crate) fn is_known(version: &str) -> bool {
    version == "0.1" || version.starts_with("0.1.")
}
