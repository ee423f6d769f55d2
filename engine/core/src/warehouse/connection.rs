//! Connections to the instance, and how what runs on them is stopped.
//!
//! Everything goes through DuckDB's C interface directly: results come in chunks whose vectors are read in place, and
//! an error in the middle of a stream is an error, not a panic.

use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use duckdb::ffi;

use super::append::Appender;
use super::condition::{Condition, Slot};
use super::error::WarehouseError;
use super::pending::{Pending, Statements};
use super::rows::{FromCell, Row, Rows};

/// How often a cancelled statement is interrupted again, in milliseconds: an interrupt that comes before the statement
/// really runs is lost.
const INTERRUPT_EVERY_MS: u64 = 10;

/// The instance itself. Closed when the last connection is gone.
pub(super) struct Database {
    raw: ffi::duckdb_database,
    cancellation: Arc<Cancellation>,
    condition: Arc<Slot>,
}

// SAFETY: DuckDB's database handle is made to be shared by threads; only `duckdb_connect` is called on it, and
// `duckdb_close` once, when nothing refers to it any more.
unsafe impl Send for Database {}
// SAFETY: as above.
unsafe impl Sync for Database {}

impl Database {
    pub(super) fn open() -> Result<Arc<Self>, WarehouseError> {
        let mut raw = ptr::null_mut();
        let mut message = ptr::null_mut();
        // SAFETY: the out pointers are valid; a null path is an in-memory instance, a null configuration the default.
        let state = unsafe { ffi::duckdb_open_ext(ptr::null(), &raw mut raw, ptr::null_mut(), &raw mut message) };
        if state != ffi::DuckDBSuccess {
            let error = WarehouseError::from_duckdb(&text_at(message));
            // SAFETY: DuckDB allocated the message, or it is null, which is allowed.
            unsafe { ffi::duckdb_free(message.cast()) };
            return Err(error);
        }
        Ok(Arc::new(Self {
            raw,
            cancellation: Arc::default(),
            condition: Arc::default(),
        }))
    }

    pub(super) fn connect(self: &Arc<Self>) -> Result<Connection, WarehouseError> {
        let mut raw = ptr::null_mut();
        // SAFETY: the database is open as long as `self`, and the out pointer is valid.
        if unsafe { ffi::duckdb_connect(self.raw, &raw mut raw) } != ffi::DuckDBSuccess {
            return Err(WarehouseError::from_duckdb(
                "Connection Error: DuckDB gives no connection",
            ));
        }
        let link = Arc::new(Link {
            raw,
            running: AtomicUsize::new(0),
            database: Arc::clone(self),
        });
        self.cancellation.watch(&link);
        Ok(Connection {
            link,
            _one_thread: PhantomData,
        })
    }

    pub(super) fn interrupter(&self) -> Interrupter {
        Interrupter {
            cancellation: Arc::clone(&self.cancellation),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, closed once; every connection holds an `Arc` of this and so is gone.
        unsafe { ffi::duckdb_close(&raw mut self.raw) };
    }
}

/// The raw connection. Shared between a [`Connection`], its stream and the interrupter.
pub(super) struct Link {
    raw: ffi::duckdb_connection,
    running: AtomicUsize,
    database: Arc<Database>,
}

// SAFETY: DuckDB guards a connection with a lock of its own, and `duckdb_interrupt` and `duckdb_query_progress` may be
// called from any thread while it runs.
unsafe impl Send for Link {}
// SAFETY: as above.
unsafe impl Sync for Link {}

impl Drop for Link {
    fn drop(&mut self) {
        // SAFETY: opened by `connect`, closed once.
        unsafe { ffi::duckdb_disconnect(&raw mut self.raw) };
    }
}

impl Link {
    /// The raw handle, valid as long as `self`.
    pub(super) const fn raw(&self) -> ffi::duckdb_connection {
        self.raw
    }

    /// Marks a statement as running, so that a cancellation knows that it must repeat. Fails when cancelled already.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Running, WarehouseError> {
        self.running.fetch_add(1, Ordering::SeqCst);
        let running = Running(Arc::clone(self));
        running.check()?;
        Ok(running)
    }

    fn interrupt(&self) {
        // SAFETY: the connection is open as long as `self`.
        unsafe { ffi::duckdb_interrupt(self.raw) };
    }
}

/// A statement that runs, until dropped.
pub(super) struct Running(Arc<Link>);

impl Running {
    /// Fails when somebody cancelled: what is buffered is not handed out any more.
    pub(super) fn check(&self) -> Result<(), WarehouseError> {
        if self.0.database.cancellation.cancelled.load(Ordering::SeqCst) {
            Err(WarehouseError::Cancelled)
        } else {
            Ok(())
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A connection of its own to the instance: temporary tables and transactions belong to it. For one thread at a time.
pub struct Connection {
    link: Arc<Link>,
    /// Statements on one connection from two threads would disturb each other's results.
    _one_thread: PhantomData<std::cell::Cell<()>>,
}

impl Connection {
    /// Another connection to the same instance.
    ///
    /// # Errors
    /// When DuckDB gives none.
    pub fn try_clone(&self) -> Result<Self, WarehouseError> {
        self.link.database.connect()
    }

    /// Runs one or several statements and drops what they return. Gives the rows that the last one changed.
    ///
    /// After an error within a transaction, always `ROLLBACK`: DuckDB would take a `COMMIT` and roll back silently.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn execute(&self, sql: &str) -> Result<u64, WarehouseError> {
        let running = self.link.enter()?;
        let statements = Statements::extract(&self.link, sql)?;
        let mut changed = 0;
        for index in 0..statements.count {
            let prepared = statements.prepare(&self.link, index)?;
            let pending = Pending::start(&prepared, false)?;
            let mut result = pending.finish()?;
            // SAFETY: the result is initialised and successful.
            changed = unsafe { ffi::duckdb_rows_changed(result.as_mut_ptr()) };
        }
        drop(running);
        Ok(changed)
    }

    /// As [`execute`](Self::execute), of statements that ask `outflow_holds(hash, sound)`, which that condition answers. One
    /// at a time on an instance.
    ///
    /// # Errors
    /// What DuckDB says.
    pub(crate) fn execute_asking(&self, condition: Arc<dyn Condition>, sql: &str) -> Result<u64, WarehouseError> {
        let _lent = self.condition().lend(condition);
        self.execute(sql)
    }

    /// Runs `work` in a transaction: committed when it succeeds, rolled back when it fails.
    ///
    /// # Errors
    /// What `work` or DuckDB says.
    pub fn transaction<T, E: From<WarehouseError>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.execute("BEGIN TRANSACTION")?;
        match work(self) {
            Ok(value) => match self.execute("COMMIT") {
                Ok(_) => Ok(value),
                // The data is durable; only the housekeeping after it failed.
                Err(error) if error.to_string().contains("COMMIT succeeded and is durable") => Ok(value),
                Err(error) => {
                    let _ = self.execute("ROLLBACK");
                    Err(error.into())
                }
            },
            Err(error) => {
                // The first error is the one to tell.
                let _ = self.execute("ROLLBACK");
                Err(error)
            }
        }
    }

    /// Runs a query whose rows are fetched as they are made. Nothing else can run on this connection meanwhile.
    ///
    /// Rows before an error have been handed out already: provisional until the end.
    ///
    /// # Errors
    /// What DuckDB says before the first row.
    pub fn stream(&mut self, sql: &str) -> Result<Rows<'_>, WarehouseError> {
        Rows::start(&self.link, sql)
    }

    /// As [`stream`](Self::stream), with the connection given away to the rows.
    ///
    /// # Errors
    /// What DuckDB says before the first row.
    pub fn into_stream(self, sql: &str) -> Result<Rows<'static>, WarehouseError> {
        Rows::start(&self.link, sql)
    }

    /// Reads the first row of a query, if there is one.
    ///
    /// # Errors
    /// What DuckDB or `read` says.
    pub fn query_row<T, E: From<WarehouseError>>(
        &self,
        sql: &str,
        read: impl FnOnce(Row<'_>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let mut rows = Rows::start(&self.link, sql)?;
        rows.next_row()?.map(read).transpose()
    }

    /// Reads every row of a query.
    ///
    /// # Errors
    /// What DuckDB or `read` says.
    pub fn query_rows<T, E: From<WarehouseError>>(
        &self,
        sql: &str,
        mut read: impl FnMut(Row<'_>) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let mut all = Vec::new();
        self.each_row(sql, |row| read(row).map(|value| all.push(value)))?;
        Ok(all)
    }

    /// Runs a query to its end, and looks at each row.
    ///
    /// # Errors
    /// What DuckDB or `look` says.
    pub fn each_row<E: From<WarehouseError>>(
        &self,
        sql: &str,
        mut look: impl FnMut(Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rows = Rows::start(&self.link, sql)?;
        while let Some(row) = rows.next_row()? {
            look(row)?;
        }
        Ok(())
    }

    /// The first column of the first row, if there is a row and it is not null.
    ///
    /// # Errors
    /// What DuckDB says, or that the value is not of that type.
    pub fn scalar<T>(&self, sql: &str) -> Result<Option<T>, WarehouseError>
    where
        T: for<'r> FromCell<'r>,
    {
        Ok(self.query_row(sql, |row| row.get::<Option<T>>(0))?.flatten())
    }

    /// Appends rows to a table, much faster than `INSERT`.
    ///
    /// # Errors
    /// When there is no such table.
    pub fn append(&mut self, catalog: &str, table: &str) -> Result<Appender<'_>, WarehouseError> {
        Appender::open(Arc::clone(&self.link), catalog, table)
    }

    /// Where conditions are lent.
    pub(super) fn condition(&self) -> &Arc<Slot> {
        &self.link.database.condition
    }

    /// The handle for what needs the C interface.
    pub(super) const fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Sees how far the connection's query is, from another thread. To be asked for before the instance is locked down,
    /// because a setting goes with it.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn progress(&self) -> Result<Progress, WarehouseError> {
        // Without the bar's setting DuckDB does not count; printing is another setting.
        self.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")?;
        Ok(Progress(Arc::downgrade(&self.link)))
    }
}

/// How far a connection's query is.
#[derive(Clone)]
pub struct Progress(Weak<Link>);

impl Progress {
    /// The share that is done, 0 to 1, as DuckDB estimates it; nothing when no query runs or nothing is known.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let link = self.0.upgrade()?;
        // SAFETY: the connection is open as long as `link`.
        let progress = unsafe { ffi::duckdb_query_progress(link.raw) };
        (progress.percentage >= 0.0).then(|| (progress.percentage / 100.0).min(1.0))
    }
}

/// Stops everything that runs on an instance. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Interrupter {
    cancellation: Arc<Cancellation>,
}

impl Interrupter {
    /// Interrupts every running statement; every later one fails with [`WarehouseError::Cancelled`].
    pub fn cancel(&self) {
        self.cancellation.cancelled.store(true, Ordering::SeqCst);
        if !self.cancellation.interrupt_running() {
            return;
        }
        let cancellation = Arc::clone(&self.cancellation);
        std::thread::spawn(move || {
            while cancellation.cancelled.load(Ordering::SeqCst) && cancellation.interrupt_running() {
                std::thread::sleep(Duration::from_millis(INTERRUPT_EVERY_MS));
            }
        });
    }

    /// Lets statements run again after a [`cancel`](Self::cancel): what was recorded must still reach the ledger.
    pub fn reset(&self) {
        self.cancellation.cancelled.store(false, Ordering::SeqCst);
    }

    /// Whether somebody cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancellation.cancelled.load(Ordering::SeqCst)
    }
}

#[derive(Default)]
struct Cancellation {
    cancelled: AtomicBool,
    links: Mutex<Vec<Weak<Link>>>,
}

impl Cancellation {
    fn watch(&self, link: &Arc<Link>) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }

    /// Interrupts what runs, and says whether anything did.
    fn interrupt_running(&self) -> bool {
        // Upgraded first: dropping the last `Arc` of a link closes it, which must not happen under the lock.
        let links: Vec<Arc<Link>> = {
            let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
            links.iter().filter_map(Weak::upgrade).collect()
        };
        let running: Vec<_> = links
            .iter()
            .filter(|link| link.running.load(Ordering::SeqCst) > 0)
            .collect();
        running.iter().for_each(|link| link.interrupt());
        !running.is_empty()
    }
}

/// A result of DuckDB's, destroyed when dropped.
pub(super) struct QueryResult(ffi::duckdb_result);

impl QueryResult {
    pub(super) fn empty() -> Self {
        // SAFETY: all fields are integers and pointers, for which zero is a value; destroying that is allowed.
        Self(unsafe { MaybeUninit::zeroed().assume_init() })
    }

    pub(super) const fn as_mut_ptr(&mut self) -> *mut ffi::duckdb_result {
        &raw mut self.0
    }

    /// A copy of the handle, for the functions that take it by value and leave it alone.
    pub(super) const fn handle(&self) -> ffi::duckdb_result {
        self.0
    }

    /// The error that it holds.
    pub(super) fn error(&mut self) -> WarehouseError {
        // SAFETY: the result is initialised; the text lives as long as it.
        WarehouseError::from_duckdb(&text_at(unsafe { ffi::duckdb_result_error(self.as_mut_ptr()) }))
    }

    /// Whether it holds an error.
    pub(super) fn failed(&mut self) -> bool {
        // SAFETY: the result is initialised.
        !unsafe { ffi::duckdb_result_error(self.as_mut_ptr()) }.is_null()
    }
}

impl Drop for QueryResult {
    fn drop(&mut self) {
        // SAFETY: initialised, and destroyed once.
        unsafe { ffi::duckdb_destroy_result(&raw mut self.0) };
    }
}

/// A statement in the form that DuckDB takes.
pub(super) fn statement(sql: &str) -> Result<CString, WarehouseError> {
    CString::new(sql).map_err(|_| WarehouseError::ZeroByte)
}

/// A text of DuckDB's; empty for null.
pub(super) fn text_at(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: DuckDB's texts end with a zero byte, and the caller has just got it.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
