//! What becomes of bound ranks, of a budget that is there already, and of one that is refused.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use threadctl::budget::Keeper;

use super::launch::{
    KMEANS, SELECTION, document, done, mpirun, number, output, rank_cores, read, text, with,
};

const SMALL: [&str; 6] = ["--points", "6000", "--block", "512", "--rounds", "3"];

#[test]
fn ranks_that_are_bound_have_the_cores_they_are_bound_to() {
    let machine = u64::from(threadctl::cores().count());
    if machine < 2 {
        // With one core there is nothing to bind apart.
        return;
    }
    let free = document(2, KMEANS, &SMALL);
    let bound = with(&["--bind-to", "core"], 2, KMEANS, &SMALL);
    assert_eq!(rank_cores(&bound), [1, 1], "{bound}");
    assert_eq!(number(&bound, "machine_cores"), 2, "{bound}");
    assert_eq!(bound["oversubscribed"], false, "{bound}");
    // A rank can use no more than its core, so that is how large pools are.
    assert_eq!(number(&bound, "width"), 1, "{bound}");
    let width = number(&free, "width").to_string();
    let mut args = SMALL.to_vec();
    args.extend(["--width", &width]);
    let bound = with(&["--bind-to", "core"], 2, KMEANS, &args);
    assert_eq!(bound["digest"], free["digest"]);
}

#[test]
fn a_budget_that_is_refused_is_not_made() {
    let with_one = document(2, KMEANS, &SMALL);
    let folder = tempfile::tempdir().unwrap();
    let mut command = mpirun(2, folder.path(), &["--bind-to", "none"]);
    command.env("THREADCTL_JOBSERVER", "off");
    let without = read(&done(
        command
            .arg(KMEANS)
            .args(SMALL)
            .args(["--json", "--width"])
            .arg(number(&with_one, "width").to_string()),
    ));
    assert_eq!(without["sharing"], "refused");
    assert_eq!(rank_cores(&without), rank_cores(&with_one));
    assert_eq!(without["digest"], with_one["digest"]);
}

#[test]
fn ranks_in_a_budget_of_somebody_elses_stay_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("budget");
    std::fs::create_dir(&kept).unwrap();
    let cores = threadctl::cores().count();
    let mut keeper = Keeper::new(&kept, cores).unwrap();
    let mut command = mpirun(2, folder.path(), &["--bind-to", "none"]);
    command.envs(keeper.variables());
    // A pool of one asks nobody.
    let args = ["--rows", "300", "--rounds", "3", "--width", "2", "--json"];
    let ended = AtomicBool::new(false);
    let found = thread::scope(|scope| {
        let keeping = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                thread::sleep(keeper.look());
            }
        });
        // Whatever becomes of the job, the keeping ends.
        let output = output(command.arg(SELECTION).args(args));
        ended.store(true, Ordering::Relaxed);
        keeping.join().unwrap();
        let (told, complained) = text(&output);
        assert!(output.status.success(), "{told}{complained}");
        read(&told)
    });
    assert_eq!(found["sharing"], "found", "{found}");
    keeper.look();
    assert_eq!(keeper.seen().processes, 2, "both have been in");
    assert_eq!(keeper.free(), cores as usize, "none is left");
}

#[test]
fn a_rank_whose_neighbour_rests_has_its_core_too() {
    let machine = u64::from(threadctl::cores().count());
    // One candidate, which one of the ranks scores; the other one waits.
    let args = ["--rows", "900", "--candidates", "1", "--rounds", "3"];
    let found = document(2, SELECTION, &args);
    let peaks: Vec<u64> = found["rank_peaks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|peak| peak.as_u64().unwrap())
        .collect();
    assert_eq!(peaks.iter().max(), Some(&machine), "{found}");
    assert_eq!(peaks.iter().min(), Some(&0), "{found}");
}
