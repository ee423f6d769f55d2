//! HTTP effects: prepared, checked, sent and read under policy, with failures told apart by what may have happened.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, StatusCode, Url, redirect, retry};

use super::egress::{Egress, Forbidden, Resolver};
use super::secret::{Place, Secrets};
use crate::contract::types::{Body, HttpError, Request, Response};
use crate::limits::Limits;

/// Redirects that one request may take.
const REDIRECTS_MAX: usize = 5;
/// Headers that one request may have.
const HEADERS_MAX: usize = 100;
/// What the host says itself, and what belongs to the connection.
const HOST_HEADERS: [&str; 11] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// The HTTP client of one opened destination. Connections are kept and used again.
pub(crate) struct Http {
    client: Client,
    egress: Egress,
    secrets: Arc<Secrets>,
    request_bytes_max: usize,
    response_bytes_max: usize,
    request_ms_max: u64,
}

struct Prepared {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Http {
    /// A client with those grants. An error says why there is none.
    pub(crate) fn new(
        egress: Egress,
        secrets: Arc<Secrets>,
        tls: rustls::ClientConfig,
        limits: &Limits,
    ) -> Result<Self, String> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::new(Resolver))
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .connect_timeout(Duration::from_millis(limits.connect_ms_max))
            .user_agent(concat!("outflow/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("no HTTP client: {}", told(&error)))?;
        Ok(Self {
            client,
            egress,
            secrets,
            request_bytes_max: limits.request_bytes_max,
            response_bytes_max: limits.response_bytes_max,
            request_ms_max: limits.request_ms_max,
        })
    }

    /// Whether the policy lets a request leave, as far as that is known without sending it.
    pub(crate) fn check(&self, request: &Request) -> Result<(), String> {
        let url = Url::parse(&request.url).map_err(|error| format!("`{}` is no URL: {error}", request.url))?;
        self.egress.check(&url)
    }

    /// Whether the policy lets requests go to that origin.
    pub(crate) fn check_origin(&self, origin: &str) -> Result<(), String> {
        let url = Url::parse(origin).map_err(|error| format!("`{origin}` is no origin: {error}"))?;
        self.egress.check(&url)
    }

    /// Sends a request. The second value says whether it may have changed something in the world.
    pub(crate) async fn send(&self, request: Request) -> (Result<Response, HttpError>, bool) {
        let ms = request
            .timeout_ms
            .map_or(self.request_ms_max, |ms| self.request_ms_max.min(ms.into()));
        let prepared = match self.prepare(request) {
            Ok(prepared) => prepared,
            Err(error) => return (Err(self.masked(error)), false),
        };
        let safe = matches!(prepared.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let mut left = false;
        let answer = tokio::time::timeout(Duration::from_millis(ms), self.follow(prepared, &mut left)).await;
        let answer = match answer {
            Ok(answer) => answer.map_err(|error| self.masked(error)),
            Err(_) => {
                left = true;
                Err(HttpError::Timeout)
            }
        };
        (answer, left && !safe)
    }

    fn prepare(&self, request: Request) -> Result<Prepared, HttpError> {
        let invalid = |message: String| HttpError::Invalid(message);
        self.check(&request).map_err(HttpError::Denied)?;
        let method = Method::from_bytes(request.method.as_bytes())
            .ok()
            .filter(|method| !matches!(*method, Method::CONNECT | Method::TRACE))
            .ok_or_else(|| invalid(format!("`{}` is no method for a request", request.method)))?;
        let mut url = Url::parse(&request.url).map_err(|error| invalid(format!("no URL: {error}")))?;
        url.set_fragment(None);
        let url = Url::parse(&self.secrets.fill(url.into(), Place::Url))
            .map_err(|error| invalid(format!("no URL once its secrets are filled in: {error}")))?;
        // Once more: the value of a secret decides nothing about where a request goes.
        self.egress.check(&url).map_err(HttpError::Denied)?;
        let headers = self.headers(request.headers)?;
        let body = self.body(request.body, &headers);
        if body.len() > self.request_bytes_max {
            let most = self.request_bytes_max;
            return Err(invalid(format!(
                "the body has {} bytes; the most is {most}",
                body.len()
            )));
        }
        Ok(Prepared {
            method,
            url,
            headers,
            body,
        })
    }

    fn headers(&self, given: Vec<(String, String)>) -> Result<HeaderMap, HttpError> {
        if given.len() > HEADERS_MAX {
            return Err(HttpError::Invalid(format!(
                "{} headers; the most is {HEADERS_MAX}",
                given.len()
            )));
        }
        let mut headers = HeaderMap::with_capacity(given.len());
        for (name, value) in given {
            let parsed = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| HttpError::Invalid(format!("`{name}` is no header name")))?;
            if HOST_HEADERS.contains(&parsed.as_str()) {
                return Err(HttpError::Invalid(format!("the header `{parsed}` is the host's")));
            }
            let mut value = HeaderValue::from_str(&self.secrets.fill(value, Place::Plain))
                .map_err(|_| HttpError::Invalid(format!("the value of the header `{parsed}` is not valid")))?;
            value.set_sensitive(true);
            headers.append(parsed, value);
        }
        Ok(headers)
    }

    fn body(&self, body: Body, headers: &HeaderMap) -> Bytes {
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let place = if kind.ends_with("/json") || kind.ends_with("+json") {
            Place::Json
        } else if kind == "application/x-www-form-urlencoded" {
            Place::Url
        } else {
            Place::Plain
        };
        match body {
            Body::Empty => Bytes::new(),
            Body::Text(text) => self.secrets.fill(text, place).into(),
            Body::Bytes(bytes) => self.secrets.fill_bytes(bytes, place).into(),
        }
    }

    /// Sends, and follows redirects that keep method and body toward granted origins. Sets `left` once bytes of a
    /// request may have left.
    async fn follow(&self, prepared: Prepared, left: &mut bool) -> Result<Response, HttpError> {
        let Prepared {
            method,
            mut url,
            headers,
            body,
        } = prepared;
        for _ in 0..=REDIRECTS_MAX {
            let mut request = self
                .client
                .request(method.clone(), url.clone())
                .headers(headers.clone());
            if !body.is_empty() {
                request = request.body(body.clone());
            }
            let answer = request.send().await.map_err(|error| failed(&error, &url));
            *left |= !matches!(
                answer,
                Err(HttpError::Denied(_) | HttpError::Unreachable(_) | HttpError::Invalid(_))
            );
            let answer = answer?;
            let Some(location) = redirection(&answer) else {
                return self.read(answer).await;
            };
            let target = url
                .join(&location)
                .map_err(|error| HttpError::Denied(format!("redirected to `{location}`, no URL: {error}")))?;
            let status = answer.status();
            if status_changes_method(status) && !matches!(method, Method::GET | Method::HEAD) {
                let to = target.origin().ascii_serialization();
                return Err(HttpError::Denied(format!(
                    "answered {status}, which redirects a {method} to {to} without its body; not followed"
                )));
            }
            self.egress
                .check(&target)
                .map_err(|why| HttpError::Denied(format!("redirected: {why}")))?;
            url = target;
        }
        Err(HttpError::Denied(format!("more than {REDIRECTS_MAX} redirects")))
    }

    async fn read(&self, mut answer: reqwest::Response) -> Result<Response, HttpError> {
        if answer
            .content_length()
            .is_some_and(|length| length > self.response_bytes_max as u64)
        {
            return Err(HttpError::TooLarge);
        }
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), self.secrets.conceal(value))
            })
            .collect();
        let mut body = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| HttpError::Interrupted(told(&error)))?
        {
            if body.len() + chunk.len() > self.response_bytes_max {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response {
            status,
            headers,
            body: self.secrets.conceal_bytes(body),
        })
    }

    /// Without secrets: placeholders stay, values that an error quotes do not.
    fn masked(&self, error: HttpError) -> HttpError {
        let conceal = |text| self.secrets.conceal(text);
        match error {
            HttpError::Denied(text) => HttpError::Denied(conceal(text)),
            HttpError::Unreachable(text) => HttpError::Unreachable(conceal(text)),
            HttpError::Interrupted(text) => HttpError::Interrupted(conceal(text)),
            HttpError::Invalid(text) => HttpError::Invalid(conceal(text)),
            HttpError::Timeout | HttpError::TooLarge => error,
        }
    }
}

fn redirection(answer: &reqwest::Response) -> Option<String> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    answer
        .headers()
        .get(LOCATION)
        .map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned())
}

fn status_changes_method(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301..=303)
}

/// Tells a request that never left from one that may have been applied.
fn failed(error: &reqwest::Error, url: &Url) -> HttpError {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(link) = cause {
        if let Some(forbidden) = link.downcast_ref::<Forbidden>() {
            return HttpError::Denied(forbidden.to_string());
        }
        cause = link.source();
    }
    let origin = url.origin().ascii_serialization();
    if error.is_connect() {
        HttpError::Unreachable(format!("no connection to {origin}: {}", told(error)))
    } else if error.is_builder() {
        HttpError::Invalid(told(error))
    } else {
        HttpError::Interrupted(format!("{origin}: {}", told(error)))
    }
}

/// The innermost causes of an error; the outer ones say only that a request failed, and to which URL.
fn told(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(link) = cause {
        causes.push(link.to_string());
        cause = link.source();
    }
    match causes.len() {
        0 => "the request failed".to_owned(),
        length => causes.split_off(length.saturating_sub(2)).join(": "),
    }
}

/// How connections are secured: the operating system's roots, ring's cryptography.
pub(crate) fn tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        rustls::ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let mut config = match rustls_platform_verifier::Verifier::new(provider) {
        Ok(verifier) => versions
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth(),
        Err(error) => {
            // Plain HTTP still works; every certificate is refused.
            tracing::warn!(target: "outflow::plugin", "no certificate authorities, so https fails: {error}");
            versions
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests;
