//! `http`: any JSON API. A webhook, and a resource whose batch answers name their records:
//!
//! ```json
//! { "base_url": "https://api.example.com", "headers": { "authorization": "Bearer {secret.token}" },
//!   "upsert": { "method": "POST", "path": "/contacts/batch", "batch": 100,
//!     "body": { "inputs": { "$each": { "id": { "$match": true }, "properties": { "$record": true } } } },
//!     "results": { "records": "/results", "match": "/properties/email", "id": "/id",
//!                  "errors": "/errors", "error_match": "/context/ids", "message": "/message" } },
//!   "delete": { "method": "DELETE", "path": "/contacts/{match}", "not_found": [404] } }
//! ```

mod config;
mod results;
mod template;
#[cfg(test)]
mod tests;

use config::{Action, Config};
use outflow_plugin_sdk::*;

/// The opened destination.
pub struct Http {
    config: Config,
    secrets: Vec<Secret>,
}

impl Destination for Http {
    type Config = Config;

    fn describe() -> Description {
        Description {
            name: "http".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Sends records to any JSON API over HTTP".into(),
            config_schema: config::SCHEMA.into(),
            secrets: vec![],
            abilities: Abilities::empty(),
        }
    }

    fn open(config: Config, settings: Settings) -> Result<(Self, Target), Vec<Problem>> {
        let problem = |message: String| {
            vec![Problem {
                path: String::new(),
                message,
            }]
        };
        let kinds = config.kinds();
        if kinds.is_empty() {
            return Err(problem(
                "configure at least one of insert, update, upsert, clear, delete".into(),
            ));
        }
        let target = Target {
            kinds,
            limits: Limits {
                records: config.batch_records(),
                bytes: 4 << 20,
                concurrency: config.concurrency.max(1),
                mixed: false,
                all_or_nothing: true,
            },
            counting: Counting::Batch,
            equality: Equality::Exact,
            whole: false,
            idempotent: config
                .insert
                .as_ref()
                // A request of several records carries no single operation's key.
                .is_some_and(|action| action.batch == 1 && action.idempotency_header.is_some()),
            previous: false,
            matching: config.matching(),
        };
        Ok((
            Http {
                config,
                secrets: settings.secrets,
            },
            target,
        ))
    }

    async fn write(&self, ctx: &Ctx, batch: &[Operation]) -> Result<Vec<Outcome>, Failure> {
        let Some(first) = batch.first() else {
            return Ok(vec![]);
        };
        let Some(action) = self.config.action(first.kind) else {
            return Err(Failure::Fatal(format!("{:?} is not configured", first.kind)));
        };
        if action.batch > 1 {
            let request = self.request(action, batch, Covers::Batch)?;
            let response = ctx.http(request).await?;
            return match action.succeeded(response.status) {
                true => results::read(action, batch, &response.body),
                false => Err(response.failure()),
            };
        }
        self.write_singly(ctx, action, batch).await
    }
}

impl Http {
    async fn write_singly(&self, ctx: &Ctx, action: &Action, batch: &[Operation]) -> Result<Vec<Outcome>, Failure> {
        let mut requests = Vec::with_capacity(batch.len());
        for (index, operation) in batch.iter().enumerate() {
            if template::unaddressable(&action.path, operation) {
                continue;
            }
            let covers = Covers::Operations(vec![index as u32]);
            requests.push(self.request(action, std::slice::from_ref(operation), covers)?);
        }
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut unauthorized = None;
        let answers = ctx.http_all(requests).await?;
        if let [Err(HttpError::Denied(why)), ..] = &answers[..]
            && answers.iter().all(|answer| matches!(answer, Err(HttpError::Denied(_))))
        {
            // The policy refuses every request: no record is at fault.
            return Err(Failure::Fatal(why.clone()));
        }
        let mut answers = answers.into_iter();
        for operation in batch {
            if template::unaddressable(&action.path, operation) {
                outcomes.push(Outcome::Rejected(Rejection {
                    code: "unaddressable".into(),
                    message: format!("its match value or id cannot stand in the path `{}`", action.path),
                    field: None,
                }));
                continue;
            }
            let Some(answer) = answers.next() else {
                break; // `http_all` gives an answer per request.
            };
            let failure = match answer {
                Ok(response) if action.succeeded(response.status) => {
                    outcomes.push(Outcome::Accepted(results::id(action, operation, &response.body)));
                    continue;
                }
                Ok(response) if action.missing(operation.kind, response.status) => {
                    outcomes.push(Outcome::NoMatch);
                    continue;
                }
                Ok(response) => response.failure(),
                Err(error) => error.into(),
            };
            outcomes.push(match failure {
                Failure::Refused(rejection) => Outcome::Rejected(rejection),
                Failure::TooLarge(message) => Outcome::Rejected(Rejection {
                    code: "413".into(),
                    message,
                    field: None,
                }),
                Failure::Transient(_) => Outcome::Retry(None),
                Failure::RateLimited(limit) => Outcome::Retry(limit.wait_ms),
                Failure::Uncertain(why) => Outcome::Unknown(why),
                Failure::Unauthorized(_) => {
                    unauthorized = Some(failure);
                    Outcome::Retry(None)
                }
                // Sent, and answered by what is neither success nor refusal: other records keep their outcomes.
                Failure::Fatal(message) => Outcome::Rejected(Rejection {
                    code: "http".into(),
                    message,
                    field: None,
                }),
            });
        }
        match unauthorized {
            // Nothing was applied, so the task may fail as a whole.
            Some(failure) if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Retry(_))) => Err(failure),
            _ => Ok(outcomes),
        }
    }

    fn request(&self, action: &Action, batch: &[Operation], covers: Covers) -> Result<Request, Failure> {
        let fatal = Failure::Fatal;
        let path = template::text(&action.path, batch.first(), &self.secrets, true).map_err(fatal)?;
        let mut headers = Vec::new();
        for (name, value) in self.config.headers.iter().chain(&action.headers) {
            let value = template::text(value, batch.first(), &self.secrets, false).map_err(Failure::Fatal)?;
            headers.push((name.to_lowercase(), value));
        }
        if let (Some(name), [operation]) = (&action.idempotency_header, batch) {
            headers.push((name.to_lowercase(), operation.idempotency_key.clone()));
        }
        let body = match action.body_template() {
            Some(body) => {
                headers.push(("content-type".into(), "application/json".into()));
                Body::Text(template::json(&body, batch, &self.secrets).map_err(Failure::Fatal)?)
            }
            None => Body::Empty,
        };
        let url = format!("{}{path}", self.config.base_url.trim_end_matches('/'));
        Ok(Request {
            method: action.method.clone(),
            url,
            headers,
            body,
            covers,
            timeout_ms: None,
        })
    }
}

export!(Http);
