//! Choices of forms: `anyOf` and `oneOf`. A person meant one of the forms; the message is about that one.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::super::suggest;
use super::{Check, child, options_of, shown, type_word};

/// One form of a choice, and what is wrong with the value by it.
struct Form<'a> {
    schema: Value,
    errors: &'a [ValidationError<'static>],
}

impl Form<'_> {
    /// The words that this form allows, where it is a word.
    fn words(&self) -> Option<Vec<String>> {
        match (self.schema.get("const"), self.schema.get("enum")) {
            (Some(word), _) => Some(vec![shown(word)]),
            (_, Some(words)) => Some(options_of(words)),
            _ => None,
        }
    }

    fn required(&self) -> Vec<&str> {
        let names = self.schema.get("required").and_then(Value::as_array);
        names
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default()
    }

    fn property(&self, name: &str) -> Option<&Value> {
        self.schema.get("properties")?.get(name)
    }

    /// The name of the only field, where the form is one field.
    fn only_field(&self) -> Option<&str> {
        let properties = self.schema.get("properties")?.as_object()?;
        match (properties.len(), self.required().as_slice()) {
            (1, [name]) if properties.contains_key(*name) => properties.keys().next().map(String::as_str),
            _ => None,
        }
    }

    /// Whether the value is of another type than this form.
    fn is_of_another_type(&self, pointer: &str) -> bool {
        self.errors.iter().any(|error| {
            error.instance_path().as_str() == pointer && matches!(error.kind(), ValidationErrorKind::Type { .. })
        })
    }
}

impl Check<'_> {
    /// A value that fits none of the forms.
    pub(super) fn forms(&mut self, error: &ValidationError<'_>, context: &[Vec<ValidationError<'static>>]) {
        let schemas = self.branches(error);
        let forms: Vec<Form<'_>> = (schemas.into_iter().zip(context))
            .map(|(schema, errors)| Form { schema, errors })
            .collect();
        let pointer = error.instance_path().as_str();
        let value = error.instance().as_ref();

        if let Some(words) = forms.iter().map(Form::words).collect::<Option<Vec<_>>>() {
            return self.no_choice(pointer, value, &words.concat());
        }
        if forms.iter().all(is_requirement) {
            let names: Vec<&str> = forms.iter().flat_map(Form::required).collect();
            return self.exactly_one(pointer, value, &names);
        }
        if let (Value::Object(fields), Some(tag)) = (value, tag_of(&forms)) {
            return self.tagged(pointer, fields.get(&tag), &tag, &forms);
        }
        if let (Value::Object(_), Some(names)) = (value, forms.iter().map(Form::only_field).collect::<Option<Vec<_>>>())
        {
            let named: Vec<&Form<'_>> = (forms.iter().zip(&names))
                .filter(|(_, name)| value.get(**name).is_some())
                .map(|(form, _)| form)
                .collect();
            return match named.as_slice() {
                [form] => self.explain_all(form.errors),
                _ => self.exactly_one(pointer, value, &names),
            };
        }
        let meant = forms
            .iter()
            .filter(|form| !form.is_of_another_type(pointer))
            .min_by_key(|form| form.errors.len());
        match meant {
            Some(form) => self.explain_all(form.errors),
            None => {
                let mut types: Vec<&str> = forms
                    .iter()
                    .filter_map(|form| form.schema.get("type").and_then(Value::as_str))
                    .map(type_word)
                    .collect();
                types.dedup();
                let found = self.found(pointer, value);
                self.push(pointer, format!("found {found}; must be {}", types.join(" or ")), None);
            }
        }
    }

    /// A value that fits more than one of forms that exclude each other.
    pub(super) fn several_forms(&mut self, error: &ValidationError<'_>) {
        let forms: Vec<Form<'_>> = self
            .branches(error)
            .into_iter()
            .map(|schema| Form { schema, errors: &[] })
            .collect();
        let pointer = error.instance_path().as_str();
        if forms.iter().all(is_requirement) {
            // Only fields can lack a field; of what is none the type is wrong, and that is said already.
            if !error.instance().is_object() {
                return;
            }
            let names: Vec<&str> = forms.iter().flat_map(Form::required).collect();
            self.exactly_one(pointer, error.instance(), &names);
        } else {
            self.push(pointer, "fits several forms that exclude each other".to_owned(), None);
        }
    }

    /// A form is chosen by the value of a field.
    fn tagged(&mut self, pointer: &str, value: Option<&Value>, tag: &str, forms: &[Form<'_>]) {
        let word = |form: &Form<'_>| form.property(tag).and_then(|property| property.get("const")).cloned();
        match forms
            .iter()
            .find(|form| word(form).as_ref() == value && value.is_some())
        {
            Some(form) => self.explain_all(form.errors),
            None => {
                let words: Vec<String> = forms.iter().filter_map(word).map(|word| shown(&word)).collect();
                match value {
                    Some(value) => self.no_choice(&child(pointer, tag), value, &words),
                    None => {
                        let choices = suggest::choices(words.iter().map(String::as_str), "or").unwrap_or_default();
                        let message = "the field is missing".to_owned();
                        self.push(&child(pointer, tag), message, Some(format!("one of {choices}")));
                    }
                }
            }
        }
    }

    /// Fields of which there must be one.
    fn exactly_one(&mut self, pointer: &str, value: &Value, names: &[&str]) {
        let choices = suggest::choices(names.iter().copied(), "or").unwrap_or_default();
        let given = names.iter().copied().filter(|name| value.get(name).is_some());
        let message = match suggest::choices(given, "and") {
            Some(given) => {
                format!("found {given} together; there must be exactly one of {choices}")
            }
            // A name may be a secret that was written where its source belongs.
            None if self.is_hidden(pointer) => format!("there must be one of {choices}"),
            None => {
                let fields = value.as_object().into_iter().flat_map(|fields| fields.keys());
                let found = suggest::choices(fields.map(String::as_str), "and");
                let found = found.unwrap_or_else(|| "no fields".to_owned());
                format!("found {found}; there must be one of {choices}")
            }
        };
        self.push(pointer, message, None);
    }

    fn explain_all(&mut self, errors: &[ValidationError<'static>]) {
        for error in errors {
            self.explain(error);
        }
    }

    /// The schemas of a choice, references followed.
    fn branches(&self, error: &ValidationError<'_>) -> Vec<Value> {
        let choice = self
            .schema
            .pointer(error.schema_path().as_str())
            .and_then(Value::as_array);
        let follow = |schema: &Value| {
            let target = schema
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|path| path.strip_prefix('#'));
            target
                .and_then(|pointer| self.schema.pointer(pointer))
                .unwrap_or(schema)
                .clone()
        };
        choice
            .map(|branches| branches.iter().map(follow).collect())
            .unwrap_or_default()
    }
}

/// Whether a form only says which field there must be.
fn is_requirement(form: &Form<'_>) -> bool {
    form.schema
        .as_object()
        .is_some_and(|schema| schema.len() == 1 && schema.contains_key("required"))
}

/// The field whose value tells the forms apart.
fn tag_of(forms: &[Form<'_>]) -> Option<String> {
    let first = forms.first()?.schema.get("properties")?.as_object()?;
    let tells = |name: &&String| {
        forms.iter().all(|form| {
            form.property(name)
                .is_some_and(|property| property.get("const").is_some())
        })
    };
    first.keys().find(tells).cloned()
}
