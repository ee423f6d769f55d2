//! Names and texts as SQL writes them.

/// An identifier in double quotes.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal in single quotes.
#[must_use]
pub fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn quotes_are_doubled() {
        assert_eq!(super::identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(super::text("it's"), "'it''s'");
    }
}
