//! The guest's side: one instance of a plugin on a thread of its own, with many tasks open in it.
//!
//! A task is its work, its moments and the results so far. So when an instance dies, the next call makes a fresh one,
//! and each open task is replayed into it before it goes on: the same calls with the same results, no effect performed
//! twice. A task that asks for something else on the way has broken the contract.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;
use wasmtime::Store;

use crate::component::{Exports, Guest, Plugin, trap};
use crate::contract::types::{Effect, EffectResult, Moment, Settings, Step, Target};
use crate::contract::{Work, types, v0_1};
use crate::effect::secret::Secrets;
use crate::limits::Limits;

/// How many calls an instance serves at least before it is replaced for its memory: replaying costs too.
const CALLS_BEFORE_RENEWAL: u64 = 256;

/// A handle to the thread that an opened destination's plugin runs on. The thread ends with the handle and its tasks.
pub(crate) struct Instance {
    commands: mpsc::Sender<Command>,
    next: AtomicU32,
}

/// A task in the plugin. Dropped before its end, it is forgotten there too.
pub(crate) struct Task {
    state: Option<State>,
    commands: mpsc::Sender<Command>,
}

struct State {
    id: u32,
    moment: Moment,
    work: Work,
    history: Vec<Exchange>,
    /// Which instance has it open, and how much of the history that one has been told. 0 is none.
    generation: u64,
    told: usize,
}

/// Effects that a task asked for, and what came of them.
struct Exchange {
    asked: u128,
    now: u64,
    results: Vec<EffectResult>,
}

/// Why a task cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The plugin trapped or overran a limit in this task.
    Trapped(String),
    /// It asked for other effects than the first time.
    Diverged,
    /// No further instance can be made.
    Dead(String),
}

/// Why a destination cannot be opened.
pub(crate) enum Refusal {
    Problems(Vec<types::Problem>),
    Failed(String),
}

enum Command {
    Advance(Box<State>, oneshot::Sender<(Box<State>, Result<Step, Stop>)>),
    Forget { id: u32, generation: u64 },
}

impl Instance {
    /// Starts the thread and the first instance on it, and opens that. Blocks for as long as the plugin takes.
    pub(crate) fn open(
        plugin: Plugin,
        settings: Settings,
        secrets: Arc<Secrets>,
        limits: Limits,
    ) -> Result<(Self, Target), Refusal> {
        let (commands, received) = mpsc::channel();
        let (told, opened) = mpsc::channel();
        let mut runner = Runner {
            plugin,
            settings,
            secrets,
            limits,
            live: None,
            generation: 0,
            target: None,
        };
        std::thread::Builder::new()
            .name(format!("plugin-{}", runner.plugin.name))
            .spawn(move || {
                let first = runner.renew();
                let fine = first.is_ok();
                if told.send(first).is_ok() && fine {
                    runner.serve(&received);
                }
            })
            .map_err(|error| Refusal::Failed(format!("no thread for it: {error}")))?;
        let target = opened
            .recv()
            .map_err(|_| Refusal::Failed("its thread ended".into()))??;
        Ok((
            Self {
                commands,
                next: AtomicU32::new(1),
            },
            target,
        ))
    }

    /// A new task, not started yet.
    pub(crate) fn task(&self, work: Work, now: u64) -> Task {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let moment = Moment {
            now,
            seed: rand::random(),
        };
        let state = State {
            id,
            moment,
            work,
            history: Vec::new(),
            generation: 0,
            told: 0,
        };
        Task {
            state: Some(state),
            commands: self.commands.clone(),
        }
    }
}

impl Task {
    /// Starts the task, or goes on with what [`Task::told`] has added.
    pub(crate) async fn advance(&mut self) -> Result<Step, Stop> {
        let gone = || Stop::Dead("the plugin's thread ended".into());
        let state = self.state.take().ok_or_else(gone)?;
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(Command::Advance(Box::new(state), reply))
            .map_err(|_| gone())?;
        let (state, step) = answer.await.map_err(|_| gone())?;
        if matches!(step, Ok(Step::Perform(_))) {
            self.state = Some(*state);
        }
        step
    }

    /// Adds what came of the effects that it asked for last.
    pub(crate) fn told(&mut self, asked: u128, now: u64, results: Vec<EffectResult>) {
        if let Some(state) = &mut self.state {
            state.history.push(Exchange { asked, now, results });
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(State { id, generation, .. }) = self.state {
            // A thread that is gone has nothing to forget.
            let _ = self.commands.send(Command::Forget { id, generation });
        }
    }
}

/// The thread's own.
struct Runner {
    plugin: Plugin,
    settings: Settings,
    secrets: Arc<Secrets>,
    limits: Limits,
    live: Option<Live>,
    generation: u64,
    /// What the first instance said that it can do.
    target: Option<String>,
}

struct Live {
    store: Store<Guest>,
    exports: Exports,
    calls: u64,
}

impl Runner {
    fn serve(&mut self, commands: &mpsc::Receiver<Command>) {
        while let Ok(command) = commands.recv() {
            match command {
                Command::Advance(mut state, reply) => {
                    let step = self.advance(&mut state);
                    if let Err(returned) = reply.send((state, step)) {
                        // Nobody waits for it any more.
                        let (state, _) = returned;
                        self.forget(state.id, state.generation);
                    }
                }
                Command::Forget { id, generation } => self.forget(id, generation),
            }
            self.renew_if_large();
        }
    }

    fn advance(&mut self, state: &mut State) -> Result<Step, Stop> {
        if self.live.is_none() {
            self.renew().map_err(|refusal| {
                Stop::Dead(match refusal {
                    Refusal::Failed(message) => message,
                    Refusal::Problems(_) => "it now refuses settings that it took before".into(),
                })
            })?;
        }
        let mut step = if state.generation == self.generation {
            self.resume(state)?
        } else {
            (state.generation, state.told) = (self.generation, 0);
            let (id, moment, work) = (state.id, state.moment, &state.work);
            self.call(!state.history.is_empty(), |exports, store| {
                v0_1::start(&exports.start, store, id, moment, work)
            })?
        };
        while let Some(exchange) = state.history.get(state.told) {
            match &step {
                Step::Perform(effects) if v0_1::digest(effects) == exchange.asked => step = self.resume(state)?,
                Step::Perform(_) => {
                    self.forget(state.id, state.generation);
                    return Err(Stop::Diverged);
                }
                Step::Done(_) | Step::Failed(_) => return Err(Stop::Diverged),
            }
        }
        Ok(step)
    }

    /// Tells a task the next results of its history.
    fn resume(&mut self, state: &mut State) -> Result<Step, Stop> {
        let Some(exchange) = state.history.get(state.told) else {
            return Err(Stop::Diverged);
        };
        state.told += 1;
        let id = state.id;
        self.call(state.told < state.history.len(), |exports, store| {
            exports
                .bindings
                .outflow_destination_plugin()
                .call_resume(store, id, exchange.now, &exchange.results)
        })
    }

    /// One call into the instance, which does not survive a trap.
    fn call<R>(
        &mut self,
        muted: bool,
        call: impl FnOnce(&Exports, &mut Store<Guest>) -> wasmtime::Result<R>,
    ) -> Result<R, Stop> {
        let Some(live) = &mut self.live else {
            return Err(Stop::Dead("there is no instance".into()));
        };
        live.calls += 1;
        live.store.data_mut().journal.muted = muted;
        live.store.data_mut().journal.last_error = None;
        live.store.set_epoch_deadline(self.limits.call_epochs());
        let error = match call(&live.exports, &mut live.store) {
            Ok(returned) => return Ok(returned),
            Err(error) => error,
        };
        let message = trap(&error, live.store.data(), &self.limits);
        self.live = None;
        Err(Stop::Trapped(message))
    }

    fn forget(&mut self, id: u32, generation: u64) {
        if generation == self.generation && self.live.is_some() {
            // A trap here costs the instance, which `call` has seen to, and no task of its own.
            let _ = self.call(false, |exports, store| {
                exports.bindings.outflow_destination_plugin().call_cancel(store, id)
            });
        }
    }

    /// Makes a fresh instance and opens it.
    fn renew(&mut self) -> Result<Target, Refusal> {
        let secrets = Arc::clone(&self.secrets);
        let mask = Box::new(move |text| secrets.mask(text));
        let (store, exports) = self.plugin.instantiate(&self.limits, mask).map_err(Refusal::Failed)?;
        self.live = Some(Live {
            store,
            exports,
            calls: 0,
        });
        self.generation += 1;
        let failed = |stop: Stop, what: &str| match stop {
            Stop::Trapped(message) | Stop::Dead(message) => Refusal::Failed(format!("`{what}` failed: {message}")),
            Stop::Diverged => Refusal::Failed(format!("`{what}` failed")),
        };
        let again = self.target.is_some();
        self.call(again, |exports, store| {
            exports.bindings.outflow_destination_plugin().call_describe(store)
        })
        .map_err(|stop| failed(stop, "describe"))?;
        let settings = self.settings.clone();
        let opened = self
            .call(again, |exports, store| {
                exports
                    .bindings
                    .outflow_destination_plugin()
                    .call_open(store, &settings)
            })
            .map_err(|stop| failed(stop, "open"))?;
        let target = opened.map_err(|problems| {
            self.live = None;
            Refusal::Problems(problems)
        })?;
        let said = format!("{target:?}");
        if self.target.get_or_insert_with(|| said.clone()) != &said {
            self.live = None;
            return Err(Refusal::Failed(
                "a second instance says that it can do something else than the first".into(),
            ));
        }
        Ok(target)
    }

    fn renew_if_large(&mut self) {
        let large = self.live.as_ref().is_some_and(|live| {
            live.calls >= CALLS_BEFORE_RENEWAL
                && live.store.data().meter.memory_bytes() > self.limits.memory_bytes_renew
        });
        if large {
            self.live = None;
        }
    }
}

/// Whether a step keeps to the limits; says what it oversteps.
pub(crate) fn check(step: &Step, limits: &Limits) -> Result<(), String> {
    let Step::Perform(effects) = step else {
        return Ok(());
    };
    if effects.is_empty() {
        return Err("it asked for nothing, and did not end".into());
    }
    if effects.len() > limits.effects_max {
        return Err(format!(
            "it asked for {} effects at once; the most is {}",
            effects.len(),
            limits.effects_max
        ));
    }
    for effect in effects {
        if let Effect::Wait(ms) = effect
            && *ms > limits.wait_ms_max
        {
            return Err(format!(
                "it asked for a wait of {ms} ms; the longest is {}",
                limits.wait_ms_max
            ));
        }
    }
    Ok(())
}
