//! The call that gives a plugin its work, with everything borrowed: a batch is written into the plugin's memory from where
//! it lies. The types that `bindgen!` makes would have every text of every record copied first.

use outflow_core::operation;
use wasmtime::Store;
use wasmtime::component::{ComponentType, Func, Lower};

use super::bindings::outflow::destination::types::{Kind, Moment, Step};
use super::kind;

/// What a plugin is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Whether the destination can be reached.
    Check,
    /// To write a batch.
    Write(Vec<operation::Operation>),
    /// To make the records count.
    Finish,
    /// To leave nothing half done.
    Abort,
}

/// `work` of the contract.
#[derive(ComponentType, Lower)]
#[component(variant)]
#[expect(dead_code, reason = "a variant's cases are all named, and this host asks for some")]
enum Given<'a> {
    #[component(name = "check")]
    Check,
    #[component(name = "objects")]
    Objects,
    #[component(name = "fields")]
    Fields(&'a str),
    #[component(name = "write")]
    Write(&'a [Operation<'a>]),
    #[component(name = "poll")]
    Poll(&'a [&'a str]),
    #[component(name = "lookup")]
    Lookup(&'a [&'a str]),
    #[component(name = "finish")]
    Finish,
    #[component(name = "abort")]
    Abort,
}

/// `operation` of the contract.
#[derive(ComponentType, Lower)]
#[component(record)]
struct Operation<'a> {
    #[component(name = "kind")]
    kind: Kind,
    #[component(name = "key")]
    key: &'a str,
    #[component(name = "match-value")]
    match_value: &'a str,
    #[component(name = "id")]
    id: Option<&'a str>,
    #[component(name = "fields")]
    fields: &'a str,
    #[component(name = "previous")]
    previous: Option<&'a str>,
    #[component(name = "idempotency-key")]
    idempotency_key: &'a str,
}

impl<'a> Operation<'a> {
    fn of(operation: &'a operation::Operation) -> Self {
        Self {
            kind: kind(operation.kind),
            key: &operation.key,
            match_value: &operation.match_value,
            id: operation.id.as_deref(),
            fields: &operation.fields,
            previous: operation.previous.as_deref(),
            idempotency_key: &operation.idempotency_key,
        }
    }
}

/// Calls `start`, which is that function.
///
/// # Errors
/// A trap, or that the function has another type.
pub(crate) fn start<T>(
    function: &Func,
    store: &mut Store<T>,
    id: u32,
    moment: Moment,
    work: &Work,
) -> wasmtime::Result<Step> {
    let batch: Vec<Operation<'_>> = match work {
        Work::Write(batch) => batch.iter().map(Operation::of).collect(),
        _ => Vec::new(),
    };
    let given = match work {
        Work::Check => Given::Check,
        Work::Write(_) => Given::Write(&batch),
        Work::Finish => Given::Finish,
        Work::Abort => Given::Abort,
    };
    let function = function.typed::<(u32, Moment, &Given<'_>), (Step,)>(&*store)?;
    let (step,) = function.call(store, (id, moment, &given))?;
    Ok(step)
}
