//! Plugins that misbehave, through the host's public face: what they cost, and what they cannot get at.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod guest;
mod receiver;

use std::collections::BTreeMap;
use std::time::Duration;

use outflow_core::destination::{Destination, Effect, Grants, OpenError, Plugins as _, SecretSource, Settings};
use outflow_core::operation::{Kind, Operation};
use outflow_core::outcome::{Failure, Outcome};
use outflow_plugin::{Bundled, Limits, Registry, RegistryOptions};
use receiver::Receiver;

const TOKEN: &str = "correct horse";

fn registry(bytes: Vec<u8>) -> Registry {
    let limits = Limits {
        call_ms_max: 300,
        memory_bytes_max: 32 << 20,
        steps_max: 20,
        ..Limits::default()
    };
    let bundled = vec![Bundled {
        name: "hostile".into(),
        bytes: bytes.into(),
    }];
    Registry::new(RegistryOptions {
        bundled,
        limits,
        ..RegistryOptions::default()
    })
    .unwrap()
}

fn settings(receiver: &Receiver, base: &std::path::Path) -> Settings {
    std::fs::write(base.join("token"), format!("{TOKEN}\n")).unwrap();
    Settings {
        config: serde_json::json!({}),
        object: None,
        fields: Vec::new(),
        match_field: None,
        grants: Grants {
            hosts: vec![receiver.origin.clone()],
            folder: None,
            secrets: BTreeMap::from([("token".into(), SecretSource::File("token".into()))]),
            base: base.to_owned(),
        },
        sync: "s".into(),
        run: None,
    }
}

async fn open(receiver: &Receiver) -> Box<dyn Destination> {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(guest::component(&receiver.origin, "0.1.0"));
    registry
        .open("hostile", settings(receiver, folder.path()))
        .await
        .unwrap()
}

fn batch(letter: char) -> Vec<Operation> {
    vec![Operation {
        ordinal: 0,
        kind: Kind::Upsert,
        key: guest::key(letter).into(),
        match_value: "1".into(),
        id: None,
        fields: "{}".into(),
        previous: None,
        idempotency_key: "i".into(),
    }]
}

fn accepted() -> Result<Vec<Outcome>, Failure> {
    Ok(vec![Outcome::Accepted { id: None }])
}

async fn load(bytes: Vec<u8>) -> String {
    match registry(bytes).describe("hostile").await {
        Err(error @ OpenError::NotAPlugin { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_batch_goes_out_and_comes_back() {
    let receiver = Receiver::start().await;
    let destination = open(&receiver).await;
    assert_eq!(destination.target().limits.records, 10);
    assert_eq!(destination.target().identity, "there");
    assert_eq!(destination.check().await, Ok(Some("acme".into())));
    assert_eq!(destination.check_offline().await, Some("acme".into()));
    assert_eq!(destination.write(&batch('a')).await, accepted());
    assert_eq!(
        receiver.got(),
        [("POST".into(), "/ok".into(), "none".into(), r#"{"a":1}"#.into())]
    );
}

#[tokio::test]
async fn a_destination_is_not_opened_without_the_origins_that_it_will_call() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&receiver, folder.path());
    settings.grants.hosts.clear();
    let registry = registry(guest::component(&receiver.origin, "0.1.0"));
    let Err(OpenError::Grant { field, message }) = registry.open("hostile", settings).await else {
        panic!("it was opened")
    };
    assert_eq!(field, "allow");
    assert!(
        message.starts_with(&format!("{} is not granted", receiver.origin)),
        "{message}"
    );
}

#[tokio::test]
async fn rule_38_a_secret_reaches_the_receiver_and_nobody_else() {
    let receiver = Receiver::start().await;
    let destination = open(&receiver).await;
    let outcomes = destination.write(&batch('k')).await.unwrap();
    assert_eq!(receiver.got()[0].2, TOKEN);
    let Outcome::Rejected(rejection) = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(rejection.message, "no such token: {secret.token}");
}

#[tokio::test]
async fn rule_31_a_preview_shows_the_request_and_sends_nothing() {
    let receiver = Receiver::start().await;
    let destination = open(&receiver).await;
    let shown = destination.preview(&batch('k')).await.unwrap();
    let expected = Effect::Http {
        method: "POST".into(),
        url: format!("{}/echo", receiver.origin),
        headers: vec![("authorization".into(), "{secret.token}".into())],
        body: r#"{"a":1}"#.into(),
    };
    assert_eq!(shown, [expected]);
    assert!(receiver.got().is_empty());
    let Err(Failure::Fatal(message)) = destination.preview(&batch('x')).await else {
        panic!("not refused")
    };
    assert!(message.contains("http://169.254.169.254 is not granted"), "{message}");
}

#[tokio::test]
async fn a_host_that_is_not_granted_gets_nothing() {
    let receiver = Receiver::start().await;
    let outcomes = open(&receiver).await.write(&batch('x')).await.unwrap();
    let Outcome::Rejected(rejection) = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    assert!(
        rejection.message.contains("http://169.254.169.254 is not granted"),
        "{}",
        rejection.message
    );
}

#[tokio::test]
async fn what_oversteps_a_limit_costs_its_own_batch_and_the_next_one_works() {
    let receiver = Receiver::start().await;
    let destination = open(&receiver).await;
    let cases = [
        ('l', "it computed for more than 300 ms in one call"),
        ('m', "it wanted more than 32 MB of memory"),
        ('s', "its stack overflowed"),
        ('t', "it panicked; it said: about to trap"),
        ('g', "fuel"),
        ('e', "it asked for 5000 effects at once"),
        ('p', "it did not end within 20 steps"),
    ];
    for (letter, message) in cases {
        match destination.write(&batch(letter)).await {
            Err(Failure::Trapped {
                message: told,
                sent: false,
            }) => {
                assert!(
                    told.starts_with("the plugin `hostile`: ") && told.contains(message),
                    "{letter}: {told}"
                );
            }
            other => panic!("{letter}: {other:?}"),
        }
        assert_eq!(destination.write(&batch('a')).await, accepted(), "after {letter}");
    }
}

#[tokio::test]
async fn a_trap_after_a_request_says_that_it_may_have_been_applied() {
    let receiver = Receiver::start().await;
    let failure = open(&receiver).await.write(&batch('r')).await.unwrap_err();
    assert!(matches!(failure, Failure::Trapped { sent: true, .. }), "{failure:?}");
}

#[tokio::test]
async fn open_tasks_survive_the_trap_of_another_and_nothing_is_sent_twice() {
    let receiver = Receiver::start().await;
    let destination = open(&receiver).await;
    let (one, two) = (batch('q'), batch('q'));
    let trap = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        destination.write(&batch('t')).await
    };
    let (first, second, trapped) = tokio::join!(destination.write(&one), destination.write(&two), trap);
    assert!(
        matches!(trapped, Err(Failure::Trapped { sent: false, .. })),
        "{trapped:?}"
    );
    assert_eq!((first, second), (accepted(), accepted()));
    assert_eq!(receiver.paths(), ["/slow", "/slow"]);
}

#[tokio::test]
async fn a_replay_that_asks_for_something_else_is_a_breach() {
    let receiver = Receiver::start().await;
    let destination = open(&receiver).await;
    let (one, two) = (batch('n'), batch('n'));
    let trap = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        destination.write(&batch('t')).await
    };
    // The first waits 250 ms, the second 200; so the second is replayed first, and asks for 250.
    let (_, second, _) = tokio::join!(biased; destination.write(&one), destination.write(&two), trap);
    let Err(Failure::Broken(message)) = second else {
        panic!("{second:?}")
    };
    assert!(
        message.contains("the plugin `hostile`") && message.contains("replayed"),
        "{message}"
    );
}

#[tokio::test]
async fn rule_25_a_wrong_number_of_outcomes_names_the_plugin() {
    let receiver = Receiver::start().await;
    let failure = open(&receiver).await.write(&batch('w')).await.unwrap_err();
    assert_eq!(
        failure,
        Failure::Broken("the plugin `hostile`: gave 2 outcomes for 1 operations".into())
    );
}

#[tokio::test]
async fn an_answer_that_comes_later_is_refused() {
    let receiver = Receiver::start().await;
    let failure = open(&receiver).await.write(&batch('z')).await.unwrap_err();
    assert!(
        matches!(&failure, Failure::Broken(message) if message.contains("`pending`")),
        "{failure:?}"
    );
}

#[tokio::test]
async fn what_is_no_plugin_is_refused_by_what_it_is() {
    assert!(load(b"hello".to_vec()).await.ends_with("it is no WebAssembly"));
    let module = wat::parse_str("(module)").unwrap();
    assert!(load(module).await.contains("a core WebAssembly module"));
    let other = load(guest::foreign(
        "package a:b; world w { export f: func(); }",
        r#"(module (func (export "f")))"#,
    ));
    assert!(other.await.contains("does not export `outflow:destination/plugin`"));
    let reaching = guest::foreign(
        "package a:b; interface i { f: func(); } world w { import i; export g: func(); }",
        r#"(module (import "a:b/i" "f" (func $f)) (func (export "g") (call $f)))"#,
    );
    assert!(
        load(reaching)
            .await
            .contains("it imports `a:b/i`; a plugin imports nothing but")
    );
    let newer = load(guest::component("http://localhost", "0.2.0")).await;
    assert!(newer.contains("@0.2.0`; this Outflow loads version 0.1"), "{newer}");
    let truncated = guest::component("http://localhost", "0.1.0")[..500].to_vec();
    assert!(load(truncated).await.contains("no valid component"));
}

#[tokio::test]
async fn a_later_patch_of_the_contract_is_loaded() {
    let described = registry(guest::component("http://localhost", "0.1.7"))
        .describe("hostile")
        .await
        .unwrap();
    assert_eq!(
        (described.name.as_str(), described.version.as_str()),
        ("hostile", "1.0.0")
    );
}

#[tokio::test]
async fn plugins_are_looked_for_in_order_and_names_are_no_paths() {
    let temp = tempfile::tempdir().unwrap();
    let (first, second) = (temp.path().join("first"), temp.path().join("second"));
    let bytes = guest::component("http://localhost", "0.1.0");
    for folder in [&first, &second] {
        std::fs::create_dir(folder).unwrap();
    }
    std::fs::write(first.join("one.wasm"), b"broken").unwrap();
    std::fs::write(second.join("one.wasm"), &bytes).unwrap();
    std::fs::write(second.join("two.wasm"), &bytes).unwrap();
    let cache = temp.path().join("cache");
    let registry = Registry::new(RegistryOptions {
        folders: vec![first, second.clone()],
        bundled: vec![Bundled {
            name: "three".into(),
            bytes: bytes.into(),
        }],
        cache: Some(cache.clone()),
        limits: Limits::default(),
    })
    .unwrap();
    let names: Vec<_> = registry.list().into_iter().map(|found| found.name).collect();
    assert_eq!(names, ["one", "three", "two"]);
    assert!(matches!(
        registry.describe("one").await,
        Err(OpenError::NotAPlugin { .. })
    ));
    assert!(registry.describe("two").await.is_ok());
    assert_eq!(
        registry.fingerprint("two").await.unwrap(),
        registry.fingerprint("three").await.unwrap()
    );
    for name in ["four", "../second/two", "/etc/passwd", "", "Two", &"a".repeat(99)] {
        match registry.describe(name).await {
            Err(OpenError::NoSuchPlugin { looked, .. }) => assert_eq!(looked.len(), 3),
            other => panic!("{name}: {other:?}"),
        }
    }
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(cache.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_before_anything_is_sent() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(guest::component(&receiver.origin, "0.1.0"));
    let good = settings(&receiver, folder.path());
    let mut bad_host = good.clone();
    bad_host.grants.hosts = vec!["crm.example.com".into()];
    let refused = registry.open("hostile", bad_host).await.err().unwrap().to_string();
    assert!(refused.contains("allow: `crm.example.com` is no origin"), "{refused}");
    let mut no_secret = good;
    no_secret
        .grants
        .secrets
        .insert("token".into(), SecretSource::Env("OUTFLOW_TEST_NOT_SET".into()));
    let refused = registry.open("hostile", no_secret).await.err().unwrap().to_string();
    assert_eq!(
        refused,
        "secrets.token: the secret `token` has no value: the environment variable `OUTFLOW_TEST_NOT_SET` is not set"
    );
}
