//! Why fields of a [`RuntimeInfo`] are missing, a row for each field that may be. Pure.

use super::info::{ConcurrentCallers, Integers, RuntimeInfo, SetterScope};
use std::collections::BTreeMap;

/// For each field of `info` that is not known, why: because the runtime must not be asked (`untouchable` says why), or what
/// the field's row says. `capped` tells whether a setter took no higher number.
pub(super) fn reasons(
    info: &RuntimeInfo,
    untouchable: Option<&str>,
    capped: impl Fn() -> bool,
) -> BTreeMap<String, String> {
    ROWS.iter()
        .filter(|row| (row.is_missing)(info))
        .map(|row| {
            let why = match row.capped {
                Some(why) if capped() => why,
                _ => row.why,
            };
            (row.field.to_owned(), untouchable.unwrap_or(why).to_owned())
        })
        .collect()
}

/// A field that may be missing, and why it is missing then.
struct Row {
    field: &'static str,
    is_missing: fn(&RuntimeInfo) -> bool,
    why: &'static str,
    /// Why, where a setter took no higher number, if that makes a difference.
    capped: Option<&'static str>,
}

const fn row(field: &'static str, is_missing: fn(&RuntimeInfo) -> bool, why: &'static str) -> Row {
    Row {
        field,
        is_missing,
        why,
        capped: None,
    }
}

const ROWS: &[Row] = &[
    row(
        "version",
        |info| info.version.is_none(),
        "the library has no call that tells its version",
    ),
    row(
        "threading_layer",
        |info| info.threading_layer.is_none(),
        "the library has no call that tells its threading layer",
    ),
    row(
        "architecture",
        |info| info.architecture.is_none(),
        "the library has no call that names its kernels",
    ),
    row(
        "num_threads",
        |info| info.num_threads.is_none(),
        "the library has no call that tells its number of threads",
    ),
    row(
        "max_threads",
        |info| info.max_threads.is_none(),
        "the library does not tell what its build allows",
    ),
    Row {
        capped: Some(
            "it took no higher number than the present one, and there is no lower one to try",
        ),
        ..row(
            "setter_scope",
            |info| info.setter_scope == SetterScope::Unknown,
            "trying the setter gave no answer this time: other threads set it meanwhile, or no thread could be started \
             for the trial",
        )
    },
    row(
        "concurrent_callers",
        |info| info.concurrent_callers == ConcurrentCallers::Unknown,
        "nothing tells whether several threads may call it at once",
    ),
    row(
        "interface",
        |info| info.interface.integers == Integers::Unknown && info.user_api == "blas",
        "nothing tells the size of its integers",
    ),
];
