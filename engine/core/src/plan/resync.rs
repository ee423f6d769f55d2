//! Full resyncs (rule 22) and edited mappings, which they take over (rule 15).

use super::{PlanError, Request, guard, refused, rules_of};
use crate::diff::Rules;
use crate::ledger::Meta;
use crate::ledger::tables::{self, UNSETTLED};
use crate::mapping::Layout;
use crate::operation::Kind;
use crate::project::sync::{Mode, OnRemoved};
use crate::warehouse::Connection;

/// Whether a run is a full resync.
pub(super) struct Resync {
    /// Whether it is one, or continues one.
    active: bool,
    /// The epoch under which rows are sent.
    pub epoch: u64,
    /// Whether it will be open when the plan is committed.
    pub open: bool,
}

impl Resync {
    /// The rules of the run.
    pub fn rules<'a>(&self, request: &Request<'_>, layout: &'a Layout) -> Rules<'a> {
        Rules {
            resync: self.active,
            epoch: self.epoch,
            run: request.run,
            ..rules_of(layout, request.sync, request.target)
        }
    }
}

/// Decides whether this run is a full resync, and refuses one that does harm.
pub(super) fn decide(meta: &Meta, request: &Request<'_>) -> Result<Resync, PlanError> {
    super::check_target(request.projection, request.sync, request.target)?;
    if !request.full_resync {
        if !meta.layout.same_mapping(&request.projection.layout) && !meta.resync_open {
            return refused(edited(meta, request));
        }
        // A switch to insert ends an interrupted one.
        if !meta.resync_open || request.sync.mode == Mode::Insert {
            return Ok(Resync {
                active: false,
                epoch: meta.epoch,
                open: false,
            });
        }
    }
    if let Some(reason) = harm(request).filter(|_| !request.force) {
        let how = if request.full_resync {
            ""
        } else {
            "an interrupted full resync is to be continued; "
        };
        return refused(format!(
            "{how}a full resync is refused: {reason}. To do it all the same: --full-resync --force"
        ));
    }
    let epoch = if request.full_resync {
        meta.epoch + 1
    } else {
        meta.epoch
    };
    Ok(Resync {
        active: true,
        epoch,
        open: true,
    })
}

/// Why repeating every row would do harm.
fn harm(request: &Request<'_>) -> Option<String> {
    if rules_of(&request.projection.layout, request.sync, request.target).write_kind() == Kind::Insert {
        return Some("mode `insert` would create every record a second time".into());
    }
    let deletes =
        request.sync.on_removed != OnRemoved::Nothing && request.sync.mode != Mode::All && !request.target.whole;
    deletes.then(|| {
        format!(
            "rows that left the model since the last run would never be removed at the destination, although the sync says `on_removed: {}`",
            request.sync.on_removed.as_str()
        )
    })
}

/// Says that the mappings were edited, and what to do.
fn edited(meta: &Meta, request: &Request<'_>) -> String {
    let force = if harm(request).is_some() { " --force" } else { "" };
    let names = |layout: &Layout| layout.fields.iter().map(|field| field.to.clone()).collect::<Vec<_>>();
    let (old, new) = (names(&meta.layout), names(&request.projection.layout));
    let added: Vec<_> = new
        .iter()
        .filter(|name| !old.contains(name))
        .map(|name| format!("`{name}` is new"))
        .collect();
    let gone = old
        .iter()
        .filter(|name| !new.contains(name))
        .map(|name| format!("`{name}` is gone"));
    let mut changes: Vec<_> = added.into_iter().chain(gone).collect();
    if changes.is_empty() {
        changes.push("values, their order or the match field differ".into());
    }
    format!(
        "the mappings of `{slug}` were edited since its last run ({}); this version takes that over only by sending every row again: outflow run {slug} --full-resync{force}",
        changes.join(", "),
        slug = request.sync.slug,
    )
}

/// Brings the entries into the projection's layout, in a transaction of its own: columns of another type, or, by a full
/// resync, edited mappings.
pub(super) fn take_over_layout(
    connection: &mut Connection,
    meta: &mut Meta,
    request: &Request<'_>,
) -> Result<(), PlanError> {
    guard::types(&meta.layout, request)?;
    let new = &request.projection.layout;
    let edited = !meta.layout.same_mapping(new);
    let mut next = Meta {
        layout: new.clone(),
        sequence: meta.sequence + 1,
        clean: None,
        ..meta.clone()
    };
    if edited && !meta.resync_open {
        // Should this run stop before its plan, the next one still has to send everything.
        next.resync_open = true;
    }
    connection.transaction::<_, PlanError>(|connection| {
        adopt(connection, &meta.layout, new, edited)?;
        next.write(connection)?;
        Ok(())
    })?;
    *meta = next;
    Ok(())
}

/// Brings entries and unsettled operations into another layout, within a transaction.
pub(super) fn adopt(connection: &Connection, old: &Layout, new: &Layout, edited: bool) -> Result<(), PlanError> {
    const INTO: &str = "ledger.main.reprojected";
    tables::reproject(connection, old, new, INTO)?;
    tables::replace_entries(connection, INTO)?;
    if edited {
        tables::renew_small(connection, new)?;
        return Ok(());
    }
    let columns = new
        .key
        .iter()
        .enumerate()
        .map(|(index, column)| (format!("k{index}"), &column.data_type));
    for (name, data_type) in columns.chain(new.place.iter().map(|column| ("m".to_owned(), &column.data_type))) {
        connection.execute(&format!("ALTER TABLE {UNSETTLED} ALTER {name} TYPE {data_type}"))?;
        connection.execute(&format!(
            "ALTER TABLE {} ALTER {name} TYPE {data_type}",
            tables::PROPOSED
        ))?;
    }
    Ok(())
}
