//! `http`: any JSON API. A webhook, and a resource whose batch answers name their records:
//!
//! ```json
//! { "base_url": "https://api.example.com", "headers": { "authorization": "Bearer {secret.token}" },
//!   "check": { "path": "/me", "account": "/name" },
//!   "upsert": { "method": "POST", "path": "/contacts/batch", "batch": 100,
//!     "body": { "inputs": { "$each": { "id": { "$match": true }, "properties": { "$record": true } } } },
//!     "results": { "records": "/results", "match": "/properties/email", "id": "/id",
//!                  "errors": "/errors", "error_match": "/context/ids", "message": "/message" } },
//!   "delete": { "method": "DELETE", "path": "/contacts/{match}", "not_found": [404] } }
//! ```

mod address;
mod body;
mod check;
mod config;
mod opening;
mod results;
mod route;
mod send;
mod template;
#[cfg(test)]
mod tests;

use address::Address;
use check::Probe;
use config::Config;
use opening::Opened;
use outflow_plugin_sdk::*;
use route::Route;

/// How many records one `write` holds where each has a request of its own.
const SINGLE_RECORDS: u32 = 50;

/// The opened destination.
pub struct Http {
    routes: Vec<Route>,
    probe: Option<Probe>,
}

impl Destination for Http {
    type Config = Config;

    fn describe() -> Description {
        Description {
            name: "http".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Sends records to any JSON API over HTTP".into(),
            config_schema: config::SCHEMA.into(),
            example: include_str!("example.yml").into(),
            secrets: vec![],
            kinds: Kinds::all(),
            abilities: Abilities::empty(),
        }
    }

    fn open(config: Config, settings: Settings) -> Result<(Self, Target), Vec<Problem>> {
        let concurrency = config.concurrency.max(1);
        let Opened { routes, probe, address } = opening::open(config, &settings)?;
        let batches = routes.iter().map(|route| route.batch).filter(|batch| *batch > 1);
        let target = Target {
            kinds: routes
                .iter()
                .fold(Kinds::empty(), |kinds, route| kinds | flag(route.kind)),
            limits: Limits {
                // A `write` of a batching kind is one request, so that a refused one can be split by the host.
                records: batches.min().unwrap_or(SINGLE_RECORDS),
                bytes: 4 << 20,
                concurrency,
                mixed: false,
                all_or_nothing: true,
            },
            counting: Counting::Batch,
            equality: Equality::Exact,
            whole: false,
            idempotent: routes
                .iter()
                .any(|route| route.kind == Kind::Insert && route.idempotency_header.is_some()),
            previous: false,
            matching: routes.iter().any(Route::matching),
            folder: false,
            identity: identity(&address, &routes),
            origins: vec![address.origin],
        };
        Ok((Http { routes, probe }, target))
    }

    async fn check(&self, ctx: &Ctx) -> Result<Option<String>, Failure> {
        match &self.probe {
            Some(probe) => probe.ask(ctx).await,
            None => Ok(None),
        }
    }

    async fn write(&self, ctx: &Ctx, batch: &[Operation]) -> Result<Vec<Outcome>, Failure> {
        let Some(first) = batch.first() else {
            return Ok(vec![]);
        };
        let Some(route) = self.routes.iter().find(|route| route.kind == first.kind) else {
            return Err(Failure::Fatal(format!("{:?} is not configured", first.kind)));
        };
        if route.batch > 1 {
            send::batch(ctx, route, batch).await
        } else {
            send::singly(ctx, route, batch).await
        }
    }
}

/// Where the records are: the address, and the path of the action that makes records, the first of these. The paths of
/// others may be added and taken away.
fn identity(address: &Address, routes: &[Route]) -> String {
    let first = [Kind::Upsert, Kind::Insert, Kind::Update, Kind::Delete, Kind::Clear]
        .into_iter()
        .find_map(|kind| routes.iter().find(|route| route.kind == kind));
    let path = first.map_or("", |route| &route.path);
    format!("{}{}{path}", address.origin, address.path)
}

/// The flag of a kind.
fn flag(kind: Kind) -> Kinds {
    match kind {
        Kind::Insert => Kinds::INSERT,
        Kind::Update => Kinds::UPDATE,
        Kind::Upsert => Kinds::UPSERT,
        Kind::Clear => Kinds::CLEAR,
        Kind::Delete => Kinds::DELETE,
    }
}

export!(Http);
