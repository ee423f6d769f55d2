//! Runs against a real ledger file, with a destination that answers as a test says.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde_json::Value;

use super::compare::sum;
use super::*;
use crate::destination::{Equality, Limits};
use crate::journal::{Entry, Header, Journal, Reader, Span, State};
use crate::ledger::{Accept, Binding, Folded, Note, TargetName};
use crate::operation::Operation;
use crate::outcome::Rejection;
use crate::project::model::Model;
use crate::project::sync::{From, Guards, Mapping, Match, OnUnknown, Returning, Threshold};
use crate::record::Records;
use crate::report::Split;
use crate::warehouse::{Warehouse, WarehouseOptions};

mod cost;
mod guards;
mod inserts;
mod keys;
mod mappings;
mod modes;
mod parking;
mod places;
mod preview;
mod properties;
mod random;
mod rebaselines;
mod records;
mod resolves;
mod retries;
mod runs;
mod whole;

/// What the destination answers to one operation.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Accept,
    Id(&'static str),
    Reject,
    NoMatch,
    Unknown,
    /// The attempt is journaled and no outcome.
    Silence,
    /// It was never sent.
    NotSent,
}

/// A sync with its ledger, over a model that tests rewrite.
struct World {
    folder: tempfile::TempDir,
    sql: String,
    key: Vec<&'static str>,
    sync: Sync,
    target: Target,
    run: RefCell<u64>,
    finish: bool,
    allow: Vec<String>,
    full_resync: bool,
    orders: Vec<String>,
    force: bool,
    /// Whether records of runs are kept.
    records: bool,
}

/// What a run did.
#[derive(Debug)]
struct Done {
    planned: Planned,
    operations: Vec<Operation>,
    folded: Option<Folded>,
}

impl Done {
    /// Operations as `upsert 1 {"email":"a"}`, in order.
    fn sent(&self) -> Vec<String> {
        self.operations
            .iter()
            .map(|operation| {
                format!(
                    "{} {} {}",
                    operation.kind,
                    plain(&operation.match_value),
                    operation.fields
                )
            })
            .collect()
    }

    /// Operations as `upsert 1`.
    fn heads(&self) -> Vec<String> {
        self.operations
            .iter()
            .map(|operation| format!("{} {}", operation.kind, plain(&operation.match_value)))
            .collect()
    }
}

fn plain(json: &str) -> String {
    json.trim_matches('"').to_owned()
}

impl World {
    /// Key `id`, field `n`; a model of `(id, email, n)`.
    fn new() -> Self {
        let mapping = |to: &str| Mapping {
            to: to.into(),
            from: From::Column(to.into()),
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            sql: String::new(),
            key: vec!["id"],
            sync: Sync {
                slug: "people".into(),
                file: PathBuf::from("syncs/people.yml"),
                model: "people".into(),
                destination: "crm".into(),
                object: None,
                mode: Mode::Upsert,
                match_on: None,
                mappings: vec![mapping("n")],
                on_removed: OnRemoved::Delete,
                returning: Returning::Remember,
                on_unknown: OnUnknown::Resend,
                park_after: None,
                guards: Guards {
                    max_removed: Threshold { share: 1.0, rows: 1000 },
                    max_nulled: 1.0,
                    max_rejected: None,
                },
                schedule: None,
                disabled: false,
                renamed_from: None,
                marks: Default::default(),
            },
            target: Target {
                kinds: Kind::ALL.to_vec(),
                limits: Limits {
                    records: 100,
                    bytes: 1 << 20,
                    concurrency: 1,
                    mixed: true,
                    all_or_nothing: false,
                },
                counting: Counting::Batch,
                equality: Equality::Exact,
                whole: false,
                idempotent: false,
                previous: false,
                matching: true,
                finish: false,
                folder: false,
                identity: "crm".into(),
            },
            run: RefCell::new(0),
            finish: true,
            allow: Vec::new(),
            full_resync: false,
            orders: Vec::new(),
            force: false,
            records: false,
        }
    }

    /// With records found by `email`.
    fn matched() -> Self {
        let mut world = Self::new();
        world.sync.match_on = Some(Match {
            from: "email".into(),
            to: "email".into(),
        });
        world
    }

    fn mode(mut self, mode: Mode, on_removed: OnRemoved) -> Self {
        (self.sync.mode, self.sync.on_removed) = (mode, on_removed);
        self
    }

    /// Rows `(id, email, n)` as SQL.
    fn rows(&mut self, rows: &str) -> &mut Self {
        self.sql = if rows.is_empty() {
            "SELECT 1 AS id, 'x' AS email, 1 AS n WHERE false".into()
        } else {
            format!("SELECT id, email, n FROM (VALUES {rows}) AS t(id, email, n)")
        };
        self
    }

    /// No rows, and the approval for the entries that there are.
    fn emptied(&mut self) -> &mut Self {
        self.rows("").allow.clear();
        if let Err(PlanError::Stopped(stop)) = self.run_with(|_| Answer::Accept) {
            self.allow = vec![stop.token];
        }
        self
    }

    fn warehouse(&self) -> Warehouse {
        Warehouse::open(&WarehouseOptions {
            memory_limit_bytes: 256 << 20,
            threads: 2,
            temp_dir: self.folder.path().join("tmp"),
            extension_dirs: Vec::new(),
        })
        .unwrap()
    }

    fn ledger_path(&self) -> PathBuf {
        self.folder.path().join("ledger.duckdb")
    }

    fn journal_path(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn project(&self, warehouse: &Warehouse) -> Projection {
        let model = Model {
            name: "people".into(),
            sql: self.sql.clone(),
            sql_file: "models/people.sql".into(),
            file: "models/people.yml".into(),
            sources: Vec::new(),
            key: self.key.iter().map(|key| (*key).to_owned()).collect(),
            marks: Default::default(),
        };
        let columns = warehouse.check_model(&model.sql, &[]).unwrap();
        let check = |sql: &str| warehouse.check_expression(&model.sql, sql);
        Projection::new(&model, &self.sync, &columns, check)
            .unwrap()
            .toward(self.target.equality)
    }

    fn binding(&self) -> Binding<'_> {
        let target = TargetName {
            plugin: "http".into(),
            identity: Some("https://crm.example.com/people".into()),
            account: Some("acme".into()),
            object: None,
        };
        Binding {
            sync: &self.sync.slug,
            renamed_from: None,
            target,
            accept: Accept::Nothing,
        }
    }

    fn open(&self, warehouse: &Warehouse, note: Option<&Note>) -> Result<Ledger, LedgerError> {
        let mut ledger = Ledger::open(warehouse, &self.ledger_path(), true, note)?;
        if self.records {
            ledger.keep_records(Records::of(self.folder.path()));
        }
        Ok(ledger)
    }

    /// Recovers, binds and plans.
    fn plan(
        &self,
        warehouse: &Warehouse,
        connection: &mut Connection,
        ledger: &mut Ledger,
    ) -> Result<Planned, PlanError> {
        let projection = self.project(warehouse);
        ledger.recover(connection, &self.journal_path())?;
        let _ = std::fs::remove_file(self.journal_path());
        ledger.bind(connection, &self.binding(), &projection.layout)?;
        *self.run.borrow_mut() += 1;
        prepare(connection, ledger, &self.request(&projection), None, &mut |_| Ok(()))
    }

    fn request<'a>(&'a self, projection: &'a Projection) -> Request<'a> {
        static NOTHING: BTreeMap<String, Vec<Column>> = BTreeMap::new();
        Request {
            projection,
            sync: &self.sync,
            target: &self.target,
            run: *self.run.borrow(),
            full_resync: self.full_resync,
            orders: &self.orders,
            force: self.force,
            allow: &self.allow,
            pinned: &NOTHING,
            plugin: None,
        }
    }

    /// A run whose destination answers so, by kind and match value.
    fn run_with(&self, answer: impl Fn(&Operation) -> Answer) -> Result<Done, PlanError> {
        self.run_until(answer, true)
    }

    /// As `run_with`; without `fold` the journal is left as a crash would leave it.
    fn run_until(&self, answer: impl Fn(&Operation) -> Answer, fold: bool) -> Result<Done, PlanError> {
        let warehouse = self.warehouse();
        let mut connection = warehouse.connect().unwrap();
        let mut ledger = self.open(&warehouse, None)?;
        let planned = self.plan(&warehouse, &mut connection, &mut ledger)?;
        let mut operations = Vec::new();
        let mut source = planned.operations(connection.try_clone().unwrap());
        loop {
            let some = source.next(7).unwrap();
            if some.is_empty() {
                break;
            }
            operations.extend(some.into_iter().map(|planned| planned.operation));
        }
        drop(source);
        if !planned.deliver {
            return Ok(Done {
                planned,
                operations,
                folded: None,
            });
        }
        self.journal(&planned, &operations, &answer);
        let folded = fold.then(|| {
            let folded = ledger
                .fold(&mut connection, Reader::open(&self.journal_path()).unwrap())
                .unwrap();
            std::fs::remove_file(self.journal_path()).unwrap();
            folded
        });
        Ok(Done {
            planned,
            operations,
            folded,
        })
    }

    fn journal(&self, planned: &Planned, operations: &[Operation], answer: &impl Fn(&Operation) -> Answer) {
        let header = Header {
            format: journal::FORMAT,
            incarnation: planned.incarnation().to_owned(),
            run: *self.run.borrow(),
            sequence: planned.sequence(),
            operations: operations.len() as u64,
            counting: self.target.counting,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let journal = Journal::create(&self.journal_path(), &header).unwrap();
            for operation in operations {
                let span = Span(operation.ordinal, operation.ordinal);
                let answer = answer(operation);
                if answer == Answer::NotSent {
                    continue;
                }
                journal.append(Entry::Attempt { spans: vec![span] }).await.unwrap();
                let state = match answer {
                    Answer::Accept | Answer::NotSent | Answer::Silence => None,
                    Answer::Id(id) => Some(State::Accepted { id: id.into() }),
                    Answer::Reject => Some(State::Rejected(Rejection {
                        code: "bad".into(),
                        message: "no".into(),
                        field: None,
                    })),
                    Answer::NoMatch => Some(State::NoMatch),
                    Answer::Unknown => Some(State::Unknown { reason: "cut".into() }),
                };
                if answer == Answer::Silence {
                    continue;
                }
                let accepted = if state.is_none() { vec![span] } else { Vec::new() };
                let others = state.map(|state| (operation.ordinal, state)).into_iter().collect();
                journal
                    .append(Entry::Outcomes {
                        accepted,
                        aborted: Vec::new(),
                        others,
                    })
                    .await
                    .unwrap();
            }
            if self.finish && (self.target.finish || self.target.counting == Counting::Finish) {
                journal.append(Entry::Finished).await.unwrap();
            }
        });
    }

    /// A run in which everything is accepted.
    #[track_caller]
    fn run(&self) -> Done {
        self.run_with(|_| Answer::Accept)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The entries as JSON: key columns, match value, image and marks, by key and place.
    fn entries(&self) -> Vec<String> {
        let warehouse = self.warehouse();
        let connection = warehouse.connect().unwrap();
        let ledger = self.open(&warehouse, None).unwrap();
        let layout = &ledger.meta().unwrap().layout;
        let sql = format!(
            "SELECT {} || ' ' || {} || ' ' || {} || CASE WHEN h IS NULL THEN ' never' ELSE '' END || CASE WHEN uncertain THEN ' uncertain' ELSE '' END \
             || CASE WHEN assumed THEN ' assumed' ELSE '' END || CASE WHEN memory THEN ' memory' ELSE '' END || coalesce(' ' || dest_id, '') \
             FROM {ENTRIES} AS e ORDER BY ALL",
            layout.key_json("e."),
            layout.match_json("e."),
            layout.record_json("e."),
        );
        connection
            .query_rows::<_, WarehouseError>(&sql, |row| row.get(0))
            .unwrap()
    }

    /// Keys with the places where their records are, by the ledger.
    fn homes(&self) -> Vec<(String, String)> {
        let home = |entry: String| {
            let mut words = entry.split(' ');
            (words.next().unwrap().to_owned(), plain(words.next().unwrap()))
        };
        self.entries().into_iter().map(home).collect()
    }

    /// What is unsettled, as `key state times`.
    fn unsettled(&self) -> Vec<String> {
        let warehouse = self.warehouse();
        let connection = warehouse.connect().unwrap();
        let ledger = self.open(&warehouse, None).unwrap();
        let unsettled = ledger.unsettled(&connection).unwrap();
        unsettled
            .into_iter()
            .map(|one| format!("{} {} {} {}", one.key, one.kind, one.state, one.times))
            .collect()
    }
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn of(answer: Answer, match_value: &'static str) -> impl Fn(&Operation) -> Answer {
    move |operation| {
        if plain(&operation.match_value) == match_value {
            answer.clone()
        } else {
            Answer::Accept
        }
    }
}

fn split(added: u64, changed: u64, removed: u64) -> Split {
    Split {
        added,
        changed,
        removed,
    }
}
