//! `cargo xtask sanitize`: shared calls under ThreadSanitizer.
//!
//! The sanitizer is an unstable option of the stable compiler (hence RUSTC_BOOTSTRAP), whose runtime comes with the
//! toolchain; everything is built anew for it but the standard library. What that leads to is in
//! `tsan-suppressions.txt`. Invariant: the task succeeds only if the tests are clean and a race made on purpose is
//! reported, so that neither a sanitizer that is not there nor too many suppressions look like success.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use anyhow::{Context, Result, bail};

use crate::FAILED;
use crate::project::{Project, output_of, stdout_of, tail};

/// The test program that is made for the sanitizer.
const TEST: &str = "dispatch_share_races";
/// The test in it that is wrong on purpose, and the function in which it is.
const RACE: &str = "a_race_that_must_be_reported";
const RACES_IN: &str = "Places>::add";

/// What the sanitizer says first when it has found something.
const REPORT: &str = "WARNING: ThreadSanitizer";

/// Builds, runs, judges.
pub fn run(project: &Project) -> Result<ExitCode> {
    // Suppressions go by the names of functions.
    if Command::new("llvm-symbolizer")
        .arg("--version")
        .output()
        .is_err()
    {
        bail!("the sanitizer needs llvm-symbolizer; type: apt-get install llvm");
    }
    let clean = test(project, &[])?;
    eprint!("{}", tail(&clean, usize::MAX));
    if !clean.status.success() || text(&clean).contains(REPORT) {
        eprintln!("xtask: sanitize: FAILED; the reports are above");
        return Ok(ExitCode::from(FAILED));
    }
    let race = text(&test(project, &["--ignored", "--exact", RACE])?);
    if !(race.contains(REPORT) && race.contains(RACES_IN)) {
        eprintln!("{race}\nxtask: sanitize: FAILED; `{RACE}` was not reported");
        return Ok(ExitCode::from(FAILED));
    }
    eprintln!("xtask: sanitize: ok; no race in `{TEST}`, and the one made on purpose is reported");
    Ok(ExitCode::SUCCESS)
}

fn test(project: &Project, args: &[&str]) -> Result<Output> {
    let host = host()?;
    let suppressions: PathBuf = project.root.join("xtask/tsan-suppressions.txt");
    let mut command = project.cargo();
    command
        // A target of its own: build scripts and macros are not for the sanitizer.
        .args(["test", "--package", "threadctl", "--target", &host])
        .args(["--test", TEST, "--", "--test-threads=1"])
        .args(args)
        .env("RUSTC_BOOTSTRAP", "1")
        .env(
            "RUSTFLAGS",
            "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer",
        )
        .env("CARGO_TARGET_DIR", project.target.join("tsan"))
        .env("TSAN_OPTIONS", options(&suppressions));
    eprintln!(
        "xtask: sanitize: cargo test --test {TEST} -- {}",
        args.join(" ")
    );
    output_of(&mut command)
}

/// The path is quoted for the sanitizer's own reader, which splits at blanks and colons.
fn options(suppressions: &Path) -> String {
    format!("suppressions=\"{}\"", suppressions.display())
}

/// The name of the platform that the compiler runs on.
fn host() -> Result<String> {
    let about = stdout_of(Command::new("rustc").arg("-vV"))?;
    about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("`rustc -vV` names no host")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
