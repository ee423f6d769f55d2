//! A project in a folder, a destination in memory, and what a catalog remembers between runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use super::crm::Crm;
use crate::destination::Effect;
use crate::ledger::Note;
use crate::project::Project;
use crate::record::{Record, Records};
use crate::report::Control;
use crate::run::lock::{self, Asked, SyncLock};
use crate::run::{Claims, Finished, Notes, Preview, PreviewOptions, RunError, RunOptions, RunRequest};

const SYNC: &str = "people-to-crm";

/// The only sync that there is.
struct Alone;

impl Claims for Alone {
    fn holder(&self, _: &str, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }

    fn claim(&self, _: &str, _: Option<&str>) -> Result<Option<String>, String> {
        Ok(None)
    }
}

/// What is noted of the ledger.
#[derive(Default)]
pub struct Kept {
    note: Mutex<Option<Note>>,
    fail_after: Mutex<Option<usize>>,
}

impl Kept {
    /// How many notes are taken before none can be any more.
    pub fn fail_after(&self, notes: Option<usize>) {
        *self.fail_after.lock().unwrap() = notes;
    }
}

impl Notes for Kept {
    fn committed(&self, _: &str, note: &Note) -> Result<(), String> {
        match self.fail_after.lock().unwrap().as_mut() {
            Some(0) => return Err("no space".to_owned()),
            Some(left) => *left -= 1,
            None => {}
        }
        *self.note.lock().unwrap() = Some(note.clone());
        Ok(())
    }
}

pub struct World {
    folder: tempfile::TempDir,
    sync: String,
    mappings: String,
    pub crm: Crm,
    pub kept: Arc<Kept>,
    pub options: RunOptions,
    pub control: Control,
    number: u64,
}

impl World {
    /// A sync of people (id, name) with these lines in its file.
    pub fn new(sync: &str) -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            sync: sync.to_owned(),
            mappings: "mappings: [{from: name, to: name}]".to_owned(),
            crm: Crm::default(),
            kept: Arc::default(),
            options: RunOptions::default(),
            control: Control::default(),
            number: 0,
        };
        for (path, text) in [
            ("outflow.yml", "version: 1\nname: test\n"),
            (
                "sources/people.yml",
                "type: csv\npath: people.csv\ncolumns: {id: BIGINT, name: VARCHAR}\n",
            ),
            ("models/people.sql", "SELECT id, name FROM people\n"),
            ("models/people.yml", "source: people\nkey: id\n"),
            ("destinations/crm.yml", "plugin: crm\nconfig: {}\n"),
        ] {
            world.write(path, text);
        }
        world.rows("");
        world
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// What the source has from now on.
    pub fn rows(&self, rows: &str) {
        self.write("people.csv", &format!("id,name\n{rows}"));
    }

    /// The model's key is a text from now on.
    pub fn key_as_text(&self) {
        self.write("models/people.sql", "SELECT id::VARCHAR AS id, name FROM people\n");
    }

    /// The source's file is gone.
    pub fn remove_source(&self) {
        std::fs::remove_file(self.folder.path().join("people.csv")).unwrap();
    }

    pub fn mappings(&mut self, mappings: &str) {
        mappings.clone_into(&mut self.mappings);
    }

    pub fn ledger(&self) -> PathBuf {
        lock::folder(&self.state(), SYNC).join("ledger.duckdb")
    }

    pub fn journal(&self) -> PathBuf {
        lock::folder(&self.state(), SYNC).join("journal")
    }

    /// Puts that in the ledger's place, as if it had just been noted, and nothing else had ever been.
    pub fn restore(&self, (ledger, note): (&[u8], &Note)) {
        let folder = self.ledger().parent().unwrap().to_owned();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path.file_name() != Some("lock".as_ref()) {
                std::fs::remove_file(path).unwrap();
            }
        }
        std::fs::write(self.ledger(), ledger).unwrap();
        *self.kept.note.lock().unwrap() = Some(note.clone());
    }

    /// What is noted of the ledger.
    pub fn note(&self) -> Option<Note> {
        self.kept.note.lock().unwrap().clone()
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join(".outflow")
    }

    pub fn request(&mut self) -> RunRequest {
        let text = format!("model: people\ndestination: crm\n{}\n{}\n", self.sync, self.mappings);
        self.write(&format!("syncs/{SYNC}.yml"), &text);
        self.number += 1;
        let Asked::Held(lock) = SyncLock::ask(&self.state(), SYNC, "ann").unwrap() else {
            panic!("the lock is held")
        };
        RunRequest {
            project: Arc::new(Project::load(self.folder.path()).unwrap()),
            sync: SYNC.to_owned(),
            plugins: Arc::new(self.crm.clone()),
            lock: Arc::new(lock),
            number: self.number,
            started: SystemTime::now(),
            options: std::mem::take(&mut self.options),
            note: self.note(),
            notes: Arc::clone(&self.kept) as Arc<dyn Notes>,
            claims: Arc::new(Alone),
            control: self.control.clone(),
            extensions: Vec::new(),
        }
    }

    pub async fn run(&mut self) -> Finished {
        crate::run::run(self.request()).await
    }

    /// What did not get through, by the newest record.
    pub fn record(&self) -> Record {
        let records = Records::of(&lock::folder(&self.state(), SYNC));
        let newest = records.runs().unwrap().pop().unwrap();
        Record::read(&records.of_run(newest)).unwrap().unwrap()
    }

    pub async fn rebaseline(&mut self) -> Finished {
        crate::run::rebaseline(self.request()).await
    }

    pub async fn preview(&mut self) -> Result<Preview, RunError> {
        crate::run::preview(
            self.request(),
            PreviewOptions {
                sample: 5,
                requests: true,
            },
            None,
        )
        .await
    }
}

pub fn bodies(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Http { body, .. } => Some(body.clone()),
            _ => None,
        })
        .collect()
}
