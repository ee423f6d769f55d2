//! The words by which records, and `explain`, say why something is or is not done; with what they mean, for people.

/// What a reason means; nothing for one that speaks for itself, as that of a row which cannot be sent.
#[must_use]
pub fn meaning(reason: &str) -> Option<&'static str> {
    let meaning = match reason {
        // Operations.
        "new" => "the destination has no such record, as far as it told",
        "moved" => "its match value is another one than before",
        "left" => "the model has no such row any more",
        "resync" => "a full resync sends every row",
        "uncertain" => "what the destination has is not known, because an earlier attempt had no answer",
        "returned" => "the row had left the model and is back",
        "values" => "values differ from those that the destination acknowledged",
        "mapping" => "the mappings were edited, and what was sent under them differs",
        "again" => "it is sent without a difference, as all rows are",
        "taken" => "another row's record was written at this place, so that this one is there no more",
        // What becomes no operation.
        "follow" => "insert mode sends no changes; the ledger follows",
        "back" => "it is back, and insert mode does not insert it twice",
        "wait" => {
            "the destination did not find the record; it is tried again when it changes, or after a number of runs that grows"
        }
        "owed" => "another row has this place, so that nothing is removed there",
        "extra" => "another removal at this place does it already",
        "park" => {
            "it was rejected too often in a row with these values (`park_after`); it is sent when they change, or after `outflow retry`"
        }
        "give" => "it left the model, and `on_removed: nothing` leaves the record as it is",
        "remember" => "it left the model; insert mode remembers that it was there",
        "replace" => "it left the model, and goes when everything is replaced",
        "doubt" => "nobody knows whether it was inserted; it is held until a person says so (`outflow resolve`)",
        "held" => "removals are held back, because more rows than before have a null key",
        "end" => "it left the model, and mode `all` removes nothing",
        "gone" => "it left the model; a full resync removes nothing, and forgets it at its end",
        "declared" => "a rebaseline declared it; nothing was sent",
        // What becomes an operation for another reason than the row's.
        "resend" => "an insert that had no answer is repeated as it was first sent",
        "keep" => "it is written again as it was, because everything is replaced",
        _ => return None,
    };
    Some(meaning)
}
