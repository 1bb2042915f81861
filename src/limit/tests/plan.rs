//! Who gets which limit, and through what.

use crate::limit::Shortfall;
use crate::limit::plan::{Decision, Hold, Identity, Means, Reach, Scope, assign, decide, holds};
use crate::limit::select::{Request, Selector};
use std::path::Path;

fn runtime<'a>(user_api: &'a str, internal_api: &'a str, file: &'a str) -> Identity<'a> {
    Identity {
        user_api,
        internal_api,
        prefix: "",
        filepath: Path::new(file),
    }
}

fn requests(entries: &[(Selector, u32)]) -> Vec<Request> {
    entries
        .iter()
        .map(|(selector, limit)| Request {
            selector: selector.clone(),
            limit: *limit,
        })
        .collect()
}

fn user_api(name: &str) -> Selector {
    Selector::UserApi(name.to_owned())
}

fn prefix(name: &str) -> Selector {
    Selector::Prefix(name.to_owned())
}

#[test]
fn the_more_specific_entry_counts_in_whatever_order_they_come() {
    let runtimes = [runtime("blas", "openblas", "/lib/libopenblasp.so")];
    let mut entries = vec![
        (Selector::All, 1),
        (user_api("blas"), 2),
        (Selector::InternalApi("openblas".to_owned()), 3),
        (prefix("libopen"), 4),
        (prefix("libopenblas"), 5),
        (Selector::Path("/lib/libopenblasp.so".into()), 6),
    ];
    while let Some((_, limit)) = entries.last() {
        for turn in 0..entries.len() {
            let mut turned = entries.clone();
            turned.rotate_left(turn);
            let (limits, unmatched) = assign(&requests(&turned), &runtimes);
            assert_eq!(limits, [Some(*limit)]);
            assert!(unmatched.is_empty());
        }
        entries.pop();
    }
    assert_eq!(assign(&[], &runtimes), (vec![None], vec![]));
}

#[test]
fn entries_that_mean_nobody_are_told() {
    let runtimes = [
        runtime("blas", "mkl", "/lib/libmkl_rt.so.3"),
        runtime("openmp", "openmp", "/lib/libiomp5.so"),
    ];
    let entries = requests(&[
        (user_api("blas"), 1),
        (user_api("rayon"), 2),
        (Selector::Path("/other/libiomp5.so".into()), 3),
    ]);
    assert_eq!(
        assign(&entries, &runtimes),
        (vec![Some(1), None], vec![1, 2])
    );
    // One that is always outdone by another does mean somebody.
    let entries = requests(&[(Selector::All, 1), (user_api("blas"), 2)]);
    assert_eq!(
        assign(&entries, &runtimes[..1]),
        (vec![Some(2)], Vec::new())
    );
    assert_eq!(assign(&entries, &[]), (vec![], vec![0, 1]));
}

#[test]
fn a_file_is_also_known_by_the_prefix_it_was_found_under() {
    let linked = Identity {
        prefix: "libopenblas",
        ..runtime("blas", "openblas", "/etc/alternatives/blas")
    };
    let entries = requests(&[(prefix("libopenblas"), 2)]);
    assert_eq!(assign(&entries, &[linked]).0, [Some(2)]);
}

#[test]
fn of_two_equal_entries_the_smaller_limit_counts() {
    // Two spellings of one path, after links were resolved.
    let path = || Selector::Path("/lib/a.so".into());
    let entries = requests(&[(path(), 3), (path(), 2), (path(), 4)]);
    let runtimes = [runtime("blas", "openblas", "/lib/a.so")];
    assert_eq!(assign(&entries, &runtimes).0, [Some(2)]);
}

#[test]
fn each_setter_in_each_scope() {
    let process = Means {
        process: Some(10),
        ..Means::default()
    };
    let thread = Means {
        thread: Some(20),
        ..Means::default()
    };
    let both = Means {
        process: Some(10),
        thread: Some(20),
        ..Means::default()
    };
    let through_process = Decision::Hold {
        reach: Reach::Process,
        key: 10,
    };
    let through_thread = Decision::Hold {
        reach: Reach::Thread,
        key: 20,
    };
    let thread_only = Decision::Left {
        threads: None,
        why: Shortfall::ThreadOnly,
    };
    for (means, for_process, for_thread) in [
        (process, &through_process, &through_process),
        (thread, &thread_only, &through_thread),
        (both, &through_process, &through_thread),
    ] {
        assert_eq!(&decide(2, &means, Scope::Process), for_process);
        assert_eq!(&decide(2, &means, Scope::Thread), for_thread);
    }
}

#[test]
fn what_cannot_be_set_holds_if_it_is_small_enough() {
    for scope in [Scope::Process, Scope::Thread] {
        let fixed = |threads| Means {
            threads,
            ..Means::default()
        };
        let left = |threads, why| Decision::Left { threads, why };
        assert_eq!(
            decide(2, &fixed(Some(2)), scope),
            Decision::Within { threads: 2 }
        );
        assert_eq!(
            decide(2, &fixed(Some(3)), scope),
            left(Some(3), Shortfall::Fixed)
        );
        assert_eq!(decide(2, &fixed(None), scope), left(None, Shortfall::Fixed));
        let untold = Means {
            untold: true,
            ..fixed(Some(3))
        };
        assert_eq!(
            decide(2, &untold, scope),
            left(Some(3), Shortfall::ScopeUnknown)
        );
        let untouchable = Means {
            untouchable: Some("it clashes"),
            process: Some(1),
            ..fixed(Some(1))
        };
        let reason = "it clashes".to_owned();
        assert_eq!(
            decide(2, &untouchable, scope),
            left(None, Shortfall::NotAllowed { reason })
        );
    }
}

#[test]
fn runtimes_that_share_a_setting_share_a_hold_with_the_smaller_limit() {
    let hold = |reach, key| Decision::Hold { reach, key };
    let decisions = [
        (4, hold(Reach::Thread, 20)),
        (1, Decision::Within { threads: 1 }),
        (3, hold(Reach::Process, 10)),
        (2, hold(Reach::Thread, 20)),
    ];
    let (made, places) = holds(&decisions);
    let expected = [(Reach::Thread, 20, 2), (Reach::Process, 10, 3)];
    assert_eq!(
        made,
        expected.map(|(reach, key, limit)| Hold { reach, key, limit })
    );
    assert_eq!(places, [Some(0), None, Some(1), Some(0)]);
}
