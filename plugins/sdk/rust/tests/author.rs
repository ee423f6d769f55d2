//! A destination as an author writes it: typed config, and `?` on everything that can go wrong.

use outflow_plugin_sdk::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Config {
    url: String,
}

#[derive(Deserialize)]
struct Reply {
    ids: Vec<String>,
}

struct Crm {
    url: String,
}

impl Destination for Crm {
    type Config = Config;

    fn describe() -> Description {
        Description {
            name: "crm".into(),
            version: "1.0.0".into(),
            summary: "An example".into(),
            config_schema: "{}".into(),
            example: String::new(),
            secrets: vec![],
            kinds: Kinds::UPSERT,
            abilities: Abilities::empty(),
        }
    }

    fn open(config: Config, _: Settings) -> Result<(Self, Target), Vec<Problem>> {
        let target = Target {
            kinds: Kinds::UPSERT,
            limits: Limits {
                records: 100,
                bytes: 1 << 20,
                concurrency: 1,
                mixed: false,
                all_or_nothing: true,
            },
            counting: Counting::Batch,
            equality: Equality::Exact,
            whole: false,
            idempotent: false,
            previous: false,
            matching: true,
            folder: false,
            identity: config.url.clone(),
            origins: vec![],
        };
        Ok((Crm { url: config.url }, target))
    }

    async fn check(&self, ctx: &Ctx) -> Result<Option<String>, Failure> {
        let account: String = ctx.http(Request::get(&self.url)).await?.ok()?.json()?;
        Ok(Some(account))
    }

    async fn write(&self, ctx: &Ctx, batch: &[Operation]) -> Result<Vec<Outcome>, Failure> {
        let records: Vec<&str> = batch.iter().map(|operation| operation.fields.as_str()).collect();
        let request = Request::post(&self.url)
            .header("Prefer", "ids")
            .json(format!("[{}]", records.join(",")));
        let reply: Reply = ctx.http(request).await?.ok()?.json()?;
        Ok(reply.ids.into_iter().map(|id| Outcome::Accepted(Some(id))).collect())
    }
}

fn driver() -> Driver<Crm> {
    Driver::open(Driver::<Crm>::settings(r#"{"url":"https://a.example"}"#)).expect("the config is valid")
}

fn batch() -> Work {
    Work::Write(vec![Operation {
        kind: Kind::Upsert,
        key: "{}".into(),
        match_value: "1".into(),
        id: None,
        fields: r#"{"a":1}"#.into(),
        previous: None,
        idempotency_key: "k".into(),
    }])
}

#[test]
fn a_request_is_written_and_its_answer_read() {
    let mut driver = driver();
    let Step::Perform(effects) = driver.start(batch()) else {
        panic!("no request")
    };
    let [Effect::Http(request)] = &effects[..] else {
        panic!("not one request")
    };
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", "https://a.example")
    );
    assert_eq!(request.headers[0], ("prefer".into(), "ids".into()));
    assert_eq!(request.headers[1], ("content-type".into(), "application/json".into()));
    assert!(matches!(&request.body, Body::Text(text) if text == r#"[{"a":1}]"#));
    assert!(matches!(request.covers, Covers::Batch));
    let step = driver.answer(200, r#"{"ids":["7"]}"#);
    assert!(matches!(step, Step::Done(Answer::Written(outcomes)) if outcomes.len() == 1));
}

#[test]
fn what_goes_wrong_ends_the_task_with_its_failure() {
    for (status, body, expected) in [
        (401, "", "Unauthorized"),
        (422, "", "Refused"),
        (429, "", "RateLimited"),
        (500, "", "Uncertain"),
        (200, "{\"ids\":", "Uncertain"),
    ] {
        let mut driver = driver();
        driver.start(batch());
        let Step::Failed(failure) = driver.answer(status, body) else {
            panic!("{status} is no failure")
        };
        assert!(format!("{failure:?}").contains(expected), "{status}: {failure:?}");
    }
    let mut driver = driver();
    driver.start(batch());
    let step = driver.resume(vec![EffectResult::HttpFailed(HttpError::Unreachable(
        "no route".into(),
    ))]);
    assert!(matches!(step, Step::Failed(Failure::Transient(why)) if why == "no route"));
}

#[test]
fn a_test_gives_headers_secrets_and_the_time() {
    let settings = Driver::<Crm>::settings(r#"{"url":"https://a.example"}"#)
        .with_secret("token")
        .with_run(7, 1_000);
    assert_eq!(settings.secret("token"), Some("{token}"));
    assert_eq!(settings.run.as_ref().map(|run| run.number), Some(7));
    let mut driver = Driver::<Crm>::open(settings).expect("the config is valid");
    driver.now = 784_111_747_000;
    driver.start(batch());
    let until = [("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")];
    let step = driver.answer_with(429, &until, "");
    let Step::Failed(Failure::RateLimited(limit)) = step else {
        panic!("no limit but {step:?}")
    };
    assert_eq!(limit.wait_ms, Some(30_000));
}

#[test]
fn what_a_plugin_cannot_do_fails_the_task() {
    for work in [
        Work::Lookup(vec!["1".into()]),
        Work::Poll(vec!["job".into()]),
        Work::Objects,
    ] {
        assert!(matches!(driver().start(work), Step::Failed(Failure::Fatal(_))));
    }
}

#[test]
fn a_config_that_cannot_be_read_names_its_field() {
    let Err(problems) = Driver::<Crm>::open(Driver::<Crm>::settings(r#"{"url":7}"#)) else {
        panic!("it was taken")
    };
    assert_eq!((problems.len(), problems[0].path.as_str()), (1, "/url"));
}
