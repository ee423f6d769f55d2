//! Turns async tasks into the contract's `start` and `resume`.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::config;
use crate::{
    Answer, Ctx, Description, Destination, EffectResult, Failure, Moment, Problem, Settings, Step, Target, Work,
};

struct Task {
    ctx: Ctx,
    future: Pin<Box<dyn Future<Output = Result<Answer, Failure>>>>,
}

/// An opened destination and its open tasks.
pub struct Runtime<D> {
    destination: Option<Rc<D>>,
    tasks: BTreeMap<u32, Task>,
}

impl<D> Default for Runtime<D> {
    fn default() -> Self {
        Runtime {
            destination: None,
            tasks: BTreeMap::new(),
        }
    }
}

impl<D: Destination> Runtime<D> {
    /// What the plugin is.
    pub fn describe() -> Description {
        // A panic in wasm is a bare trap; this says first what went wrong.
        #[cfg(target_arch = "wasm32")]
        std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
        D::describe()
    }

    /// Opens the destination.
    ///
    /// # Errors
    /// What is wrong in the settings.
    pub fn open(&mut self, settings: Settings) -> Result<Target, Vec<Problem>> {
        let config = config::read(&settings.config).map_err(|problem| vec![problem])?;
        let (destination, target) = D::open(config, settings)?;
        self.destination = Some(Rc::new(destination));
        Ok(target)
    }

    /// Begins a task.
    pub fn start(&mut self, id: u32, moment: Moment, work: Work) -> Step {
        let Some(destination) = self.destination.clone() else {
            return Step::Failed(Failure::Fatal("`start` before `open`".into()));
        };
        let ctx = Ctx::new(moment);
        let future = Box::pin(answer(destination, ctx.clone(), work));
        self.advance(id, Task { ctx, future })
    }

    /// Goes on with a task whose effects have been performed.
    pub fn resume(&mut self, id: u32, now: u64, results: Vec<EffectResult>) -> Step {
        let Some(task) = self.tasks.remove(&id) else {
            return Step::Failed(Failure::Fatal(format!("there is no open task {id}")));
        };
        task.ctx.0.now.set(now);
        task.ctx.0.results.replace(Some(results));
        self.advance(id, task)
    }

    /// Forgets a task.
    pub fn cancel(&mut self, id: u32) {
        self.tasks.remove(&id);
    }

    fn advance(&mut self, id: u32, mut task: Task) -> Step {
        match task.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(answer)) => Step::Done(answer),
            Poll::Ready(Err(failure)) => Step::Failed(failure),
            Poll::Pending => match task.ctx.0.effects.take() {
                Some(effects) => {
                    self.tasks.insert(id, task);
                    Step::Perform(effects)
                }
                None => Step::Failed(Failure::Fatal("the plugin awaits something that is no effect".into())),
            },
        }
    }
}

async fn answer<D: Destination>(destination: Rc<D>, ctx: Ctx, work: Work) -> Result<Answer, Failure> {
    match work {
        Work::Check => destination.check(&ctx).await.map(Answer::Checked),
        Work::Objects => destination.objects(&ctx).await.map(Answer::Objects),
        Work::Fields(object) => destination.fields(&ctx, &object).await.map(Answer::Fields),
        Work::Write(batch) => destination.write(&ctx, &batch).await.map(Answer::Written),
        Work::Finish => destination.finish(&ctx).await.map(|()| Answer::Finished),
        Work::Abort => destination.abort(&ctx).await.map(|()| Answer::Aborted),
        Work::Poll(handles) => destination.poll(&ctx, &handles).await.map(Answer::Settled),
        Work::Lookup(values) => destination.lookup(&ctx, &values).await.map(Answer::Found),
    }
}
