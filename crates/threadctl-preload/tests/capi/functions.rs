//! What the functions do with real libraries, and with arguments that they must refuse.

use crate::api::{
    ARGUMENT, Api, HANDLE, LIMIT, NOT_HONOURED, OK, PROCESS, SELECTION, STRICT, THREAD,
    THREAD_OF_ANOTHER,
};
use crate::libraries::{get, in_own_process, load, set};
use std::ptr::{null, null_mut};

#[test]
fn a_limit_of_the_process_holds_until_it_is_ended() {
    let test = "functions::a_limit_of_the_process_holds_until_it_is_ended";
    in_own_process(test, &[], || {
        let openblas = load("openblas-pthread");
        set(openblas, "openblas_set_num_threads", 4);
        let api = Api::open();
        let three = api.begin("blas=3", PROCESS, 0).unwrap();
        let two = api.begin("openblas=2, mkl=1", PROCESS, 0).unwrap();
        assert_eq!(get(openblas, "openblas_get_num_threads"), 2);
        assert_eq!(api.threads("openblas"), 2);

        let outcome = api.outcome(two).unwrap();
        assert_eq!(outcome["schema"], "threadctl.limit/1");
        assert_eq!(outcome["scope"], "process");
        assert_eq!(outcome["unmatched"], serde_json::json!(["mkl"]));
        let row = &outcome["outcomes"][0];
        assert_eq!(row["internal_api"], "openblas");
        assert_eq!(row["user_api"], "blas");
        assert!(row["filepath"].as_str().unwrap().contains("openblas"));
        assert_eq!(
            (&row["requested"], &row["effective"]),
            (&2.into(), &2.into())
        );
        assert_eq!(row["honoured"], true);
        assert!(row["shortfall"].is_null());

        // In any order, and on any thread.
        std::thread::scope(|scope| {
            let ended = scope.spawn(|| api.end(three)).join();
            assert_eq!(ended.unwrap(), OK);
        });
        assert_eq!(get(openblas, "openblas_get_num_threads"), 2);
        assert_eq!(api.end(two), OK);
        assert_eq!(get(openblas, "openblas_get_num_threads"), 4);
    });
}

#[test]
fn limits_of_the_environment_hold_from_the_first_call_on() {
    let test = "functions::limits_of_the_environment_hold_from_the_first_call_on";
    in_own_process(test, &[("THREADCTL_LIMITS", "openblas=2")], || {
        let openblas = load("openblas-pthread");
        set(openblas, "openblas_set_num_threads", 4);
        let api = Api::open();
        assert_eq!(api.version(), env!("CARGO_PKG_VERSION"));
        assert_eq!(get(openblas, "openblas_get_num_threads"), 4);
        assert_eq!(api.threads("openblas"), 2);
        // A limit that the program asks for goes before.
        let limit = api.begin("blas=3", PROCESS, 0).unwrap();
        assert_eq!(get(openblas, "openblas_get_num_threads"), 3);
        assert_eq!(api.end(limit), OK);
        assert_eq!(get(openblas, "openblas_get_num_threads"), 2);
    });
}

#[test]
fn a_limit_of_a_thread_belongs_to_it() {
    let test = "functions::a_limit_of_a_thread_belongs_to_it";
    in_own_process(test, &[("OMP_NUM_THREADS", "4")], || {
        let gomp = load("gomp");
        let api = Api::open();
        let limit = api.begin("openmp=2", THREAD, STRICT).unwrap();
        assert_eq!(get(gomp, "omp_get_max_threads"), 2);
        assert_eq!(api.outcome(limit).unwrap()["scope"], "thread");
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                assert_eq!(get(gomp, "omp_get_max_threads"), 4);
                assert_eq!(api.end(limit), THREAD_OF_ANOTHER);
                let words = api.last_error();
                assert!(
                    words.contains(&format!("limit {limit} has thread scope")),
                    "{words}"
                );
                assert_eq!(api.outcome(limit), Err(THREAD_OF_ANOTHER));
            });
            other.join().unwrap();
        });
        assert_eq!(get(gomp, "omp_get_max_threads"), 2, "it stays in force");
        assert_eq!(api.last_error(), "", "another thread's error");
        assert_eq!(api.end(limit), OK);
        assert_eq!(get(gomp, "omp_get_max_threads"), 4);
        assert_eq!(api.end(limit), HANDLE);
    });
}

#[test]
fn a_thread_that_ends_ends_its_limits() {
    let test = "functions::a_thread_that_ends_ends_its_limits";
    in_own_process(test, &[], || {
        // Its setter knows only the process, so what a thread leaves behind would be seen.
        let openblas = load("openblas-pthread");
        set(openblas, "openblas_set_num_threads", 4);
        let api = Api::open();
        let limit = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let limit = api.begin("blas=1", THREAD, 0).unwrap();
                assert_eq!(get(openblas, "openblas_get_num_threads"), 1);
                limit
            });
            thread.join().unwrap()
        });
        assert_eq!(get(openblas, "openblas_get_num_threads"), 4);
        assert_eq!(api.end(limit), HANDLE);
        assert!(api.last_error().contains("has ended before"));
    });
}

#[test]
fn what_cannot_be_used_is_refused_and_named() {
    let test = "functions::what_cannot_be_used_is_refused_and_named";
    in_own_process(test, &[], || {
        let openblas = load("openblas-pthread");
        set(openblas, "openblas_set_num_threads", 3);
        let api = Api::open();
        assert_eq!(api.last_error(), "");
        let mut limit = 7;
        // SAFETY: null pointers are what these functions have to refuse; the others are texts and places.
        unsafe {
            let place = &raw mut limit;
            let one = c"blas=1".as_ptr();
            assert_eq!((api.begin)(null(), PROCESS, 0, place), ARGUMENT);
            assert!(api.last_error().contains("`limits` is a null pointer"));
            assert_eq!((api.begin)(one, PROCESS, 0, null_mut()), ARGUMENT);
            assert!(api.last_error().contains("`limit` is a null pointer"));
            assert_eq!((api.begin)(one, 2, 0, place), ARGUMENT);
            assert!(api.last_error().contains("scope 2"));
            assert_eq!((api.begin)(one, PROCESS, 6, place), ARGUMENT);
            assert!(api.last_error().contains("options 0x6"));
            assert_eq!(
                (api.begin)(c"blas=\xff".as_ptr(), PROCESS, 0, place),
                ARGUMENT
            );
            assert!(api.last_error().contains("not UTF-8"));
            assert_eq!((api.outcome)(1, null_mut()), ARGUMENT);
            assert_eq!((api.info)(null_mut()), ARGUMENT);
            assert_eq!((api.cores)(null_mut()), ARGUMENT);
            assert_eq!((api.cores_info)(null_mut()), ARGUMENT);
            (api.free)(null_mut());
        }
        assert_eq!(limit, 7, "written to although it failed");
        for (text, status, words) in [
            ("", SELECTION, "is empty"),
            ("blas", SELECTION, "it has no limit"),
            ("blsa=1", SELECTION, "did you mean \"blas\"?"),
            ("blas=0", LIMIT, "blas=0"),
            ("blas=99999999999", LIMIT, "blas=99999999999"),
        ] {
            assert_eq!(api.begin(text, PROCESS, 0), Err(status), "{text}");
            assert!(api.last_error().contains(words), "{}", api.last_error());
        }
        assert_eq!(api.begin("mkl=1", PROCESS, STRICT), Err(NOT_HONOURED));
        assert!(api.last_error().contains("mkl"), "{}", api.last_error());
        for never in [0, 1, 42, u64::MAX] {
            assert_eq!(api.end(never), HANDLE);
            assert!(api.last_error().contains("was never begun"));
            assert_eq!(api.outcome(never), Err(HANDLE));
        }
        assert_eq!(
            get(openblas, "openblas_get_num_threads"),
            3,
            "nothing was limited"
        );
    });
}

#[test]
fn a_stale_handle_is_never_anothers() {
    let api = Api::open();
    let first = api.begin("all=1", PROCESS, 0).unwrap();
    assert_eq!(api.end(first), OK);
    let others: Vec<u64> = (0..100)
        .map(|n| api.begin("all=1", n % 2, 0).unwrap())
        .collect();
    assert!(!others.contains(&first) && !others.contains(&0));
    assert_eq!(api.end(first), HANDLE);
    assert!(api.last_error().contains("has ended before"));
    for handle in others {
        assert_eq!(api.end(handle), OK);
    }
}

#[test]
fn documents_are_those_of_the_command() {
    let test = "functions::documents_are_those_of_the_command";
    in_own_process(test, &[], || {
        load("openblas-pthread");
        let api = Api::open();
        let info = api.info();
        assert_eq!(info["schema"], "threadctl.info/1");
        assert_eq!(info["threadctl"], api.version());
        assert_eq!(info["pid"], std::process::id());
        assert_eq!(info["view"], "inside");
        assert!(info["conflicts"].as_array().unwrap().is_empty());
        assert_eq!(info["runtimes"][0]["internal_api"], "openblas");

        let mut count = 0;
        // SAFETY: a place for the number.
        assert_eq!(unsafe { (api.cores)(&raw mut count) }, OK);
        assert!(count >= 1);
        let cores = api.cores_info();
        assert_eq!(cores["schema"], "threadctl.cores/1");
        assert_eq!(cores["count"], count);
        assert!(!cores["constraints"].as_array().unwrap().is_empty());
    });
}

#[test]
fn many_threads_begin_and_end_at_once_and_the_original_comes_back() {
    let test = "functions::many_threads_begin_and_end_at_once_and_the_original_comes_back";
    in_own_process(test, &[], || {
        let openblas = load("openblas-pthread");
        set(openblas, "openblas_set_num_threads", 4);
        let api = Api::open();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let api = &api;
                scope.spawn(move || {
                    for round in 0..200 {
                        let at_most = 1 + (thread + round) % 3;
                        let text = format!("blas={at_most}");
                        let limit = api.begin(&text, thread % 2, 0).unwrap();
                        let now = get(openblas, "openblas_get_num_threads");
                        assert!((1..=at_most).contains(&now), "{now} with {text}");
                        // One that was ended twice is found out by one of them.
                        if thread % 2 == PROCESS {
                            let twice = std::thread::scope(|pair| {
                                let other = pair.spawn(|| api.end(limit));
                                [api.end(limit), other.join().unwrap()]
                            });
                            assert!(twice == [OK, HANDLE] || twice == [HANDLE, OK], "{twice:?}");
                        } else {
                            assert_eq!(api.end(limit), OK);
                        }
                    }
                });
            }
        });
        assert_eq!(get(openblas, "openblas_get_num_threads"), 4);
    });
}
