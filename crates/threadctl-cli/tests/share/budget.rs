//! `threadctl share` itself, and programs in its budget.

use crate::roles::{CORES, as_role, below_share, file, held, line, played, role};
use crate::{read, schema, share, succeed, text, threadctl, until};
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};
use threadctl::budget::{Auth, Watch, status};

#[test]
fn the_commands_status_is_passed_on() {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
        let status = share(&[]).args(["sh", "-c", script]).status().unwrap();
        assert_eq!(status.code(), Some(code), "{script}");
    }
    let output = share(&[]).arg("/nonexistent/program").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output).contains("no such command"),
        "{}",
        text(&output)
    );
    for wrong in [
        &["share", "--cores", "0", "--", "true"][..],
        &["share"],
        &["share", "--json", "--", "true"],
    ] {
        assert_eq!(
            threadctl(wrong).output().unwrap().status.code(),
            Some(2),
            "{wrong:?}"
        );
    }
}

#[test]
fn children_are_told_in_both_ways_and_the_folder_goes() {
    let script = "echo \"$THREADCTL_JOBSERVER\"; echo \"$MAKEFLAGS\"; echo \"[$CARGO_MAKEFLAGS]\"; ls -l ${THREADCTL_JOBSERVER#share:}";
    let mut command = share(&["--cores", "3", "--jobserver-style", "fifo"]);
    command.env("CARGO_MAKEFLAGS", "--jobserver-auth=77,78");
    let output = succeed(command.args(["sh", "-c", script]));
    let text = text(&output);
    let mut lines = text.lines();
    let folder = lines.next().unwrap().strip_prefix("share:").unwrap();
    assert_eq!(
        lines.next().unwrap(),
        format!(" -j3 --jobserver-auth=fifo:{folder}/fifo")
    );
    assert_eq!(lines.next().unwrap(), "[]");
    assert!(
        text.contains("prw-------") && text.contains("-rw-------"),
        "{text}"
    );
    assert!(!fs::exists(folder).unwrap());
}

#[test]
fn the_users_flags_stay_and_a_folder_that_make_cannot_read_is_refused() {
    for (style, form) in [
        ("fifo", " --jobserver-auth=fifo:"),
        ("pipe", " --jobserver-fds="),
    ] {
        let mut command = share(&["--cores", "3", "--jobserver-style", style]);
        command.env("MAKEFLAGS", "k -j9 --jobserver-auth=77,78 -- A=b");
        let output = succeed(command.args(["sh", "-c", "echo \"$MAKEFLAGS\""]));
        let text = text(&output);
        assert!(
            text.starts_with(&format!("k -j3{form}")) && text.ends_with(" -- A=b\n"),
            "{text}"
        );
    }
    let folder = tempfile::Builder::new().prefix("a b").tempdir().unwrap();
    let output = share(&[])
        .arg("true")
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output).contains("can have no blanks"),
        "{}",
        text(&output)
    );
}

#[test]
fn the_report_says_how_it_was_used() {
    const TEST: &str = "budget::the_report_says_how_it_was_used";
    if played().is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = share(&["--cores", "2", "--report", "-"]);
    as_role(&mut command, TEST, "once", folder.path().join("once"));
    let output = succeed(&mut command);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("2 cores")
            && errors.contains("2 at most")
            && errors.contains("1 took part"),
        "{errors}"
    );
}

/// The width of a call is what the budget has, and no more.
#[test]
fn a_call_is_as_wide_as_the_budget() {
    const TEST: &str = "budget::a_call_is_as_wide_as_the_budget";
    if played().is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for cores in 1..=CORES {
        let file = folder.path().join(cores.to_string());
        let mut command = share(&["--cores", &cores.to_string()]);
        as_role(&mut command, TEST, "once", &file);
        succeed(&mut command);
        let saw = read(&file);
        // With one core the caller computes all tiles, and nothing waits for a token that never comes.
        assert_eq!(saw["peak"], cores, "{saw}");
        assert_eq!(saw["most"], cores, "{saw}");
        assert_eq!(saw["held"], 0, "{saw}");
        assert_eq!(saw["source"], "THREADCTL_JOBSERVER");
    }
}

#[test]
fn who_refuses_has_all_cores_and_takes_no_token() {
    const TEST: &str = "budget::who_refuses_has_all_cores_and_takes_no_token";
    if let Some(role) = played() {
        if role == "driver" {
            let mut busy = self::role(TEST, "busy", file()).spawn().unwrap();
            let watch = Watch::inherited().unwrap();
            until("one has all", || held(&watch, busy.id()) == 2);
            for refusal in ["off", "NO"] {
                let saw = file().with_extension("json");
                let mut ignores = self::role(TEST, "once", &saw);
                succeed(ignores.env("THREADCTL_JOBSERVER", refusal));
                let saw = read(&saw);
                assert_eq!(saw["auth"], Value::Null);
                assert_eq!(
                    (saw["peak"].as_u64(), saw["most"].as_u64()),
                    (Some(0), Some(4)),
                    "{saw}"
                );
                // The other one keeps what it has.
                assert_eq!(held(&watch, busy.id()), 2);
            }
            fs::write(file(), "").unwrap();
            assert!(busy.wait().unwrap().success());
        }
        return;
    }
    below_share(TEST, &["--cores", "2"], "stop");
}

/// Two that are always busy have half each; one that begins gets its core at a tile's end.
#[test]
fn who_comes_later_gets_its_share_and_who_rests_lends_its_own() {
    const TEST: &str = "budget::who_comes_later_gets_its_share_and_who_rests_lends_its_own";
    if let Some(role) = played() {
        match role.as_str() {
            "driver" => {
                let watch = Watch::inherited().unwrap();
                let has = |pid: u32, cores: usize| held(&watch, pid) == cores;
                let mut first = self::role(TEST, "busy", file()).spawn().unwrap();
                until("the first has both", || has(first.id(), 2));
                let mut rests = self::role(TEST, "rests", file()).spawn().unwrap();
                until("they have one each", || {
                    has(first.id(), 1) && has(rests.id(), 1)
                });
                until("the first has both again", || has(first.id(), 2));
                assert!(has(rests.id(), 0));
                fs::write(file(), "").unwrap();
                assert!(first.wait().unwrap().success());
                assert!(rests.wait().unwrap().success());
            }
            "rests" => {
                let since = Instant::now();
                while since.elapsed() < Duration::from_millis(500) {
                    threadctl::dispatch::share(20, |_| {
                        let tile = Instant::now();
                        while tile.elapsed() < Duration::from_micros(300) {}
                    });
                }
                // Alive, and asleep.
                until("the end", || file().exists());
            }
            _ => {}
        }
        return;
    }
    below_share(TEST, &["--cores", "2"], "stop");
}

#[test]
fn a_forked_child_has_nothing_of_its_parents() {
    const TEST: &str = "budget::a_forked_child_has_nothing_of_its_parents";
    if played().is_some() {
        return;
    }
    let mut command = share(&["--cores", &CORES.to_string()]);
    as_role(&mut command, TEST, "forks", "unused");
    succeed(&mut command);
}

/// The keeper is gone, the folder is still there: as if there were no budget.
#[test]
fn a_budget_whose_keeper_has_gone_is_none() {
    const TEST: &str = "budget::a_budget_whose_keeper_has_gone_is_none";
    if played().is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "kill -9 $PPID; {}",
        line(
            TEST,
            "once",
            &folder.path().join("saw").display().to_string()
        )
    );
    let mut command = share(&["--cores", "1"]);
    command.env("TMPDIR", folder.path());
    let status = command.args(["sh", "-c", &script]).status().unwrap();
    assert!(!status.success());
    let saw = folder.path().join("saw");
    until("the orphan has ended", || {
        fs::read(&saw).is_ok_and(|text| !text.is_empty())
    });
    let saw = read(&saw);
    assert_eq!(saw["most"], CORES, "{saw}");
    assert!(
        saw["problems"][0]
            .as_str()
            .unwrap()
            .contains("keeper has ended"),
        "{saw}"
    );
}

/// Any other client of the protocol: the crate that cargo uses.
#[test]
fn plain_clients_get_all_but_one_and_give_them_back() {
    const TEST: &str = "budget::plain_clients_get_all_but_one_and_give_them_back";
    if let Some(role) = played() {
        if role == "driver" {
            // SAFETY: the FIFO's name is in the environment; no descriptors are taken over.
            let client = unsafe { jobserver::Client::from_env() }.unwrap();
            let tokens: Vec<_> = (1..CORES).map(|_| client.acquire().unwrap()).collect();
            std::thread::sleep(Duration::from_millis(200));
            assert!(client.try_acquire().unwrap().is_none());
            drop(tokens);
            let Some(Auth::Shared(folder)) = status().auth else {
                panic!()
            };
            let watch = Watch::open(&folder).unwrap();
            until("all are back", || {
                watch.now().free + watch.now().in_fifo == CORES && watch.now().in_fifo <= 1
            });
            // And they are there for a program in the ledger.
            let saw = file();
            succeed(&mut self::role(TEST, "once", &saw));
            assert_eq!(read(&saw)["peak"], CORES);
        }
        return;
    }
    below_share(
        TEST,
        &["--cores", &CORES.to_string(), "--jobserver-style", "fifo"],
        "saw",
    );
}

#[test]
fn cores_tells_of_the_budget() {
    let program = env!("CARGO_BIN_EXE_threadctl");
    let output = succeed(share(&["--cores", "1"]).args([program, "cores", "--explain"]));
    let text = text(&output);
    assert!(
        text.contains("-> ") && text.contains("threadctl share: the cores that all processes"),
        "{text}"
    );
    assert!(text.contains("in the budget share:/"), "{text}");
    let count = succeed(share(&["--cores", "1"]).args([program, "cores"]));
    assert_eq!(String::from_utf8_lossy(&count.stdout).trim(), "1");
    let refused = Command::new(program)
        .args(["cores", "--explain"])
        .env("THREADCTL_JOBSERVER", "off")
        .output()
        .unwrap();
    assert!(
        self::text(&refused).contains("no budget is shared"),
        "{}",
        self::text(&refused)
    );
}

#[test]
fn the_report_of_run_has_what_was_held() {
    const TEST: &str = "budget::the_report_of_run_has_what_was_held";
    if played().is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let cores = CORES.to_string();
    let mut command = share(&["--cores", &cores]);
    command.args([
        env!("CARGO_BIN_EXE_threadctl"),
        "run",
        "--interval",
        "2",
        "--json",
        "--report",
    ]);
    command.arg(&report).arg("--");
    as_role(&mut command, TEST, "once", folder.path().join("saw"));
    succeed(&mut command);
    let document = read(&report);
    schema::check(&document);
    let tokens = &document["tokens"];
    assert_eq!(
        (tokens["cores"].as_u64(), tokens["peak"].as_u64()),
        (Some(4), Some(4)),
        "{tokens}"
    );
    let mean = tokens["mean"].as_f64().unwrap();
    let borrowed = tokens["borrowed"].as_f64().unwrap();
    assert!(mean > 0.0 && mean < 4.0 && borrowed < mean, "{tokens}");
    // Over time: no stretch has more than there is, and all together are the average.
    let stretches = tokens["timeline"].as_array().unwrap();
    let of = |stretch: &Value, name: &str| stretch[name].as_f64().unwrap();
    let seconds: f64 = stretches.iter().map(|it| of(it, "seconds")).sum();
    let held: f64 = stretches
        .iter()
        .map(|it| of(it, "seconds") * of(it, "held"))
        .sum();
    assert!(stretches.iter().all(|it| of(it, "held") <= 4.0), "{tokens}");
    assert!((held / seconds - mean).abs() < 1e-6, "{tokens}");
    // In make's budget nobody can see it, in none there is none.
    let server = jobserver::Client::new(1).unwrap();
    for (offered, expected) in [(true, "an object"), (false, "null")] {
        let mut command = threadctl(&["run", "--json", "--report"]);
        command.arg(&report).args(["--", "true"]);
        if offered {
            server.configure(&mut command);
        }
        succeed(&mut command);
        let document = read(&report);
        schema::check(&document);
        let tokens = &document["tokens"];
        assert_eq!(tokens.is_object(), offered, "{expected}: {tokens}");
        assert!(tokens["mean"].is_null());
    }
}
