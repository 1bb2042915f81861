//! Starts both sides of a workload, and has them do their rounds in turn.
//!
//! Invariants: one side computes at a time, and the other's threads have stopped spinning by then; which side is first changes with each
//! round; results are compared before anything is timed; both sides run without the settings of whoever
//! started this, OpenBLAS's core type included.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::report::{Spread, manifest, spread, without_settings};
use crate::rows::{Agree, Row, Who, Workload};

/// For how long OpenBLAS's idle threads go on spinning after a call, and some.
const SETTLE: Duration = Duration::from_millis(130);
/// The library of the manifest that computes on our side: of the same age as the peers'.
const BACKEND: &str = "scipy-openblas";

/// So that large arrays lie on huge pages on both sides, as NumPy's do of themselves: `malloc` asks the kernel for them.
const PAGES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");

/// Seconds from which on a column's first time is like any other, and counts.
const LONG: f64 = 1.0;

/// What was found about one row beside one peer.
pub struct Line {
    pub row: &'static Row,
    /// Which of the row's peers.
    pub peer: usize,
    /// Milliseconds.
    pub ours: Spread,
    pub theirs: Spread,
    /// Theirs in ours, of each round.
    pub ratio: Spread,
    /// Run-queue wait as a part of our threads' time, over all rounds.
    pub waited: f64,
    /// How the results agree, or how they differ.
    pub agreed: Result<String, String>,
    pub rounds: usize,
}

/// A process that does as it is told.
struct Told {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Told {
    fn start(mut command: Command) -> Told {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Told {
            to: child.stdin.take().expect("a pipe"),
            from: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
        }
    }

    fn ask(&mut self, words: &str) -> String {
        writeln!(self.to, "{words}").unwrap_or_else(|error| panic!("{words}: {error}"));
        let mut answer = String::new();
        let read = self.from.read_line(&mut answer);
        if !matches!(read, Ok(length) if length > 0) {
            panic!("{words}: the child ended with {:?}", self.child.wait());
        }
        answer.trim_end().to_owned()
    }

    /// Seconds, and what else was answered.
    fn timed(&mut self, words: &str) -> (f64, Vec<u64>) {
        std::thread::sleep(SETTLE);
        let answer = self.ask(words);
        let mut numbers = answer.split(' ');
        let seconds = numbers.next().and_then(|word| word.parse().ok());
        let rest: Option<Vec<u64>> = numbers.map(|word| word.parse().ok()).collect();
        let both = seconds.zip(rest);
        both.unwrap_or_else(|| panic!("{words}: {answer}"))
    }

    fn result(&mut self, key: &str, folder: &Path) -> Vec<f64> {
        let file = folder.join("result");
        self.ask(&format!("result {key} {}", file.display()));
        let bytes = std::fs::read(&file).expect("the result");
        let (numbers, rest) = bytes.as_chunks::<8>();
        assert!(rest.is_empty(), "{key}: a result of {} bytes", bytes.len());
        numbers.iter().map(|it| f64::from_le_bytes(*it)).collect()
    }
}

/// Ends when its standard input does.
impl Drop for Told {
    fn drop(&mut self) {
        // After a panic nobody waits for what it still says.
        if std::thread::panicking() {
            self.child.kill().ok();
        }
    }
}

/// Our side, on the BLAS that SciPy brings.
fn ours(workload: &Workload) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    without_settings(&mut command)
        .args(["--serve", workload.name])
        .env(PAGES.0, PAGES.1)
        .env("THREADCTL_BACKEND", manifest(BACKEND, "path"));
    // Ours starts scripts, too.
    if let Some(libraries) = std::env::var_os("THREADCTL_TEST_LIBS") {
        command.env("THREADCTL_TEST_LIBS", libraries);
    }
    command
}

/// A script of this folder, with all of the set-up's packages.
pub fn python(script: &str) -> Command {
    let packages = ["python-packages", "numba-packages", "learn"];
    let mut packages: Vec<String> = packages.iter().map(|it| manifest(it, "path")).collect();
    // Above its libraries are the packages that they came with.
    let libraries = manifest("mkl-libs", "path");
    let package = Path::new(&libraries).parent().expect("a folder above");
    packages.push(package.display().to_string());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(manifest("python", "path"));
    without_settings(&mut command)
        .arg(folder.join(format!("{script}.py")))
        .env("PYTHONPATH", packages.join(":"))
        .env(PAGES.0, PAGES.1)
        // Numba and MKL find TBB there.
        .env("LD_LIBRARY_PATH", libraries);
    command
}

/// Both sides of a workload.
pub struct Pair {
    us: Told,
    them: Told,
    scratch: tempfile::TempDir,
}

impl Pair {
    pub fn start(workload: &Workload) -> Pair {
        Pair {
            us: Told::start(ours(workload)),
            them: Told::start(python(workload.name)),
            scratch: tempfile::tempdir().expect("a folder"),
        }
    }

    /// All lines of a row.
    pub fn measure(&mut self, row: &'static Row, rounds: usize) -> Vec<Line> {
        let lines = beside(
            row,
            rounds,
            &mut self.us,
            &mut self.them,
            self.scratch.path(),
        );
        self.us.ask("forget");
        self.them.ask("forget");
        lines
    }

    /// What both sides are, in one line.
    pub fn versions(&mut self) -> String {
        let rustc = Command::new("rustc").arg("--version").output();
        let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        format!(
            "Ours: threadctl {}, {}, the OpenBLAS of SciPy {} where BLAS is called. Theirs: {}.",
            env!("CARGO_PKG_VERSION"),
            rustc
                .unwrap_or_default()
                .split(" (")
                .next()
                .unwrap_or_default(),
            manifest(BACKEND, "version"),
            self.them.ask("versions")
        )
    }
}

/// One column of a row: ours, or a peer.
struct Column {
    key: String,
    script: bool,
    /// Milliseconds.
    times: Vec<f64>,
}

fn beside(
    row: &'static Row,
    rounds: usize,
    us: &mut Told,
    them: &mut Told,
    scratch: &Path,
) -> Vec<Line> {
    let mut columns = vec![Column {
        key: row.key.to_owned(),
        script: false,
        times: Vec::new(),
    }];
    columns.extend(row.peers.iter().enumerate().map(|(index, peer)| Column {
        key: match peer.who {
            Who::Script(name) => name.to_owned(),
            Who::Ours(_) => format!("{}:{index}", row.key),
        },
        script: matches!(peer.who, Who::Script(_)),
        times: Vec::new(),
    }));
    let mut results = Vec::new();
    let (mut firsts, mut all_long) = (Vec::new(), true);
    for column in &columns {
        let side = if column.script { &mut *them } else { &mut *us };
        side.ask(&format!("prepare {}", column.key));
        let first = side.timed(&format!("once {}", column.key));
        all_long &= first.0 >= LONG;
        firsts.push(first);
        results.push(side.result(&column.key, scratch));
    }
    let agreed: Vec<Result<String, String>> = row
        .peers
        .iter()
        .zip(&results[1..])
        .map(|(peer, result)| agreement(peer.agree, &results[0], result))
        .collect();
    drop(results);

    let (mut ran, mut waited) = (0, 0);
    let count = columns.len();
    let mut counted = |columns: &mut Vec<Column>, at: usize, (seconds, queue): (f64, Vec<u64>)| {
        columns[at].times.push(seconds * 1e3);
        if at == 0 {
            let [more, wait] = queue[..] else {
                panic!("{}: no times of our threads", row.key);
            };
            ran += more;
            waited += wait;
        }
    };
    let mut left = rounds;
    if all_long {
        left -= 1;
        for (at, first) in firsts.into_iter().enumerate() {
            counted(&mut columns, at, first);
        }
    }
    for round in 0..left {
        for turn in 0..count {
            // Backwards, then forwards.
            let at = if round % 2 == 0 {
                count - 1 - turn
            } else {
                turn
            };
            let column = &columns[at];
            let side = if column.script { &mut *them } else { &mut *us };
            let answer = side.timed(&format!("round {}", column.key));
            counted(&mut columns, at, answer);
        }
    }
    assert!(ran > 0, "{}: our threads never ran", row.key);
    let own = columns[0].times.clone();
    let line = |(peer, (column, agreed)): (usize, (&Column, Result<String, String>))| Line {
        row,
        peer,
        ours: spread(own.clone()),
        theirs: spread(column.times.clone()),
        ratio: spread(
            own.iter()
                .zip(&column.times)
                .map(|(us, it)| it / us)
                .collect(),
        ),
        waited: waited as f64 / (ran + waited) as f64,
        agreed,
        rounds,
    };
    columns[1..]
        .iter()
        .zip(agreed)
        .enumerate()
        .map(line)
        .collect()
}

/// How two results agree, or how they differ.
fn agreement(agree: Agree, ours: &[f64], theirs: &[f64]) -> Result<String, String> {
    if matches!(agree, Agree::Apart) {
        return Ok("not compared".to_owned());
    }
    if ours.len() != theirs.len() {
        return Err(format!("{} numbers and {}", ours.len(), theirs.len()));
    }
    let same = |(a, b): &(&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
    let differing = || ours.iter().zip(theirs).filter(|pair| !same(pair));
    let largest = theirs
        .iter()
        .fold(0.0, |largest: f64, it| largest.max(it.abs()));
    // A NaN beside a number stays.
    let worst = |part: &dyn Fn(f64, f64) -> f64| {
        differing()
            .map(|(a, b)| part(*a, *b))
            .fold(0.0, |worst: f64, it| {
                if worst.is_nan() || it <= worst {
                    worst
                } else {
                    it
                }
            })
    };
    let (found, limit, of) = match agree {
        Agree::Exactly | Agree::Apart => {
            return match differing().count() {
                0 => Ok("equal".to_owned()),
                count => Err(format!("{count} of {} numbers differ", ours.len())),
            };
        }
        Agree::Within(limit) => {
            let found = worst(&|a, b| (a - b).abs() / a.abs().max(b.abs()));
            (found, limit, "")
        }
        Agree::OfLargest(limit) => {
            let found = worst(&|a, b| (a - b).abs() / largest);
            (found, limit, " of the largest")
        }
    };
    if found == 0.0 {
        Ok("equal".to_owned())
    } else if found <= limit {
        Ok(format!("{found:.1e}{of}"))
    } else {
        Err(format!("{found:.1e}{of}; accepted: {limit:.1e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_agree_within_what_is_accepted_and_a_nan_beside_a_number_never_does() {
        let theirs = [1.0, -100.0, f64::NAN];
        let near = [1.0 + 1e-12, -100.0, f64::NAN];
        assert_eq!(
            agreement(Agree::Exactly, &theirs, &theirs),
            Ok("equal".to_owned())
        );
        assert!(agreement(Agree::Exactly, &near, &theirs).is_err());
        assert!(agreement(Agree::Within(2e-12), &near, &theirs).is_ok());
        assert!(agreement(Agree::Within(1e-13), &near, &theirs).is_err());
        assert!(agreement(Agree::OfLargest(2e-14), &near, &theirs).is_ok());
        let hole = [f64::NAN, -100.0, f64::NAN];
        assert!(agreement(Agree::OfLargest(1.0), &hole, &theirs).is_err());
        assert!(agreement(Agree::Within(1.0), &near[..2], &theirs).is_err());
    }
}
