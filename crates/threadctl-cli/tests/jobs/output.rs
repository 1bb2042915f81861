//! What is run, and what is printed.

use super::{document, jobs, reading, run, stderr, stdout};

#[test]
fn values_come_from_arguments_files_and_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list");
    std::fs::write(&file, "a b\nc").unwrap();
    let file = file.to_str().unwrap();
    for (args, input, expected) in [
        (&["-k", "echo", ":::", "a b", "c"][..], "", "a b\nc\n"),
        (&["-k", "-a", file, "echo"], "", "a b\nc\n"),
        (&["-k", "echo", "::::", file], "", "a b\nc\n"),
        (&["-k", "echo"], "a b\nc\n", "a b\nc\n"),
        (&["-k", "-a", "-", "echo"], "x\n", "x\n"),
        (&["-k", "-0", "echo"], "a\nb\0c\0", "a\nb\nc\n"),
        // Without a command each is one.
        (
            &["-k"],
            "echo one | tr o 0\necho \"$((1 + 1))\"\n",
            "0ne\n2\n",
        ),
        (&["-k", ":::", "echo a", "echo b c"], "", "a\nb c\n"),
        (
            &["-k", "echo", "{2}-{1}", ":::", "a", "b", ":::", "1", "2"],
            "",
            "1-a\n2-a\n1-b\n2-b\n",
        ),
        (
            &["-k", "echo", "{#}", "{/.}", ":::", "d/a.x", "b"],
            "",
            "1 a\n2 b\n",
        ),
    ] {
        let output = reading(args, input);
        assert_eq!(stdout(&output), expected, "{args:?}: {}", stderr(&output));
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(stderr(&output), "", "{args:?}");
    }
}

#[test]
fn quotes_blanks_and_every_other_byte_reach_the_job() {
    let value = b" it's \"$HOME\" `id` \\ * ; & | > \t\xff\x01 ".to_vec();
    let list = [value.clone(), b"\n".to_vec()].concat();
    let output = reading(&["printf", "%s"], list);
    assert_eq!(output.stdout, value, "{}", stderr(&output));
    let output = run(&["echo", ":::", "", "-n"]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_empty_list_is_done() {
    for args in [&["echo"][..], &["--bar", "echo"], &["-k", "--tag", "echo"]] {
        let output = reading(args, "");
        assert_eq!(
            (stdout(&output), stderr(&output)),
            (String::new(), String::new())
        );
        assert_eq!(output.status.code(), Some(0));
    }
    assert_eq!(run(&["echo", ":::"]).status.code(), Some(0));
    let document = document(&["echo", ":::"]);
    assert_eq!(document["total"], 0);
}

#[test]
fn output_is_in_the_order_of_the_jobs_where_that_is_asked_for() {
    // The first job ends last.
    let args = [
        "-j",
        "4",
        "-k",
        "sleep 0.{}; echo {}; echo e{} >&2",
        ":::",
        "6",
        "4",
        "2",
        "0",
    ];
    let output = run(&args);
    assert_eq!(stdout(&output), "6\n4\n2\n0\n");
    assert!(
        stderr(&output).ends_with("e6\ne4\ne2\ne0\n"),
        "{}",
        stderr(&output)
    );
    let args = ["-j", "2", "sleep {}; echo {}", ":::", "1", "0"];
    assert_eq!(stdout(&run(&args)), "0\n1\n");
}

#[test]
fn a_job_that_cannot_be_started_or_fails_keeps_its_turn() {
    // An argument that no kernel takes: longer than 128 KiB.
    let long = "x".repeat(200_000);
    let output = reading(&["-k", "-j", "1", "echo"], format!("a\n{long}\nb\n"));
    assert_eq!(stdout(&output), "a\nb\n");
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        text.contains("job 2, not started: Argument list too long"),
        "{}",
        &text[..200]
    );
}

#[test]
fn lines_of_jobs_never_mix_and_tags_name_them() {
    // Each writes its lines in pieces.
    let script = "for i in $(seq 200); do printf a{}; printf b; echo c; done";
    let output = run(&[
        "-j", "8", "--tag", script, ":::", "1", "2", "3", "4", "5", "6", "7", "8",
    ]);
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 1600);
    let mut runs: Vec<&str> = Vec::new();
    for line in text.lines() {
        let (tag, rest) = line.split_once('\t').unwrap();
        assert_eq!(rest, format!("a{tag}bc"));
        if runs.last() != Some(&tag) {
            runs.push(tag);
        }
    }
    assert_eq!(runs.len(), 8, "a job's lines stand together: {runs:?}");
}

#[test]
fn binary_output_comes_byte_for_byte() {
    let bytes: Vec<u8> = (0..=255)
        .cycle()
        .take(100_003)
        .map(|byte: u16| byte as u8)
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bytes");
    std::fs::write(&file, &bytes).unwrap();
    let output = jobs(&["-k", "cat", ":::"])
        .args([&file, &file])
        .output()
        .unwrap();
    assert_eq!(output.stdout, [&bytes[..], &bytes].concat());
}

#[test]
fn huge_outputs_pass_in_little_memory() {
    // 300 MB from each of two jobs, in order, so that one of them waits.
    let script = "sleep 0.{}; head -c 300000000 /dev/zero | tr '\\0' {}";
    let mut command = std::process::Command::new("sh");
    let shell = "\"$0\" jobs -k -j 2 \"$1\" ::: 2 1 | tr -d 1 | wc -c";
    command.args(["-c", shell, env!("CARGO_BIN_EXE_threadctl"), script]);
    assert_eq!(stdout(&command.output().unwrap()), "300000000\n");

    let output = std::process::Command::new("/usr/bin/time")
        .args([
            "-f",
            "%M",
            env!("CARGO_BIN_EXE_threadctl"),
            "jobs",
            "-k",
            "-j",
            "2",
            script,
        ])
        .args([":::", "2", "1"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    let text = stderr(&output);
    let kilobytes: u64 = text
        .trim()
        .lines()
        .last()
        .unwrap()
        .parse()
        .unwrap_or_else(|_| panic!("GNU time (the package time): {text}"));
    assert!(kilobytes < 60_000, "{kilobytes} KB");
}

#[test]
fn failures_are_listed_at_the_end_and_the_rest_is_done() {
    let args = [
        "-k",
        ":::",
        "echo a",
        "exit 3",
        "kill -9 $$",
        "echo b",
        "no-such-command-here",
    ];
    let output = run(&args);
    assert_eq!(stdout(&output), "a\nb\n");
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    let list = &text[text
        .find("threadctl: 3 of 5 jobs failed:\n")
        .unwrap_or_else(|| panic!("{text}"))..];
    let lines: Vec<&str> = list.lines().skip(1).collect();
    assert!(lines[0].starts_with("  job 2, exit 3, after "), "{list}");
    assert!(lines[0].ends_with(": exit 3"), "{list}");
    assert!(
        lines[1].starts_with("  job 3, signal 9 (SIGKILL), after "),
        "{list}"
    );
    assert!(lines[2].starts_with("  job 5, exit 127, after "), "{list}");
    assert_eq!(lines.len(), 3);

    let document = document(&args);
    assert_eq!(document["succeeded"], 2);
    assert_eq!(document["failed"], 3);
    assert_eq!(document["jobs"][1]["status"], 3);
    assert_eq!(document["jobs"][2]["signal"], 9);
    assert_eq!(document["jobs"][0]["command"], "echo a");
}

#[test]
fn a_dry_run_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (made, log) = (folder.path().join("made"), folder.path().join("log"));
    let output = jobs(&["--dry-run", "--joblog"])
        .arg(&log)
        .args(["touch", made.to_str().unwrap(), "{}", ":::", "a b", "c"])
        .output()
        .unwrap();
    let made = made.to_str().unwrap();
    assert_eq!(
        stdout(&output),
        format!("touch {made} 'a b'\ntouch {made} c\n")
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn results_are_kept_by_number_and_printed_too() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("new/results");
    let args = [
        "-k",
        "--results",
        results.to_str().unwrap(),
        "echo {}; echo e{} >&2",
        ":::",
        "a",
        "a",
    ];
    for _ in 0..2 {
        assert_eq!(stdout(&run(&args)), "a\na\n");
        for number in ["1", "2"] {
            let read = |name| std::fs::read_to_string(results.join(number).join(name)).unwrap();
            assert_eq!(
                (read("stdout"), read("stderr")),
                ("a\n".to_owned(), "ea\n".to_owned())
            );
        }
    }
}

#[test]
fn halting_starts_no_more_or_ends_those_that_run() {
    let output = run(&[
        "-j",
        "1",
        "--halt",
        "soon,fail=2",
        ":::",
        "exit 1",
        "exit 2",
        "echo c",
    ]);
    assert_eq!(
        (stdout(&output), output.status.code()),
        (String::new(), Some(1))
    );
    assert!(
        stderr(&output).contains("1 job not run, because of --halt"),
        "{}",
        stderr(&output)
    );

    let began = std::time::Instant::now();
    let output = run(&[
        "-j",
        "2",
        "--halt",
        "now,fail=1",
        ":::",
        "sleep 300 & wait",
        "sleep 0.2; exit 1",
        "echo c",
    ]);
    assert!(began.elapsed() < super::PATIENCE);
    assert_eq!(
        (stdout(&output), output.status.code()),
        (String::new(), Some(1))
    );
    let text = stderr(&output);
    assert!(text.contains("job 1, signal 15 (SIGTERM)"), "{text}");
    assert!(text.contains("2 of 2 jobs failed"), "{text}");
}

#[test]
fn jobs_know_their_number_and_place_and_read_nothing() {
    let output = reading(
        &[
            "-k",
            "-j",
            "1",
            "-a",
            "/dev/stdin",
            "echo $PARALLEL_SEQ $PARALLEL_JOBSLOT {#} {%}; cat; :",
        ],
        "a\nb\n",
    );
    assert_eq!(stdout(&output), "1 1 1 1\n2 1 2 1\n");
}
