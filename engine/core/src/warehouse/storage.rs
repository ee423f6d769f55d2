//! Object storage, read through DuckDB's extension for it.
//!
//! What the sources name is readable and nothing else: the lock-down lets the instance reach their objects only, and a
//! model can name no file at all. Keys of access come from the source's file; what the machine's environment has of them
//! counts for nothing.

use std::path::PathBuf;

use super::connection::Connection;
use super::error::{self, WarehouseError};
use super::source::masked;
use super::{Secrets, Warehouse, extension, quote};
use crate::project::source::{Source, Storage};

/// DuckDB's extension that speaks S3.
const EXTENSION: &str = "httpfs";

/// Objects that are readable, and how.
pub(super) struct Opened {
    /// What their names begin with.
    scope: String,
    storage: Storage,
    source: String,
}

impl Warehouse {
    /// Makes the objects of a source readable.
    pub(super) fn open_storage(
        &mut self,
        connection: &Connection,
        source: &Source,
        storage: &Storage,
        path: &str,
    ) -> Result<(), WarehouseError> {
        extension::load(connection, EXTENSION, &self.options.extension_dirs)?;
        let scope = scope(path);
        // DuckDB goes by names alone, so it would open the one with the key of the other.
        let overlaps = |other: &&Opened| scope.starts_with(&other.scope) || other.scope.starts_with(scope);
        if let Some(other) = self
            .storages
            .iter()
            .filter(overlaps)
            .find(|other| other.storage != *storage)
        {
            return Err(WarehouseError::Setting {
                source_name: source.name.clone(),
                field: "s3".to_owned(),
                message: format!(
                    "the source `{}` has other settings for objects whose names begin alike; a model can read one of \
                     them, or both with the same `s3`",
                    other.source
                ),
            });
        }
        let secrets = self.secrets_of(source);
        let secret = secret(source, storage, secrets, scope);
        connection.execute(&secret).map_err(|error| WarehouseError::Source {
            source_name: source.name.clone(),
            message: masked(&error.to_string(), secrets),
        })?;
        self.storages.push(Opened {
            scope: scope.to_owned(),
            storage: storage.clone(),
            source: source.name.clone(),
        });
        let allowed = if scope == path {
            &mut self.files
        } else {
            &mut self.folders
        };
        allowed.push(PathBuf::from(scope));
        Ok(())
    }
}

/// The statement that tells DuckDB how objects are reached. Every setting is said, because DuckDB takes those that are
/// not from environment variables such as `AWS_ACCESS_KEY_ID`.
fn secret(source: &Source, storage: &Storage, secrets: &Secrets, scope: &str) -> String {
    let value = |name: &str| quote::text(secrets.get(name).map_or("", |secret| secret.expose()));
    let (scheme, host, style) = match storage.endpoint.as_deref().and_then(|origin| origin.split_once("://")) {
        // A bucket is a part of the path there: few have a host's name for each.
        Some((scheme, host)) => (scheme, host.to_owned(), "path"),
        None => ("https", format!("s3.{}.amazonaws.com", storage.region), "vhost"),
    };
    format!(
        "CREATE TEMPORARY SECRET {} (TYPE s3, SCOPE {}, REGION {}, ENDPOINT {}, URL_STYLE '{style}', USE_SSL {}, \
         KEY_ID {}, SECRET {}, SESSION_TOKEN {}, KMS_KEY_ID '', REQUESTER_PAYS false)",
        quote::identifier(&format!("storage of {}", source.name)),
        quote::text(scope),
        quote::text(&storage.region),
        quote::text(&host),
        scheme == "https",
        value("key_id"),
        value("secret"),
        value("session_token"),
    )
}

/// The part of an object's name that is before every wildcard, up to a `/`.
fn scope(path: &str) -> &str {
    match path.find(['*', '[']) {
        Some(wildcard) => &path[..path[..wildcard].rfind('/').map_or(0, |slash| slash + 1)],
        None => path,
    }
}

/// What a person should know of an error of object storage, and whether it may pass.
pub(super) fn refused(source: &Source, secrets: &Secrets, message: &str) -> WarehouseError {
    let source_name = source.name.clone();
    let message = one_line(&masked(message, secrets));
    let setting = |field: &str, why: String| WarehouseError::Setting {
        source_name: source.name.clone(),
        field: field.to_owned(),
        message: why,
    };
    if message.contains("certificate") {
        return setting(
            "s3.endpoint",
            format!("the storage's certificate is not trusted: {message}"),
        );
    }
    match status(&message) {
        Some(401 | 403) if secrets.contains_key("key_id") => setting(
            "s3.secrets",
            format!(
                "the storage refuses: {message}; the key is wrong, or may not read these objects (and list them, where the path is a glob)"
            ),
        ),
        Some(401 | 403) => setting(
            "s3",
            format!("the storage refuses: {message}; say in `s3.secrets` which key it asks for"),
        ),
        Some(301 | 400) => setting(
            "s3.region",
            format!("the storage refuses, perhaps because the bucket is in another region: {message}"),
        ),
        _ if error::is_away(&message) => WarehouseError::Away { source_name, message },
        _ => WarehouseError::Source { source_name, message },
    }
}

/// DuckDB's message with what the storage itself says, and without what DuckDB guesses of it.
fn one_line(message: &str) -> String {
    let guessed = ["\n\nAuthentication Failure", "\n\nBad Request"];
    let end = guessed.iter().filter_map(|words| message.find(words)).min();
    let said = message[..end.unwrap_or(message.len())].lines().map(str::trim);
    said.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// The status of the answer that DuckDB's message is about, if it is about one.
pub(super) fn status(message: &str) -> Option<u16> {
    ["(HTTP ", "returned HTTP "].iter().find_map(|words| {
        let (_, after) = message.split_once(words)?;
        after.get(..3)?.parse().ok()
    })
}

/// Whether DuckDB's message says that there was no whole answer, or that an object was replaced while it was read.
pub(super) fn broke_off(message: &str) -> bool {
    (message.contains(" error for HTTP ") && !message.contains("certificate"))
        || message.contains("this likely means the remote file has changed")
        || message.contains("Short read for HTTP GET")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::project::source::SourceKind;
    use crate::secret::Secret;
    use crate::warehouse::tests::open;

    fn source(name: &str, path: &str, storage: Storage) -> Source {
        Source {
            name: name.into(),
            file: format!("sources/{name}.yml").into(),
            kind: SourceKind::Parquet {
                path: path.into(),
                s3: Some(storage),
            },
            marks: Default::default(),
        }
    }

    #[test]
    fn a_scope_ends_before_the_first_wildcard() {
        for (path, wanted) in [
            ("s3://b/a.csv", "s3://b/a.csv"),
            ("s3://b/x/*.csv", "s3://b/x/"),
            ("s3://b/x/y*/[ab].csv", "s3://b/x/"),
            ("s3://b/*.csv", "s3://b/"),
        ] {
            assert_eq!(scope(path), wanted);
        }
    }

    #[test]
    fn what_the_storage_refuses_names_the_field_and_what_may_pass_is_told_apart() {
        let people = source("people", "s3://lake/a.parquet", Storage::default());
        let key = BTreeMap::from([("key_id".to_owned(), Secret::of("AK'IA"))]);
        let told = |secrets: &Secrets, status: &str| {
            let message = format!("HTTP GET error reading 's3://lake/a.parquet' in region 'x' (HTTP {status})");
            refused(&people, secrets, &message)
        };
        for (secrets, status, wanted) in [
            (&key, "403 Forbidden", "s3.secrets"),
            (&Secrets::new(), "403 Forbidden", "s3"),
            (&key, "400 Bad Request", "s3.region"),
        ] {
            let error = told(secrets, status);
            let WarehouseError::Setting { field, .. } = &error else {
                panic!("{error:?}")
            };
            assert_eq!(field, wanted);
            assert!(!error.is_transient(), "{error}");
        }
        for status in ["503 Slow Down", "500 Internal Server Error", "429 Too Many Requests"] {
            let error = told(&key, status);
            assert!(
                matches!(error, WarehouseError::Away { .. }) && error.is_transient(),
                "{error}"
            );
        }
        let refused = |message: &str| refused(&people, &key, message);
        let error = refused("Could not connect to server error for HTTP HEAD to 'http://127.0.0.1:1/lake/a'");
        assert!(error.is_transient(), "{error}");
        let error = refused("SSL peer certificate or SSH remote key was not OK error for HTTP HEAD to 'https://a'");
        assert!(
            !error.is_transient() && error.to_string().contains("s3.endpoint"),
            "{error}"
        );
        assert!(
            refused("no key AK'IA, AK''IA")
                .to_string()
                .ends_with("no key {secret.key_id}, {secret.key_id}")
        );
    }

    #[test]
    fn sources_with_other_settings_for_the_same_objects_are_told_apart_before_they_are_confused() {
        let mut warehouse = open();
        let connection = warehouse.connect().unwrap();
        if extension::load(&connection, EXTENSION, &[]).is_err() {
            eprintln!("skipped: there is no {EXTENSION}");
            return;
        }
        let elsewhere = Storage {
            endpoint: Some("https://minio.example.com".into()),
            ..Storage::default()
        };
        let mut open = |name: &str, path: &str, storage: &Storage| {
            let source = source(name, path, storage.clone());
            warehouse.open_storage(&connection, &source, storage, path)
        };
        open("a", "s3://lake/x/*.parquet", &elsewhere).unwrap();
        open("b", "s3://lake/x/1.parquet", &elsewhere).unwrap();
        open("c", "s3://lake/y/*.parquet", &Storage::default()).unwrap();
        let error = open("d", "s3://lake/x/1.parquet", &Storage::default()).unwrap_err();
        assert!(
            error.to_string().contains("source `d`: `s3`: the source `a`"),
            "{error}"
        );
        assert!(open("e", "s3://lake/*.parquet", &Storage::default()).is_err());
    }
}
