//! Drives a destination in native tests, the test being its host.

use crate::{Destination, EffectResult, Moment, Problem, Response, Runtime, Settings, Step, Target, Work};

/// An opened destination with one task at a time.
pub struct Driver<D> {
    runtime: Runtime<D>,
    /// What the destination said it can do.
    pub target: Target,
}

impl<D: Destination> Driver<D> {
    /// Opens a destination.
    ///
    /// # Errors
    /// What is wrong in the settings.
    pub fn open(settings: Settings) -> Result<Driver<D>, Vec<Problem>> {
        let mut runtime = Runtime::default();
        let target = runtime.open(settings)?;
        Ok(Driver { runtime, target })
    }

    /// Settings with this config and nothing else.
    pub fn settings(config: &str) -> Settings {
        let config = config.into();
        Settings {
            config,
            object: None,
            fields: vec![],
            match_field: None,
            secrets: vec![],
            run: None,
        }
    }

    /// Begins a task.
    pub fn start(&mut self, work: Work) -> Step {
        self.runtime.start(0, Moment { now: 0, seed: 0 }, work)
    }

    /// Goes on with the task.
    pub fn resume(&mut self, results: Vec<EffectResult>) -> Step {
        self.runtime.resume(0, 0, results)
    }

    /// Answers the task's only request.
    pub fn answer(&mut self, status: u16, body: &str) -> Step {
        let response = Response {
            status,
            headers: vec![],
            body: body.as_bytes().to_vec(),
        };
        self.resume(vec![EffectResult::Http(response)])
    }
}
