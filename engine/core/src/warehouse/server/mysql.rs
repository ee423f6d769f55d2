//! MySQL, and MariaDB, which speaks the same.
//!
//! Every type has a counterpart in DuckDB that keeps its values, or comes as text. What DuckDB's extension would lose or
//! misread is computed on the server: a decimal is text on its way, an instant does not depend on the session's time zone,
//! and a date that is none, such as `0000-00-00`, is an error. What a table's reading sees is one moment of the server;
//! several tables are read in one transaction, before anything is done with their rows.

use std::collections::BTreeSet;

use super::{Asks, Described, Server, ServerColumn, link_of};
use crate::project::source::{Source, SourceKind};
use crate::warehouse::connection::Connection;
use crate::warehouse::error::{self, WarehouseError};
use crate::warehouse::source::masked;
use crate::warehouse::{Secrets, quote};

/// DuckDB's extension that speaks to MySQL.
pub(super) const EXTENSION: &str = "mysql_scanner";

/// How the extension asks.
const ASKS: Asks = Asks {
    function: "mysql_query",
    // Without it each table is read by a connection of its own, outside of any transaction.
    in_one_transaction: Some("stream_results => false"),
};

/// Where MySQL's client takes a password from that nobody told it.
const PASSWORD_VARIABLE: &str = "MYSQL_PWD";

/// The columns of every table that the user may see.
const COLUMNS: &str = "SELECT {table_schema} AS schema_name, {table_name} AS table_name, {column_name} AS column_name, \
     {data_type} AS type_name, {column_type} AS full_type, \
     CAST(coalesce(numeric_precision, 0) AS SIGNED) AS digits, CAST(coalesce(numeric_scale, 0) AS SIGNED) AS scale \
     FROM information_schema.columns \
     WHERE table_schema NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys') \
     ORDER BY table_schema, table_name, ordinal_position";

/// MariaDB's columns of JSON, which are texts with a condition there.
const JSON_COLUMNS: &str = "SELECT {constraint_schema} AS schema_name, {table_name} AS table_name, \
     {constraint_name} AS column_name FROM information_schema.check_constraints \
     WHERE check_clause = concat('json_valid(`', constraint_name, '`)')";

/// Attaches the server's database.
pub(super) fn attach(connection: &Connection, source: &Source, secrets: &Secrets) -> Result<Server, WarehouseError> {
    let SourceKind::Mysql {
        host,
        port,
        database,
        user,
        ssl_mode,
        ssl_ca,
        ..
    } = &source.kind
    else {
        return Err(fault(source, "is no MySQL source".to_owned()));
    };
    let link = link_of(source);
    // DuckDB shows the text of ATTACH in its errors, never what a secret of its own says.
    let secret = quote::identifier(&link);
    let mut options = "TYPE mysql, READ_ONLY".to_owned();
    let password = secrets.get("password");
    if let Some(password) = password {
        let sql = format!(
            "CREATE OR REPLACE TEMPORARY SECRET {secret} (TYPE mysql, PASSWORD {})",
            quote::text(password.expose())
        );
        let made = connection.execute(&sql);
        made.map_err(|error| refused(source, secrets, error))?;
        options += &format!(", SECRET {secret}");
    } else if std::env::var_os(PASSWORD_VARIABLE).is_some() {
        return Err(WarehouseError::Setting {
            source_name: source.name.clone(),
            field: "secrets.password".to_owned(),
            message: format!(
                "is not said, and MySQL's client would take it from the environment; say `{{env: {PASSWORD_VARIABLE}}}` \
                 if that is it"
            ),
        });
    }
    // Whatever is not said here would come from the environment.
    let (host, socket) = match host.starts_with('/') {
        true => ("localhost", host.as_str()),
        false => (host.as_str(), ""),
    };
    let mut session = format!(
        "host={} port={port} socket={} database={} user={} ssl_mode={}",
        value(host),
        value(socket),
        value(database),
        value(user),
        ssl_mode.as_str()
    );
    if let Some(path) = ssl_ca {
        session += &format!(" ssl_ca={}", value(&path.to_string_lossy()));
    }
    let attached = connection.execute(&format!("ATTACH {} AS {secret} ({options})", quote::text(&session)));
    attached.map_err(|error| refused(source, secrets, error))?;
    let described = describe(connection, &link).map_err(|error| refused(source, secrets, error))?;
    if password.is_some() {
        // What is attached knows it now.
        connection.execute(&format!("DROP SECRET {secret}"))?;
    }
    Ok(Server::new(link, ASKS, database, described))
}

fn describe(connection: &Connection, link: &str) -> Result<Vec<Described>, WarehouseError> {
    let ask = |sql: &str| format!("FROM mysql_query({}, {})", quote::text(link), quote::text(sql));
    let version = connection.scalar::<String>(&ask(&texts("SELECT {version()} AS v")))?;
    let is_mariadb = version.is_some_and(|version| version.contains("MariaDB"));
    let mut json = BTreeSet::new();
    if is_mariadb {
        let columns = connection.query_rows(&ask(&texts(JSON_COLUMNS)), |row| {
            Ok::<_, WarehouseError>((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        json.extend(columns);
    }
    connection.query_rows(&ask(&texts(COLUMNS)), |row| {
        let place: (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (own, full): (String, String) = (row.get(3)?, row.get(4)?);
        let (digits, scale): (i64, i64) = (row.get(5)?, row.get(6)?);
        let own = if json.contains(&place) { "json" } else { own.as_str() };
        let (schema, table, name) = place;
        let (data_type, remote) = typed(&name, own, &full, digits, scale);
        Ok(Described {
            remote: format!("{}.{}", identifier(&schema), identifier(&table)),
            schema,
            table,
            column: ServerColumn {
                name,
                data_type,
                remote,
            },
        })
    })
}

/// The type of a column in DuckDB, and what the server computes for it.
fn typed(name: &str, own: &str, full: &str, digits: i64, scale: i64) -> (String, String) {
    let column = identifier(name);
    let to = |data_type: &str, remote: String| (data_type.to_owned(), remote);
    let unsigned = full.contains("unsigned");
    let number = match unsigned {
        true => format!("CAST({column} AS UNSIGNED)"),
        false => format!("CAST({column} AS SIGNED)"),
    };
    match (own, unsigned) {
        // Also what MySQL calls BOOLEAN: it may be any number.
        ("tinyint", false) => to("TINYINT", number),
        ("tinyint", true) => to("UTINYINT", number),
        ("smallint", false) => to("SMALLINT", number),
        ("smallint", true) => to("USMALLINT", number),
        ("mediumint" | "int", false) => to("INTEGER", number),
        ("mediumint" | "int", true) => to("UINTEGER", number),
        ("bigint", false) => to("BIGINT", number),
        ("bigint", true) => to("UBIGINT", number),
        ("year", _) => to("SMALLINT", number),
        ("bit", _) => to("UBIGINT", format!("CAST({column} AS UNSIGNED)")),
        ("float", _) => to("FLOAT", column),
        ("double", _) => to("DOUBLE", column),
        ("decimal", _) if digits <= 38 => to(&format!("DECIMAL({digits},{scale})"), text(&column)),
        // Without the zeros at the end: 1.10 is 1.1.
        ("decimal", _) if scale > 0 => to(
            "VARCHAR",
            text(&format!("TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {column}))")),
        ),
        ("date", _) => to("DATE", dated(name, &column, &text(&column))),
        ("datetime", _) => to("TIMESTAMP", dated(name, &column, &text(&column))),
        // The seconds since 1970 do not depend on the session's time zone.
        ("timestamp", _) => {
            let instant = format!(
                "TIMESTAMPADD(MICROSECOND, CAST(UNIX_TIMESTAMP({column}) * 1000000 AS SIGNED), '1970-01-01 00:00:00')"
            );
            to(
                "TIMESTAMPTZ",
                dated(name, &column, &text(&format!("CONCAT({instant}, '+00')"))),
            )
        }
        ("json", _) => to("JSON", text(&column)),
        ("uuid", _) => to("UUID", text(&column)),
        ("binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob", _) => to("BLOB", column),
        (
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
            | "geometrycollection" | "geomcollection",
            _,
        ) => to("VARCHAR", text(&format!("HEX(ST_AsBinary({column}))"))),
        // A time may be a duration of up to 838 hours, before or after.
        _ => to("VARCHAR", text(&column)),
    }
}

/// A text that no column's or database's own character set or collation turns into bytes.
fn text(expression: &str) -> String {
    format!("CONVERT({expression} USING utf8mb4) COLLATE utf8mb4_general_ci")
}

/// The same for what stands in braces.
fn texts(sql: &str) -> String {
    let mut parts = sql.split('{');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (expression, rest) = part.split_once('}').unwrap_or((part, ""));
        whole += &text(expression);
        whole += rest;
    }
    whole
}

/// `shown`, but for a date that is none a text that cannot be cast to one: that cast is the error.
fn dated(name: &str, column: &str, shown: &str) -> String {
    let why = literal(&format!("the column {name} has what is no date: "));
    let said = text(&format!("CONCAT({why}, {column})"));
    format!("CASE WHEN MONTH({column}) = 0 OR DAYOFMONTH({column}) = 0 THEN {said} ELSE {shown} END")
}

/// A name in MySQL's SQL.
fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text in MySQL's SQL.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A value in the extension's connection string.
fn value(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What of the source's file is at fault where the server refuses, by words of its message.
const REFUSALS: [(&str, &str); 8] = [
    ("to database '", "database"),
    ("Unknown database", "database"),
    ("using password: YES", "secrets.password"),
    ("using password: NO", "secrets.password"),
    ("Access denied for user", "user"),
    ("is not allowed to connect", "user"),
    ("ertificate", "ssl_ca"),
    ("SSL", "ssl_mode"),
];

/// What a person should know of an error of the server, and whether it may pass.
fn refused(source: &Source, secrets: &Secrets, error: WarehouseError) -> WarehouseError {
    let WarehouseError::Database { message, .. } = error else {
        return error;
    };
    // Before it stands the connection string, which tells nothing that the source's file does not.
    let message = message
        .split_once("Failed to connect to MySQL database with parameters \"")
        .and_then(|(_, rest)| rest.split_once("\": "))
        .map_or(message.as_str(), |(_, message)| message);
    let message = masked(message.trim_end(), secrets);
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
    use super::*;

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
        let told = |message: &str| {
            let error = WarehouseError::Database {
                kind: "IO".into(),
                message: format!(
                    "Failed to connect to MySQL database with parameters \"host=\"db\" port=3306\": {message}. Attempted host: db"
                ),
                position: None,
            };
            refused(&source, &Secrets::new(), error)
        };
        for (message, wanted) in [
            (
                "Access denied for user 'a'@'b' (using password: YES)",
                "secrets.password",
            ),
            ("Access denied for user 'a'@'%' to database 'nope'", "database"),
            ("Unknown database 'nope'", "database"),
            ("Host 'b' is not allowed to connect to this MariaDB server", "user"),
            (
                "TLS/SSL error: SSL is required, but the server does not support it",
                "ssl_mode",
            ),
            ("TLS/SSL error: self-signed certificate in certificate chain", "ssl_ca"),
        ] {
            let error = told(message);
            let WarehouseError::Setting { field, message, .. } = &error else {
                panic!("{error:?}")
            };
            assert_eq!(field, wanted, "{message}");
            assert!(!error.is_transient() && !message.contains("port="), "{message}");
        }
        for message in [
            "Can't connect to server on 'db' (115)",
            "Unknown server host 'db' (-2)",
            "Too many connections",
            "Lost connection to server at 'handshake: reading initial communication packet', system error: 104",
        ] {
            let error = told(message);
            assert!(
                matches!(error, WarehouseError::Away { .. }) && error.is_transient(),
                "{error:?}"
            );
        }
    }
}
