//! Outflow embedded: open a project, plan and run its syncs, keep their schedules, follow their progress.
//!
//! ```no_run
//! # async fn example(plugins: std::sync::Arc<dyn outflow::Plugins>) -> Result<(), outflow::Error> {
//! let engine = outflow::Engine::builder("fleet", plugins).build()?;
//! let run = engine.run("aircraft-to-crm", outflow::RunOptions::default());
//! println!("{:?}", run.wait().await?.status);
//! # Ok(())
//! # }
//! ```
//!
//! [`Engine`] says when a run happens and remembers that it did; what a sync means is the core's.

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
pub use outflow_core::record::{self, Differences, Record};
pub use outflow_core::report::{Control, Counts, Event, Report, Split, Stage, Status};
pub use outflow_core::run::explain::{Entry, Held, Next, Step};
pub use outflow_core::run::{Preview, PreviewOptions};
pub use outflow_core::{operation, outcome, project};
pub use outflow_plugin::{Bundled, Found, HostError, Limits, Registry, RegistryOptions};
pub use run::{RunHandle, RunOptions};
pub use syncs::{Listed, Tick, listed};
pub use why::{Explanation, Past};
