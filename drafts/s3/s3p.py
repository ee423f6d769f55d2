p='engine/core/src/project/source.rs'; s=open(p).read()
field='''        /// The object storage that `path` is in, where it begins with `s3://`.
        s3: Option<S3>,
'''
# csv: after header
old='''        header: Option<bool>,
    },'''
assert s.count(old)==1
s=s.replace(old,'''        header: Option<bool>,
'''+field+'''    },''')
s=s.replace('''    /// Parquet files.
    Parquet {
        /// The file, or files by a glob such as `data/*.parquet`, relative to the project.
        path: PathBuf,
    },''','''    /// Parquet files.
    Parquet {
        /// The file, or files by a glob such as `data/*.parquet`, relative to the project.
        path: PathBuf,
'''+field+'''    },''')
s=s.replace('''        #[serde(default)]
        columns: IndexMap<String, String>,
    },
    /// A DuckDB database file.''','''        #[serde(default)]
        columns: IndexMap<String, String>,
'''+field+'''    },
    /// A DuckDB database file.''')
s=s.replace('''/// How a connection to a PostgreSQL server is protected''','''/// Object storage that speaks S3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// Where the storage is, if it is not Amazon's: scheme, host and port.
    #[schemars(regex(pattern = r"^https?://[^/@?#]+$"), example = &"https://minio.example.com:9000")]
    pub endpoint: Option<String>,
    /// The region.
    #[serde(default = "s3_region")]
    #[schemars(length(min = 1), example = &"eu-central-1")]
    pub region: String,
    /// What must not be in the file itself. Without them only what is public can be read.
    #[serde(default)]
    pub secrets: S3Secrets,
}

/// The secrets of object storage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Secrets {
    /// The id of the access key, from an environment variable, a file or a command.
    pub key_id: Option<SecretSource>,
    /// The secret of the access key.
    pub secret: Option<SecretSource>,
    /// The token of a session, where the key is a temporary one.
    pub session_token: Option<SecretSource>,
}

fn s3_region() -> String {
    "us-east-1".to_owned()
}

/// How a connection to a PostgreSQL server is protected''')
s=s.replace('''            Self::Parquet { path }
            | Self''','''            Self::Parquet { path, .. }
            | Self''').replace("            | Self::Parquet { path }\n","            | Self::Parquet { path, .. }\n")
s=s.replace('''        match self {
            Self::Postgres { secrets, .. } => secrets.password.iter().map(|source| ("password", source)).collect(),
            _ => Vec::new(),
        }
    }
''','''        let one = |name, source: &'_ Option<SecretSource>| source.as_ref().map(|source| (name, source));
        match self {
            Self::Postgres { secrets, .. } => one("secrets.password", &secrets.password).into_iter().collect(),
            _ => self.s3().map_or_else(Vec::new, |S3 { secrets, .. }| {
                let named = [
                    one("s3.secrets.key_id", &secrets.key_id),
                    one("s3.secrets.secret", &secrets.secret),
                    one("s3.secrets.session_token", &secrets.session_token),
                ];
                named.into_iter().flatten().collect()
            }),
        }
    }

    /// The object storage that its files are in.
    #[must_use]
    pub const fn s3(&self) -> Option<&S3> {
        match self {
            Self::Csv { s3, .. } | Self::Parquet { s3, .. } | Self::Json { s3, .. } => s3.as_ref(),
            _ => None,
        }
    }
''')
s=s.replace("    /// Its secrets by name.\n","    /// Its secrets, by the field that says where each comes from.\n")
s=s.replace('''        if let Some(field) = source.empty_field() {
            review.note(&format!("secrets.{secret}.{field}"), "is empty");
        }''','''        if let Some(field) = source.empty_field() {
            review.note(&format!("{secret}.{field}"), "is empty");
        }''')
s=s.replace('''    if let Some(path) = kind.paths_mut() {
        *path = root.join(&*path);
    }
''','''    if kind.s3().is_none()
        && let Some(path) = kind.paths_mut()
    {
        *path = root.join(&*path);
    }
''')
a=s.index("fn check_path(kind: &SourceKind")
s=s[:a]+'''fn check_path(kind: &SourceKind, written: &str, review: &mut Review<'_>) {
    let is_database = matches!(kind, SourceKind::Duckdb { .. } | SourceKind::Sqlite { .. });
    if written.is_empty() {
        review.note("path", "is empty");
    } else if let Some(S3 { secrets, .. }) = kind.s3() {
        check_object(written, review);
        if secrets.key_id.is_some() != secrets.secret.is_some() {
            review.note("s3.secrets", "`key_id` and `secret` go together");
        }
    } else if written.starts_with("s3://") && !is_database {
        review.note_with_help(
            "path",
            format!("found `{written}`, and nothing says which storage that is in"),
            "add `s3: {region: …}`, with `endpoint` where it is not Amazon's, and its `secrets`",
        );
    } else if written.contains("://") {
        review.note_with_help(
            "path",
            format!("found `{written}`; sources are read from files"),
            "give a path, or `s3://bucket/path` for a file in object storage",
        );
    } else if is_database && written.contains(['*', '?']) {
        review.note("path", format!("found `{written}`; a database is one file, not a glob"));
    }
}

/// Checks the name of an object, or of objects by a glob.
fn check_object(written: &str, review: &mut Review<'_>) {
    let bucket_and_key = written
        .strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'))
        .filter(|(bucket, key)| !bucket.is_empty() && !bucket.contains(['*', '?', '[']) && !key.is_empty());
    let Some((_, key)) = bucket_and_key else {
        let message = format!("found `{written}`, which names no object in a bucket");
        review.note_with_help("path", message, "write it as `s3://bucket/folder/*.parquet`");
        return;
    };
    if key.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        let message = format!("found `{written}`; a part between two `/` is empty or has dots only");
        review.note("path", message);
    }
}
'''
open(p,'w').write(s)
p='engine/core/src/project/review.rs'; s=open(p).read()
s=s.replace('''        FileKind::Destination | FileKind::Source => &["/secrets"],''','''        FileKind::Destination => &["/secrets"],
        FileKind::Source => &["/secrets", "/s3/secrets"],''')
open(p,'w').write(s)
p='engine/core/src/run/compile.rs'; s=open(p).read()
s=s.replace('''        for (name, from) in source.kind.secrets() {
            let secret = from
                .read(name, &project.root)
                .await
                .map_err(|why| Diagnostics(vec![source.diagnostic(&format!("secrets.{name}"), why)]))?;
''','''        for (field, from) in source.kind.secrets() {
            let name = field.rsplit('.').next().unwrap_or(field);
            let secret = from
                .read(name, &project.root)
                .await
                .map_err(|why| Diagnostics(vec![source.diagnostic(field, why)]))?;
''')
open(p,'w').write(s)
p='engine/core/src/project/tests/agreement.rs'; s=open(p).read()
s=s.replace('''        (FileKind::Source, "type: postgres\\nhost: a\\ndatabase: b\\nuser: c\\n"),
''','''        (FileKind::Source, "type: parquet\\npath: s3://a/b\\ns3: {}\\n"),
        (
            FileKind::Source,
            "type: csv\\npath: s3://a/b\\ns3: {endpoint: \\"http://127.0.0.1:9000\\", region: c, secrets: {key_id: {env: D}, secret: {file: e}}}\\n",
        ),
        (FileKind::Source, "type: postgres\\nhost: a\\ndatabase: b\\nuser: c\\n"),
''',1)
s=s.replace('''        (FileKind::Source, "type: postgres\\ndatabase: b\\nuser: c\\n"),
''','''        (FileKind::Source, "type: parquet\\npath: s3://a/b\\ns3: {bucket: a}\\n"),
        (FileKind::Source, "type: parquet\\npath: s3://a/b\\ns3: {secrets: {key: {env: D}}}\\n"),
        (FileKind::Source, "type: postgres\\ndatabase: b\\nuser: c\\n"),
''',1)
open(p,'w').write(s)
p='engine/core/src/warehouse/error.rs'; s=open(p).read()
s=s.replace('''            "database does not exist",
        ]''','''            "database does not exist",
            "(HTTP 404 ",
        ]''')
s=s.replace('''        "canceling statement due to conflict with recovery",
''','''        "canceling statement due to conflict with recovery",
        // Object storage. What changes while it is read is to be read again.
        "Could not connect to server error for HTTP",
        "Could not resolve hostname error for HTTP",
        "Timeout was reached error for HTTP",
        "(HTTP 429 ",
        "(HTTP 500 ",
        "(HTTP 502 ",
        "(HTTP 503 ",
        "(HTTP 504 ",
        "this likely means the remote file has changed",
''')
open(p,'w').write(s)
p='engine/core/src/warehouse.rs'; s=open(p).read()
s=s.replace("mod source;\nmod vector;","mod source;\nmod storage;\nmod vector;")
open(p,'w').write(s)
open('engine/core/src/warehouse/storage.rs','w').write('''//! Files in object storage, read through DuckDB's extension for it.
//!
//! What a source names can be read and nothing else: the instance is locked down to its objects, and a model can name no
//! file at all.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::connection::Connection;
use super::error::{self, WarehouseError};
use super::{Warehouse, extension, quote};
use crate::project::source::{S3, Source};

/// DuckDB's extension that speaks S3.
const EXTENSION: &str = "httpfs";

impl Warehouse {
    /// Makes the objects that a source names readable.
    pub(super) fn open_storage(
        &mut self,
        connection: &Connection,
        source: &Source,
        storage: &S3,
        path: &str,
    ) -> Result<(), WarehouseError> {
        extension::load(connection, EXTENSION, &self.options.extension_dirs)?;
        let scope = scope(path);
        let mut secret = format!(
            "CREATE TEMPORARY SECRET {} (TYPE s3, SCOPE {}, REGION {}",
            quote::identifier(&format!("storage of {}", source.name)),
            quote::text(scope),
            quote::text(&storage.region)
        );
        if let Some((scheme, host)) = storage.endpoint.as_deref().and_then(|origin| origin.split_once("://")) {
            // A bucket is a part of the path there, for a name of its own it seldom has.
            secret += &format!(
                ", ENDPOINT {}, URL_STYLE 'path', USE_SSL {}",
                quote::text(host),
                scheme == "https"
            );
        }
        let none = BTreeMap::new();
        let secrets = self.secrets.get(&source.name).unwrap_or(&none);
        for (name, option) in [("key_id", "KEY_ID"), ("secret", "SECRET"), ("session_token", "SESSION_TOKEN")] {
            if let Some(value) = secrets.get(name) {
                secret += &format!(", {option} {}", quote::text(value.expose()));
            }
        }
        connection
            .execute(&format!("{secret})"))
            .map_err(|_| WarehouseError::Source {
                source_name: source.name.clone(),
                // DuckDB's words may have the secret in them.
                message: "DuckDB does not take the storage's settings".to_owned(),
            })?;
        if scope == path {
            self.files.push(PathBuf::from(path));
        } else {
            self.folders.push(PathBuf::from(scope));
        }
        Ok(())
    }
}

/// The part of an object's name that is before every wildcard, up to a `/`.
fn scope(path: &str) -> &str {
    match path.find(['*', '?', '[']) {
        Some(wildcard) => &path[..path[..wildcard].rfind('/').map_or(0, |slash| slash + 1)],
        None => path,
    }
}

/// What a person should know of an error of object storage, and whether it may pass.
pub(super) fn refused(source: &Source, message: String) -> WarehouseError {
    let source_name = source.name.clone();
    let denied = message.contains("(HTTP 403 ") || message.contains("(HTTP 401 ");
    if denied {
        WarehouseError::Setting {
            source_name,
            field: "s3.secrets".to_owned(),
            message: format!("the storage refuses: {message}"),
        }
    } else if message.contains("(HTTP 400 ") || message.contains("(HTTP 301 ") {
        WarehouseError::Setting {
            source_name,
            field: "s3.region".to_owned(),
            message: format!("the storage refuses, perhaps for the region: {message}"),
        }
    } else if error::is_away(&message) {
        WarehouseError::Away { source_name, message }
    } else {
        WarehouseError::Source { source_name, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_ends_before_the_first_wildcard() {
        for (path, wanted) in [
            ("s3://b/a.csv", "s3://b/a.csv"),
            ("s3://b/x/*.csv", "s3://b/x/"),
            ("s3://b/x/y*/*.csv", "s3://b/x/"),
            ("s3://b/*.csv", "s3://b/"),
        ] {
            assert_eq!(scope(path), wanted);
        }
    }
}
''')
p='engine/core/src/warehouse/source.rs'; s=open(p).read()
s=s.replace('''        check_present(connection, source, path)?;
''','''        match source.kind.s3() {
            Some(storage) => self.open_storage(connection, source, storage, &path.to_string_lossy())?,
            None => check_present(connection, source, path)?,
        }
''')
s=s.replace('''        match glob_folder(path) {
            Some(folder) => self.folders.push(folder),
            None => self.files.push(path.clone()),
        }
''','''        match glob_folder(path) {
            _ if source.kind.s3().is_some() => {}
            Some(folder) => self.folders.push(folder),
            None => self.files.push(path.clone()),
        }
''')
s=s.replace('''        _ => WarehouseError::Source { source_name, message },
    }
}
''','''        _ if source.kind.s3().is_some() => storage::refused(source, message),
        _ => WarehouseError::Source { source_name, message },
    }
}
''')
s=s.replace("use super::{Column, Shape, Warehouse, extension, quote};","use super::{Column, Shape, Warehouse, extension, quote, storage};")
open(p,'w').write(s)
