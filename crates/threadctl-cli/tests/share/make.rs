//! GNU make and cargo as those who make the budget, and make inside one of `threadctl share`.

use crate::roles::{CORES, line, played};
use crate::{read, share, succeed, text, without_offers};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A folder with a makefile.
fn makefile(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Makefile"), text).unwrap();
    folder
}

/// GNU make, whichever there is.
fn make(folder: &Path, args: &[&str]) -> Command {
    let mut command = without_offers(Command::new("make"));
    command.arg("-C").arg(folder).args(args);
    command
}

/// Runs lines of a shell below a jobserver with so many tokens as make makes one from 4.4 on: this machine's make may be older.
/// The shell has the FIFO as its descriptor 9.
fn below_a_fifo(folder: &Path, tokens: usize, lines: &str) -> Output {
    let fifo = folder.join("GMfifo1234");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let script = format!(
        "exec 9<>'{}'; printf {} >&9; {lines}",
        fifo.display(),
        "+".repeat(tokens)
    );
    let mut command = without_offers(Command::new("sh"));
    command.current_dir(folder).args(["-c", &script]);
    // The jobs are one more than the tokens.
    let auth = format!(" -j{} --jobserver-auth=fifo:{}", tokens + 1, fifo.display());
    succeed(command.env("MAKEFLAGS", auth))
}

#[test]
fn make_is_here() {
    let output = Command::new("make").arg("--version").output();
    let output = output.expect("GNU make: install the package make");
    assert!(text(&output).starts_with("GNU Make"), "{}", text(&output));
}

/// The form of `--jobserver-auth` is that make's own: a pipe before 4.4, a FIFO from then on.
#[test]
fn a_program_that_make_starts_takes_its_tokens_and_brings_them_back() {
    const TEST: &str = "make::a_program_that_make_starts_takes_its_tokens_and_brings_them_back";
    if played().is_some() {
        return;
    }
    // The second ends in the middle of a call, by exit; the third has what it took all the same.
    let rules = format!(
        "all: third\nfirst:\n\t+@{}\nsecond: first\n\t+@{}\nthird: second\n\t+@{}\n",
        line(TEST, "once", "first.json"),
        line(TEST, "leaves", "unused"),
        line(TEST, "once", "third.json"),
    );
    let folder = makefile(&rules);
    let output = succeed(&mut make(folder.path(), &["-j3"]));
    assert!(!text(&output).contains("INTERNAL"), "{}", text(&output));
    for name in ["first.json", "third.json"] {
        let saw = read(&folder.path().join(name));
        // Its own core, and the two tokens that make has beside its own.
        assert_eq!(
            (saw["peak"].as_u64(), saw["most"].as_u64()),
            (Some(3), Some(3)),
            "{saw}"
        );
        assert_eq!(saw["source"], "MAKEFLAGS", "{saw}");
    }
}

/// Before 4.4, make closes the pipe for lines without +, but names it all the same.
#[test]
fn a_line_without_plus_has_no_budget_and_says_so() {
    const TEST: &str = "make::a_line_without_plus_has_no_budget_and_says_so";
    if played().is_some() {
        return;
    }
    let folder = makefile(&format!("all:\n\t@{}\n", line(TEST, "once", "saw.json")));
    succeed(&mut make(folder.path(), &["-j3"]));
    let saw = read(&folder.path().join("saw.json"));
    if saw["auth"].is_null() {
        assert_eq!(saw["most"], CORES, "{saw}");
        assert!(
            saw["problems"][0]
                .as_str()
                .unwrap()
                .contains("is not open here"),
            "{saw}"
        );
    } else {
        // A make with FIFOs: no + is needed.
        assert!(saw["auth"].as_str().unwrap().starts_with("fifo:"), "{saw}");
        assert_eq!(saw["peak"], 3, "{saw}");
    }
}

/// What make from 4.4 on writes.
#[test]
fn the_form_of_make_4_4_is_understood() {
    const TEST: &str = "make::the_form_of_make_4_4_is_understood";
    if played().is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let lines = format!(
        "{}; timeout 5 head -c 2 <&9",
        line(TEST, "once", "saw.json")
    );
    let output = below_a_fifo(folder.path(), 2, &lines);
    assert!(text(&output).ends_with("++"), "{}", text(&output));
    let saw = read(&folder.path().join("saw.json"));
    assert_eq!(
        (saw["peak"].as_u64(), saw["most"].as_u64()),
        (Some(3), Some(3)),
        "{saw}"
    );
}

/// A region of four workers holds its own core and three tokens, whatever its workers call.
#[test]
fn a_region_holds_a_token_for_each_worker_and_its_calls_take_no_more() {
    const TEST: &str = "make::a_region_holds_a_token_for_each_worker_and_its_calls_take_no_more";
    if played().is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    below_a_fifo(folder.path(), 7, &line(TEST, "region", "saw.json"));
    let saw = read(&folder.path().join("saw.json"));
    assert_eq!(
        saw,
        serde_json::json!({"before": 7, "begun": 4, "nested": 4, "workers": 4, "own": true})
    );
}

/// Under `threadctl share`, make has the command's core and takes the others as tokens; no line runs beside its limit.
#[test]
fn make_shares_a_budget_with_programs_in_its_rules() {
    const TEST: &str = "make::make_shares_a_budget_with_programs_in_its_rules";
    if played().is_some() {
        return;
    }
    let jobs: Vec<String> = (0..9).map(|job| format!("job{job}")).collect();
    // Each notes how many are there beside it.
    let rules = format!(
        "all: last\nlast: {jobs}\n\t@{last}\n{jobs}:\n\t@touch running.$@; ls | grep -c running >> counts; sleep 0.2; rm running.$@\n",
        jobs = jobs.join(" "),
        last = line(TEST, "once", "saw.json"),
    );
    let folder = makefile(&rules);
    let mut command = share(&["--cores", "3"]);
    command.arg("make").arg("-C").arg(folder.path());
    let output = succeed(&mut command);
    assert!(!text(&output).contains("warning"), "{}", text(&output));
    let counts = fs::read_to_string(folder.path().join("counts")).unwrap();
    let most: usize = counts
        .lines()
        .map(|line| line.parse().unwrap())
        .max()
        .unwrap();
    assert_eq!(most, 3, "{counts}");
    // Its own core is make's one; the budget's other two are free by then.
    let saw = read(&folder.path().join("saw.json"));
    assert_eq!(
        (saw["peak"].as_u64(), saw["most"].as_u64()),
        (Some(3), Some(3)),
        "{saw}"
    );
    assert!(saw["auth"].as_str().unwrap().starts_with("share:"), "{saw}");
}

/// Cargo hands its budget to rustc and what stands in for it; a program there is in it.
#[test]
fn a_program_that_cargo_starts_is_in_its_budget() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("src")).unwrap();
    fs::write(path("src/lib.rs"), "").unwrap();
    fs::write(
        path("Cargo.toml"),
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n",
    )
    .unwrap();
    fs::write(
        path("wrapper"),
        format!(
            "#!/bin/sh\n'{}' cores --json > '{}'\nexec \"$@\"\n",
            env!("CARGO_BIN_EXE_threadctl"),
            path("saw.json").display()
        ),
    )
    .unwrap();
    succeed(Command::new("chmod").arg("+x").arg(path("wrapper")));
    let mut cargo = without_offers(Command::new(env!("CARGO")));
    cargo
        .args(["check", "--offline", "--jobs", "3"])
        .current_dir(folder.path())
        .env("CARGO_TARGET_DIR", path("target"))
        .env("RUSTC_WRAPPER", path("wrapper"))
        .stdin(Stdio::null());
    succeed(&mut cargo);
    let saw = read(&path("saw.json"));
    let notes = saw["notes"].to_string();
    assert!(notes.contains("CARGO_MAKEFLAGS: in the budget "), "{saw}");
}
