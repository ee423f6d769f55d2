//! JSON bodies with slots: objects with one member, such as `{"$record": true}`. Texts in bodies have none.

use outflow_plugin_sdk::{Field, Operation, Problem, Secret};
use serde_json::Value;

use crate::template::{listed, secret};

/// The slots, for messages.
const SLOTS: &str = "`$record`, `$match`, `$id`, `$key`, `$field`, `$idempotency_key`, `$secret` and `$each`";

/// A body whose slots all exist. Secrets are filled in already, with their placeholders.
#[derive(Debug, PartialEq, Eq)]
pub enum Node {
    /// JSON text.
    Fixed(String),
    /// Names, as JSON text, and members.
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    /// A list with an element per record of the request.
    Each(Box<Node>),
    Record,
    Match,
    Id,
    IdempotencyKey,
    /// A mapped field's value.
    Field(String),
    /// A key column's value.
    Key(String),
}

/// What a template is read with, and what is wrong in it.
pub struct Reader<'a> {
    pub secrets: &'a [Secret],
    /// The mapped fields; none where they are not known.
    pub fields: &'a [Field],
    pub problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    /// Reads a template that stands at the pointer `at`; `one` says whether slots of one record may stand there. In
    /// the place of what is wrong comes `null`.
    pub fn read(&mut self, template: &Value, at: &str, one: bool) -> Node {
        match template {
            Value::Object(object) => {
                if let Some((name, argument)) = object.iter().find(|(name, _)| name.starts_with('$')) {
                    if object.len() > 1 {
                        return self.wrong(at, format!("the slot `{name}` must stand alone in its object"));
                    }
                    return self.slot(name, argument, &step(at, name), one);
                }
                let member = |(name, value): (&String, &Value)| {
                    let quoted = Value::from(name.as_str()).to_string();
                    (quoted, self.read(value, &step(at, name), one))
                };
                Node::Object(object.iter().map(member).collect())
            }
            Value::Array(values) => {
                let element = |(index, value)| self.read(value, &format!("{at}/{index}"), one);
                Node::Array(values.iter().enumerate().map(element).collect())
            }
            Value::String(text) => self.text(text, at),
            plain => Node::Fixed(plain.to_string()),
        }
    }

    fn slot(&mut self, name: &str, argument: &Value, at: &str, one: bool) -> Node {
        if name == "$each" {
            return Node::Each(Box::new(self.read(argument, at, true)));
        }
        if name == "$secret" {
            let found = named(argument).and_then(|name| secret(name, self.secrets));
            return match found {
                Ok(placeholder) => Node::Fixed(Value::from(placeholder).to_string()),
                Err(message) => self.wrong(at, message),
            };
        }
        let node = match name {
            "$record" => Ok(Node::Record),
            "$match" => Ok(Node::Match),
            "$id" => Ok(Node::Id),
            "$idempotency_key" => Ok(Node::IdempotencyKey),
            "$field" => named(argument).and_then(|name| self.field(name)),
            "$key" => named(argument).map(|name| Node::Key(name.into())),
            _ => Err(format!("there is no slot `{name}`; there are {SLOTS}")),
        };
        let bare = matches!(name, "$record" | "$match" | "$id" | "$idempotency_key");
        match node {
            Err(message) => self.wrong(at, message),
            Ok(_) if bare && *argument != Value::Bool(true) => self.wrong(
                at,
                format!("`{name}` takes `true`; one field's value is {{\"$field\": \"NAME\"}}"),
            ),
            Ok(_) if !one => self.wrong(at, format!("`{name}` stands for one record: put it into `$each`")),
            Ok(node) => node,
        }
    }

    fn field(&self, name: &str) -> Result<Node, String> {
        if self.fields.is_empty() || self.fields.iter().any(|field| field.name == name) {
            return Ok(Node::Field(name.into()));
        }
        let fields = listed(self.fields.iter().map(|field| field.name.as_str()));
        Err(format!("no mapping goes to a field `{name}`; there are {fields}"))
    }

    /// A text is sent as it is. One that looks like a slot of URLs and headers is taken for a mistake.
    fn text(&mut self, text: &str, at: &str) -> Node {
        let slot = text.split_once("{secret.").and_then(|(_, rest)| rest.split_once('}'));
        match (slot, text) {
            (Some((name, _)), _) => {
                let message = format!("texts in a body have no slots; a secret is {{\"$secret\": \"{name}\"}}");
                self.wrong(at, message)
            }
            (None, "{match}" | "{id}") => {
                let name = text.trim_matches(['{', '}']);
                let message = format!("texts in a body have no slots; this one is {{\"${name}\": true}}");
                self.wrong(at, message)
            }
            _ => Node::Fixed(Value::from(text).to_string()),
        }
    }

    fn wrong(&mut self, at: &str, message: String) -> Node {
        self.problems.push(Problem::config(at, message));
        Node::Fixed("null".into())
    }
}

impl Node {
    /// Whether the template fulfils that anywhere.
    pub fn any(&self, is: &impl Fn(&Node) -> bool) -> bool {
        is(self)
            || match self {
                Node::Object(members) => members.iter().any(|(_, member)| member.any(is)),
                Node::Array(nodes) => nodes.iter().any(|node| node.any(is)),
                Node::Each(node) => node.any(is),
                _ => false,
            }
    }

    /// Writes the body. Records go in as the text they came in. A field that a record does not have is left out of the
    /// object that it is a member of.
    pub fn write(&self, batch: &[Operation], out: &mut String) -> Result<(), String> {
        match (self, batch) {
            (Node::Fixed(text), _) => out.push_str(text),
            (Node::Object(members), _) => {
                let mut separator = '{';
                for (name, node) in members {
                    let before = out.len();
                    out.push(separator);
                    out.push_str(name);
                    out.push(':');
                    let value = out.len();
                    node.write(batch, out)?;
                    if out.len() == value {
                        out.truncate(before);
                    } else {
                        separator = ',';
                    }
                }
                if separator == '{' {
                    out.push('{');
                }
                out.push('}');
            }
            (Node::Array(nodes), _) => list(nodes, out, |node, out| node.write(batch, out))?,
            (Node::Each(node), _) => {
                list(batch, out, |operation, out| {
                    node.write(std::slice::from_ref(operation), out)
                })?;
            }
            (Node::Record, [operation]) => out.push_str(&operation.fields),
            (Node::Match, [operation]) => out.push_str(&operation.match_value),
            (Node::Id, [operation]) => out.push_str(&Value::from(operation.id.clone()).to_string()),
            (Node::IdempotencyKey, [operation]) => {
                out.push_str(&Value::from(operation.idempotency_key.as_str()).to_string());
            }
            (Node::Field(name), [operation]) => {
                if let Some(value) = object(&operation.fields)?.get(name) {
                    out.push_str(&value.to_string());
                }
            }
            (Node::Key(name), [operation]) => {
                let key = object(&operation.key)?;
                let value = key.get(name).ok_or_else(|| {
                    let columns = listed(key.keys().map(String::as_str));
                    format!("`$key`: the key has no column `{name}`; there are {columns}")
                })?;
                out.push_str(&value.to_string());
            }
            // `Reader::read` lets them stand nowhere else.
            _ => return Err("a slot of one record stands where there are several".into()),
        }
        Ok(())
    }
}

/// Writes a list. An element that writes nothing becomes `null`, so that the others keep their places.
fn list<T>(
    elements: &[T],
    out: &mut String,
    write: impl Fn(&T, &mut String) -> Result<(), String>,
) -> Result<(), String> {
    out.push('[');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let before = out.len();
        write(element, out)?;
        if out.len() == before {
            out.push_str("null");
        }
    }
    out.push(']');
    Ok(())
}

fn object(json: &str) -> Result<serde_json::Map<String, Value>, String> {
    serde_json::from_str(json).map_err(|error| format!("a record is no JSON object: {error}"))
}

fn named(argument: &Value) -> Result<&str, String> {
    argument.as_str().ok_or_else(|| "it takes a name, as text".into())
}

/// The pointer to a member.
pub fn step(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}
