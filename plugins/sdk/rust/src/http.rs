//! Requests written, and answers read, in one line each.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;

use crate::{Body, Covers, Failure, Request, Response};

/// The first instant that an HTTP date cannot tell: the year 10000, in milliseconds.
const DATE_MS_END: u64 = 253_402_300_800_000;

impl Request {
    /// A request without headers and body, that carries the whole batch.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Request {
        Request {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Body::Empty,
            covers: Covers::Batch,
            timeout_ms: None,
        }
    }

    /// A `GET`, that carries no operation.
    pub fn get(url: impl Into<String>) -> Request {
        Request::new("GET", url).covers(Covers::Nothing)
    }

    /// A `POST` of the whole batch.
    pub fn post(url: impl Into<String>) -> Request {
        Request::new("POST", url)
    }

    /// With a further header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Request {
        self.headers.push((name.to_lowercase(), value.into()));
        self
    }

    /// With a body that is JSON text.
    #[must_use]
    pub fn json(self, text: impl Into<String>) -> Request {
        let mut request = self.header("content-type", "application/json");
        request.body = Body::Text(text.into());
        request
    }

    /// Says which operations it carries.
    #[must_use]
    pub fn covers(mut self, covers: Covers) -> Request {
        self.covers = covers;
        self
    }
}

impl Response {
    /// The first header of that name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    /// Itself, where its status is one of success (2xx).
    ///
    /// # Errors
    /// [`Response::failure`] of any other.
    pub fn ok(self) -> Result<Response, Failure> {
        match self.status {
            200..=299 => Ok(self),
            _ => Err(self.failure()),
        }
    }

    /// Its body, read as JSON.
    ///
    /// # Errors
    /// `uncertain` where it is something else: an answer that cannot be read does not say what was done.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::Uncertain(format!("the answer cannot be read: {error}")))
    }

    /// How long `Retry-After` asks to wait, in milliseconds. A date counts from the answer's own `Date`, so that clocks
    /// need not agree; one that is past is no wait. Nonsense is none at all.
    pub fn retry_after_ms(&self) -> Option<u32> {
        let value = self.header("retry-after")?.trim();
        let wait_ms = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            value
                .parse::<u64>()
                .map_or(u64::MAX, |seconds| seconds.saturating_mul(1_000))
        } else {
            let until = httpdate::parse_http_date(value).ok()?;
            let now = httpdate::parse_http_date(self.header("date")?.trim()).ok()?;
            let wait = until.duration_since(now).unwrap_or_default();
            u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
        };
        Some(u32::try_from(wait_ms).unwrap_or(u32::MAX))
    }
}

/// The answer with the time of its reception as its `Date`, if it has none: what RFC 9110 (6.6.1) asks of recipients.
pub(crate) fn dated(mut response: Response, now_ms: u64) -> Response {
    let date: Option<SystemTime> = UNIX_EPOCH.checked_add(Duration::from_millis(now_ms));
    if let (None, true, Some(date)) = (response.header("date"), now_ms < DATE_MS_END, date) {
        response.headers.push(("date".into(), httpdate::fmt_http_date(date)));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&str, &str)]) -> Response {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Response {
            status: 429,
            headers: headers.iter().map(owned).collect(),
            body: vec![],
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_nonsense_is_nothing() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (value, wait_ms) in [
            ("120", Some(120_000)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(120_000)),
            ("Sunday, 06-Nov-94 08:49:38 GMT", Some(1_000)),
            ("Sun Nov  6 08:49:38 1994", Some(1_000)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("99999999999999999999999", Some(u32::MAX)),
            ("5000000", Some(u32::MAX)),
            ("Sat, 06 Nov 2094 08:49:37 GMT", Some(u32::MAX)),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let response = response(&[date, ("retry-after", value)]);
            assert_eq!(response.retry_after_ms(), wait_ms, "{value}");
        }
        assert_eq!(response(&[date]).retry_after_ms(), None);
    }

    #[test]
    fn without_a_date_the_answer_has_the_time_of_its_reception() {
        let until = ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(response(&[until]).retry_after_ms(), None);
        let received = dated(response(&[until]), 784_111_747_000);
        assert_eq!(received.retry_after_ms(), Some(30_000));
        let own = dated(
            response(&[until, ("date", "Sun, 06 Nov 1994 08:49:36 GMT")]),
            784_111_747_000,
        );
        assert_eq!(own.retry_after_ms(), Some(1_000));
        assert_eq!(dated(response(&[]), u64::MAX).header("date"), None);
    }
}
