//! Loading: from a file's bytes to a compiled plugin that has said what it is.

use std::path::Path;
use std::time::{Duration, Instant};

use outflow_core::destination::{Description, OpenError};
use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, ComponentExportIndex, Func, HasSelf, Linker};
use wasmtime::{Cache, CacheConfig, Config, Engine, Store};

use crate::contract::{self, Bindings, BindingsPre, log, types, v0_1};
use crate::limits::{EPOCH, Limits, Meter};

/// Compiles plugins. Compiled code is kept in a folder, found again by the content's hash.
pub(crate) struct Compiler {
    engine: Engine,
    linker: Linker<Guest>,
}

/// A compiled plugin.
#[derive(Clone)]
pub(crate) struct Plugin {
    pub name: String,
    /// The hexadecimal SHA-256 of its bytes.
    pub fingerprint: String,
    pub description: Description,
    pub abilities: types::Abilities,
    pre: BindingsPre<Guest>,
    start: ComponentExportIndex,
    engine: Engine,
}

/// The functions of an instance.
pub(crate) struct Exports {
    pub bindings: Bindings,
    /// `start`, which is not called through the bindings.
    pub start: Func,
}

/// What the host keeps with an instance.
pub(crate) struct Guest {
    pub meter: Meter,
    pub journal: Messages,
}

/// The messages of one instance.
pub(crate) struct Messages {
    plugin: String,
    /// Off while a task is replayed: its messages have been written before.
    pub muted: bool,
    /// The latest error that it told, which explains a trap better than the trap does.
    pub last_error: Option<String>,
    mask: Box<dyn Fn(String) -> String + Send>,
    bytes_max: usize,
    per_second_max: u32,
    second: Instant,
    written: u32,
    dropped: u32,
}

impl Compiler {
    /// `cache` is created, readable by its owner only: whoever can write there can run code here.
    pub(crate) fn new(cache: Option<&Path>) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        // Plugins are plain functions; the machinery for asynchronous ones only costs.
        config.concurrency_support(false);
        if let Some(folder) = cache {
            create_private(folder)?;
            let mut caching = CacheConfig::new();
            caching.with_directory(folder.canonicalize()?);
            config.cache(Some(Cache::new(caching)?));
        }
        let engine = Engine::new(&config)?;
        tick(&engine)?;
        let mut linker = Linker::new(&engine);
        log::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        types::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        Ok(Self { engine, linker })
    }

    /// Compiles a plugin and asks it what it is. Takes seconds for a large one that is not in the cache.
    pub(crate) fn load(&self, name: &str, bytes: &[u8], limits: &Limits) -> Result<Plugin, OpenError> {
        let refused = |message: String| OpenError::NotAPlugin {
            name: name.to_owned(),
            message,
        };
        check_header(bytes).map_err(refused)?;
        let component =
            Component::new(&self.engine, bytes).map_err(|error| refused(format!("no valid component: {error:#}")))?;
        let export = self.check_world(&component).map_err(refused)?;
        let lacking = || refused(format!("it does not fit the contract: `{export}` has no `start`"));
        let start = component
            .get_export_index(None, &*export)
            .and_then(|export| component.get_export_index(Some(&export), "start"))
            .ok_or_else(lacking)?;
        let pre = self
            .linker
            .instantiate_pre(&component)
            .and_then(BindingsPre::new)
            .map_err(|error| refused(format!("it does not fit the contract: {error:#}")))?;
        let mut plugin = Plugin {
            name: name.to_owned(),
            fingerprint: Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
            description: Description {
                name: String::new(),
                version: String::new(),
                summary: String::new(),
                config_schema: serde_json::Value::Null,
                example: String::new(),
                secrets: Vec::new(),
                kinds: Vec::new(),
            },
            abilities: types::Abilities::empty(),
            pre,
            start,
            engine: self.engine.clone(),
        };
        let (mut store, exports) = plugin.instantiate(limits, Box::new(|text| text)).map_err(refused)?;
        store.set_epoch_deadline(limits.call_epochs());
        let described = exports
            .bindings
            .outflow_destination_plugin()
            .call_describe(&mut store)
            .map_err(|error| refused(format!("`describe` failed: {}", trap(&error, store.data(), limits))))?;
        (plugin.description, plugin.abilities) = v0_1::description(described).map_err(refused)?;
        Ok(plugin)
    }

    /// Refuses components of other worlds by what they want or lack. Gives the name of what this one exports.
    fn check_world(&self, component: &Component) -> Result<String, String> {
        let kind = component.component_type();
        for (import, _) in kind.imports(&self.engine) {
            let (interface, version) = import.split_once('@').unwrap_or((import, ""));
            if !contract::IMPORTS.contains(&interface) {
                return Err(format!(
                    "it imports `{import}`; a plugin imports nothing but `{}`",
                    contract::IMPORTS.join("` and `")
                ));
            }
            known(interface, version)?;
        }
        let export = kind.exports(&self.engine).find_map(|(export, _)| {
            let (interface, version) = export.split_once('@').unwrap_or((export, ""));
            (interface == contract::EXPORT).then(|| (export.to_owned(), version.to_owned()))
        });
        match export {
            Some((export, version)) => known(contract::EXPORT, &version).map(|()| export),
            None => Err(format!(
                "it is a component of another world: it does not export `{}`",
                contract::EXPORT
            )),
        }
    }
}

impl Plugin {
    /// A fresh instance, with nothing called yet. Fails with what happened.
    pub(crate) fn instantiate(
        &self,
        limits: &Limits,
        mask: Box<dyn Fn(String) -> String + Send>,
    ) -> Result<(Store<Guest>, Exports), String> {
        let journal = Messages {
            plugin: self.name.clone(),
            muted: false,
            last_error: None,
            mask,
            bytes_max: limits.log_bytes_max,
            per_second_max: limits.log_messages_per_second_max,
            second: Instant::now(),
            written: 0,
            dropped: 0,
        };
        let mut store = Store::new(
            &self.engine,
            Guest {
                meter: Meter::new(limits),
                journal,
            },
        );
        store.limiter(|guest| &mut guest.meter);
        store.set_hostcall_fuel(limits.output_bytes_max);
        store.set_epoch_deadline(limits.call_epochs());
        let exports = self
            .exports(&mut store)
            .map_err(|error| format!("it cannot be instantiated: {}", trap(&error, store.data(), limits)))?;
        Ok((store, exports))
    }

    fn exports(&self, store: &mut Store<Guest>) -> wasmtime::Result<Exports> {
        let instance = self.pre.instance_pre().instantiate(&mut *store)?;
        let bindings = Bindings::new(&mut *store, &instance)?;
        let start = instance
            .get_func(store, self.start)
            .ok_or_else(|| wasmtime::Error::msg("it has no `start`"))?;
        Ok(Exports { bindings, start })
    }
}

/// What happened in a call, for people: the cause, what was refused before, and what the plugin said last.
pub(crate) fn trap(error: &wasmtime::Error, guest: &Guest, limits: &Limits) -> String {
    let mut message = match error.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::Interrupt) => format!("it computed for more than {} ms in one call", limits.call_ms_max),
        Some(wasmtime::Trap::StackOverflow) => "its stack overflowed".to_owned(),
        Some(wasmtime::Trap::UnreachableCodeReached) => "it panicked".to_owned(),
        Some(trap) => format!("it trapped: {trap}"),
        None => format!("{:#}", error.root_cause()),
    };
    if let Some(refused) = guest.meter.refused() {
        message = format!("{message}; {refused}");
    }
    if let Some(last) = &guest.journal.last_error {
        message = format!("{message}; it said: {last}");
    }
    message
}

impl types::Host for Guest {}

impl log::Host for Guest {
    fn write(&mut self, level: log::Level, message: String) {
        self.journal.write(level, message);
    }
}

impl Messages {
    fn write(&mut self, level: log::Level, mut message: String) {
        if message.len() > self.bytes_max {
            message.truncate(message.floor_char_boundary(self.bytes_max));
            message.push('…');
        }
        let message = (self.mask)(message);
        if level == log::Level::Error {
            self.last_error = Some(message.clone());
        }
        if self.muted || !self.admit() {
            return;
        }
        let plugin = self.plugin.as_str();
        match level {
            log::Level::Debug => tracing::debug!(target: "plugin", plugin, "{message}"),
            log::Level::Info => tracing::info!(target: "plugin", plugin, "{message}"),
            log::Level::Warn => tracing::warn!(target: "plugin", plugin, "{message}"),
            log::Level::Error => tracing::error!(target: "plugin", plugin, "{message}"),
        }
    }

    /// Whether another message may be written in this second.
    fn admit(&mut self) -> bool {
        if self.second.elapsed() >= Duration::from_secs(1) {
            if self.dropped > 0 {
                let (plugin, dropped) = (self.plugin.as_str(), self.dropped);
                tracing::warn!(target: "plugin", plugin, "{dropped} messages were dropped: too many in a second");
            }
            (self.second, self.written, self.dropped) = (Instant::now(), 0, 0);
        }
        if self.written < self.per_second_max {
            self.written += 1;
            return true;
        }
        self.dropped = self.dropped.saturating_add(1);
        false
    }
}

fn known(interface: &str, version: &str) -> Result<(), String> {
    if contract::is_known(version) {
        return Ok(());
    }
    Err(format!(
        "it is built for `{interface}@{version}`; this Outflow loads version {}",
        contract::VERSIONS
    ))
}

fn check_header(bytes: &[u8]) -> Result<(), String> {
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            Err("it is a core WebAssembly module, and a plugin is a component; Outflow's repository builds one of a crate by `cargo xtask plugins --path DIR`, and the documentation of outflow-plugin-sdk says what that does".into())
        }
        _ => Err("it is no WebAssembly".into()),
    }
}

/// Advances the epoch as long as the engine lives.
fn tick(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("plugin-epochs".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(EPOCH);
            }
        })?;
    Ok(())
}

/// Creates a folder that only its owner can enter.
fn create_private(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}
