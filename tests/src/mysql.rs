//! A MariaDB server for a test, from the programs that `cargo xtask test` fetches.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The user who may read everything.
pub const USER: &str = "outflow";
/// The user's password, with what must be quoted somewhere.
pub const PASSWORD: &str = "pa'ss \\w0rd-of-the-shop\"}";

/// How long a server may take to be ready.
const READY_SECONDS_MAX: u64 = 60;

/// A running server with an empty database `shop`.
pub struct Mysql {
    folder: tempfile::TempDir,
    fetched: PathBuf,
    server: Child,
    /// The port on 127.0.0.1.
    pub port: u16,
}

impl Mysql {
    /// Starts one. Nothing where its programs were not fetched: the test is to be skipped then.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start() -> Result<Option<Self>> {
        let native = Path::new(option_env!("DUCKDB_LIB_DIR").context("DUCKDB_LIB_DIR is not set")?);
        let fetched = native.join("mariadb");
        let needed = [
            fetched.join("usr/sbin/mariadbd"),
            native.join("extensions/mysql_scanner.duckdb_extension"),
        ];
        if let Some(lacking) = needed.iter().find(|needed| !needed.exists()) {
            eprintln!("skipped: there is no {}", lacking.display());
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let mut install = program(&fetched, "usr/bin/mariadb-install-db");
        install
            .args(options(&fetched, folder.path()))
            .args([
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ])
            .stdout(Stdio::null());
        let made = install.output()?;
        if !made.status.success() {
            bail!("mariadb-install-db failed: {}", String::from_utf8_lossy(&made.stderr));
        }
        let password = PASSWORD.replace('\\', "\\\\").replace('\'', "''");
        let init = format!(
            "CREATE DATABASE IF NOT EXISTS shop CHARACTER SET utf8mb4;\n\
             CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1' IDENTIFIED BY '{password}';\n\
             GRANT SELECT, SHOW VIEW ON *.* TO '{USER}'@'127.0.0.1';\n"
        );
        std::fs::write(folder.path().join("init.sql"), init)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = serve(&fetched, folder.path(), port)?;
        let mut mysql = Self {
            folder,
            fetched,
            server,
            port,
        };
        mysql.wait()?;
        Ok(Some(mysql))
    }

    /// Runs statements as the user who may do everything; gives what they print, without names of columns.
    ///
    /// # Errors
    /// What the server says.
    pub fn sql(&self, statements: &str) -> Result<String> {
        let mut client = program(&self.fetched, "usr/bin/mariadb");
        client
            .args(["--no-defaults", "--user=root", "--default-character-set=utf8mb4"])
            .arg(format!("--socket={}", self.folder.path().join("socket").display()))
            .args([
                "--batch",
                "--skip-column-names",
                "--database=shop",
                "--execute",
                statements,
            ]);
        let done = client.output()?;
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
        self.server.kill()?;
        self.server.wait()?;
        Ok(())
    }

    /// Starts it again, on the same port.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.server = serve(&self.fetched, self.folder.path(), self.port)?;
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
            "type: mysql\nhost: 127.0.0.1\nport: {}\ndatabase: shop\nuser: {USER}\nssl_mode: disabled\nsecrets: {{password: {{env: SHOP_PASSWORD}}}}\n",
            self.port
        )
    }
}

impl Drop for Mysql {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// Where everything is, for the server and what makes its folder.
fn options(fetched: &Path, folder: &Path) -> Vec<String> {
    let option = |name: &str, path: PathBuf| format!("--{name}={}", path.display());
    let mut options = vec![
        "--no-defaults".to_owned(),
        option("basedir", fetched.join("usr")),
        option("datadir", folder.join("data")),
        // Another server's start removes what it finds in a shared one.
        option("tmpdir", folder.to_owned()),
    ];
    if rustix::process::geteuid().is_root() {
        // Otherwise it refuses. What it may do is the test's own anyway.
        options.push("--user=root".to_owned());
    }
    options
}

fn serve(fetched: &Path, folder: &Path, port: u16) -> Result<Child> {
    let log = std::fs::File::create(folder.join("log"))?;
    let option = |name: &str, path: PathBuf| format!("--{name}={}", path.display());
    Ok(program(fetched, "usr/sbin/mariadbd")
        .args(options(fetched, folder))
        .args([
            option("socket", folder.join("socket")),
            option("pid-file", folder.join("pid")),
            option("init-file", folder.join("init.sql")),
            option("lc-messages-dir", fetched.join("usr/share/mysql")),
            option("plugin-dir", fetched.join("usr/lib/mysql/plugin")),
        ])
        .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--skip-log-bin"])
        // What is committed outlives a kill, though not a loss of power.
        .args(["--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=16M"])
        .arg(format!("--port={port}"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?)
}

/// A program with the libraries that were unpacked beside it, where the system has none.
fn program(fetched: &Path, name: &str) -> Command {
    let mut command = Command::new(fetched.join(name));
    let libraries = fetched.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    command.env("LD_LIBRARY_PATH", libraries).stdin(Stdio::null());
    command
}
