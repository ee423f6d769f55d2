//! The connection test: one request whose answer names the account, so that a ledger stays bound to it (rule 7).

use outflow_plugin_sdk::{Ctx, Failure, Request};
use serde_json::Value;

use crate::results::{present, quoted, text};

/// The opened `check` of the config.
pub struct Probe {
    pub request: Request,
    /// Method and path as they are configured, for messages.
    pub shown: String,
    pub account: Option<String>,
}

impl Probe {
    /// Asks, and gives the account where the config says where it is.
    ///
    /// # Errors
    /// `unauthorized` for 401 and 403; `transient` for what may pass, as nothing is changed by asking; else `fatal`.
    pub async fn ask(&self, ctx: &Ctx) -> Result<Option<String>, Failure> {
        let about = |message: String| format!("{}: {message}", self.shown);
        let response = match ctx.http(self.request.clone()).await {
            Ok(response) => response,
            Err(failure) => return Err(harmless(failure, about)),
        };
        match response.status {
            200..=299 => {}
            401 | 403 => return Err(Failure::Unauthorized(about(response.told()))),
            _ => return Err(harmless(response.failure(), about)),
        }
        let Some(pointer) = &self.account else {
            return Ok(None);
        };
        let body: Value = serde_json::from_slice(&response.body)
            .map_err(|error| Failure::Fatal(about(format!("the answer is no JSON: {error}"))))?;
        match present(&body, pointer) {
            Some(account) => Ok(Some(text(account))),
            None => {
                let message = format!("the answer has no account at `{pointer}`: {}", quoted(&body));
                Err(Failure::Fatal(about(message)))
            }
        }
    }
}

/// The failure of a request that writes nothing: there is no doubt, and no record to refuse.
fn harmless(failure: Failure, about: impl Fn(String) -> String) -> Failure {
    match failure {
        Failure::Uncertain(why) | Failure::Transient(why) => Failure::Transient(about(why)),
        Failure::Refused(rejection) => Failure::Fatal(about(rejection.message)),
        Failure::TooLarge(why) | Failure::Fatal(why) => Failure::Fatal(about(why)),
        other => other,
    }
}
