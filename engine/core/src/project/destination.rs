//! `destinations/*.yml`: a plugin, its configuration, and what it is granted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::diagnostic::Diagnostic;
use super::marks::Marks;
use super::review::{self, Review};
use crate::destination::{Grants, SecretSource};

/// A destination as its file describes it.
#[derive(Clone, Debug)]
pub struct DestinationFile {
    /// The destination's name: its file's.
    pub name: String,
    /// The file, relative to the project.
    pub file: PathBuf,
    /// The plugin's name.
    pub plugin: String,
    /// The plugin's configuration: a JSON object.
    pub config: Value,
    /// Secrets by name.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Origins that requests may go to, in the spelling that browsers give them: lower case, no default port.
    pub allow: Vec<String>,
    /// The granted folder, absolute.
    pub folder: Option<PathBuf>,
    /// Where the file's fields stand, those of the configuration below `config`.
    pub marks: Marks,
}

/// A destination: a plugin, its configuration, and what it may reach.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "destination")]
pub(super) struct DestinationContent {
    /// The plugin's name: that of its component without `.wasm`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]*$"), example = &"http")]
    plugin: String,
    /// The plugin's configuration. `outflow plugin inspect` shows its schema.
    #[serde(default)]
    config: serde_json::Map<String, Value>,
    /// Secrets by name, each from an environment variable, a file or a command. The plugin never sees their values.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z0-9_-]+$", "description": "Letters, digits, `_` and `-`."}))]
    secrets: BTreeMap<String, SecretSource>,
    /// Origins that the plugin's requests may go to: scheme, host, and the port where it is not the scheme's.
    #[serde(default)]
    #[schemars(example = ["https://crm.example.com"])]
    allow: Vec<String>,
    /// The folder that the plugin's files are written to, relative to the project.
    #[schemars(example = &"out")]
    folder: Option<PathBuf>,
}

impl DestinationContent {
    pub(super) fn check(self, name: &str, root: &Path, review: &mut Review<'_>) -> Option<DestinationFile> {
        let mut allow = Vec::new();
        for (index, written) in self.allow.iter().enumerate() {
            match origin(written) {
                Ok(origin) => allow.push(origin),
                Err(help) => {
                    review.note_with_help(
                        &format!("allow[{index}]"),
                        format!("found `{}`, which is no origin", masked(written)),
                        help,
                    );
                }
            }
        }
        for (secret, source) in &self.secrets {
            if let Some(field) = source.empty_field() {
                review.note(&format!("secrets.{secret}.{field}"), "is empty");
            }
        }
        if self.folder.as_ref().is_some_and(|folder| folder.as_os_str().is_empty()) {
            review.note_with_help("folder", "is empty", "name a folder, as `out`, or leave the field out");
        }
        review.found.is_empty().then(|| DestinationFile {
            name: name.to_owned(),
            file: review.file.to_owned(),
            plugin: self.plugin,
            config: Value::Object(self.config),
            secrets: self.secrets,
            allow,
            folder: self.folder.map(|folder| root.join(folder)),
            marks: review.marks.clone(),
        })
    }
}

/// The origin that is written, in its one spelling; else what would be right.
fn origin(written: &str) -> Result<String, String> {
    let example = "an origin is written as `https://crm.example.com` or `https://crm.example.com:8443`";
    if written.contains('*') {
        return Err(format!("name each host: there are no wildcards; {example}"));
    }
    let url = Url::parse(written).map_err(|_| example.to_owned())?;
    let plain = url.origin().ascii_serialization();
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(format!("the scheme must be `https` or `http`; {example}"));
    }
    let bare =
        !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some();
    if bare || written.ends_with('/') || url.path() != "/" {
        return Err(format!("write only the origin: `{plain}`"));
    }
    Ok(plain)
}

/// The text without a user name and password, which a URL may hold.
fn masked(written: &str) -> String {
    match (written.find("://"), written.rfind('@')) {
        (Some(start), Some(end)) if start + 3 <= end => {
            format!("{}…{}", &written[..start + 3], &written[end..])
        }
        _ => written.to_owned(),
    }
}

impl DestinationFile {
    /// What the file grants the plugin. `root` is the project's folder.
    #[must_use]
    pub fn grants(&self, root: &Path) -> Grants {
        Grants {
            hosts: self.allow.clone(),
            folder: self.folder.clone(),
            secrets: self.secrets.clone(),
            base: root.to_owned(),
        }
    }

    /// A diagnostic about a field of the file, as `config.base_url`.
    #[must_use]
    pub fn diagnostic(&self, field: &str, message: impl Into<String>) -> Diagnostic {
        review::value_at_fault(&self.file, &self.marks, field, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_one_spelling() {
        for (written, plain) in [
            ("https://crm.example.com", "https://crm.example.com"),
            ("HTTPS://CRM.Example.com:443", "https://crm.example.com"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(origin(written).as_deref(), Ok(plain), "{written}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        for (written, part) in [
            ("crm.example.com", "an origin is written as"),
            ("https://*.example.com", "no wildcards"),
            ("https://crm.example.com/", "only the origin: `https://crm.example.com`"),
            ("https://crm.example.com/v3", "only the origin"),
            (
                "https://me:word@crm.example.com",
                "only the origin: `https://crm.example.com`",
            ),
            ("https://crm.example.com?x=1", "only the origin"),
            ("ftp://crm.example.com", "the scheme must be"),
            ("localhost:8080", "the scheme must be"),
            ("", "an origin is written as"),
        ] {
            let help = origin(written).unwrap_err();
            assert!(help.contains(part), "{written}: {help}");
        }
        assert_eq!(
            masked("https://me:word@crm.example.com/x"),
            "https://…@crm.example.com/x"
        );
    }
}
