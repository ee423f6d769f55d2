//! What is kept, for whom, and what is told of it.

use super::*;

#[cfg(unix)]
#[tokio::test]
async fn rule_39_files_of_the_state_are_their_owners() {
    use std::os::unix::fs::PermissionsExt;
    fn wide(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                found.push(format!("{} {mode:o}", path.display()));
            }
            if path.is_dir() {
                wide(&path, found);
            }
        }
    }
    let fixture = Fixture::new("");
    let engine = fixture.engine();
    run(&engine).await;
    engine.plan(SYNC, PlanOptions::default()).await.unwrap();
    let mut found = Vec::new();
    wide(engine.state(), &mut found);
    assert_eq!(found, [""; 0]);
}

#[tokio::test]
async fn syncs_are_listed_with_their_creator_and_also_beside_a_mistake() {
    let fixture = Fixture::new("schedule: {every: 1h}");
    let engine = fixture.engine();
    let now = Utc::now();
    let before = engine.syncs(now).unwrap();
    assert_eq!((before.len(), before[0].created.as_ref()), (1, None));
    run(&engine).await;
    let listed = engine.syncs(now).unwrap();
    assert_eq!(listed[0].created.as_ref().unwrap().1, "ann");
    assert_eq!(listed[0].last_run.as_ref().unwrap().number, 1);
    assert_eq!((listed[0].enabled, listed[0].in_project), (Some(true), true));
    assert!(listed[0].next_run_at.unwrap() > now);
    // One file is wrong, and another sync's is new.
    fixture.write("models/people.yml", "source: people\nkeys: id\n");
    fixture.write("syncs/broken.yml", "model\n");
    assert!(fixture.builder().build().is_err());
    let listed = outflow::listed(fixture.folder.path(), engine.state()).unwrap();
    let names: Vec<_> = listed.iter().map(|listed| listed.sync.as_str()).collect();
    assert_eq!(names, ["broken", SYNC]);
    assert_eq!(listed[1].created.as_ref().unwrap().1, "ann");
    assert_eq!(listed[1].last_run.as_ref().unwrap().number, 1);
    // And one whose file is gone has its state.
    std::fs::remove_file(fixture.folder.path().join(format!("syncs/{SYNC}.yml"))).unwrap();
    let listed = outflow::listed(fixture.folder.path(), engine.state()).unwrap();
    assert!(!listed[1].in_project && listed[1].last_run.is_some());
}
