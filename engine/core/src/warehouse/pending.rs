//! Statements that are prepared and under way.
//!
//! DuckDB's own way of waiting for a statement keeps a core busy while its workers do what cannot be shared. So the
//! waiting is done here: work while there is some, else sleep for a moment.

use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use duckdb::ffi;

use super::connection::{Link, QueryResult, statement, text_at};
use super::error::WarehouseError;

/// How long to wait, in microseconds, when all that is left to do is in other threads' hands.
const IDLE_US: u64 = 200;

/// The statements of a text.
pub(super) struct Statements {
    raw: ffi::duckdb_extracted_statements,
    /// How many.
    pub count: u64,
}

impl Statements {
    /// Parses a text.
    pub fn extract(link: &Arc<Link>, sql: &str) -> Result<Self, WarehouseError> {
        let sql = statement(sql)?;
        let mut raw = ptr::null_mut();
        // SAFETY: the connection is open as long as `link`, the text ends with a zero byte, the out pointer is valid.
        let count = unsafe { ffi::duckdb_extract_statements(link.raw(), sql.as_ptr(), &raw mut raw) };
        let statements = Self { raw, count };
        // SAFETY: made by the call above; null or a text that lives as long as it.
        let error = unsafe { ffi::duckdb_extract_statements_error(statements.raw) };
        if count == 0 && !error.is_null() {
            return Err(WarehouseError::from_duckdb(&text_at(error)));
        }
        Ok(statements)
    }

    /// Prepares one of them, which those before it may have made possible.
    pub fn prepare(&self, link: &Arc<Link>, index: u64) -> Result<Prepared, WarehouseError> {
        let mut prepared = Prepared(ptr::null_mut());
        // SAFETY: the connection is open as long as `link`, the index is below the count, the out pointer is valid.
        let state =
            unsafe { ffi::duckdb_prepare_extracted_statement(link.raw(), self.raw, index, &raw mut prepared.0) };
        prepared.checked(state)
    }
}

impl Drop for Statements {
    fn drop(&mut self) {
        // SAFETY: made by DuckDB or null, destroyed once.
        unsafe { ffi::duckdb_destroy_extracted(&raw mut self.raw) };
    }
}

/// A prepared statement.
pub(super) struct Prepared(ffi::duckdb_prepared_statement);

impl Prepared {
    /// Prepares the only statement of a text.
    pub fn new(link: &Arc<Link>, sql: &str) -> Result<Self, WarehouseError> {
        let sql = statement(sql)?;
        let mut prepared = Self(ptr::null_mut());
        // SAFETY: the connection is open as long as `link`, the text ends with a zero byte, the out pointer is valid.
        let state = unsafe { ffi::duckdb_prepare(link.raw(), sql.as_ptr(), &raw mut prepared.0) };
        prepared.checked(state)
    }

    fn checked(self, state: ffi::duckdb_state) -> Result<Self, WarehouseError> {
        if state == ffi::DuckDBSuccess {
            return Ok(self);
        }
        // SAFETY: made by DuckDB, also when it failed; the text lives as long as it.
        Err(WarehouseError::from_duckdb(&text_at(unsafe {
            ffi::duckdb_prepare_error(self.0)
        })))
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // SAFETY: made by DuckDB or null, destroyed once.
        unsafe { ffi::duckdb_destroy_prepare(&raw mut self.0) };
    }
}

/// A statement under way.
pub(super) struct Pending(ffi::duckdb_pending_result);

impl Pending {
    /// Starts a statement. A streaming one is finished when its first rows are there.
    pub fn start(prepared: &Prepared, streaming: bool) -> Result<Self, WarehouseError> {
        let mut pending = Self(ptr::null_mut());
        // SAFETY: the statement is valid as long as `prepared`, the out pointer is valid.
        let state = unsafe {
            if streaming {
                ffi::duckdb_pending_prepared_streaming(prepared.0, &raw mut pending.0)
            } else {
                ffi::duckdb_pending_prepared(prepared.0, &raw mut pending.0)
            }
        };
        if state == ffi::DuckDBSuccess {
            Ok(pending)
        } else {
            Err(pending.error())
        }
    }

    /// Works until it is finished.
    pub fn finish(self) -> Result<QueryResult, WarehouseError> {
        loop {
            // SAFETY: the pending result is valid as long as `self`.
            match unsafe { ffi::duckdb_pending_execute_task(self.0) } {
                ffi::duckdb_pending_state_DUCKDB_PENDING_RESULT_NOT_READY => {}
                ffi::duckdb_pending_state_DUCKDB_PENDING_NO_TASKS_AVAILABLE => {
                    std::thread::sleep(Duration::from_micros(IDLE_US));
                }
                ffi::duckdb_pending_state_DUCKDB_PENDING_ERROR => return Err(self.error()),
                _ => break,
            }
        }
        let mut result = QueryResult::empty();
        // SAFETY: the pending result is valid as long as `self`; the result is destroyed by its owner.
        let state = unsafe { ffi::duckdb_execute_pending(self.0, result.as_mut_ptr()) };
        if state == ffi::DuckDBSuccess {
            Ok(result)
        } else {
            Err(result.error())
        }
    }

    fn error(&self) -> WarehouseError {
        // SAFETY: made by DuckDB or null, both allowed; the text lives as long as it.
        WarehouseError::from_duckdb(&text_at(unsafe { ffi::duckdb_pending_error(self.0) }))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // SAFETY: made by DuckDB or null, destroyed once.
        unsafe { ffi::duckdb_destroy_pending(&raw mut self.0) };
    }
}
