//! Previews: a plan in temporary tables, by the code that plans a run.

use super::build::{self, Source, Writes};
use super::compare::{Compared, Comparison, compare};
use super::{Place, PlanError, Planned, Request, former, guard, new_plugin, resync, stop_at};
use crate::diff::{self, Action, Rules};
use crate::ledger::tables::{self, ENTRIES, UNSETTLED, temporary};
use crate::ledger::{Ledger, LedgerError, Meta, TargetName, reproject};
use crate::mapping;
use crate::warehouse::Connection;

/// Plans a run into temporary tables of the connection; nothing else changes (rule 31). The ledger may be attached
/// read-only, or not be there yet; its last plan must be folded.
///
/// # Errors
/// Why there would be no plan.
pub fn preview(connection: &mut Connection, ledger: &Ledger, request: &Request<'_>) -> Result<Planned, PlanError> {
    let layout = &request.projection.layout;
    let mut stops = Vec::new();
    let name = TargetName {
        plugin: String::new(),
        identity: None,
        account: None,
        object: None,
    };
    let meta = ledger
        .meta()
        .cloned()
        .unwrap_or_else(|| Meta::preview(&request.sync.slug, &name, layout));
    if meta.plan.is_some() {
        return Err(LedgerError::Damaged("its last plan is not folded".into()).into());
    }
    let resync = resync::decide(&meta, request)?;
    let edits = mapping::edits(&meta.layout, layout);
    let mapping = meta.mapping + u64::from(meta.layout != *layout);
    let (mut entries, mut unsettled) = (ENTRIES.to_owned(), UNSETTLED.to_owned());
    if ledger.meta().is_none() || meta.layout != *layout {
        (entries, unsettled) = (temporary("entries"), temporary("unsettled"));
        tables::drop_temporary(connection, &["entries", "unsettled"])?;
        if ledger.meta().is_some() {
            stops = guard::types(&meta.layout, request);
            if let Err(error) = reproject::copy(connection, &meta, layout, mapping, &entries) {
                // Where the new types do not take the old values, there is no more to show than that.
                stop_at(stops)?;
                return Err(error.into());
            }
        } else {
            tables::create_rows(connection, &entries, layout)?;
        }
        tables::create_unsettled(connection, &unsettled, layout)?;
        if ledger.meta().is_some() && meta.layout.same_match(layout) {
            reproject::copy_unsettled(connection, layout, &unsettled)?;
        }
    }
    let plan = temporary("plan");
    tables::drop_temporary(connection, &["plan"])?;
    let at = Place {
        layout: layout.clone(),
        former: former(&meta, layout),
        entries,
        unsettled,
        plan,
        incarnation: meta.incarnation.clone(),
        sequence: meta.sequence,
        previous: request.target.previous,
    };
    // A preview shows what it saw at once: a snapshot keeps two readings together.
    let source = if diff::narrows(&resync.rules(request, layout), tables::count(connection, &at.entries)?) {
        Source::Unknown
    } else {
        Source::take_snapshot(connection, request.projection)?
    };
    match compare(connection, &meta, request, &resync, source, at)? {
        Compared::Same(mut planned) => {
            tables::create_rows(connection, &planned.at.plan, layout)?;
            planned.stops = stops;
            Ok(*planned)
        }
        Compared::Differs(comparison) => {
            let Comparison {
                desired,
                tally,
                mut planned,
                ..
            } = *comparison;
            let rules = Rules {
                entries: &planned.at.entries,
                unsettled: &planned.at.unsettled,
                mapping,
                ..resync.rules(request, layout)
            };
            let writes = Writes::compared(connection, &rules, source, &desired)?;
            build::plan(connection, &rules, request.projection, &writes, &planned.at, &tally)?;
            planned.stops.splice(0..0, stops);
            planned
                .stops
                .extend(guard::nulled(connection, &planned.at, request, planned.counts)?);
            planned
                .notes
                .extend(resync::edit_note(connection, &planned.at, &edits, rules.mode)?);
            planned.deliver = tally.planned().total() > 0 || tally.of(Action::Replace) > 0;
            planned.notes.extend(new_plugin(&meta, request));
            Ok(planned)
        }
    }
}
