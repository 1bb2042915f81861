//! The variables that the command gets: those of `threadctl env`, and those that a limit sets.

use anyhow::Result;
use threadctl::Workers;

use crate::cmd::env;

/// What a limit's name stands for in the environment.
const LIMITS: &[(&str, &[&str])] = &[
    (
        "blas",
        &[
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "BLIS_NUM_THREADS",
            "VECLIB_MAXIMUM_THREADS",
        ],
    ),
    ("openmp", &["OMP_NUM_THREADS"]),
    ("openblas", &["OPENBLAS_NUM_THREADS"]),
    ("mkl", &["MKL_NUM_THREADS"]),
    ("blis", &["BLIS_NUM_THREADS"]),
    ("accelerate", &["VECLIB_MAXIMUM_THREADS"]),
    ("rayon", &["RAYON_NUM_THREADS"]),
];

/// Variables to set, in this order, and what the user should know of them.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) variables: Vec<(String, String)>,
    pub(super) notes: Vec<String>,
}

impl Settings {
    /// Of a budget of cores or a share among jobs (nothing without either), and of limits, which go before those.
    pub(super) fn new(
        cores: Option<Workers<'_>>,
        jobs: Option<Workers<'_>>,
        limits: &[String],
    ) -> Result<Self> {
        let mut settings = Settings::default();
        if cores.is_some() || jobs.is_some() {
            let share = env::share(cores, jobs)?;
            settings.variables = share.variables;
            settings.notes = share.notes;
        }
        let all: Vec<&str> = limits
            .iter()
            .flat_map(|list| list.split(','))
            .map(str::trim)
            .collect();
        for (name, value) in all.iter().filter_map(|limit| limit.split_once('=')) {
            let (name, value) = (name.trim(), value.trim());
            match LIMITS.iter().find(|(known, _)| *known == name) {
                Some((_, variables)) => {
                    let set = variables.iter().map(|variable| ((*variable).to_owned(), value.to_owned()));
                    settings.variables.extend(set);
                }
                None => settings.notes.push(format!(
                    "--limit {name}={value}: no variable sets this; only a program that calls threadctl::init() heeds it"
                )),
            }
        }
        if !all.is_empty() {
            settings
                .variables
                .push(("THREADCTL_LIMITS".to_owned(), all.join(",")));
        }
        Ok(settings)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn value<'a>(settings: &'a Settings, name: &str) -> Option<&'a str> {
        let mut set = settings.variables.iter().rev();
        set.find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_limit_goes_before_a_share_and_reaches_its_runtimes_only() {
        // One core is there on every machine.
        let one = Workers::try_from(1).unwrap();
        let limits = ["blas=2, rayon=3".to_owned(), "lib/x.so=2".to_owned()];
        let settings = Settings::new(Some(one), None, &limits).unwrap();
        for (name, expected) in [
            ("OPENBLAS_NUM_THREADS", "2"),
            ("MKL_NUM_THREADS", "2"),
            ("RAYON_NUM_THREADS", "3"),
            ("OMP_NUM_THREADS", "1"),
            ("THREADCTL_LIMITS", "blas=2,rayon=3,lib/x.so=2"),
        ] {
            assert_eq!(value(&settings, name), Some(expected), "{name}");
        }
        assert!(
            settings
                .notes
                .iter()
                .any(|note| note.contains("lib/x.so=2"))
        );
    }

    #[test]
    fn nothing_asked_sets_nothing() {
        let settings = Settings::new(None, None, &[]).unwrap();
        assert!(settings.variables.is_empty() && settings.notes.is_empty());
    }

    #[test]
    fn every_variable_is_one_that_env_knows() {
        let four = Workers::try_from(4).unwrap();
        let known = Settings::new(Some(four), None, &[]).unwrap();
        for variable in LIMITS.iter().flat_map(|(_, variables)| *variables) {
            assert!(value(&known, variable).is_some(), "{variable}");
        }
    }
}
