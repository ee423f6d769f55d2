//! The core of Outflow: from project files to operations with recorded outcomes.
//!
//! Data walks one way: compile, query, diff, plan, deliver, commit, report. The core knows DuckDB and the journal; it
//! knows no wasm, no network and no catalog.

pub mod delivery;
pub mod destination;
pub(crate) mod diff;
mod durable;
pub mod fault;
pub mod journal;
pub mod ledger;
pub mod mapping;
pub mod operation;
pub mod outcome;
pub mod plan;
mod private;
pub mod project;
pub mod record;
pub mod report;
pub mod run;
pub mod schedule;
pub mod secret;
pub mod warehouse;
