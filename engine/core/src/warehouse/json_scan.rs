//! A streaming reader of JSON text as RFC 8259 has it, without a value tree.
//!
//! DuckDB's own JSON type takes more (NaN, trailing commas, any depth), so its text must be checked before it goes into
//! a record. What is taken here is what every receiver reads.

/// The deepest nesting that is taken of values: common readers stop at 128, and a record adds some of its own.
pub(super) const DEPTH_MAX: usize = 100;

/// What happens while a text is read. Values come between the events that enclose them.
pub(super) trait Events {
    fn null(&mut self) {}
    fn boolean(&mut self, _value: bool) {}
    /// The digits as they stand.
    fn number(&mut self, _digits: &str) {}
    /// A text, escapes resolved; also the name of a member, after which its value follows.
    fn text(&mut self, _text: &str) {}
    fn begin_array(&mut self) {}
    fn end_array(&mut self) {}
    fn begin_object(&mut self) {}
    fn begin_member(&mut self) {}
    fn end_member(&mut self) {}
    fn end_object(&mut self) {}
}

/// Listens to nothing.
pub(super) struct Silent;

impl Events for Silent {}

/// Why a text is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub(super) struct NotJson {
    what: &'static str,
    at: usize,
}

/// Reads a whole text, which holds one value, nested to at most [`DEPTH_MAX`].
pub(super) fn scan(text: &str, events: &mut impl Events) -> Result<(), NotJson> {
    scan_deep(text, DEPTH_MAX, events)
}

/// As [`scan`], with another limit. Each level takes some hundred bytes of stack.
pub(super) fn scan_deep(text: &str, depth_max: usize, events: &mut impl Events) -> Result<(), NotJson> {
    let mut scanner = Scanner {
        text,
        at: 0,
        depth_max,
        unescaped: String::new(),
    };
    scanner.space();
    scanner.value(events, 0)?;
    scanner.space();
    if scanner.at < text.len() {
        Err(scanner.wrong("something after the value"))
    } else {
        Ok(())
    }
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    depth_max: usize,
    unescaped: String,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    const fn wrong(&self, what: &'static str) -> NotJson {
        NotJson { what, at: self.at }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str) -> Result<(), NotJson> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.wrong("no JSON value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn value(&mut self, events: &mut impl Events, depth: usize) -> Result<(), NotJson> {
        if depth > self.depth_max {
            return Err(self.wrong("too many levels of nesting"));
        }
        match self.peek() {
            Some(b'"') => {
                let text = self.string()?;
                events.text(text);
            }
            Some(b'{') => return self.object(events, depth),
            Some(b'[') => return self.array(events, depth),
            Some(b'-' | b'0'..=b'9') => {
                let digits = self.number()?;
                events.number(digits);
            }
            Some(b't') => {
                self.word("true")?;
                events.boolean(true);
            }
            Some(b'f') => {
                self.word("false")?;
                events.boolean(false);
            }
            Some(b'n') => {
                self.word("null")?;
                events.null();
            }
            Some(_) => return Err(self.wrong("no JSON value")),
            None => return Err(self.wrong("the text ends")),
        }
        Ok(())
    }

    fn array(&mut self, events: &mut impl Events, depth: usize) -> Result<(), NotJson> {
        self.at += 1;
        events.begin_array();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            events.end_array();
            return Ok(());
        }
        loop {
            self.space();
            self.value(events, depth + 1)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.wrong("neither `,` nor `]`")),
            }
        }
        self.at += 1;
        events.end_array();
        Ok(())
    }

    fn object(&mut self, events: &mut impl Events, depth: usize) -> Result<(), NotJson> {
        self.at += 1;
        events.begin_object();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            events.end_object();
            return Ok(());
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("no member name"));
            }
            events.begin_member();
            let name = self.string()?;
            events.text(name);
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.wrong("no `:`"));
            }
            self.at += 1;
            self.space();
            self.value(events, depth + 1)?;
            events.end_member();
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.wrong("neither `,` nor `}`")),
            }
        }
        self.at += 1;
        events.end_object();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            Err(self.wrong("no digit"))
        } else {
            Ok(())
        }
    }

    fn number(&mut self) -> Result<&str, NotJson> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading = self.at;
        self.digits()?;
        if self.at - leading > 1 && self.text.as_bytes()[leading] == b'0' {
            return Err(NotJson {
                what: "a number with a leading zero",
                at: leading,
            });
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    /// The text from its quote on, escapes resolved.
    fn string(&mut self) -> Result<&str, NotJson> {
        self.at += 1;
        let start = self.at;
        let mut copied = start;
        let mut escaped = false;
        loop {
            match self.peek() {
                None => return Err(self.wrong("the text ends")),
                Some(b'"') => break,
                Some(b'\\') => {
                    if !escaped {
                        self.unescaped.clear();
                        escaped = true;
                    }
                    self.unescaped.push_str(&self.text[copied..self.at]);
                    self.escape()?;
                    copied = self.at;
                }
                Some(0..=0x1f) => return Err(self.wrong("a control character in a text")),
                Some(_) => self.at += 1,
            }
        }
        let end = self.at;
        self.at += 1;
        if !escaped {
            return Ok(&self.text[start..end]);
        }
        self.unescaped.push_str(&self.text[copied..end]);
        Ok(&self.unescaped)
    }

    fn escape(&mut self) -> Result<(), NotJson> {
        self.at += 1;
        let character = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let character = self.unicode()?;
                self.unescaped.push(character);
                return Ok(());
            }
            _ => return Err(self.wrong("an unknown escape")),
        };
        self.at += 1;
        self.unescaped.push(character);
        Ok(())
    }

    fn unicode(&mut self) -> Result<char, NotJson> {
        let start = self.at;
        let first = self.four_digits()?;
        let code = if (0xd800..0xdc00).contains(&first) && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            self.at += 1;
            let second = self.four_digits()?;
            let low = second.wrapping_sub(0xdc00);
            if low < 0x400 {
                0x10000 + ((first - 0xd800) << 10) + low
            } else {
                first
            }
        } else {
            first
        };
        char::from_u32(code).ok_or(NotJson {
            what: "half a surrogate pair",
            at: start,
        })
    }

    /// From the `u` on.
    fn four_digits(&mut self) -> Result<u32, NotJson> {
        self.at += 1;
        let digits = self
            .text
            .as_bytes()
            .get(self.at..self.at + 4)
            .ok_or(self.wrong("the text ends"))?;
        let mut code = 0;
        for digit in digits {
            code = code * 16 + char::from(*digit).to_digit(16).ok_or(self.wrong("an unknown escape"))?;
        }
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_json(text: &str) -> bool {
        scan(text, &mut Silent).is_ok()
    }

    #[test]
    fn takes_what_rfc_8259_takes() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        for text in [
            "1",
            "-0.5e+10",
            " [ ] ",
            "{}",
            r#"{"a":[1,{"b":null}]}"#,
            r#""\u00e4\ud83d\ude00\n""#,
            "true",
            &deep,
        ] {
            assert!(is_json(text), "{text}");
        }
    }

    #[test]
    fn refuses_what_others_would_not_read() {
        let deep = format!("{}1{}", "[".repeat(101), "]".repeat(101));
        for text in [
            "",
            "NaN",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            "+1",
            ".5",
            "1e",
            "'a'",
            "\"a",
            "\"\u{1}\"",
            "\"\\x\"",
            "[1 2]",
            "1 2",
            "{a:1}",
            "\"\\ud83d\"",
            "\"\\ude00\"",
            "-",
            "tru",
            "// no\n1",
            "\"\\u12\"",
            "\"\\ud83d\\u0041\"",
            &deep,
        ] {
            assert!(!is_json(text), "{text}");
        }
    }
}
