//! Full resyncs (rule 22), and edited mappings, which a run takes over (rule 15).

use super::{Place, PlanError, Request, guard, refused, rules_of, stop_at};
use crate::diff::Rules;
use crate::ledger::{Meta, reproject};
use crate::mapping::{Edit, Layout, RecordValue};
use crate::operation::Kind;
use crate::project::sync::{Mode, OnRemoved};
use crate::warehouse::{Connection, WarehouseError};

/// Whether a run is a full resync.
pub(super) struct Resync {
    /// Whether it is one, or continues one.
    active: bool,
    /// Whether it begins one.
    pub begun: bool,
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
    // A run that died after its plan has begun what was ordered; what is left of that is continued, and not begun anew.
    let begun = request.full_resync || request.orders.iter().any(|order| !meta.resynced.contains(order));
    if !begun {
        if !meta.layout.same_match(&request.projection.layout) {
            return refused(edited_match(meta, request));
        }
        // A switch to insert ends an interrupted one.
        if !meta.resync_open || request.sync.mode == Mode::Insert {
            return Ok(Resync {
                active: false,
                begun,
                epoch: meta.epoch,
                open: false,
            });
        }
    }
    if let Some(reason) = harm(request).filter(|_| !request.force) {
        let how = if begun {
            ""
        } else {
            "an interrupted full resync is to be continued; "
        };
        return refused(format!(
            "{how}a full resync is refused: {reason}. To do it all the same: --full-resync --force"
        ));
    }
    let epoch = meta.epoch + u64::from(begun);
    Ok(Resync {
        active: true,
        begun,
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

/// Says that records are found otherwise, and what to do.
fn edited_match(meta: &Meta, request: &Request<'_>) -> String {
    let force = if harm(request).is_some() { " --force" } else { "" };
    let found_by = |layout: &Layout| {
        let place = layout.place.as_ref().map_or("the key", |column| &column.name);
        let field = layout.match_field.as_deref().unwrap_or("the destination's own choice");
        let case = if layout.caseless {
            ", without regard to case"
        } else {
            ""
        };
        format!("{place} in {field}{case}")
    };
    format!(
        "how records of `{slug}` are found was edited since its last run (by {}, and by {} now); what was sent may not be found again, so this takes over only by sending every row: outflow run {slug} --full-resync{force}",
        found_by(&meta.layout),
        found_by(&request.projection.layout),
        slug = request.sync.slug,
    )
}

/// Brings the entries into the projection's layout, in a transaction of its own.
pub(super) fn take_over_layout(
    connection: &mut Connection,
    meta: &mut Meta,
    request: &Request<'_>,
) -> Result<(), PlanError> {
    stop_at(guard::types(&meta.layout, request))?;
    let new = &request.projection.layout;
    let mut next = Meta {
        sequence: meta.sequence + 1,
        clean: None,
        ..meta.clone()
    };
    if !meta.layout.same_match(new) {
        // Should this run stop before its plan, the next one still has to send everything, whatever was resent before.
        next.epoch += 1;
        next.resync_open = true;
    }
    connection.transaction::<_, PlanError>(|connection| {
        reproject::adopt(connection, &mut next, new)?;
        next.write(connection)?;
        Ok(())
    })?;
    *meta = next;
    Ok(())
}

/// How many rows are sent because fields are made otherwise now, for a person to know.
pub(super) fn edit_note(
    connection: &Connection,
    at: &Place,
    edits: &[Edit],
    mode: Mode,
) -> Result<Option<String>, WarehouseError> {
    if edits.is_empty() {
        return Ok(None);
    }
    let list: Vec<_> = edits.iter().map(ToString::to_string).collect();
    let list = list.join(", ");
    if mode == Mode::Insert {
        return Ok(Some(format!(
            "the mappings were edited ({list}); mode `insert` sends nothing for that"
        )));
    }
    let differs: Vec<_> = edits.iter().filter_map(|edit| differs(&at.layout, edit)).collect();
    let condition = if differs.is_empty() {
        "false".to_owned()
    } else {
        differs.join(" OR ")
    };
    let rows: Option<u64> = connection.scalar(&format!(
        "SELECT count(*) FROM {} AS p JOIN {} AS e ON {} WHERE p.change = 'changed' AND ({condition})",
        at.plan,
        at.entries,
        at.layout.same_entry("p", "e"),
    ))?;
    Ok(Some(format!(
        "the mappings were edited ({list}); rows sent again for that: {}",
        rows.unwrap_or_default()
    )))
}

/// A condition: what is planned differs in that field from what the destination shows.
fn differs(layout: &Layout, edit: &Edit) -> Option<String> {
    let field = layout.field(&edit.field)?;
    Some(match &field.value {
        RecordValue::Image(index) if edit.before.is_some() => {
            format!("outflow_hash(p.i{index}) <> outflow_hash(e.i{index})")
        }
        _ => "true".to_owned(),
    })
}
