//! What records of runs say of operations and entries: the queries that their parts are written with.

use super::tables::{ENTRIES, PLAN};
use crate::mapping::Layout;
use crate::warehouse::quote;

/// The operations with what came of them, and the entries that others' operations at their place ended. `joined` is the
/// plan `p` with its verdicts `v`; the entries are as they were before. `followed` says whether the ledger has no longer what
/// it had: what was sent if that was accepted, else nothing.
pub(super) fn operations(layout: &Layout, former: &[(u64, String, Layout)], joined: &str, all_missing: bool) -> String {
    let (record, of_former) = record(layout, former);
    let settled = settled(all_missing);
    let operations = Operations {
        reason: &reason(layout, PLAN),
        fields: &changed_fields(layout),
        sent: &sent(layout, &record),
        previous: &previous(layout, "e."),
        from: &format!(
            "{joined} LEFT JOIN {ENTRIES} AS e ON {}{of_former}",
            layout.same_entry("e", "p")
        ),
    };
    let operations = operations.query(layout, &settled);
    if layout.place_is_key() {
        return operations;
    }
    // A place has one owner (rule 12).
    format!(
        "{operations} UNION ALL SELECT p.ordinal, {key}, {place}, 'removed', NULL, 'taken', NULL, 'superseded', true, NULL, NULL, NULL, NULL, {previous}, e.dest_id \
         FROM {joined} JOIN {ENTRIES} AS e ON {same_place} AND NOT ({same_key}) WHERE {settled}",
        key = layout.key_json("e."),
        place = place(layout, "e."),
        previous = previous(layout, "e."),
        same_place = layout.same_place("e", "p"),
        same_key = layout.same_key("e", "p"),
    )
}

/// What a first sync, before which there are no entries, sent and the destination accepted: which rows, and no more. The ledger
/// has them from then on, and the record of the next run that touches one has it as what was there before; else a first sync
/// would write every row twice. `with_ids` says whether the destination told any id.
pub(super) fn first_accepted(layout: &Layout, joined: &str, with_ids: bool) -> String {
    // Each column of nothing would cost as much as the keys do.
    let place = layout
        .place
        .as_ref()
        .map_or(String::new(), |_| format!(", {} AS place", place(layout, "p.")));
    let id = if with_ids { ", v.id" } else { "" };
    format!(
        "SELECT p.ordinal, {key} AS key{place}, p.kind::VARCHAR AS operation{id} FROM {joined} WHERE {IS_FIRST}",
        key = layout.key_json("p.")
    )
}

/// The other operations of a first sync.
pub(super) fn first_others(layout: &Layout, joined: &str, all_missing: bool) -> String {
    let operations = Operations {
        reason: "CASE WHEN p.change = 'changed' THEN 'moved' ELSE 'new' END",
        fields: "NULL::VARCHAR[]",
        sent: &sent(layout, &layout.record_json("p.")),
        previous: "NULL::VARCHAR",
        from: &format!("{joined} WHERE NOT ({IS_FIRST})"),
    };
    operations.query(layout, &settled(all_missing))
}

/// A condition of an operation `p` and its verdict `v`: a record that was not there was made.
const IS_FIRST: &str = "p.change = 'added' AND coalesce(v.state, 'accepted') = 'accepted'";

/// A condition: all that is known of the place is what the operation did.
fn settled(all_missing: bool) -> String {
    format!(
        "coalesce(v.state, 'accepted') = 'accepted' OR (v.state = 'unmatched' AND NOT (p.change = 'removed' AND {all_missing}))"
    )
}

/// The expressions in which the operations of a first sync and of others differ.
struct Operations<'a> {
    reason: &'a str,
    fields: &'a str,
    sent: &'a str,
    previous: &'a str,
    from: &'a str,
}

impl Operations<'_> {
    fn query(&self, layout: &Layout, settled: &str) -> String {
        let Self {
            reason,
            fields,
            sent,
            previous,
            from,
        } = self;
        // An insert without an answer is all that is known of its place.
        format!(
            "SELECT p.ordinal, {key} AS key, {place} AS place, p.change, p.kind AS operation, {reason} AS reason, {fields} AS fields, \
             coalesce(v.state, 'accepted') AS outcome, ({settled}) OR (v.state = 'unknown' AND p.kind = 'insert') AS followed, \
             v.code, v.message, v.field, {sent} AS sent, {previous} AS previous, coalesce(v.id, p.dest_id) AS id FROM {from}",
            key = layout.key_json("p."),
            place = place(layout, "p."),
        )
    }
}

/// What is attempted and not accepted, of a table, in the order of keys.
pub(crate) fn unsettled(layout: &Layout, table: &str) -> String {
    format!(
        "SELECT {key} AS key, change, kind, state, code, message, field, times, since, run FROM {table} AS u ORDER BY {order}",
        key = layout.key_json("u."),
        order = layout.identity("u."),
    )
}

/// The match value of a row, where it is not the key.
pub(crate) fn place(layout: &Layout, prefix: &str) -> String {
    if layout.place.is_none() {
        "NULL::VARCHAR".to_owned()
    } else {
        layout.match_json(prefix)
    }
}

/// The record that the destination has by an entry; null where it never acknowledged one.
pub(crate) fn previous(layout: &Layout, prefix: &str) -> String {
    format!(
        "CASE WHEN {prefix}h IS NOT NULL THEN {} END",
        layout.record_json(prefix)
    )
}

/// The record of a planned row `p` as it is sent; null where only its key is.
pub(crate) fn sent(layout: &Layout, record: &str) -> String {
    // Where nothing can be cleared, the kind is refused before.
    let cleared = quote::text(&layout.cleared_json().unwrap_or_else(|| "{}".to_owned()));
    format!("CASE p.kind WHEN 'delete' THEN NULL WHEN 'clear' THEN {cleared} ELSE {record} END")
}

/// The record of a planned row `p`, and the joins that it needs: an insert that is repeated has the one first sent, under
/// whichever mappings that was (rule 27).
pub(crate) fn record(layout: &Layout, former: &[(u64, String, Layout)]) -> (String, String) {
    let mut record = layout.record_json("p.");
    let mut joins = String::new();
    for (version, table, its) in former {
        let name = format!("f{version}");
        joins.push_str(&format!(
            " LEFT JOIN {table} AS {name} ON p.mapping = {version} AND {name}.mapping = {version} AND {}",
            layout.same_entry(&name, "p")
        ));
        record = format!(
            "CASE WHEN {name}.mapping IS NOT NULL THEN {} ELSE {record} END",
            its.record_json(&format!("{name}."))
        );
    }
    (record, joins)
}

/// The fields whose values differ between an operation `p` and its entry `e`; null where there is nothing to compare.
pub(crate) fn changed_fields(layout: &Layout) -> String {
    format!(
        "CASE WHEN p.change <> 'removed' AND e.h IS NOT NULL THEN {} END",
        layout.differing_fields("p.", "e.")
    )
}

/// Why there is an operation `p`, in one word, by its entry `e`:
///
/// - `new`: the destination has no such record, as far as we were told;
/// - `moved`: the key's match value is another one, of the record that is written as of the one that is removed;
/// - `left`: the model has no such row any more;
/// - `resync`: a full resync sends it;
/// - `uncertain`: what the destination has is not known;
/// - `returned`: the key had left;
/// - `values`: values differ;
/// - `mapping`: the mappings were edited;
/// - `again`: everything is sent.
pub(crate) fn reason(layout: &Layout, plan: &str) -> String {
    let moved = if layout.place_is_key() {
        String::new()
    } else {
        format!(
            "WHEN p.change = 'removed' AND EXISTS (SELECT 1 FROM {plan} AS q WHERE q.change <> 'removed' AND {}) THEN 'moved' ",
            layout.same_key("q", "p")
        )
    };
    format!(
        "CASE {moved}WHEN p.change = 'removed' THEN 'left' WHEN e.epoch IS NULL AND p.change = 'changed' THEN 'moved' \
         WHEN e.epoch IS NULL THEN 'new' WHEN e.epoch <> p.epoch THEN 'resync' WHEN e.uncertain THEN 'uncertain' \
         WHEN e.memory THEN 'returned' WHEN len({}) > 0 THEN 'values' WHEN e.mapping <> p.mapping OR e.h <> p.h THEN 'mapping' ELSE 'again' END",
        layout.differing_fields("p.", "e.")
    )
}
