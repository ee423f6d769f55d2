//! What a plugin tells the host's log. Placeholders of secrets are masked there; in native tests it goes nowhere.

/// Something for whoever looks for a fault.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Something worth knowing.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Something that may be wrong.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Something that is wrong. The last one explains a trap that follows.
pub fn error(message: &str) {
    write(Level::Error, message);
}

#[cfg(target_arch = "wasm32")]
use crate::bindings::outflow::destination::log::{Level, write};

#[cfg(not(target_arch = "wasm32"))]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

#[cfg(not(target_arch = "wasm32"))]
fn write(_: Level, _: &str) {}
