//! An opened destination: runs tasks from start to end, between the instance and the world.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use outflow_core::destination::{Destination, Effect, OpenError, Settings, Target};
use outflow_core::operation::Operation;
use outflow_core::outcome::{Failure, Outcome};
use tokio::sync::Semaphore;

use crate::component::Plugin;
use crate::contract::types::{Abilities, Answer, Step};
use crate::contract::{Work, v0_1};
use crate::effect::egress::Egress;
use crate::effect::file::Folder;
use crate::effect::http::Http;
use crate::effect::secret::Secrets;
use crate::effect::{Performed, Performer};
use crate::instance::{Instance, Refusal, Stop, Task, check};
use crate::limits::Limits;

/// A destination with its plugin open.
pub(crate) struct Opened {
    plugin: String,
    target: Target,
    instance: Instance,
    performer: Performer,
    secrets: Arc<Secrets>,
    tasks: Semaphore,
    limits: Limits,
}

impl Opened {
    /// Reads the secrets, and opens the plugin with the settings. Sends nothing.
    pub(crate) async fn open(
        plugin: Plugin,
        settings: Settings,
        tls: rustls::ClientConfig,
        limits: Limits,
    ) -> Result<Self, OpenError> {
        let name = plugin.name.clone();
        let failed = |message: String| OpenError::Plugin {
            name: name.clone(),
            message,
        };
        if plugin.abilities.contains(Abilities::POLL) {
            return Err(failed(
                "it answers later (`poll`), which this version of Outflow does not have yet".into(),
            ));
        }
        check_secrets(&plugin, &settings)?;
        let refused = |field: &str, message: String| OpenError::Grant {
            field: field.to_owned(),
            message,
        };
        let egress = Egress::new(&settings.grants.hosts).map_err(|message| refused("allow", message))?;
        let secrets = Secrets::read(&settings.grants.secrets, &settings.grants.base)
            .await
            .map_err(|(field, message)| OpenError::Grant { field, message })?;
        let secrets = Arc::new(secrets);
        let http = Http::new(egress, Arc::clone(&secrets), tls, &limits).map_err(failed)?;
        let performer = Performer::new(
            http,
            Folder::new(settings.grants.folder.clone()),
            Arc::clone(&secrets),
            &limits,
        );
        let abilities = plugin.abilities;
        let given = v0_1::settings(&settings, secrets.placeholders());
        let (bound, masks) = (limits.clone(), Arc::clone(&secrets));
        let opened = tokio::task::spawn_blocking(move || Instance::open(plugin, given, masks, bound))
            .await
            .map_err(|error| failed(error.to_string()))?;
        let (instance, target) = opened.map_err(|refusal| match refusal {
            Refusal::Failed(message) => failed(secrets.mask(message)),
            Refusal::Problems(problems) => {
                let problem = |problem| v0_1::problem(problem, &|text| secrets.mask(text));
                OpenError::Settings(problems.into_iter().map(problem).collect())
            }
        })?;
        performer
            .check_origins(&target.origins)
            .map_err(|message| refused("allow", message))?;
        let mut target = v0_1::target(&target, abilities).map_err(failed)?;
        target.identity = secrets.mask(target.identity);
        if target.folder {
            target.identity = settings.grants.place(&target.identity).ok_or_else(|| {
                let message = format!("the plugin `{name}` writes files and needs a folder that it may write to");
                refused("folder", message)
            })?;
        }
        let most = u32::try_from(limits.tasks_open_max).unwrap_or(u32::MAX);
        target.limits.concurrency = target.limits.concurrency.min(most);
        let tasks = Semaphore::new(limits.tasks_open_max);
        Ok(Self {
            plugin: name,
            target,
            instance,
            performer,
            secrets,
            tasks,
            limits,
        })
    }

    /// Runs a task to its end.
    async fn run(&self, work: Work) -> Result<Answer, Failure> {
        // The semaphore is never closed.
        let _open = self
            .tasks
            .acquire()
            .await
            .map_err(|error| Failure::Fatal(error.to_string()))?;
        let mut task = self.instance.task(work, now_ms());
        let mut sent = false;
        for _ in 0..self.limits.steps_max {
            let effects = match self.step(&mut task, sent).await? {
                Step::Perform(effects) => effects,
                Step::Done(answer) => return Ok(answer),
                Step::Failed(failure) => {
                    return Err(v0_1::failure(failure, sent, &|text| self.secrets.mask(text)));
                }
            };
            let asked = v0_1::digest(&effects);
            let Performed { results, sent: applied } = self.performer.perform(effects).await;
            sent |= applied;
            task.told(asked, now_ms(), results);
        }
        Err(self.overstepped(&format!("it did not end within {} steps", self.limits.steps_max), sent))
    }

    async fn step(&self, task: &mut Task, sent: bool) -> Result<Step, Failure> {
        let step = task.advance().await.map_err(|stop| match stop {
            Stop::Trapped(message) => self.overstepped(&message, sent),
            Stop::Dead(message) if sent => Failure::Broken(self.about(&format!("failed: {message}"))),
            Stop::Dead(message) => Failure::Fatal(self.about(&format!("failed: {message}"))),
            Stop::Diverged => self.broken(
                "asked for something else when a task was replayed; a plugin may depend on nothing but its input",
            ),
        })?;
        check(&step, &self.limits).map_err(|message| self.overstepped(&message, sent))?;
        Ok(step)
    }

    fn overstepped(&self, message: &str, sent: bool) -> Failure {
        Failure::Trapped {
            message: self.about(message),
            sent,
        }
    }

    fn broken(&self, message: &str) -> Failure {
        Failure::Broken(self.about(message))
    }

    fn about(&self, message: &str) -> String {
        self.secrets.mask(format!("the plugin `{}`: {message}", self.plugin))
    }

    fn outcomes(&self, answer: Answer, expected: usize) -> Result<Vec<Outcome>, Failure> {
        let Answer::Written(outcomes) = answer else {
            return Err(self.broken("answered a write with something else"));
        };
        if outcomes.len() != expected {
            let message = format!("gave {} outcomes for {expected} operations", outcomes.len());
            return Err(self.broken(&message));
        }
        let mask = |text| self.secrets.mask(text);
        outcomes
            .into_iter()
            .map(|outcome| v0_1::outcome(outcome, &mask))
            .collect::<Result<_, _>>()
            .map_err(|message| self.broken(&message))
    }
}

#[async_trait]
impl Destination for Opened {
    fn target(&self) -> &Target {
        &self.target
    }

    async fn check(&self) -> Result<Option<String>, Failure> {
        match self.run(Work::Check).await? {
            Answer::Checked(account) => Ok(account.map(|account| self.secrets.mask(account))),
            _ => Err(self.broken("answered a check with something else")),
        }
    }

    async fn check_offline(&self) -> Option<String> {
        let mut task = self.instance.task(Work::Check, now_ms());
        match task.advance().await {
            Ok(Step::Done(Answer::Checked(account))) => account.map(|account| self.secrets.mask(account)),
            _ => None,
        }
    }

    async fn write(&self, batch: &[Operation]) -> Result<Vec<Outcome>, Failure> {
        let answer = self.run(Work::Write(batch.to_vec())).await?;
        self.outcomes(answer, batch.len())
    }

    async fn preview(&self, batch: &[Operation]) -> Result<Vec<Effect>, Failure> {
        let mut task = self.instance.task(Work::Write(batch.to_vec()), now_ms());
        match self.step(&mut task, false).await? {
            Step::Perform(effects) => self.performer.show(effects).map_err(Failure::Fatal),
            Step::Done(_) => Ok(Vec::new()),
            Step::Failed(failure) => Err(v0_1::failure(failure, false, &|text| self.secrets.mask(text))),
        }
    }

    async fn finish(&self) -> Result<(), Failure> {
        if !self.target.finish {
            return Ok(());
        }
        match self.run(Work::Finish).await? {
            Answer::Finished => Ok(()),
            _ => Err(self.broken("answered `finish` with something else")),
        }
    }

    async fn abort(&self) {
        if !self.target.finish {
            return;
        }
        if let Err(failure) = self.run(Work::Abort).await {
            tracing::warn!(target: "plugin", plugin = self.plugin, "`abort` failed: {failure}");
        }
    }
}

fn check_secrets(plugin: &Plugin, settings: &Settings) -> Result<(), OpenError> {
    let needs = &plugin.description.secrets;
    let granted = &settings.grants.secrets;
    if let Some(missing) = needs
        .iter()
        .find(|need| need.required && !granted.contains_key(&need.name))
    {
        return Err(of_secrets(format!(
            "the plugin `{}` needs the secret `{}` ({}): add it to `secrets` in the destination's file",
            plugin.name, missing.name, missing.description
        )));
    }
    let foreign = granted
        .keys()
        .find(|name| !needs.is_empty() && needs.iter().all(|need| &need.name != *name));
    match foreign {
        None => Ok(()),
        Some(name) => Err(of_secrets(format!(
            "the plugin `{}` has no use for the secret `{name}`; it knows {}",
            plugin.name,
            needs
                .iter()
                .map(|need| format!("`{}`", need.name))
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

fn of_secrets(message: String) -> OpenError {
    OpenError::Grant {
        field: "secrets".to_owned(),
        message,
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
