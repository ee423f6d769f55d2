//! How a task asks the host for effects.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use crate::{Append, Effect, EffectResult, Failure, HttpError, Moment, Rename, Request, Response, http};

/// What passes between a task and the runtime.
#[derive(Default)]
pub(crate) struct Mailbox {
    pub(crate) effects: RefCell<Option<Vec<Effect>>>,
    pub(crate) results: RefCell<Option<Vec<EffectResult>>>,
    pub(crate) now: Cell<u64>,
    seed: Cell<u64>,
}

/// A task's only way to the world. Await one method at a time; effects that may run side by side go into one call.
#[derive(Clone)]
pub struct Ctx(pub(crate) Rc<Mailbox>);

impl Ctx {
    pub(crate) fn new(moment: Moment) -> Ctx {
        let mailbox = Mailbox::default();
        mailbox.now.set(moment.now);
        mailbox.seed.set(moment.seed);
        Ctx(Rc::new(mailbox))
    }

    /// Performs effects side by side; their results in the same order.
    pub async fn perform(&self, effects: Vec<Effect>) -> Vec<EffectResult> {
        if effects.is_empty() {
            return Vec::new();
        }
        self.0.effects.replace(Some(effects));
        poll_fn(|_| match self.0.results.take() {
            Some(results) => Poll::Ready(results),
            None => Poll::Pending,
        })
        .await
    }

    /// Sends a request. An answer of any status is an answer: `ctx.http(request).await?.ok()?` wants success.
    ///
    /// # Errors
    /// Where there is no answer, the failure that the contract has for it.
    pub async fn http(&self, request: Request) -> Result<Response, Failure> {
        let mut answers = self.http_all(vec![request]).await?;
        match answers.pop() {
            Some(answer) => answer.map_err(Failure::from),
            None => Err(unexpected()),
        }
    }

    /// Sends requests side by side; their answers in the same order.
    ///
    /// # Errors
    /// Only where the host breaks the contract; each request has its own result.
    pub async fn http_all(&self, requests: Vec<Request>) -> Result<Vec<Result<Response, HttpError>>, Failure> {
        let count = requests.len();
        let results = self.perform(requests.into_iter().map(Effect::Http).collect()).await;
        if results.len() != count {
            return Err(unexpected());
        }
        let answer = |result| match result {
            EffectResult::Http(response) => Ok(Ok(http::dated(response, self.now()))),
            EffectResult::HttpFailed(error) => Ok(Err(error)),
            _ => Err(unexpected()),
        };
        results.into_iter().map(answer).collect()
    }

    /// Appends to a file in the granted folder.
    ///
    /// # Errors
    /// `transient` where the host could not: then nothing changed.
    pub async fn append(&self, append: Append) -> Result<(), Failure> {
        self.file(Effect::Append(append)).await
    }

    /// Makes a file durable and gives it its final name, replacing what is there in one step.
    ///
    /// # Errors
    /// `transient` where the host could not: then nothing changed.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), Failure> {
        self.file(Effect::Rename(Rename {
            from: from.into(),
            to: to.into(),
            replace: true,
        }))
        .await
    }

    /// Makes a file durable and gives it its final name, replacing nothing.
    ///
    /// # Errors
    /// `fatal` where a file has that name, `transient` where the host could not: then nothing changed.
    pub async fn rename_new(&self, from: &str, to: &str) -> Result<(), Failure> {
        self.file(Effect::Rename(Rename {
            from: from.into(),
            to: to.into(),
            replace: false,
        }))
        .await
    }

    /// Removes a file; one that is not there is no failure.
    ///
    /// # Errors
    /// `transient` where the host could not.
    pub async fn remove(&self, path: &str) -> Result<(), Failure> {
        self.file(Effect::Remove(path.into())).await
    }

    async fn file(&self, effect: Effect) -> Result<(), Failure> {
        match self.perform(vec![effect]).await.pop() {
            Some(EffectResult::Filed) => Ok(()),
            Some(EffectResult::FileFailed(why)) => Err(Failure::Transient(why)),
            Some(EffectResult::FileExists) => Err(Failure::Fatal("a file is there that must not be replaced".into())),
            _ => Err(unexpected()),
        }
    }

    /// Waits for so many milliseconds.
    pub async fn wait(&self, ms: u32) {
        self.perform(vec![Effect::Wait(ms)]).await;
    }

    /// Milliseconds since 1970 (UTC), as of the task's latest step.
    pub fn now(&self) -> u64 {
        self.0.now.get()
    }

    /// The next random number of this task (SplitMix64); a replayed task sees the same numbers.
    pub fn random(&self) -> u64 {
        let state = self.0.seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.seed.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn unexpected() -> Failure {
    Failure::Fatal("the host answered with results that do not match the effects".into())
}
