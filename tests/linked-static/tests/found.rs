//! A pool inside the main program is found, read and limited like a loaded one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use linked_static::{openblas_get_num_threads, openblas_set_num_threads, pool_work};
use threadctl::{Limits, SetterScope, runtimes};

#[test]
fn a_pool_inside_the_program_is_found_and_limited() {
    openblas_set_num_threads(4);
    let found = runtimes();
    assert_eq!(found.len(), 1, "{:?}", found.info());
    let info = found.info().remove(0);
    assert_eq!(
        (info.internal_api.as_str(), info.prefix.as_str()),
        ("openblas", "")
    );
    assert_eq!(
        info.filepath,
        std::env::current_exe().unwrap().canonicalize().unwrap()
    );
    assert_eq!(
        (info.num_threads, info.setter_scope),
        (Some(4), SetterScope::Process)
    );

    assert_eq!(pool_work(), 4);
    let guard = Limits::new().all(2).strict(true).limit_process().unwrap();
    assert_eq!(pool_work(), 2);
    drop(guard);
    assert_eq!((openblas_get_num_threads(), pool_work()), (4, 4));
}
