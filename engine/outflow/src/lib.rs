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

pub mod catalog;
mod engine;
mod error;
mod renamed;
mod serve;

pub use engine::{Engine, EngineBuilder, PlanOptions, RunHandle, RunOptions, Tick};
pub use error::Error;
pub use outflow_core::destination::{self, Plugins};
pub use outflow_core::record::Record;
pub use outflow_core::report::{Control, Counts, Event, Report, Split, Stage, Status};
pub use outflow_core::run::{Preview, PreviewOptions};
pub use outflow_core::{operation, outcome, project};
pub use outflow_plugin::{Bundled, Found, HostError, Limits, Registry, RegistryOptions};
