//! The walk through a statement's syntax tree, as `json_serialize_sql` gives it.
//!
//! What the walk does not know it refuses: an unknown kind of node may hold a way out.

use std::collections::BTreeSet;

use super::allowed;
use super::tree::Node;

/// What a model may name. All names are in lower case.
#[derive(Default)]
pub(super) struct Reach {
    /// Sources that are one relation.
    pub(super) relations: BTreeSet<String>,
    /// Sources that are databases with tables of their own.
    pub(super) catalogs: BTreeSet<String>,
    /// Those of them that are servers.
    pub(super) servers: BTreeSet<String>,
    /// The tables of databases: catalog, schema, name.
    pub(super) tables: BTreeSet<(String, String, String)>,
}

/// Why a statement is refused, and at which byte.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) at: Option<usize>,
}

impl Refusal {
    pub(super) fn new(message: impl Into<String>, at: Option<usize>) -> Self {
        Self {
            message: message.into(),
            at,
        }
    }

    fn of(node: &Node, message: impl Into<String>) -> Self {
        let at = match node.get("query_location") {
            Some(Node::Number(digits)) => digits.parse().ok(),
            _ => None,
        };
        Self::new(message, at)
    }
}

/// The one SELECT of a parsed text.
pub(super) fn only_select(parsed: &Node) -> Result<&Node, Refusal> {
    if let Some(Node::Boolean(true)) = parsed.get("error") {
        if parsed.text("error_type") == "not implemented" {
            let message = "only one SELECT is allowed (and a PIVOT must name its values: PIVOT … ON column IN (…))";
            return Err(Refusal::new(message, None));
        }
        return Err(Refusal::new(
            parsed.text("error_message"),
            parsed.text("position").parse().ok(),
        ));
    }
    match parsed.items("statements") {
        [statement] => statement
            .get("node")
            .ok_or_else(|| Refusal::new("only one SELECT is allowed", None)),
        [] => Err(Refusal::new("there is no statement; one SELECT is needed", None)),
        several => Err(Refusal::new(
            format!("one SELECT is allowed, and these are {} statements", several.len()),
            None,
        )),
    }
}

/// The tables that a statement reads.
#[derive(Default)]
pub(super) struct Seen {
    /// The last parts of their names.
    pub(super) names: BTreeSet<String>,
    /// Of those in databases: catalog, schema, name.
    pub(super) places: BTreeSet<(String, String, String)>,
}

pub(super) struct Walk {
    reach: Reach,
    /// The names that `WITH` gives, innermost last.
    scope: Vec<String>,
    /// The tables that were let pass.
    seen: Seen,
    /// No aggregate, window, subquery or table.
    scalar_only: bool,
}

impl Walk {
    pub(super) fn new(reach: Reach) -> Self {
        Self {
            reach,
            scope: Vec::new(),
            seen: Seen::default(),
            scalar_only: false,
        }
    }

    pub(super) fn into_seen(self) -> Seen {
        self.seen
    }

    /// A whole SELECT.
    pub(super) fn model(&mut self, select: &Node) -> Result<(), Refusal> {
        self.visit(select)
    }

    /// A SELECT that is nothing but one scalar expression.
    pub(super) fn expression(&mut self, select: &Node) -> Result<(), Refusal> {
        /// What a bare `SELECT x` has, and what may be empty in it.
        const BARE: [&str; 4] = ["type", "select_list", "from_table", "aggregate_handling"];
        self.scalar_only = true;
        let Node::Object(members) = select else {
            return Err(Refusal::new("this is no expression", None));
        };
        let is_bare = select.text("type") == "SELECT_NODE"
            && select
                .get("from_table")
                .is_some_and(|table| table.text("type") == "EMPTY")
            && select.text("aggregate_handling") == "STANDARD_HANDLING"
            && members
                .iter()
                .all(|(name, value)| BARE.contains(&name.as_str()) || is_empty(value));
        let [expression] = select.items("select_list") else {
            return Err(Refusal::new("one expression is allowed, and these are several", None));
        };
        if !is_bare {
            return Err(Refusal::new(
                "only an expression is allowed here: no FROM, WHERE, ORDER BY or the like",
                None,
            ));
        }
        if !expression.text("alias").is_empty() {
            return Err(Refusal::of(
                expression,
                "an expression needs no name here; leave AS out",
            ));
        }
        self.visit(expression)
    }

    fn visit(&mut self, node: &Node) -> Result<(), Refusal> {
        if !node.text("class").is_empty() {
            return self.visit_expression(node);
        }
        let kind = node.text("type");
        match kind {
            // A part without a kind, or a constant of a PIVOT.
            "" if node.get("is_null").is_some() => Ok(()),
            "" => self.visit_children(node),
            "SELECT_NODE" | "SET_OPERATION_NODE" | "CTE_NODE" => self.visit_query(node),
            "RECURSIVE_CTE_NODE" => self.visit_recursive(node),
            "BASE_TABLE" => {
                self.check_table(node)?;
                self.visit_children(node)
            }
            "TABLE_FUNCTION" => self.visit_table_function(node),
            "JOIN"
            | "SUBQUERY"
            | "EXPRESSION_LIST"
            | "EMPTY"
            | "PIVOT"
            | "ORDER_MODIFIER"
            | "LIMIT_MODIFIER"
            | "LIMIT_PERCENT_MODIFIER"
            | "DISTINCT_MODIFIER"
            | "ORDER_DEFAULT"
            | "ASCENDING"
            | "DESCENDING" => self.visit_children(node),
            "SHOW_REF" => Err(Refusal::of(
                node,
                "DESCRIBE, SHOW and SUMMARIZE are not allowed in a model",
            )),
            other => Err(Refusal::of(node, format!("{other} is not allowed in a model"))),
        }
    }

    fn visit_children(&mut self, node: &Node) -> Result<(), Refusal> {
        node.children().try_for_each(|child| self.visit(child))
    }

    /// A query with its `WITH`s, each of which sees those before it.
    fn visit_query(&mut self, node: &Node) -> Result<(), Refusal> {
        let outside = self.scope.len();
        if let Some(map) = node.get("cte_map") {
            for entry in map.items("map") {
                self.visit_children(entry)?;
                self.scope.push(entry.text("key").to_ascii_lowercase());
            }
        }
        let Node::Object(members) = node else {
            return Ok(());
        };
        for (name, child) in members {
            if name != "cte_map" {
                self.visit(child)?;
            }
        }
        self.scope.truncate(outside);
        Ok(())
    }

    /// A recursive `WITH`: only its right side sees itself.
    fn visit_recursive(&mut self, node: &Node) -> Result<(), Refusal> {
        let outside = self.scope.len();
        let Node::Object(members) = node else {
            return Ok(());
        };
        for (name, child) in members.iter().filter(|(name, _)| name != "right") {
            if name == "cte_map" && !child.items("map").is_empty() {
                return Err(Refusal::of(
                    node,
                    "a WITH inside of a recursive WITH is not allowed here; put it before",
                ));
            }
            self.visit(child)?;
        }
        self.scope.push(node.text("cte_name").to_ascii_lowercase());
        if let Some(right) = node.get("right") {
            self.visit(right)?;
        }
        self.scope.truncate(outside);
        Ok(())
    }

    fn check_table(&mut self, node: &Node) -> Result<(), Refusal> {
        let lower = |name: &str| node.text(name).to_ascii_lowercase();
        let (catalog, schema, table) = (lower("catalog_name"), lower("schema_name"), lower("table_name"));
        if catalog.is_empty() && schema.is_empty() {
            if self.scope.contains(&table) {
                return Ok(());
            }
            if self.reach.relations.contains(&table) {
                self.seen.names.insert(table);
                return Ok(());
            }
            if self.reach.catalogs.contains(&table) {
                let message = format!("the source `{table}` has tables of its own: name one as {table}.table");
                return Err(Refusal::of(node, message));
            }
            return Err(self.unknown(node, node.text("table_name")));
        }
        // Two names are a database and a table in its main schema.
        let (catalog, schema) = if catalog.is_empty() {
            (schema, "main".to_owned())
        } else {
            (catalog, schema)
        };
        if !self.reach.catalogs.contains(&catalog) {
            return Err(self.unknown(node, &format!("{catalog}.{table}")));
        }
        let place = (catalog, schema, table);
        if !self.reach.tables.contains(&place) {
            let (catalog, schema, table) = place;
            let why = if self.reach.servers.contains(&catalog) {
                "that its user may read"
            } else {
                "(a view that is stored in a source cannot be read; put its SQL into the model)"
            };
            let message = format!("the source `{catalog}` has no table `{schema}.{table}` {why}");
            return Err(Refusal::of(node, message));
        }
        self.seen.names.insert(place.2.clone());
        self.seen.places.insert(place);
        Ok(())
    }

    fn unknown(&self, node: &Node, name: &str) -> Refusal {
        let sources: Vec<_> = self
            .reach
            .relations
            .iter()
            .map(|name| format!("`{name}`"))
            .chain(self.reach.catalogs.iter().map(|name| format!("`{name}.…`")))
            .collect();
        let sources = if sources.is_empty() {
            "nothing".to_owned()
        } else {
            sources.join(", ")
        };
        Refusal::of(
            node,
            format!("the model cannot read `{name}`; its sources are {sources}"),
        )
    }

    fn visit_table_function(&mut self, node: &Node) -> Result<(), Refusal> {
        let function = node.get("function").unwrap_or(&Node::Null);
        let name = function_name(function)?;
        if !allowed::is_table_function(&name) {
            return Err(Refusal::of(
                function,
                format!("the table function `{name}` is not allowed in a model"),
            ));
        }
        self.visit_children(function)?;
        let Node::Object(members) = node else {
            return Ok(());
        };
        members
            .iter()
            .filter(|(name, _)| name != "function")
            .try_for_each(|(_, child)| self.visit(child))
    }

    fn visit_expression(&mut self, node: &Node) -> Result<(), Refusal> {
        match node.text("class") {
            // What is in it is a value and a type.
            "CONSTANT" => Ok(()),
            "FUNCTION" => {
                let name = function_name(node)?;
                self.check_function(node, &name)?;
                self.visit_children(node)
            }
            "WINDOW" => {
                if self.scalar_only {
                    return Err(Refusal::of(
                        node,
                        "a window function looks at other rows; a mapping sees one",
                    ));
                }
                let name = function_name(node)?;
                if !allowed::is_aggregate(&name) {
                    return Err(Refusal::of(
                        node,
                        format!("the window function `{name}` is not allowed here"),
                    ));
                }
                self.visit_children(node)
            }
            "SUBQUERY" if self.scalar_only => Err(Refusal::of(
                node,
                "a subquery is not allowed in a mapping; put it into the model",
            )),
            "STAR" if self.scalar_only => Err(Refusal::of(node, "a mapping gives one value; name the column")),
            "CAST" => node.get("child").map_or(Ok(()), |child| self.visit(child)),
            "COLUMN_REF"
            | "OPERATOR"
            | "COMPARISON"
            | "CONJUNCTION"
            | "CASE"
            | "BETWEEN"
            | "COLLATE"
            | "LAMBDA"
            | "LAMBDA_REF"
            | "STAR"
            | "SUBQUERY"
            | "POSITIONAL_REFERENCE" => self.visit_children(node),
            "PARAMETER" => Err(Refusal::of(node, "there are no parameters; write the value")),
            other => Err(Refusal::of(node, format!("{other} is not allowed here"))),
        }
    }

    fn check_function(&self, node: &Node, name: &str) -> Result<(), Refusal> {
        if allowed::is_scalar(name) {
            return Ok(());
        }
        let (aggregate, several) = (allowed::is_aggregate(name), allowed::makes_rows(name));
        match self.scalar_only {
            true if aggregate => Err(Refusal::of(
                node,
                format!("`{name}` is an aggregate; a mapping sees one row"),
            )),
            true if several => Err(Refusal::of(
                node,
                format!("`{name}` makes rows; a mapping gives one value"),
            )),
            false if aggregate || several => Ok(()),
            _ => Err(Refusal::of(node, format!("the function `{name}` is not allowed here"))),
        }
    }
}

/// The name of a function that is DuckDB's own: without a schema, or in its main one.
fn function_name(node: &Node) -> Result<String, Refusal> {
    let lower = |name: &str| node.text(name).to_ascii_lowercase();
    let (catalog, schema, name) = (lower("catalog"), lower("schema"), lower("function_name"));
    if matches!((catalog.as_str(), schema.as_str()), ("" | "system", "" | "main")) {
        return Ok(name);
    }
    let qualifier = if catalog.is_empty() {
        schema
    } else {
        format!("{catalog}.{schema}")
    };
    Err(Refusal::of(
        node,
        format!("`{qualifier}.{name}(…)` is not allowed: only DuckDB's own functions are, written as {name}(…)"),
    ))
}

/// Whether a member that a bare SELECT may leave out says nothing.
fn is_empty(node: &Node) -> bool {
    match node {
        Node::Null => true,
        Node::Array(items) => items.is_empty(),
        Node::Object(members) => members.iter().all(|(_, value)| is_empty(value)),
        _ => false,
    }
}
