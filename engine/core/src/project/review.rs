//! One file under review: its content as a type, its positions, and what is wrong in it.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::diagnostic::Diagnostic;
use super::marks::{Marks, field_of_pointer};
use super::schema::{self, FileKind};
use super::{conform, yaml};

/// What is found in one file. `at` and its siblings note a fault and go on, so that a file's faults come all at once.
pub(super) struct Review<'a> {
    /// The file, relative to the project.
    pub file: &'a Path,
    /// Where its fields stand.
    pub marks: &'a Marks,
    /// What is wrong.
    pub found: Vec<Diagnostic>,
}

impl<'a> Review<'a> {
    pub(super) const fn new(file: &'a Path, marks: &'a Marks) -> Self {
        Self {
            file,
            marks,
            found: Vec::new(),
        }
    }

    /// Notes what is wrong with a field's value.
    pub(super) fn note(&mut self, field: &str, message: impl Into<String>) {
        self.found.push(value_at_fault(self.file, self.marks, field, message));
    }

    /// The same, with what would be right.
    pub(super) fn note_with_help(&mut self, field: &str, message: impl Into<String>, help: impl Into<String>) {
        self.found
            .push(value_at_fault(self.file, self.marks, field, message).with_help(help));
    }
}

/// A diagnostic about the value of a field.
pub(super) fn value_at_fault(file: &Path, marks: &Marks, field: &str, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(file, message).at(marks.value(field)).in_field(field)
}

/// Reads a file's text as the content of its kind.
pub(super) fn read<T: DeserializeOwned>(
    kind: FileKind,
    file: &Path,
    text: &str,
) -> Result<(T, Marks), Vec<Diagnostic>> {
    let document = yaml::read(text)
        .map_err(|error| vec![Diagnostic::new(file, format!("is no YAML: {}", error.message)).at(error.position)])?;
    if document.value.is_null() {
        return Err(vec![Diagnostic::new(file, "the file is empty")]);
    }
    let hidden: &[&str] = match kind {
        FileKind::Destination => &["/secrets"],
        FileKind::Source => &["/secrets", "/s3/secrets"],
        _ => &[],
    };
    let (validator, schema) = schema::compiled(kind);
    let findings = conform::conform(validator, schema, &document.value, hidden);
    if !findings.is_empty() {
        return Err(findings
            .into_iter()
            .map(|finding| {
                let field = field_of_pointer(&document.value, &finding.pointer);
                let marks = &document.marks;
                let position = if finding.of_name {
                    marks.name(&field)
                } else {
                    marks.value(&field)
                };
                let diagnostic = Diagnostic::new(file, finding.message).at(position).in_field(field);
                Diagnostic {
                    help: finding.help,
                    ..diagnostic
                }
            })
            .collect());
    }
    match serde_json::from_value(document.value) {
        Ok(content) => Ok((content, document.marks)),
        // The schema is meant to say all that the type says; where it does not, the type's message has no place.
        Err(error) => Err(vec![Diagnostic::new(PathBuf::from(file), error.to_string())]),
    }
}
