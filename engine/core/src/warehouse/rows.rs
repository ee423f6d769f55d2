//! The rows of a query, fetched chunk by chunk as DuckDB makes them.

use std::marker::PhantomData;
use std::sync::Arc;

use duckdb::ffi;

use super::connection::{Link, QueryResult, Running, text_at};
use super::error::WarehouseError;
use super::json;
use super::pending::{Pending, Prepared};
use super::vector::{Kind, Vector};

/// A query's rows. Dropping it ends the query.
pub struct Rows<'c> {
    // In this order: the chunk lives in the result, the result on the connection.
    chunk: Option<Chunk>,
    result: QueryResult,
    running: Running,
    names: Vec<String>,
    next: usize,
    _connection: PhantomData<&'c mut ()>,
}

// SAFETY: the handles belong to this value alone and may be used by one thread after another; the connection they come
// from is locked by DuckDB itself.
unsafe impl Send for Rows<'_> {}

impl Rows<'_> {
    pub(super) fn start(link: &Arc<Link>, sql: &str) -> Result<Self, WarehouseError> {
        let running = link.enter()?;
        let prepared = Prepared::new(link, sql)?;
        let mut result = Pending::start(&prepared, true)?.finish()?;
        // SAFETY: the result is initialised; columns are below the count.
        let names = unsafe {
            let count = ffi::duckdb_column_count(result.as_mut_ptr());
            (0..count)
                .map(|column| text_at(ffi::duckdb_column_name(result.as_mut_ptr(), column)))
                .collect()
        };
        Ok(Self {
            chunk: None,
            result,
            running,
            names,
            next: 0,
            _connection: PhantomData,
        })
    }

    /// The names of the columns.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The next row.
    ///
    /// # Errors
    /// What DuckDB says, also in the middle; or that somebody cancelled.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, WarehouseError> {
        while self.chunk.as_ref().is_none_or(|chunk| self.next >= chunk.rows) {
            if !self.fetch()? {
                return Ok(None);
            }
        }
        let row = self.next;
        self.next += 1;
        let Some(chunk) = &self.chunk else {
            return Ok(None);
        };
        Ok(Some(Row {
            names: &self.names,
            chunk,
            row,
        }))
    }

    /// Fetches the next chunk, and says whether there was one.
    fn fetch(&mut self) -> Result<bool, WarehouseError> {
        self.chunk = None;
        self.next = 0;
        self.running.check()?;
        // SAFETY: the result is initialised; DuckDB gives null at the end and on an error.
        let raw = unsafe { ffi::duckdb_fetch_chunk(self.result.handle()) };
        if raw.is_null() {
            return if self.result.failed() {
                Err(self.result.error())
            } else {
                Ok(false)
            };
        }
        self.chunk = Some(Chunk::new(raw)?);
        Ok(true)
    }
}

/// A chunk of a result, destroyed when dropped.
struct Chunk {
    columns: Vec<Vector>,
    rows: usize,
    _raw: RawChunk,
}

struct RawChunk(ffi::duckdb_data_chunk);

impl Drop for RawChunk {
    fn drop(&mut self) {
        // SAFETY: fetched by us, destroyed once.
        unsafe { ffi::duckdb_destroy_data_chunk(&raw mut self.0) };
    }
}

impl Chunk {
    fn new(raw: ffi::duckdb_data_chunk) -> Result<Self, WarehouseError> {
        let raw = RawChunk(raw);
        // SAFETY: the chunk is valid as long as `raw`, which the vectors do not outlive; fetching flattens its vectors.
        unsafe {
            let columns = (0..ffi::duckdb_data_chunk_get_column_count(raw.0))
                .map(|column| Vector::new(ffi::duckdb_data_chunk_get_vector(raw.0, column)))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| WarehouseError::from_duckdb(&format!("Invalid Input Error: {error}")))?;
            #[expect(clippy::cast_possible_truncation, reason = "rows of a chunk")]
            let rows = ffi::duckdb_data_chunk_get_size(raw.0) as usize;
            Ok(Self {
                columns,
                rows,
                _raw: raw,
            })
        }
    }
}

/// A row, as long as the next one is not asked for.
#[derive(Clone, Copy)]
pub struct Row<'r> {
    names: &'r [String],
    chunk: &'r Chunk,
    row: usize,
}

impl<'r> Row<'r> {
    /// The value of a column, counted from 0.
    ///
    /// # Errors
    /// When there is no such column, or its value is not of that type (NULL included, but for an `Option`).
    pub fn get<T: FromCell<'r>>(&self, column: usize) -> Result<T, WarehouseError> {
        T::from_cell(self.cell(column)?)
    }

    /// A column's cell, counted from 0.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn cell(&self, column: usize) -> Result<Cell<'r>, WarehouseError> {
        match self.chunk.columns.get(column) {
            Some(vector) => Ok(Cell {
                vector,
                row: self.row,
                name: &self.names[column],
            }),
            None => Err(WarehouseError::Cell {
                column: column.to_string(),
                found: format!("beyond the {} that there are", self.names.len()),
                wanted: "a column",
            }),
        }
    }

    /// The names of the columns.
    #[must_use]
    pub const fn names(&self) -> &'r [String] {
        self.names
    }
}

/// A value of a result.
#[derive(Clone, Copy)]
pub struct Cell<'r> {
    vector: &'r Vector,
    row: usize,
    name: &'r str,
}

impl<'r> Cell<'r> {
    /// Whether it is NULL.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.vector.kind, Kind::Null) || !self.vector.is_valid(self.row)
    }

    /// The value as JSON text (rule 40).
    #[must_use]
    pub fn json(&self) -> String {
        let mut out = Vec::new();
        self.write_json(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Appends the value as JSON text (rule 40), in UTF-8.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        // SAFETY: the row is within the chunk, which `'r` keeps.
        unsafe { json::write(out, self.vector, self.row) };
    }

    fn error(&self, wanted: &'static str) -> WarehouseError {
        WarehouseError::Cell {
            column: self.name.to_owned(),
            found: self.json(),
            wanted,
        }
    }

    /// The bytes of a kind stored as a string.
    fn bytes(&self, wanted: &'static str, is_wanted: impl FnOnce(&Kind) -> bool) -> Result<&'r [u8], WarehouseError> {
        if self.is_null() || !is_wanted(&self.vector.kind) {
            return Err(self.error(wanted));
        }
        // SAFETY: callers ask for kinds stored as strings; the row is valid, and `'r` keeps the chunk.
        Ok(unsafe { self.vector.bytes(self.row) })
    }

    /// Any integer but those beyond 128 bits with a sign.
    fn integer(&self, wanted: &'static str) -> Result<i128, WarehouseError> {
        if self.is_null() {
            return Err(self.error(wanted));
        }
        let (vector, row) = (self.vector, self.row);
        // SAFETY: every arm reads what its kind stores; the row is within the chunk, which `'r` keeps.
        Ok(unsafe {
            match vector.kind {
                Kind::I8 => vector.value::<i8>(row).into(),
                Kind::I16 => vector.value::<i16>(row).into(),
                Kind::I32 => vector.value::<i32>(row).into(),
                Kind::I64 => vector.value::<i64>(row).into(),
                Kind::U8 => vector.value::<u8>(row).into(),
                Kind::U16 => vector.value::<u16>(row).into(),
                Kind::U32 => vector.value::<u32>(row).into(),
                Kind::U64 => vector.value::<u64>(row).into(),
                Kind::I128 => vector.i128(row),
                Kind::U128 => i128::try_from(vector.u128(row)).map_err(|_| self.error(wanted))?,
                _ => return Err(self.error(wanted)),
            }
        })
    }
}

/// What can be read from a cell.
pub trait FromCell<'r>: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// When the cell holds something else, or NULL.
    fn from_cell(cell: Cell<'r>) -> Result<Self, WarehouseError>;
}

impl<'r, T: FromCell<'r>> FromCell<'r> for Option<T> {
    fn from_cell(cell: Cell<'r>) -> Result<Self, WarehouseError> {
        if cell.is_null() {
            Ok(None)
        } else {
            T::from_cell(cell).map(Some)
        }
    }
}

impl<'r> FromCell<'r> for &'r str {
    fn from_cell(cell: Cell<'r>) -> Result<Self, WarehouseError> {
        let bytes = cell.bytes("text", |kind| matches!(kind, Kind::Text | Kind::Json))?;
        std::str::from_utf8(bytes).map_err(|_| cell.error("text in UTF-8"))
    }
}

impl<'r> FromCell<'r> for String {
    fn from_cell(cell: Cell<'r>) -> Result<Self, WarehouseError> {
        match &cell.vector.kind {
            Kind::Enum(dictionary) if !cell.is_null() => {
                // SAFETY: the dictionary is of that kind, the row valid and within the chunk, which `'r` keeps.
                let word = unsafe { cell.vector.word(dictionary, cell.row) };
                Ok(word.to_string())
            }
            _ => <&str>::from_cell(cell).map(str::to_owned),
        }
    }
}

impl<'r> FromCell<'r> for &'r [u8] {
    fn from_cell(cell: Cell<'r>) -> Result<Self, WarehouseError> {
        cell.bytes("bytes", |kind| matches!(kind, Kind::Blob))
    }
}

impl<'r> FromCell<'r> for i64 {
    fn from_cell(cell: Cell<'r>) -> Result<Self, WarehouseError> {
        const WANTED: &str = "an integer of 64 bits";
        cell.integer(WANTED)?.try_into().map_err(|_| cell.error(WANTED))
    }
}

impl<'r> FromCell<'r> for u64 {
    fn from_cell(cell: Cell<'r>) -> Result<Self, WarehouseError> {
        const WANTED: &str = "an unsigned integer of 64 bits";
        cell.integer(WANTED)?.try_into().map_err(|_| cell.error(WANTED))
    }
}

impl<'r> FromCell<'r> for i128 {
    fn from_cell(cell: Cell<'r>) -> Result<Self, WarehouseError> {
        cell.integer("an integer of 128 bits")
    }
}

impl<'r> FromCell<'r> for u128 {
    fn from_cell(cell: Cell<'r>) -> Result<Self, WarehouseError> {
        const WANTED: &str = "an unsigned integer of 128 bits";
        if matches!(cell.vector.kind, Kind::U128) && !cell.is_null() {
            // SAFETY: the kind is checked, the row valid and within the chunk, which `'r` keeps.
            return Ok(unsafe { cell.vector.u128(cell.row) });
        }
        cell.integer(WANTED)?.try_into().map_err(|_| cell.error(WANTED))
    }
}

impl<'r> FromCell<'r> for bool {
    fn from_cell(cell: Cell<'r>) -> Result<Self, WarehouseError> {
        if cell.is_null() || !matches!(cell.vector.kind, Kind::Boolean) {
            return Err(cell.error("true or false"));
        }
        // SAFETY: the kind is checked, the row valid and within the chunk, which `'r` keeps.
        Ok(unsafe { cell.vector.value::<u8>(cell.row) } != 0)
    }
}

impl<'r> FromCell<'r> for f64 {
    fn from_cell(cell: Cell<'r>) -> Result<Self, WarehouseError> {
        if cell.is_null() {
            return Err(cell.error("a number"));
        }
        // SAFETY: every arm reads what its kind stores; the row is within the chunk, which `'r` keeps.
        unsafe {
            match cell.vector.kind {
                Kind::F32 => Ok(cell.vector.value::<f32>(cell.row).into()),
                Kind::F64 => Ok(cell.vector.value(cell.row)),
                _ => Err(cell.error("a floating-point number")),
            }
        }
    }
}
