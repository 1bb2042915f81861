//! Whether the settings of idle threads do what they are there for, on the OpenMP runtimes themselves: a team has worked,
//! nobody has anything to do, and the CPU time of that stretch is what its threads waste.

use super::{common, document, variables};
use common::{CASE, library, load, without_thread_variables};
use rustix::time::{ClockId, clock_gettime};
use std::ffi::c_void;
use std::process::Command;
use std::time::Duration;

/// How long nobody has anything to do.
const IDLE: Duration = Duration::from_millis(50);

/// Threads that sleep have at most this much CPU time in it: what it takes them to fall asleep.
const ASLEEP: Duration = Duration::from_millis(2);

/// A thread that spins has at least this much in all stretches together, also where it shares its core with many others.
const SPINS: Duration = Duration::from_millis(10);

const RUNTIME: &str = "THREADCTL_TEST_RUNTIME";

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        now.tv_sec.try_into().unwrap(),
        now.tv_nsec.try_into().unwrap(),
    )
}

extern "C" fn nothing(_: *mut c_void) {}

/// Has a team of two work, and returns the CPU time of the idle stretch after it.
fn idle_after_work(runtime: &libloading::os::unix::Library) -> Duration {
    type Parallel = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, u32, u32);
    // SAFETY: what GCC calls for `#pragma omp parallel`, which all three runtimes have, is of this type.
    let parallel = unsafe { runtime.get::<Parallel>("GOMP_parallel") }.unwrap();
    // SAFETY: as above; the library is open for good, and `nothing` takes any pointer.
    unsafe { parallel(nothing, std::ptr::null_mut(), 2, 0) };
    let before = cpu_time();
    std::thread::sleep(IDLE);
    cpu_time() - before
}

/// Not a test of its own: the process that has the variables from the start.
#[test]
fn child_with_an_idle_team() {
    if std::env::var(CASE).as_deref() == Ok("child_with_an_idle_team") {
        let runtime = load(&std::env::var(RUNTIME).unwrap());
        let times: Vec<_> = (0..7)
            .map(|_| idle_after_work(runtime).as_nanos())
            .collect();
        // One line, which the harness's own output does not share.
        std::fs::write(std::env::var(TOLD_FILE).unwrap(), format!("{times:?}")).unwrap();
    }
}

const TOLD_FILE: &str = "THREADCTL_TEST_TOLD";

/// The idle times of a runtime in a process with these variables.
fn times(runtime: &str, settings: &[(&str, &str)]) -> Vec<Duration> {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let mut command = Command::new(std::env::current_exe().unwrap());
    without_thread_variables(&mut command);
    let output = command
        .args(["spin::child_with_an_idle_team", "--exact"])
        .env(CASE, "child_with_an_idle_team")
        .env(RUNTIME, runtime)
        .env(TOLD_FILE, &told)
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{runtime}: {output:?}");
    let times: Vec<u64> = serde_json::from_slice(&std::fs::read(told).unwrap()).unwrap();
    times.into_iter().map(Duration::from_nanos).collect()
}

/// Threads fall asleep at once in at least one of the stretches: what else happens on the machine only adds time.
#[track_caller]
fn sleeps(runtime: &str, settings: &[(&str, &str)]) {
    let times = times(runtime, settings);
    let least = times.iter().min().unwrap();
    assert!(*least < ASLEEP, "{runtime} with {settings:?}: {times:?}");
}

/// The contrary, so that the test above can fail.
#[track_caller]
fn spins(runtime: &str, settings: &[(&str, &str)]) {
    // Two threads of one core do not spin, whatever they are told.
    if std::thread::available_parallelism().unwrap().get() == 1 {
        return;
    }
    // libomp and libiomp5 yield in their loop, and take no time where others want the cores.
    let settings = &[settings, &[("KMP_USE_YIELD", "0")]].concat()[..];
    let times = times(runtime, settings);
    let spent: Duration = times.iter().sum();
    assert!(spent > SPINS, "{runtime} with {settings:?}: {times:?}");
}

/// The values that `threadctl env` sets, and what each variable does alone.
fn the_variables_take_effect(runtime: &str, own: &str, never: &str) {
    assert!(library(runtime).exists());
    let printed = variables(&document(&[]));
    for name in ["OMP_WAIT_POLICY", own] {
        sleeps(runtime, &[(name, &printed[name])]);
    }
    spins(runtime, &[("OMP_WAIT_POLICY", "active")]);
    spins(runtime, &[(own, never)]);
    // All that is printed at once, but for the number of threads: the team is to have two.
    let all: Vec<_> = printed
        .iter()
        .filter(|(name, _)| !name.ends_with("_THREADS"))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    sleeps(runtime, &all);
}

#[test]
fn idle_threads_of_libgomp_sleep_at_once() {
    the_variables_take_effect("gomp", "GOMP_SPINCOUNT", "infinite");
}

#[test]
fn idle_threads_of_libiomp5_sleep_at_once() {
    the_variables_take_effect("iomp5", "KMP_BLOCKTIME", "infinite");
}

#[test]
fn idle_threads_of_libomp_sleep_at_once() {
    the_variables_take_effect("omp", "KMP_BLOCKTIME", "infinite");
}
