//! The command line, as `--help` shows it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keeps the tools where work happens in step with the tables where the truth is.
///
/// Exit codes: 0 success, 1 failed, 2 usage or configuration, 3 warning (some rows were refused or invalid),
/// 4 cancelled or interrupted.
#[derive(Debug, Parser)]
#[command(name = "outflow", version, max_term_width = 100)]
pub struct Arguments {
    /// The project: the folder with `outflow.yml`.
    #[arg(short = 'C', long, global = true, default_value = ".", value_name = "DIR")]
    pub project: PathBuf,
    /// A folder with plugins (`NAME.wasm`), besides the project's `plugins/` and those that the binary carries.
    #[arg(long, global = true, value_name = "DIR", env = "OUTFLOW_PLUGINS")]
    pub plugins: Vec<PathBuf>,
    /// Where the state is kept, instead of the project's `.outflow/`.
    #[arg(long, global = true, value_name = "DIR", env = "OUTFLOW_STATE")]
    pub state: Option<PathBuf>,
    /// How results are printed: for people, or as one JSON document on standard output.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub output: Output,
    /// Log more: once for information, twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables and sentences.
    #[default]
    Text,
    /// One JSON document on standard output.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a small project that runs.
    Init {
        /// Where; made if it is not there. The project's folder if left out.
        dir: Option<PathBuf>,
    },
    /// Check the project, its models, mappings and destinations; nothing is sent.
    Validate,
    /// Show what a run would do. Sends nothing and changes nothing.
    Plan(Plan),
    /// Run syncs, one after the other: bring their destinations in step with their models.
    Run(Run),
    /// Do exactly what a plan says that `outflow plan SYNC --out FILE` wrote, or nothing where anything has moved since.
    Apply {
        /// The plan.
        file: PathBuf,
    },
    /// Take the present state of the model as what the destination has. Sends nothing.
    Rebaseline {
        /// The sync.
        sync: String,
        /// Let a stopped rebaseline through: the approval that it printed.
        #[arg(long, value_name = "APPROVAL")]
        allow: Vec<String>,
    },
    /// List the syncs: who made each and when, its last run and its next. Also where project files have mistakes.
    Syncs,
    /// List a sync's runs, newest first.
    Runs {
        /// The sync.
        sync: String,
        /// How many at most.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// List the runs that can be compared, newest first: what each got through, and whether its record is kept.
    History {
        /// The sync.
        sync: String,
        /// How many at most.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Show what the destination had acknowledged otherwise after one run than after a later one, by key and field.
    Diff {
        /// The sync.
        sync: String,
        /// The earlier run; 0 is before the first.
        from: u64,
        /// The later run.
        to: u64,
        /// How many records to show at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Say what became of a row: when it was sent, what the destination said, what the ledger has of it, and why it is, or is
    /// not, what the next run does. Sends nothing and changes nothing.
    Explain {
        /// The sync.
        sync: String,
        /// The row's key: a plain value, or JSON as `{"country": "DE", "id": 7}` where it has several columns.
        #[arg(allow_negative_numbers = true)]
        key: String,
    },
    /// Say of rows that are uncertain, because an attempt had no answer, whether what was sent has arrived. Sends nothing.
    #[command(group = clap::ArgGroup::new("arrival").required(true))]
    Resolve {
        /// The sync.
        sync: String,
        /// The rows' keys, each a plain value, or JSON where it has several columns.
        #[arg(required = true, allow_negative_numbers = true, value_name = "KEY")]
        keys: Vec<String>,
        /// The destination has done what was asked: it is not sent again.
        #[arg(long, group = "arrival")]
        delivered: bool,
        /// It has not: what the model has is sent.
        #[arg(long, group = "arrival")]
        not_delivered: bool,
    },
    /// Release rows that are parked after too many rejections (`park_after`): the next run tries them again. Sends nothing.
    #[command(
        group = clap::ArgGroup::new("released").required(true).args(["keys", "all"]),
        override_usage = "outflow retry SYNC KEY...\n       outflow retry SYNC --all"
    )]
    Retry {
        /// The sync.
        sync: String,
        /// The rows' keys, each a plain value, or JSON where it has several columns.
        #[arg(allow_negative_numbers = true, value_name = "KEY")]
        keys: Vec<String>,
        /// All that is parked.
        #[arg(long)]
        all: bool,
    },
    /// Erase what is kept of rows: their values in ledger, journal and records of runs. Sends nothing.
    Forget {
        /// The sync.
        sync: String,
        /// The rows' keys, each a plain value, or JSON where it has several columns.
        #[arg(required = true, allow_negative_numbers = true, value_name = "KEY")]
        keys: Vec<String>,
        /// Also where the model still has the row, so that the next run sends it again as new.
        #[arg(long)]
        still_in_model: bool,
    },
    /// List the rows that the destination refused and that could not be sent, with the reasons.
    Rejected {
        /// The sync.
        sync: String,
    },
    /// List the next times at which syncs will run.
    Schedule {
        /// How many for each sync.
        #[arg(long, default_value_t = 3)]
        next: usize,
    },
    /// Keep the schedules until stopped.
    Serve,
    /// Look at plugins.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Print the JSON Schema of a kind of project file.
    Schema {
        /// Which.
        kind: String,
    },
}

/// Which plan.
#[derive(Debug, Args)]
pub struct Plan {
    /// The sync.
    pub sync: String,
    /// How many rows of each kind to show.
    #[arg(long, default_value_t = 5)]
    pub sample: usize,
    /// Show the exact requests, the first of each kind of operation.
    #[arg(long)]
    pub requests: bool,
    /// Write the whole plan to this file, for `outflow apply`. It holds rows.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Plan as a run with this approval of a stopped run.
    #[arg(long, value_name = "APPROVAL")]
    pub allow: Vec<String>,
    /// Plan although the sync's target is another than before: it has the same records, under a new address.
    #[arg(long)]
    pub same_target: bool,
    /// Plan every row again.
    #[arg(long)]
    pub full_resync: bool,
    /// Plan it also where repeating rows is refused.
    #[arg(long, requires = "full_resync")]
    pub force: bool,
    /// Wait while the sync is being run, instead of failing with who runs it.
    #[arg(long)]
    pub wait: bool,
}

/// Which runs.
#[derive(Debug, Args)]
pub struct Run {
    /// The syncs, in the order in which they are to run, each beginning when the one before it is over; all that are
    /// enabled, by name, if none is named. `outflow serve` runs several side by side.
    pub syncs: Vec<String>,
    /// Send every row again; nothing is removed. If that is interrupted before it has begun, the next run does it.
    #[arg(long)]
    pub full_resync: bool,
    /// Send them also where repeating rows is refused (insert mode, delete behaviour).
    #[arg(long, requires = "full_resync")]
    pub force: bool,
    /// Let a stopped run through: the approval that it printed.
    #[arg(long, value_name = "APPROVAL")]
    pub allow: Vec<String>,
    /// Go on although the sync's target is another than before: it has the same records, under a new address.
    #[arg(long)]
    pub same_target: bool,
    /// Run a sync that has no ledger as a new one, though others are gone from the project that it may have been; or as a
    /// new one under an old name, whose ledger is set aside.
    #[arg(long, conflicts_with = "same_sync")]
    pub new: bool,
    /// Go on with the ledger of a sync that was gone from the project for a while.
    #[arg(long)]
    pub same_sync: bool,
    /// Fail instead of waiting where the sync is running already.
    #[arg(long)]
    pub no_wait: bool,
}

/// What to look at.
#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// List the plugins that are found.
    List,
    /// Show a plugin: what it is for, its configuration, its secrets.
    Inspect {
        /// The plugin.
        plugin: String,
    },
}
