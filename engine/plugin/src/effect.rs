//! Performs what plugins ask for, under the policy of the destination's file.

pub(crate) mod egress;
pub(crate) mod file;
pub(crate) mod http;
pub(crate) mod secret;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use futures::StreamExt as _;
use outflow_core::destination::Effect as Shown;

use crate::contract::types::{Body, Effect, EffectResult, Request};
use crate::limits::Limits;
use file::{Filed, Folder};
use http::Http;
use secret::Secrets;

/// Performs the effects of one opened destination.
pub(crate) struct Performer {
    http: Http,
    folder: Folder,
    secrets: Arc<Secrets>,
    under_way_max: usize,
}

/// What came of a step's effects.
pub(crate) struct Performed {
    /// The results, in the effects' order.
    pub results: Vec<EffectResult>,
    /// Whether one of them may have changed something in the world.
    pub sent: bool,
}

impl Performer {
    pub(crate) fn new(http: Http, folder: Folder, secrets: Arc<Secrets>, limits: &Limits) -> Self {
        Self {
            http,
            folder,
            secrets,
            under_way_max: limits.effects_under_way_max,
        }
    }

    /// Whether requests may go to all of these. Fails with what is not granted.
    pub(crate) fn check_origins(&self, origins: &[String]) -> Result<(), String> {
        origins.iter().try_for_each(|origin| self.http.check_origin(origin))
    }

    /// Performs all of them, several at a time; file effects one after another in their order.
    pub(crate) async fn perform(&self, effects: Vec<Effect>) -> Performed {
        let mut sent = false;
        let mut results = Vec::with_capacity(effects.len());
        let mut under_way = futures::stream::iter(effects)
            .map(|effect| self.one(effect))
            .buffered(self.under_way_max);
        while let Some((result, may_have_applied)) = under_way.next().await {
            sent |= may_have_applied;
            results.push(result);
        }
        Performed { results, sent }
    }

    async fn one(&self, effect: Effect) -> (EffectResult, bool) {
        let done = |filed: Result<Filed, String>| match filed {
            Ok(Filed::Done) => (EffectResult::Filed, true),
            Ok(Filed::Exists) => (EffectResult::FileExists, false),
            Err(message) => (EffectResult::FileFailed(message), false),
        };
        match effect {
            Effect::Http(request) => {
                let (answer, sent) = self.http.send(request).await;
                (answer.map_or_else(EffectResult::HttpFailed, EffectResult::Http), sent)
            }
            Effect::Wait(ms) => {
                tokio::time::sleep(Duration::from_millis(ms.into())).await;
                (EffectResult::Waited, false)
            }
            Effect::Append(append) => done(self.folder.append(append).await),
            Effect::Rename(rename) => done(self.folder.rename(rename).await),
            Effect::Remove(path) => done(self.folder.remove(path).await),
        }
    }

    /// The effects as people see them, secrets by name. Fails where the policy would refuse one.
    pub(crate) fn show(&self, effects: Vec<Effect>) -> Result<Vec<Shown>, String> {
        effects.into_iter().map(|effect| self.show_one(effect)).collect()
    }

    fn show_one(&self, effect: Effect) -> Result<Shown, String> {
        let mask = |text| self.secrets.mask(text);
        Ok(match effect {
            Effect::Http(request) => {
                self.http.check(&request).map_err(mask)?;
                let Request {
                    method,
                    url,
                    headers,
                    body,
                    ..
                } = request;
                Shown::Http {
                    method,
                    url: mask(url),
                    headers: headers.into_iter().map(|(name, value)| (name, mask(value))).collect(),
                    body: match body {
                        Body::Empty => String::new(),
                        Body::Text(text) => mask(text),
                        Body::Bytes(bytes) => mask(shown_bytes(bytes)),
                    },
                }
            }
            Effect::Append(append) => {
                self.folder.check(&append.path)?;
                Shown::Append {
                    path: append.path,
                    preamble: mask(shown_bytes(append.preamble)),
                    data: mask(shown_bytes(append.data)),
                }
            }
            Effect::Rename(rename) => {
                self.folder.check(&rename.from)?;
                self.folder.check(&rename.to)?;
                Shown::Rename {
                    from: rename.from,
                    to: rename.to,
                    replace: rename.replace,
                }
            }
            Effect::Remove(path) => {
                self.folder.check(&path)?;
                Shown::Remove { path }
            }
            Effect::Wait(ms) => Shown::Wait { ms },
        })
    }
}

fn shown_bytes(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| base64::engine::general_purpose::STANDARD.encode(error.as_bytes()))
}
