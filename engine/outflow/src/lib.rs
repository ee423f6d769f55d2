//! Outflow embedded.
//!
//! So far: the catalog, in which a project's syncs, runs, queue and schedule marks are kept. It decides nothing about what
//! a sync means; that is the core's.

pub mod catalog;
