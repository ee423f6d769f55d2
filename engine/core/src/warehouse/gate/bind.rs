//! What DuckDB itself says of a statement, without running it.

use std::ptr;

use duckdb::ffi;

use crate::warehouse::connection::{Connection, statement, text_at};
use crate::warehouse::error::WarehouseError;

/// Binds a statement, which must be one SELECT without parameters.
pub(super) fn select(connection: &Connection, sql: &str) -> Result<(), WarehouseError> {
    let text = statement(sql)?;
    let raw = connection.link().raw();
    let mut extracted = Extracted(ptr::null_mut());
    let mut prepared = Prepared(ptr::null_mut());
    // SAFETY: the connection is open, the text ends with a zero byte, out pointers are valid, and every handle is
    // destroyed by its owner.
    unsafe {
        let count = ffi::duckdb_extract_statements(raw, text.as_ptr(), &raw mut extracted.0);
        match count {
            0 => {
                let error = text_at(ffi::duckdb_extract_statements_error(extracted.0));
                return Err(if error.is_empty() {
                    refused("there is no statement")
                } else {
                    WarehouseError::from_duckdb(&error)
                });
            }
            1 => {}
            _ => {
                return Err(refused("one SELECT is allowed, and these are several statements"));
            }
        }
        if ffi::duckdb_prepare_extracted_statement(raw, extracted.0, 0, &raw mut prepared.0) != ffi::DuckDBSuccess {
            return Err(WarehouseError::from_duckdb(&text_at(ffi::duckdb_prepare_error(
                prepared.0,
            ))));
        }
        if ffi::duckdb_prepared_statement_type(prepared.0) != ffi::duckdb_statement_type_DUCKDB_STATEMENT_TYPE_SELECT {
            return Err(refused("only a SELECT is allowed"));
        }
        if ffi::duckdb_nparams(prepared.0) > 0 {
            return Err(refused("there are no parameters; write the value"));
        }
    }
    Ok(())
}

/// The names, without catalog and schema, of the tables that DuckDB would look for. Its own `WITH`s are not among them.
/// Nothing where it cannot say.
pub(super) fn tables(connection: &Connection, sql: &str) -> Result<Vec<String>, WarehouseError> {
    let text = statement(sql)?;
    // SAFETY: the connection is open and the text ends with a zero byte; values and texts are freed by their owners, and
    // indices stay below the size.
    unsafe {
        let list = Value(ffi::duckdb_get_table_names(
            connection.link().raw(),
            text.as_ptr(),
            false,
        ));
        if list.0.is_null() {
            return Ok(Vec::new());
        }
        (0..ffi::duckdb_get_list_size(list.0))
            .map(|index| {
                let item = Value(ffi::duckdb_get_list_child(list.0, index));
                let text = ffi::duckdb_get_varchar(item.0);
                let name = text_at(text);
                ffi::duckdb_free(text.cast());
                Ok(name)
            })
            .collect()
    }
}

fn refused(message: &str) -> WarehouseError {
    WarehouseError::Database {
        kind: "Refused".to_owned(),
        message: message.to_owned(),
        position: None,
    }
}

struct Extracted(ffi::duckdb_extracted_statements);

impl Drop for Extracted {
    fn drop(&mut self) {
        // SAFETY: made by DuckDB or null, destroyed once.
        unsafe { ffi::duckdb_destroy_extracted(&raw mut self.0) };
    }
}

struct Prepared(ffi::duckdb_prepared_statement);

impl Drop for Prepared {
    fn drop(&mut self) {
        // SAFETY: made by DuckDB or null, destroyed once.
        unsafe { ffi::duckdb_destroy_prepare(&raw mut self.0) };
    }
}

struct Value(ffi::duckdb_value);

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: made by DuckDB or null, destroyed once.
        unsafe { ffi::duckdb_destroy_value(&raw mut self.0) };
    }
}
