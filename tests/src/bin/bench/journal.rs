//! What it costs to keep attempts and outcomes: CPU per thousand outcomes, and durable writes per batch.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use outflow_core::destination::Counting;
use outflow_core::journal::{Entry, FORMAT, Header, Journal, Span, State};

use crate::process::own_cpu;
use crate::table::Measure;

const BATCHES: u64 = 4_000;
const BATCH: u64 = 1_000;
const IN_FLIGHT: u64 = 16;

/// Two kinds of outcomes: the commonest, and the largest.
pub fn measure(folder: &Path) -> Result<Vec<Measure>> {
    println!("{BATCHES} batches of {BATCH} operations, {IN_FLIGHT} in flight");
    std::fs::create_dir_all(folder)?;
    let (mut most_cpu, mut most_writes) = (0.0_f64, 0.0_f64);
    for (name, id) in [("all accepted", false), ("each with an id of the destination's", true)] {
        let header = Header {
            format: FORMAT,
            incarnation: "benchmark".to_owned(),
            run: 1,
            sequence: 1,
            operations: BATCHES * BATCH,
            counting: Counting::Batch,
        };
        let journal = Arc::new(Journal::create(&folder.join(format!("{id}")), &header)?);
        let before = own_cpu()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let workers = (0..IN_FLIGHT).map(|worker| {
                let journal = Arc::clone(&journal);
                tokio::spawn(async move {
                    for batch in (worker..BATCHES).step_by(usize::try_from(IN_FLIGHT)?) {
                        let span = Span(batch * BATCH, (batch + 1) * BATCH - 1);
                        journal.append(Entry::Attempt { spans: vec![span] }).await?;
                        let others = (span.0..=span.1).filter(|_| id).map(|ordinal| {
                            let id = format!("{ordinal:018}");
                            (ordinal, State::Accepted { id })
                        });
                        let outcomes = Entry::Outcomes {
                            accepted: if id { Vec::new() } else { vec![span] },
                            aborted: Vec::new(),
                            others: others.collect(),
                        };
                        journal.append(outcomes).await?;
                    }
                    anyhow::Ok(())
                })
            });
            for worker in futures::future::join_all(workers).await {
                worker??;
            }
            anyhow::Ok(())
        })?;
        let cpu = (own_cpu()? - before) * 1e6 / (BATCHES * BATCH) as f64;
        let writes = journal.durable_writes() as f64 / BATCHES as f64;
        println!("{name:<34} {cpu:>6.3} CPU ms per 1,000 outcomes, {writes:.2} durable writes per batch");
        (most_cpu, most_writes) = (most_cpu.max(cpu), most_writes.max(writes));
    }
    Ok(vec![
        Measure::new("CPU of journaling, per 1,000 outcomes", most_cpu, "ms", 0.5, 0.1),
        Measure::new(
            "durable writes per 1,000-record batch at 16 in flight",
            most_writes,
            "",
            1.0,
            0.25,
        ),
    ])
}
