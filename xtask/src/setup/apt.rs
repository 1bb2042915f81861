//! Packages of Debian and Ubuntu: which are installed, where their files are, and installing what is missing.
//!
//! Invariant: apt is started only for packages that are missing, and never asks a question.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::{output_of, stdout_of, tail};

/// An installed package.
pub struct Package {
    /// Its name as dpkg wants it where several architectures are installed, like `libgomp1:amd64`.
    qualified: String,
    pub version: String,
}

/// Installed packages by name.
pub type Installed = BTreeMap<String, Package>;

/// Installs those that are missing. What is `optional` may stay missing where the package sources do not have it.
pub fn ensure(names: &[&str], optional: &dyn Fn(&str) -> bool) -> Result<Installed> {
    if names.is_empty() {
        return Ok(Installed::new());
    }
    let before = installed(names)?;
    if missing(names, &before).is_empty() {
        return Ok(before);
    }
    install(&missing(names, &before), optional)?;
    let after = installed(names)?;
    let mut still = missing(names, &after);
    still.retain(|name| !optional(name));
    match still.as_slice() {
        [] => Ok(after),
        still => bail!(
            "apt-get reported success, but these packages are not installed: {}",
            still.join(" ")
        ),
    }
}

fn missing<'a>(names: &[&'a str], installed: &Installed) -> Vec<&'a str> {
    names
        .iter()
        .copied()
        .filter(|name| !installed.contains_key(*name))
        .collect()
}

/// Which of the packages are installed for this machine's architecture.
pub fn installed(names: &[&str]) -> Result<Installed> {
    const FORMAT: &str =
        "${Package} ${Architecture} ${binary:Package} ${Version} ${db:Status-Status}\n";
    let mut query = Command::new("dpkg-query");
    // Exits with 1 when it does not know a name, and still answers for the others.
    let output = match query.args(["-W", "-f", FORMAT]).args(names).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "this is not a Debian or Ubuntu system (there is no dpkg-query), so the set-up cannot install: {}",
            names.join(" ")
        ),
        Err(error) => return Err(error).context("starting dpkg-query"),
    };
    let native = stdout_of(Command::new("dpkg").arg("--print-architecture"))?;
    Ok(parse_query(
        &String::from_utf8_lossy(&output.stdout),
        native.trim(),
    ))
}

fn parse_query(text: &str, native: &str) -> Installed {
    let row = |line: &str| match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        [name, architecture, qualified, version, "installed"]
            if [native, "all"].contains(architecture) =>
        {
            Some((
                (*name).to_owned(),
                Package {
                    qualified: (*qualified).to_owned(),
                    version: (*version).to_owned(),
                },
            ))
        }
        _ => None,
    };
    text.lines().filter_map(row).collect()
}

/// The file of an installed package whose path ends so.
pub fn file(package: &Package, suffix: &str) -> Result<PathBuf> {
    let list = stdout_of(Command::new("dpkg-query").args(["-L", &package.qualified]))?;
    match list.lines().find(|line| line.ends_with(suffix)) {
        Some(path) => Ok(PathBuf::from(path)),
        None => bail!(
            "version {} holds no file whose path ends in {suffix}",
            package.version
        ),
    }
}

/// Installs packages as root or through sudo without a password; of the optional ones, those that are on offer.
pub fn install(names: &[&str], optional: &dyn Fn(&str) -> bool) -> Result<()> {
    let by_hand = format!(
        "sudo apt-get update && sudo apt-get install --no-install-recommends {}",
        names.join(" ")
    );
    let Some(prefix) = root_prefix() else {
        bail!(
            "these packages are missing: {}\n\
             Installing them takes root, and sudo asks for a password or is not there. Type:\n  {by_hand}",
            names.join(" ")
        );
    };
    eprintln!("setup: installing {}", names.join(" "));
    let first = apt_get(prefix, &install_args(names))?;
    if first.status.success() {
        return Ok(());
    }
    // The usual reason is that the lists of packages are old, or, in a new container, absent.
    eprintln!("setup: apt-get update, since that failed");
    let update = apt_get(prefix, &["update"])?;
    let second = apt_get(prefix, &install_args(names))?;
    if second.status.success() {
        return Ok(());
    }
    let unknown: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| !has_candidate(name))
        .collect();
    let lists = if update.status.success() {
        String::new()
    } else {
        format!("\napt-get update: {}", tail(&update, 3))
    };
    if !unknown.is_empty() && unknown.iter().all(|name| optional(name)) {
        let known: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| !unknown.contains(name))
            .collect();
        return if known.is_empty() {
            Ok(())
        } else {
            install(&known, optional)
        };
    }
    if unknown.is_empty() {
        bail!(
            "apt-get could not install {}:\n{}{lists}\nTo see it whole, type:\n  {by_hand}",
            names.join(" "),
            tail(&second, 12)
        );
    }
    bail!(
        "this system's package sources do not offer: {}{lists}\n\
         On Ubuntu they may be in `universe`: sudo add-apt-repository universe. Then type:\n  {by_hand}",
        unknown.join(" ")
    );
}

fn install_args<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["install", "-y", "--no-install-recommends"];
    args.extend(names);
    args
}

fn apt_get(prefix: &[&str], args: &[&str]) -> Result<std::process::Output> {
    // `env` because sudo does not pass the environment on. The lock's timeout lets another apt finish first.
    let mut words = prefix.to_vec();
    words.extend([
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "LC_ALL=C",
        "apt-get",
        "-q",
        "-o",
        "DPkg::Lock::Timeout=300",
    ]);
    words.extend(args);
    output_of(
        Command::new(words[0])
            .args(&words[1..])
            .stdin(std::process::Stdio::null()),
    )
}

/// Whether the package sources have the package in some version.
fn has_candidate(name: &str) -> bool {
    let policy = output_of(
        Command::new("apt-cache")
            .args(["policy", name])
            .env("LC_ALL", "C"),
    );
    policy.is_ok_and(|output| has_version(&String::from_utf8_lossy(&output.stdout)))
}

fn has_version(policy: &str) -> bool {
    policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate:"))
        .any(|version| version.trim() != "(none)")
}

/// What to put before a command that needs root: nothing for root, sudo where it needs no password, else `None`.
fn root_prefix() -> Option<&'static [&'static str]> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if root {
        return Some(&[]);
    }
    let sudo = Command::new("sudo").args(["-n", "true"]).output();
    sudo.is_ok_and(|output| output.status.success())
        .then_some(&["sudo", "-n"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_packages_of_this_architecture_count() {
        let text = "libgomp1 i386 libgomp1:i386 11 installed\n\
                    libgomp1 amd64 libgomp1:amd64 12.2.0-14 installed\n\
                    libomp5 amd64 libomp5:amd64 1:14 config-files\n\
                    python3-foo all python3-foo 3 installed\n\
                    libnone   not-installed\n";
        let found = parse_query(text, "amd64");
        let rows: Vec<_> = found
            .iter()
            .map(|(n, p)| (n.as_str(), p.qualified.as_str(), p.version.as_str()))
            .collect();
        assert_eq!(
            rows,
            [
                ("libgomp1", "libgomp1:amd64", "12.2.0-14"),
                ("python3-foo", "python3-foo", "3")
            ]
        );
    }

    #[test]
    fn a_package_without_candidate_is_recognised() {
        assert!(has_version(
            "libx:\n  Installed: (none)\n  Candidate: 1.2\n  Version table:\n"
        ));
        assert!(!has_version(
            "libx:\n  Installed: (none)\n  Candidate: (none)\n"
        ));
        assert!(!has_version(""));
    }
}
