//! From HTTP to the failures of the contract.
//!
//! A failure says what may have happened, and it says `uncertain` where that is in doubt: an insert that is repeated
//! because its first attempt was taken for lost makes a second record.

use crate::{Failure, HttpError, RateLimit, Rejection, Response};

/// How much of an answer's body a message quotes.
const BODY_CHARS_MAX: usize = 500;

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Failure {
        match error {
            HttpError::Denied(why) | HttpError::Invalid(why) => Failure::Fatal(why),
            HttpError::Unreachable(why) => Failure::Transient(why),
            HttpError::Timeout => Failure::Uncertain("no answer in time".into()),
            HttpError::Interrupted(why) => Failure::Uncertain(why),
            HttpError::TooLarge => Failure::Uncertain("the answer is too large".into()),
        }
    }
}

impl Response {
    /// The failure of a write that got this answer, its status being none that the plugin takes for success.
    pub fn failure(&self) -> Failure {
        let status = self.status;
        let message = self.told();
        let wait_ms = self.retry_after_ms();
        match status {
            401 => Failure::Unauthorized(message),
            413 => Failure::TooLarge(message),
            429 => Failure::RateLimited(RateLimit { wait_ms, message }),
            // With a wait it is said by who turned the request away; without, by anybody on the way back as well.
            503 if wait_ms.is_some() => Failure::RateLimited(RateLimit { wait_ms, message }),
            // By RFC 8470 a server that answers 425 has not processed the request.
            425 => Failure::Transient(message),
            // Services answer 408 also where a request that they had read took them too long.
            408 | 500..=599 => Failure::Uncertain(message),
            // A success that the plugin does not take for one, partial (207) for example.
            200..=299 => Failure::Uncertain(message),
            // Among them 403: it is one record, or all, that these credentials may not write; the host finds out which.
            400..=499 => Failure::Refused(Rejection {
                code: status.to_string(),
                message,
                field: None,
            }),
            _ => Failure::Fatal(message),
        }
    }

    /// Status and the beginning of the body, for people.
    pub fn told(&self) -> String {
        let text: String = String::from_utf8_lossy(&self.body)
            .chars()
            .take(BODY_CHARS_MAX)
            .collect();
        match text.trim() {
            "" => format!("HTTP {}", self.status),
            text => format!("HTTP {}: {text}", self.status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, retry_after: Option<&str>) -> Failure {
        let header = retry_after.map(|value| ("retry-after".to_owned(), value.to_owned()));
        let response = Response {
            status,
            headers: header.into_iter().collect(),
            body: b"why".to_vec(),
        };
        response.failure()
    }

    fn word(failure: &Failure) -> &'static str {
        match failure {
            Failure::Transient(_) => "transient",
            Failure::Uncertain(_) => "uncertain",
            Failure::RateLimited(_) => "rate-limited",
            Failure::TooLarge(_) => "too-large",
            Failure::Refused(_) => "refused",
            Failure::Unauthorized(_) => "unauthorized",
            Failure::Fatal(_) => "fatal",
        }
    }

    #[test]
    fn rule_26_each_status_has_its_failure() {
        for (statuses, expected) in [
            (&[400, 402, 403, 404, 405, 409, 410, 414, 422, 451][..], "refused"),
            (&[401], "unauthorized"),
            (&[413], "too-large"),
            (&[429], "rate-limited"),
            (&[425], "transient"),
            (&[408, 500, 501, 502, 503, 504, 507, 520, 599], "uncertain"),
            (&[200, 202, 207], "uncertain"),
            (&[100, 301, 302, 303, 304, 600], "fatal"),
        ] {
            for status in statuses {
                assert_eq!(word(&failure(*status, None)), expected, "{status}");
            }
        }
    }

    #[test]
    fn rule_26_a_server_that_says_when_to_come_back_has_applied_nothing() {
        for status in [429, 503] {
            let Failure::RateLimited(limit) = failure(status, Some("7")) else {
                panic!("{status} with a wait is a limit")
            };
            assert_eq!(
                (limit.wait_ms, limit.message),
                (Some(7_000), format!("HTTP {status}: why"))
            );
        }
        assert_eq!(word(&failure(503, Some("later"))), "uncertain");
        assert_eq!(word(&failure(500, Some("7"))), "uncertain");
    }

    #[test]
    fn rule_03_only_what_certainly_was_not_sent_is_no_doubt() {
        for (error, expected) in [
            (HttpError::Denied("d".into()), "fatal"),
            (HttpError::Invalid("i".into()), "fatal"),
            (HttpError::Unreachable("u".into()), "transient"),
            (HttpError::Timeout, "uncertain"),
            (HttpError::Interrupted("r".into()), "uncertain"),
            (HttpError::TooLarge, "uncertain"),
        ] {
            assert_eq!(word(&Failure::from(error)), expected);
        }
    }

    #[test]
    fn a_refusal_names_status_and_answer() {
        let Failure::Refused(rejection) = failure(422, None) else {
            panic!("422 is a refusal")
        };
        assert_eq!(
            (rejection.code.as_str(), rejection.message.as_str()),
            ("422", "HTTP 422: why")
        );
    }
}
