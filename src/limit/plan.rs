//! Who gets which limit, through which setting, and what cannot be honoured: pure, no library is called here.
//!
//! Invariants: a runtime that no entry means appears in no decision; two runtimes that share one setting share one
//! hold, with the smaller of their limits.

use super::outcome::Shortfall;
use super::select::{Request, Selector};
use std::path::Path;

/// Where a limit is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Process,
    Thread,
}

/// What entries can mean a runtime by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub user_api: &'a str,
    pub internal_api: &'a str,
    pub prefix: &'a str,
    pub filepath: &'a Path,
}

/// What a runtime can do about a limit. Settings are named by their keys.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Means<'a> {
    pub process: Option<usize>,
    pub thread: Option<usize>,
    /// Its present number of threads; only asked for when it has no setting.
    pub threads: Option<u32>,
    /// Whether its setter gave no answer.
    pub untold: bool,
    pub untouchable: Option<&'a str>,
}

/// Whom a setting reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Process,
    Thread,
}

/// What is done for one runtime in one scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Its limit is held through this setting.
    Hold { reach: Reach, key: usize },
    /// It cannot be changed, and stays within the limit as it is.
    Within { threads: u32 },
    /// It is left as it is, and why.
    Left {
        threads: Option<u32>,
        why: Shortfall,
    },
}

/// For each runtime its limit, if an entry means it; and the entries that mean none of them.
pub(super) fn assign(
    requests: &[Request],
    runtimes: &[Identity<'_>],
) -> (Vec<Option<u32>>, Vec<usize>) {
    let limits = runtimes
        .iter()
        .map(|runtime| {
            requests
                .iter()
                .filter_map(|request| Some((request.selector.fits(runtime)?, request.limit)))
                // Of two that are equally specific, the smaller limit.
                .max_by_key(|(specificity, limit)| (*specificity, std::cmp::Reverse(*limit)))
                .map(|(_, limit)| limit)
        })
        .collect();
    let unmatched = (0..requests.len())
        .filter(|&index| {
            !runtimes
                .iter()
                .any(|runtime| requests[index].selector.fits(runtime).is_some())
        })
        .collect();
    (limits, unmatched)
}

impl Selector {
    /// How specifically it means this runtime, if it does.
    fn fits(&self, runtime: &Identity<'_>) -> Option<(u8, usize)> {
        match self {
            Selector::All => Some((0, 0)),
            Selector::UserApi(name) => (name == runtime.user_api).then_some((1, 0)),
            Selector::InternalApi(name) => (name == runtime.internal_api).then_some((2, 0)),
            Selector::Prefix(name) => {
                let file = runtime.filepath.file_name().unwrap_or_default();
                (file.to_string_lossy().starts_with(name.as_str())
                    || runtime.prefix.starts_with(name.as_str()))
                .then_some((3, name.len()))
            }
            Selector::Path(path) => (path == runtime.filepath).then_some((4, 0)),
        }
    }
}

/// What to do about a limit on one runtime.
pub(super) fn decide(limit: u32, means: &Means<'_>, scope: Scope) -> Decision {
    if let Some(reason) = means.untouchable {
        return Decision::Left {
            threads: None,
            why: Shortfall::NotAllowed {
                reason: reason.to_owned(),
            },
        };
    }
    match (scope, means.process, means.thread) {
        (Scope::Thread, _, Some(key)) => Decision::Hold {
            reach: Reach::Thread,
            key,
        },
        (_, Some(key), _) => Decision::Hold {
            reach: Reach::Process,
            key,
        },
        (Scope::Process, None, Some(_)) => Decision::Left {
            threads: None,
            why: Shortfall::ThreadOnly,
        },
        (_, None, None) => match means.threads {
            Some(threads) if threads <= limit => Decision::Within { threads },
            threads => Decision::Left {
                threads,
                why: if means.untold {
                    Shortfall::ScopeUnknown
                } else {
                    Shortfall::Fixed
                },
            },
        },
    }
}

/// A setting that a guard limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    pub reach: Reach,
    pub key: usize,
    pub limit: u32,
}

/// The holds behind the decisions on runtimes with these limits, in order, and for each decision which of them is its.
pub(super) fn holds(decisions: &[(u32, Decision)]) -> (Vec<Hold>, Vec<Option<usize>>) {
    let mut holds: Vec<Hold> = Vec::new();
    let places = decisions
        .iter()
        .map(|(limit, decision)| {
            let &Decision::Hold { reach, key } = decision else {
                return None;
            };
            let place = holds
                .iter()
                .position(|hold| hold.key == key && hold.reach == reach);
            match place {
                Some(place) => holds[place].limit = holds[place].limit.min(*limit),
                None => holds.push(Hold {
                    reach,
                    key,
                    limit: *limit,
                }),
            }
            Some(place.unwrap_or(holds.len() - 1))
        })
        .collect();
    (holds, places)
}
