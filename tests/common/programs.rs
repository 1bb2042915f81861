//! Real programs in several languages, each with settings that make it sick and settings that leave it healthy: a data table,
//! for the tests and the benches of `threadctl run`.
//!
//! Invariants: a program does the same work in both, settled by a number of turns; the sick settings are such as job scripts
//! have; and a remedy is never written down here, but taken from the report and given to a shell.
#![allow(
    dead_code,
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "each user takes a part of it, and a test or a bench fails by panicking"
)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program. Words may have in them `{KEY}` (a path of the manifest), `{folder:KEY}` (the folder that it is in),
/// `{fixture:FILE}`, `{compiled:FILE}` (C or Fortran, by a row of [`COMPILERS`]), `{built:NAME}` (a program of this workspace),
/// `{turns}`, `{cores}` and `{many}` (more than cores).
pub struct Program {
    /// For tables, and to ask for it.
    pub name: &'static str,
    /// What it does, for tables.
    pub what: &'static str,
    pub command: &'static [&'static str],
    pub environment: &'static [(&'static str, &'static str)],
    pub sick: Settings,
    pub healthy: Settings,
    /// What the sick one must be found by.
    pub rule: &'static str,
    /// Enough turns for rules to see something, and enough to take times of.
    pub few: u32,
    pub many: u32,
}

/// What one variant adds.
pub struct Settings {
    pub what: &'static str,
    pub arguments: &'static [&'static str],
    pub environment: &'static [(&'static str, &'static str)],
}

const NUMPY: &[(&str, &str)] = &[("PYTHONPATH", "{python-packages}")];
const LEARN: &[(&str, &str)] = &[("PYTHONPATH", "{python-packages}:{learn}")];

const fn settings(
    what: &'static str,
    environment: &'static [(&'static str, &'static str)],
) -> Settings {
    Settings {
        what,
        arguments: &[],
        environment,
    }
}

pub const PROGRAMS: &[Program] = &[
    Program {
        name: "numpy",
        what: "pip numpy in a ThreadPoolExecutor: products",
        command: &["{python}", "{fixture:numpy_pool.py}", "{turns}"],
        environment: NUMPY,
        sick: settings("nothing set", &[]),
        healthy: settings("OPENBLAS_NUM_THREADS=1", &[("OPENBLAS_NUM_THREADS", "1")]),
        rule: "nested-pools",
        few: 480,
        many: 480,
    },
    Program {
        name: "joblib",
        what: "joblib with processes over pip numpy: SVDs",
        command: &["{python}", "{fixture:joblib_processes.py}", "{turns}"],
        environment: LEARN,
        sick: Settings {
            arguments: &["multiprocessing"],
            ..settings("its backend multiprocessing", &[])
        },
        healthy: Settings {
            arguments: &["loky"],
            ..settings("its backend loky", &[])
        },
        rule: "nested-pools",
        // Enough that the workers have much more to do than the process that looks after joblib's files, which loads numpy too.
        few: 800,
        many: 1600,
    },
    Program {
        name: "scikit-learn",
        what: "scikit-learn beside LightGBM: predictions in turn",
        command: &["{python}", "{fixture:ensemble.py}", "{turns}"],
        environment: LEARN,
        sick: settings("nothing set", &[]),
        healthy: settings("OMP_WAIT_POLICY=passive", &[("OMP_WAIT_POLICY", "passive")]),
        rule: "several-openmp-runtimes",
        few: 20,
        many: 400,
    },
    Program {
        name: "rscript",
        what: "Debian's R over OpenBLAS: products and SVDs in mclapply",
        command: &[
            "{rscript}",
            "--vanilla",
            "{fixture:processes.R}",
            "{turns}",
            "{cores}",
        ],
        // Its start script puts this before LD_LIBRARY_PATH.
        environment: &[(
            "R_LD_LIBRARY_PATH",
            "{folder:openblas-pthread}:/usr/lib/R/lib",
        )],
        sick: settings("nothing set", &[]),
        healthy: settings("OPENBLAS_NUM_THREADS=1", &[("OPENBLAS_NUM_THREADS", "1")]),
        rule: "nested-pools",
        few: 600,
        many: 1200,
    },
    Program {
        name: "octave",
        what: "Debian's Octave over OpenBLAS on OpenMP: products",
        command: &[
            "{octave}",
            "--no-init-file",
            "--quiet",
            "{fixture:products.m}",
            "{turns}",
        ],
        environment: &[("LD_LIBRARY_PATH", "{folder:openblas-openmp}")],
        sick: settings(
            "OMP_NUM_THREADS of a larger machine",
            &[("OMP_NUM_THREADS", "{many}")],
        ),
        healthy: settings("nothing set", &[]),
        rule: "pool-exceeds-cores",
        few: 400,
        many: 3000,
    },
    Program {
        name: "rust",
        what: "Rust: rayon over ndarray-linalg and OpenBLAS: SVDs",
        command: &["{built:rayon_linalg}", "{turns}"],
        environment: &[("LD_LIBRARY_PATH", "{folder:openblas-pthread}")],
        sick: settings("nothing set", &[]),
        healthy: settings("OPENBLAS_NUM_THREADS=1", &[("OPENBLAS_NUM_THREADS", "1")]),
        rule: "nested-pools",
        few: 120,
        many: 480,
    },
    Program {
        name: "openmp-c",
        what: "C with OpenMP: a barrier after each short loop",
        command: &["{compiled:relax.c}", "{turns}"],
        environment: &[],
        sick: settings(
            "OMP_NUM_THREADS of a larger machine",
            &[("OMP_NUM_THREADS", "{many}")],
        ),
        healthy: settings("nothing set", &[]),
        rule: "pool-exceeds-cores",
        few: 2000,
        many: 20000,
    },
    Program {
        name: "openmp-fortran",
        what: "Fortran: an OpenMP loop over OpenBLAS: SVDs",
        command: &["{compiled:values.f90}", "{turns}"],
        environment: &[("LD_LIBRARY_PATH", "{folder:openblas-pthread}")],
        sick: settings("nothing set", &[]),
        healthy: settings("OPENBLAS_NUM_THREADS=1", &[("OPENBLAS_NUM_THREADS", "1")]),
        rule: "nested-pools",
        few: 150,
        many: 600,
    },
    // Whose healthy variants look like nested pools, but for when each pool computes.
    Program {
        name: "turns",
        what: "C: an OpenMP loop and a product by OpenBLAS in turn",
        command: &["{compiled:turns_blas.c}", "{turns}"],
        environment: &[("LD_LIBRARY_PATH", "{folder:openblas-pthread}")],
        sick: settings("nothing set", &[]),
        healthy: settings(
            "OPENBLAS_THREAD_TIMEOUT=4 GOMP_SPINCOUNT=0",
            &[("OPENBLAS_THREAD_TIMEOUT", "4"), ("GOMP_SPINCOUNT", "0")],
        ),
        rule: "idle-pool-spins",
        few: 1500,
        many: 2000,
    },
];

/// How a source is compiled, by how its name ends, the first row that fits: the compiler and what follows the source, either of which may be a path of
/// the manifest.
const COMPILERS: &[(&str, &str, &str)] = &[
    ("_blas.c", "cc", "{openblas-dev}"),
    (".c", "cc", "-lm"),
    (".f90", "{gfortran}", "{openblas-dev}"),
];

/// The program of this name.
pub fn program(name: &str) -> &'static Program {
    let mut all = PROGRAMS.iter();
    all.find(|program| program.name == name)
        .unwrap_or_else(|| panic!("no program {name}"))
}

/// Where everything is.
pub struct Place {
    /// The command `threadctl`.
    pub threadctl: PathBuf,
    /// For what is compiled, and for reports.
    pub scratch: PathBuf,
    /// A path of the manifest.
    pub library: fn(&str) -> PathBuf,
    /// Where the fixtures are.
    pub fixtures: PathBuf,
}

/// A command that is ready to start.
#[derive(Clone, Debug)]
pub struct Ready {
    pub words: Vec<String>,
    pub environment: Vec<(String, String)>,
}

impl Place {
    /// A variant of a program, with so many turns.
    pub fn ready(&self, program: &Program, settings: &Settings, turns: u32) -> Ready {
        let filled = |text: &str| self.fill(text, turns);
        let words = program.command.iter().chain(settings.arguments);
        let environment = program.environment.iter().chain(settings.environment);
        Ready {
            words: words.map(|word| filled(word)).collect(),
            environment: environment
                .map(|(name, value)| ((*name).to_owned(), filled(value)))
                .collect(),
        }
    }

    fn fill(&self, text: &str, turns: u32) -> String {
        let Some((before, rest)) = text.split_once('{') else {
            return text.to_owned();
        };
        let (key, after) = rest.split_once('}').expect("a closing brace");
        let cores = threadctl::cores().count();
        let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let value = match key.split_once(':') {
            Some(("folder", key)) => path((self.library)(key).parent().expect("a folder")),
            Some(("fixture", file)) => path(&self.fixtures.join("programs").join(file)),
            Some(("compiled", file)) => path(&self.compiled(file)),
            Some(("built", name)) => path(&self.built(name)),
            Some((kind, _)) => panic!("{kind} in {text}"),
            None if key == "turns" => turns.to_string(),
            None if key == "cores" => cores.to_string(),
            None if key == "many" => (cores + 14).to_string(),
            None => path(&(self.library)(key)),
        };
        format!("{before}{value}{}", self.fill(after, turns))
    }

    fn compiled(&self, file: &str) -> PathBuf {
        let mut compilers = COMPILERS.iter();
        let (ending, compiler, library) = compilers
            .find(|(ending, ..)| file.ends_with(ending))
            .unwrap_or_else(|| panic!("no compiler for {file}"));
        let program = self.scratch.join(file.trim_end_matches(ending));
        if !program.exists() {
            let mut compile = Command::new(self.fill(compiler, 0));
            compile
                .args(["-O2", "-Wall", "-Werror", "-fopenmp", "-o"])
                .arg(&program)
                .arg(self.fixtures.join("programs").join(file))
                .arg(self.fill(library, 0));
            let output = compile
                .output()
                .unwrap_or_else(|error| panic!("{compile:?}: {error}"));
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{compile:?}: {said}");
        }
        program
    }

    /// Cargo puts the programs of a workspace side by side.
    fn built(&self, name: &str) -> PathBuf {
        let program = self.threadctl.with_file_name(name);
        assert!(
            program.exists(),
            "{} is missing: `cargo xtask test` builds it, and so does `cargo build --package linked-openblas`",
            program.display()
        );
        program
    }

    /// The shell's command that follows a remedy and reports on it: what is pasted, but for the report's file. A remedy that is
    /// not a `threadctl run` itself is put under one.
    fn following(&self, remedy: &str, report: &Path) -> String {
        let options = format!("--json --report '{}'", report.display());
        match remedy.strip_prefix("threadctl run ") {
            Some(rest) => format!("threadctl run {options} {rest}"),
            None => format!("threadctl run {options} -- env {remedy}"),
        }
    }

    /// What a shell runs for `remedy`; the command is to be started where it was.
    pub fn shell(&self, remedy: &str, report: Option<&Path>) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(match report {
            Some(report) => self.following(remedy, report),
            None => remedy.to_owned(),
        });
        let old = std::env::var_os("PATH").unwrap_or_default();
        let own = self.threadctl.parent().expect("a folder").to_owned();
        let path = std::iter::once(own).chain(std::env::split_paths(&old));
        command.env("PATH", std::env::join_paths(path).expect("folders"));
        command
    }
}

/// The rule that tells of too many jobs, and how its evidence begins where they are not the command's: that others use the
/// machine is no fault of a program.
const JOBS: &str = "jobs-exceed-cores";
const OF_OTHERS: &str = "other processes";

/// Whether a finding says that others use the machine.
pub fn is_of_the_machine(finding: &Value) -> bool {
    let evidence = finding["evidence"].as_str().unwrap_or_default();
    finding["rule"] == JOBS && evidence.starts_with(OF_OTHERS)
}

/// The rules that fired, but for what is true of the machine, in the report's order.
pub fn own_rules(document: &Value) -> Vec<String> {
    let findings = document["findings"].as_array().expect("findings");
    let own = findings
        .iter()
        .filter(|finding| !is_of_the_machine(finding));
    own.map(|finding| finding["rule"].as_str().expect("a rule").to_owned())
        .collect()
}

/// The rules that fired, in the report's order.
pub fn rules(document: &Value) -> Vec<String> {
    let findings = document["findings"].as_array().expect("findings");
    findings
        .iter()
        .map(|finding| finding["rule"].as_str().expect("a rule").to_owned())
        .collect()
}

/// The first remedy of the finding of this rule.
pub fn remedy<'a>(document: &'a Value, rule: &str) -> &'a str {
    let mut findings = document["findings"].as_array().expect("findings").iter();
    let finding = findings
        .find(|finding| finding["rule"] == rule)
        .unwrap_or_else(|| panic!("{rule} is not among {:?}", rules(document)));
    finding["remedies"][0].as_str().expect("a remedy")
}
