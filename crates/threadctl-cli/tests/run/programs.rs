//! The verdict on real programs: the right rule fires on the sick variant, and nothing on the healthy one.
//!
//! What decides is how many threads there are and whose, which the agent counts; the sick ones have far more than cores. The
//! one rule that judges the machine rather than the program is left out where others may use it meanwhile.

use super::{common, compile, document_of, stderr, threadctl};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The rule that tells of too many processes.
const JOBS: &str = "jobs-exceed-cores";

/// All threads of the program compute at once, each until it has used so many milliseconds of CPU time itself: how often
/// that is does not depend on how badly they get on.
const NUMPY: &str = "import numpy, sys, threading, time\n\
    from concurrent.futures import ThreadPoolExecutor\n\
    threads, blas = int(sys.argv[1]), int(sys.argv[2])\n\
    if blas:\n    \
        import threadpoolctl\n    \
        threadpoolctl.threadpool_limits(blas, user_api='blas')\n\
    a = numpy.random.rand(256, 256)\n\
    barrier = threading.Barrier(threads)\n\
    def work(index):\n    \
        barrier.wait()\n    \
        end = time.thread_time() + int(sys.argv[3]) / 1000\n    \
        while time.thread_time() < end:\n        \
            a @ a\n\
    with ThreadPoolExecutor(threads) as pool:\n    \
        list(pool.map(work, range(threads)))\n";

fn rules(document: &Value) -> Vec<String> {
    super::real::rules(document)
}

#[track_caller]
fn fires(document: &Value, rule: &str) {
    let found = rules(document);
    assert!(
        found.iter().any(|found| found == rule),
        "{rule} is not among {found:?}: {:#}",
        document["processes"]
    );
}

#[track_caller]
fn healthy(document: &Value) {
    assert_eq!(
        rules(document),
        [""; 0],
        "{:#} {:#}",
        document["findings"],
        document["processes"]
    );
}

fn cores() -> u32 {
    threadctl::cores().count()
}

/// Runs pip's numpy.
fn numpy(threads: u32, blas: u32, milliseconds: u32, environment: &[(&str, &str)]) -> Value {
    let python = common::library("python");
    let packages = common::library("python-packages");
    let mut all = vec![("PYTHONPATH", packages.to_str().unwrap())];
    all.extend(environment);
    let [threads, blas, milliseconds] =
        [threads, blas, milliseconds].map(|number| number.to_string());
    document_of(
        &[],
        &all,
        &[
            python.to_str().unwrap(),
            "-c",
            NUMPY,
            &threads,
            &blas,
            &milliseconds,
        ],
    )
}

#[test]
fn numpy_in_a_thread_pool_over_a_threaded_blas_is_nested() {
    let document = numpy(16, 16, 25, &[]);
    fires(&document, "nested-pools");
    let groups = &document["processes"][0]["groups"];
    let of = |name: &str| {
        groups
            .as_array()
            .unwrap()
            .iter()
            .find(|group| group["name"] == name)
            .unwrap()
    };
    assert_eq!(of("libopenblas")["peak"], 15, "and the caller: {groups:#}");
    assert_eq!(of("python")["threads"], 17, "{groups:#}");
    let finding = &document["findings"][0];
    let remedy = finding["remedies"][0].as_str().unwrap();
    assert!(
        remedy.starts_with("threadctl run --limit blas=1 -- "),
        "{remedy}"
    );
}

#[test]
fn numpy_with_one_blas_thread_and_a_worker_for_each_core_is_healthy() {
    healthy(&numpy(cores(), 0, 300, &[("OPENBLAS_NUM_THREADS", "1")]));
}

#[test]
fn a_thread_pool_alone_can_be_too_large() {
    let document = numpy(cores() + 14, 0, 20, &[("OPENBLAS_NUM_THREADS", "1")]);
    assert_eq!(rules(&document), ["pool-exceeds-cores"]);
}

#[test]
fn a_limit_that_the_program_overrides_did_not_take() {
    let document = numpy(1, 8, 10, &[("OPENBLAS_NUM_THREADS", "2")]);
    fires(&document, "limit-not-taken");
    let evidence = document["findings"][0]["evidence"].as_str().unwrap();
    assert!(
        evidence.contains("OPENBLAS_NUM_THREADS=2") && evidence.contains("had 7 threads"),
        "{evidence}"
    );
}

/// What the kernel says of a machine on which others used so many seconds of CPU time since it was started.
fn machine_used(seconds: u32) -> String {
    format!("cpu  {}00 0 0 1000 0 0 0 0 0 0\n", seconds)
}

/// Whether cores are idle is the machine's affair, so `/proc/stat` is a file of the test for these runs; what others used meanwhile,
/// in seconds, is written into it by the program when it begins.
#[test]
fn a_blas_at_one_beside_idle_cores_is_the_opposite_mistake() {
    const SCRIPT: &str = "import numpy, sys, time\n\
        with open(sys.argv[1], 'w') as stat:\n    \
            stat.write(sys.argv[2])\n\
        a = numpy.random.rand(256, 256)\n\
        end = time.monotonic() + 1.5\n\
        while time.monotonic() < end:\n    \
            a @ a\n";
    const RUN: &str = "mount --bind \"$1\" /proc/stat && exec \"$2\" run --json --report \"$3\" -- \"$4\" -c \"$5\" \"$1\" \"$6\"";
    let folder = tempfile::tempdir().unwrap();
    let [stat, report] = ["stat", "report.json"].map(|name| folder.path().join(name));
    let packages = common::library("python-packages");
    let run = |blas: &str, others: u32| {
        std::fs::write(&stat, machine_used(1)).unwrap();
        let mut command = Command::new("unshare");
        common::without_thread_variables(&mut command);
        for name in ["LD_PRELOAD", "THREADCTL_NUM_THREADS"] {
            command.env_remove(name);
        }
        // In a namespace of users too where this one is not root.
        command.args(["--map-root-user", "--mount", "sh", "-c", RUN, "sh"]);
        command.arg(&stat).arg(env!("CARGO_BIN_EXE_threadctl"));
        command.arg(&report).arg(common::library("python"));
        command.args([SCRIPT, &machine_used(1 + others)]);
        command
            .env("PYTHONPATH", &packages)
            .env("OPENBLAS_NUM_THREADS", blas);
        super::real::ended_well(&mut command, &report)
    };
    assert!(
        cores() >= 2,
        "the machine needs two cores to leave one idle"
    );
    let idle = run("1", 0);
    assert_eq!(idle["others_cpu_seconds"], 0.0);
    assert_eq!(
        rules(&idle),
        ["blas-at-1-cores-idle"],
        "{:#}",
        idle["processes"]
    );
    // A core that others use is not idle.
    healthy(&run("1", 100 * cores()));
    healthy(&run(&cores().to_string(), 0));
}

/// Runs Debian's numpy over the OpenBLAS of this folder.
fn debian_numpy(
    library: &str,
    threads: u32,
    milliseconds: u32,
    environment: &[(&str, &str)],
) -> Value {
    let python = common::library("debian-python");
    let openblas = common::library(library);
    let folder = openblas.parent().unwrap().to_str().unwrap();
    let mut all = vec![("LD_LIBRARY_PATH", folder)];
    all.extend(environment);
    document_of(
        &[],
        &all,
        &[
            python.to_str().unwrap(),
            "-c",
            NUMPY,
            &threads.to_string(),
            "0",
            &milliseconds.to_string(),
        ],
    )
}

#[test]
fn teams_of_openmp_below_python_threads_are_certainly_nested() {
    let document = debian_numpy("openblas-openmp", 8, 400, &[("OMP_NUM_THREADS", "3")]);
    fires(&document, "nested-pools");
    let finding = &document["findings"][0];
    assert_eq!(finding["confidence"], "certain", "{finding:#}");
    let group = document["processes"][0]["groups"]
        .as_array()
        .unwrap()
        .iter()
        .find(|group| group["name"] == "libgomp")
        .unwrap();
    assert_eq!(
        (&group["peak"], &group["makers"]),
        (&16.into(), &8.into()),
        "two for each of eight"
    );
}

#[test]
fn one_caller_of_an_openmp_build_is_healthy() {
    healthy(&debian_numpy(
        "openblas-openmp",
        1,
        300,
        &[("OMP_NUM_THREADS", &cores().to_string())],
    ));
}

#[test]
fn a_serial_openblas_below_several_threads_is_found() {
    fires(
        &debian_numpy("openblas-serial", 4, 50, &[]),
        "serial-openblas-concurrent",
    );
    healthy(&debian_numpy("openblas-serial", 1, 50, &[]));
}

/// Compiles the program that has OpenMP runtimes compute.
fn teams(folder: &Path) -> String {
    let program = compile(&["teams.c"], &folder.join("teams"), &["-ldl"]);
    program.to_str().unwrap().to_owned()
}

#[test]
fn openmp_with_many_threads_or_pinned_or_spinning_is_found_and_with_a_thread_for_each_core_not() {
    let folder = tempfile::tempdir().unwrap();
    let program = teams(folder.path());
    let gomp = common::library("gomp");
    let gomp = gomp.to_str().unwrap();
    let many = (cores() + 14).to_string();
    assert_eq!(
        rules(&document_of(&[], &[], &[&program, gomp, &many])),
        ["pool-exceeds-cores"]
    );
    healthy(&document_of(
        &[],
        &[],
        &[&program, gomp, &cores().to_string()],
    ));

    let pinned = document_of(&[], &[], &["taskset", "-c", "0", &program, gomp, "4"]);
    fires(&pinned, "affinity-one-core");
    let spinning = document_of(
        &[],
        &[("OMP_WAIT_POLICY", "active")],
        &[&program, gomp, &many],
    );
    fires(&spinning, "spin-wait");
}

#[test]
fn openmp_runtimes_side_by_side_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let program = teams(folder.path());
    let path = |key: &str| common::library(key).to_str().unwrap().to_owned();
    let (gomp, omp, iomp) = (path("gomp"), path("omp"), path("iomp5"));
    let document = document_of(&[], &[], &[&program, &gomp, "2", &omp, "2"]);
    fires(&document, "several-openmp-runtimes");
    // They refuse to run together unless they are told to.
    let together = [("KMP_DUPLICATE_LIB_OK", "TRUE")];
    let document = document_of(&[], &together, &[&program, &omp, "2", &iomp, "2"]);
    fires(&document, "libomp-beside-libiomp5");
}

#[test]
fn more_processes_than_cores_are_counted_and_a_process_for_each_is_healthy() {
    // Forked: they go on in the middle of the program.
    let script = "import multiprocessing, sys, time\n\
        def work(barrier):\n    \
            barrier.wait()\n    \
            end = time.process_time() + 0.2\n    \
            while time.process_time() < end: pass\n\
        if __name__ == '__main__':\n    \
            context = multiprocessing.get_context('fork')\n    \
            barrier = context.Barrier(int(sys.argv[1]))\n    \
            jobs = [context.Process(target=work, args=(barrier,)) for _ in range(int(sys.argv[1]))]\n    \
            [job.start() for job in jobs]\n    \
            [job.join() for job in jobs]\n";
    let python = common::library("python");
    let run = |count: u32| {
        document_of(
            &[],
            &[],
            &[python.to_str().unwrap(), "-c", script, &count.to_string()],
        )
    };
    let many = cores() + 6;
    let document = run(many);
    let finding = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["rule"] == JOBS);
    let evidence = finding.unwrap_or_else(|| panic!("{:#}", document["processes"]))["evidence"]
        .as_str()
        .unwrap();
    assert!(evidence.contains("processes of the command"), "{evidence}");
    healthy(&run(cores()));
}

/// What the test program does when it is run by `threadctl run` for one of these: rayon over OpenBLAS.
fn rayon_over_openblas(threads: usize, blas: i32, milliseconds: i64) {
    let library = common::load("openblas-pthread");
    common::set(library, "openblas_set_num_threads", blas);
    type Dgemm = unsafe extern "C" fn(
        i32,
        i32,
        i32,
        i32,
        i32,
        i32,
        f64,
        *const f64,
        i32,
        *const f64,
        i32,
        f64,
        *mut f64,
        i32,
    );
    // SAFETY: this is the type of cblas_dgemm with 32-bit integers and enumerations.
    let dgemm = *unsafe { library.get::<Dgemm>("cblas_dgemm") }.expect("the function");
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.broadcast(|_| {
        const N: i32 = 256;
        let (a, mut c) = (vec![1.0; 256 * 256], vec![0.0; 256 * 256]);
        let used = || {
            let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            time.tv_sec * 1000 + time.tv_nsec / 1_000_000
        };
        let end = used() + milliseconds;
        while used() < end {
            // SAFETY: three matrices of N x N, by columns, not transposed.
            unsafe {
                dgemm(
                    102,
                    111,
                    111,
                    N,
                    N,
                    N,
                    1.0,
                    a.as_ptr(),
                    N,
                    a.as_ptr(),
                    N,
                    0.0,
                    c.as_mut_ptr(),
                    N,
                )
            };
        }
        assert_eq!(c[0], 256.0);
    });
}

/// Runs this program for the test `name`, which then does its work, below `threadctl run`.
fn this_program(name: &str, threads: usize, blas: i32, milliseconds: i64) -> Option<Value> {
    if std::env::var(common::CASE).is_ok() {
        rayon_over_openblas(threads, blas, milliseconds);
        return None;
    }
    let program = std::env::current_exe().unwrap();
    let name = format!("programs::{name}");
    let command = [
        program.to_str().unwrap(),
        &name,
        "--exact",
        "--test-threads=1",
    ];
    Some(document_of(&[], &[(common::CASE, &name)], &command))
}

#[test]
fn a_rust_program_with_rayon_over_a_threaded_blas_is_nested() {
    if let Some(document) = this_program(
        "a_rust_program_with_rayon_over_a_threaded_blas_is_nested",
        16,
        16,
        10,
    ) {
        fires(&document, "nested-pools");
    }
}

#[test]
fn a_rust_program_with_rayon_over_one_blas_thread_is_healthy() {
    let threads = usize::try_from(cores()).unwrap();
    if let Some(document) = this_program(
        "a_rust_program_with_rayon_over_one_blas_thread_is_healthy",
        threads,
        1,
        400,
    ) {
        healthy(&document);
    }
}

#[test]
fn more_callers_than_openblas_has_room_for_are_found() {
    if let Some(document) = this_program(
        "more_callers_than_openblas_has_room_for_are_found",
        80,
        1,
        5,
    ) {
        fires(&document, "openblas-max-threads");
    }
}

#[test]
fn the_text_gives_the_remedy_and_explain_the_background() {
    let folder = tempfile::tempdir().unwrap();
    let program = teams(folder.path());
    let gomp = common::library("gomp");
    let many = (cores() + 14).to_string();
    let output = threadctl(&["--", &program, gomp.to_str().unwrap(), &many])
        .output()
        .unwrap();
    let text = stderr(&output);
    let words = [
        "pool-exceeds-cores (certain)".to_owned(),
        format!(
            "try:  threadctl run --limit openmp={} -- {program}",
            cores()
        ),
        "threadctl explain pool-exceeds-cores".to_owned(),
    ];
    for words in words {
        assert!(text.contains(&words), "no {words:?} in {text}");
    }
    let explain = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_threadctl"));
        command.arg("explain").args(args).output().unwrap()
    };
    let background = explain(&["pool-exceeds-cores"]);
    assert!(background.status.success() && background.stdout.len() > 200);
    let all = String::from_utf8(explain(&[]).stdout).unwrap();
    assert!(all.lines().count() >= 11 && all.contains("nested-pools"));
    let unknown = explain(&["no-such-rule"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("nested-pools"));
}
