//! What the catalog learns about one loaded library: facts that do not change while it is loaded, and the functions
//! that read and set its threads.
//!
//! Invariant: the functions in a [`Description`] belong to the library that was described; they are called only
//! through a [`Setting`](super::setting::Setting), which holds that library.

use super::info::{ConcurrentCallers, Integers, Interface};
use crate::sys::call::{GetInt, GetLong, MapInt, SetInt, SetLong};
use crate::sys::library::Library;
use std::sync::Arc;

/// The constant facts of one loaded runtime.
#[derive(Debug, Clone, Default)]
pub(crate) struct Description {
    pub version: Option<String>,
    pub threading_layer: Option<String>,
    pub architecture: Option<String>,
    pub interface: Interface,
    pub max_threads: Option<u32>,
    pub concurrent_callers: ConcurrentCallers,
    pub pool: Pool,
    /// Setters worth trying; which of them work, and for whom, is found out by the probe.
    pub process: Option<Functions>,
    pub thread: Option<Functions>,
    pub flexiblas: Option<super::flexiblas::Functions>,
    /// One of those OpenMP runtimes of which a process bears only one.
    pub llvm_openmp: bool,
}

/// How the number of threads can be known.
#[derive(Debug, Clone, Default)]
pub(crate) enum Pool {
    /// A function of the library tells.
    Asked(Reader),
    /// The build fixes it.
    Fixed(u32),
    /// The library has no such function.
    #[default]
    Silent,
    /// It is neither asked nor set, and why.
    LeftAlone(&'static str),
}

/// Reads a number of threads.
#[derive(Clone)]
pub(crate) enum Reader {
    C(GetInt),
    Long(GetLong),
    Custom(Arc<dyn super::custom::Controller>),
}

/// A setting that exists in the library, as functions.
#[derive(Clone)]
pub(crate) enum Functions {
    /// `int get(void)`, `void set(int)`: what `get` returned is what `set` restores.
    Plain { get: GetInt, set: SetInt },
    /// The same with 64 bits, and numbers of threads per loop that go before the one that is set (BLIS).
    Ways {
        get: GetLong,
        set: SetLong,
        ways: [Option<GetLong>; 5],
    },
    /// As `Plain`, and `int domain(int)`: the number for a part of the library, which goes before the whole's (MKL).
    Domains {
        get: GetInt,
        set: SetInt,
        domain: MapInt,
    },
    /// `int get(void)`, `int set(int)`: `set` returns the value that restores, 0 for "none of its own". `key` is that
    /// of [`Functions::key`].
    ReturnsPrevious {
        get: GetInt,
        set: MapInt,
        key: usize,
    },
    /// A controller of the user's own.
    Custom(Arc<dyn super::custom::Controller>),
}

/// Keys of MKL's two numbers. No function has these addresses.
const MKL_PROCESS_KEY: usize = 1;
pub(crate) const MKL_THREAD_KEY: usize = 2;

impl Functions {
    /// Two runtimes whose setters have one key share one value, whatever they are called.
    pub(crate) fn key(&self) -> usize {
        match self {
            Functions::Plain { set, .. } => set.address(),
            Functions::Ways { set, .. } => set.address(),
            // Several of MKL's files export it, each at an address of its own, and all lead to one number.
            Functions::Domains { .. } => MKL_PROCESS_KEY,
            Functions::ReturnsPrevious { key, .. } => *key,
            Functions::Custom(controller) => Arc::as_ptr(controller).cast::<()>() as usize,
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Reader::C(_) => "Reader::C",
            Reader::Long(_) => "Reader::Long",
            Reader::Custom(_) => "Reader::Custom",
        })
    }
}

impl std::fmt::Debug for Functions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Functions({:#x})", self.key())
    }
}

/// Name prefixes and suffixes under which a library exports its functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Affixes {
    pub prefix: &'static str,
    pub suffix: &'static str,
}

/// No affixes at all.
pub(crate) const PLAIN: Affixes = Affixes {
    prefix: "",
    suffix: "",
};

impl Affixes {
    /// The exported name of a function.
    pub(crate) fn of(self, name: &str) -> String {
        format!("{}{name}{}", self.prefix, self.suffix)
    }

    pub(crate) fn interface(self, integers: Integers) -> Interface {
        Interface {
            integers,
            symbol_prefix: self.prefix.to_owned(),
            symbol_suffix: self.suffix.to_owned(),
        }
    }
}

/// What a describing function is given.
pub(crate) struct Subject<'a> {
    pub library: &'a Library,
    pub affixes: Affixes,
    pub around: Around<'a>,
}

/// What is loaded in the process.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    /// The names of all files.
    pub beside: &'a [String],
    /// The names of the files that are an LLVM or Intel OpenMP runtime.
    pub llvm_openmp: &'a [String],
}

impl Subject<'_> {
    /// The name of its file, as the loader knows it.
    pub(crate) fn file_name(&self) -> String {
        self.library
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// Whether a file whose name starts so is loaded in the process.
    pub(crate) fn is_beside(&self, prefix: &str) -> bool {
        self.around
            .beside
            .iter()
            .any(|name| name.starts_with(prefix))
    }
}
