//! A JSON tree of any depth, for DuckDB's syntax trees.

use crate::warehouse::json_scan::{self, Events, NotJson};

/// Far more than DuckDB's parser lets pass: it stops at expressions of 1,000 levels.
const DEPTH_MAX: usize = 10_000;

/// What a tree is made of, as far as the gate asks.
#[derive(Debug)]
pub(super) enum Node {
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    Text(String),
    Number(String),
    Boolean(bool),
    Null,
}

impl Node {
    /// A member of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a member; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Some(Self::Text(text)) => text,
            _ => "",
        }
    }

    /// Items of an array, or values of an object.
    pub(super) fn children(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match self {
            Self::Array(items) => Box::new(items.iter()),
            Self::Object(members) => Box::new(members.iter().map(|(_, value)| value)),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// The items of a member that is an array.
    pub(super) fn items(&self, name: &str) -> &[Self] {
        match self.get(name) {
            Some(Self::Array(items)) => items,
            _ => &[],
        }
    }
}

/// Reads a tree.
pub(super) fn parse(text: &str) -> Result<Node, NotJson> {
    let mut builder = Builder {
        open: vec![Node::Array(Vec::new())],
        names: Vec::new(),
        name_next: false,
    };
    json_scan::scan_deep(text, DEPTH_MAX, &mut builder)?;
    match builder.open.pop() {
        Some(Node::Array(mut items)) if items.len() == 1 => Ok(items.remove(0)),
        _ => Ok(Node::Null),
    }
}

struct Builder {
    open: Vec<Node>,
    /// Of the members whose values are open.
    names: Vec<String>,
    name_next: bool,
}

impl Builder {
    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(Node::Array(items)) => items.push(node),
            Some(Node::Object(members)) => {
                members.push((self.names.pop().unwrap_or_default(), node));
            }
            _ => {}
        }
    }

    fn close(&mut self) {
        if let Some(node) = self.open.pop() {
            self.add(node);
        }
    }
}

impl Events for Builder {
    fn null(&mut self) {
        self.add(Node::Null);
    }

    fn boolean(&mut self, value: bool) {
        self.add(Node::Boolean(value));
    }

    fn number(&mut self, digits: &str) {
        self.add(Node::Number(digits.to_owned()));
    }

    fn text(&mut self, text: &str) {
        if std::mem::take(&mut self.name_next) {
            self.names.push(text.to_owned());
        } else {
            self.add(Node::Text(text.to_owned()));
        }
    }

    fn begin_array(&mut self) {
        self.open.push(Node::Array(Vec::new()));
    }

    fn end_array(&mut self) {
        self.close();
    }

    fn begin_object(&mut self) {
        self.open.push(Node::Object(Vec::new()));
    }

    fn begin_member(&mut self) {
        self.name_next = true;
    }

    fn end_object(&mut self) {
        self.close();
    }
}
