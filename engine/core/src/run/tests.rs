//! Whole runs toward a destination in memory: real project files, real DuckDB, real journal and ledger.

mod crm;
mod damage;
mod faults;
mod lost;
mod world;

use crate::report::{Split, Status};

use crm::Answer;
use world::World;

fn split(added: u64, changed: u64, removed: u64) -> Split {
    Split {
        added,
        changed,
        removed,
    }
}

const UPSERT: &str = "mode: upsert";
const MIRROR: &str = "mode: mirror\nguards: {max_removed: {share: 1.0, rows: 1000}}";

#[tokio::test]
async fn a_first_run_adds_a_second_does_nothing_and_a_third_sends_the_difference() {
    let mut world = World::new(MIRROR);
    world.rows("1,Ann\n2,Bob\n3,Cid\n");
    let first = world.run().await;
    assert_eq!(
        (first.report.status, first.report.counts.succeeded),
        (Status::Success, split(3, 0, 0))
    );
    assert_eq!(world.crm.records(), ["1=Ann", "2=Bob", "3=Cid"]);
    world.crm.take_sent();

    let second = world.run().await;
    assert_eq!(second.report.status, Status::Success);
    assert_eq!(
        (second.report.counts.unchanged, second.report.counts.changes.total()),
        (3, 0)
    );
    assert_eq!(world.crm.take_sent(), [""; 0]);

    world.rows("2,Bo\n3,Cid\n4,Dan\n");
    let third = world.run().await;
    assert_eq!(
        (third.report.status, third.report.counts.succeeded),
        (Status::Success, split(1, 1, 1))
    );
    assert_eq!(world.crm.take_sent(), ["delete 1", "upsert 2", "upsert 4"]);
    assert_eq!(world.crm.records(), ["2=Bo", "3=Cid", "4=Dan"]);
}

#[tokio::test]
async fn rule_01_a_rejected_change_keeps_the_old_image_and_is_sent_again() {
    let mut world = World::new(UPSERT);
    world.rows("1,Ann\n2,Bob\n");
    world.run().await;
    world.crm.answer("2", Answer::Reject);
    world.rows("1,Ann\n2,Bo\n");
    let refused = world.run().await;
    assert_eq!(
        (refused.report.status, refused.report.counts.rejected),
        (Status::Warning, split(0, 1, 0))
    );
    let record = world.record();
    assert_eq!(record.unsettled.len(), 1);
    assert_eq!(record.unsettled[0].message.as_deref(), Some("no"));
    world.crm.take_sent();

    let again = world.run().await;
    assert_eq!(again.report.counts.rejected, split(0, 1, 0));
    assert_eq!(world.crm.take_sent(), ["upsert 2"]);

    // The source reverts to what was acknowledged (rule 2).
    world.rows("1,Ann\n2,Bob\n");
    let reverted = world.run().await;
    assert_eq!(
        (reverted.report.status, reverted.report.counts.changes.total()),
        (Status::Success, 0)
    );
    assert!(world.record().unsettled.is_empty());
}

#[tokio::test]
async fn rule_01_a_rejected_add_makes_no_entry() {
    let mut world = World::new(MIRROR);
    world.crm.answer("2", Answer::Reject);
    world.rows("1,Ann\n2,Bob\n");
    assert_eq!(world.run().await.report.counts.rejected, split(1, 0, 0));
    world.rows("1,Ann\n");
    let gone = world.run().await;
    assert_eq!(
        (gone.report.counts.changes.total(), gone.report.status),
        (0, Status::Success)
    );
}

#[tokio::test]
async fn rule_01_a_rejected_removal_is_retried_though_the_model_has_no_such_row() {
    let mut world = World::new(MIRROR);
    world.rows("1,Ann\n2,Bob\n");
    world.run().await;
    world.crm.answer("2", Answer::Reject);
    world.rows("1,Ann\n");
    assert_eq!(world.run().await.report.counts.rejected, split(0, 0, 1));
    world.crm.answer("2", Answer::Accept);
    assert_eq!(world.run().await.report.counts.succeeded, split(0, 0, 1));
    assert_eq!(world.crm.records(), ["1=Ann"]);
}

#[tokio::test]
async fn rule_03_an_uncertain_key_is_sent_again_also_when_the_source_reverts() {
    let mut world = World::new(UPSERT);
    world.rows("1,Ann\n");
    world.run().await;
    world.crm.answer("1", Answer::ApplyThenUnknown);
    world.rows("1,Anna\n");
    let unknown = world.run().await;
    assert_eq!(unknown.report.counts.unknown, split(0, 1, 0));
    world.crm.answer("1", Answer::Accept);
    world.rows("1,Ann\n");
    assert_eq!(world.run().await.report.counts.succeeded, split(0, 1, 0));
    assert_eq!(world.crm.records(), ["1=Ann"]);
}

#[tokio::test]
async fn rule_03_an_uncertain_add_that_leaves_is_removed() {
    let mut world = World::new(MIRROR);
    world.crm.answer("2", Answer::ApplyThenUnknown);
    world.rows("1,Ann\n2,Bob\n");
    world.run().await;
    world.crm.answer("2", Answer::Accept);
    world.rows("1,Ann\n");
    world.run().await;
    assert_eq!(world.crm.records(), ["1=Ann"]);
}

#[tokio::test]
async fn rule_07_a_lost_ledger_stops_the_run() {
    let mut world = World::new(MIRROR);
    world.rows("1,Ann\n2,Bob\n");
    world.run().await;
    world.crm.take_sent();
    std::fs::remove_file(world.ledger()).unwrap();
    let lost = world.run().await;
    assert_eq!(lost.report.status, Status::Failed);
    assert!(
        lost.report
            .message
            .unwrap()
            .contains("is gone, though it had 2 entries")
    );
    assert_eq!(world.crm.take_sent(), [""; 0]);
}

#[tokio::test]
async fn rule_07_a_restored_older_ledger_stops_the_run() {
    let mut world = World::new(UPSERT);
    world.rows("1,Ann\n");
    world.run().await;
    let old = std::fs::read(world.ledger()).unwrap();
    world.rows("1,Anna\n");
    world.run().await;
    std::fs::write(world.ledger(), old).unwrap();
    let older = world.run().await;
    assert_eq!(older.report.status, Status::Failed);
    assert!(older.report.message.unwrap().contains("older than the last run"));
}

#[tokio::test]
async fn rule_09_null_and_repeated_keys_are_invalid_and_the_rest_is_synced() {
    let mut world = World::new(MIRROR);
    world.rows("1,Ann\n2,Bob\n");
    world.run().await;
    world.rows("1,Anna\n1,Anne\n,Nobody\n3,Cid\n2,Bob\n");
    let run = world.run().await;
    assert_eq!((run.report.status, run.report.counts.invalid), (Status::Warning, 3));
    assert_eq!(run.report.counts.succeeded, split(1, 0, 0));
    assert_eq!(world.crm.records(), ["1=Ann", "2=Bob", "3=Cid"]);
}

#[tokio::test]
async fn rule_17_insert_sends_added_rows_only() {
    let mut world = World::new("mode: insert");
    world.rows("1,Ann\n");
    world.run().await;
    world.rows("1,Anna\n2,Bob\n");
    let run = world.run().await;
    assert_eq!(run.report.counts.succeeded, split(1, 0, 0));
    assert_eq!(run.report.counts.withheld, split(0, 1, 0));
    assert_eq!(world.crm.records(), ["1=Ann", "2=Bob"]);
    assert_eq!(world.run().await.report.counts.changes.total(), 0);
}

#[tokio::test]
async fn rule_19_a_returning_key_is_not_inserted_twice() {
    let mut world = World::new("mode: insert");
    let many: String = (0..20).map(|id| format!("{id},x\n")).collect();
    world.rows(&many);
    world.run().await;
    world.crm.take_sent();
    world.rows(&many.replace("\n7,x\n", "\n"));
    world.run().await;
    world.rows(&many);
    world.run().await;
    assert_eq!(world.crm.take_sent(), [""; 0]);
}

#[tokio::test]
async fn rule_18_nothing_keeps_the_record_and_clear_empties_it() {
    for (behaviour, sent) in [
        ("nothing", Vec::new()),
        ("clear", vec!["clear 2"]),
        ("delete", vec!["delete 2"]),
    ] {
        let mut world = World::new(&format!("mode: upsert\non_removed: {behaviour}"));
        world.rows("1,Ann\n2,Bob\n3,Cid\n");
        world.run().await;
        world.crm.take_sent();
        world.rows("1,Ann\n3,Cid\n");
        let run = world.run().await;
        assert_eq!(run.report.counts.changes, split(0, 0, 1), "{behaviour}");
        assert_eq!(world.crm.take_sent(), sent, "{behaviour}");
        assert_eq!(world.run().await.report.counts.changes.total(), 0, "{behaviour}");
    }
}

#[tokio::test]
async fn rule_22_a_full_resync_sends_everything_and_is_refused_where_it_would_harm() {
    let mut world = World::new(UPSERT);
    world.rows("1,Ann\n2,Bob\n");
    world.run().await;
    world.crm.take_sent();
    world.options.full_resync = true;
    assert_eq!(world.run().await.report.counts.succeeded, split(2, 0, 0));
    assert_eq!(world.crm.take_sent(), ["upsert 1", "upsert 2"]);

    let mut world = World::new(MIRROR);
    world.rows("1,Ann\n");
    world.run().await;
    world.options.full_resync = true;
    let refused = world.run().await;
    assert_eq!(refused.report.status, Status::Failed);
    world.options.full_resync = true;
    world.options.force = true;
    assert_eq!(world.run().await.report.counts.succeeded, split(1, 0, 0));
}

#[tokio::test]
async fn rule_31_a_preview_changes_nothing_and_shows_what_is_sent() {
    let mut world = World::new(MIRROR);
    world.rows("1,Ann\n2,Bob\n");
    world.run().await;
    world.crm.take_sent();
    world.crm.take_bodies();
    world.rows("2,Bo\n3,Cid\n");
    let before = std::fs::read(world.ledger()).unwrap();
    let preview = world.preview().await.unwrap();
    assert_eq!(preview.counts.planned, split(1, 1, 1));
    assert_eq!(std::fs::read(world.ledger()).unwrap(), before);
    assert_eq!(world.crm.take_sent(), [""; 0]);
    let shown: Vec<String> = preview
        .requests
        .iter()
        .flat_map(|(_, effects)| world::bodies(effects))
        .collect();
    world.run().await;
    assert_eq!(world.crm.take_bodies(), shown);
}

#[tokio::test]
async fn rule_35_an_empty_model_and_many_removals_stop_the_run_until_allowed() {
    let mut world = World::new("mode: mirror");
    world.rows(&(0..20).map(|id| format!("{id},x\n")).collect::<String>());
    world.run().await;
    world.crm.take_sent();
    world.rows("");
    let empty = world.run().await;
    assert_eq!(
        (empty.report.status, empty.report.counts.planned.removed),
        (Status::Failed, 20)
    );
    world.rows(&(0..10).map(|id| format!("{id},x\n")).collect::<String>());
    let many = world.run().await;
    assert_eq!(many.report.status, Status::Failed);
    assert_eq!(world.crm.take_sent(), [""; 0]);
    let message = many.report.message.unwrap();
    let token = message.rsplit(' ').next().unwrap().to_owned();
    // It holds for a subset of those removals.
    world.rows(&(0..12).map(|id| format!("{id},x\n")).collect::<String>());
    world.options.allow = vec![token];
    let allowed = world.run().await;
    assert_eq!(
        (allowed.report.status, allowed.report.counts.succeeded.removed),
        (Status::Success, 8),
        "{message}"
    );
}

#[tokio::test]
async fn rule_15_an_edited_mapping_resends_what_differs() {
    let mut world = World::new(UPSERT);
    world.rows("1,Ann\n");
    world.run().await;
    world.mappings("mappings: [{from: name, to: name}, {value: 1, to: version}]");
    let report = world.run().await.report;
    assert_eq!(report.status, Status::Success);
    assert!(report.notes[0].contains("`version` is new"), "{:?}", report.notes);
    assert_eq!(world.crm.raw("1").unwrap()["version"], 1);
}

#[tokio::test]
async fn rule_15_rebaseline_takes_the_present_state_without_sending() {
    let mut world = World::new(UPSERT);
    world.rows("1,Ann\n2,Bob\n");
    let rebaselined = world.rebaseline().await;
    assert_eq!(rebaselined.report.status, Status::Success);
    world.rows("1,Ann\n2,Bo\n");
    world.run().await;
    assert_eq!(world.crm.take_sent(), ["upsert 2"]);
}

#[tokio::test]
async fn rule_12_a_moved_match_value_removes_the_old_record_and_writes_the_new_one() {
    let mut world =
        World::new("mode: mirror\nmatch: {from: name, to: email}\nguards: {max_removed: {share: 1.0, rows: 9}}");
    world.mappings("mappings: [{from: id, to: number}]");
    world.rows("1,ann@x\n2,bob@x\n");
    world.run().await;
    world.crm.take_sent();
    world.rows("1,anna@x\n2,bob@x\n");
    world.run().await;
    assert_eq!(world.crm.take_sent(), ["delete \"ann@x\"", "upsert \"anna@x\""]);

    // Two rows change places: nothing is deleted under anybody's feet.
    world.rows("1,bob@x\n2,anna@x\n");
    world.run().await;
    assert_eq!(world.crm.take_sent(), ["upsert \"bob@x\"", "upsert \"anna@x\""]);
    assert_eq!(world.crm.raw("\"bob@x\"").unwrap()["number"], 1);
    assert_eq!(world.run().await.report.counts.changes.total(), 0);
}
