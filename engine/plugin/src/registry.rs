//! Finds plugins by name, in folders and among those that the program carries, and opens destinations with them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use outflow_core::destination::{Description, Destination, OpenError, Plugins, Settings};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use crate::component::{Compiler, Plugin};
use crate::effect::http;
use crate::limits::Limits;
use crate::opened::Opened;

/// The largest plugin file.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// The longest name of a plugin.
const NAME_BYTES_MAX: usize = 64;

/// A plugin that the program carries.
#[derive(Clone, Debug)]
pub struct Bundled {
    /// Its name, as in `plugin: http`.
    pub name: String,
    /// The component.
    pub bytes: Cow<'static, [u8]>,
}

/// Where a registry looks, and what it lets plugins use up.
#[derive(Clone, Debug, Default)]
pub struct RegistryOptions {
    /// Folders with files `NAME.wasm`, in the order in which they are looked through.
    pub folders: Vec<PathBuf>,
    /// Plugins that are looked at last.
    pub bundled: Vec<Bundled>,
    /// A folder for compiled code; created for its owner only. Without one, every process compiles anew.
    pub cache: Option<PathBuf>,
    /// The bounds of every opened destination.
    pub limits: Limits,
}

/// A plugin that a registry could load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its file; none where the program carries it.
    pub file: Option<PathBuf>,
}

/// Why there is no host for plugins.
#[derive(Debug, thiserror::Error)]
#[error("plugins cannot be run: {0}")]
pub struct HostError(String);

/// The plugins that a project can use.
pub struct Registry {
    options: RegistryOptions,
    compiler: Arc<Compiler>,
    tls: rustls::ClientConfig,
    /// The latest content of each name, compiled.
    loaded: Mutex<HashMap<String, Plugin>>,
}

impl Registry {
    /// Makes a host for plugins; loads none yet. Fails where this machine cannot run them or the cache's folder cannot
    /// be used.
    pub fn new(options: RegistryOptions) -> Result<Self, HostError> {
        let compiler = Compiler::new(options.cache.as_deref()).map_err(|error| HostError(format!("{error:#}")))?;
        let tls = http::tls().map_err(|error| HostError(error.to_string()))?;
        Ok(Self {
            options,
            compiler: Arc::new(compiler),
            tls,
            loaded: Mutex::default(),
        })
    }

    /// Every plugin that could be loaded, by name; of several with one name, the one that would be.
    #[must_use]
    pub fn list(&self) -> Vec<Found> {
        let files = self
            .options
            .folders
            .iter()
            .filter_map(|folder| folder.read_dir().ok())
            .flat_map(|entries| {
                let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
                files.sort();
                files.into_iter().filter_map(|file| {
                    let name = file.file_name()?.to_str()?.strip_suffix(".wasm")?.to_owned();
                    (is_name(&name) && file.is_file()).then_some(Found { name, file: Some(file) })
                })
            });
        let bundled = self.options.bundled.iter().map(|plugin| Found {
            name: plugin.name.clone(),
            file: None,
        });
        let mut found: Vec<Found> = Vec::new();
        for plugin in files.chain(bundled) {
            if found.iter().all(|earlier| earlier.name != plugin.name) {
                found.push(plugin);
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    async fn load(&self, name: &str) -> Result<Plugin, OpenError> {
        let bytes = self.bytes(name).await?;
        let fingerprint: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        // Held while one compiles: a second wish for the same plugin waits for it.
        let mut loaded = self.loaded.lock().await;
        if let Some(plugin) = loaded.get(name).filter(|plugin| plugin.fingerprint == fingerprint) {
            return Ok(plugin.clone());
        }
        let (compiler, limits, owned) = (Arc::clone(&self.compiler), self.options.limits.clone(), name.to_owned());
        let plugin = tokio::task::spawn_blocking(move || compiler.load(&owned, &bytes, &limits))
            .await
            .map_err(|error| OpenError::Plugin {
                name: name.to_owned(),
                message: error.to_string(),
            })??;
        loaded.insert(name.to_owned(), plugin.clone());
        Ok(plugin)
    }

    async fn bytes(&self, name: &str) -> Result<Cow<'static, [u8]>, OpenError> {
        let unreadable = |message| OpenError::NotAPlugin {
            name: name.to_owned(),
            message,
        };
        // A name is never a path: nothing but slugs is looked for.
        for folder in self.options.folders.iter().filter(|_| is_name(name)) {
            let file = folder.join(format!("{name}.wasm"));
            let about = |error: std::io::Error| unreadable(format!("{}: {error}", file.display()));
            match tokio::fs::metadata(&file).await {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(about(error)),
                Ok(meta) if meta.len() > FILE_BYTES_MAX => {
                    let mb = FILE_BYTES_MAX >> 20;
                    return Err(unreadable(format!("{} is larger than {mb} MB", file.display())));
                }
                Ok(_) => return tokio::fs::read(&file).await.map(Cow::Owned).map_err(about),
            }
        }
        if let Some(plugin) = self.options.bundled.iter().find(|plugin| plugin.name == name) {
            return Ok(plugin.bytes.clone());
        }
        let mut looked: Vec<_> = self
            .options
            .folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        let carried: Vec<_> = self.options.bundled.iter().map(|plugin| plugin.name.as_str()).collect();
        looked.push(match carried.as_slice() {
            [] => "no bundled plugins".to_owned(),
            names => format!("the bundled plugins ({})", names.join(", ")),
        });
        Err(OpenError::NoSuchPlugin {
            name: name.to_owned(),
            looked,
        })
    }
}

#[async_trait]
impl Plugins for Registry {
    async fn describe(&self, plugin: &str) -> Result<Description, OpenError> {
        Ok(self.load(plugin).await?.description)
    }

    async fn fingerprint(&self, plugin: &str) -> Result<String, OpenError> {
        Ok(self.load(plugin).await?.fingerprint)
    }

    async fn open(&self, plugin: &str, settings: Settings) -> Result<Box<dyn Destination>, OpenError> {
        let plugin = self.load(plugin).await?;
        let opened = Opened::open(plugin, settings, self.tls.clone(), self.options.limits.clone()).await?;
        Ok(Box::new(opened))
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('-')
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}
