//! Debian's packages, downloaded and unpacked into a folder: nothing is installed, and nothing on the system changes.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::tool;

/// Whether this machine has what it takes.
pub fn is_here() -> bool {
    tool::find("apt-get").is_some() && tool::find("dpkg").is_some()
}

/// Unpacks packages into a folder, with those that they need and this machine lacks. `suits` says why what apt would
/// install will not do.
pub fn unpack(packages: &[&str], dir: &Path, suits: impl Fn(&str) -> Result<()>) -> Result<()> {
    let downloads = dir.join("downloads");
    fs::create_dir_all(&downloads)?;
    // apt checks Debian's signatures, so nothing is pinned here, and Debian's security updates are taken.
    if let Err(error) = download(packages, &[], &downloads, &suits) {
        let lists =
            Lists::update(&dir.join("apt")).with_context(|| format!("apt-get has no usable lists ({error:#})"))?;
        download(packages, &lists.options, &downloads, &suits)?;
    }
    for package in fs::read_dir(&downloads)? {
        tool::output(Command::new("dpkg").arg("-x").arg(package?.path()).arg(dir))?;
    }
    let _ = fs::remove_dir_all(dir.join("apt"));
    Ok(fs::remove_dir_all(downloads)?)
}

/// Package lists of our own, for a machine that has none or old ones, whoever runs this.
struct Lists {
    options: Vec<String>,
}

impl Lists {
    fn update(dir: &Path) -> Result<Lists> {
        let (lists, archives) = (dir.join("lists"), dir.join("cache"));
        fs::create_dir_all(lists.join("partial"))?;
        fs::create_dir_all(archives.join("archives/partial"))?;
        let option = |name: &str, path: &Path| format!("-o{name}={}", path.display());
        let options = vec![option("Dir::State::Lists", &lists), option("Dir::Cache", &archives)];
        // Without a user of its own apt can write into our folder.
        tool::output(
            Command::new("apt-get")
                .args(&options)
                .args(["-oAPT::Sandbox::User=root", "update"]),
        )?;
        Ok(Lists { options })
    }
}

fn download(packages: &[&str], options: &[String], dir: &Path, suits: &impl Fn(&str) -> Result<()>) -> Result<()> {
    let mut simulation = Command::new("apt-get");
    simulation
        .args(options)
        .args(["--simulate", "--reinstall", "--no-install-recommends", "install"]);
    let plan = tool::output(simulation.args(packages).env("LC_ALL", "C"))?;
    suits(&plan)?;
    let mut download = Command::new("apt-get");
    download
        .args(options)
        .args(["-oAPT::Sandbox::User=root", "download"])
        .args(packages_to_install(&plan))
        .current_dir(dir);
    tool::output(&mut download).map(drop)
}

/// The names after `Inst` in what `apt-get --simulate install` prints.
fn packages_to_install(plan: &str) -> Vec<&str> {
    plan.lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_would_install_is_downloaded_and_nothing_else() {
        let plan = "Reading package lists...\nThe following packages will be REMOVED:\n  rustc\nRemv rustc [1.63]\n\
                    Inst libllvm22 (1:22.1.8-1~deb12u1 Debian-Security:12 [amd64])\n\
                    Inst rustc-web (1.96.0+dfsg1-1~deb12u2 Debian-Security:12 [amd64])\n\
                    Conf rustc-web (1.96.0+dfsg1-1~deb12u2 Debian-Security:12 [amd64])\n";
        assert_eq!(packages_to_install(plan), ["libllvm22", "rustc-web"]);
    }
}
