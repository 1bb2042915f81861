//! FlexiBLAS: a BLAS that passes its calls on to a backend chosen at run time.
//!
//! Signatures from `flexiblas_api.h`. The number of threads is handed to the backend in use; -1 means that the
//! backend told none, which is one thread.

use super::describe::{Description, Functions as Setter, PLAIN, Pool, Reader, Subject};
use super::info::{ConcurrentCallers, Integers};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::call::{GetInt, ListNames, SetInt, TakeText, WriteInts, WriteText};
use crate::sys::library::Library;

/// Long enough for every backend's name (FlexiBLAS truncates to what it is given).
const NAME: usize = 1024;

/// Not a backend that a user could choose: FlexiBLAS's own last resort, which its own listing leaves out too.
const FALLBACK: &str = "__FALLBACK__";

/// The backend functions of one loaded FlexiBLAS; each may be missing in an old version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Functions {
    current: Option<WriteText>,
    list: Option<ListNames>,
    list_loaded: Option<ListNames>,
    load: Option<TakeText>,
    load_library: Option<TakeText>,
    switch: Option<crate::sys::call::MapInt>,
}

pub(super) fn describe(subject: &Subject<'_>) -> Description {
    let library = subject.library;
    // SAFETY: the catalog's check made sure that this is FlexiBLAS; `flexiblas_api.h` declares these types.
    let (get, set, version, functions) = unsafe {
        (
            GetInt::find(library, "flexiblas_get_num_threads"),
            SetInt::find(library, "flexiblas_set_num_threads"),
            WriteInts::find(library, "flexiblas_get_version"),
            Functions {
                current: WriteText::find(library, "flexiblas_current_backend"),
                list: ListNames::find(library, "flexiblas_list"),
                list_loaded: ListNames::find(library, "flexiblas_list_loaded"),
                load: TakeText::find(library, "flexiblas_load_backend"),
                load_library: TakeText::find(library, "flexiblas_load_backend_library"),
                switch: crate::sys::call::MapInt::find(library, "flexiblas_switch"),
            },
        )
    };
    Description {
        version: version.map(|version| {
            // SAFETY: the library is borrowed by `subject`.
            let [major, minor, patch] = unsafe { version.call() };
            format!("{major}.{minor}.{patch}")
        }),
        interface: PLAIN.interface(
            if library.path().to_string_lossy().contains("flexiblas64") {
                Integers::Ilp64
            } else {
                Integers::Lp64
            },
        ),
        concurrent_callers: ConcurrentCallers::Unknown,
        pool: get.map_or(Pool::Silent, |get| Pool::Asked(Reader::C(get))),
        process: get.zip(set).map(|(get, set)| Setter::Plain { get, set }),
        flexiblas: Some(functions),
        ..Description::default()
    }
}

impl Functions {
    /// The backend that calls go to now. `held` is the library that these functions are of.
    pub(crate) fn current(&self, _held: &Library) -> Option<String> {
        // SAFETY: `_held` keeps the library mapped.
        self.current
            .map(|function| unsafe { function.call::<NAME>() })
    }

    /// The backends that the configuration names.
    pub(crate) fn available(&self, _held: &Library) -> Option<Vec<String>> {
        self.list.map(names)
    }

    /// The backends that are loaded, in the order of their numbers.
    pub(crate) fn loaded(&self, _held: &Library) -> Option<Vec<String>> {
        self.list_loaded.map(names)
    }

    /// Loads `backend` if need be (a name of the configuration, or a path) and sends calls to it from now on.
    pub(crate) fn switch(&self, held: &Library, backend: &str) -> Result<()> {
        let unsupported = |what: &str| {
            Error::new(
                ErrorKind::Unsupported,
                format!("this FlexiBLAS has no {what}"),
            )
        };
        let list_loaded = self
            .list_loaded
            .ok_or_else(|| unsupported("flexiblas_list_loaded"))?;
        let switch = self.switch.ok_or_else(|| unsupported("flexiblas_switch"))?;
        // With the fallback counted: these positions are FlexiBLAS's own numbers.
        let position = || {
            all_names(list_loaded)
                .iter()
                .position(|name| name == backend)
        };
        let known = self.available(held).unwrap_or_default();
        let number = match position() {
            Some(number) => number as i32,
            None => {
                let load = if known.iter().any(|name| name == backend) {
                    self.load
                        .ok_or_else(|| unsupported("flexiblas_load_backend"))?
                } else {
                    self.load_library
                        .ok_or_else(|| unsupported("flexiblas_load_backend_library"))?
                };
                // SAFETY: `held` keeps the library mapped.
                unsafe { load.call(backend) }.filter(|number| *number >= 0).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Unsupported,
                        format!(
                            "FlexiBLAS cannot load the backend {backend:?}: neither one of its configuration \
                             ({}) nor the path of a BLAS library",
                            known.join(", ")
                        ),
                    )
                })?
            }
        };
        // SAFETY: `held` keeps the library mapped; the number is one that FlexiBLAS gave.
        if unsafe { switch.call(number) } < 0 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("FlexiBLAS refused to switch to its loaded backend {backend:?}"),
            ));
        }
        Ok(())
    }
}

fn names(list: ListNames) -> Vec<String> {
    let mut names = all_names(list);
    names.retain(|name| name != FALLBACK);
    names
}

fn all_names(list: ListNames) -> Vec<String> {
    // SAFETY: reached only through the methods of `Functions`, whose callers hold the library.
    unsafe { list.all::<NAME>() }
}
