//! `s3:` in a source's file: the object storage that its files are in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::project::review::Review;
use crate::secret::SecretSource;

/// How a path in object storage begins.
pub(super) const SCHEME: &str = "s3://";

/// Object storage that speaks S3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// The storage's scheme, host and port, where it is not Amazon's.
    #[schemars(regex(pattern = r"^https?://[A-Za-z0-9._:\[\]-]+$"), example = &"https://minio.example.com:9000")]
    pub endpoint: Option<String>,
    /// The region's name.
    #[serde(default = "region")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]+$"), example = &"eu-central-1")]
    pub region: String,
    /// What must not be in the file itself. Without it only what is public can be read.
    #[serde(default)]
    pub secrets: StorageSecrets,
}

/// The secrets of object storage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StorageSecrets {
    /// The id of the access key, from an environment variable, a file or a command.
    #[schemars(example = &serde_json::json!({"env": "LAKE_KEY_ID"}))]
    pub key_id: Option<SecretSource>,
    /// The secret of the access key.
    #[schemars(example = &serde_json::json!({"env": "LAKE_SECRET"}))]
    pub secret: Option<SecretSource>,
    /// The token of the session, where the key is a temporary one.
    pub session_token: Option<SecretSource>,
}

fn region() -> String {
    "us-east-1".to_owned()
}

impl Storage {
    /// Its secrets, by the field of the source's file that says where each comes from.
    pub(super) fn secrets(&self) -> Vec<(&'static str, &SecretSource)> {
        let StorageSecrets {
            key_id,
            secret,
            session_token,
        } = &self.secrets;
        let named = [
            ("s3.secrets.key_id", key_id),
            ("s3.secrets.secret", secret),
            ("s3.secrets.session_token", session_token),
        ];
        named
            .into_iter()
            .filter_map(|(field, source)| Some((field, source.as_ref()?)))
            .collect()
    }

    /// Checks it, and the path that is in it.
    pub(super) fn check(&self, path: &str, review: &mut Review<'_>) {
        let secrets = &self.secrets;
        if secrets.key_id.is_some() != secrets.secret.is_some() {
            review.note("s3.secrets", "`key_id` and `secret` go together");
        } else if secrets.session_token.is_some() && secrets.key_id.is_none() {
            review.note("s3.secrets", "a `session_token` goes with a `key_id` and a `secret`");
        }
        let Some(object) = path.strip_prefix(SCHEME) else {
            let message = format!("found `{path}`, and `s3` says that the source is in object storage");
            let help = "write the path as `s3://bucket/folder/*.parquet`, or leave out `s3`";
            return review.note_with_help("path", message, help);
        };
        let named = object
            .split_once('/')
            .filter(|(bucket, key)| is_bucket(bucket) && !key.is_empty());
        let Some((_, key)) = named else {
            let message = format!("found `{path}`, which names no object in a bucket");
            return review.note_with_help("path", message, "write it as `s3://bucket/folder/*.parquet`");
        };
        if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
            let message = format!("found `{path}`; a part between two `/` is empty or has dots only");
            review.note("path", message);
        } else if key.contains(['?', '\\']) {
            // The one would begin settings for DuckDB, the other is a wildcard for it that is none for a file.
            let message = format!("found `{path}`; an object's name cannot have `?` or `\\` here");
            review.note_with_help("path", message, "`*` and `[…]` are the wildcards");
        }
    }
}

/// Whether the text can be the name of a bucket, and nothing else in an address.
fn is_bucket(text: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.chars().all(allowed)
}
