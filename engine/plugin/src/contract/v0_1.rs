//! Version 0.1 of the contract: the bindings, and the way between them and the core's types.

mod start;

use std::collections::BTreeMap;
use std::time::Duration;

use outflow_core::destination as core;
use outflow_core::operation::Kind;
use outflow_core::outcome::{Failure, Outcome, Rejection};

use bindings::outflow::destination::types;
pub(crate) use start::{Work, start};

/// What `bindgen!` makes of `wit/`.
#[allow(missing_docs, clippy::all, clippy::pedantic, unused_qualifications)]
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "destination",
    });
}

/// The longest name of a place.
const IDENTITY_BYTES_MAX: usize = 4_096;

/// The settings for `open`. `secrets` are names and placeholders.
pub(crate) fn settings(settings: &core::Settings, secrets: BTreeMap<String, String>) -> types::Settings {
    types::Settings {
        config: settings.config.to_string(),
        object: settings.object.clone(),
        fields: settings.fields.iter().map(field).collect(),
        match_field: settings.match_field.clone(),
        secrets: secrets
            .into_iter()
            .map(|(name, placeholder)| types::Secret { name, placeholder })
            .collect(),
        sync: settings.sync.clone(),
        run: settings.run.as_ref().map(|run| types::Run {
            number: run.number,
            started: run.started_ms,
        }),
    }
}

fn field(field: &core::Field) -> types::Field {
    types::Field {
        name: field.name.clone(),
        label: None,
        type_: field_type(field.field_type),
        required: false,
        matchable: false,
        writable: true,
    }
}

const fn field_type(of: core::FieldType) -> types::FieldType {
    match of {
        core::FieldType::Text => types::FieldType::Text,
        core::FieldType::Boolean => types::FieldType::Boolean,
        core::FieldType::Integer => types::FieldType::Integer,
        core::FieldType::Decimal => types::FieldType::Decimal,
        core::FieldType::Float => types::FieldType::Float,
        core::FieldType::Date => types::FieldType::Date,
        core::FieldType::Time => types::FieldType::Time,
        core::FieldType::Datetime => types::FieldType::Datetime,
        core::FieldType::Instant => types::FieldType::Instant,
        core::FieldType::Bytes => types::FieldType::Bytes,
        core::FieldType::Json => types::FieldType::Json,
    }
}

const fn kind(kind: Kind) -> types::Kind {
    match kind {
        Kind::Insert => types::Kind::Insert,
        Kind::Update => types::Kind::Update,
        Kind::Upsert => types::Kind::Upsert,
        Kind::Clear => types::Kind::Clear,
        Kind::Delete => types::Kind::Delete,
    }
}

/// What a plugin says of itself, its abilities apart. Fails with what is wrong.
pub(crate) fn description(description: types::Description) -> Result<(core::Description, types::Abilities), String> {
    let config_schema = serde_json::from_str(&description.config_schema)
        .map_err(|error| format!("its description's `config-schema` is no JSON: {error}"))?;
    let described = core::Description {
        name: description.name,
        version: description.version,
        summary: description.summary,
        config_schema,
        example: description.example,
        kinds: kinds(description.kinds),
        secrets: description
            .secrets
            .into_iter()
            .map(|need| core::SecretNeed {
                name: need.name,
                description: need.description,
                required: need.required,
            })
            .collect(),
    };
    Ok((described, description.abilities))
}

/// What an opened destination can do. Fails with what is wrong.
pub(crate) fn target(target: &types::Target, abilities: types::Abilities) -> Result<core::Target, String> {
    let limits = core::Limits {
        records: target.limits.records,
        bytes: target.limits.bytes,
        concurrency: target.limits.concurrency,
        mixed: target.limits.mixed,
        all_or_nothing: target.limits.all_or_nothing,
    };
    for (name, value) in [
        ("records", limits.records),
        ("bytes", limits.bytes),
        ("concurrency", limits.concurrency),
    ] {
        if value == 0 {
            return Err(format!("its `limits.{name}` is 0; the least is 1"));
        }
    }
    if target.identity.is_empty() || target.identity.len() > IDENTITY_BYTES_MAX {
        return Err(format!(
            "its `identity` has {} bytes; right is 1 to {IDENTITY_BYTES_MAX}",
            target.identity.len()
        ));
    }
    let finish = abilities.contains(types::Abilities::FINISH);
    let counting = match target.counting {
        types::Counting::Batch => core::Counting::Batch,
        types::Counting::Finish if finish => core::Counting::Finish,
        types::Counting::Finish => {
            return Err("its records count at `finish`, but it does not have the ability `finish`".into());
        }
    };
    Ok(core::Target {
        kinds: kinds(target.kinds),
        limits,
        counting,
        equality: match target.equality {
            types::Equality::Exact => core::Equality::Exact,
            types::Equality::Caseless => core::Equality::Caseless,
        },
        whole: target.whole,
        idempotent: target.idempotent,
        previous: target.previous,
        matching: target.matching,
        finish,
        folder: target.folder,
        identity: target.identity.clone(),
    })
}

fn kinds(kinds: types::Kinds) -> Vec<Kind> {
    let flag = |kind: &Kind| match kind {
        Kind::Insert => types::Kinds::INSERT,
        Kind::Update => types::Kinds::UPDATE,
        Kind::Upsert => types::Kinds::UPSERT,
        Kind::Clear => types::Kinds::CLEAR,
        Kind::Delete => types::Kinds::DELETE,
    };
    Kind::ALL
        .into_iter()
        .filter(|kind| kinds.contains(flag(kind)))
        .collect()
}

/// Something that a plugin finds wrong. `mask` takes secrets out of texts.
pub(crate) fn problem(problem: types::Problem, mask: &impl Fn(String) -> String) -> core::Problem {
    core::Problem {
        subject: match problem.subject {
            types::Subject::Config => core::Subject::Config,
            types::Subject::Object => core::Subject::Object,
            types::Subject::Fields => core::Subject::Fields,
            types::Subject::MatchField => core::Subject::MatchField,
        },
        path: problem.path,
        message: mask(problem.message),
    }
}

/// An outcome for the core; fails with what is wrong with it. `mask` takes secrets out of texts.
pub(crate) fn outcome(outcome: types::Outcome, mask: &impl Fn(String) -> String) -> Result<Outcome, String> {
    Ok(match outcome {
        types::Outcome::Accepted(id) => Outcome::Accepted { id: id.map(mask) },
        types::Outcome::Rejected(rejected) => Outcome::Rejected(rejection(rejected, mask)),
        types::Outcome::NoMatch => Outcome::NoMatch,
        types::Outcome::Retry(again) => Outcome::Retry {
            after: again.after_ms.map(milliseconds),
            reason: again.reason.map(mask),
        },
        types::Outcome::Unknown(reason) => Outcome::Unknown { reason: mask(reason) },
        types::Outcome::NotAttempted => Outcome::NotAttempted,
        types::Outcome::Pending(_) => {
            return Err("answered `pending`, which this version of Outflow does not have yet".into());
        }
    })
}

/// A failure in the core's words. `mask` takes secrets out of texts; `sent` says whether an effect that may have applied something had left: then a plugin's
/// "nothing will help" says nothing about what was applied.
pub(crate) fn failure(failure: types::Failure, sent: bool, mask: &impl Fn(String) -> String) -> Failure {
    match failure {
        types::Failure::Transient(message) => Failure::Transient(mask(message)),
        types::Failure::Uncertain(message) => Failure::Uncertain(mask(message)),
        types::Failure::RateLimited(limit) => Failure::RateLimited {
            wait: limit.wait_ms.map(milliseconds),
            message: mask(limit.message),
        },
        types::Failure::TooLarge(message) => Failure::TooLarge(mask(message)),
        types::Failure::Refused(refused) => Failure::Refused(rejection(refused, mask)),
        types::Failure::Unauthorized(message) => Failure::Unauthorized(mask(message)),
        types::Failure::Fatal(message) if sent => Failure::Broken(mask(message)),
        types::Failure::Fatal(message) => Failure::Fatal(mask(message)),
    }
}

fn rejection(rejection: types::Rejection, mask: &impl Fn(String) -> String) -> Rejection {
    Rejection {
        code: mask(rejection.code),
        message: mask(rejection.message),
        field: rejection.field.map(mask),
    }
}

fn milliseconds(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

/// A fingerprint of what a step asks for, to tell whether a replayed task asks for the same.
pub(crate) fn digest(effects: &[types::Effect]) -> u128 {
    let mut hash = Digest(xxhash_rust::xxh3::Xxh3::new());
    hash.number(effects.len());
    for effect in effects {
        match effect {
            types::Effect::Http(request) => {
                hash.number(0);
                hash.bytes(request.method.as_bytes());
                hash.bytes(request.url.as_bytes());
                hash.number(request.headers.len());
                for (name, value) in &request.headers {
                    hash.bytes(name.as_bytes());
                    hash.bytes(value.as_bytes());
                }
                match &request.body {
                    types::Body::Empty => hash.number(0),
                    types::Body::Text(text) => {
                        hash.number(1);
                        hash.bytes(text.as_bytes());
                    }
                    types::Body::Bytes(bytes) => {
                        hash.number(2);
                        hash.bytes(bytes);
                    }
                }
                // Not a time-out's absence by another name: the largest number is none.
                hash.number(request.timeout_ms.map_or(usize::MAX, |ms| ms as usize));
            }
            types::Effect::Append(append) => {
                hash.number(1);
                hash.bytes(append.path.as_bytes());
                hash.bytes(&append.preamble);
                hash.bytes(&append.data);
            }
            types::Effect::Rename(rename) => {
                hash.number(2);
                hash.bytes(rename.from.as_bytes());
                hash.bytes(rename.to.as_bytes());
                hash.number(rename.replace.into());
            }
            types::Effect::Remove(path) => {
                hash.number(3);
                hash.bytes(path.as_bytes());
            }
            types::Effect::Wait(ms) => {
                hash.number(4);
                hash.number(*ms as usize);
            }
        }
    }
    hash.0.digest128()
}

struct Digest(xxhash_rust::xxh3::Xxh3);

impl Digest {
    fn number(&mut self, number: usize) {
        self.0.update(&(number as u64).to_le_bytes());
    }

    // The length first, so that texts side by side cannot run into each other.
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_07_a_target_without_a_place_is_refused() {
        let of = |identity: &str| {
            let limits = types::Limits {
                records: 1,
                bytes: 1,
                concurrency: 1,
                mixed: false,
                all_or_nothing: false,
            };
            let told = types::Target {
                kinds: types::Kinds::UPSERT,
                limits,
                counting: types::Counting::Batch,
                equality: types::Equality::Exact,
                whole: false,
                idempotent: false,
                previous: false,
                matching: false,
                folder: false,
                identity: identity.to_owned(),
                origins: Vec::new(),
            };
            target(&told, types::Abilities::empty())
        };
        assert_eq!(of("here").unwrap().identity, "here");
        for wrong in [String::new(), "x".repeat(IDENTITY_BYTES_MAX + 1)] {
            assert!(of(&wrong).unwrap_err().contains("`identity`"));
        }
    }
}
