//! Outflow embedded: open a project, plan and run its syncs, keep their schedules, follow their progress.
//!
//! A project is a folder of files (`outflow init` writes one, and [`project::scaffold::write`] does the same), a
//! [`Registry`] has the plugins, and an [`Engine`] is a project with its state. An engine is cheap to clone, may be used
//! from any task, and shares its state with other processes that have the same project open.
//!
//! # Quick start
//!
//! ```no_run
//! use std::sync::Arc;
//! use outflow::{Engine, PlanOptions, Registry, RegistryOptions, RunOptions, Status};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let plugins = Registry::new(RegistryOptions {
//!     // Besides these: `bundled: outflow_first_party::plugins()`.
//!     folders: vec!["fleet/plugins".into()],
//!     ..RegistryOptions::default()
//! })?;
//! let engine = Engine::builder("fleet", Arc::new(plugins)).build()?;
//!
//! // What a run would do. Sends nothing and changes nothing.
//! let plan = engine.plan("aircraft-to-crm", PlanOptions::default()).await?;
//! println!("{} to add, {} to remove", plan.counts.planned.added, plan.counts.planned.removed);
//!
//! let report = engine.run("aircraft-to-crm", RunOptions::default()).wait().await?;
//! if report.status != Status::Success {
//!     eprintln!("{}: {}", report.status.as_str(), report.message.unwrap_or_default());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A run that has begun ends in a [`Report`], whatever comes: an [`Error`] says that it did not begin. What is wrong in a
//! project's files is in both as data, with file, line and field.
//!
//! # Progress, and an end before the end
//!
//! [`Engine::run`] needs a Tokio runtime, on which the run goes on whether or not anybody waits for it. Its
//! [events](RunHandle::events) say how far it is; a watcher that is too slow loses some and slows nothing down. Its
//! [`Control`] ends it in good order: nothing more is sent, what is in flight is waited for and recorded.
//!
//! ```no_run
//! # async fn example(engine: outflow::Engine) -> Result<(), outflow::Error> {
//! use outflow::{Event, RunOptions};
//!
//! let mut run = engine.run("aircraft-to-crm", RunOptions::default());
//! let (mut events, control) = (run.events(), run.control());
//! let mut ended = std::pin::pin!(run.wait());
//! let report = loop {
//!     tokio::select! {
//!         report = &mut ended => break report?,
//!         event = events.recv() => if let Ok(Event::Delivered { attempted, planned, .. }) = event {
//!             println!("{attempted} of {planned}");
//!         },
//!         _ = tokio::signal::ctrl_c() => control.cancel(),
//!     }
//! };
//! # drop(report);
//! # Ok(())
//! # }
//! ```
//!
//! # Schedules
//!
//! ```no_run
//! # async fn example(engine: outflow::Engine, stop: tokio::sync::oneshot::Receiver<()>) -> Result<(), outflow::Error> {
//! // Until `stop` comes: then runs under way are cancelled and recorded, and what they were to do waits for the next server.
//! engine.serve(async { drop(stop.await) }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is known of runs
//!
//! [`Engine::syncs`], [`Engine::runs`], [`Engine::rejected`], [`Engine::history`] and [`Engine::diff`] read what is kept, at
//! any time and beside any run; [`EngineBuilder::build_to_look`] opens for that alone, also a project with mistakes in its
//! files. [`Engine::explain`] says of one row what became of it, and what the next run does about it.
//!
//! [`Engine`] says when a run happens and remembers that it did; what a sync means is the core's. Log messages go to
//! `tracing`. `examples/embed` in the repository is a whole program.
//!
//! # DuckDB
//!
//! A program links the library in the folder that `DUCKDB_LIB_DIR` names; `cargo xtask setup` in the repository fetches it.
//! With the feature `bundled` DuckDB is compiled in instead, which takes half an hour on two cores. That build lacks DuckDB's
//! extension ICU, which every sync needs: put `icu.duckdb_extension` of DuckDB's version into a folder that
//! [`EngineBuilder::extensions`] names, or run `INSTALL icu` in DuckDB once. So it is with extensions for sources: SQLite,
//! PostgreSQL, MySQL and object storage.

mod ahead;
pub mod catalog;
mod claims;
mod edit;
mod engine;
mod error;
mod renamed;
mod run;
mod serve;
mod syncs;
mod why;

pub use ahead::PlanOptions;
pub use edit::Forgotten;
pub use engine::{Engine, EngineBuilder};
pub use error::Error;
pub use outflow_core::destination::{self, Plugins};
pub use outflow_core::ledger::{Arrival, Released, Resolved};
pub use outflow_core::plan::Sample;
pub use outflow_core::record::{self, Differences, Record};
pub use outflow_core::report::{Control, Counts, Event, Report, Split, Stage, Status, Stopped};
pub use outflow_core::run::explain::{Entry, Held, Next, Step};
pub use outflow_core::run::{Preview, PreviewOptions};
pub use outflow_core::{operation, outcome, project};
pub use outflow_plugin::{Bundled, Found, HostError, Limits, Registry, RegistryOptions};
pub use run::{RunHandle, RunOptions};
pub use syncs::{Listed, Tick};
pub use why::{Explanation, Past};
