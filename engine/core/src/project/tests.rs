//! Whole projects: what is right is read as it is meant, and everything that is wrong is said with its place.

use std::fs;

use super::*;
use crate::destination::SecretSource;

mod agreement;
mod destination_file;
mod sync_file;

const OUTFLOW: &str = "version: 1\nname: fleet\n";
const SOURCE: &str = "type: csv\npath: data/planes.csv\ncolumns: {tailnum: VARCHAR, year: INTEGER}\nnulls: [\"NA\"]\n";
const MODEL: &str = "source: registry\nkey: tailnum\n";
const DESTINATION: &str = "plugin: http\nconfig: {base_url: \"https://crm.example.com/v3\"}\n\
    secrets: {token: {env: CRM_TOKEN}}\nallow: [\"https://crm.example.com\"]\n";
const SYNC: &str = "\
model: aircraft
destination: crm
object: assets
mode: upsert
match: {from: tailnum, to: registration}
mappings:
  - {from: manufacturer, to: maker}
  - {sql: \"year < 2000\", to: vintage}
  - {value: fleet, to: list}
on_removed: delete
guards: {max_removed: {share: 0.5}}
schedule: {cron: \"0 6 * * 1-5\", timezone: Europe/Berlin}
";

/// The files of a project that is right.
const FILES: [(&str, &str); 6] = [
    ("outflow.yml", OUTFLOW),
    ("sources/registry.yml", SOURCE),
    ("models/aircraft.sql", "SELECT * FROM registry\n"),
    ("models/aircraft.yml", MODEL),
    ("destinations/crm.yml", DESTINATION),
    ("syncs/aircraft-to-crm.yml", SYNC),
];

/// Loads the project with some files changed, added, or (without text) left out.
fn load(changes: &[(&str, Option<&str>)]) -> Result<Project, Diagnostics> {
    let folder = tempfile::tempdir().unwrap();
    let files = FILES
        .iter()
        .map(|(name, text)| (*name, Some(*text)))
        .chain(changes.iter().copied());
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text {
            Some(text) => fs::write(path, text).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }
    Project::load(folder.path())
}

fn wrong_with(changes: &[(&str, Option<&str>)]) -> Vec<String> {
    let Err(wrong) = load(changes) else {
        panic!("the project was taken")
    };
    wrong.0.iter().map(ToString::to_string).collect()
}

/// What is wrong when one file has another text.
fn wrong(file: &str, text: &str) -> Vec<String> {
    wrong_with(&[(file, Some(text))])
}

/// What is wrong when the sync's file has a part replaced.
fn wrong_sync(part: &str, by: &str) -> Vec<String> {
    assert!(SYNC.contains(part));
    wrong("syncs/aircraft-to-crm.yml", &SYNC.replace(part, by))
        .into_iter()
        .map(|line| line.strip_prefix("syncs/aircraft-to-crm.yml:").unwrap().to_owned())
        .collect()
}

fn sync_with(part: &str, by: &str) -> Sync {
    assert!(SYNC.contains(part));
    let text = SYNC.replace(part, by);
    let project = load(&[("syncs/aircraft-to-crm.yml", Some(&text))]).unwrap_or_else(|wrong| panic!("{wrong}"));
    project.syncs["aircraft-to-crm"].clone()
}

#[test]
fn a_project_is_read_as_it_is_written() {
    let project = load(&[]).unwrap();
    assert_eq!(project.settings.name, "fleet");
    assert_eq!(project.settings.timezone, chrono_tz::UTC);
    assert_eq!(project.settings.memory_limit, ByteSize(192_000_000));
    assert_eq!((project.settings.threads, project.settings.concurrency), (2, 4));

    let SourceKind::Csv {
        path,
        columns,
        nulls,
        delimiter,
        header,
        ..
    } = &project.sources["registry"].kind
    else {
        panic!()
    };
    assert_eq!(*path, project.root.join("data/planes.csv"));
    assert_eq!(
        columns
            .iter()
            .map(|(name, kind)| format!("{name} {kind}"))
            .collect::<Vec<_>>(),
        ["tailnum VARCHAR", "year INTEGER"]
    );
    assert_eq!(
        (nulls.as_slice(), delimiter, header),
        (["NA".to_owned()].as_slice(), &None, &None)
    );

    let model = &project.models["aircraft"];
    assert_eq!(
        (model.sql.as_str(), &model.sources[..], &model.key[..]),
        (
            "SELECT * FROM registry\n",
            &["registry".to_owned()][..],
            &["tailnum".to_owned()][..]
        )
    );

    let destination = &project.destinations["crm"];
    assert_eq!(destination.plugin, "http");
    assert_eq!(destination.secrets["token"], SecretSource::Env("CRM_TOKEN".to_owned()));
    assert_eq!(destination.grants(&project.root).hosts, ["https://crm.example.com"]);

    let sync = &project.syncs["aircraft-to-crm"];
    assert_eq!(sync.mode, Mode::Upsert);
    assert_eq!(
        sync.match_on,
        Some(Match {
            from: "tailnum".to_owned(),
            to: "registration".to_owned()
        })
    );
    assert_eq!(
        sync.mappings[1],
        Mapping {
            to: "vintage".to_owned(),
            from: From::Sql("year < 2000".to_owned())
        }
    );
    assert_eq!(sync.on_removed, OnRemoved::Delete);
    assert_eq!(
        sync.guards,
        Guards {
            max_removed: Threshold { share: 0.5, rows: 5 },
            max_nulled: 0.3,
            max_rejected: None
        }
    );
    assert_eq!(
        sync.schedule,
        Some(ScheduleConfig::Cron {
            expression: "0 6 * * 1-5".to_owned(),
            zone: Some(chrono_tz::Europe::Berlin)
        })
    );
    let diagnostic = sync.diagnostic("mappings[1].sql", "x");
    assert_eq!(
        diagnostic.to_string(),
        "syncs/aircraft-to-crm.yml:8:11: mappings[1].sql: x"
    );
}

#[test]
fn lists_and_single_names_mean_the_same() {
    let project = load(&[(
        "models/aircraft.yml",
        Some("source: [registry]\nkey: [tailnum, year]\n"),
    )])
    .unwrap();
    assert_eq!(project.models["aircraft"].sources, ["registry"]);
    assert_eq!(project.models["aircraft"].key, ["tailnum", "year"]);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let sync = "modell: aircraft\ndestination: [crm]\nmode: upsrt\nmappings:\n  - {to: a, from: x, sql: y}\n  - {from: 7, to: \"\"}\n  - {to: c}\n";
    assert_eq!(
        wrong_with(&[
            ("syncs/aircraft-to-crm.yml", Some(sync)),
            ("outflow.yml", Some("version: 2\n"))
        ]),
        [
            "outflow.yml:1:1: name: the field is missing; the project's name, for people",
            "outflow.yml:1:10: version: found `2`; must be `1`",
            "syncs/aircraft-to-crm.yml:1:1: modell: there is no such field; did you mean `model`?",
            "syncs/aircraft-to-crm.yml:2:14: destination: found a list; must be text; for example `crm`",
            "syncs/aircraft-to-crm.yml:3:7: mode: found `upsrt`; must be one of `upsert`, `insert`, `update`, `mirror` or `all`; did you mean `upsert`?",
            "syncs/aircraft-to-crm.yml:5:5: mappings[0]: found `from` and `sql` together; there must be exactly one of `from`, `sql` or `value`",
            "syncs/aircraft-to-crm.yml:6:12: mappings[1].from: found `7`; must be text; put it in quotes where it is meant as text",
            "syncs/aircraft-to-crm.yml:6:19: mappings[1].to: is empty",
            "syncs/aircraft-to-crm.yml:7:5: mappings[2]: found `to`; there must be one of `from`, `sql` or `value`",
        ]
    );
}

#[test]
fn text_that_is_no_yaml_names_its_line() {
    let found = wrong("models/aircraft.yml", "source: registry\nkey: [tailnum\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("models/aircraft.yml:2:6: is no YAML: unclosed"),
        "{found:?}"
    );
    let found = wrong("models/aircraft.yml", "key: a\nsource: registry\nkey: b\n");
    assert!(
        found[0].starts_with("models/aircraft.yml:3:1: is no YAML: "),
        "{found:?}"
    );
    assert_eq!(
        wrong("models/aircraft.yml", "# nothing yet\n"),
        ["models/aircraft.yml: the file is empty"]
    );
    assert_eq!(
        wrong("models/aircraft.yml", "hello\n"),
        ["models/aircraft.yml:1:1: found `hello`; must be fields (`name: value`)"]
    );
}

#[test]
fn names_that_lead_nowhere_are_reported_with_what_there_is() {
    assert_eq!(
        wrong_sync(
            "model: aircraft\ndestination: crm",
            "model: aircrafts\ndestination: warehouse"
        ),
        [
            "1:8: model: there is no model `aircrafts`; did you mean `aircraft`?",
            "2:14: destination: there is no destination `warehouse`; the project has `crm`",
        ]
    );
    assert_eq!(
        wrong("models/aircraft.yml", "source: [registry, flights]\nkey: tailnum\n"),
        ["models/aircraft.yml:1:20: source: there is no source `flights`; the project has `registry`"]
    );
    assert_eq!(
        wrong("models/aircraft.yml", "source: registri\nkey: tailnum\n"),
        ["models/aircraft.yml:1:9: source: there is no source `registri`; did you mean `registry`?"]
    );
}

#[test]
fn what_is_there_but_broken_is_reported_once() {
    assert_eq!(
        wrong("sources/registry.yml", "type: csv\n"),
        [
            "sources/registry.yml:1:1: path: the field is missing; the file, or files by a glob such as `data/*.csv`, relative to the project"
        ]
    );
}

#[test]
fn a_model_needs_both_of_its_files() {
    assert_eq!(
        wrong_with(&[("models/aircraft.sql", None)]),
        ["models/aircraft.yml: `aircraft.sql` is missing beside it; it holds the model's query"]
    );
    let found = wrong_with(&[("models/aircraft.yml", None)]);
    assert_eq!(
        found[0],
        "models/aircraft.sql: `aircraft.yml` is missing beside it; it names the model's `key` and `source`"
    );
    assert_eq!(
        wrong("models/aircraft.sql", " \n"),
        ["models/aircraft.sql: the query is empty; write one SELECT"]
    );
}

#[test]
fn a_key_has_columns_and_none_twice() {
    assert_eq!(
        wrong("models/aircraft.yml", "key: []\n"),
        ["models/aircraft.yml:1:6: key: the list is empty; it must have at least one item"]
    );
    assert_eq!(
        wrong("models/aircraft.yml", "source: registry\n"),
        [
            "models/aircraft.yml:1:1: key: the field is missing; the column that tells rows apart, or a list of columns that do together"
        ]
    );
    assert_eq!(
        wrong("models/aircraft.yml", "key: [a, A]\n"),
        ["models/aircraft.yml:1:10: key[1]: the key has `A` twice"]
    );
    assert_eq!(
        wrong("models/aircraft.yml", "key: 7\n"),
        ["models/aircraft.yml:1:6: key: found `7`; must be text or a list"]
    );
}

#[test]
fn file_names_are_checked() {
    assert_eq!(
        wrong_with(&[("syncs/other.yaml", Some(SYNC))]),
        ["syncs/other.yaml: files of a project end in `.yml`; rename it to `other.yml`"]
    );
    assert_eq!(
        wrong_with(&[("syncs/My Sync.yml", Some(SYNC))]),
        [
            "syncs/My Sync.yml: `My Sync` cannot be a name; a name has lower-case letters, digits, `_` and `-`, and begins with a letter or digit"
        ]
    );
    assert_eq!(
        wrong_with(&[("syncs/crm/other.yml", Some(SYNC))]),
        ["syncs/crm: folders in here are not read; put the files into `syncs` itself"]
    );
    assert!(load(&[("syncs/.draft.yaml", Some("x")), ("syncs/README.md", Some("x"))]).is_ok());
}

#[test]
fn a_folder_without_a_project_says_so() {
    let found = wrong_with(&[("outflow.yml", None)]);
    assert!(
        found[0].starts_with("outflow.yml: there is no such file in /"),
        "{found:?}"
    );
    assert!(found[0].ends_with("or make one with `outflow init`"), "{found:?}");
}

#[test]
fn sources_are_told_apart_by_their_type() {
    assert_eq!(
        wrong("sources/registry.yml", "type: parqet\npath: x\n"),
        [
            "sources/registry.yml:1:7: type: found `parqet`; must be one of `csv`, `parquet`, `json`, `duckdb`, `sqlite`, `postgres` or `mysql`; did you mean `parquet`?"
        ]
    );
    assert_eq!(
        wrong("sources/registry.yml", "path: x\n"),
        [
            "sources/registry.yml:1:1: type: the field is missing; one of `csv`, `parquet`, `json`, `duckdb`, `sqlite`, `postgres` or `mysql`"
        ]
    );
    assert_eq!(
        wrong("sources/registry.yml", "type: parquet\npath: x\nheader: true\n"),
        ["sources/registry.yml:3:1: header: there is no such field; the fields are `type`, `path` and `s3`"]
    );
    assert_eq!(
        wrong("sources/registry.yml", "type: sqlite\npath: \"s3://bucket/*.db\"\n"),
        ["sources/registry.yml:2:7: path: found `s3://bucket/*.db`; databases are read from files; give a path"]
    );
    assert_eq!(
        wrong("sources/registry.yml", "type: sqlite\npath: \"*.db\"\n"),
        ["sources/registry.yml:2:7: path: found `*.db`; a database is one file, not a glob"]
    );
    let found = wrong_with(&[("sources/ledger.yml", Some(SOURCE))]);
    assert!(found[0].contains("a source cannot be named `ledger`"), "{found:?}");
}

#[test]
fn files_are_in_object_storage_where_path_and_s3_say_so() {
    let right = "type: parquet\npath: s3://lake/planes/*.parquet\ns3: {region: eu-central-1}\n";
    let project = load(&[("sources/registry.yml", Some(right))]).unwrap();
    let kind = &project.sources["registry"].kind;
    // It is no path in the project.
    assert_eq!(kind.path().unwrap().to_str(), Some("s3://lake/planes/*.parquet"));
    assert_eq!(kind.storage().unwrap().region, "eu-central-1");
    for (path, rest, said) in [
        (
            "s3://lake/a",
            "",
            "2:7: path: found `s3://lake/a`, and nothing says which storage that is in; add `s3:",
        ),
        (
            "data/a",
            "s3: {}",
            "2:7: path: found `data/a`, and `s3` says that the source is in object storage;",
        ),
        (
            "s3://lake",
            "s3: {}",
            "2:7: path: found `s3://lake`, which names no object in a bucket;",
        ),
        ("s3://*/a", "s3: {}", "which names no object in a bucket;"),
        ("s3://u@h/a", "s3: {}", "which names no object in a bucket;"),
        ("s3://lake/../a", "s3: {}", "is empty or has dots only"),
        (
            "s3://lake/a?s3_endpoint=b",
            "s3: {}",
            "an object's name cannot have `?`",
        ),
        (
            "s3://lake/a",
            "s3: {endpoint: minio}",
            "3:16: s3.endpoint: found `minio`; must be the storage's scheme, host and port",
        ),
        (
            "s3://lake/a",
            "s3: {region: a/b}",
            "3:14: s3.region: found `a/b`; must be the region's name",
        ),
        (
            "s3://lake/a",
            "s3: {secrets: {secret: {env: A}}}",
            "s3.secrets: `key_id` and `secret` go together",
        ),
        (
            "s3://lake/a",
            "s3: {secrets: {key_id: {env: \"\"}, secret: {env: A}}}",
            "s3.secrets.key_id.env: is empty",
        ),
        ("https://a/b", "", "sources are read from files and from `s3://`"),
    ] {
        let found = wrong(
            "sources/registry.yml",
            &format!("type: csv\npath: \"{path}\"\n{rest}\n"),
        );
        assert!(found[0].contains(said), "{path} {rest}: {found:?}");
    }
    // What should not be there is not shown.
    let found = wrong(
        "sources/registry.yml",
        "type: csv\npath: s3://lake/a\ns3: {secrets: {key_id: AKIA0, secret: hush}}\n",
    );
    assert!(
        found
            .iter()
            .all(|found| !found.contains("hush") && !found.contains("AKIA0")),
        "{found:?}"
    );
}

#[test]
fn settings_have_bounds() {
    assert_eq!(
        wrong(
            "outflow.yml",
            "version: 1\nname: x\nthreads: 0\nmemory_limit: 1.5GB\ntimezone: Berlin\n"
        ),
        [
            "outflow.yml:3:10: threads: found `0`; must be at least 1",
            "outflow.yml:4:15: memory_limit: found `1.5GB`; must be a number of bytes with its unit: B, kB, MB, GB, KiB, MiB or GiB; for example `256MB` or `2GB`",
        ]
    );
    assert_eq!(
        wrong(
            "outflow.yml",
            "version: 1\nname: x\nmemory_limit: 1MB\ntimezone: Berlin\n"
        ),
        [
            "outflow.yml:3:15: memory_limit: found `1MB`; must be at least `32MB`",
            "outflow.yml:4:11: timezone: there is no time zone `Berlin`; a zone is named as in `Europe/Berlin` or `UTC`",
        ]
    );
}
