//! Write an Outflow destination as straight-line async code.
//!
//! Implement [`Destination`] and name the type in [`export!`]. A plugin asks the host for everything through [`Ctx`]:
//! `let reply: Reply = ctx.http(Request::post(url).json(record)).await?.ok()?.json()?;`, where each `?` ends the task with
//! the failure that the contract has for it. Tests drive the same code natively, without a network, through [`Driver`].
//!
//! From nothing to a plugin that Outflow finds:
//!
//! 1. `cargo new --lib my-crm`, and in its `Cargo.toml`:
//!    ```toml
//!    [lib]
//!    crate-type = ["cdylib", "rlib"]   # a component, and a library for tests
//!    [dependencies]
//!    outflow-plugin-sdk = { path = "OUTFLOW/plugins/sdk/rust" }
//!    serde = { version = "1", features = ["derive"] }
//!    ```
//! 2. `src/lib.rs`: a type that implements [`Destination`], and `export!(MyCrm);`. `tests/author.rs` of this crate is one.
//! 3. `cargo test`: natively.
//! 4. In Outflow's checkout `cargo xtask plugins --path …/my-crm`, which gives `…/my-crm/target/plugins/my-crm.wasm`. It
//!    gets a compiler where there is none. By hand, with `rustup target add wasm32-unknown-unknown`:
//!    ```console
//!    BIN=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/host: //p')/bin
//!    PATH=$BIN:$BIN/gcc-ld:$PATH CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-component-ld \
//!      cargo build --release --target wasm32-unknown-unknown
//!    ```
//!    The linker is what makes a component of it; without that it is a plain module, which Outflow refuses.
//! 5. Put it into a project's `plugins/` as `my-crm.wasm`, or into the folder of `--plugins`.
//! 6. `outflow plugin inspect my-crm` shows what it says of itself; a destination's file names it: `plugin: my-crm`.

mod config;
mod context;
mod destination;
mod driver;
mod failure;
mod http;
pub mod log;
mod runtime;

/// The contract's types and exports, as generated from `wit/destination.wit`.
#[allow(missing_docs, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "destination",
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "outflow_plugin_sdk::bindings",
    });
}

pub use bindings::outflow::destination::types::*;
pub use context::Ctx;
pub use destination::Destination;
pub use driver::Driver;
pub use runtime::Runtime;

/// Exports a [`Destination`] as the plugin of this crate. Does nothing outside of wasm, so tests run natively.
#[macro_export]
macro_rules! export {
    ($destination:ty) => {
        #[cfg(target_arch = "wasm32")]
        mod component {
            use super::*;
            use $crate::bindings::exports::outflow::destination::plugin::Guest;

            thread_local! {
                static RUNTIME: std::cell::RefCell<$crate::Runtime<$destination>> = Default::default();
            }

            struct Component;

            impl Guest for Component {
                fn describe() -> $crate::Description {
                    $crate::Runtime::<$destination>::describe()
                }
                fn open(settings: $crate::Settings) -> Result<$crate::Target, Vec<$crate::Problem>> {
                    RUNTIME.with_borrow_mut(|runtime| runtime.open(settings))
                }
                fn start(task: u32, moment: $crate::Moment, work: $crate::Work) -> $crate::Step {
                    RUNTIME.with_borrow_mut(|runtime| runtime.start(task, moment, work))
                }
                fn resume(task: u32, now: u64, results: Vec<$crate::EffectResult>) -> $crate::Step {
                    RUNTIME.with_borrow_mut(|runtime| runtime.resume(task, now, results))
                }
                fn cancel(task: u32) {
                    RUNTIME.with_borrow_mut(|runtime| runtime.cancel(task))
                }
            }

            $crate::bindings::export_component!(Component with_types_in $crate::bindings);
        }
    };
}
