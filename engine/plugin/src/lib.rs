//! The host of destination plugins: loads components, drives them and performs their effects under policy.
//!
//! A plugin decides, the host acts. [`Registry`] finds plugins by name and opens destinations with them; everything
//! else serves it. Data goes down: `registry` over `opened`, that over `instance` (the guest's side) and `effect` (the
//! world's side), all over `contract`, the one place that knows a version of `wit/`. Nothing here knows SQL, and no
//! plugin gets a socket, a file, a clock or the value of a secret.

mod component;
mod contract;
mod effect;
mod instance;
mod limits;
mod opened;
mod registry;

pub use limits::Limits;
pub use registry::{Bundled, Found, HostError, Registry, RegistryOptions};
