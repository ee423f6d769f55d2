//! Secrets: read once per opened destination, given to plugins as placeholders, put in on the way out and taken out
//! of everything that comes back or is shown.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use aho_corasick::{AhoCorasick, MatchKind};
use outflow_core::destination::SecretSource;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Shorter values are not looked for in texts: they would be found everywhere.
const MASKED_BYTES_MIN: usize = 4;
/// RFC 3986's unreserved characters stay, everything else is encoded: right in paths and in queries.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How a value is written at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// As it is: header values, and bodies of types that we do not know.
    Plain,
    /// In a URL or a form.
    Url,
    /// Within a JSON string.
    Json,
}

/// The secrets of one opened destination.
pub(crate) struct Secrets {
    entries: Vec<Entry>,
    placeholders: Option<AhoCorasick>,
    values: Option<Finder>,
}

struct Entry {
    name: String,
    placeholder: String,
    value: String,
}

/// Finds spellings of values and placeholders; `owners` has the entry of each pattern.
struct Finder {
    patterns: AhoCorasick,
    owners: Vec<usize>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.entries.iter().map(|entry| &entry.name))
            .finish()
    }
}

impl Secrets {
    /// Reads them all. An error is the field of the destination's file and what is wrong with it, never a value.
    pub(crate) async fn read(sources: &BTreeMap<String, SecretSource>, base: &Path) -> Result<Self, (String, String)> {
        let mut values = Vec::new();
        for (name, source) in sources {
            let value = source.read(name, base).await;
            let value = value.map_err(|message| (format!("secrets.{name}"), message))?;
            values.push((name.clone(), value.expose().to_owned()));
        }
        Self::new(values).map_err(|error| ("secrets".to_owned(), format!("they cannot be used: {error}")))
    }

    fn new(values: Vec<(String, String)>) -> Result<Self, aho_corasick::BuildError> {
        let entries: Vec<Entry> = values
            .into_iter()
            .map(|(name, value)| Entry {
                name,
                placeholder: format!("outflow-secret-{:032x}", rand::random::<u128>()),
                value,
            })
            .collect();
        let placeholders = match entries.as_slice() {
            [] => None,
            entries => Some(AhoCorasick::new(entries.iter().map(|entry| &entry.placeholder))?),
        };
        let mut patterns = Vec::new();
        let mut owners = Vec::new();
        for (owner, entry) in entries.iter().enumerate() {
            if entry.value.len() < MASKED_BYTES_MIN {
                continue;
            }
            let mut spellings = [Place::Plain, Place::Url, Place::Json]
                .map(|place| written(&entry.value, place).into_owned())
                .to_vec();
            spellings.dedup();
            owners.extend(spellings.iter().map(|_| owner));
            patterns.append(&mut spellings);
        }
        let values = match patterns.as_slice() {
            [] => None,
            patterns => Some(Finder {
                patterns: AhoCorasick::builder()
                    .match_kind(MatchKind::LeftmostLongest)
                    .build(patterns)?,
                owners,
            }),
        };
        Ok(Self {
            entries,
            placeholders,
            values,
        })
    }

    /// Secrets of known values.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(values: [(&str, &str); N]) -> Self {
        Self::new(values.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()).unwrap()
    }

    /// What the plugin gets: placeholders by name.
    pub(crate) fn placeholders(&self) -> BTreeMap<String, String> {
        self.entries
            .iter()
            .map(|entry| (entry.name.clone(), entry.placeholder.clone()))
            .collect()
    }

    /// Puts values where placeholders stand.
    pub(crate) fn fill(&self, text: String, place: Place) -> String {
        match &self.placeholders {
            Some(finder) if finder.is_match(&text) => {
                let values: Vec<_> = self.entries.iter().map(|entry| written(&entry.value, place)).collect();
                finder.replace_all(&text, &values)
            }
            _ => text,
        }
    }

    /// Puts values where placeholders stand.
    pub(crate) fn fill_bytes(&self, bytes: Vec<u8>, place: Place) -> Vec<u8> {
        match &self.placeholders {
            Some(finder) if finder.is_match(&bytes) => {
                let values: Vec<_> = self
                    .entries
                    .iter()
                    .map(|entry| written(&entry.value, place).into_owned())
                    .collect();
                finder.replace_all_bytes(&bytes, &values)
            }
            _ => bytes,
        }
    }

    /// Takes values out of what goes to a plugin: it gets back the placeholders that it knows.
    pub(crate) fn conceal_bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        match &self.values {
            Some(finder) if finder.patterns.is_match(&bytes) => {
                let known: Vec<_> = finder
                    .owners
                    .iter()
                    .map(|owner| self.entries[*owner].placeholder.as_bytes())
                    .collect();
                finder.patterns.replace_all_bytes(&bytes, &known)
            }
            _ => bytes,
        }
    }

    /// Takes values out of what goes to a plugin.
    pub(crate) fn conceal(&self, text: String) -> String {
        // Patterns and replacements are UTF-8, so the result is.
        String::from_utf8(self.conceal_bytes(text.into_bytes())).unwrap_or_default()
    }

    /// Takes values and placeholders out of what people see: each becomes `{secret.NAME}`.
    pub(crate) fn mask(&self, text: String) -> String {
        let text = self.conceal(text);
        match &self.placeholders {
            Some(finder) if finder.is_match(&text) => {
                let names: Vec<_> = self
                    .entries
                    .iter()
                    .map(|entry| format!("{{secret.{}}}", entry.name))
                    .collect();
                finder.replace_all(&text, &names)
            }
            _ => text,
        }
    }
}

fn written(value: &str, place: Place) -> Cow<'_, str> {
    match place {
        Place::Plain => Cow::Borrowed(value),
        Place::Url => utf8_percent_encode(value, RESERVED).into(),
        Place::Json => {
            let quoted = serde_json::Value::from(value).to_string();
            Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        Secrets::new(vec![("token".into(), "pa\"ss wörd".into()), ("pin".into(), "7".into())]).unwrap()
    }

    #[test]
    fn a_value_is_written_for_its_place() {
        let secrets = secrets();
        let token = &secrets.placeholders()["token"];
        assert_eq!(
            secrets.fill(format!("Bearer {token}"), Place::Plain),
            "Bearer pa\"ss wörd"
        );
        assert_eq!(secrets.fill(format!("k={token}"), Place::Url), "k=pa%22ss%20w%C3%B6rd");
        assert_eq!(
            secrets.fill(format!("{{\"k\":\"{token}\"}}"), Place::Json),
            r#"{"k":"pa\"ss wörd"}"#
        );
    }

    #[test]
    fn rule_38_a_value_that_comes_back_is_concealed_in_every_spelling() {
        let secrets = secrets();
        let token = &secrets.placeholders()["token"];
        for spelling in ["pa\"ss wörd", "pa%22ss%20w%C3%B6rd", "pa\\\"ss wörd"] {
            assert_eq!(secrets.conceal(format!("echo {spelling}!")), format!("echo {token}!"));
            assert_eq!(secrets.mask(format!("echo {spelling}!")), "echo {secret.token}!");
        }
        assert_eq!(secrets.mask(format!("uses {token}")), "uses {secret.token}");
        assert_eq!(secrets.mask("7 of 17".into()), "7 of 17");
    }

    #[test]
    fn rule_38_debug_shows_names_only() {
        assert_eq!(format!("{:?}", secrets()), r#"["token", "pin"]"#);
    }

    #[test]
    fn placeholders_differ_from_one_opening_to_the_next() {
        assert_ne!(secrets().placeholders(), secrets().placeholders());
    }

    #[tokio::test]
    async fn rule_38_a_secret_of_several_lines_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["abc\ndef\n", "abc\n\n", "a\u{7}b"] {
            std::fs::write(folder.path().join("t"), text).unwrap();
            let sources = BTreeMap::from([("token".to_owned(), SecretSource::File("t".into()))]);
            let (field, error) = Secrets::read(&sources, folder.path()).await.unwrap_err();
            assert_eq!(field, "secrets.token");
            assert!(error.starts_with("the secret `token` cannot be used: "), "{error}");
            assert!(!error.contains("abc"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_missing_secret_names_its_source() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        let cases = [
            (
                SecretSource::Env("OUTFLOW_NO_SUCH".into()),
                "`OUTFLOW_NO_SUCH` is not set",
            ),
            (SecretSource::File("none".into()), "the file none: No such file"),
            (SecretSource::File("empty".into()), "the file empty is empty"),
            (
                SecretSource::Command(vec!["false".into()]),
                "the command `false` failed (exit status: 1)",
            ),
            (
                SecretSource::Command(vec!["no-such-program".into()]),
                "cannot be started",
            ),
        ];
        for (source, message) in cases {
            let sources = BTreeMap::from([("token".to_owned(), source)]);
            let (field, error) = Secrets::read(&sources, folder.path()).await.unwrap_err();
            assert_eq!(field, "secrets.token");
            assert!(
                error.starts_with("the secret `token` has no value: ") && error.contains(message),
                "{error}"
            );
        }
    }
}
