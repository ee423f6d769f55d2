//! What is different between the mappings of two layouts, for people and for the count of what an edit resends (rule 15).

use std::fmt;

use super::layout::{ImageSource, Layout, RecordField, RecordValue};

/// A field that is made otherwise than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Its name at the destination.
    pub field: String,
    /// What it was made of; `None` where it is new.
    pub before: Option<String>,
    /// What it is made of; `None` where it is gone.
    pub now: Option<String>,
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = &self.field;
        match (&self.before, &self.now) {
            (None, _) => write!(f, "`{field}` is new"),
            (_, None) => write!(f, "`{field}` is gone"),
            (Some(before), Some(now)) => write!(f, "`{field}` was {before} and is {now}"),
        }
    }
}

/// The fields that differ, those of `now` first.
#[must_use]
pub fn edits(before: &Layout, now: &Layout) -> Vec<Edit> {
    let mut found = Vec::new();
    for field in &now.fields {
        let (old, new) = (
            before.field(&field.to).map(|old| made_of(before, old)),
            made_of(now, field),
        );
        if old.as_ref() != Some(&new) {
            found.push(Edit {
                field: field.to.clone(),
                before: old,
                now: Some(new),
            });
        }
    }
    for field in before.fields.iter().filter(|field| now.field(&field.to).is_none()) {
        found.push(Edit {
            field: field.to.clone(),
            before: Some(made_of(before, field)),
            now: None,
        });
    }
    found
}

fn made_of(layout: &Layout, field: &RecordField) -> String {
    match &field.value {
        RecordValue::Constant(json) => json.clone(),
        RecordValue::Image(index) => match layout.image.get(*index).map(|column| &column.source) {
            Some(ImageSource::Column(name)) => format!("the column `{name}`"),
            Some(ImageSource::Sql(sql)) => format!("`{sql}`"),
            None => "nothing".to_owned(),
        },
    }
}
