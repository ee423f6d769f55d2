//! What an author implements.

use serde::de::DeserializeOwned;

use crate::{Ctx, Description, Failure, Field, Object, Operation, Outcome, Problem, Settings, Settlement, Target};

/// A destination, opened under its settings. It keeps no state between tasks, as the host may replay them.
#[allow(async_fn_in_trait, reason = "plugins are single-threaded")]
pub trait Destination: Sized + 'static {
    /// The destination's `config`. What cannot be read as this type is refused with a problem that names the field.
    type Config: DeserializeOwned;

    /// What this plugin is.
    fn describe() -> Description;

    /// Opens the destination, without a network. `settings.config` is the text that `config` was read from.
    ///
    /// # Errors
    /// Everything that is wrong in the settings.
    fn open(config: Self::Config, settings: Settings) -> Result<(Self, Target), Vec<Problem>>;

    /// Writes a batch: one outcome per operation, in order.
    async fn write(&self, ctx: &Ctx, batch: &[Operation]) -> Result<Vec<Outcome>, Failure>;

    /// Says whether the destination can be reached, and which account the credentials belong to. A run begins with it,
    /// before its first batch.
    async fn check(&self, _ctx: &Ctx) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// Lists what can be written to; for plugins with the ability `objects`.
    async fn objects(&self, _ctx: &Ctx) -> Result<Vec<Object>, Failure> {
        Err(Failure::Fatal("this plugin does not list objects".into()))
    }

    /// Lists the fields of an object; for plugins with the ability `fields`.
    async fn fields(&self, _ctx: &Ctx, _object: &str) -> Result<Vec<Field>, Failure> {
        Err(Failure::Fatal("this plugin does not list fields".into()))
    }

    /// Finds records by match values, given as JSON: for each the record as JSON, where there is one; for plugins with the
    /// ability `lookup`.
    async fn lookup(&self, _ctx: &Ctx, _match_values: &[String]) -> Result<Vec<Option<String>>, Failure> {
        Err(Failure::Fatal("this plugin does not look records up".into()))
    }

    /// Asks after operations whose outcome was `pending`, by their handles; for plugins with the ability `poll`.
    async fn poll(&self, _ctx: &Ctx, _handles: &[String]) -> Result<Vec<Settlement>, Failure> {
        Err(Failure::Fatal("this plugin answers at once".into()))
    }

    /// Makes the run's records count; for plugins with the ability `finish`.
    async fn finish(&self, _ctx: &Ctx) -> Result<(), Failure> {
        Ok(())
    }

    /// Leaves nothing half done after a run that stopped early; for plugins with the ability `finish`.
    async fn abort(&self, _ctx: &Ctx) -> Result<(), Failure> {
        Ok(())
    }
}
