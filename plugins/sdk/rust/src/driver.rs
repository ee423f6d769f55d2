//! Drives a destination in native tests, the test being its host.

use crate::{Destination, EffectResult, Moment, Problem, Response, Run, Runtime, Secret, Settings, Step, Target, Work};

/// An opened destination with one task at a time.
pub struct Driver<D> {
    runtime: Runtime<D>,
    /// What the destination said it can do.
    pub target: Target,
    /// The time that tasks are told, in milliseconds since 1970 (UTC).
    pub now: u64,
    /// The random number that the next task begins with.
    pub seed: u64,
}

impl<D: Destination> Driver<D> {
    /// Opens a destination.
    ///
    /// # Errors
    /// What is wrong in the settings.
    pub fn open(settings: Settings) -> Result<Driver<D>, Vec<Problem>> {
        let mut runtime = Runtime::default();
        let target = runtime.open(settings)?;
        Ok(Driver {
            runtime,
            target,
            now: 0,
            seed: 0,
        })
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
            sync: "sync".into(),
            run: None,
        }
    }

    /// Begins a task.
    pub fn start(&mut self, work: Work) -> Step {
        let (now, seed) = (self.now, self.seed);
        self.runtime.start(0, Moment { now, seed }, work)
    }

    /// Goes on with the task.
    pub fn resume(&mut self, results: Vec<EffectResult>) -> Step {
        self.runtime.resume(0, self.now, results)
    }

    /// Answers the task's only request.
    pub fn answer(&mut self, status: u16, body: &str) -> Step {
        self.answer_with(status, &[], body)
    }

    /// Answers the task's only request, with headers: names in lower case, as the host gives them.
    pub fn answer_with(&mut self, status: u16, headers: &[(&str, &str)], body: &str) -> Step {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let response = Response {
            status,
            headers: headers.iter().map(owned).collect(),
            body: body.as_bytes().to_vec(),
        };
        self.resume(vec![EffectResult::Http(response)])
    }
}

impl Settings {
    /// With a granted secret, for tests: the placeholder is `{NAME}`, where a host's is random.
    #[must_use]
    pub fn with_secret(mut self, name: &str) -> Settings {
        self.secrets.push(Secret {
            name: name.into(),
            placeholder: format!("{{{name}}}"),
        });
        self
    }

    /// Of a run with that number, for tests.
    #[must_use]
    pub fn with_run(mut self, number: u64, started: u64) -> Settings {
        self.run = Some(Run { number, started });
        self
    }

    /// The placeholder of a granted secret.
    pub fn secret(&self, name: &str) -> Option<&str> {
        let secret = self.secrets.iter().find(|secret| secret.name == name)?;
        Some(&secret.placeholder)
    }
}
