//! URLs and header values with slots: `{match}`, `{id}`, `{secret.NAME}`.

use outflow_plugin_sdk::{Operation, Secret};

/// A template whose slots all exist. Secrets are filled in already, with their placeholders.
#[derive(Clone, Default)]
pub struct Text(Vec<Piece>);

#[derive(Clone)]
enum Piece {
    Fixed(String),
    Match,
    Id,
}

/// Where a text goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Url,
    Header,
}

impl Text {
    /// Reads a template.
    pub fn read(template: &str, secrets: &[Secret]) -> Result<Text, String> {
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (slot, after) = after
                .split_once('}')
                .ok_or_else(|| format!("`{template}` has a `{{` without its `}}`"))?;
            pieces.push(Piece::Fixed(before.into()));
            pieces.push(match slot {
                "match" => Piece::Match,
                "id" => Piece::Id,
                _ => match slot.strip_prefix("secret.") {
                    Some(name) => Piece::Fixed(secret(name, secrets)?.into()),
                    None => {
                        let slots = "{match}, {id} and {secret.NAME}";
                        return Err(format!("there is no slot `{{{slot}}}`; there are {slots}"));
                    }
                },
            });
            rest = after;
        }
        pieces.push(Piece::Fixed(rest.into()));
        Ok(Text(pieces))
    }

    /// The first slot that stands for one record.
    pub fn of_record(&self) -> Option<&'static str> {
        self.0.iter().find_map(|piece| match piece {
            Piece::Fixed(_) => None,
            Piece::Match => Some("{match}"),
            Piece::Id => Some("{id}"),
        })
    }

    /// Whether it carries the match value.
    pub fn matches(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Match))
    }

    /// Fills it in; for a URL, percent-encoded. Nothing where the record has nothing that can stand there: in a URL an
    /// empty value, `.` or `..` would address something else, the whole collection for example.
    pub fn fill(&self, operation: Option<&Operation>, place: Place) -> Option<String> {
        let mut out = String::new();
        for piece in &self.0 {
            let value = match piece {
                Piece::Fixed(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Match => plain(&operation?.match_value),
                Piece::Id => operation?.id.clone()?,
            };
            match place {
                Place::Header => out.push_str(&value),
                Place::Url if matches!(value.as_str(), "" | "." | "..") => return None,
                Place::Url => encode(&value, &mut out),
            }
        }
        Some(out)
    }
}

/// The placeholder of a secret.
pub fn secret<'a>(name: &str, secrets: &'a [Secret]) -> Result<&'a str, String> {
    if let Some(secret) = secrets.iter().find(|secret| secret.name == name) {
        return Ok(&secret.placeholder);
    }
    let known = listed(secrets.iter().map(|secret| secret.name.as_str()));
    Err(match known.as_str() {
        "" => format!("there is no secret `{name}`: add it to `secrets` in the destination's file"),
        known => format!("there is no secret `{name}`; there are {known}"),
    })
}

/// Names for a message.
pub fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A JSON value as text without quotes.
fn plain(json: &str) -> String {
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_string())
}

fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}
