//! What a tuning does to a real library: which numbers hold, and which way a call goes.
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

use common::{CASE, in_own_process, library};
use heard::Heard;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use threadctl::ErrorKind;
use threadctl::dispatch::tuning::{Family, Least, Tuning};
use threadctl::dispatch::{Blas, simulate_cores};

fn open() -> Blas {
    // SAFETY: OpenBLAS.
    unsafe { Blas::open(&library("scipy-openblas32")) }.unwrap()
}

/// Many products of 192, in a pool of two.
fn products(blas: &Blas, pool: &rayon::ThreadPool, count: usize) {
    const N: isize = 192;
    let (a, b) = (vec![1.0; (N * N) as usize], vec![0.5; (N * N) as usize]);
    let mut c = vec![0.0; (N * N) as usize];
    pool.install(|| {
        for _ in 0..count {
            // SAFETY: matrices of these sizes.
            unsafe {
                let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
                blas.gemm(b'N', b'N', N, N, N, 1.0, a, N, b, N, 0.0, c, N)
            }
            .unwrap();
        }
    });
    assert!(c.iter().all(|&sum: &f64| sum == 96.0));
}

/// Nanoseconds that the other worker of the pool computed while `work` ran on this one.
fn helped(pool: &rayon::ThreadPool, work: impl FnOnce() + Send) -> u64 {
    let ids = pool.broadcast(|_| rustix::thread::gettid().as_raw_nonzero().get());
    let read = |id: i32, file: &str| {
        let path = format!("/proc/self/task/{id}/{file}");
        std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
    };
    let of = |id: i32| -> u64 {
        let text = read(id, "schedstat");
        text.split(' ').next().unwrap().parse().unwrap()
    };
    // One that has done nothing for a while may as well be waiting for a core.
    let sleeps = |id: i32| {
        read(id, "stat")
            .rsplit_once(") ")
            .unwrap()
            .1
            .starts_with('S')
    };
    pool.install(|| {
        let own = rustix::thread::gettid().as_raw_nonzero().get();
        let other = ids.into_iter().find(|&id| id != own).unwrap();
        // It goes to sleep first.
        let mut before = of(other);
        loop {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let now = of(other);
            if now == before && sleeps(other) {
                break;
            }
            before = now;
        }
        work();
        of(other) - before
    })
}

#[test]
fn the_number_decides_whether_a_call_has_help() {
    in_own_process("the_number_decides_whether_a_call_has_help", &[], || {
        simulate_cores(std::num::NonZeroUsize::new(2));
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .build()
            .unwrap();
        let blas = open();
        assert_eq!(*blas.least(), Least::BUILT_IN);
        let never = blas.with_least(Least::BUILT_IN.with(Family::Product, Least::NEVER));
        let always = blas.with_least(Least::BUILT_IN.with(Family::Product, 1));
        products(&always, &pool, 10);
        assert_eq!(helped(&pool, || products(&never, &pool, 200)), 0);
        // A machine may be so busy that nobody comes in time.
        let always = || helped(&pool, || products(&always, &pool, 500));
        assert!((0..40).any(|_| always() > 0), "nobody ever helps");
        assert_eq!(helped(&pool, || products(&never, &pool, 200)), 0);
    });
}

/// Runs one case of this file with a tuning, and returns what it wrote.
fn child(test: &str, tuning: &Path) -> Output {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CASE, test)
        .env("THREADCTL_TUNING", tuning)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn is_child(test: &str) -> bool {
    std::env::var(CASE).as_deref() == Ok(test)
}

fn written(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("tuning");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_file_counts_for_the_library_that_it_names_from_the_first_open_on() {
    const TEST: &str = "a_file_counts_for_the_library_that_it_names_from_the_first_open_on";
    if is_child(TEST) {
        let file = std::env::var("THREADCTL_TUNING").unwrap();
        let expected = Least::BUILT_IN
            .with(Family::Product, Least::NEVER)
            .with(Family::Dot, 12_345_678);
        threadctl::init().unwrap();
        let blas = open();
        assert_eq!(*blas.least(), expected);
        let tuning = Tuning::read(Path::new(&file)).unwrap();
        assert_eq!(tuning.least(blas.name()), expected);
        simulate_cores(std::num::NonZeroUsize::new(2));
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .build()
            .unwrap();
        assert_eq!(helped(&pool, || products(&blas, &pool, 200)), 0);
        // What is written now is for programs that begin later.
        std::fs::write(&file, "").unwrap();
        assert_eq!(*open().least(), expected);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = name_of_the_library();
    let text = format!("{name} product never\n{name} dot 12345678\nother 1 {name} copy 1\n");
    let text = text.replace(&format!("other 1 {name}"), "other 1 Zen");
    child(TEST, &written(folder.path(), &text));
}

/// What it is called in a tuning, as a process of its own says.
fn name_of_the_library() -> String {
    let output = child("the_name_is_three_words", Path::new("/no/such/tuning"));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.split("name: ").nth(1));
    line.expect("the child says it").to_owned()
}

#[test]
fn the_name_is_three_words() {
    if is_child("the_name_is_three_words") {
        println!("name: {}", open().name());
        return;
    }
    let name = name_of_the_library();
    assert!(name.starts_with("openblas 0.3."), "{name}");
    assert_eq!(name.split(' ').count(), 3, "{name}");
}

#[test]
fn a_wrong_file_breaks_nothing_and_is_reported_once_unless_init_is_asked() {
    const TEST: &str = "a_wrong_file_breaks_nothing_and_is_reported_once_unless_init_is_asked";
    if is_child(TEST) {
        let heard = Heard::here();
        for _ in 0..3 {
            assert_eq!(*open().least(), Least::BUILT_IN);
        }
        let said = heard.text();
        let of_file = said.lines().filter(|text| text.contains("line 2"));
        assert_eq!(of_file.count(), 1, "{said}");
        let error = threadctl::init().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let file = std::env::var("THREADCTL_TUNING").unwrap();
        assert!(
            error.to_string().starts_with(&format!("{file}, line 2: ")),
            "{error}"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = written(
        folder.path(),
        "openblas 1 Zen dot 5\nopenblas 1 Zen dto 5\n",
    );
    child(TEST, &path);
}
