//! Limits on runtimes of the user's own, whose controllers do what no real library was seen to do: refuse, panic.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::in_own_process;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use threadctl::{Controller, ErrorKind, Limits, Registration, SetterScope, Shortfall, runtimes};

const START: u32 = 8;

/// One number for the process.
struct Pool {
    number: AtomicU32,
    /// It takes no fewer.
    least: u32,
    panics: AtomicBool,
    /// Fails when it is read back, at the second look.
    panics_when_read: AtomicBool,
}

impl Pool {
    fn new(least: u32) -> Arc<Self> {
        Arc::new(Pool {
            number: AtomicU32::new(START),
            least,
            panics: AtomicBool::new(false),
            panics_when_read: AtomicBool::new(false),
        })
    }

    fn now(&self) -> u32 {
        self.number.load(SeqCst)
    }
}

impl Controller for Pool {
    fn num_threads(&self) -> u32 {
        let now = self.now();
        let fails = now < START && self.panics_when_read.load(SeqCst);
        assert!(!fails, "the controller fails");
        now
    }

    fn set_num_threads(&self, threads: u32) {
        assert!(!self.panics.load(SeqCst), "the controller fails");
        self.number.store(threads.max(self.least), SeqCst);
    }
}

/// A number for each thread.
struct PerThread;

thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(START) };
}

impl Controller for PerThread {
    fn num_threads(&self) -> u32 {
        NUMBER.get()
    }

    fn set_num_threads(&self, threads: u32) {
        NUMBER.set(threads);
    }
}

/// Makes the C library, which is loaded everywhere, the file of this runtime.
fn register<C: Controller + 'static>(name: &str, controller: &Arc<C>) {
    let controller = Arc::clone(controller);
    Registration::with_controller(name, move |_| {
        let controller: Arc<dyn Controller> = controller.clone();
        Some(controller)
    })
    .prefix("libc.so")
    .register()
    .unwrap();
    let found = runtimes().select(|runtime| runtime.internal_api() == name);
    assert_eq!(found.len(), 1);
}

#[test]
fn a_refused_limit_is_named_and_strict_mode_leaves_nothing_set() {
    const TEST: &str = "a_refused_limit_is_named_and_strict_mode_leaves_nothing_set";
    in_own_process(TEST, &[], || {
        let pool = Pool::new(3);
        register("pool", &pool);
        let limits: Limits = "pool=2".parse().unwrap();
        let guard = limits.limit_process().unwrap();
        let outcome = &guard.outcomes()[0];
        assert_eq!(outcome.effective, Some(3));
        assert_eq!(outcome.shortfall, Some(Shortfall::Refused));
        drop(guard);
        assert_eq!(pool.now(), START);

        let error = limits.strict(true).limit_process().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotHonoured);
        let text = error.to_string();
        assert!(
            text.contains("pool") && text.contains("at most 2") && text.contains("3 in force"),
            "{text}"
        );
        assert_eq!(pool.now(), START);
        let within: Limits = "pool=3".parse().unwrap();
        drop(within.strict(true).limit_process().unwrap());
        assert_eq!(pool.now(), START);
    });
}

#[test]
fn a_refusal_by_one_takes_back_what_others_were_set_to() {
    const TEST: &str = "a_refusal_by_one_takes_back_what_others_were_set_to";
    in_own_process(TEST, &[], || {
        let blas = common::load("openblas-pthread");
        common::set(blas, "openblas_set_num_threads", 5);
        let pool = Pool::new(3);
        register("pool", &pool);
        let limits: Limits = "openblas=1,pool=2".parse().unwrap();
        let error = limits.clone().strict(true).limit_process().unwrap_err();
        assert!(!error.to_string().contains("openblas"), "{error}");
        assert_eq!(common::get(blas, "openblas_get_num_threads"), 5);
        assert_eq!(pool.now(), START);
        assert_eq!(limits.run(|| pool.now()).unwrap(), 3);
    });
}

#[test]
fn a_controller_that_panics_harms_nobody_else() {
    const TEST: &str = "a_controller_that_panics_harms_nobody_else";
    in_own_process(TEST, &[], || {
        let blas = common::load("openblas-pthread");
        common::set(blas, "openblas_set_num_threads", 5);
        let in_force = || common::get(blas, "openblas_get_num_threads");
        let pool = Pool::new(1);
        register("pool", &pool);
        let plan = "openblas=2,pool=2"
            .parse::<Limits>()
            .unwrap()
            .plan(&runtimes())
            .unwrap();

        // While a guard is dropped: no panic, and the other runtime is restored.
        let guard = plan.limit_process().unwrap();
        assert_eq!((in_force(), pool.now()), (2, 2));
        pool.panics.store(true, SeqCst);
        drop(guard);
        assert_eq!((in_force(), pool.now()), (5, 2));

        // While one is made: the panic is the caller's, and nothing is left limited.
        let made = catch_unwind(AssertUnwindSafe(|| plan.limit_process().map(drop)));
        assert!(made.is_err());
        assert_eq!(in_force(), 5);

        // And afterwards all is as before.
        pool.panics.store(false, SeqCst);
        drop(plan.limit_process().unwrap());
        assert_eq!((in_force(), pool.now()), (5, 2));
    });
}

#[test]
fn a_panic_while_reading_back_puts_the_original_back() {
    in_own_process(
        "a_panic_while_reading_back_puts_the_original_back",
        &[],
        || {
            let pool = Pool::new(1);
            register("pool", &pool);
            let plan = Limits::new()
                .internal_api("pool", 2)
                .plan(&runtimes())
                .unwrap();
            let narrower = Limits::new()
                .internal_api("pool", 1)
                .plan(&runtimes())
                .unwrap();
            let fails = |plan: &threadctl::Plan| {
                pool.panics_when_read.store(true, SeqCst);
                assert!(catch_unwind(AssertUnwindSafe(|| plan.limit_process())).is_err());
                pool.panics_when_read.store(false, SeqCst);
            };
            fails(&plan);
            assert_eq!(
                pool.now(),
                START,
                "nothing is limited, so nothing is left set"
            );
            let guard = plan.limit_process().unwrap();
            fails(&narrower);
            assert_eq!(pool.now(), 2, "the limit that is alive is in force");
            drop(guard);
            assert_eq!(pool.now(), START);
        },
    );
}

#[test]
fn a_lasting_change_below_a_limit_that_is_alive_is_not_honoured_yet() {
    let test = "a_lasting_change_below_a_limit_that_is_alive_is_not_honoured_yet";
    in_own_process(test, &[], || {
        let pool = Pool::new(1);
        register("pool", &pool);
        let guard = Limits::new()
            .internal_api("pool", 4)
            .limit_process()
            .unwrap();
        let found = runtimes().select(|runtime| runtime.internal_api() == "pool");
        let outcome = found.iter().next().unwrap().set_num_threads(2).unwrap();
        assert_eq!(outcome.shortfall, Some(Shortfall::Deferred { by: 4 }));
        assert!(!outcome.is_honoured());
        drop(guard);
        assert_eq!(pool.now(), 2);
    });
}

#[test]
fn a_controller_of_a_threads_number_is_limited_per_thread() {
    const TEST: &str = "a_controller_of_a_threads_number_is_limited_per_thread";
    in_own_process(TEST, &[], || {
        register("per-thread", &Arc::new(PerThread));
        let found = runtimes().select(|runtime| runtime.internal_api() == "per-thread");
        assert_eq!(
            found.iter().next().unwrap().setter_scope(),
            SetterScope::Thread
        );
        let limits: Limits = "per-thread=2".parse().unwrap();
        let guard = limits.limit_thread().unwrap();
        assert_eq!(NUMBER.get(), 2);
        assert_eq!(std::thread::spawn(|| NUMBER.get()).join().unwrap(), START);
        drop(guard);
        assert_eq!(NUMBER.get(), START);
        let process = limits.limit_process().unwrap();
        assert_eq!(process.outcomes()[0].shortfall, Some(Shortfall::ThreadOnly));
    });
}
