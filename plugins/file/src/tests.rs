use outflow_plugin_sdk::*;

use crate::File;

mod crash;

fn operation(kind: Kind, fields: &str) -> Operation {
    Operation {
        kind,
        key: r#"{"id":1}"#.into(),
        match_value: "1".into(),
        id: None,
        fields: fields.into(),
        previous: Some(r#"{"a":0}"#.into()),
        idempotency_key: "k".into(),
    }
}

fn settings(config: &str) -> Settings {
    let field = |name: &str| Field {
        name: name.into(),
        label: None,
        type_: FieldType::Json,
        required: false,
        matchable: false,
        writable: true,
    };
    let run = Run {
        number: 7,
        started: 1_709_208_000_000,
    };
    Settings {
        fields: vec![field("a"), field("b,c")],
        sync: "planes".into(),
        run: Some(run),
        ..Driver::<File>::settings(config)
    }
}

fn driver(config: &str) -> Driver<File> {
    Driver::open(settings(config)).expect("the config is valid")
}

fn append(step: Step) -> Append {
    match step {
        Step::Perform(mut effects) => match effects.pop() {
            Some(Effect::Append(append)) => append,
            other => panic!("no append but {other:?}"),
        },
        other => panic!("no effect but {other:?}"),
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn a_mirror_in_csv_has_a_header_and_tells_null_from_empty_text() {
    let mut driver = driver(r#"{"mode":"mirror","format":"csv","path":"m.csv"}"#);
    assert!(driver.target.whole && driver.target.counting == Counting::Finish);
    let batch = vec![
        operation(Kind::Upsert, r#"{"b,c":"say \"hi\"","a":12345678901234567890.10}"#),
        operation(Kind::Upsert, r#"{"a":"","b,c":null}"#),
        operation(Kind::Upsert, r#"{"a":[1,2],"b,c":true}"#),
    ];
    let append = append(driver.start(Work::Write(batch)));
    assert_eq!(append.path, "m.csv.planes.part");
    assert_eq!(text(append.preamble), "a,\"b,c\"\n");
    assert_eq!(
        text(append.data),
        "12345678901234567890.10,\"say \"\"hi\"\"\"\n\"\",\n\"[1,2]\",true\n"
    );
    let step = driver.resume(vec![EffectResult::Filed]);
    assert!(matches!(step, Step::Done(Answer::Written(outcomes)) if outcomes.len() == 3));
}

#[test]
fn a_run_without_records_leaves_a_file_with_a_header() {
    let mut driver = driver(r#"{"mode":"mirror","format":"csv","path":"m.csv"}"#);
    let append = append(driver.start(Work::Finish));
    assert_eq!((text(append.preamble), append.data.len()), ("a,\"b,c\"\n".into(), 0));
    let Step::Perform(effects) = driver.resume(vec![EffectResult::Filed]) else {
        panic!("no rename")
    };
    assert!(matches!(&effects[..], [Effect::Rename(r)] if r.from == "m.csv.planes.part" && r.to == "m.csv"));
    assert!(matches!(
        driver.resume(vec![EffectResult::Filed]),
        Step::Done(Answer::Finished)
    ));
}

#[test]
fn a_change_log_tells_operation_key_match_record_and_previous() {
    let mut driver =
        driver(r#"{"mode":"changes","format":"jsonl","path":"{sync}/{date}-{run}.jsonl","previous":true}"#);
    assert!(driver.target.previous);
    let append = append(driver.start(Work::Write(vec![operation(Kind::Delete, r#"{"a":1}"#)])));
    assert_eq!(append.path, "planes/date-run.jsonl.planes.part");
    assert_eq!(
        text(append.data),
        "{\"operation\":\"delete\",\"key\":{\"id\":1},\"match\":1,\"record\":{\"a\":1},\"previous\":{\"a\":0}}\n"
    );
}

#[test]
fn a_file_that_cannot_be_written_is_a_passing_fault() {
    let mut driver = driver(r#"{"mode":"mirror","format":"jsonl","path":"m.jsonl"}"#);
    driver.start(Work::Write(vec![operation(Kind::Upsert, "{}")]));
    let step = driver.resume(vec![EffectResult::FileFailed("no space".into())]);
    assert!(matches!(step, Step::Failed(Failure::Transient(why)) if why == "no space"));
}

#[test]
fn an_aborted_run_removes_its_part_and_nothing_else() {
    let mut driver = driver(r#"{"mode":"mirror","format":"jsonl","path":"m.jsonl"}"#);
    let Step::Perform(effects) = driver.start(Work::Abort) else {
        panic!("no effect")
    };
    assert!(matches!(&effects[..], [Effect::Remove(path)] if path == "m.jsonl.planes.part"));
}

#[test]
fn paths_that_leave_the_folder_or_replace_a_log_are_refused() {
    for (path, mode) in [
        ("../m", "mirror"),
        ("/m", "mirror"),
        ("{what}", "mirror"),
        ("log", "changes"),
    ] {
        let config = format!(r#"{{"mode":"{mode}","format":"csv","path":"{path}"}}"#);
        let Err(problems) = Driver::<File>::open(settings(&config)) else {
            panic!("{path} was taken")
        };
        assert_eq!(problems[0].path, "/path", "{path}");
    }
}
