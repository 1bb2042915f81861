//! What is printed, how shells read it, and that numpy's OpenBLAS takes it.

use super::{EXPECTED, clean, common, document, number, stderr, stdout, threadctl, variables};
use serde_json::Value;

/// Has a shell run the settings and print its environment, and compares it with the document.
fn shell_agrees(program: &str, script: &str, shell: &str) {
    let settings = threadctl(&["--jobs", "2", "--shell", shell]);
    let expected = variables(&document(&["--jobs", "2"]));
    let output = clean(program)
        .args(["-c", script])
        .env("SETTINGS", stdout(&settings))
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; install the package of this name"));
    assert!(output.status.success(), "{program}: {}", stderr(&output));
    assert_eq!(stderr(&output), "", "{program}");
    let environment = stdout(&output);
    for (name, value) in &expected {
        let line = format!("{name}={value}");
        assert!(
            environment.lines().any(|own| own == line),
            "{program}: no {line} in {environment}"
        );
    }
}

#[test]
fn a_posix_shell_reads_the_settings_with_and_without_quotes() {
    shell_agrees("sh", "eval \"$SETTINGS\"; env", "sh");
    shell_agrees("sh", "eval $SETTINGS; env", "sh");
    shell_agrees("bash", "set -eu; eval \"$SETTINGS\"; env", "sh");
}

#[test]
fn the_settings_are_sound_shell() {
    let output = clean("sh")
        .args(["-n", "-c", &stdout(&threadctl(&[]))])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn fish_reads_the_settings() {
    let fish = common::library("fish");
    shell_agrees(
        fish.to_str().unwrap(),
        "echo $SETTINGS | source; env",
        "fish",
    );
}

#[test]
fn every_runtime_has_its_variable() {
    let document = document(&[]);
    let mut expected: Vec<_> = EXPECTED.to_vec();
    expected.sort_unstable();
    assert!(variables(&document).keys().eq(expected));
    assert_eq!(document["schema"], "threadctl.env/1");
}

#[test]
fn the_jobs_use_each_core_once() {
    let cores = number(&document(&[]), "cores");
    let jobs = cores.to_string();
    let shared = document(&["--jobs", &jobs]);
    assert_eq!(number(&shared, "width"), 1);
    assert_eq!(shared["notes"], serde_json::json!([]));
    assert_eq!(number(&document(&["--jobs", "-1"]), "jobs"), cores);

    // Each job's own share, of a budget that does not divide evenly.
    let mut sum = 0;
    for job in ["1", "2", "3"] {
        let own = document(&["--jobs", "3", "--job", job]);
        sum += number(&own, "width");
    }
    assert_eq!(sum, cores.max(3));
}

#[test]
fn more_jobs_than_cores_get_a_thread_each_and_a_note() {
    let output = threadctl(&["--jobs", "100000"]);
    assert!(output.status.success());
    assert!(stdout(&output).contains("export OPENBLAS_NUM_THREADS=1;\n"));
    assert!(
        stderr(&output).contains("100000 jobs exceed the "),
        "{}",
        stderr(&output)
    );
}

#[test]
fn loops_and_the_calls_that_they_make_share_a_jobs_cores() {
    let shared = document(&["--inner", "1"]);
    let cores = number(&shared, "cores");
    let values = variables(&shared);
    assert_eq!(values["OMP_NUM_THREADS"], "1");
    assert_eq!(values["RAYON_NUM_THREADS"], cores.to_string());
    let values = variables(&document(&["--inner", "-1"]));
    assert_eq!(values["OMP_NUM_THREADS"], cores.to_string());
    assert_eq!(values["RAYON_NUM_THREADS"], "1");
}

#[test]
fn variables_that_go_before_the_settings_are_told() {
    let output = clean(env!("CARGO_BIN_EXE_threadctl"))
        .args(["env", "--shell", "json"])
        .env("MKL_DOMAIN_NUM_THREADS", "MKL_DOMAIN_ALL=8")
        .env("BLIS_IC_NT", "4")
        .env("BLIS_JC_NT", "")
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let notes = document["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 2, "{notes:?}");
    for (stronger, weaker) in [
        ("MKL_DOMAIN_NUM_THREADS", "MKL_NUM_THREADS"),
        ("BLIS_IC_NT", "BLIS_NUM_THREADS"),
    ] {
        let told = format!("{stronger} is set and goes before {weaker}");
        assert!(stderr(&output).contains(&told), "{}", stderr(&output));
        assert!(
            notes
                .iter()
                .any(|note| note.as_str().unwrap().starts_with(&told))
        );
    }
}

#[test]
fn wrong_numbers_are_usage_errors_that_name_them() {
    for (args, named) in [
        (&["--jobs", "0"][..], "at least one job"),
        (&["--jobs", "x"], "no whole number"),
        (&["--jobs", "1.5"], "no whole number"),
        (&["--inner", "0"], "at least one core"),
        (&["--jobs", "2", "--job", "3"], "from 1 to 2"),
        (&["--job", "0"], "from 1 to 1"),
        (&["--shell", "csh"], "csh"),
    ] {
        let output = threadctl(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(stdout(&output), "", "{args:?}");
        assert!(
            stderr(&output).contains(named),
            "{args:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn a_wrong_variable_of_ones_own_is_an_error_and_a_right_one_counts() {
    let run = |value: &str| {
        clean(env!("CARGO_BIN_EXE_threadctl"))
            .args(["env", "--shell", "json"])
            .env("THREADCTL_NUM_THREADS", value)
            .output()
            .unwrap()
    };
    let output = run("0");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("THREADCTL_NUM_THREADS=\"0\""),
        "{}",
        stderr(&output)
    );
    let output = run("1");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(number(&document, "cores"), 1);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let output = clean("sh")
        .args(["-c", "\"$0\" env | :; \"$0\" env > /dev/full"])
        .arg(env!("CARGO_BIN_EXE_threadctl"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "a full disk is one");
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}

/// What numpy's own OpenBLAS says, in a Python that a shell starts after the settings.
fn numpys_threads(args: &str) -> usize {
    const ASK: &str = "import numpy, threadpoolctl\n\
        print([pool['num_threads'] for pool in threadpoolctl.threadpool_info() if pool['user_api'] == 'blas'])";
    let output = clean("sh")
        .args([
            "-c",
            &format!("eval \"$(\"$0\" env {args})\"; exec \"$1\" -c \"$2\""),
        ])
        .arg(env!("CARGO_BIN_EXE_threadctl"))
        .arg(common::library("python"))
        .arg(ASK)
        .env("PYTHONPATH", common::library("python-packages"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let threads: Vec<usize> = serde_json::from_slice(&output.stdout).unwrap();
    let [threads] = threads[..] else {
        panic!("numpy has the BLAS pools {threads:?}");
    };
    threads
}

#[test]
fn numpys_openblas_takes_its_share() {
    let cores = number(&document(&[]), "cores");
    assert_eq!(numpys_threads(""), cores);
    assert_eq!(numpys_threads(&format!("--jobs {cores}")), 1);
    assert_eq!(numpys_threads("--inner 1"), 1);
    assert_eq!(numpys_threads("--jobs 1 --inner -1"), cores);
}

#[test]
fn threads_that_have_worked_sleep_at_once() {
    // Left to themselves the threads of OpenBLAS spin for 10 ms and more after a product.
    const WORK: &str = "import numpy, time\n\
        a = numpy.ones((500, 500))\n\
        spent = []\n\
        for _ in range(5):\n    \
            a @ a\n    \
            before = time.process_time()\n    \
            time.sleep(0.05)\n    \
            spent.append(time.process_time() - before)\n\
        print(min(spent))";
    let output = clean("sh")
        .args(["-c", "eval \"$(\"$0\" env)\"; exec \"$1\" -c \"$2\""])
        .arg(env!("CARGO_BIN_EXE_threadctl"))
        .arg(common::library("python"))
        .arg(WORK)
        .env("PYTHONPATH", common::library("python-packages"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let seconds: f64 = stdout(&output).trim().parse().unwrap();
    assert!(
        seconds < 0.002,
        "{seconds} s of CPU time in 0.05 s of sleep"
    );
}

#[test]
fn the_jobs_share_the_cores_that_there_are_and_not_the_machines() {
    let output = clean("taskset")
        .args([
            "-c",
            "0",
            env!("CARGO_BIN_EXE_threadctl"),
            "env",
            "--shell",
            "json",
        ])
        .output()
        .unwrap_or_else(|error| panic!("taskset: {error}; install the package util-linux"));
    assert!(output.status.success(), "{}", stderr(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(number(&document, "cores"), 1);
    assert_eq!(variables(&document)["OMP_NUM_THREADS"], "1");
}
