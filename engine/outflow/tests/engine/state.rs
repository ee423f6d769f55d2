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
    let (looked, faults) = fixture.builder().build_to_look().unwrap();
    let files: Vec<_> = faults.0.iter().map(|fault| fault.file.to_str().unwrap()).collect();
    assert!(
        files.contains(&"models/people.yml") && files.contains(&"syncs/broken.yml"),
        "{faults}"
    );
    let listed = looked.syncs(now).unwrap();
    let names: Vec<_> = listed.iter().map(|listed| listed.sync.as_str()).collect();
    assert_eq!(names, ["broken", SYNC]);
    assert_eq!(listed[1].created.as_ref().unwrap().1, "ann");
    assert_eq!(listed[1].last_run.as_ref().unwrap().number, 1);
    // And one whose file is gone has its state.
    std::fs::remove_file(fixture.folder.path().join(format!("syncs/{SYNC}.yml"))).unwrap();
    let (looked, _) = fixture.builder().build_to_look().unwrap();
    let listed = looked.syncs(now).unwrap();
    assert!(!listed[1].in_project && listed[1].last_run.is_some());
}

#[tokio::test]
async fn what_is_known_of_a_sync_is_told_whatever_is_wrong_in_the_project_and_nothing_is_run() {
    let fixture = Fixture::new("schedule: {every: 1h}");
    run(&fixture.engine()).await;
    for file in ["outflow.yml", "models/people.yml", "syncs/other.yml"] {
        let before = std::fs::read_to_string(fixture.folder.path().join(file)).ok();
        fixture.write(file, "wrong: [\n");
        let (looked, faults) = fixture.builder().build_to_look().unwrap();
        assert!(faults.to_string().contains(file), "{faults}");
        assert_eq!(looked.runs(SYNC, 9).unwrap().len(), 1, "{file}");
        assert!(looked.rejected(SYNC).unwrap().is_some(), "{file}");
        assert_eq!(looked.schedule(1, Utc::now()).unwrap().len(), 1, "{file}");
        let refused = |error: Error| assert!(matches!(error, Error::Project(_)), "{error}");
        refused(looked.run(SYNC, RunOptions::default()).wait().await.unwrap_err());
        refused(looked.plan(SYNC, PlanOptions::default()).await.unwrap_err());
        refused(looked.rebaseline(SYNC, Vec::new()).await.unwrap_err());
        refused(looked.serve(std::future::pending()).await.unwrap_err());
        match before {
            Some(before) => fixture.write(file, &before),
            None => std::fs::remove_file(fixture.folder.path().join(file)).unwrap(),
        }
    }
    assert_eq!(fixture.memory.batches(), 1);
    std::fs::remove_file(fixture.folder.path().join(format!("syncs/{SYNC}.yml"))).unwrap();
    let engine = fixture.engine();
    assert_eq!(engine.runs(SYNC, 9).unwrap().len(), 1, "of a sync that is gone");
    let error = engine.runs("nobody", 9).unwrap_err();
    assert!(error.to_string().contains(SYNC), "{error}");
}
