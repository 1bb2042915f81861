//! `init()` in processes of their own, with the variables set from the start and a real library where one is needed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and speaks to the test that started it"
)]

mod common;
#[path = "common/heard.rs"]
mod heard;

use common::{CASE, get, in_own_process, library, load};
use heard::Heard;
use std::process::{Command, Output};
use threadctl::config::{Logging, Scope, Settings};
use threadctl::{ErrorKind, Limits, Shortfall, Workers};

/// Runs one case of this file with `environment`, and returns what it wrote.
fn child(test: &str, environment: &[(&str, &str)]) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CASE, test)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn is_child(test: &str) -> bool {
    std::env::var(CASE).as_deref() == Ok(test)
}

/// What the child wrote to standard error; it must have passed.
fn log_of(test: &str, environment: &[(&str, &str)]) -> String {
    let output = child(test, environment);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success(),
        "{}\n{log}",
        String::from_utf8_lossy(&output.stdout)
    );
    log
}

#[test]
fn guards_go_before_the_variable_and_the_variable_before_the_runtimes_own() {
    in_own_process(
        "guards_go_before_the_variable_and_the_variable_before_the_runtimes_own",
        &[
            ("THREADCTL_LIMITS", "blas=3"),
            ("OPENBLAS_NUM_THREADS", "2"),
        ],
        || {
            let blas = load("openblas-pthread");
            let threads = || get(blas, "openblas_get_num_threads");
            assert_eq!(threads(), 2, "loading the library changes nothing");
            let init = threadctl::init().unwrap();
            assert_eq!(threads(), 3);
            assert!(init.outcomes().iter().all(|outcome| outcome.is_honoured()));
            assert_eq!(init.outcomes().len(), 1);
            drop(init);
            assert_eq!(threads(), 3, "it lasts");
            for wanted in [1, 4] {
                let guard = Limits::new()
                    .user_api("blas", wanted)
                    .limit_process()
                    .unwrap();
                assert_eq!(threads(), i32::try_from(wanted).unwrap());
                drop(guard);
                assert_eq!(threads(), 3);
            }
            let runtimes = threadctl::runtimes();
            let runtime = runtimes
                .iter()
                .find(|own| own.internal_api() == "openblas")
                .unwrap();
            runtime.set_num_threads(5).unwrap();
            assert_eq!(threads(), 5, "a call goes before it");
        },
    );
}

#[test]
fn a_runtime_of_threads_is_set_here_and_the_outcome_says_so() {
    in_own_process(
        "a_runtime_of_threads_is_set_here_and_the_outcome_says_so",
        &[("THREADCTL_LIMITS", "openmp=3,mkl=1")],
        || {
            let gomp = load("gomp");
            let init = threadctl::init().unwrap();
            assert_eq!(get(gomp, "omp_get_max_threads"), 3);
            let shortfalls: Vec<_> = init
                .outcomes()
                .iter()
                .map(|own| own.shortfall.clone())
                .collect();
            assert_eq!(shortfalls, [Some(Shortfall::CallingThreadOnly)]);
            assert_eq!(init.unmatched(), ["mkl"]);
        },
    );
}

#[test]
fn in_the_scope_of_a_thread_others_are_left_alone() {
    in_own_process(
        "in_the_scope_of_a_thread_others_are_left_alone",
        &[
            ("THREADCTL_LIMITS", "openmp=3"),
            ("THREADCTL_SCOPE", "thread"),
            ("OMP_NUM_THREADS", "2"),
        ],
        || {
            let gomp = load("gomp");
            let init = threadctl::init().unwrap();
            assert!(init.outcomes().iter().all(|own| own.shortfall.is_none()));
            assert_eq!(init.settings().scope, Scope::Thread);
            drop(init);
            assert_eq!(get(gomp, "omp_get_max_threads"), 3, "it lasts");
            let other = std::thread::spawn(move || get(gomp, "omp_get_max_threads"));
            assert_eq!(other.join().unwrap(), 2);
        },
    );
}

#[test]
fn one_file_can_be_meant() {
    let path = library("openblas-pthread");
    let value = format!("{}=1", path.display());
    in_own_process(
        "one_file_can_be_meant",
        &[("THREADCTL_LIMITS", &value)],
        || {
            let blas = load("openblas-pthread");
            threadctl::init().unwrap();
            assert_eq!(get(blas, "openblas_get_num_threads"), 1);
        },
    );
}

#[test]
fn wrong_values_are_one_error_and_nothing_is_changed() {
    in_own_process(
        "wrong_values_are_one_error_and_nothing_is_changed",
        &[
            ("THREADCTL_LIMITS", "blas=1"),
            ("THREADCTL_SCOPE", "proces"),
            ("THREADCTL_NUM_THREADS", "0"),
            ("OPENBLAS_NUM_THREADS", "2"),
        ],
        || {
            let blas = load("openblas-pthread");
            for error in [
                threadctl::init().unwrap_err(),
                Settings::from_env().unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Configuration);
                let message = error.to_string();
                assert!(message.contains("THREADCTL_SCOPE=\"proces\""), "{message}");
                assert!(message.contains("did you mean \"process\"?"), "{message}");
                assert!(message.contains("THREADCTL_NUM_THREADS=\"0\""), "{message}");
            }
            assert_eq!(get(blas, "openblas_get_num_threads"), 2);
            assert_eq!(
                Workers::from_env().unwrap_err().kind(),
                ErrorKind::Configuration
            );
        },
    );
}

/// Not a test of its own: a program without a subscriber that calls `init`.
#[test]
fn child_without_a_subscriber() {
    if is_child("child_without_a_subscriber") {
        let asked = std::env::var("THREADCTL_LOG").is_ok();
        let expected = if asked {
            Logging::StandardError
        } else {
            Logging::NotAsked
        };
        assert_eq!(threadctl::init().unwrap().logging(), expected);
        assert_eq!(
            threadctl::init().unwrap().logging(),
            expected,
            "a second time"
        );
        tracing::error!(target: "somebody_else", "not of the library");
    }
}

#[test]
fn the_log_of_a_program_without_a_subscriber_goes_to_standard_error() {
    const TEST: &str = "child_without_a_subscriber";
    let limits = ("THREADCTL_LIMITS", "mkl=1");
    assert_eq!(log_of(TEST, &[limits]), "", "not asked for");
    assert_eq!(
        log_of(TEST, &[limits, ("THREADCTL_LOG", "error")]),
        "",
        "nothing went wrong"
    );
    let info = log_of(TEST, &[limits, ("THREADCTL_LOG", "info")]);
    assert!(
        info.contains("THREADCTL_LIMITS: no runtime that mkl means is loaded"),
        "{info}"
    );
    assert!(
        !info.contains("DEBUG") && !info.contains("somebody_else"),
        "{info}"
    );
    let debug = log_of(TEST, &[limits, ("THREADCTL_LOG", "debug")]);
    assert!(debug.contains("DEBUG"), "{debug}");
    let right = [
        limits,
        ("THREADCTL_LOG", "warn"),
        ("THREADCTL_SCOPE", "process"),
    ];
    assert_eq!(log_of(TEST, &right), "", "right names are no slips");
    let slip = log_of(
        TEST,
        &[("THREADCTL_LOG", "warn"), ("THREADCTL_LIMIT", "blas=1")],
    );
    assert!(slip.contains("did you mean THREADCTL_LIMITS?"), "{slip}");
}

#[test]
fn a_programs_own_subscriber_is_kept() {
    in_own_process(
        "a_programs_own_subscriber_is_kept",
        &[("THREADCTL_LOG", "trace")],
        || {
            let heard = Heard::here();
            assert_eq!(threadctl::init().unwrap().logging(), Logging::ProgramsOwn);
            let _guard = Limits::new().user_api("blas", 1).limit_process().unwrap();
            assert!(heard.text().contains("plan made"), "{}", heard.text());
        },
    );
}

#[test]
fn without_init_a_wrong_value_is_reported_once_and_ignored() {
    in_own_process(
        "without_init_a_wrong_value_is_reported_once_and_ignored",
        &[("THREADCTL_LIMITS", "blsa=1"), ("THREADCTL_LOG", "trace")],
        || {
            let heard = Heard::here();
            for _ in 0..3 {
                drop(Limits::new().all(1).limit_process().unwrap());
            }
            let text = heard.text();
            assert_eq!(text.matches("blsa=1: no runtime").count(), 1, "{text}");
            assert!(text.contains("WARN"), "{text}");
        },
    );
}

#[test]
fn the_log_says_how_many_cores_and_why_and_what_is_malformed_once() {
    in_own_process(
        "the_log_says_how_many_cores_and_why_and_what_is_malformed_once",
        &[
            ("THREADCTL_NUM_THREADS", "1"),
            ("SLURM_CPUS_PER_TASK", "abc"),
            ("THREADCTL_SCOPE", "proces"),
        ],
        || {
            let heard = Heard::here();
            let ask = || assert_eq!(threadctl::cores().count(), 1);
            for _ in 0..2 {
                ask();
                // Longer than an answer is given out again.
                std::thread::sleep(std::time::Duration::from_millis(150));
            }
            let text = heard.text();
            assert_eq!(text.matches("count=1").count(), 1, "{text}");
            assert!(text.contains("why="), "{text}");
            std::thread::spawn(ask).join().unwrap();
            let text = heard.text();
            let warned = text.matches("SLURM_CPUS_PER_TASK=").count();
            assert_eq!(warned, 1, "{text}");
            let of_our_own = text.matches("THREADCTL_SCOPE=").count();
            // The variable with its value, and in the example of what is accepted.
            assert_eq!(of_our_own, 2, "{text}");
            assert_eq!(text.matches("WARN").count(), 2, "{text}");
        },
    );
}

#[test]
fn without_init_limits_are_not_in_force_and_that_is_said() {
    in_own_process(
        "without_init_limits_are_not_in_force_and_that_is_said",
        &[
            ("THREADCTL_LIMITS", "blas=1"),
            ("OPENBLAS_NUM_THREADS", "2"),
        ],
        || {
            let heard = Heard::here();
            let blas = load("openblas-pthread");
            drop(Limits::new().user_api("openmp", 1).limit_process().unwrap());
            assert_eq!(get(blas, "openblas_get_num_threads"), 2);
            assert!(
                heard
                    .text()
                    .contains("threadctl::init() has not been called"),
                "{}",
                heard.text()
            );
        },
    );
}

/// Not a test of its own: what a program with more rights than its caller makes of its variables.
#[test]
fn child_with_raised_rights() {
    if is_child("child_with_raised_rights") {
        threadctl::init().unwrap();
        println!(
            "limits {:?}",
            Settings::from_env()
                .unwrap()
                .limits
                .map(|own| own.to_string())
        );
    }
}

#[test]
fn a_set_uid_program_ignores_paths_of_its_caller() {
    use std::os::unix::fs::{PermissionsExt, chown};
    const TEST: &str = "child_with_raised_rights";
    const NOBODY: u32 = 65534;
    let environment = [
        (
            "THREADCTL_LIMITS",
            "blas=1,/opt/own/libopenblas.so=2,/opt/other.so=1",
        ),
        ("THREADCTL_LOG", "warn"),
    ];
    let program = std::env::current_exe().unwrap();
    let copy = program.with_extension("set-uid");
    std::fs::copy(&program, &copy).unwrap();
    let says = |expected: &str| {
        let output = Command::new(&copy)
            .args([TEST, "--exact", "--nocapture", "--test-threads=1"])
            .env(CASE, TEST)
            .envs(environment)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains(expected),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stderr).unwrap()
    };
    let log = says("limits Some(\"blas=1,/opt/own/libopenblas.so=2,/opt/other.so=1\")");
    assert_eq!(log, "");
    chown(&copy, Some(NOBODY), None)
        .expect("this test gives a program to another user: run it as root");
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let log = says("limits Some(\"blas=1\")");
    // init() tells each, and what asks for the settings then again.
    for path in ["/opt/own/libopenblas.so=2", "/opt/other.so=1"] {
        let told = |line: &&str| line.contains("more rights") && line.contains(path);
        assert_eq!(log.lines().filter(told).count(), 2, "{path}: {log}");
    }
    std::fs::remove_file(&copy).unwrap();
}
