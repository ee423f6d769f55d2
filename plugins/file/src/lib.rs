//! `file`: JSON Lines or CSV in the folder that the destination's file grants.
//!
//! ```json
//! { "mode": "mirror", "format": "csv", "path": "aircraft.csv" }
//! { "mode": "changes", "format": "jsonl", "path": "{sync}/{date}-{run}.jsonl", "previous": true }
//! ```
//!
//! A run writes to a `.part` file. It gets its final name when the run finishes, so that a reader sees the old file or the
//! new one, never half of one; records count from then on. All runs of a sync have the same `.part`, and begin by removing
//! what one that was killed has left: a run begins with `check`, before its first batch.

mod config;
mod line;
#[cfg(test)]
mod tests;

use config::{Config, Format, Mode};
use outflow_plugin_sdk::*;

/// The opened destination.
pub struct File {
    config: Config,
    columns: Vec<String>,
    /// Where the run's records end up.
    path: String,
    /// Where they are until the run finishes.
    part: String,
    /// Whether there is a run, whose part this is.
    running: bool,
}

impl Destination for File {
    type Config = Config;

    fn describe() -> Description {
        Description {
            name: "file".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Writes JSON Lines or CSV: a mirror of the model, or a log of each run's changes".into(),
            config_schema: config::SCHEMA.into(),
            example: include_str!("example.yml").into(),
            secrets: vec![],
            kinds: Kinds::all(),
            abilities: Abilities::FINISH,
        }
    }

    fn open(config: Config, settings: Settings) -> Result<(Self, Target), Vec<Problem>> {
        config.check().map_err(|problem| vec![problem])?;
        if settings.object.is_some() {
            return Err(vec![Problem::object(
                "the plugin `file` has no objects: leave the field out; what is written where is said by the destination's `path`",
            )]);
        }
        let sync = settings.sync.as_str();
        let path = config
            .path_of(sync, settings.run.as_ref())
            .map_err(|problem| vec![problem])?;
        let mirror = config.mode == Mode::Mirror;
        let target = Target {
            kinds: if mirror { Kinds::UPSERT } else { Kinds::all() },
            limits: Limits {
                records: 10_000,
                bytes: 4 << 20,
                concurrency: 1,
                mixed: true,
                all_or_nothing: true,
            },
            counting: Counting::Finish,
            equality: Equality::Exact,
            whole: mirror,
            idempotent: false,
            previous: config.previous,
            matching: false,
            folder: true,
            identity: config.place(sync),
            origins: vec![],
        };
        let file = File {
            part: config.part_of(sync),
            running: settings.run.is_some(),
            columns: settings.fields.into_iter().map(|field| field.name).collect(),
            config,
            path,
        };
        Ok((file, target))
    }

    async fn check(&self, ctx: &Ctx) -> Result<Option<String>, Failure> {
        if self.running {
            ctx.remove(&self.part).await?;
        }
        Ok(None)
    }

    async fn write(&self, ctx: &Ctx, batch: &[Operation]) -> Result<Vec<Outcome>, Failure> {
        let mut data = String::new();
        for operation in batch {
            if self.config.mode == Mode::Mirror && operation.kind != Kind::Upsert {
                return Err(Failure::Fatal(format!(
                    "a mirror takes upserts only, not {:?}",
                    operation.kind
                )));
            }
            match (self.config.format, self.config.mode) {
                (Format::Jsonl, Mode::Mirror) => data.push_str(&operation.fields),
                (Format::Jsonl, Mode::Changes) => line::change(&mut data, operation, self.config.previous),
                (Format::Csv, mode) => line::csv(&mut data, operation, mode, &self.columns)
                    .map_err(|error| Failure::Fatal(format!("a record is no JSON object: {error}")))?,
            }
            data.push('\n');
        }
        self.append(ctx, data, Covers::Batch).await?;
        Ok(vec![Outcome::Accepted(None); batch.len()])
    }

    async fn finish(&self, ctx: &Ctx) -> Result<(), Failure> {
        // A run without a record must leave a file too: an empty mirror is an empty file.
        self.append(ctx, String::new(), Covers::Nothing).await?;
        match self.config.mode {
            Mode::Mirror => ctx.rename(&self.part, &self.path).await,
            Mode::Changes => ctx.rename_new(&self.part, &self.path).await.map_err(|failure| match failure {
                Failure::Fatal(_) => Failure::Fatal(format!(
                    "there is a change log `{}` already, and a change log is never replaced; it may be of a run with this number before the state folder was lost: move it away, or choose another `path`",
                    self.path
                )),
                failure => failure,
            }),
        }
    }

    async fn abort(&self, ctx: &Ctx) -> Result<(), Failure> {
        ctx.remove(&self.part).await
    }
}

impl File {
    async fn append(&self, ctx: &Ctx, data: String, covers: Covers) -> Result<(), Failure> {
        let preamble = match self.config.format {
            Format::Csv => line::header(self.config.mode, &self.columns).into_bytes(),
            Format::Jsonl => Vec::new(),
        };
        ctx.append(Append {
            path: self.part.clone(),
            preamble,
            data: data.into_bytes(),
            covers,
        })
        .await
    }
}

export!(File);
