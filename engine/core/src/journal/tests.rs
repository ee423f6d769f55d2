use proptest::prelude::*;

use super::*;

fn header() -> Header {
    Header {
        format: FORMAT,
        incarnation: "i".into(),
        run: 3,
        sequence: 7,
        operations: 100,
        counting: Counting::Batch,
    }
}

fn entries() -> Vec<Entry> {
    let refused = Rejection {
        code: "X".into(),
        message: "no".into(),
        field: None,
    };
    vec![
        Entry::Attempt {
            spans: vec![Span(0, 9)],
        },
        Entry::Outcomes {
            accepted: vec![Span(0, 7)],
            aborted: Vec::new(),
            others: vec![(8, State::Rejected(refused)), (9, State::Accepted { id: "a9".into() })],
        },
        Entry::Attempt {
            spans: vec![Span(10, 19)],
        },
        Entry::Outcomes {
            accepted: Vec::new(),
            aborted: vec![Span(11, 12)],
            others: vec![(10, State::Unknown { reason: "cut".into() })],
        },
        Entry::Finished,
    ]
}

/// Writes the entries one group each.
fn written() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let journal = Journal::create(&path, &header()).unwrap();
    runtime.block_on(async {
        for entry in entries() {
            journal.append(entry).await.unwrap();
        }
    });
    drop(journal);
    std::fs::read(path).unwrap()
}

fn read(bytes: &[u8]) -> Result<Option<Vec<Entry>>, JournalError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    std::fs::write(&path, bytes).unwrap();
    let Some(mut reader) = Reader::open(&path)? else {
        return Ok(None);
    };
    assert_eq!(reader.header(), &header());
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        entries.push(entry);
    }
    Ok(Some(entries))
}

#[test]
fn what_was_appended_is_read() {
    assert_eq!(read(&written()).unwrap().unwrap(), entries());
}

#[test]
fn a_missing_file_is_no_journal() {
    assert!(
        Reader::open(std::path::Path::new("/nowhere/journal"))
            .unwrap()
            .is_none()
    );
}

#[test]
fn an_existing_journal_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    drop(Journal::create(&path, &header()).unwrap());
    assert!(matches!(
        Journal::create(&path, &header()),
        Err(JournalError::Io { .. })
    ));
}

#[cfg(unix)]
#[test]
fn rule_39_only_the_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    drop(Journal::create(&path, &header()).unwrap());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn many_writers_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let journal = std::sync::Arc::new(Journal::create(&path, &header()).unwrap());
    runtime.block_on(async {
        let appends = (0..50).map(|at| {
            let journal = std::sync::Arc::clone(&journal);
            tokio::spawn(async move {
                journal
                    .append(Entry::Attempt {
                        spans: vec![Span(at, at)],
                    })
                    .await
            })
        });
        for append in appends.collect::<Vec<_>>() {
            append.await.unwrap().unwrap();
        }
    });
    drop(journal);
    let mut seen: Vec<u64> = read(&std::fs::read(path).unwrap())
        .unwrap()
        .unwrap()
        .into_iter()
        .map(|entry| match entry {
            Entry::Attempt { spans } => spans[0].0,
            other => panic!("{other:?}"),
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn rule_04_a_torn_tail_is_cut_off(cut in 0usize..1000) {
        let bytes = written();
        let bytes = &bytes[..cut.min(bytes.len())];
        match read(bytes) {
            Ok(Some(found)) => prop_assert!(entries().starts_with(&found)),
            Ok(None) => {}
            Err(error) => prop_assert!(false, "a short file is no damage: {error}"),
        }
    }

    #[test]
    fn rule_04_damage_is_never_read_as_something_else(at in 0usize..1000, bit in 0u8..8) {
        let mut bytes = written();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        match read(&bytes) {
            // Only what nothing later depends on may be missing: the last group.
            Ok(Some(found)) => prop_assert!(entries().starts_with(&found) && found.len() + 1 >= entries().len()),
            Ok(None) => prop_assert!(false, "the header had been durable"),
            Err(JournalError::Damaged { .. }) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn spans_hold_exactly_the_ordinals(ordinals in proptest::collection::btree_set(0u64..200, 0..100)) {
        let spans = Span::gather(ordinals.iter().copied());
        let back: std::collections::BTreeSet<u64> = spans.iter().flat_map(|span| span.0..=span.1).collect();
        prop_assert_eq!(back, ordinals);
    }
}

#[test]
fn a_state_is_read_as_it_was_written_also_by_the_first_format() {
    let rejection = Rejection {
        code: "400".into(),
        message: "no".into(),
        field: None,
    };
    let states = [
        (State::Accepted { id: "a\"1".into() }, r#""a\"1""#),
        (
            State::Rejected(rejection),
            r#"{"state":"rejected","code":"400","message":"no"}"#,
        ),
        (State::NoMatch, r#"{"state":"no_match"}"#),
        (
            State::Unknown { reason: "late".into() },
            r#"{"state":"unknown","reason":"late"}"#,
        ),
    ];
    for (state, text) in states {
        assert_eq!(serde_json::to_string(&state).unwrap(), text);
        assert_eq!(serde_json::from_str::<State>(text).unwrap(), state);
    }
    let first: State = serde_json::from_str(r#"{"state":"accepted","id":"7"}"#).unwrap();
    assert_eq!(first, State::Accepted { id: "7".into() });
}
