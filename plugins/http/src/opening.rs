//! Reads and checks the whole config when the destination is opened, so that what is wrong in it is told, all at once and
//! by place, before anything is sent.

use std::collections::BTreeMap;

use outflow_plugin_sdk::{Covers, Field, Kind, Problem, Request, Secret, Settings};
use serde_json::{Value, json};

use crate::address::Address;
use crate::body::{Node, Reader, step};
use crate::check::Probe;
use crate::config::{Action, Check, Config, Results};
use crate::route::Route;
use crate::template::{Place, Text};

/// A config that is right.
pub struct Opened {
    pub routes: Vec<Route>,
    pub probe: Option<Probe>,
    pub address: Address,
}

/// Reads every action, and the check.
///
/// # Errors
/// Everything that is wrong.
pub fn open(mut config: Config, settings: &Settings) -> Result<Opened, Vec<Problem>> {
    let mut opening = Opening {
        secrets: &settings.secrets,
        fields: &settings.fields,
        problems: Vec::new(),
    };
    let address = Address::read(&config.base_url);
    if let Err(message) = &address {
        opening.wrong("/base_url", *message);
    }
    if settings.object.is_some() {
        opening.problems.push(Problem::object(
            "the plugin `http` has no objects: leave the field out, and name the resource in the paths of the destination's actions",
        ));
    }
    let shared = opening.headers("/headers", &config.headers);
    let base = Base {
        url: config.base_url.trim_end_matches('/').into(),
        headers: shared,
    };
    let probe = config.check.take().map(|check| opening.probe(check, &base));
    let actions = config.actions();
    if actions.is_empty() {
        opening.wrong("", "configure at least one of insert, update, upsert, clear, delete");
    }
    if let Some((kind, _)) = actions.iter().find(|(_, action)| action.batch > 1) {
        opening.headers_of_several(&base.headers, *kind);
    }
    let routes: Vec<Route> = actions
        .into_iter()
        .map(|(kind, action)| opening.route(kind, action, &base))
        .collect();
    match address {
        Ok(address) if opening.problems.is_empty() => Ok(Opened { routes, probe, address }),
        _ => Err(opening.problems),
    }
}

/// What all actions share.
struct Base {
    url: String,
    headers: Vec<(String, Text)>,
}

struct Opening<'a> {
    secrets: &'a [Secret],
    fields: &'a [Field],
    problems: Vec<Problem>,
}

impl Opening<'_> {
    fn route(&mut self, kind: Kind, action: Action, base: &Base) -> Route {
        let at = format!("/{}", word(kind));
        let several = action.batch > 1;
        let url = self.url(&format!("{at}/path"), &action.path);
        let own = self.headers(&format!("{at}/headers"), &action.headers);
        if several {
            self.several(&at, &action, &url, &own);
        }
        let body = self.body(&at, &action);
        if let Some(results) = &action.results {
            self.results(&format!("{at}/results"), results);
            if action.id.is_some() {
                self.wrong(
                    &format!("{at}/id"),
                    "`results` has an `id` of its own: leave this one out",
                );
            }
        }
        self.pointer(&format!("{at}/id"), action.id.as_deref());
        Route {
            kind,
            path: action.path,
            batch: action.batch,
            method: action.method,
            base_url: base.url.clone(),
            url,
            headers: base.headers.iter().cloned().chain(own).collect(),
            idempotency_header: action.idempotency_header,
            body,
            success: action.success,
            not_found: action.not_found,
            id: action.id,
            results: action.results,
        }
    }

    fn probe(&mut self, check: Check, base: &Base) -> Probe {
        let url = self.url("/check/path", &check.path);
        self.pointer("/check/account", check.account.as_deref());
        let mut request = Request::new(&check.method, &base.url).covers(Covers::Nothing);
        match url.fill(None, Place::Url) {
            Some(path) => request.url.push_str(&path),
            None => self.wrong(
                "/check/path",
                "a check is about no record: {secret.NAME} is its only slot",
            ),
        }
        for (name, text) in &base.headers {
            match text.fill(None, Place::Header) {
                Some(value) => request = request.header(name, value),
                None => self.wrong(
                    &step("/headers", name),
                    "has a slot of a record, but `check` is about none: give this header to the actions only",
                ),
            }
        }
        Probe {
            shown: format!("{} {}", check.method, check.path),
            request,
            account: check.account,
        }
    }

    fn url(&mut self, at: &str, path: &str) -> Text {
        // Appended to the host it must not become part of its name.
        if !path.is_empty() && !path.starts_with(['/', '?']) {
            self.wrong(
                at,
                format!("must begin with `/`: it is appended to `base_url`; right is `/{path}`"),
            );
        }
        self.text(at, path)
    }

    fn headers(&mut self, at: &str, headers: &BTreeMap<String, String>) -> Vec<(String, Text)> {
        let header = |(name, value): (&String, &String)| (name.clone(), self.text(&step(at, name), value));
        headers.iter().map(header).collect()
    }

    fn text(&mut self, at: &str, template: &str) -> Text {
        Text::read(template, self.secrets).unwrap_or_else(|message| {
            self.wrong(at, message);
            Text::default()
        })
    }

    /// A request of several records has nothing that stands for one, its body's lists aside.
    fn several(&mut self, at: &str, action: &Action, url: &Text, headers: &[(String, Text)]) {
        if let Some(slot) = url.of_record() {
            self.wrong(
                &format!("{at}/path"),
                format!(
                    "`{slot}` stands for one record, but a request carries up to {}: set `batch` to 1, or name the records in the body",
                    action.batch
                ),
            );
        }
        for (name, text) in headers {
            if let Some(slot) = text.of_record() {
                let message =
                    format!("`{slot}` stands for one record: set `batch` to 1, or name the records in the body");
                self.wrong(&step(&format!("{at}/headers"), name), message);
            }
        }
        if action.idempotency_header.is_some() {
            self.wrong(
                &format!("{at}/idempotency_header"),
                "a request of several records has no single key: put `$idempotency_key` into the body's `$each`, or set `batch` to 1",
            );
        }
        if action.id.is_some() {
            self.wrong(
                &format!("{at}/id"),
                "is of a request with one record; where a batch's answer has the ids is said by `results`",
            );
        }
    }

    fn headers_of_several(&mut self, headers: &[(String, Text)], kind: Kind) {
        let kind = word(kind);
        for (name, text) in headers {
            if let Some(slot) = text.of_record() {
                let message = format!(
                    "`{slot}` stands for one record, but a request of /{kind} carries several: give this header to other actions only"
                );
                self.wrong(&step("/headers", name), message);
            }
        }
    }

    /// The body's template; without one, the record, or a list of the records.
    fn body(&mut self, at: &str, action: &Action) -> Option<Node> {
        let at = format!("{at}/body");
        let several = action.batch > 1;
        let template = match &action.body {
            Some(template) => template.clone(),
            None if matches!(action.method.as_str(), "GET" | "DELETE") => Value::Null,
            None if several => json!({"$each": {"$record": true}}),
            None => json!({"$record": true}),
        };
        let known = self.problems.len();
        let mut reader = Reader {
            secrets: self.secrets,
            fields: self.fields,
            problems: &mut self.problems,
        };
        let node = reader.read(&template, &at, !several);
        let right = self.problems.len() == known;
        if right && several && !node.any(&|node| matches!(node, Node::Each(_))) {
            self.wrong(
                &at,
                "a request of several records needs `$each`, otherwise it does not carry them",
            );
        }
        (action.body.is_some() || !template.is_null()).then_some(node)
    }

    fn results(&mut self, at: &str, results: &Results) {
        let Results {
            records,
            match_value,
            id,
            status,
            accepted,
            errors,
            error_match,
            message,
        } = results;
        if status.is_some() == accepted.is_empty() {
            self.wrong(
                at,
                "`status` and `accepted` belong together: where the status is, and which values mean success",
            );
        }
        if errors.is_some() != error_match.is_some() {
            self.wrong(
                at,
                "`errors` and `error_match` belong together: where the errors are, and which record each is about",
            );
        }
        self.pointer(&format!("{at}/records"), Some(records));
        self.pointer(&format!("{at}/match"), Some(match_value));
        for (name, pointer) in [
            ("id", id),
            ("status", status),
            ("errors", errors),
            ("error_match", error_match),
            ("message", message),
        ] {
            self.pointer(&format!("{at}/{name}"), pointer.as_deref());
        }
    }

    fn pointer(&mut self, at: &str, pointer: Option<&str>) {
        if let Some(pointer) = pointer.filter(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
            self.wrong(
                at,
                format!("must be a JSON pointer; right is `/{}`", pointer.replace('.', "/")),
            );
        }
    }

    fn wrong(&mut self, at: &str, message: impl Into<String>) {
        self.problems.push(Problem::config(at, message));
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Insert => "insert",
        Kind::Update => "update",
        Kind::Upsert => "upsert",
        Kind::Clear => "clear",
        Kind::Delete => "delete",
    }
}
