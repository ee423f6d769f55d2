//! What a run leaves that was killed, and what the next one makes of it.

use std::collections::BTreeMap;

use super::*;

/// A granted folder: files by path.
type Folder = BTreeMap<String, String>;

const MIRROR: &str = r#"{"mode":"mirror","format":"csv","path":"out/m.csv"}"#;
const LOG: &str = r#"{"mode":"changes","format":"jsonl","path":"log/{date}/{run}.jsonl"}"#;

/// A run of the sync `planes` on the 29th of February 2024.
fn run(config: &str, number: u64) -> Driver<File> {
    let mut settings = settings(config);
    if let Some(run) = &mut settings.run {
        run.number = number;
    }
    Driver::open(settings).expect("the config is valid")
}

/// Does a task in the folder, as the host does.
fn work(driver: &mut Driver<File>, folder: &mut Folder, work: Work) -> Answer {
    let mut step = driver.start(work);
    loop {
        match step {
            Step::Done(answer) => return answer,
            Step::Failed(failure) => panic!("failed: {failure:?}"),
            Step::Perform(effects) => {
                let results = effects.into_iter().map(|effect| perform(folder, effect)).collect();
                step = driver.resume(results);
            }
        }
    }
}

fn perform(folder: &mut Folder, effect: Effect) -> EffectResult {
    match effect {
        Effect::Append(append) => {
            let file = folder.entry(append.path).or_default();
            if file.is_empty() {
                file.push_str(&text(append.preamble));
            }
            file.push_str(&text(append.data));
        }
        Effect::Rename(rename) if !rename.replace && folder.contains_key(&rename.to) => {
            return EffectResult::FileExists;
        }
        Effect::Rename(rename) => {
            let file = folder.remove(&rename.from).expect("a file to rename");
            folder.insert(rename.to, file);
        }
        Effect::Remove(path) => {
            folder.remove(&path);
        }
        other => panic!("no file effect: {other:?}"),
    }
    EffectResult::Filed
}

fn write(fields: &str) -> Work {
    Work::Write(vec![operation(Kind::Upsert, fields)])
}

/// A run from its check to its end.
fn whole_run(config: &str, number: u64, folder: &mut Folder, fields: &str) {
    let mut driver = run(config, number);
    work(&mut driver, folder, Work::Check);
    work(&mut driver, folder, write(fields));
    work(&mut driver, folder, Work::Finish);
}

/// A run that dies while its second batch is appended: half a line is there.
fn killed_run(config: &str, number: u64, folder: &mut Folder, fields: &str) {
    let mut driver = run(config, number);
    work(&mut driver, folder, Work::Check);
    work(&mut driver, folder, write(fields));
    let part = folder
        .keys()
        .find(|path| path.ends_with(".part"))
        .expect("a part")
        .clone();
    let file = folder.get_mut(&part).expect("it is there");
    let whole = file.clone();
    file.push_str(&whole[..whole.len() / 2]);
}

#[test]
fn rule_23_a_killed_mirror_leaves_the_old_file_and_the_next_one_replaces_it_whole() {
    let mut folder = Folder::new();
    whole_run(MIRROR, 1, &mut folder, r#"{"a":1}"#);
    for number in [2, 3] {
        killed_run(MIRROR, number, &mut folder, r#"{"a":2}"#);
        assert_eq!(folder["out/m.csv"], "a,\"b,c\"\n1,\n");
        assert_eq!(folder.len(), 2, "{folder:?}");
    }
    whole_run(MIRROR, 4, &mut folder, r#"{"a":4}"#);
    assert_eq!(folder, Folder::from([("out/m.csv".into(), "a,\"b,c\"\n4,\n".into())]));
}

#[test]
fn rule_04_half_a_line_of_a_killed_change_log_is_never_a_row() {
    let mut folder = Folder::new();
    whole_run(LOG, 1, &mut folder, r#"{"a":1}"#);
    for number in [2, 3] {
        killed_run(LOG, number, &mut folder, r#"{"a":2}"#);
        let logs: Vec<&String> = folder.keys().filter(|path| !path.ends_with(".part")).collect();
        assert_eq!(logs, ["log/2024-02-29/1.jsonl"]);
    }
    // The run's number as well may be one that was there before, where the project's state was lost.
    whole_run(LOG, 3, &mut folder, r#"{"a":4}"#);
    let paths: Vec<&str> = folder.keys().map(String::as_str).collect();
    assert_eq!(paths, ["log/2024-02-29/1.jsonl", "log/2024-02-29/3.jsonl"]);
    let log = &folder["log/2024-02-29/3.jsonl"];
    assert_eq!(log.lines().count(), 1, "{log}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a whole line");
        assert_eq!(line["record"]["a"], 4);
    }
}

#[test]
fn a_part_is_the_syncs_own_and_stays_where_its_path_leads() {
    let part = |config: &str, sync: &str, number: u64| {
        let mut settings = settings(config);
        settings.sync = sync.into();
        if let Some(run) = &mut settings.run {
            run.number = number;
        }
        let mut driver = Driver::<File>::open(settings).expect("the config is valid");
        append(driver.start(write("{}"))).path
    };
    assert_eq!(part(MIRROR, "planes", 1), "out/m.csv.planes.part");
    assert_eq!(part(MIRROR, "ships", 1), "out/m.csv.ships.part");
    assert_eq!(part(LOG, "planes", 1), part(LOG, "planes", 2));
    assert_eq!(part(LOG, "planes", 1), "log/date-run.jsonl.planes.part");
    let by_sync = r#"{"mode":"changes","format":"csv","path":"{sync}/{run}/log.csv"}"#;
    assert_eq!(part(by_sync, "planes", 1), "planes/run-log.csv.planes.part");
}

#[test]
fn a_check_outside_of_a_run_touches_nothing() {
    let settings = Settings {
        run: None,
        ..settings(MIRROR)
    };
    let mut driver = Driver::<File>::open(settings).expect("the config is valid");
    assert!(matches!(driver.start(Work::Check), Step::Done(Answer::Checked(_))));
}

#[test]
fn rule_07_a_sync_is_bound_to_its_files() {
    let identity = |config: &str, number: u64| run(config, number).target.identity;
    assert_eq!(identity(MIRROR, 1), "out/m.csv");
    let dated = r#"{"mode":"mirror","format":"csv","path":"{sync}-{date}.csv"}"#;
    assert_eq!(identity(dated, 1), "planes-{date}.csv");
    assert_eq!(identity(LOG, 1), "log/{date}/{run}.jsonl");
    assert_eq!(identity(LOG, 1), identity(LOG, 2));
}

#[test]
fn a_change_log_that_is_there_is_never_replaced() {
    let mut folder = Folder::new();
    whole_run(LOG, 1, &mut folder, r#"{"a":1}"#);
    let before = folder.clone();
    // The project's state was lost, so that a run has a number that was there before.
    let mut driver = run(LOG, 1);
    work(&mut driver, &mut folder, Work::Check);
    work(&mut driver, &mut folder, write(r#"{"a":2}"#));
    let mut step = driver.start(Work::Finish);
    while let Step::Perform(effects) = step {
        let results = effects.into_iter().map(|effect| perform(&mut folder, effect)).collect();
        step = driver.resume(results);
    }
    let Step::Failed(Failure::Fatal(message)) = step else {
        panic!("not fatal but {step:?}")
    };
    assert!(message.contains("`log/2024-02-29/1.jsonl`"), "{message}");
    work(&mut driver, &mut folder, Work::Abort);
    assert_eq!(folder, before);
}

#[test]
fn an_object_is_refused() {
    let settings = Settings {
        object: Some("planes".into()),
        ..settings(MIRROR)
    };
    let Err(problems) = Driver::<File>::open(settings) else {
        panic!("it was taken")
    };
    assert_eq!((problems.len(), problems[0].subject), (1, Subject::Object));
}
