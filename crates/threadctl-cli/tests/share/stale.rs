//! Budgets that are named and cannot be used: the program runs as without, and says why.

use crate::roles::{CORES, played, role};
use crate::{read, succeed, text, threadctl, without_offers};
use std::fs;
use std::process::{Command, Stdio};

/// What `threadctl cores --explain` says with this in `MAKEFLAGS`.
fn explained(makeflags: &str) -> String {
    let mut command = threadctl(&["cores", "--explain"]);
    command.env("MAKEFLAGS", makeflags).stdin(Stdio::null());
    text(&succeed(&mut command))
}

#[test]
fn what_cannot_be_a_budget_is_told_and_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("file"), "++++").unwrap();
    let made = Command::new("mkfifo").arg(path("orphan")).status().unwrap();
    assert!(made.success());
    for (auth, why) in [
        ("77,78".to_owned(), "descriptor 77 is not open here"),
        // Standard input, from /dev/null.
        ("0,0".to_owned(), "descriptor 0 is not a pipe"),
        ("-2,-2".to_owned(), "negative descriptor"),
        ("three".to_owned(), "neither a path nor two descriptors"),
        (format!("fifo:{}", path("nothing")), "No such file"),
        (format!("fifo:{}", path("file")), "is not a named pipe"),
        (format!("fifo:{}", path("orphan")), "its maker has ended"),
    ] {
        let text = explained(&format!(" -j4 --jobserver-auth={auth}"));
        assert!(
            text.contains("MAKEFLAGS: the jobserver") && text.contains(why),
            "{auth}: {text}"
        );
    }
    // And where there is nothing wrong, nothing is said.
    assert!(!explained("k -j4").contains("jobserver"));
    assert_eq!(fs::read(path("file")).unwrap(), b"++++");
}

#[test]
fn wrong_values_of_the_own_variable_are_told() {
    for (value, why) in [
        ("of", "did you mean \"off\""),
        ("fifo:here", "does not begin at the root"),
        ("share:/nonexistent", "No such file"),
    ] {
        let mut command = threadctl(&["cores", "--explain"]);
        let output = command.env("THREADCTL_JOBSERVER", value).output().unwrap();
        assert!(text(&output).contains(why), "{value}: {}", text(&output));
    }
}

/// A make that closed its pipe, and a program that has opened one of its own, under the same numbers, before it makes its first
/// call: nothing is read from that.
#[test]
fn a_pipe_of_the_programs_own_is_left_alone() {
    let script = format!(
        "import os, subprocess\n\
         r, w = os.pipe()\n\
         os.write(w, b'data')\n\
         os.set_inheritable(r, True); os.set_inheritable(w, True)\n\
         os.environ['MAKEFLAGS'] = ' -j4 --jobserver-auth=%d,%d' % (r, w)\n\
         os.execv({program:?}, [{program:?}, 'cores', '--explain'])\n",
        program = env!("CARGO_BIN_EXE_threadctl")
    );
    let mut python = without_offers(Command::new("python3"));
    let output = succeed(python.args(["-c", &script]));
    assert!(
        text(&output).contains("this program's own, not its make's"),
        "{}",
        text(&output)
    );
}

/// Two ends of different pipes.
#[test]
fn two_pipes_are_not_one() {
    let program = env!("CARGO_BIN_EXE_threadctl");
    let script = format!(
        "true | {{ MAKEFLAGS=' --jobserver-auth=0,1' '{program}' cores --explain | cat; }}"
    );
    let mut shell = without_offers(Command::new("sh"));
    let output = succeed(shell.args(["-c", &script]));
    assert!(
        text(&output).contains("are not two ends of one pipe"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_call_without_its_budget_runs_as_ever() {
    const TEST: &str = "stale::a_call_without_its_budget_runs_as_ever";
    if played().is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let saw = folder.path().join("saw");
    let mut command = without_offers(role(TEST, "once", &saw));
    succeed(command.env("MAKEFLAGS", " -j4 --jobserver-auth=77,78"));
    let saw = read(&saw);
    assert_eq!(
        (saw["most"].as_u64(), saw["peak"].as_u64()),
        (Some(CORES as u64), Some(0)),
        "{saw}"
    );
}

/// A jobserver without a token: no call waits for one.
#[test]
fn without_a_token_a_call_runs_on_its_caller_alone() {
    const TEST: &str = "stale::without_a_token_a_call_runs_on_its_caller_alone";
    if played().is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for tokens in [0, 1] {
        let saw = folder.path().join(tokens.to_string());
        let server = jobserver::Client::new(tokens).unwrap();
        let mut command = without_offers(role(TEST, "once", &saw));
        server.configure(&mut command);
        succeed(&mut command);
        let saw = read(&saw);
        assert_eq!(saw["threads"], tokens + 1, "{saw}");
        assert_eq!(saw["source"], "CARGO_MAKEFLAGS", "{saw}");
        // And they are back.
        assert_eq!(server.available().unwrap(), tokens, "{saw}");
    }
}
