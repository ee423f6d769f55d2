//! Drafts, and how long records are kept.

use super::*;

fn written(records: &Records, run: u64) {
    records.begin(run).unwrap().complete(Summary::default()).unwrap();
    records.publish(run).unwrap();
}

#[test]
fn a_draft_is_no_record_until_it_is_whole_and_the_ledger_has_the_same() {
    let state = tempfile::tempdir().unwrap();
    let records = Records::of(state.path());
    assert_eq!(records.runs().unwrap(), [0_u64; 0]);
    records.begin(1).unwrap();
    let whole = records.begin(2).unwrap();
    whole.complete(Summary::default()).unwrap();
    assert_eq!(records.runs().unwrap(), [0_u64; 0]);
    // As the next run finds them: the ledger has committed what the second says, and knows nothing of the first.
    records.settle().unwrap();
    assert_eq!(records.runs().unwrap(), [2]);
    assert_eq!(records.summary(2).unwrap().map(|summary| summary.run), Some(2));
    assert!(!records.draft(1).folder.exists());
}

#[cfg(unix)]
#[test]
fn rule_39_a_record_is_its_owners_and_not_kept_for_ever() {
    use std::os::unix::fs::PermissionsExt;
    let state = tempfile::tempdir().unwrap();
    let records = Records::of(state.path());
    for run in 1..=3 {
        written(&records, run);
    }
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&records.of_run(1)), 0o700);
    assert_eq!(mode(&records.of_run(1).join(SUMMARY)), 0o600);
    let day = Duration::from_secs(86_400);
    assert_eq!(records.sweep(day, SystemTime::now()).unwrap(), 0);
    assert_eq!(records.runs().unwrap(), [1, 2, 3]);
    // The newest one stays until there is a newer one.
    assert_eq!(records.sweep(day, SystemTime::now() + 2 * day).unwrap(), 2);
    assert_eq!(records.runs().unwrap(), [3]);
    let left: Vec<_> = std::fs::read_dir(records.folder()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
