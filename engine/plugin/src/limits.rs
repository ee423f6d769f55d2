//! What a plugin may use up. Every bound has a name; what oversteps one costs the plugin a trap or an error, and
//! never the engine.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// The bounds of one opened destination.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory_bytes_max: usize,
    /// Once its memory is past this, an instance is replaced by a fresh one: wasm memory never shrinks, and some
    /// languages' runtimes leak.
    pub memory_bytes_renew: usize,
    /// Entries of all tables of one instance.
    pub table_entries_max: usize,
    /// How long one call into a plugin may compute.
    pub call_ms_max: u64,
    /// How much one call may hand to the host, in bytes of the host's memory.
    pub output_bytes_max: usize,
    /// Tasks open in one instance at a time; more wait.
    pub tasks_open_max: usize,
    /// Steps of one task.
    pub steps_max: usize,
    /// Effects of one step.
    pub effects_max: usize,
    /// Effects of one step that are under way at a time.
    pub effects_under_way_max: usize,
    /// The longest wait that a plugin may ask for.
    pub wait_ms_max: u32,
    /// A request's body, secrets filled in.
    pub request_bytes_max: usize,
    /// A response's body.
    pub response_bytes_max: usize,
    /// From the first packet to an established connection, TLS included.
    pub connect_ms_max: u64,
    /// From the beginning of a request to the end of its answer, redirects included.
    pub request_ms_max: u64,
    /// One message to the log; the rest of it is cut.
    pub log_bytes_max: usize,
    /// Messages to the log in a second; more are dropped, and their number told.
    pub log_messages_per_second_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 512 << 20,
            memory_bytes_renew: 256 << 20,
            table_entries_max: 1 << 20,
            call_ms_max: 10_000,
            output_bytes_max: 128 << 20,
            tasks_open_max: 64,
            steps_max: 10_000,
            effects_max: 4_096,
            effects_under_way_max: 16,
            wait_ms_max: 15 * 60 * 1_000,
            request_bytes_max: 64 << 20,
            response_bytes_max: 32 << 20,
            connect_ms_max: 10_000,
            request_ms_max: 60_000,
            log_bytes_max: 8 << 10,
            log_messages_per_second_max: 50,
        }
    }
}

/// The length of an epoch, the unit in which wasmtime counts a call's time.
pub(crate) const EPOCH: Duration = Duration::from_millis(50);

impl Limits {
    /// The deadline of a call in epochs from now: at least `call_ms_max`, as the present epoch may be nearly over.
    pub(crate) fn call_epochs(&self) -> u64 {
        self.call_ms_max.div_ceil(EPOCH.as_millis() as u64) + 1
    }
}

/// Counts what an instance has, and refuses more than its limits.
#[derive(Debug)]
pub(crate) struct Meter {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_entries: usize,
    table_entries_max: usize,
    refused: Option<String>,
}

impl Meter {
    pub(crate) const fn new(limits: &Limits) -> Self {
        Self {
            memory_bytes: 0,
            memory_bytes_max: limits.memory_bytes_max,
            table_entries: 0,
            table_entries_max: limits.table_entries_max,
            refused: None,
        }
    }

    /// The linear memory of the instance, all of its memories together.
    pub(crate) const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// What was refused last, for the message of the trap that tends to follow.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.memory_bytes_max {
            self.refused = Some(format!(
                "it wanted more than {} MB of memory",
                self.memory_bytes_max >> 20
            ));
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_entries.saturating_add(desired.saturating_sub(current));
        if total > self.table_entries_max {
            self.refused = Some(format!("it wanted more than {} table entries", self.table_entries_max));
            return Ok(false);
        }
        self.table_entries = total;
        Ok(true)
    }

    // A component of a language with a runtime consists of a handful of core instances.
    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        16
    }
}
