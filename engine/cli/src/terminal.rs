//! What a terminal is given. Names, values and reasons come from rows, files and services, and a terminal obeys what it is
//! sent: it would move its cursor, overwrite what stands there, or set its title. So whatever is printed is text.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// The text with every character spelled out that a terminal acts on, or that shows text in another order than it has.
/// Line breaks and tabs stay.
pub fn text(text: &str) -> Cow<'_, str> {
    spelled(text, |character| {
        is_acted_on(character) && !matches!(character, '\n' | '\t')
    })
}

/// The same on one line: what may stand in a table's cell, or after words of ours.
pub fn line(text: &str) -> Cow<'_, str> {
    spelled(text, is_acted_on)
}

/// JSON that means the same and can be shown on a terminal. Only in strings does it have such characters, control
/// characters below U+0020 being spelled out already.
pub fn json(text: &str) -> Cow<'_, str> {
    self::text(text)
}

/// As many characters of a text as a person reads, and how many there are.
pub fn cut(text: &str, characters_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters_max) {
        None => Cow::Borrowed(text),
        Some((end, _)) => {
            let all = text.chars().count();
            Cow::Owned(format!("{}… ({all} characters)", &text[..end]))
        }
    }
}

/// Control characters, what turns the direction of writing, and breaks of lines that are none in a file.
fn is_acted_on(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

fn spelled(text: &str, is_spelled: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_spelled) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            _ if !is_spelled(character) => out.push(character),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
        }
    }
    Cow::Owned(out)
}

/// Where log messages go: standard error, one line each.
pub struct Log;

impl Write for Log {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(message);
        let (text, end) = text.strip_suffix('\n').map_or((&*text, ""), |text| (text, "\n"));
        // The whole message is given at once.
        io::stderr().write_all(format!("{}{end}", line(text)).as_bytes())?;
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        assert_eq!(
            text("\u{1b}[2J\u{7}é\u{9b}1m\ttab\r\nnext"),
            "\\u001b[2J\\u0007é\\u009b1m\ttab\\r\nnext"
        );
        assert_eq!(line("a\n\u{202e}b\tc"), "a\\n\\u202eb\\tc");
        assert!(matches!(line("plain, 日本 🙂"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_for_a_terminal_means_the_same() {
        let value = serde_json::json!({"a": "\u{1b}[1m\u{9b}\u{7f}\u{202e}\n\"\\"});
        let written = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&written);
        assert!(
            !shown
                .chars()
                .any(|character| is_acted_on(character) && character != '\n'),
            "{shown}"
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("日本語", 2), "日本… (3 characters)");
        assert_eq!(cut("日本", 2), "日本");
    }
}
