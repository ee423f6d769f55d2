//! PostgreSQL.
//!
//! Every type has a counterpart in DuckDB that keeps its values, or comes as text. What DuckDB's extension would lose is
//! computed on the server: a `numeric` without precision is text with all its digits (else it would be a binary float), a
//! NaN in one with precision is an error (else it would be 0).

use super::{Asks, Described, Server, ServerColumn, link_of};
use crate::project::source::{Source, SourceKind};
use crate::warehouse::Secrets;
use crate::warehouse::connection::Connection;
use crate::warehouse::error::{self, WarehouseError};
use crate::warehouse::quote;
use crate::warehouse::source::masked;

/// DuckDB's extension that speaks to PostgreSQL.
pub(super) const EXTENSION: &str = "postgres_scanner";

/// How the extension asks. What a statement does not use of a table the server does not compute.
const ASKS: Asks = Asks {
    function: "postgres_query",
    in_one_transaction: None,
};

/// How long connecting may take, and when a server that says nothing any more is given up, so that no run waits for ever.
const PATIENCE: &str = "connect_timeout=10 keepalives_idle=30 keepalives_interval=10 keepalives_count=3 \
                        tcp_user_timeout=60000";

/// What is told of times and texts must not depend on settings of server, database, user or machine.
const SESSION: &str =
    r"client_encoding=UTF8 options='-c\ timezone=UTC\ -c\ datestyle=ISO,YMD\ -c\ intervalstyle=postgres'";

/// The columns of every table that the user may read, with each domain's own type. Types of `pg_catalog` have names
/// here, others none.
const COLUMNS: &str = r"
WITH RECURSIVE unfolded(domain, base, typmod) AS (
    SELECT oid, typbasetype, typtypmod FROM pg_catalog.pg_type WHERE typtype = 'd'
    UNION ALL
    SELECT u.domain, t.typbasetype, coalesce(nullif(u.typmod, -1), t.typtypmod)
    FROM unfolded u JOIN pg_catalog.pg_type t ON t.oid = u.base AND t.typtype = 'd'
), bases AS (
    SELECT u.* FROM unfolded u JOIN pg_catalog.pg_type t ON t.oid = u.base AND t.typtype <> 'd'
)
SELECT n.nspname::text AS schema_name, c.relname::text AS table_name, a.attname::text AS column_name,
    CASE WHEN own.typnamespace = 'pg_catalog'::regnamespace THEN own.typname::text ELSE '' END AS type_name,
    CASE WHEN own.typcategory <> 'A' THEN NULL
        WHEN element.typnamespace = 'pg_catalog'::regnamespace THEN element.typname::text ELSE '' END AS element_name,
    coalesce(b.typmod, a.atttypmod)::int AS typmod, a.attndims::int AS dimensions
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN bases b ON b.domain = a.atttypid
JOIN pg_catalog.pg_type own ON own.oid = coalesce(b.base, a.atttypid)
LEFT JOIN pg_catalog.pg_type element ON element.oid = own.typelem
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
    AND has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT')";

pub(super) fn attach(connection: &Connection, source: &Source, secrets: &Secrets) -> Result<Server, WarehouseError> {
    let SourceKind::Postgres {
        host,
        port,
        database,
        user,
        schema,
        sslmode,
        sslrootcert,
        ..
    } = &source.kind
    else {
        return Err(fault(source, "is no PostgreSQL source".to_owned()));
    };
    let link = link_of(source);
    // DuckDB shows the text of ATTACH in its errors, never what a secret of its own says.
    let secret = quote::identifier(&link);
    let mut options = format!(
        "CREATE OR REPLACE TEMPORARY SECRET {secret} (TYPE postgres, HOST {}, PORT {port}, DATABASE {}, USER {}",
        quote::text(host),
        quote::text(database),
        quote::text(user)
    );
    if let Some(password) = secrets.get("password") {
        options += &format!(", PASSWORD {}", quote::text(password.expose()));
    }
    let mut session = format!(
        "{PATIENCE} {SESSION} application_name=outflow sslmode={}",
        sslmode.as_str()
    );
    if let Some(path) = sslrootcert {
        session += &format!(" sslrootcert={}", connection_value(&path.to_string_lossy()));
    }
    let attach = format!(
        "ATTACH {} AS {secret} (TYPE postgres, READ_ONLY, SECRET {secret})",
        quote::text(&session)
    );
    connection
        .execute(&format!("{options})"))
        .and_then(|_| connection.execute(&attach))
        .map_err(|error| refused(source, secrets, error))?;
    // What is attached knows it now.
    connection.execute(&format!("DROP SECRET {secret}"))?;

    let described = connection
        .query_rows(
            &format!(
                "SELECT schema_name, table_name, column_name, type_name, element_name, typmod, dimensions
                 FROM postgres_query({}, {})",
                quote::text(&link),
                quote::text(&format!("{COLUMNS} ORDER BY n.nspname, c.relname, a.attnum"))
            ),
            |row| {
                let (schema, table): (String, String) = (row.get(0)?, row.get(1)?);
                let name: String = row.get(2)?;
                let (own, element): (String, Option<String>) = (row.get(3)?, row.get(4)?);
                let (typmod, dimensions): (i64, i64) = (row.get(5)?, row.get(6)?);
                let (data_type, expression) = match element {
                    Some(element) => list(&name, &element, typmod, dimensions),
                    None => scalar(&name, &own, typmod),
                };
                Ok::<_, WarehouseError>(Described {
                    remote: format!("{}.{}", quote::identifier(&schema), quote::identifier(&table)),
                    schema,
                    table,
                    column: ServerColumn {
                        name,
                        data_type,
                        remote: expression,
                    },
                })
            },
        )
        .map_err(|error| refused(source, secrets, error))?;
    Ok(Server::new(link, ASKS, schema, described))
}

/// The type of a column in DuckDB, and what the server computes for it.
fn scalar(name: &str, own: &str, typmod: i64) -> (String, String) {
    let column = quote::identifier(name);
    let plain = |data_type: &str| (data_type.to_owned(), format!("{column}::pg_catalog.{own}"));
    match own {
        "bool" => plain("BOOLEAN"),
        "int2" => plain("SMALLINT"),
        "int4" => plain("INTEGER"),
        "int8" => plain("BIGINT"),
        "oid" => ("BIGINT".to_owned(), format!("{column}::pg_catalog.int8")),
        "float4" => plain("FLOAT"),
        "float8" => plain("DOUBLE"),
        "bytea" => plain("BLOB"),
        "date" => plain("DATE"),
        "time" => plain("TIME"),
        "timetz" => plain("TIMETZ"),
        "timestamp" => plain("TIMESTAMP"),
        "timestamptz" => plain("TIMESTAMPTZ"),
        "interval" => plain("INTERVAL"),
        "uuid" => plain("UUID"),
        "json" | "jsonb" => ("JSON".to_owned(), format!("{column}::pg_catalog.text")),
        "numeric" => match decimal(typmod) {
            Some(decimal) => {
                // The cast of a text that is no number is the error; it is made of the value, so that it comes only with it.
                let why = quote::text(&format!("the column {name} has what is no number: "));
                let guarded = format!(
                    "(CASE WHEN {column} = 'NaN' THEN ({why} || {column}::pg_catalog.text)::pg_catalog.numeric \
                     ELSE {column} END)::pg_catalog.{decimal}"
                );
                (decimal.to_uppercase().replace("NUMERIC", "DECIMAL"), guarded)
            }
            // Without the zeros at the end that a numeric keeps: 1.10 is 1.1.
            None => {
                let digits = format!("{column}::pg_catalog.text");
                let short = format!(
                    "CASE WHEN strpos({digits}, '.') > 0 THEN rtrim(rtrim({digits}, '0'), '.') ELSE {digits} END"
                );
                ("VARCHAR".to_owned(), short)
            }
        },
        _ => ("VARCHAR".to_owned(), format!("{column}::pg_catalog.text")),
    }
}

/// The same for a column of arrays.
fn list(name: &str, element: &str, typmod: i64, dimensions: i64) -> (String, String) {
    let column = quote::identifier(name);
    if dimensions > 1 {
        return ("JSON".to_owned(), format!("array_to_json({column})::pg_catalog.text"));
    }
    let texts = format!("{column}::pg_catalog.text[]");
    match element {
        "numeric" => match decimal(typmod) {
            Some(decimal) => {
                let why = quote::text(&format!("the column {name} has what is no number: "));
                let guarded = format!(
                    "(CASE WHEN 'NaN' = ANY ({column}) \
                     THEN ARRAY[({why} || {column}::pg_catalog.text)::pg_catalog.numeric] \
                     ELSE {column} END)::pg_catalog.{decimal}[]"
                );
                (
                    format!("{}[]", decimal.to_uppercase().replace("NUMERIC", "DECIMAL")),
                    guarded,
                )
            }
            None => ("VARCHAR[]".to_owned(), texts),
        },
        "json" | "jsonb" => ("JSON[]".to_owned(), texts),
        "bool" | "int2" | "int4" | "int8" | "float4" | "float8" | "date" | "time" | "timestamp" | "timestamptz"
        | "uuid" => {
            let (data_type, _) = scalar(name, element, typmod);
            (format!("{data_type}[]"), format!("{column}::pg_catalog.{element}[]"))
        }
        _ => ("VARCHAR[]".to_owned(), texts),
    }
}

/// The numeric type of that modifier, where DuckDB has one like it: `numeric(10,2)`.
fn decimal(typmod: i64) -> Option<String> {
    let packed = typmod.checked_sub(4).filter(|packed| *packed >= 0)?;
    let precision = (packed >> 16) & 0xffff;
    // The scale has 11 bits and a sign.
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    let fits = (1..=38).contains(&precision) && (0..=precision).contains(&scale);
    fits.then(|| format!("numeric({precision},{scale})"))
}

/// A value in PostgreSQL's connection string.
fn connection_value(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// What of the source's file is at fault where the server refuses, by words of its message.
const REFUSALS: [(&str, &str); 9] = [
    ("password authentication failed", "secrets.password"),
    ("no password supplied", "secrets.password"),
    ("authentication failed", "user"),
    ("no pg_hba.conf entry", "user"),
    ("role \"", "user"),
    ("permission denied for database", "database"),
    ("database \"", "database"),
    ("root certificate file", "sslrootcert"),
    ("SSL", "sslmode"),
];

/// What a person should know of an error of the server, and whether it may pass.
fn refused(source: &Source, secrets: &Secrets, error: WarehouseError) -> WarehouseError {
    let WarehouseError::Database { message, .. } = error else {
        return error;
    };
    // Before it stands the connection string, which tells nothing that the source's file does not.
    let message = message
        .split_once("Unable to connect to Postgres at \"")
        .and_then(|(_, rest)| rest.split_once("\": "))
        .map_or(message.as_str(), |(_, message)| message);
    let message = masked(message.trim_end(), secrets).replace("\n\t", " ");
    if error::is_away(&message) {
        return WarehouseError::Away {
            source_name: source.name.clone(),
            message,
        };
    }
    match REFUSALS.iter().find(|(words, _)| message.contains(words)) {
        Some((_, field)) => WarehouseError::Setting {
            source_name: source.name.clone(),
            field: (*field).to_owned(),
            message: format!("the server refuses: {message}"),
        },
        None => fault(source, message),
    }
}

fn fault(source: &Source, message: String) -> WarehouseError {
    WarehouseError::Source {
        source_name: source.name.clone(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_numeric_is_a_decimal_where_duckdb_has_one_like_it() {
        for (typmod, decimal_type) in [
            (655_366, Some("numeric(10,2)")),
            (2_490_382, Some("numeric(38,10)")),
            (3_932_184, None),
            (-1, None),
            // numeric(5,-2) and numeric(3,5)
            (329_730, None),
            (196_617, None),
        ] {
            assert_eq!(decimal(typmod).as_deref(), decimal_type, "{typmod}");
        }
    }

    #[test]
    fn what_the_server_refuses_names_the_field() {
        let source = Source {
            name: "shop".into(),
            file: "sources/shop.yml".into(),
            kind: SourceKind::Parquet {
                path: "x".into(),
                s3: None,
            },
            marks: Default::default(),
        };
        let secrets = BTreeMap::from([("password".to_owned(), Secret::of("pa'ss"))]);
        let told = |message: &str| {
            let error = WarehouseError::Database {
                kind: "IO".into(),
                message: format!("Unable to connect to Postgres at \"sslmode=prefer\": {message}\n"),
                position: None,
            };
            refused(&source, &secrets, error)
        };
        for (message, wanted) in [
            (
                "FATAL:  password authentication failed for user \"a\"",
                "secrets.password",
            ),
            ("FATAL:  database \"nope\" does not exist", "database"),
            ("FATAL:  role \"nobody\" does not exist", "user"),
            ("server does not support SSL, but SSL was required", "sslmode"),
        ] {
            let error = told(message);
            let WarehouseError::Setting { field, message, .. } = &error else {
                panic!("{error:?}")
            };
            assert_eq!(field, wanted, "{message}");
            assert!(
                !error.is_transient() && !message.contains("sslmode=prefer"),
                "{message}"
            );
        }
        for message in [
            "connection to server at \"db\", port 5432 failed: Connection refused\n\tIs the server running?",
            "FATAL:  the database system is starting up",
            "FATAL:  sorry, too many clients already",
            "could not translate host name \"db\" to address: Name or service not known",
        ] {
            let error = told(message);
            assert!(error.is_transient(), "{error:?}");
        }
        let error = told("it's pa'ss and pa''ss").to_string();
        assert!(
            error.contains("it's {secret.password} and {secret.password}"),
            "{error}"
        );
    }
}
