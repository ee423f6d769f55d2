//! The SQL functions `outflow_hash`, `outflow_json` and `outflow_fault`, registered in every instance.
//!
//! All are variadic over every type, take NULL as a value, and depend on nothing but their arguments.

use std::any::Any;
use std::ffi::{CStr, CString};
use std::panic::{AssertUnwindSafe, catch_unwind};

use duckdb::ffi;

use super::canonical::Canonical;
use super::connection::Connection;
use super::error::WarehouseError;
use super::fault;
use super::json;
use super::vector::Vector;

/// Registers the functions in the instance of that connection.
pub(super) fn register(connection: &Connection) -> Result<(), WarehouseError> {
    add::<HashFunction>(connection)?;
    add::<JsonFunction>(connection)?;
    add::<FaultFunction>(connection)
}

/// A function over all arguments of a row.
trait Function {
    const NAME: &'static CStr;
    const RETURNS: ffi::DUCKDB_TYPE;

    /// Fills `output` for that many rows.
    ///
    /// # Safety
    /// The vectors have that many rows, and `output` is a flat vector of the type returned, with room for them.
    unsafe fn fill(arguments: &[Vector], rows: usize, output: ffi::duckdb_vector) -> Result<(), String>;
}

struct HashFunction;

impl Function for HashFunction {
    const NAME: &'static CStr = c"outflow_hash";
    const RETURNS: ffi::DUCKDB_TYPE = ffi::DUCKDB_TYPE_DUCKDB_TYPE_UHUGEINT;

    unsafe fn fill(arguments: &[Vector], rows: usize, output: ffi::duckdb_vector) -> Result<(), String> {
        // SAFETY: the output holds UHUGEINT, with room for the rows.
        let output = unsafe {
            std::slice::from_raw_parts_mut(ffi::duckdb_vector_get_data(output).cast::<ffi::duckdb_uhugeint>(), rows)
        };
        let mut canonical = Canonical::default();
        for (row, place) in output.iter_mut().enumerate() {
            for argument in arguments {
                // SAFETY: as the caller says.
                unsafe { canonical.write(argument, row) };
            }
            let hash = canonical.finish();
            #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
            let halves = ffi::duckdb_uhugeint {
                lower: hash as u64,
                upper: (hash >> 64) as u64,
            };
            *place = halves;
        }
        Ok(())
    }
}

struct JsonFunction;

impl Function for JsonFunction {
    const NAME: &'static CStr = c"outflow_json";
    const RETURNS: ffi::DUCKDB_TYPE = ffi::DUCKDB_TYPE_DUCKDB_TYPE_VARCHAR;

    unsafe fn fill(arguments: &[Vector], rows: usize, output: ffi::duckdb_vector) -> Result<(), String> {
        let [argument] = arguments else {
            return Err(format!("outflow_json takes one value, not {}", arguments.len()));
        };
        let mut text = Vec::new();
        for row in 0..rows {
            text.clear();
            // SAFETY: as the caller says.
            unsafe { json::write(&mut text, argument, row) };
            let text = std::str::from_utf8(&text).map_err(|error| error.to_string())?;
            // SAFETY: the row is within the output, which holds VARCHAR; the text is UTF-8 and copied.
            unsafe { assign(output, row, text) };
        }
        Ok(())
    }
}

struct FaultFunction;

impl Function for FaultFunction {
    const NAME: &'static CStr = c"outflow_fault";
    const RETURNS: ffi::DUCKDB_TYPE = ffi::DUCKDB_TYPE_DUCKDB_TYPE_VARCHAR;

    unsafe fn fill(arguments: &[Vector], rows: usize, output: ffi::duckdb_vector) -> Result<(), String> {
        let arguments: Vec<&Vector> = arguments
            .iter()
            .filter(|vector| fault::is_possible(&vector.kind))
            .collect();
        // SAFETY: the output is flat and writable.
        let validity = unsafe {
            ffi::duckdb_vector_ensure_validity_writable(output);
            ffi::duckdb_vector_get_validity(output)
        };
        for row in 0..rows {
            // SAFETY: the row is within the arguments and the output; the validity mask has just been made.
            unsafe {
                match arguments.iter().find_map(|argument| fault::find(argument, row)) {
                    Some(reason) => assign(output, row, &reason),
                    None => ffi::duckdb_validity_set_row_invalid(validity, row as u64),
                }
            }
        }
        Ok(())
    }
}

/// # Safety
/// The row is within the vector, which holds VARCHAR.
unsafe fn assign(output: ffi::duckdb_vector, row: usize, text: &str) {
    // SAFETY: the text is UTF-8 and copied; the rest is the caller's word.
    unsafe {
        ffi::duckdb_unsafe_vector_assign_string_element_len(
            output,
            row as u64,
            text.as_ptr().cast(),
            text.len() as u64,
        );
    }
}

fn add<F: Function>(connection: &Connection) -> Result<(), WarehouseError> {
    // SAFETY: handles are made, given what they ask for and destroyed once; registering copies the function.
    let state = unsafe {
        let mut function = ffi::duckdb_create_scalar_function();
        let mut any = ffi::duckdb_create_logical_type(ffi::DUCKDB_TYPE_DUCKDB_TYPE_ANY);
        let mut returns = ffi::duckdb_create_logical_type(F::RETURNS);
        ffi::duckdb_scalar_function_set_name(function, F::NAME.as_ptr());
        ffi::duckdb_scalar_function_set_varargs(function, any);
        ffi::duckdb_scalar_function_set_return_type(function, returns);
        ffi::duckdb_scalar_function_set_special_handling(function);
        ffi::duckdb_scalar_function_set_function(function, Some(call::<F>));
        let state = ffi::duckdb_register_scalar_function(connection.link().raw(), function);
        ffi::duckdb_destroy_logical_type(&raw mut returns);
        ffi::duckdb_destroy_logical_type(&raw mut any);
        ffi::duckdb_destroy_scalar_function(&raw mut function);
        state
    };
    registered(state, F::NAME)
}

/// What came of registering a function.
pub(super) fn registered(state: ffi::duckdb_state, name: &CStr) -> Result<(), WarehouseError> {
    if state == ffi::DuckDBSuccess {
        return Ok(());
    }
    Err(WarehouseError::from_duckdb(&format!(
        "Catalog Error: {} cannot be registered",
        name.to_string_lossy()
    )))
}

/// What DuckDB calls, from any of its threads.
///
/// # Safety
/// Called by DuckDB with a flat chunk and a vector for its rows.
unsafe extern "C" fn call<F: Function>(
    info: ffi::duckdb_function_info,
    input: ffi::duckdb_data_chunk,
    output: ffi::duckdb_vector,
) {
    let work = || {
        // SAFETY: DuckDB's promise, as above; columns are below the count.
        unsafe {
            #[expect(clippy::cast_possible_truncation, reason = "rows of a chunk")]
            let rows = ffi::duckdb_data_chunk_get_size(input) as usize;
            let arguments = (0..ffi::duckdb_data_chunk_get_column_count(input))
                .map(|column| Vector::new(ffi::duckdb_data_chunk_get_vector(input, column)))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| error.to_string())?;
            F::fill(&arguments, rows, output)
        }
    };
    // SAFETY: `info` is DuckDB's for this call.
    unsafe { contained(info, F::NAME, work) };
}

/// Does the work of a call, whose panics must not cross into C++, and tells DuckDB how it failed, if it did.
///
/// # Safety
/// `info` is DuckDB's for the call under way.
pub(super) unsafe fn contained(
    info: ffi::duckdb_function_info,
    name: &CStr,
    work: impl FnOnce() -> Result<(), String>,
) {
    let error = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(panic) => format!("{} failed: {}", name.to_string_lossy(), panic_text(&*panic)),
    };
    let error = CString::new(error.replace('\0', " ")).unwrap_or_default();
    // SAFETY: `info` is DuckDB's for this call, and the text is copied.
    unsafe { ffi::duckdb_scalar_function_set_error(info, error.as_ptr()) };
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic")
}
