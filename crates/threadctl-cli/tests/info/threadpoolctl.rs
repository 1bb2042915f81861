//! `threadctl info --pid` against threadpoolctl, in the same Python process: field by field.
//!
//! For each library that threadpoolctl finds, threadctl finds the same file once; every value that both report is equal;
//! and each case says which values must be there, so that nothing passes by being null.
use crate::common;
use crate::document::{Document, Runtime};
use crate::python::Python;
use serde_json::{Map, Value};
use std::path::Path;

/// The fields that threadpoolctl reports and that must not be null, for the runtimes of one kind.
type Required = (&'static str, &'static [&'static str]);

const EVERYTHING: &[&str] = &["version", "threading_layer", "architecture", "num_threads"];

/// Compares one state of one process, and returns what threadctl found.
fn compare(python: &Python, theirs: &[Map<String, Value>], required: &[Required]) -> Document {
    let ours = python.inspect();
    assert_eq!(ours.pid, python.pid);
    assert!(!theirs.is_empty(), "threadpoolctl found nothing");
    for entry in theirs {
        let path = Path::new(entry["filepath"].as_str().unwrap())
            .canonicalize()
            .unwrap();
        let found: Vec<_> = ours
            .runtimes
            .iter()
            .filter(|own| own.filepath == path)
            .collect();
        let [own] = found[..] else {
            panic!(
                "{} is reported {} times in {ours:#?}",
                path.display(),
                found.len()
            );
        };
        let values = comparable(own);
        for (field, theirs) in entry.iter().filter(|(field, _)| *field != "filepath") {
            let own = values
                .get(field)
                .unwrap_or_else(|| panic!("no field {field}"));
            if !own.is_null() && !theirs.is_null() {
                assert_eq!(own, theirs, "{field} of {}", path.display());
            }
        }
    }
    for (internal_api, fields) in required {
        let of_kind: Vec<_> = ours
            .runtimes
            .iter()
            .filter(|own| own.internal_api == *internal_api)
            .collect();
        assert!(!of_kind.is_empty(), "no {internal_api} in {ours:#?}");
        for own in of_kind {
            for field in *fields {
                assert!(!comparable(own)[*field].is_null(), "{field} of {own:#?}");
            }
        }
    }
    ours
}

/// The fields that threadpoolctl has, too.
fn comparable(own: &Runtime) -> Map<String, Value> {
    let value = serde_json::json!({
        "user_api": own.user_api,
        "internal_api": own.internal_api,
        "prefix": own.prefix,
        "version": own.version,
        "threading_layer": own.threading_layer,
        "architecture": own.architecture,
        "num_threads": own.num_threads,
        "current_backend": own.current_backend,
        "available_backends": own.available_backends,
        "loaded_backends": own.loaded_backends,
    });
    value.as_object().unwrap().clone()
}

/// One case from beginning to end.
fn agree(mut python: Python, required: &[Required]) -> Document {
    let theirs = python.report();
    compare(&python, &theirs, required)
}

fn only<'a>(document: &'a Document, internal_api: &str) -> &'a Runtime {
    let mut found = document
        .runtimes
        .iter()
        .filter(|own| own.internal_api == internal_api);
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no {internal_api} in {document:#?}"));
    assert!(
        found.next().is_none(),
        "several {internal_api} in {document:#?}"
    );
    first
}

#[test]
fn pip_numpy_and_scipy_together() {
    let python = Python::with_wheels(&["import:numpy", "import:scipy.linalg"], &[]);
    let ours = agree(python, &[("openblas", EVERYTHING)]);
    let mut integers: Vec<_> = ours
        .runtimes
        .iter()
        .map(|own| own.interface.integers.as_str())
        .collect();
    integers.sort_unstable();
    assert_eq!(
        integers,
        ["ilp64", "lp64"],
        "numpy's and scipy's own OpenBLAS"
    );
}

#[test]
fn debian_numpy_on_openblas_with_pthreads() {
    let python = Python::of_debian("openblas-pthread", &["import:numpy"]);
    let ours = agree(python, &[("openblas", EVERYTHING)]);
    assert_eq!(
        only(&ours, "openblas").threading_layer.as_deref(),
        Some("pthreads")
    );
}

#[test]
fn debian_numpy_on_openblas_with_openmp() {
    let python = Python::of_debian("openblas-openmp", &["import:numpy"]);
    let required = &["version", "threading_layer", "architecture"];
    let ours = agree(python, &[("openblas", required), ("openmp", &[])]);
    let openblas = only(&ours, "openblas");
    assert_eq!(openblas.threading_layer.as_deref(), Some("openmp"));
    // Its own variable would be there to read, but is not what the next call uses.
    assert!(openblas.num_threads.is_none() && openblas.unknown["num_threads"].contains("OpenMP"));
}

#[test]
fn debian_numpy_on_serial_openblas() {
    let python = Python::of_debian("openblas-serial", &["import:numpy"]);
    let ours = agree(python, &[("openblas", EVERYTHING)]);
    let openblas = only(&ours, "openblas");
    assert_eq!(openblas.threading_layer.as_deref(), Some("disabled"));
    assert_eq!(
        (openblas.num_threads, openblas.setter_scope.as_str()),
        (Some(1), "fixed")
    );
    assert_eq!(openblas.concurrent_callers, "unsafe");
}

#[test]
fn pip_mkl_loaded_by_ctypes_on_each_of_its_layers() {
    for (layer, name) in [
        ("INTEL", "intel"),
        ("GNU", "gnu"),
        ("TBB", "tbb"),
        ("SEQUENTIAL", "sequential"),
    ] {
        let library = format!("load:{}", common::library("mkl-rt").display());
        let folder = common::mkl_folder();
        let environment = [("MKL_THREADING_LAYER", layer), ("LD_LIBRARY_PATH", &folder)];
        let python = Python::with_wheels(&[&library], &environment);
        let ours = agree(python, &[("mkl", &["threading_layer"])]);
        let mkl = only(&ours, "mkl");
        assert_eq!(mkl.threading_layer.as_deref(), Some(name));
        assert_eq!(mkl.interface.integers, "lp64");
        assert_eq!(mkl.num_threads, (name == "sequential").then_some(1));
        assert_eq!(
            ours.process.as_ref().unwrap().environment["MKL_THREADING_LAYER"],
            layer
        );
    }
}

#[test]
fn blis_in_each_build() {
    for (key, layer) in [
        ("blis-openmp", "openmp"),
        ("blis-pthread", "pthreads"),
        ("blis-serial", "disabled"),
    ] {
        let library = format!("load:{}", common::library(key).display());
        let python = Python::with_wheels(&[&library], &[]);
        let ours = agree(python, &[("blis", &["version", "threading_layer"])]);
        let blis = only(&ours, "blis");
        assert_eq!(blis.threading_layer.as_deref(), Some(layer));
        assert_eq!(blis.interface.integers, "lp64");
    }
}

#[test]
fn two_openmp_runtimes_in_one_process() {
    let load = |key: &str| format!("load:{}", common::library(key).display());
    let python = Python::with_wheels(&[&load("gomp"), &load("iomp5")], &[]);
    let ours = agree(python, &[("openmp", &[])]);
    let mut prefixes: Vec<_> = ours
        .runtimes
        .iter()
        .map(|own| own.prefix.as_str())
        .collect();
    prefixes.sort_unstable();
    assert_eq!(prefixes, ["libgomp", "libiomp"]);
    assert!(ours.conflicts.is_empty(), "these two bear each other");
}

#[test]
fn the_limit_in_force_is_seen_from_outside_as_it_changes() {
    let mut python = Python::with_wheels(&["import:numpy", "import:scipy.linalg"], &[]);
    let before = python.report();
    compare(&python, &before, &[("openblas", EVERYTHING)]);
    for limit in [1, 3, 2] {
        let after = python.limit(limit);
        let ours = compare(&python, &after, &[("openblas", EVERYTHING)]);
        let limits: Vec<_> = ours.runtimes.iter().map(|own| own.num_threads).collect();
        assert_eq!(limits, [Some(limit), Some(limit)]);
    }
}

/// What OPENBLAS_CORETYPE takes on x86-64. A build without kernels of its own for one takes others in their place.
const KERNELS: &[&str] = &[
    "Prescott",
    "Core2",
    "Penryn",
    "Dunnington",
    "Nehalem",
    "Atom",
    "Opteron",
    "Opteron_SSE3",
    "Barcelona",
    "Nano",
    "Sandybridge",
    "Bobcat",
    "Bulldozer",
    "Piledriver",
    "Steamroller",
    "Excavator",
    "Haswell",
    "Zen",
    "SkylakeX",
    "Cooperlake",
];

/// The kernels are told by the address of a table; each name that a library can give must come out as it spells it.
#[test]
fn kernels_are_named_as_the_library_names_them() {
    let mut names = std::collections::BTreeSet::new();
    for key in ["openblas-pthread", "scipy-openblas32"] {
        let library = format!("load:{}", common::library(key).display());
        for kernels in KERNELS {
            let environment = [("OPENBLAS_CORETYPE", *kernels)];
            let python = Python::with_wheels(&[&library], &environment);
            let ours = agree(python, &[("openblas", EVERYTHING)]);
            names.insert(only(&ours, "openblas").architecture.clone().unwrap());
        }
    }
    if cfg!(target_arch = "x86_64") {
        assert!(names.len() >= 7, "the variable chooses: {names:?}");
    }
}
