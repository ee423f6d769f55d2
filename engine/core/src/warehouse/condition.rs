//! A condition that SQL asks of every row and that the engine answers: `outflow_holds`.

use std::ffi::c_void;
use std::sync::{Arc, PoisonError, RwLock};

use duckdb::ffi;

use super::connection::Connection;
use super::error::WarehouseError;
use super::function;
use super::vector::Vector;

/// What answers `outflow_holds(hash, sound)`. DuckDB's threads ask at the same time, each for the rows of a chunk.
pub(crate) trait Condition: Send + Sync {
    /// Whether it holds, for each row: its hash, and whether it is sound (and the hash not null).
    fn ask(&self, rows: &[(u128, bool)], holds: &mut [bool]);
}

/// Where an instance has the condition of the statement under way.
#[derive(Default)]
pub(super) struct Slot(RwLock<Option<Arc<dyn Condition>>>);

impl Slot {
    fn current(&self) -> Option<Arc<dyn Condition>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lends a condition to the statements that run until the value is dropped.
    pub(super) fn lend(self: &Arc<Self>, condition: Arc<dyn Condition>) -> Lent {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(condition);
        Lent(Arc::clone(self))
    }
}

/// A condition in its slot.
pub(super) struct Lent(Arc<Slot>);

impl Drop for Lent {
    fn drop(&mut self) {
        *self.0.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Registers the function in the instance of that connection. It has effects, so DuckDB must neither ask twice for a row nor
/// move a filter on its answers below a join.
pub(super) fn register(connection: &Connection, slot: &Arc<Slot>) -> Result<(), WarehouseError> {
    let slot = Box::into_raw(Box::new(Arc::clone(slot)));
    // SAFETY: handles are made, given what they ask for and destroyed once; registering copies the function. The slot's box
    // belongs to the function, which gives it to `release` when it goes.
    let state = unsafe {
        let mut function = ffi::duckdb_create_scalar_function();
        ffi::duckdb_scalar_function_set_name(function, c"outflow_holds".as_ptr());
        for parameter in [
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_UHUGEINT,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_BOOLEAN,
        ] {
            let mut parameter = ffi::duckdb_create_logical_type(parameter);
            ffi::duckdb_scalar_function_add_parameter(function, parameter);
            ffi::duckdb_destroy_logical_type(&raw mut parameter);
        }
        let mut returns = ffi::duckdb_create_logical_type(ffi::DUCKDB_TYPE_DUCKDB_TYPE_BOOLEAN);
        ffi::duckdb_scalar_function_set_return_type(function, returns);
        ffi::duckdb_destroy_logical_type(&raw mut returns);
        ffi::duckdb_scalar_function_set_special_handling(function);
        ffi::duckdb_scalar_function_set_volatile(function);
        ffi::duckdb_scalar_function_set_extra_info(function, slot.cast(), Some(release));
        ffi::duckdb_scalar_function_set_function(function, Some(call));
        let state = ffi::duckdb_register_scalar_function(connection.link().raw(), function);
        ffi::duckdb_destroy_scalar_function(&raw mut function);
        state
    };
    function::registered(state, c"outflow_holds")
}

/// # Safety
/// Called by DuckDB, once, with what was registered.
unsafe extern "C" fn release(slot: *mut c_void) {
    // SAFETY: made by `register` from a box.
    drop(unsafe { Box::from_raw(slot.cast::<Arc<Slot>>()) });
}

/// # Safety
/// Called by DuckDB with a flat chunk of the parameters and a vector for its rows.
unsafe extern "C" fn call(info: ffi::duckdb_function_info, input: ffi::duckdb_data_chunk, output: ffi::duckdb_vector) {
    // SAFETY: the extra information is the slot, which lives as long as the function.
    let slot = unsafe { &*ffi::duckdb_scalar_function_get_extra_info(info).cast::<Arc<Slot>>() };
    let work = || {
        let condition = slot.current().ok_or("no statement was lent a condition")?;
        // SAFETY: DuckDB's promise, as above; the vectors hold what the parameters are.
        unsafe {
            #[expect(clippy::cast_possible_truncation, reason = "rows of a chunk")]
            let rows = ffi::duckdb_data_chunk_get_size(input) as usize;
            let vector = |column| {
                Vector::new(ffi::duckdb_data_chunk_get_vector(input, column)).map_err(|error| error.to_string())
            };
            let (hashes, sound) = (vector(0)?, vector(1)?);
            let asked: Vec<_> = (0..rows)
                .map(|row| match hashes.is_valid(row) {
                    true => (hashes.u128(row), sound.is_valid(row) && sound.value::<u8>(row) != 0),
                    false => (0, false),
                })
                .collect();
            let holds = std::slice::from_raw_parts_mut(ffi::duckdb_vector_get_data(output).cast::<bool>(), rows);
            holds.fill(false);
            condition.ask(&asked, holds);
        }
        Ok(())
    };
    // SAFETY: `info` is DuckDB's for this call.
    unsafe { function::contained(info, c"outflow_holds", work) };
}
