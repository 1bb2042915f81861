//! ATLAS: its number of threads is chosen when it is built. Reported, never set.

use super::describe::{Description, PLAIN, Pool, Subject};
use super::info::{ConcurrentCallers, Integers};

/// Threaded builds have names of their own: `libtatlas` and the `pt` libraries; the others are serial.
pub(crate) const THREADED: &[&str] = &["libtatlas", "libptf77blas", "libptcblas"];

pub(super) fn describe(subject: &Subject<'_>) -> Description {
    let threaded = THREADED.iter().any(|prefix| subject.is_beside(prefix));
    Description {
        // ATL_buildinfo prints to standard output, which is not ours to use; the file's name carries the version.
        version: version_in_name(subject.library.path()),
        threading_layer: Some(if threaded { "pthreads" } else { "disabled" }.to_owned()),
        interface: PLAIN.interface(Integers::Lp64),
        max_threads: (!threaded).then_some(1),
        concurrent_callers: ConcurrentCallers::Safe,
        pool: if threaded {
            Pool::Silent
        } else {
            Pool::Fixed(1)
        },
        ..Description::default()
    }
}

/// `libatlas.so.3.10.3` gives `3.10.3`.
fn version_in_name(path: &std::path::Path) -> Option<String> {
    version_of(&path.canonicalize().unwrap_or_else(|_| path.to_owned()))
}

/// As [`version_in_name`], of a path without links.
pub(crate) fn version_of(path: &std::path::Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let (_, version) = name.split_once(".so.")?;
    version.contains('.').then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::version_in_name;
    use std::path::Path;

    #[test]
    fn a_full_version_is_taken_from_the_name_and_a_soname_is_not() {
        assert_eq!(
            version_in_name(Path::new("/none/libatlas.so.3.10.3")).as_deref(),
            Some("3.10.3")
        );
        assert_eq!(version_in_name(Path::new("/none/libatlas.so.3")), None);
        assert_eq!(version_in_name(Path::new("/none/libatlas.so")), None);
    }
}
