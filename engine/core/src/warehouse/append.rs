//! Appending rows to a table, past the SQL parser.

use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

use duckdb::ffi;

use super::connection::{Link, statement, text_at};
use super::error::WarehouseError;

/// Appends rows to one table. Rows count when [`finish`](Self::finish) succeeded, within the connection's transaction.
pub struct Appender<'c> {
    raw: ffi::duckdb_appender,
    _link: Arc<Link>,
    _connection: PhantomData<&'c mut ()>,
}

impl Appender<'_> {
    pub(super) fn open(link: Arc<Link>, catalog: &str, table: &str) -> Result<Self, WarehouseError> {
        let (catalog, table) = (statement(catalog)?, statement(table)?);
        let mut raw = ptr::null_mut();
        // SAFETY: the connection is open as long as `link`, the texts end with a zero byte, a null schema is `main`.
        let state = unsafe {
            ffi::duckdb_appender_create_ext(link.raw(), catalog.as_ptr(), ptr::null(), table.as_ptr(), &raw mut raw)
        };
        // Made before the check: DuckDB sets an appender with an error, which must be destroyed too.
        let appender = Self {
            raw,
            _link: link,
            _connection: PhantomData,
        };
        appender.check(state)?;
        Ok(appender)
    }

    /// The next value of the row.
    ///
    /// # Errors
    /// When it does not fit the column.
    pub fn push(&mut self, value: Value<'_>) -> Result<(), WarehouseError> {
        // SAFETY: the appender is open as long as `self`; texts and bytes are copied.
        let state = unsafe {
            match value {
                Value::Null => ffi::duckdb_append_null(self.raw),
                Value::Boolean(value) => ffi::duckdb_append_bool(self.raw, value),
                Value::I64(value) => ffi::duckdb_append_int64(self.raw, value),
                Value::U64(value) => ffi::duckdb_append_uint64(self.raw, value),
                Value::U128(value) => {
                    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
                    let halves = ffi::duckdb_uhugeint {
                        lower: value as u64,
                        upper: (value >> 64) as u64,
                    };
                    ffi::duckdb_append_uhugeint(self.raw, halves)
                }
                Value::F64(value) => ffi::duckdb_append_double(self.raw, value),
                Value::Text(text) => {
                    ffi::duckdb_append_varchar_length(self.raw, text.as_ptr().cast(), text.len() as u64)
                }
                Value::Bytes(bytes) => ffi::duckdb_append_blob(self.raw, bytes.as_ptr().cast(), bytes.len() as u64),
            }
        };
        self.check(state)
    }

    /// Ends the row.
    ///
    /// # Errors
    /// When it has too few values.
    pub fn end_row(&mut self) -> Result<(), WarehouseError> {
        // SAFETY: the appender is open as long as `self`.
        self.check(unsafe { ffi::duckdb_appender_end_row(self.raw) })
    }

    /// Writes what is still buffered.
    ///
    /// # Errors
    /// What DuckDB says; nothing since the last flush is there then.
    pub fn finish(self) -> Result<(), WarehouseError> {
        // SAFETY: the appender is open as long as `self`.
        self.check(unsafe { ffi::duckdb_appender_close(self.raw) })
    }

    fn check(&self, state: ffi::duckdb_state) -> Result<(), WarehouseError> {
        if state == ffi::DuckDBSuccess {
            return Ok(());
        }
        // SAFETY: a null appender gives a null text; else the text lives as long as the appender.
        Err(WarehouseError::from_duckdb(&text_at(unsafe {
            ffi::duckdb_appender_error(self.raw)
        })))
    }
}

impl Drop for Appender<'_> {
    fn drop(&mut self) {
        // Destroying writes what is buffered. Without `finish` nobody asked for that.
        // SAFETY: made by `open`; cleared and destroyed once.
        unsafe {
            ffi::duckdb_appender_clear(self.raw);
            ffi::duckdb_appender_destroy(&raw mut self.raw);
        }
    }
}

/// A value to append.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// BOOLEAN.
    Boolean(bool),
    /// Any integer type that it fits into.
    I64(i64),
    /// Any integer type that it fits into.
    U64(u64),
    /// UHUGEINT.
    U128(u128),
    /// DOUBLE or FLOAT.
    F64(f64),
    /// VARCHAR, or what DuckDB casts text to.
    Text(&'a str),
    /// BLOB.
    Bytes(&'a [u8]),
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Value::Text)
    }
}
