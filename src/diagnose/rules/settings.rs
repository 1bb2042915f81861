//! What variables promise about pools: the number of threads that each gives to whom. A data table.

use super::super::report::{ProcessGroup, ProcessSummary};

/// A variable, and the groups whose threads it limits.
#[derive(Debug)]
pub(super) struct Setting {
    pub variable: &'static str,
    groups: &'static [&'static str],
    /// Whether the number counts for each thread that calls, rather than for the process.
    per_caller: bool,
}

const SETTINGS: &[Setting] = &[
    Setting {
        variable: "OPENBLAS_NUM_THREADS",
        groups: &["libopenblas"],
        per_caller: false,
    },
    Setting {
        variable: "BLIS_NUM_THREADS",
        groups: &["libblis"],
        per_caller: true,
    },
    Setting {
        variable: "OMP_NUM_THREADS",
        groups: &["libgomp", "libomp", "libiomp5"],
        per_caller: true,
    },
];

/// A number that was exceeded.
#[derive(Debug)]
pub(super) struct Exceeded<'a> {
    pub variable: &'static str,
    pub promised: u32,
    pub group: &'a ProcessGroup,
}

/// Pools of a process with more threads than its environment allows.
pub(super) fn exceeded(process: &ProcessSummary) -> impl Iterator<Item = Exceeded<'_>> {
    SETTINGS.iter().flat_map(move |setting| {
        let promised = number(process, setting.variable);
        process.groups.iter().filter_map(move |group| {
            let promised = promised?;
            let callers = if setting.per_caller {
                group.makers.max(1)
            } else {
                1
            };
            // The caller is one of the threads of a call.
            let most = promised.saturating_sub(1).saturating_mul(callers);
            let is_its = setting.groups.contains(&group.name.as_str());
            (is_its && group.peak > most).then_some(Exceeded {
                variable: setting.variable,
                promised,
                group,
            })
        })
    })
}

/// The number in a variable; of a list, one for each level of nesting, the first.
pub(super) fn number(process: &ProcessSummary, variable: &str) -> Option<u32> {
    let text = process.environment.get(variable)?;
    text.split(',')
        .next()?
        .trim()
        .parse()
        .ok()
        .filter(|number| *number > 0)
}

/// The variables that give BLAS calls one thread, of those that are set.
pub(super) fn ones(process: &ProcessSummary) -> Vec<&'static str> {
    [
        "OPENBLAS_NUM_THREADS",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
    ]
    .into_iter()
    .filter(|variable| number(process, variable) == Some(1))
    .collect()
}

/// Whether all OpenMP threads that have nothing to do go to sleep at once.
pub(super) fn idle_ones_sleep(process: &ProcessSummary) -> bool {
    let is = |variable: &str, value: &str| {
        let set = process.environment.get(variable);
        set.is_some_and(|set| set.trim().eq_ignore_ascii_case(value))
    };
    // libomp and libiomp5 wait as KMP_BLOCKTIME says, whatever the policy; libgomp's own variable goes before the policy.
    let llvm = is("KMP_BLOCKTIME", "0");
    let gnu = match process.environment.get("GOMP_SPINCOUNT") {
        Some(_) => is("GOMP_SPINCOUNT", "0"),
        None => is("OMP_WAIT_POLICY", "passive"),
    };
    let has = |name: &str| {
        let mut groups = process.groups.iter();
        groups.any(|group| group.name == name && group.peak > 0)
    };
    (gnu || !has("libgomp")) && (llvm || !(has("libomp") || has("libiomp5")))
}

/// What makes idle threads spin, if anything does, as an assignment.
pub(super) fn spinning(process: &ProcessSummary) -> Option<String> {
    /// Milliseconds or turns from which on waiting takes longer than most work between two calls.
    const LONG: u64 = 1_000_000_000;
    const VARIABLES: &[(&str, u64)] = &[
        ("OMP_WAIT_POLICY", 0),
        ("KMP_BLOCKTIME", 1000),
        ("GOMP_SPINCOUNT", LONG),
    ];
    VARIABLES.iter().find_map(|(variable, long)| {
        let value = process.environment.get(*variable)?;
        let text = value.trim().to_ascii_lowercase();
        let is_long = *long > 0 && text.parse::<u64>().is_ok_and(|number| number >= *long);
        (is_long || matches!(text.as_str(), "active" | "infinite" | "infinity"))
            .then(|| format!("{variable}={value}"))
    })
}
