//! Syncs: what they may say, and which of it goes together.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

#[test]
fn a_mapped_value_is_any_json_and_null_is_one() {
    for (text, value) in [
        ("~", Value::Null),
        ("null", Value::Null),
        ("12", json!(12)),
        ("[1, {a: no}]", json!([1, {"a": "no"}])),
        ("\"\"", json!("")),
    ] {
        let sync = sync_with("value: fleet", &format!("value: {text}"));
        assert_eq!(sync.mappings[2].from, From::Value(value), "{text}");
    }
    let From::Value(value) = &sync_with("value: fleet", "value: 12345678901234567890.10").mappings[2]
        .from
        .clone()
    else {
        panic!()
    };
    assert_eq!(value.to_string(), "12345678901234567890.10");
}

#[test]
fn schedules_are_intervals_or_cron_or_none() {
    let cron = "schedule: {cron: \"0 6 * * 1-5\", timezone: Europe/Berlin}\n";
    assert_eq!(sync_with(cron, "").schedule, None);
    assert_eq!(
        sync_with(cron, "schedule: {every: 1h30m}\n").schedule,
        Some(ScheduleConfig::Interval(Duration::from_secs(5400)))
    );
    assert_eq!(
        wrong_sync(cron, "schedule: {cron: \"0 0 30 2 *\"}\n"),
        ["12:18: schedule.cron: the cron expression `0 0 30 2 *` never fires: no such day comes"]
    );
    assert_eq!(
        wrong_sync(cron, "schedule: {cron: \"0 25 * * *\"}\n"),
        [
            "12:18: schedule.cron: the hour `25` of the cron expression is wrong: `25` is none of its values, which are 0 to 23"
        ]
    );
    assert_eq!(
        wrong_sync(cron, "schedule: {every: 90 minutes}\n"),
        [
            "12:19: schedule.every: found `90 minutes`; must be a length of time in days, hours, minutes and seconds; for example `15m`, `1h30m` or `1d`"
        ]
    );
    assert_eq!(
        wrong_sync(cron, "schedule: {every: 0s}\n"),
        ["12:19: schedule.every: found 0 seconds; must be from `1s` to `366d`"]
    );
    assert_eq!(
        wrong_sync(cron, "schedule: {every: 1d, cron: \"* * * * *\"}\n"),
        ["12:11: schedule: found `every` and `cron` together; there must be exactly one of `every` or `cron`"]
    );
    assert_eq!(
        wrong_sync(cron, "schedule: hourly\n"),
        ["12:11: schedule: found `hourly`; must be fields (`name: value`)"]
    );
    assert_eq!(
        wrong_sync("Europe/Berlin", "Europe/Berlim"),
        ["12:43: schedule.timezone: there is no time zone `Europe/Berlim`; did you mean `Europe/Berlin`?"]
    );
}

#[test]
fn a_field_left_blank_is_a_slip() {
    assert_eq!(
        wrong_sync("object: assets", "object:"),
        ["3:7: object: found nothing; must be text; leave the field out, or give it a value"]
    );
    assert_eq!(
        wrong_sync("on_removed: delete", "on_removed: ~"),
        ["10:13: on_removed: found nothing; must be one of `nothing`, `clear` or `delete`"]
    );
}

#[test]
fn rule_17_mirror_deletes_and_nothing_else() {
    assert_eq!(sync_with("mode: upsert", "mode: mirror").on_removed, OnRemoved::Delete);
    assert_eq!(sync_with("mode: upsert\n", "mode: mirror\n").mode, Mode::Mirror);
    let text = SYNC
        .replace("mode: upsert", "mode: mirror")
        .replace("on_removed: delete\n", "");
    let project = load(&[("syncs/aircraft-to-crm.yml", Some(&text))]).unwrap();
    assert_eq!(project.syncs["aircraft-to-crm"].on_removed, OnRemoved::Delete);
    let text = SYNC
        .replace("mode: upsert", "mode: mirror")
        .replace("on_removed: delete", "on_removed: clear");
    assert_eq!(
        wrong("syncs/aircraft-to-crm.yml", &text),
        [
            "syncs/aircraft-to-crm.yml:10:13: on_removed: found `clear`; mode `mirror` always deletes what leaves the model; leave the field out, or use mode `upsert`"
        ]
    );
}

#[test]
fn rule_17_mode_all_removes_nothing() {
    assert_eq!(
        wrong_sync("mode: upsert", "mode: all"),
        [
            "10:13: on_removed: found `delete`; mode `all` sends every row and removes nothing; use `nothing`, or mode `upsert` or `mirror`"
        ]
    );
}

#[test]
fn rule_19_insert_mode_with_clear_is_refused() {
    let text = SYNC
        .replace("mode: upsert", "mode: insert")
        .replace("on_removed: delete", "on_removed: clear");
    assert_eq!(
        wrong("syncs/aircraft-to-crm.yml", &text),
        [
            "syncs/aircraft-to-crm.yml:10:13: on_removed: found `clear`; mode `insert` changes no record that exists; use `nothing` or `delete`, or another mode"
        ]
    );
    assert_eq!(
        sync_with("mode: upsert", "mode: insert\nreturning: insert").returning,
        Returning::Insert
    );
    assert_eq!(
        wrong_sync("mode: upsert", "mode: upsert\nreturning: insert"),
        ["5:12: returning: only mode `insert` remembers keys that left; the mode is `upsert`; leave the field out"]
    );
}

#[test]
fn no_field_is_sent_twice() {
    assert_eq!(
        wrong_sync("to: vintage", "to: maker"),
        ["8:30: mappings[1].to: `maker` is mapped twice, first by mappings[0]; keep one of them"]
    );
    assert_eq!(
        wrong_sync("to: maker", "to: registration"),
        [
            "7:30: mappings[0].to: `registration` is the match field, which every record has already; remove this mapping"
        ]
    );
    let found = wrong(
        "syncs/aircraft-to-crm.yml",
        "model: aircraft\ndestination: crm\nmappings: []\n",
    );
    assert_eq!(
        found,
        ["syncs/aircraft-to-crm.yml:3:11: mappings: the list is empty; it must have at least one item"]
    );
}

#[test]
fn guards_are_shares_and_numbers() {
    assert_eq!(
        wrong_sync(
            "{max_removed: {share: 0.5}}",
            "{max_removed: {share: 30}, max_nulled: -1}"
        ),
        [
            "11:31: guards.max_removed.share: found `30`; must be at most 1",
            "11:48: guards.max_nulled: found `-1`; must be at least 0",
        ]
    );
    let threshold = Threshold { share: 0.3, rows: 5 };
    assert!(
        !threshold.is_passed(5, 10)
            && threshold.is_passed(6, 10)
            && !threshold.is_passed(30, 100)
            && threshold.is_passed(31, 100)
    );
}

#[test]
fn a_renamed_sync_comes_from_one_that_is_gone() {
    assert_eq!(
        sync_with("mode: upsert", "renamed_from: planes")
            .renamed_from
            .as_deref(),
        Some("planes")
    );
    assert_eq!(
        wrong_sync("mode: upsert", "renamed_from: aircraft-to-crm"),
        ["4:15: renamed_from: is the sync's own name"]
    );
    let renamed = SYNC.replace("mode: upsert", "renamed_from: aircraft-to-crm");
    assert_eq!(
        wrong_with(&[("syncs/other.yml", Some(&renamed))]),
        [
            "syncs/other.yml:4:15: renamed_from: there still is a sync `aircraft-to-crm`; a ledger can move only from a sync that is gone"
        ]
    );
}
