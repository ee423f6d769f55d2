//! A destination in memory that accepts everything, and can be held in the middle of a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use outflow::destination::{
    Counting, Description, Destination, Effect, Equality, Limits, OpenError, Plugins, Settings, Target,
};
use outflow::operation::{Kind, Operation};
use outflow::outcome::{Failure, Outcome};
use tokio::sync::watch;

/// All clones are one.
#[derive(Clone)]
pub struct Memory {
    batches: Arc<AtomicUsize>,
    begun: watch::Sender<usize>,
    held: watch::Sender<bool>,
    mute: watch::Sender<bool>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            batches: Arc::default(),
            begun: watch::channel(0).0,
            held: watch::channel(false).0,
            mute: watch::channel(false).0,
        }
    }
}

impl Memory {
    pub fn batches(&self) -> usize {
        self.batches.load(Ordering::SeqCst)
    }

    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// From now on it answers no check and shows no requests, or does again.
    pub fn mute(&self, mute: bool) {
        self.mute.send_replace(mute);
    }

    pub async fn wait_for_batch(&self) {
        self.begun.subscribe().wait_for(|begun| *begun > 0).await.unwrap();
    }
}

impl Memory {
    async fn unmuted(&self) {
        let _ = self.mute.subscribe().wait_for(|mute| !mute).await;
    }
}

#[async_trait]
impl Plugins for Memory {
    async fn describe(&self, _: &str) -> Result<Description, OpenError> {
        Ok(Description {
            name: "memory".into(),
            version: "1.0.0".into(),
            summary: "Accepts everything.".into(),
            config_schema: serde_json::json!({"type": "object"}),
            example: String::new(),
            kinds: Kind::ALL.to_vec(),
            secrets: Vec::new(),
        })
    }

    async fn fingerprint(&self, _: &str) -> Result<String, OpenError> {
        Ok("0".into())
    }

    async fn open(&self, _: &str, _: Settings) -> Result<Box<dyn Destination>, OpenError> {
        let limits = Limits {
            records: 100,
            bytes: 1 << 20,
            concurrency: 1,
            mixed: false,
            all_or_nothing: false,
        };
        let target = Target {
            kinds: Kind::ALL.to_vec(),
            limits,
            counting: Counting::Batch,
            equality: Equality::Exact,
            whole: false,
            idempotent: true,
            previous: false,
            matching: false,
            finish: false,
            folder: false,
            identity: "crm".into(),
        };
        Ok(Box::new(Opened {
            memory: self.clone(),
            target,
        }))
    }
}

struct Opened {
    memory: Memory,
    target: Target,
}

#[async_trait]
impl Destination for Opened {
    fn target(&self) -> &Target {
        &self.target
    }

    async fn check(&self) -> Result<Option<String>, Failure> {
        self.memory.unmuted().await;
        Ok(None)
    }

    async fn check_offline(&self) -> Option<String> {
        None
    }

    async fn write(&self, batch: &[Operation]) -> Result<Vec<Outcome>, Failure> {
        self.memory.batches.fetch_add(1, Ordering::SeqCst);
        self.memory.begun.send_modify(|begun| *begun += 1);
        let _ = self.memory.held.subscribe().wait_for(|held| !held).await;
        Ok(batch.iter().map(|_| Outcome::Accepted { id: None }).collect())
    }

    async fn preview(&self, _: &[Operation]) -> Result<Vec<Effect>, Failure> {
        self.memory.unmuted().await;
        Ok(Vec::new())
    }

    async fn finish(&self) -> Result<(), Failure> {
        Ok(())
    }

    async fn abort(&self) {}
}
