//! Attribution by the agent: exact against programs whose threads are known, and the real OpenMP runtime.

use super::{compile, document_of, group};
use serde_json::Value;
use std::path::Path;

/// The program that makes threads, and a library of this name that does so too.
fn makers(folder: &Path) -> String {
    let program = compile(&["makers.c", "maker.c"], &folder.join("makers"), &["-ldl"]);
    program.to_str().unwrap().to_owned()
}

fn maker(folder: &Path, name: &str) -> String {
    let library = compile(&["maker.c"], &folder.join(name), &["-shared", "-fPIC"]);
    library.to_str().unwrap().to_owned()
}

fn threads(document: &Value, name: &str) -> u64 {
    group(document, name)["threads"].as_u64().unwrap()
}

#[test]
fn every_thread_belongs_to_the_library_that_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let program = makers(folder.path());
    let made = [
        ("libscipy_openblas64_-0123abcd.so", "libopenblas", 3),
        ("libgomp-a34b.so.1.0.0", "libgomp", 5),
        ("libiomp5.so", "libiomp5", 7),
        ("libomp.so.5", "libomp", 2),
        ("libmkl_core.so.2", "libmkl", 4),
        ("libtbb.so.12", "tbb", 6),
        ("libblis.so.4", "libblis", 1),
        ("libsomething.so.3", "libsomething", 8),
    ];
    let mut arguments = vec![program, "-".to_owned(), "9".to_owned(), "1".to_owned()];
    for (file, _, count) in made {
        arguments.extend([
            maker(folder.path(), file),
            count.to_string(),
            "1".to_owned(),
        ]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let document = document_of(&[], &[], &arguments);
    for (_, name, count) in made {
        assert_eq!(threads(&document, name), count, "{name}");
        assert_eq!(group(&document, name)["guessed"], 0, "{name}");
    }
    assert_eq!(
        threads(&document, "makers"),
        10,
        "its own, and the first one"
    );
    assert_eq!(document["who"].as_array().unwrap().len(), made.len() + 1);
}

#[test]
fn threads_that_a_linked_library_makes_before_the_program_begins_are_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let source = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let library = source(
        "early.c",
        "#include <pthread.h>\n\
         static pthread_t made[3];\n\
         static void *work(void *none) { return none; }\n\
         __attribute__((constructor)) static void begin(void) {\n\
         for (int at = 0; at < 3; at++) pthread_create(made + at, 0, work, 0);\n\
         }\n\
         int join_all(void) {\n\
         int bad = 0;\n\
         for (int at = 0; at < 3; at++) bad |= pthread_join(made[at], 0);\n\
         return bad;\n\
         }\n",
    );
    let program = source(
        "linked.c",
        "int join_all(void);\nint main(void) { return join_all(); }\n",
    );
    let early = folder.path().join("libopenblas.so");
    compile(&[&library], &early, &["-shared", "-fPIC"]);
    let linked = folder.path().join("linked");
    compile(&[&program, early.to_str().unwrap()], &linked, &[]);
    let document = document_of(&[], &[], &[linked.to_str().unwrap()]);
    assert_eq!(threads(&document, "libopenblas"), 3, "{document:#}");
    assert_eq!(group(&document, "libopenblas")["guessed"], 0);
    assert_eq!(threads(&document, "linked"), 1);
}

#[test]
fn the_times_of_threads_that_ended_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let program = makers(folder.path());
    let library = maker(folder.path(), "libgomp.so.1");
    // Fifty threads of five milliseconds each, most of which no look sees at their end.
    let document = document_of(&[], &[], &[&program, &library, "50", "5"]);
    let group = group(&document, "libgomp");
    assert_eq!(group["threads"], 50);
    let used = group["cpu_seconds"].as_f64().unwrap();
    assert!(
        used >= 0.2,
        "each used two milliseconds by its own clock, all {used} s"
    );
    assert_eq!(document["wait"]["exact"], true, "{:#}", document["wait"]);
    let all = document["cpu_seconds"].as_f64().unwrap();
    assert!(used <= all, "{used} of {all} s");
}

#[test]
fn thousands_of_threads_are_all_counted() {
    let folder = tempfile::tempdir().unwrap();
    let program = makers(folder.path());
    let library = maker(folder.path(), "libtbb.so.12");
    let mut arguments = vec![program.as_str()];
    for _ in 0..20 {
        arguments.extend([library.as_str(), "150", "0"]);
    }
    let document = document_of(&[], &[], &arguments);
    assert_eq!(threads(&document, "tbb"), 3000);
    assert!(group(&document, "tbb")["peak"].as_u64().unwrap() <= 150);
}

#[test]
fn children_that_fork_and_exec_are_counted_too() {
    let folder = tempfile::tempdir().unwrap();
    let program = makers(folder.path());
    let script = format!("({program} - 2 1); {program} - 3 1 & wait; exec {program} - 4 1");
    let document = document_of(&[], &[], &["sh", "-c", &script]);
    // Three programs, one of them in place of the shell, whose first thread it goes on with.
    assert_eq!(threads(&document, "makers"), (2 + 1) + (3 + 1) + (4 + 1));
}

#[test]
fn the_real_openmp_runtime_is_told_from_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("loop.c");
    std::fs::write(
        &source,
        "int main(void) { double sum = 0;\n\
         #pragma omp parallel for reduction(+:sum)\n\
         for (int i = 0; i < 1000; i++) sum += i;\n\
         return sum != 499500; }\n",
    )
    .unwrap();
    let program = folder.path().join("loop");
    compile(&[source.to_str().unwrap()], &program, &["-fopenmp"]);
    let document = document_of(
        &[],
        &[("OMP_NUM_THREADS", "6")],
        &[program.to_str().unwrap()],
    );
    assert_eq!(threads(&document, "libgomp"), 5, "and the first thread");
    assert_eq!(threads(&document, "loop"), 1);
    let process = &document["processes"][0];
    let runtimes = process["runtimes"].as_array().unwrap();
    assert!(
        runtimes
            .iter()
            .any(|file| file["path"].as_str().unwrap().contains("libgomp.so")),
        "{process:#}"
    );
}

#[test]
fn without_the_agent_every_thread_is_a_guess() {
    let folder = tempfile::tempdir().unwrap();
    let program = makers(folder.path());
    let document = document_of(&["--no-agent"], &[], &[&program, "-", "3", "50"]);
    assert_eq!(document["processes"][0]["agent"], false);
    let guessed: u64 = document["who"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["guessed"].as_u64().unwrap())
        .sum();
    // Threads that no look found are not there at all, so only what is there can be guessed.
    let seen = document["processes"][0]["threads"].as_u64().unwrap();
    assert_eq!(guessed + 1, seen);
}

/// What is in the report when stacks were read, which works on this architecture and C library.
const BY_STACKS: &str = "by where their stacks say that they began";

fn notes(document: &Value) -> String {
    document["notes"].to_string()
}

#[test]
fn without_the_agent_stacks_tell_whose_the_threads_are() {
    let folder = tempfile::tempdir().unwrap();
    let program = makers(folder.path());
    // Two pools and a library that is none: by the loaded files alone nobody could tell.
    let made = [
        ("libscipy_openblas64_-0123abcd.so", "libopenblas", 4),
        ("libgomp-a34b.so.1.0.0", "libgomp", 3),
        ("libsomething.so.3", "libsomething", 5),
    ];
    // Each for so long, in milliseconds, that also on a slow machine there is a look at it.
    const EACH: &str = "600";
    let mut arguments = vec![program, "-".to_owned(), "2".to_owned(), EACH.to_owned()];
    for (file, _, count) in made {
        arguments.extend([
            maker(folder.path(), file),
            count.to_string(),
            EACH.to_owned(),
        ]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let document = document_of(&["--no-agent"], &[], &arguments);
    for (_, name, count) in made {
        let seen = threads(&document, name);
        // Looks may come late on a busy machine; what they find must be right.
        assert!((1..=count).contains(&seen), "{name}: {seen} of {count}");
        assert_eq!(
            group(&document, name)["guessed"],
            seen,
            "it says that it is a guess"
        );
    }
    assert!(
        (1..=3).contains(&threads(&document, "makers")),
        "{document:#}"
    );
    assert_eq!(
        document["who"].as_array().unwrap().len(),
        made.len() + 1,
        "{:#}",
        document["who"]
    );
    assert!(notes(&document).contains(BY_STACKS), "{}", notes(&document));
}

#[test]
fn migrations_are_the_kernels_count_with_the_agent_and_a_lower_bound_without() {
    let folder = tempfile::tempdir().unwrap();
    let program = makers(folder.path());
    let counted = document_of(&[], &[], &[&program, "-", "20", "20"]);
    let kernel_tells = Path::new("/proc/self/sched").exists();
    assert_eq!(
        counted["switches"]["migrations_exact"], kernel_tells,
        "{:#}",
        counted["switches"]
    );
    let migrations = |document: &Value| document["switches"]["migrations"].as_u64().unwrap();
    let moves = |document: &Value| document["switches"]["moves_seen"].as_u64().unwrap();
    assert!(
        migrations(&counted) >= moves(&counted),
        "{:#}",
        counted["switches"]
    );
    let seen = document_of(&["--no-agent"], &[], &[&program, "-", "20", "20"]);
    assert_eq!(seen["switches"]["migrations_exact"], false);
    assert_eq!(migrations(&seen), moves(&seen));
}

#[test]
fn a_migration_that_no_look_can_see_is_counted() {
    if !Path::new("/proc/self/sched").exists() {
        let document = document_of(&[], &[], &["true"]);
        assert_eq!(document["switches"]["migrations_exact"], false);
        return;
    }
    // Back and forth between two CPUs, more often than there are looks.
    let document = document_of(
        &["--interval", "60000"],
        &[],
        &[
            "python3",
            "-c",
            "import os\nall = sorted(os.sched_getaffinity(0))\nfor at in range(200): os.sched_setaffinity(0, {all[at % len(all)]})",
        ],
    );
    let cpus = std::thread::available_parallelism().unwrap().get();
    if cpus > 1 {
        assert!(
            document["switches"]["migrations"].as_u64().unwrap() >= 190,
            "{:#}",
            document["switches"]
        );
    }
}

#[test]
fn a_statically_linked_program_says_where_its_threads_began() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("four.c");
    std::fs::write(
        &source,
        "int make(int count, long each);\nint main(void) { return make(4, 200); }\n",
    )
    .unwrap();
    let program = folder.path().join("four");
    compile(
        &[source.to_str().unwrap(), "maker.c"],
        &program,
        &["-static"],
    );
    let document = document_of(&[], &[], &[program.to_str().unwrap()]);
    assert_eq!(threads(&document, "four"), 5, "{document:#}");
    assert_eq!(group(&document, "four")["guessed"], 4);
    assert!(notes(&document).contains(BY_STACKS), "{}", notes(&document));
}

#[test]
fn a_statically_linked_program_runs_without_the_agent() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("none.c");
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let program = folder.path().join("none");
    compile(&[source.to_str().unwrap()], &program, &["-static"]);
    let document = document_of(&[], &[], &[program.to_str().unwrap()]);
    assert!(
        document["processes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|process| process["agent"] == false)
    );
}

#[test]
fn a_killed_program_has_left_whose_its_threads_were() {
    let folder = tempfile::tempdir().unwrap();
    let program = makers(folder.path());
    let library = maker(folder.path(), "libgomp.so.1");
    // Killed once all of them are there; they would compute for hours.
    let script = format!(
        "{program} {library} 20 10000000 & while [ $(ls /proc/$!/task | wc -l) -lt 21 ]; do :; done; kill -9 $!; wait; exit 0"
    );
    let document = document_of(&[], &[], &["sh", "-c", &script]);
    assert_eq!(threads(&document, "libgomp"), 20);
    assert_eq!(group(&document, "libgomp")["peak"], 20);
}

#[test]
fn what_was_preloaded_already_stays_preloaded() {
    let folder = tempfile::tempdir().unwrap();
    let library = maker(folder.path(), "libother.so");
    let output = super::threadctl(&["-q", "--", "sh", "-c", "echo $LD_PRELOAD"])
        .env("LD_PRELOAD", &library)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (agent, rest) = text.trim().split_once(':').unwrap();
    assert!(agent.ends_with("libthreadctl_agent.so"), "{text}");
    assert_eq!(rest, library);
    assert!(!Path::new(agent).exists(), "removed at the end");
}
