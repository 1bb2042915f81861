//! OpenBLAS: pthreads, OpenMP and serial builds, with the affixes of distributions and wheels.
//!
//! The setter depends on the build. With its own pthreads, one integer of the whole process counts. An OpenMP build
//! asks OpenMP at every call, so what counts is the calling thread's value there; `openblas_get_num_threads` returns
//! what some thread asked for last and says nothing about the next call.

use super::describe::{Affixes, Description, Functions, Pool, Reader, Subject};
use super::info::{ConcurrentCallers, Integers};
use super::openmp;
use crate::sys::call::{GetInt, GetText, SetInt};

/// Every spelling of OpenBLAS's functions that is in circulation.
pub(super) const AFFIXES: &[Affixes] = &[
    Affixes {
        prefix: "",
        suffix: "",
    },
    Affixes {
        prefix: "",
        suffix: "64_",
    },
    Affixes {
        prefix: "",
        suffix: "_64",
    },
    Affixes {
        prefix: "scipy_",
        suffix: "",
    },
    Affixes {
        prefix: "scipy_",
        suffix: "64_",
    },
    Affixes {
        prefix: "scipy_",
        suffix: "_64",
    },
];

/// `openblas_get_parallel` returns one of these (OpenBLAS, `common.h`).
pub(crate) const LAYERS: &[(i32, &str)] = &[(0, "disabled"), (1, "pthreads"), (2, "openmp")];

pub(super) fn describe(subject: &Subject<'_>) -> Description {
    let library = subject.library;
    let name = |function: &str| subject.affixes.of(function);
    // SAFETY: the catalog's check made sure that this is OpenBLAS; `cblas.h` declares these types, and its
    // configuration functions may be called from any thread.
    let (config, corename, parallel) = unsafe {
        (
            GetText::find(library, &name("openblas_get_config")),
            GetText::find(library, &name("openblas_get_corename")),
            GetInt::find(library, &name("openblas_get_parallel")),
        )
    };
    // SAFETY: the library is borrowed by `subject`.
    let [config, corename] =
        [config, corename].map(|function| function.and_then(|function| unsafe { function.call() }));
    // SAFETY: as above.
    let parallel = parallel.map(|function| unsafe { function.call() });
    let layer = parallel.and_then(|code| {
        LAYERS
            .iter()
            .find(|(known, _)| *known == code)
            .map(|(_, layer)| *layer)
    });
    let config = Config::parse(config.as_deref().unwrap_or(""));
    // With OpenMP the functions are OpenMP's own, which a lookup through OpenBLAS finds among its dependencies.
    let (get, set) = if layer == Some("openmp") {
        (
            "omp_get_max_threads".to_owned(),
            "omp_set_num_threads".to_owned(),
        )
    } else {
        (
            name("openblas_get_num_threads"),
            name("openblas_set_num_threads"),
        )
    };
    // SAFETY: OpenBLAS's `cblas.h` and the OpenMP standard declare these types.
    let (get, set) = unsafe { (GetInt::find(library, &get), SetInt::find(library, &set)) };
    let functions = get.zip(set).map(|(get, set)| Functions::Plain { get, set });
    let serial = layer == Some("disabled");
    let silent = layer == Some("openmp") && openmp::clash_beside(subject);
    let (process, thread) = match layer {
        Some("disabled") => (None, None),
        Some("openmp") if silent => (None, None),
        // Which of the two it really is, is for the probe to say; this is only where it looks first.
        Some("openmp") => (None, functions),
        _ => (functions, None),
    };
    Description {
        version: config.version,
        threading_layer: Some(layer.unwrap_or("unknown").to_owned()),
        architecture: corename,
        interface: subject.affixes.interface(
            if config.ilp64 || subject.affixes.suffix.contains("64") {
                Integers::Ilp64
            } else {
                Integers::Lp64
            },
        ),
        max_threads: if serial { Some(1) } else { config.max_threads },
        concurrent_callers: match layer {
            // Built without threads and, as distributions do, without locks: concurrent callers share its buffers
            // (measured: a concurrent dsyrk gives wrong numbers).
            Some("disabled") => ConcurrentCallers::Unsafe,
            Some(_) => ConcurrentCallers::Safe,
            None => ConcurrentCallers::Unknown,
        },
        pool: match (serial, get) {
            _ if silent => Pool::LeftAlone(openmp::CLASH),
            (true, _) => Pool::Fixed(1),
            (false, Some(get)) => Pool::Asked(Reader::C(get)),
            (false, None) => Pool::Silent,
        },
        process,
        thread,
        ..Description::default()
    }
}

/// What the configuration text tells: `OpenBLAS 0.3.21 USE64BITINT DYNAMIC_ARCH ... MAX_THREADS=64`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    pub version: Option<String>,
    pub ilp64: bool,
    pub max_threads: Option<u32>,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let version = match (words.next(), words.next()) {
            (Some("OpenBLAS"), Some(version)) => Some(version.to_owned()),
            _ => None,
        };
        let mut config = Config {
            version,
            ..Config::default()
        };
        for word in words {
            match word.split_once('=') {
                Some(("MAX_THREADS", value)) => config.max_threads = value.parse().ok(),
                None if word == "USE64BITINT" => config.ilp64 = true,
                None if word == "SINGLE_THREADED" => config.max_threads = Some(1),
                _ => {}
            }
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn the_configuration_of_a_wheel_is_read() {
        let text =
            "OpenBLAS 0.3.34.481.3  USE64BITINT DYNAMIC_ARCH NO_AFFINITY SkylakeX MAX_THREADS=64";
        assert_eq!(
            Config::parse(text),
            Config {
                version: Some("0.3.34.481.3".into()),
                ilp64: true,
                max_threads: Some(64)
            }
        );
    }

    #[test]
    fn a_serial_build_has_one_thread() {
        let text = "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH NO_AFFINITY Cooperlake SINGLE_THREADED";
        assert_eq!(Config::parse(text).max_threads, Some(1));
    }

    #[test]
    fn other_texts_tell_nothing() {
        assert_eq!(Config::parse(""), Config::default());
        assert_eq!(Config::parse("GotoBLAS2 MAX_THREADS=x").version, None);
    }
}
