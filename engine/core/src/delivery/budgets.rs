//! How often and how long delivery tries, and how much at once. Fixed defaults, each with its reason.

use std::time::Duration;

/// The bounds of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Batches in flight at most; the plugin's own limit holds as well.
    pub in_flight: u32,
    /// Attempts at one operation, the first included, before it is given up. Waits for a rate limit do not count.
    pub attempts: u32,
    /// The longest pause before the second attempt; it doubles with each further one. The actual pause is drawn between
    /// zero and it ("full jitter"), so that many clients do not come back together.
    pub backoff_base: Duration,
    /// The longest pause before any attempt.
    pub backoff_max: Duration,
    /// A destination that asks for a longer wait ends the run as interrupted; the next run goes on.
    pub wait_max: Duration,
    /// All waits for rate limits together, after which the run ends as interrupted.
    pub waits_total: Duration,
    /// Requests spent on finding the records that make refused batches fail.
    pub bisect_requests: u32,
    /// So many records found alone and refused with one code, while nothing at all was accepted, are one cause: the run
    /// says so and stops.
    pub one_cause_records: u32,
    /// Batches in a row that may have been applied without a readable answer before the run ends as interrupted.
    pub uncertain_in_a_row: u32,
    /// How long a stopped run waits for what is in flight.
    pub grace: Duration,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            in_flight: 16,
            attempts: 5,
            backoff_base: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            wait_max: Duration::from_secs(300),
            waits_total: Duration::from_secs(3_600),
            bisect_requests: 1_000,
            one_cause_records: 5,
            uncertain_in_a_row: 5,
            grace: Duration::from_secs(30),
        }
    }
}
