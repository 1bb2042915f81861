//! What `threadctl backends --json` prints. A change that takes a field away or gives it another meaning needs a new number
//! in [`SCHEMA`]; new fields do not.

use serde::Serialize;
use threadctl::Integers;
use threadctl::backend::{Available, Backend, ComplexReturn};

/// The name and the version of the document.
const SCHEMA: &str = "threadctl.backends/1";

/// The document.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    schema: &'static str,
    /// The version of this program.
    threadctl: &'static str,
    /// What programs get; `null` where none can be opened.
    current: Option<Current>,
    /// Why none can be opened.
    error: Option<String>,
    /// What `THREADCTL_BACKEND` can name, in the order in which it is tried.
    available: Vec<Named>,
}

#[derive(Debug, Serialize)]
struct Current {
    name: String,
    layers: Vec<Library>,
}

#[derive(Debug, Serialize)]
struct Library {
    path: String,
    integers: Integers,
    /// `registers`, `place`, or `null` where it has no such function.
    complex_return: Option<&'static str>,
    /// What it calls `dgemm` of Fortran, and `cblas_dgemm`.
    names: [String; 2],
}

#[derive(Debug, Serialize)]
struct Named {
    name: &'static str,
    installed: bool,
    /// `null` for one that is missing.
    libraries: Vec<Option<String>>,
    /// The packages that have it.
    install: &'static str,
}

/// The word for it.
pub(super) fn complex_return(how: ComplexReturn) -> Option<&'static str> {
    match how {
        ComplexReturn::Registers => Some("registers"),
        ComplexReturn::Place => Some("place"),
        _ => None,
    }
}

impl Document {
    pub(crate) fn new(current: &threadctl::Result<Backend>, available: &[Available]) -> Self {
        let layers = |backend: &Backend| {
            let layers = backend.layers().iter();
            layers
                .map(|layer| Library {
                    path: layer.path().display().to_string(),
                    integers: layer.integers(),
                    complex_return: complex_return(layer.complex_return()),
                    names: layer.names(),
                })
                .collect()
        };
        Document {
            schema: SCHEMA,
            threadctl: env!("CARGO_PKG_VERSION"),
            current: current.as_ref().ok().map(|backend| Current {
                name: backend.name(),
                layers: layers(backend),
            }),
            error: current.as_ref().err().map(ToString::to_string),
            available: available
                .iter()
                .map(|backend| Named {
                    name: backend.name(),
                    installed: backend.is_installed(),
                    libraries: backend
                        .libraries()
                        .iter()
                        .map(|path| path.as_ref().map(|path| path.display().to_string()))
                        .collect(),
                    install: backend.install(),
                })
                .collect(),
        }
    }
}
