//! What can be known of a runtime from outside, one function per kind of runtime; the counterpart of the `describe`
//! functions of the catalog.
//!
//! Invariant: a value is given only if the file or the memory of the process proves it; otherwise the reason stands in
//! its place. Where both can answer, the answer is the one that the library itself would give.

use super::image::Image;
use crate::runtime::catalog::{self, Row};
use crate::runtime::describe::Affixes;
use crate::runtime::mkl::LAYER_FILES;
use crate::runtime::openblas::{Config, LAYERS};
use crate::runtime::{ConcurrentCallers, Integers, RuntimeInfo, SetterScope, fixed};
use std::collections::BTreeMap;
use std::path::Path;

/// A value, or why it is not known.
type Known<T> = Result<T, String>;

const NOT_CALLED: &str =
    "only a call into the library tells it, and nothing is called in another process";
const TRIED_INSIDE: &str = "whom a setter reaches is found out by trying it, which only the process itself can do \
     (threadctl::runtimes())";
const PER_THREAD: &str = "OpenMP keeps a number for each thread, out of reach from outside; OMP_NUM_THREADS is where \
     threads start from unless the program sets another";

/// Functions that a program compiled for OpenMP calls, by compiler.
const OPENMP_CALLS: &[&str] = &["GOMP_parallel", "__kmpc_fork_call"];

/// The variable in which OpenBLAS keeps its number of threads, and the one that points to its kernels.
const CPU_NUMBER: &str = "blas_cpu_number";
const KERNELS: &str = "gotoblas";

/// A runtime of another process.
pub(super) struct Outside<'a> {
    pub image: &'a Image,
    pub affixes: Affixes,
    /// As the process sees it.
    pub path: &'a Path,
    /// The names of all files mapped beside it.
    pub beside: &'a [String],
}

/// What is known of it.
struct Facts {
    version: Known<String>,
    threading_layer: Known<String>,
    architecture: Known<String>,
    num_threads: Known<u32>,
    max_threads: Known<u32>,
    integers: Known<Integers>,
    callers: Known<ConcurrentCallers>,
    scope: Known<SetterScope>,
}

/// Which symbols are worth reading.
pub(super) fn is_wanted(name: &str) -> bool {
    catalog::is_catalog_symbol(name)
        || name.starts_with(KERNELS)
        || name.contains(CPU_NUMBER)
        || OPENMP_CALLS.contains(&name)
        || crate::runtime::rayon::is_registry(name)
}

/// What is known of a runtime of the kind of `row`, recognised by `prefix`.
pub(super) fn describe(row: &Row, prefix: &str, outside: &Outside<'_>) -> RuntimeInfo {
    type Describe = fn(&Outside<'_>) -> Facts;
    const DESCRIBERS: &[(&str, Describe)] = &[
        ("openblas", openblas),
        ("blis", blis),
        ("mkl", mkl),
        ("openmp", openmp),
        ("atlas", atlas),
    ];
    let facts = DESCRIBERS
        .iter()
        .find(|(internal_api, _)| *internal_api == row.internal_api)
        .map_or_else(Facts::none, |(_, describe)| describe(outside));
    facts.into_info(row.user_api, row.internal_api, prefix, outside, row.tested)
}

/// rayon's global pool, which runs in the program.
pub(super) fn rayon(outside: &Outside<'_>) -> RuntimeInfo {
    let facts = Facts {
        num_threads: Err("rayon keeps it in a structure without a documented layout".to_owned()),
        callers: Ok(ConcurrentCallers::Safe),
        scope: Ok(SetterScope::Fixed),
        ..Facts::none()
    };
    facts.into_info("rayon", "rayon", "", outside, true)
}

fn openblas(outside: &Outside<'_>) -> Facts {
    let image = outside.image;
    let name = |function: &str| outside.affixes.of(function);
    let text = image.find_in_constants(config_text).unwrap_or_default();
    let config = Config::parse(&text);
    let layer = image
        .returned_integer(&name("openblas_get_parallel"))
        .and_then(|code| LAYERS.iter().find(|(known, _)| *known == code))
        .map(|(_, layer)| *layer)
        .or_else(|| {
            let openmp = OPENMP_CALLS.iter().any(|call| image.imports(call));
            openmp.then_some("openmp")
        });
    let integers = if config.ilp64 || outside.affixes.suffix.contains("64") {
        Ok(Integers::Ilp64)
    } else if text.split_whitespace().count() > 2 {
        // The word would stand right after the version, and another one does.
        Ok(Integers::Lp64)
    } else {
        Err("the file has no complete text of its configuration".to_owned())
    };
    let serial = layer == Some("disabled");
    Facts {
        version: config
            .version
            .ok_or_else(|| "the file has no text of its configuration".to_owned()),
        threading_layer: layer
            .map(str::to_owned)
            .ok_or_else(|| NOT_CALLED.to_owned()),
        architecture: openblas_kernels(outside),
        num_threads: match layer {
            Some("disabled") => Ok(1),
            Some("openmp") => Err(PER_THREAD.to_owned()),
            Some(_) => openblas_threads(outside),
            None => Err("it is not known whether its threads are its own or OpenMP's".to_owned()),
        },
        max_threads: if serial {
            Ok(1)
        } else {
            Err(NOT_CALLED.to_owned())
        },
        integers,
        callers: match layer {
            Some("disabled") => Ok(ConcurrentCallers::Unsafe),
            Some(_) => Ok(ConcurrentCallers::Safe),
            None => Err("its threading layer is not known".to_owned()),
        },
        scope: scope(serial),
    }
}

/// `OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...`: as much of it as lies together in the file, in whole words.
///
/// Compilers may copy the text piece by piece and keep the last piece elsewhere, so it is cut at its last space.
fn config_text(constants: &[u8]) -> Option<String> {
    const START: &[u8] = b"OpenBLAS ";
    let mut rest = constants;
    while let Some(at) = rest.windows(START.len()).position(|bytes| bytes == START) {
        rest = rest.get(at..)?;
        let text: Vec<u8> = rest
            .iter()
            .copied()
            .take_while(|byte| byte.is_ascii_graphic() || *byte == b' ')
            .take(200)
            .collect();
        let text = String::from_utf8(text).ok()?;
        let whole_words = text.rsplit_once(' ').map_or("", |(whole, _)| whole);
        // Its messages begin in the same way, but not with a version.
        let version = whole_words.split(' ').nth(1).unwrap_or_default();
        if version.starts_with(|first: char| first.is_ascii_digit()) && version.contains('.') {
            return Some(whole_words.to_owned());
        }
        rest = rest.get(START.len()..)?;
    }
    None
}

/// The number that the next call uses, in a build with threads of its own.
fn openblas_threads(outside: &Outside<'_>) -> Known<u32> {
    let image = outside.image;
    let value = image
        .live_integer(CPU_NUMBER)
        .or_else(|| image.live_integer(&outside.affixes.of(CPU_NUMBER)))
        .ok_or_else(|| format!("the file is stripped of the variable {CPU_NUMBER}"))??;
    u32::try_from(value)
        .ok()
        .filter(|threads| *threads > 0)
        .ok_or_else(|| "it has not set its threads up yet".to_owned())
}

/// The kernels that it chose when it was loaded, spelled as it spells them.
fn openblas_kernels(outside: &Outside<'_>) -> Known<String> {
    let image = outside.image;
    let affixed = outside.affixes.of(KERNELS);
    let chosen = image
        .live_pointer(KERNELS)
        .or_else(|| image.live_pointer(&affixed));
    let Some(chosen) = chosen else {
        // A build for one kind of processor has nothing to choose; an older or stripped one does not tell.
        return image
            .returned_text(&outside.affixes.of("openblas_get_corename"))
            .ok_or_else(|| format!("the file is stripped of the variable {KERNELS}"));
    };
    let chosen = chosen?;
    let symbol = image
        .names_at(chosen)
        .find_map(|name| {
            name.split_once("gotoblas_")
                .map(|(_, kernels)| kernels.to_owned())
        })
        .ok_or_else(|| "the file is stripped of the names of its kernels".to_owned())?;
    let symbol = match symbol.as_str() {
        // In a build without kernels for the oldest processors, all those stand for PRESCOTT, and the library gives it
        // the name of the first of them.
        "PRESCOTT" if !image.has("gotoblas_KATMAI") => "KATMAI",
        // Its list of names has these two the other way round than its list of kernels.
        "OPTERON" => "OPTERON_SSE3",
        "OPTERON_SSE3" => "OPTERON",
        as_named => as_named,
    };
    image
        .find_in_constants(|constants| spelling(constants, symbol))
        .ok_or_else(|| format!("the file has no spelling of its kernels {symbol}"))
}

/// The zero-terminated text that equals `name` but for the case of its letters.
fn spelling(constants: &[u8], name: &str) -> Option<String> {
    let name = name.as_bytes();
    constants.windows(name.len() + 2).find_map(|window| {
        let (before, rest) = window.split_first()?;
        let (end, word) = rest.split_last()?;
        let inside = before.is_ascii_alphanumeric() || *before == b'_';
        (!inside && *end == 0 && word.eq_ignore_ascii_case(name))
            .then(|| String::from_utf8_lossy(word).into_owned())
    })
}

fn blis(outside: &Outside<'_>) -> Facts {
    let image = outside.image;
    let openmp = image.returned_integer("bli_info_get_enable_openmp");
    let pthreads = image.returned_integer("bli_info_get_enable_pthreads");
    let layer = match (openmp, pthreads) {
        (Some(1..), _) => Ok("openmp"),
        (Some(_), Some(1..)) => Ok("pthreads"),
        (Some(_), Some(_)) => Ok("disabled"),
        _ => Err(NOT_CALLED.to_owned()),
    };
    let serial = layer == Ok("disabled");
    Facts {
        version: image
            .returned_text("bli_info_get_version_str")
            .ok_or_else(|| NOT_CALLED.to_owned()),
        threading_layer: layer.map(str::to_owned),
        architecture: Err("BLIS keeps its choice in a variable without a symbol".to_owned()),
        num_threads: if serial {
            Ok(1)
        } else {
            Err("BLIS keeps it in a variable without a symbol".to_owned())
        },
        max_threads: if serial {
            Ok(1)
        } else {
            Err(NOT_CALLED.to_owned())
        },
        integers: match image.returned_integer("bli_info_get_blas_int_type_size") {
            Some(32) => Ok(Integers::Lp64),
            Some(64) => Ok(Integers::Ilp64),
            _ => Err(NOT_CALLED.to_owned()),
        },
        callers: Ok(ConcurrentCallers::Safe),
        scope: scope(serial),
    }
}

fn mkl(outside: &Outside<'_>) -> Facts {
    let layer = only_one(LAYER_FILES, outside.beside).ok_or_else(|| {
        "MKL has loaded no threading layer yet, or several; the first call decides".to_owned()
    });
    const INTERFACES: &[(&str, Integers)] = &[
        ("libmkl_intel_lp64", Integers::Lp64),
        ("libmkl_gf_lp64", Integers::Lp64),
        ("libmkl_intel_ilp64", Integers::Ilp64),
        ("libmkl_gf_ilp64", Integers::Ilp64),
    ];
    let integers = only_one(INTERFACES, outside.beside).ok_or_else(|| {
        "MKL has loaded no interface layer yet, or several; the first call decides".to_owned()
    });
    let sequential = layer == Ok("sequential");
    Facts {
        version: Err("MKL composes the text of its version when it is called".to_owned()),
        threading_layer: layer.map(str::to_owned),
        architecture: Err("MKL has no call that names its kernels".to_owned()),
        num_threads: if sequential {
            Ok(1)
        } else {
            Err(
                "MKL keeps it in variables without symbols, one for each thread and one for all"
                    .to_owned(),
            )
        },
        max_threads: if sequential {
            Ok(1)
        } else {
            Err(NOT_CALLED.to_owned())
        },
        integers,
        callers: Ok(ConcurrentCallers::Safe),
        scope: scope(sequential),
    }
}

/// The value of the only entry of which a file is mapped.
fn only_one<T: Copy + PartialEq>(table: &[(&str, T)], beside: &[String]) -> Option<T> {
    let mut mapped = table
        .iter()
        .filter(|(prefix, _)| beside.iter().any(|file| file.starts_with(prefix)))
        .map(|(_, value)| *value);
    let first = mapped.next()?;
    mapped.all(|other| other == first).then_some(first)
}

fn openmp(_outside: &Outside<'_>) -> Facts {
    Facts {
        version: Err("the OpenMP standard has no call for the version of a runtime".to_owned()),
        threading_layer: Err("an OpenMP runtime has no threading layer but itself".to_owned()),
        architecture: Err("an OpenMP runtime has no kernels".to_owned()),
        num_threads: Err(PER_THREAD.to_owned()),
        callers: Ok(ConcurrentCallers::Safe),
        ..Facts::none()
    }
}

fn atlas(outside: &Outside<'_>) -> Facts {
    let threaded = fixed::THREADED
        .iter()
        .any(|prefix| outside.beside.iter().any(|file| file.starts_with(prefix)));
    Facts {
        version: fixed::version_of(outside.path)
            .ok_or_else(|| "the name of the file does not tell it".to_owned()),
        threading_layer: Ok(if threaded { "pthreads" } else { "disabled" }.to_owned()),
        architecture: Err("ATLAS does not name its kernels".to_owned()),
        num_threads: if threaded {
            Err(NOT_CALLED.to_owned())
        } else {
            Ok(1)
        },
        max_threads: if threaded {
            Err(NOT_CALLED.to_owned())
        } else {
            Ok(1)
        },
        integers: Ok(Integers::Lp64),
        callers: Ok(ConcurrentCallers::Safe),
        scope: Ok(SetterScope::Fixed),
    }
}

/// A library without threads has nothing to set.
fn scope(serial: bool) -> Known<SetterScope> {
    if serial {
        Ok(SetterScope::Fixed)
    } else {
        Err(TRIED_INSIDE.to_owned())
    }
}

impl Facts {
    /// Nothing is known.
    fn none() -> Self {
        fn none<T>() -> Known<T> {
            Err(NOT_CALLED.to_owned())
        }
        Facts {
            version: none(),
            threading_layer: none(),
            architecture: none(),
            num_threads: none(),
            max_threads: none(),
            integers: none(),
            callers: none(),
            scope: Err(TRIED_INSIDE.to_owned()),
        }
    }

    fn into_info(
        self,
        user_api: &str,
        internal_api: &str,
        prefix: &str,
        outside: &Outside<'_>,
        tested: bool,
    ) -> RuntimeInfo {
        let mut unknown = BTreeMap::new();
        let integers = self.integers.unwrap_or_else(|why| {
            // What is no BLAS has no integers of this kind; that needs no words.
            if user_api == "blas" {
                unknown.insert("interface".to_owned(), why);
            }
            Integers::Unknown
        });
        let mut note = Notes(&mut unknown);
        RuntimeInfo {
            user_api: user_api.to_owned(),
            internal_api: internal_api.to_owned(),
            prefix: prefix.to_owned(),
            filepath: outside.path.to_owned(),
            version: note.take("version", self.version),
            threading_layer: note.take("threading_layer", self.threading_layer),
            architecture: note.take("architecture", self.architecture),
            num_threads: note.take("num_threads", self.num_threads),
            setter_scope: note.take("setter_scope", self.scope).unwrap_or_default(),
            max_threads: note.take("max_threads", self.max_threads),
            concurrent_callers: note
                .take("concurrent_callers", self.callers)
                .unwrap_or_default(),
            interface: outside.affixes.interface(integers),
            tested,
            domains: None,
            current_backend: None,
            available_backends: None,
            loaded_backends: None,
            unknown,
        }
    }
}

/// Writes the reasons down.
struct Notes<'a>(&'a mut BTreeMap<String, String>);

impl Notes<'_> {
    fn take<T>(&mut self, field: &str, value: Known<T>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(why) => {
                self.0.insert(field.to_owned(), why);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_told_from_messages_and_cut_at_a_space() {
        let constants =
            b"\0OpenBLAS : munmap failed:\0OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH NO_AFFIN\xf0\0";
        let text = config_text(constants).unwrap();
        assert_eq!(text, "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH");
        assert_eq!(Config::parse(&text).version.as_deref(), Some("0.3.21"));
    }

    #[test]
    fn a_version_that_may_be_cut_off_is_none() {
        assert_eq!(config_text(b"\0OpenBLAS 0.3.2\0"), None);
        assert_eq!(config_text(b"OpenBLAS warning: 0.3.2 \0"), None);
        assert_eq!(config_text(b""), None);
    }

    #[test]
    fn kernels_are_spelled_as_in_the_library() {
        let constants = b"\xfeKatmai\0SkylakeX\0gotoblas_HASWELL\0Haswell\0frozen\0Zen\0";
        let spelled = |name| spelling(constants, name);
        assert_eq!(spelled("SKYLAKEX").as_deref(), Some("SkylakeX"));
        assert_eq!(spelled("KATMAI").as_deref(), Some("Katmai"));
        assert_eq!(spelled("HASWELL").as_deref(), Some("Haswell"));
        assert_eq!(spelled("ZEN").as_deref(), Some("Zen"));
        assert_eq!(spelled("NANO"), None);
    }

    #[test]
    fn two_layers_at_once_tell_nothing() {
        let table = [
            ("libmkl_gnu_thread", "gnu"),
            ("libmkl_sequential", "sequential"),
        ];
        let file = |name: &str| name.to_owned();
        assert_eq!(
            only_one(&table, &[file("libmkl_gnu_thread.so.2")]),
            Some("gnu")
        );
        let both = [
            file("libmkl_gnu_thread.so.2"),
            file("libmkl_sequential.so.2"),
        ];
        assert_eq!(only_one(&table, &both), None);
        assert_eq!(only_one(&table, &[]), None);
    }
}
