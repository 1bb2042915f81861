//! `cargo xtask sanitize`: shared calls under ThreadSanitizer and AddressSanitizer.
//!
//! The sanitizers are unstable options of the stable compiler (hence RUSTC_BOOTSTRAP), whose runtimes come with the
//! toolchain; everything is built anew for each but the standard library. What that leads to for threads is in
//! `tsan-suppressions.txt`. Invariant: the task succeeds only if the tests are clean under every sanitizer and the mistake
//! made on purpose for it is reported, so that neither a sanitizer that is not there nor too many suppressions look like
//! success.

use std::path::Path;
use std::process::{Command, ExitCode, Output};

use anyhow::{Context, Result, bail};

use crate::FAILED;
use crate::project::{Project, output_of, stdout_of, tail};

/// The test program that is made for the sanitizers.
const TEST: &str = "dispatch_share_races";

/// A row: what one sanitizer is asked for, and what it must find.
struct Sanitizer {
    /// As it names itself.
    name: &'static str,
    /// The value of `-Zsanitizer`, and the folder below `target/`.
    flag: &'static str,
    folder: &'static str,
    /// The variable that it reads, and what it is set to.
    variable: &'static str,
    options: fn(&Path) -> String,
    /// The test in [`TEST`] that is wrong on purpose, and what the report of it has.
    mistake: &'static str,
    reported: &'static str,
}

const SANITIZERS: &[Sanitizer] = &[
    Sanitizer {
        name: "ThreadSanitizer",
        flag: "thread",
        folder: "tsan",
        variable: "TSAN_OPTIONS",
        // The path is quoted for the sanitizer's own reader, which splits at blanks and colons.
        options: |root| {
            let file = root.join("xtask/tsan-suppressions.txt");
            format!("suppressions=\"{}\"", file.display())
        },
        mistake: "a_race_that_must_be_reported",
        reported: "Places>::add",
    },
    // The call lies on its caller's stack: whoever touches it too late touches a frame that is gone. (rayon's global pool
    // never ends, so leaks are not looked for.)
    Sanitizer {
        name: "AddressSanitizer",
        flag: "address",
        folder: "asan",
        variable: "ASAN_OPTIONS",
        options: |_| "detect_stack_use_after_return=1:detect_leaks=0".to_owned(),
        mistake: "a_use_after_return_that_must_be_reported",
        reported: "stack-use-after-return",
    },
];

/// Builds, runs, judges.
pub fn run(project: &Project) -> Result<ExitCode> {
    // Suppressions go by the names of functions.
    if Command::new("llvm-symbolizer")
        .arg("--version")
        .output()
        .is_err()
    {
        bail!("the sanitizers need llvm-symbolizer; type: apt-get install llvm");
    }
    for sanitizer in SANITIZERS {
        let Sanitizer {
            name,
            mistake,
            reported,
            ..
        } = sanitizer;
        let clean = test(project, sanitizer, &[])?;
        eprint!("{}", tail(&clean, usize::MAX));
        if !clean.status.success() || text(&clean).contains(name) {
            eprintln!("xtask: sanitize: FAILED; the reports are above");
            return Ok(ExitCode::from(FAILED));
        }
        let wrong = text(&test(
            project,
            sanitizer,
            &["--ignored", "--exact", mistake],
        )?);
        if !(wrong.contains(name) && wrong.contains(reported)) {
            eprintln!("{wrong}\nxtask: sanitize: FAILED; {name} did not report `{mistake}`");
            return Ok(ExitCode::from(FAILED));
        }
        eprintln!("xtask: sanitize: ok; {name} finds nothing in `{TEST}` but `{mistake}`");
    }
    Ok(ExitCode::SUCCESS)
}

fn test(project: &Project, sanitizer: &Sanitizer, args: &[&str]) -> Result<Output> {
    let host = host()?;
    let flag = sanitizer.flag;
    let mut command = project.cargo();
    command
        // A target of its own: build scripts and macros are not for the sanitizer.
        .args(["test", "--package", "threadctl", "--target", &host])
        .args(["--test", TEST, "--", "--test-threads=1"])
        .args(args)
        .env("RUSTC_BOOTSTRAP", "1")
        .env(
            "RUSTFLAGS",
            format!("-Zsanitizer={flag} -Cunsafe-allow-abi-mismatch=sanitizer"),
        )
        .env("CARGO_TARGET_DIR", project.target.join(sanitizer.folder))
        .env(sanitizer.variable, (sanitizer.options)(&project.root));
    eprintln!(
        "xtask: sanitize: {}: cargo test --test {TEST} -- {}",
        sanitizer.name,
        args.join(" ")
    );
    output_of(&mut command)
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
