//! `threadctl completions` and `threadctl man`, read by those they are for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::process::{Command, Output};

fn threadctl(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadctl"));
    command.args(args).output().unwrap()
}

/// The commands that `--help` lists.
fn commands() -> Vec<String> {
    let help = String::from_utf8(threadctl(&["--help"]).stdout).unwrap();
    let list = help
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let names = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect()
}

#[test]
fn completions_are_sound_bash_and_know_every_command() {
    let script = threadctl(&["completions", "bash"]);
    assert!(script.status.success());
    let text = String::from_utf8(script.stdout).unwrap();
    let checked = Command::new("bash")
        .args(["-n", "-c", &text])
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let ask = format!(
        "{text}\nCOMP_WORDS=(threadctl ''); COMP_CWORD=1; _threadctl threadctl '' threadctl; echo \"${{COMPREPLY[*]}}\""
    );
    let answer = Command::new("bash").args(["-c", &ask]).output().unwrap();
    let answer = String::from_utf8(answer.stdout).unwrap();
    let offered: Vec<&str> = answer.split_whitespace().collect();
    for command in commands() {
        assert!(
            offered.contains(&command.as_str()),
            "no {command} in {answer}"
        );
    }
    for shell in ["fish", "zsh"] {
        assert!(threadctl(&["completions", shell]).stdout.len() > 1000);
    }
    assert_eq!(
        threadctl(&["completions", "no-shell"]).status.code(),
        Some(2)
    );
}

#[test]
fn there_is_a_man_page_for_each_command_with_its_options_and_examples() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let made = threadctl(&["man", path]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let commands = commands();
    assert!(commands.len() >= 10, "{commands:?}");
    for command in &commands {
        if command == "help" {
            continue;
        }
        let page =
            std::fs::read_to_string(folder.path().join(format!("threadctl-{command}.1"))).unwrap();
        assert!(
            page.contains(".TH") && page.contains("SYNOPSIS"),
            "{command}"
        );
    }
    let page = std::fs::read_to_string(folder.path().join("threadctl-run.1")).unwrap();
    assert!(
        page.contains("fail\\-over") && page.contains("Examples"),
        "{page}"
    );
    assert!(folder.path().join("threadctl.1").exists());
    assert_eq!(
        threadctl(&["man", "/no/such/folder"]).status.code(),
        Some(2)
    );
}
