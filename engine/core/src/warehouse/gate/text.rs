//! The end of a statement's text.

/// The statement without what may follow it: semicolons, white space and comments. What stands in quotes or comments
/// before that is left alone.
pub(super) fn trimmed(sql: &str) -> &str {
    let mut end = 0;
    let mut at = 0;
    while let Some(character) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let (length, counts) = match character {
            '\'' | '"' => (quoted(rest, character), true),
            '-' if rest.starts_with("--") => (rest.find('\n').unwrap_or(rest.len()), false),
            '/' if rest.starts_with("/*") => (comment(rest), false),
            '$' => (dollar_quoted(rest), true),
            _ => (character.len_utf8(), !character.is_whitespace() && character != ';'),
        };
        at += length;
        if counts {
            end = at;
        }
    }
    &sql[..end]
}

/// The length of a quoted text or name. A doubled quote ends it and begins another, which comes to the same.
fn quoted(text: &str, quote: char) -> usize {
    text[1..].find(quote).map_or(text.len(), |end| end + 2)
}

/// The length of a block comment; they nest.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of a text between `$tag$` and `$tag$`; of the sign alone where it begins none.
fn dollar_quoted(text: &str) -> usize {
    let is_tag = |tag: &str| {
        tag.chars()
            .all(|character| character.is_alphanumeric() || character == '_')
    };
    let Some(tag) = text[1..]
        .find('$')
        .map(|end| &text[..end + 2])
        .filter(|tag| is_tag(&tag[1..tag.len() - 1]))
    else {
        return 1;
    };
    text[tag.len()..]
        .find(tag)
        .map_or(text.len(), |end| end + 2 * tag.len())
}

#[cfg(test)]
mod tests {
    use super::trimmed;

    #[test]
    fn what_follows_a_statement_goes() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT 1"),
            ("SELECT 1 ;\n; ", "SELECT 1"),
            ("SELECT 1; -- end; \n/* ; /* x */ */\n", "SELECT 1"),
            ("SELECT ';' ;", "SELECT ';'"),
            ("SELECT 'it''s -- no' -- c", "SELECT 'it''s -- no'"),
            ("SELECT \"a;\"", "SELECT \"a;\""),
            ("SELECT $$;--$$;", "SELECT $$;--$$"),
            ("SELECT $x$ $$; $x$; --", "SELECT $x$ $$; $x$"),
            ("SELECT 1 /* a */ + 2 -- b", "SELECT 1 /* a */ + 2"),
            ("SELECT 'open;", "SELECT 'open;"),
            ("SELECT 1; SELECT 2;", "SELECT 1; SELECT 2"),
            ("SELECT 'ä' ; -- ö", "SELECT 'ä'"),
            ("-- only", ""),
            ("SELECT $1;", "SELECT $1"),
        ] {
            assert_eq!(trimmed(sql), expected, "{sql}");
        }
    }
}
