//! The variables, a row each: from here they are read, reported and documented (a test holds the table in
//! `docs/CONFIGURATION.md` against this one).

use super::read::{self, Context, Read, Settings};
use std::fmt;

/// One environment variable of the library.
///
/// ```
/// for variable in threadctl::config::VARIABLES {
///     println!("{:<24} {:<20} {}", variable.name, variable.example, variable.meaning);
/// }
/// ```
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What is accepted.
    pub grammar: &'static str,
    /// A value that is accepted.
    pub example: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// Notes the value, or says what is wrong with it.
    pub(super) read: fn(&str, &Context, &mut Settings) -> Read<()>,
}

/// Every variable, in the order in which they are read.
///
/// ```
/// assert!(threadctl::config::VARIABLES.iter().any(|variable| variable.name == "THREADCTL_LIMITS"));
/// ```
pub static VARIABLES: &[Variable] = &[
    Variable {
        name: NUM_THREADS,
        grammar: crate::cores::workers::GRAMMAR,
        example: "4",
        meaning: "how many cores the process may use, at most",
        read: read::num_threads,
    },
    Variable {
        name: LIMITS,
        grammar: "NAME=LIMIT entries with commas between them; a NAME is all, a user_api, an internal_api, the start of \
                  a file name, or an absolute path; a LIMIT is from 1 to 2147483647, or -1 \
                  for all cores, -2 for all but one",
        example: "blas=1,openmp=4,libmkl=2",
        meaning: "the most cores that one call into each of these runtimes may use",
        read: read::limits,
    },
    Variable {
        name: SCOPE,
        grammar: "process or thread",
        example: "process",
        meaning: "for whom `THREADCTL_LIMITS` holds: every thread, or the one that calls `init`",
        read: read::scope,
    },
    Variable {
        name: TUNING,
        grammar: "off, or the path of a file, from the root on",
        example: "/etc/threadctl/tuning",
        meaning: "the file that says from how much on calls of BLAS are shared, in place of the one that `threadctl tune` \
                  writes by itself",
        read: read::tuning,
    },
    Variable {
        name: BACKEND,
        grammar: crate::backend::GRAMMAR,
        example: "openblas",
        meaning: "the library behind the BLAS and LAPACK symbols that `threadctl-src` supplies",
        read: read::backend,
    },
    Variable {
        name: JOBSERVER,
        grammar: crate::budget::GRAMMAR,
        example: "off",
        meaning: "the budget of cores that the process shares with others, in place of the one that make or cargo offer; or \
                  that it shall be in none",
        read: read::jobserver,
    },
    Variable {
        name: PIN,
        grammar: "on or off",
        example: "on",
        meaning: "whether each worker of rayon's pools that threadctl makes is bound to a core of its own",
        read: read::pin,
    },
    Variable {
        name: LOG,
        grammar: "off, error, warn, info, debug or trace",
        example: "debug",
        meaning: "how much of what the library decides, and why, goes to standard error",
        read: read::log,
    },
];

pub(super) const TUNING: &str = "THREADCTL_TUNING";
pub(crate) const NUM_THREADS: &str = "THREADCTL_NUM_THREADS";
pub(super) const LIMITS: &str = "THREADCTL_LIMITS";
pub(super) const SCOPE: &str = "THREADCTL_SCOPE";
pub(super) const BACKEND: &str = "THREADCTL_BACKEND";
pub(crate) const JOBSERVER: &str = "THREADCTL_JOBSERVER";
pub(super) const PIN: &str = "THREADCTL_PIN";
pub(super) const LOG: &str = "THREADCTL_LOG";

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
