//! A host program that embeds Outflow: it plans a sync, runs it with its progress shown, and lists what comes next.
//!
//! `embed PROJECT SYNC`, with plugins from the project's `plugins/` and those that come with Outflow. Ctrl-C stops the run in
//! good order.

use std::env::args;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use outflow::{Engine, Event, PlanOptions, Registry, RegistryOptions, RunOptions};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let project = PathBuf::from(args().nth(1).context("usage: embed PROJECT SYNC")?);
    let sync = args().nth(2).context("usage: embed PROJECT SYNC")?;
    let plugins = Registry::new(RegistryOptions {
        folders: vec![project.join("plugins")],
        bundled: outflow_first_party::plugins(),
        ..RegistryOptions::default()
    })?;
    let engine = Engine::builder(project, Arc::new(plugins)).build()?;

    let plan = engine.plan(&sync, PlanOptions::default()).await?;
    let changes = plan.counts.changes;
    println!(
        "to do: {} added, {} changed, {} removed",
        changes.added, changes.changed, changes.removed
    );

    let mut run = engine.run(&sync, RunOptions::default());
    let (mut events, control) = (run.events(), run.control());
    let mut ended = std::pin::pin!(run.wait());
    let report = loop {
        tokio::select! {
            report = &mut ended => break report?,
            event = events.recv() => match event {
                Ok(Event::Stage { stage }) => println!("{stage:?}"),
                Ok(Event::Delivered { attempted, planned, .. }) => println!("{attempted} of {planned}"),
                Ok(Event::Waiting { reason, .. }) => println!("waiting: {reason}"),
                // The rest is not shown, and a watcher that was too slow goes on with what comes next.
                _ => {}
            },
            _ = tokio::signal::ctrl_c() => control.cancel(),
        }
    };
    println!(
        "{}: {} accepted",
        report.status.as_str(),
        report.counts.succeeded.total()
    );
    if let Some(message) = &report.message {
        println!("{message}");
    }

    for tick in engine.schedule(3, SystemTime::now().into())? {
        println!("{} runs next at {:?}", tick.sync, tick.at);
    }
    Ok(())
}
