//! From HTTP to the failures of the contract.

use crate::{Failure, HttpError, RateLimit, Rejection, Response};

/// The failure of a request without an answer.
pub fn http_failure(error: HttpError) -> Failure {
    match error {
        HttpError::Denied(why) | HttpError::Invalid(why) => Failure::Fatal(why),
        HttpError::Unreachable(why) => Failure::Transient(why),
        HttpError::Timeout => Failure::Uncertain("no answer in time".into()),
        HttpError::Interrupted(why) => Failure::Uncertain(why),
        HttpError::TooLarge => Failure::Uncertain("the answer is too large".into()),
    }
}

/// The failure of a write that was answered with a status other than success.
pub fn status_failure(response: &Response) -> Failure {
    let status = response.status;
    let text: String = String::from_utf8_lossy(&response.body).chars().take(500).collect();
    let message = format!("HTTP {status}: {text}");
    let wait_ms = retry_after_ms(response);
    match status {
        401 => Failure::Unauthorized(message),
        413 => Failure::TooLarge(message),
        429 => Failure::RateLimited(RateLimit { wait_ms, message }),
        503 if wait_ms.is_some() => Failure::RateLimited(RateLimit { wait_ms, message }),
        408 | 425 => Failure::Transient(message),
        500..=599 => Failure::Uncertain(message),
        400..=499 => Failure::Refused(Rejection {
            code: status.to_string(),
            message,
            field: None,
        }),
        _ => Failure::Fatal(message),
    }
}

/// `Retry-After` in seconds, as milliseconds. A date is left to the host's own back-off.
fn retry_after_ms(response: &Response) -> Option<u32> {
    let (_, value) = response.headers.iter().find(|(name, _)| name == "retry-after")?;
    value.trim().parse::<u32>().ok()?.checked_mul(1000)
}
