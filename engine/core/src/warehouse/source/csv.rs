//! CSV files. What separates values, what columns are called and what they hold is decided here, by rules that a person can
//! know, and then told to DuckDB in full: a guess of its own may turn a ragged line into one column, a header that looks
//! like data into a row, and a long number into a rounded one.
//!
//! A file is RFC 4180's. Its first line names the columns, unless `header: false` says that it does not. The delimiter is
//! the one of `,` `;` tab and `|` that the first line has most of, unless it is declared. A line with more or fewer values
//! than the first is an error. A column whose type is neither declared nor pinned has the one that its first values have.

use std::fmt::Write as _;

use indexmap::IndexMap;

use super::{fault, glob_folder, struct_of, typed};
use crate::project::source::SourceKind;
use crate::warehouse::connection::Connection;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::{Column, quote};

/// Rows of which the types of columns are found out.
const SAMPLE_ROWS: u64 = 20_480;
/// Lines that the names of columns may take, where they have line breaks in quotes.
const FIRST_LINES_MAX: u64 = 64;
/// Files of which every query looks at the first line again.
const WATCHED_FILES_MAX: usize = 32;
/// Digits that a DOUBLE keeps, whatever the number.
const DOUBLE_DIGITS: u32 = 17;
/// Separates nothing: with it a whole line is one value.
const NO_DELIMITER: &str = "\u{1}\u{2}\u{3}";

/// What the source's file says of its CSV files.
struct Declared<'a> {
    columns: &'a IndexMap<String, String>,
    nulls: &'a [String],
    delimiter: Option<&'a str>,
    quote: &'a str,
    escape: &'a str,
    header: bool,
}

/// A file, as its first line says.
struct File {
    path: String,
    first_line: String,
    delimiter: String,
    names: Vec<String>,
}

/// The relation of a source's files in SQL, and its columns.
///
/// # Errors
/// What is wrong with the files.
pub(super) fn relation(
    connection: &Connection,
    kind: &SourceKind,
    pinned: &[Column],
) -> Result<Option<(String, Vec<Column>)>, WarehouseError> {
    let SourceKind::Csv {
        path,
        columns,
        nulls,
        delimiter,
        quote,
        escape,
        header,
        ..
    } = kind
    else {
        return Ok(None);
    };
    let quote = quote.as_deref().unwrap_or("\"");
    let declared = Declared {
        columns,
        nulls,
        delimiter: delimiter.as_deref(),
        quote,
        escape: escape.as_deref().unwrap_or(quote),
        header: header.unwrap_or(true),
    };
    let files = declared.files(connection, &path.to_string_lossy())?;
    let Some(first) = files.first() else {
        return Ok(None);
    };
    check_names(&files, &declared)?;
    let texts = |name: &String| Column {
        name: name.clone(),
        data_type: "VARCHAR".to_owned(),
    };
    let unknown: Vec<&str> = first
        .names
        .iter()
        .filter(|name| !is_known(name, &declared, pinned))
        .map(String::as_str)
        .collect();
    let mut found: Vec<Column> = first.names.iter().map(texts).collect();
    if !unknown.is_empty() {
        let sample = declared.read(&files, &found);
        for (name, data_type) in sniff(connection, &sample, &unknown)? {
            if let Some(column) = found.iter_mut().find(|column| column.name == name) {
                data_type.clone_into(&mut column.data_type);
            }
        }
    }
    let columns = typed(found, declared.columns, pinned);
    let relation = format!(
        "(SELECT * FROM {}{})",
        declared.read(&files, &columns),
        declared.unmoved(&files)
    );
    Ok(Some((relation, columns)))
}

impl Declared<'_> {
    fn files(&self, connection: &Connection, path: &str) -> Result<Vec<File>, WarehouseError> {
        let paths = if glob_folder(path.as_ref()).is_some() {
            let glob = format!("SELECT file FROM glob({}) ORDER BY file", quote::text(path));
            connection.query_rows::<String, WarehouseError>(&glob, |row| row.get(0))?
        } else {
            vec![path.to_owned()]
        };
        paths.into_iter().map(|path| self.file(connection, path)).collect()
    }

    fn file(&self, connection: &Connection, path: String) -> Result<File, WarehouseError> {
        let lines = connection.query_rows::<Option<String>, WarehouseError>(
            &format!("SELECT line FROM {} LIMIT {FIRST_LINES_MAX}", raw(&path)),
            |row| row.get(0),
        )?;
        let lines: Vec<String> = lines.into_iter().map(Option::unwrap_or_default).collect();
        let first_line = lines.first().cloned().unwrap_or_default();
        let text = lines.join("\n");
        let delimiter = match self.delimiter {
            Some(delimiter) => delimiter.to_owned(),
            None => self.most_frequent(&text),
        };
        let (values, is_whole) = self.record(&text, &delimiter);
        if !is_whole {
            return Err(fault(format!("{path}, line 1: a quote is opened and not closed")));
        }
        if self.header && values.iter().all(|value| value.trim().is_empty()) {
            return Err(fault(format!(
                "{path}: its first line is to name the columns, and is empty; where the file has no such line, say `header: false`"
            )));
        }
        let names = if self.header {
            let named = |(index, value): (usize, &String)| match value.trim() {
                "" => format!("column{index}"),
                name => name.to_owned(),
            };
            values.iter().enumerate().map(named).collect()
        } else {
            self.numbered(values.len())
        };
        Ok(File {
            path,
            first_line,
            delimiter,
            names,
        })
    }

    /// Names where the file has none: those that are declared, if they are all, else `column0` and so on.
    fn numbered(&self, count: usize) -> Vec<String> {
        if self.columns.len() == count {
            return self.columns.keys().cloned().collect();
        }
        let digits = count.saturating_sub(1).to_string().len();
        (0..count).map(|index| format!("column{index:0digits$}")).collect()
    }

    /// The delimiter that the first record has most of, outside quotes.
    fn most_frequent(&self, text: &str) -> String {
        let candidates = [",", ";", "\t", "|"];
        let count = |delimiter: &&str| self.record(text, delimiter).0.len();
        let most = candidates.iter().map(count).max().unwrap_or_default();
        let best = candidates.iter().find(|candidate| count(candidate) == most);
        best.map_or(",", |best| *best).to_owned()
    }

    /// The values of the first record of a text, and whether no quote stays open.
    fn record(&self, text: &str, delimiter: &str) -> (Vec<String>, bool) {
        let (mut values, mut value, mut quoted) = (Vec::new(), String::new(), false);
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let starts = |with: &str| !with.is_empty() && rest.starts_with(with);
            let mut step = character.len_utf8();
            if quoted && starts(&format!("{}{}", self.escape, self.quote)) {
                value += self.quote;
                step = self.escape.len() + self.quote.len();
            } else if starts(self.quote) && (quoted || value.trim().is_empty()) {
                quoted = !quoted;
                step = self.quote.len();
            } else if !quoted && starts(delimiter) {
                values.push(std::mem::take(&mut value));
                step = delimiter.len();
            } else if !quoted && matches!(character, '\n' | '\r') {
                break;
            } else {
                value.push(character);
            }
            rest = &rest[step..];
        }
        values.push(value);
        (values, !quoted)
    }

    /// The files with these columns; each file's own order of them counts.
    ///
    /// Never with `parallel = false`: DuckDB 1.5 then drops a quoted value that is not closed, and all after it, in silence.
    fn read(&self, files: &[File], columns: &[Column]) -> String {
        let mut groups: IndexMap<(&str, &[String]), Vec<&str>> = IndexMap::new();
        for file in files {
            groups
                .entry((&file.delimiter, &file.names))
                .or_default()
                .push(&file.path);
        }
        let reads: Vec<_> = groups
            .iter()
            .map(|((delimiter, names), paths)| {
                let own = names.iter().filter_map(|name| {
                    let same = |column: &&Column| column.name.eq_ignore_ascii_case(name);
                    columns.iter().find(same).cloned()
                });
                let own: Vec<_> = own.collect();
                format!(
                    "SELECT * FROM read_csv([{}], columns = {}{})",
                    list(paths.iter().copied()),
                    struct_of(&own),
                    self.options(delimiter)
                )
            })
            .collect();
        format!("({})", reads.join(" UNION ALL BY NAME "))
    }

    fn options(&self, delimiter: &str) -> String {
        let nulls = std::iter::once("").chain(self.nulls.iter().map(String::as_str));
        format!(
            ", auto_detect = false, strict_mode = true, ignore_errors = false, null_padding = false, skip = 0, header = {}, \
             delim = {}, quote = {}, escape = {}, nullstr = [{}]",
            self.header,
            quote::text(delimiter),
            quote::text(self.quote),
            quote::text(if self.quote.is_empty() { "" } else { self.escape }),
            list(nulls)
        )
    }

    /// A condition that fails the query where a first line is another than it was: columns go by their place in the file, and
    /// a file may be replaced at any time.
    fn unmoved(&self, files: &[File]) -> String {
        if !self.header || files.len() > WATCHED_FILES_MAX {
            return String::new();
        }
        let mut conditions = String::new();
        for (index, file) in files.iter().enumerate() {
            let word = if index == 0 { "WHERE" } else { "AND" };
            let moved = quote::text(&format!("{}: {MOVED}", file.path));
            let _ = write!(
                conditions,
                " {word} coalesce((SELECT CASE WHEN line = {} THEN true ELSE error({moved}) END FROM (SELECT line FROM {} LIMIT 1)), error({moved}))",
                quote::text(&file.first_line),
                raw(&file.path)
            );
        }
        conditions
    }
}

/// What a query says of a file whose first line is another than it was a moment before.
pub(in crate::warehouse) const MOVED: &str = "the file changed its columns while it was being read; try again";

/// The lines of a file, in their order.
fn raw(path: &str) -> String {
    format!(
        "read_csv({}, columns = {{'line': 'VARCHAR'}}, auto_detect = false, strict_mode = false, header = false, skip = 0, \
         delim = {}, quote = '', escape = '', parallel = false)",
        quote::text(path),
        quote::text(NO_DELIMITER)
    )
}

fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().map(quote::text).collect::<Vec<_>>().join(", ")
}

fn is_known(name: &str, declared: &Declared<'_>, pinned: &[Column]) -> bool {
    declared.columns.keys().any(|known| known.eq_ignore_ascii_case(name))
        || pinned.iter().any(|known| known.name.eq_ignore_ascii_case(name))
}

/// Names that say which column is meant, the same in every file.
fn check_names(files: &[File], declared: &Declared<'_>) -> Result<(), WarehouseError> {
    let has = |names: &[String], wanted: &str| names.iter().any(|name| name.eq_ignore_ascii_case(wanted));
    for file in files {
        for (index, name) in file.names.iter().enumerate() {
            if has(&file.names[..index], name) {
                return Err(fault(format!(
                    "{}, line 1: two columns are named `{name}`; rename one in the file",
                    file.path
                )));
            }
        }
    }
    let Some((first, rest)) = files.split_first() else {
        return Ok(());
    };
    for file in rest {
        for (has_it, lacks_it) in [(first, file), (file, first)] {
            if let Some(name) = has_it.names.iter().find(|name| !has(&lacks_it.names, name)) {
                return Err(fault(format!(
                    "{} has no column `{name}`, and {} has one; files of one source have the same columns",
                    lacks_it.path, has_it.path
                )));
            }
        }
    }
    let absent = declared.columns.keys().find(|name| !has(&first.names, name));
    let Some(absent) = absent else { return Ok(()) };
    let names: Vec<_> = first.names.iter().map(|name| format!("`{name}`")).collect();
    Err(fault(format!(
        "`columns` declares `{absent}`, which {} does not have; it has {}",
        first.path,
        names.join(", ")
    )))
}

/// Types by the first values: of what is written like a number, a date or a truth value only if it is read back as it was
/// written, so that no digit and no leading zero is lost; else text.
fn sniff<'a>(
    connection: &Connection,
    relation: &str,
    unknown: &[&'a str],
) -> Result<Vec<(&'a str, &'static str)>, WarehouseError> {
    let deciding: Vec<_> = unknown.iter().map(|name| decide(&quote::identifier(name))).collect();
    let sql = format!(
        "SELECT count(*), {} FROM (SELECT * FROM {relation} LIMIT {SAMPLE_ROWS})",
        deciding.join(", ")
    );
    let read = connection.query_row::<_, WarehouseError>(&sql, |row| {
        let types = (1..=unknown.len()).map(|column| row.get::<u64>(column));
        Ok((row.get::<u64>(0)?, types.collect::<Result<Vec<_>, _>>()?))
    })?;
    let (rows, types) = read.unwrap_or_default();
    if rows == 0 {
        let names: Vec<_> = unknown.iter().map(|name| format!("`{name}`")).collect();
        return Err(fault(format!(
            "there are no rows yet, so the types of {} are not known; declare them in `columns` (as `{}: VARCHAR`), or run when there are rows",
            names.join(", "),
            unknown.first().unwrap_or(&"id")
        )));
    }
    let named = |place: u64| match usize::try_from(place).ok().and_then(|place| TYPES.get(place)) {
        Some((name, _)) => *name,
        None => "DOUBLE",
    };
    let types = types.into_iter().map(named);
    Ok(unknown.iter().copied().zip(types).collect())
}

const INTEGER: &str = "-?(0|[1-9][0-9]*)";
/// Types, and how their values are written. The first that fits all values is it.
const TYPES: [(&str, &str); 8] = [
    ("VARCHAR", ""),
    ("BOOLEAN", "(?i)true|false"),
    ("BIGINT", INTEGER),
    ("HUGEINT", INTEGER),
    ("DATE", r"\d{4}-\d\d-\d\d"),
    ("TIME", r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?"),
    ("TIMESTAMP", r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?"),
    (
        "TIMESTAMP WITH TIME ZONE",
        r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)",
    ),
];
const DECIMAL: &str = r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?";

/// The place in [`TYPES`] of a column's type, or that of DOUBLE behind them.
fn decide(column: &str) -> String {
    let all = |condition: String| format!("bool_and({condition}) FILTER (WHERE {column} IS NOT NULL)");
    let mut cases = format!("CASE WHEN count({column}) = 0 THEN 0");
    for (place, (name, pattern)) in TYPES.iter().enumerate().skip(1) {
        let fits = all(format!(
            "regexp_full_match({column}, '{pattern}') AND TRY_CAST({column} AS {name}) IS NOT NULL"
        ));
        let _ = write!(cases, " WHEN {fits} THEN {place}");
    }
    // A finite number whose digits all count.
    let digits = format!("ltrim(regexp_replace(regexp_replace({column}, '[eE].*$', ''), '[^0-9]', '', 'g'), '0')");
    let fits = all(format!(
        "regexp_full_match({column}, '{DECIMAL}') AND length({digits}) <= {DOUBLE_DIGITS} \
         AND isfinite(TRY_CAST({column} AS DOUBLE))"
    ));
    format!("({cases} WHEN {fits} THEN {} ELSE 0 END)::UBIGINT", TYPES.len())
}
