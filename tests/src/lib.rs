//! What the end-to-end tests share: a receiver that can misbehave, and a project with the binary that runs it.

pub mod database;
pub mod mysql;
pub mod postgres;
pub mod project;
pub mod receiver;
pub mod secrets;
pub mod storage;
pub mod trial;
