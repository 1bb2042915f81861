//! The Pythons: which one fetches and imports the wheels, and how its pip is come by.
//!
//! Invariant: wheels are chosen by the pip of the very version of Python that imports them later. The `python3` of the
//! PATH and Debian's can be two versions, and an extension module built for one cannot be imported by the other.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt;
use crate::project::{output_of, tail};

/// Where Debian installs the Python that its packages are for.
pub const DEBIAN: &str = "/usr/bin/python3";

/// An interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// What starts it, absolute.
    pub executable: PathBuf,
    /// Like `3.11.7`.
    pub version: String,
}

/// An interpreter and one with pip of the same version, most often itself.
pub struct Fetcher {
    pub python: Python,
    with_pip: PathBuf,
}

/// Asks an interpreter who it is. `None` when it cannot be started, or is older than Python 3.
pub fn probe(command: &Path) -> Option<Python> {
    const WHO: &str = "import sys; print(sys.executable); print('%d.%d.%d' % sys.version_info[:3])";
    let output = Command::new(command)
        .args(["-c", WHO])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut lines = text.lines();
    let (executable, version) = (lines.next()?, lines.next()?);
    version.starts_with("3.").then(|| Python {
        executable: PathBuf::from(executable),
        version: version.to_owned(),
    })
}

/// Whether an interpreter imports these modules, with `packages` on its path. The error carries what it said.
pub fn imports(python: &Path, packages: Option<&Path>, modules: &[&str]) -> Result<()> {
    let mut command = Command::new(python);
    command
        .args(["-c", &format!("import {}", modules.join(", "))])
        .env_remove("PYTHONPATH")
        .env_remove("PYTHONHOME");
    if let Some(packages) = packages {
        command.env("PYTHONPATH", packages);
    }
    let output = output_of(&mut command)?;
    if !output.status.success() {
        bail!(
            "{} cannot import {}:\n{}",
            python.display(),
            modules.join(", "),
            tail(&output, 4)
        );
    }
    Ok(())
}

impl Fetcher {
    /// Finds, or makes, a Python with pip. In this order: the PATH's `python3`, Debian's, a virtual environment (which
    /// brings its own pip), and Debian's after installing python3-pip.
    pub fn find(scratch: &Path) -> Result<Self> {
        let candidates: Vec<Python> = ["python3", DEBIAN]
            .iter()
            .filter_map(|name| probe(Path::new(name)))
            .collect();
        if let Some(python) = candidates.iter().find(|python| has_pip(&python.executable)) {
            return Ok(Self {
                python: python.clone(),
                with_pip: python.executable.clone(),
            });
        }
        for python in &candidates {
            let folder = scratch.join(format!("venv-{}", python.version));
            let made = Command::new(&python.executable)
                .args(["-m", "venv", "--clear"])
                .arg(&folder)
                .output();
            let with_pip = folder.join("bin/python3");
            if made.is_ok_and(|output| output.status.success()) && has_pip(&with_pip) {
                return Ok(Self {
                    python: python.clone(),
                    with_pip,
                });
            }
        }
        apt::install(&["python3-pip"], &|_| false).context(
            "no python3 here has pip, which fetches wheels (python3-venv would do, too)",
        )?;
        match probe(Path::new(DEBIAN)).filter(|python| has_pip(&python.executable)) {
            Some(python) => Ok(Self {
                with_pip: python.executable.clone(),
                python,
            }),
            None => bail!("python3-pip is installed, and still `{DEBIAN} -m pip` does not work"),
        }
    }

    /// A `pip download` of one wheel, without what it depends on.
    pub fn download(&self, requirement: &str, folder: &Path) -> Command {
        let mut command = Command::new(&self.with_pip);
        command.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--no-input",
        ]);
        command
            .args([
                "--disable-pip-version-check",
                "--progress-bar=off",
                "--dest",
            ])
            .arg(folder)
            .arg(requirement);
        command
    }

    /// Unpacks a wheel.
    pub fn unzip(&self, wheel: &Path, folder: &Path) -> Command {
        let mut command = Command::new(&self.python.executable);
        command.args(["-m", "zipfile", "-e"]).arg(wheel).arg(folder);
        command
    }
}

fn has_pip(python: &Path) -> bool {
    let output = Command::new(python)
        .args(["-m", "pip", "--version"])
        .output();
    output.is_ok_and(|output| output.status.success())
}
