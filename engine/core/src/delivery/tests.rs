use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::*;
use crate::destination::{Effect, Equality, Limits, Target};
use crate::journal::{FORMAT, Header, Reader, Span};
use crate::operation::Kind;
use crate::outcome::Outcome;

mod budget;
mod order;
mod random;

/// How a scripted destination answers one `write`.
type Script = Box<dyn FnMut(&[Operation]) -> Result<Vec<Outcome>, Failure> + Send>;

/// A destination that follows a script, counts, and takes a moment for each batch.
struct Scripted {
    target: Target,
    script: Mutex<Script>,
    batches: Mutex<Vec<Vec<Operation>>>,
    flying: Mutex<(u32, u32)>,
    ended: Mutex<Vec<&'static str>>,
    latency: Duration,
}

impl Scripted {
    fn new(script: impl FnMut(&[Operation]) -> Result<Vec<Outcome>, Failure> + Send + 'static) -> Self {
        Self {
            target: target(),
            script: Mutex::new(Box::new(script)),
            batches: Mutex::default(),
            flying: Mutex::default(),
            ended: Mutex::default(),
            latency: Duration::from_millis(2),
        }
    }

    /// Answers the first batches as listed, and accepts everything after.
    fn first(results: Vec<Result<Vec<Outcome>, Failure>>) -> Self {
        let mut results = VecDeque::from(results);
        Self::new(move |batch| results.pop_front().unwrap_or_else(|| Ok(accepted(batch))))
    }

    fn sizes(&self) -> Vec<usize> {
        self.batches.lock().unwrap().iter().map(Vec::len).collect()
    }

    fn times(&self, ordinal: u64) -> usize {
        self.batches
            .lock()
            .unwrap()
            .iter()
            .flatten()
            .filter(|operation| operation.ordinal == ordinal)
            .count()
    }
}

/// The default budgets with pauses of milliseconds.
fn budgets() -> Budgets {
    Budgets {
        backoff_base: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        wait_max: Duration::from_millis(300),
        waits_total: Duration::from_secs(10),
        grace: Duration::from_secs(5),
        ..Budgets::default()
    }
}

fn target() -> Target {
    Target {
        kinds: Kind::ALL.to_vec(),
        limits: Limits {
            records: 10,
            bytes: 100_000,
            concurrency: 4,
            mixed: false,
            all_or_nothing: false,
        },
        counting: Counting::Batch,
        equality: Equality::Exact,
        whole: false,
        idempotent: false,
        previous: false,
        matching: true,
        finish: false,
        folder: false,
        identity: "crm".into(),
    }
}

fn accepted(batch: &[Operation]) -> Vec<Outcome> {
    batch.iter().map(|_| Outcome::Accepted { id: None }).collect()
}

#[async_trait]
impl Destination for Scripted {
    fn target(&self) -> &Target {
        &self.target
    }
    async fn check(&self) -> Result<Option<String>, Failure> {
        Ok(None)
    }
    async fn check_offline(&self) -> Option<String> {
        None
    }
    async fn write(&self, batch: &[Operation]) -> Result<Vec<Outcome>, Failure> {
        self.batches.lock().unwrap().push(batch.to_vec());
        {
            let mut flying = self.flying.lock().unwrap();
            flying.0 += 1;
            flying.1 = flying.1.max(flying.0);
        }
        tokio::time::sleep(self.latency).await;
        self.flying.lock().unwrap().0 -= 1;
        (self.script.lock().unwrap())(batch)
    }
    async fn preview(&self, _: &[Operation]) -> Result<Vec<Effect>, Failure> {
        Ok(Vec::new())
    }
    async fn finish(&self) -> Result<(), Failure> {
        self.ended.lock().unwrap().push("finish");
        Ok(())
    }
    async fn abort(&self) {
        self.ended.lock().unwrap().push("abort");
    }
}

struct Listed(VecDeque<Planned>);

impl OperationSource for Listed {
    fn read(&mut self, at_most: usize) -> Result<Vec<Planned>, Box<dyn Error + Send + Sync>> {
        let count = at_most.min(self.0.len());
        Ok(self.0.drain(..count).collect())
    }
}

fn plan(kinds: impl IntoIterator<Item = Kind>) -> Vec<Planned> {
    kinds
        .into_iter()
        .zip(0..)
        .map(|(kind, ordinal)| planned(kind, ordinal))
        .collect()
}

fn planned(kind: Kind, ordinal: u64) -> Planned {
    Planned {
        change: if kind.is_removal() {
            Change::Removed
        } else {
            Change::Added
        },
        operation: Operation {
            ordinal,
            kind,
            key: format!("{{\"id\":{ordinal}}}").into(),
            match_value: ordinal.to_string().into(),
            id: None,
            fields: "{\"a\":1}".into(),
            previous: None,
            idempotency_key: format!("key-{ordinal}").into(),
        },
    }
}

/// A folder whose syncs cost nothing, where the machine has one.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// What the journal says at last, per ordinal.
#[derive(Debug, PartialEq, Eq, Clone)]
enum Word {
    Attempted,
    Accepted,
    Aborted,
    Other(State),
}

struct Outcomes {
    delivered: Delivered,
    words: BTreeMap<u64, Word>,
    finished: bool,
}

impl Outcomes {
    fn rejected(&self) -> Vec<u64> {
        let is = |word: &Word| matches!(word, Word::Other(State::Rejected(_)));
        self.words
            .iter()
            .filter(|(_, word)| is(word))
            .map(|(ordinal, _)| *ordinal)
            .collect()
    }
}

async fn run(destination: &Scripted, plan: Vec<Planned>) -> Outcomes {
    run_with(destination, plan, budgets(), None, &Control::default()).await
}

async fn run_with(
    destination: &Scripted,
    plan: Vec<Planned>,
    budgets: Budgets,
    rejected_max: Option<Threshold>,
    control: &Control,
) -> Outcomes {
    let folder = folder();
    let path = folder.path().join("journal");
    let mut planned = Split::default();
    for operation in &plan {
        *planned.of(operation.change) += 1;
    }
    let header = Header {
        format: FORMAT,
        incarnation: "i".into(),
        run: 1,
        sequence: 1,
        operations: plan.len() as u64,
        counting: destination.target.counting,
    };
    let journal = Journal::create(&path, &header).unwrap();
    let delivery = Delivery {
        destination,
        journal: &journal,
        control,
        budgets,
        planned,
        rejected_max,
    };
    let delivered = deliver(Listed(plan.into()), delivery).await;
    drop(journal);

    let mut words = BTreeMap::new();
    let mut finished = false;
    let mut reader = Reader::open(&path).unwrap().unwrap();
    let every = |spans: &[Span]| spans.iter().flat_map(|span| span.0..=span.1).collect::<Vec<_>>();
    while let Some(entry) = reader.next_entry().unwrap() {
        match entry {
            Entry::Attempt { spans } => words.extend(every(&spans).into_iter().map(|at| (at, Word::Attempted))),
            Entry::Outcomes {
                accepted,
                aborted,
                others,
            } => {
                words.extend(every(&accepted).into_iter().map(|at| (at, Word::Accepted)));
                words.extend(every(&aborted).into_iter().map(|at| (at, Word::Aborted)));
                words.extend(others.into_iter().map(|(at, state)| (at, Word::Other(state))));
            }
            Entry::Finished => finished = true,
        }
    }
    check_sums(&delivered.counts, planned, &words);
    Outcomes {
        delivered,
        words,
        finished,
    }
}

/// Rule 33, and that counts and journal say the same.
fn check_sums(counts: &Counts, planned: Split, words: &BTreeMap<u64, Word>) {
    for change in Change::ALL {
        let of = |mut split: Split| *split.of(change);
        assert_eq!(
            of(planned),
            of(counts.attempted) + of(counts.aborted),
            "planned {change:?}"
        );
        assert_eq!(
            of(counts.attempted),
            of(counts.succeeded) + of(counts.rejected) + of(counts.unmatched) + of(counts.unknown),
            "attempted {change:?}"
        );
    }
    let rejected = words
        .values()
        .filter(|word| matches!(word, Word::Other(State::Rejected(_))))
        .count();
    assert_eq!(counts.rejected.total(), rejected as u64);
    let aborted = words.values().filter(|word| **word == Word::Aborted).count() as u64;
    let never = planned.total() - words.len() as u64;
    assert_eq!(counts.aborted.total(), aborted + never, "aborted or never attempted");
}

fn refused() -> Failure {
    Failure::Refused(Rejection {
        code: "BAD".into(),
        message: "bad record".into(),
        field: None,
    })
}

fn one_rejected() -> Outcome {
    Outcome::Rejected(Rejection {
        code: "BAD".into(),
        message: "bad record".into(),
        field: None,
    })
}
