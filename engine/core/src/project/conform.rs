//! A value against a JSON Schema, with findings that a person can act on.
//!
//! The validator says where a value breaks which keyword. Here that becomes a sentence: what was found, what would be
//! right, and for a choice of forms only what is wrong with the form that was meant (`conform/form.rs`).

mod form;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::suggest;

/// The most characters of a value that a message shows.
const SHOWN_MAX: usize = 60;

/// One thing that is wrong in a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The JSON pointer of the value at fault.
    pub pointer: String,
    /// Whether the field's name is at fault rather than its value.
    pub of_name: bool,
    /// What was found.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

/// Checks a value. Values below the pointers in `hidden` may be secrets, so no message shows them.
pub(crate) fn conform(validator: &Validator, schema: &Value, value: &Value, hidden: &[&str]) -> Vec<Finding> {
    let mut check = Check {
        schema,
        hidden,
        findings: Vec::new(),
    };
    for error in validator.iter_errors(value) {
        check.explain(&error);
    }
    check.drop_misspelt();
    check.findings
}

struct Check<'a> {
    schema: &'a Value,
    hidden: &'a [&'a str],
    findings: Vec<Finding>,
}

impl Check<'_> {
    fn explain(&mut self, error: &ValidationError<'_>) {
        use ValidationErrorKind as Kind;
        let pointer = error.instance_path().as_str();
        let found = self.found(pointer, error.instance());
        match error.kind() {
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                for name in unexpected {
                    self.unknown_field(error, name);
                }
            }
            Kind::Required { property } => {
                self.missing_field(error, property.as_str().unwrap_or_default());
            }
            Kind::Type { kind } => {
                let wanted = match kind {
                    TypeKind::Single(one) => type_word(one.as_str()).to_owned(),
                    TypeKind::Multiple(several) => {
                        let words: Vec<&str> = several.iter().map(|one| type_word(one.as_str())).collect();
                        words.join(" or ")
                    }
                };
                self.wrong_type(error, &found, &wanted);
            }
            Kind::Enum { options } => {
                self.no_choice(pointer, error.instance(), &options_of(options));
            }
            Kind::Constant { expected_value } => {
                self.no_choice(pointer, error.instance(), &[shown(expected_value)]);
            }
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => self.forms(error, context),
            Kind::OneOfMultipleValid { .. } => self.several_forms(error),
            Kind::Pattern { pattern } => {
                let help = self.examples(error);
                let wanted = self
                    .description(error)
                    .unwrap_or_else(|| format!("text that matches `{pattern}`"));
                self.push(
                    pointer,
                    format!("found {found}; must be {}", lower_first(&wanted)),
                    help,
                );
            }
            Kind::MinLength { limit: 1 } => {
                self.push(pointer, "is empty".to_owned(), self.examples(error));
            }
            Kind::MinItems { limit: 1 } => {
                self.push(
                    pointer,
                    "the list is empty; it must have at least one item".to_owned(),
                    None,
                );
            }
            Kind::Minimum { limit } => self.push(
                pointer,
                format!("found {found}; must be at least {}", bound(limit)),
                None,
            ),
            Kind::Maximum { limit } => self.push(
                pointer,
                format!("found {found}; must be at most {}", bound(limit)),
                None,
            ),
            Kind::ExclusiveMinimum { limit } => {
                self.push(
                    pointer,
                    format!("found {found}; must be more than {}", bound(limit)),
                    None,
                );
            }
            Kind::ExclusiveMaximum { limit } => {
                self.push(
                    pointer,
                    format!("found {found}; must be less than {}", bound(limit)),
                    None,
                );
            }
            Kind::UniqueItems => {
                self.push(pointer, "the list has the same item twice".to_owned(), None);
            }
            Kind::PropertyNames { error: inner } => {
                let name = inner.instance().as_str().unwrap_or_default().to_owned();
                let wanted = self.description(inner).map(|wanted| lower_first(&wanted));
                self.findings.push(Finding {
                    pointer: child(pointer, &name),
                    of_name: true,
                    message: format!("`{name}` cannot be a name here"),
                    help: wanted.map(|wanted| format!("a name is {wanted}")),
                });
            }
            _ => {
                let message = error.masked_with(found.clone()).to_string();
                self.push(pointer, message, self.examples(error));
            }
        }
    }

    fn push(&mut self, pointer: &str, message: String, help: Option<String>) {
        self.findings.push(Finding {
            pointer: pointer.to_owned(),
            of_name: false,
            message,
            help,
        });
    }

    fn unknown_field(&mut self, error: &ValidationError<'_>, name: &str) {
        let known: Vec<&str> = self
            .around(error)
            .and_then(|schema| schema.get("properties"))
            .and_then(Value::as_object)
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default();
        self.findings.push(Finding {
            pointer: child(error.instance_path().as_str(), name),
            of_name: true,
            message: "there is no such field".to_owned(),
            help: Some(suggest::instead(name, "the fields are", known)),
        });
    }

    fn missing_field(&mut self, error: &ValidationError<'_>, name: &str) {
        let field = self
            .around(error)
            .and_then(|schema| schema.get("properties"))
            .and_then(|all| all.get(name));
        let help = field.and_then(|field| first_sentence(self.resolved(field)));
        self.push(
            &child(error.instance_path().as_str(), name),
            "the field is missing".to_owned(),
            help,
        );
    }

    fn wrong_type(&mut self, error: &ValidationError<'_>, found: &str, wanted: &str) {
        let pointer = error.instance_path().as_str();
        let help = match error.instance().as_ref() {
            Value::Null => Some("leave the field out, or give it a value".to_owned()),
            Value::Number(_) | Value::Bool(_) if wanted == type_word("string") => {
                Some("put it in quotes where it is meant as text".to_owned())
            }
            _ => self.examples(error),
        };
        self.push(pointer, format!("found {found}; must be {wanted}"), help);
    }

    /// A value that is none of a set of words.
    fn no_choice(&mut self, pointer: &str, value: &Value, options: &[String]) {
        let names = options.iter().map(String::as_str);
        let choices = suggest::choices(names.clone(), "or").unwrap_or_default();
        let near = value.as_str().and_then(|text| suggest::nearest(text, names));
        let found = self.found(pointer, value);
        let must = if options.len() == 1 {
            "must be"
        } else {
            "must be one of"
        };
        self.push(
            pointer,
            format!("found {found}; {must} {choices}"),
            near.map(|near| format!("did you mean `{near}`?")),
        );
    }

    /// A misspelt field is reported once, not a second time as the field that is missing for it.
    fn drop_misspelt(&mut self) {
        let meant: Vec<String> = self
            .findings
            .iter()
            .filter(|finding| finding.of_name)
            .filter_map(|finding| {
                let name = finding
                    .help
                    .as_ref()?
                    .strip_prefix("did you mean `")?
                    .strip_suffix("`?")?;
                let parent = &finding.pointer[..finding.pointer.rfind('/')?];
                Some(child(parent, name))
            })
            .collect();
        self.findings
            .retain(|finding| finding.message != "the field is missing" || !meant.contains(&finding.pointer));
    }

    /// The schema that has the keyword which a value breaks.
    fn around(&self, error: &ValidationError<'_>) -> Option<&Value> {
        let path = error.schema_path().as_str();
        let parent = &path[..path.rfind('/')?];
        self.schema.pointer(parent)
    }

    /// The schema that a reference leads to.
    fn resolved<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let target = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|path| path.strip_prefix('#'));
        match target.and_then(|pointer| self.schema.pointer(pointer)) {
            // A description beside the reference says more about this field than the type's own.
            Some(target) if schema.get("description").is_none() => target,
            _ => schema,
        }
    }

    fn description(&self, error: &ValidationError<'_>) -> Option<String> {
        self.around(error).and_then(first_sentence)
    }

    fn examples(&self, error: &ValidationError<'_>) -> Option<String> {
        let examples = self.around(error)?.get("examples")?.as_array()?;
        let words: Vec<String> = examples.iter().map(shown).collect();
        suggest::choices(words.iter().map(String::as_str), "or").map(|examples| format!("for example {examples}"))
    }

    fn is_hidden(&self, pointer: &str) -> bool {
        self.hidden.iter().any(|hidden| pointer.starts_with(hidden))
    }

    /// A value as messages show it.
    fn found(&self, pointer: &str, value: &Value) -> String {
        let hidden = self.is_hidden(pointer);
        match value {
            Value::Null => "nothing".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "fields".to_owned(),
            Value::String(_) if hidden => "text".to_owned(),
            Value::Number(_) if hidden => "a number".to_owned(),
            _ => format!("`{}`", shown(value)),
        }
    }
}

/// The pointer of a field in the value at `parent`.
fn child(parent: &str, name: &str) -> String {
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// A type of JSON in the words of these files.
fn type_word(name: &str) -> &'static str {
    match name {
        "null" => "nothing",
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text",
        "array" => "a list",
        _ => "fields (`name: value`)",
    }
}

/// A limit without the fraction that schemas of floating-point numbers give it.
fn bound(limit: &Value) -> String {
    let text = limit.to_string();
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A value in one line, text without its quotes.
fn shown(value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), |text| text.escape_debug().to_string());
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn options_of(options: &Value) -> Vec<String> {
    options
        .as_array()
        .map(|options| options.iter().map(shown).collect())
        .unwrap_or_default()
}

/// What a schema's description says first.
fn first_sentence(schema: &Value) -> Option<String> {
    let text = schema.get("description")?.as_str()?;
    let paragraph = text.split("\n\n").next().unwrap_or(text).replace('\n', " ");
    let sentence = paragraph.split(". ").next().unwrap_or(&paragraph).trim_end_matches('.');
    (!sentence.is_empty()).then(|| lower_first(sentence))
}

/// A sentence as the part of one. Words in capitals stay.
fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
