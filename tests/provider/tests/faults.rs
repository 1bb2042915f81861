//! Backends that are broken, go away, or are asked from many sides at once: a clear message or a right result each time.
//!
//! What is broken is a copy of a real library, in which a few bytes were changed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../common/mod.rs"]
mod common;
mod work;

use common::{in_own_process, library};
use ndarray_linalg::{Eigh as _, UPLO};
use object::read::elf::{FileHeader as _, SectionHeader as _, Sym as _};
use object::{Endianness, elf};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use threadctl::backend;
use threadctl_src as _;
use work::{in_child, paths, solves};

/// A folder of its own, and in it a copy of a library, changed.
fn changed(key: &str, change: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let original = library(key);
    let path = folder.path().join(original.file_name().unwrap());
    let mut bytes = std::fs::read(&original).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Has the file not define some of its dynamic symbols any more. For Debian's OpenBLAS, whose own references are bound when
/// they are used; others cannot be opened then, as the loader says.
fn without(bytes: &mut [u8], mut dropped: impl FnMut(&str) -> bool) {
    const ENTRY: usize = size_of::<elf::Sym64<Endianness>>();
    let mut places = Vec::new();
    {
        let header = elf::FileHeader64::<Endianness>::parse(&*bytes).unwrap();
        let endian = header.endian().unwrap();
        let sections = header.sections(endian, &*bytes).unwrap();
        let table = sections.symbols(endian, &*bytes, elf::SHT_DYNSYM).unwrap();
        let start = sections.section(table.section()).unwrap().sh_offset(endian) as usize;
        for (index, symbol) in table.iter().enumerate() {
            let name = symbol.name(endian, table.strings()).unwrap();
            let name = std::str::from_utf8(name).unwrap();
            if symbol.st_type() == elf::STT_FUNC && dropped(name) {
                places.push(start + index * ENTRY);
            }
        }
    }
    assert!(!places.is_empty(), "nothing of that name");
    for place in places {
        // Section and address: 0 is an undefined symbol.
        bytes[place + 6..place + 16].fill(0);
    }
}

/// What the program of this package says when it cannot compute: it must not go on, nor die of anything else.
fn last_words(backend: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provider"));
    common::without_thread_variables(&mut command);
    command.env("THREADCTL_BACKEND", backend);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let words = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.signal(), Some(libc::SIGABRT), "{status}: {words}");
    assert!(stdout.is_empty(), "{backend} computed");
    assert!(words.starts_with("threadctl-src: "), "{words}");
    words
}

fn says(backend: &Path, parts: &[&str]) {
    let backend = backend.to_str().unwrap();
    let words = last_words(backend);
    for part in parts.iter().chain(&[backend]) {
        assert!(words.contains(part), "{part:?} is not in {words}");
    }
}

#[test]
fn a_library_for_another_cpu_is_named() {
    let (other, name) = if cfg!(target_arch = "x86_64") {
        (elf::EM_AARCH64, "built for aarch64")
    } else {
        (elf::EM_X86_64, "built for x86-64")
    };
    let (_folder, path) = changed("netlib", |bytes| {
        bytes[18..20].copy_from_slice(&other.0.to_ne_bytes());
    });
    says(&path, &[name, "this program for"]);
}

#[test]
fn a_library_whose_end_is_missing_is_named_and_does_not_crash() {
    for key in ["netlib", "openblas-serial"] {
        let (_folder, path) = changed(key, |bytes| bytes.truncate(bytes.len() / 2));
        says(&path, &["its end is missing"]);
    }
    let (_folder, path) = changed("netlib", Vec::clear);
    says(&path, &["file too short"]);
}

#[test]
fn what_is_no_file_is_named_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    says(&common::make_fifo(folder.path()), &["no regular file"]);
    says(folder.path(), &["no regular file"]);
}

#[test]
fn half_a_blas_is_refused_with_a_routine_that_it_lacks() {
    let mut count = 0;
    let (_folder, path) = changed("openblas-pthread", |bytes| {
        without(bytes, |name| {
            let is_blas = name.starts_with(['s', 'd', 'c', 'z']) && name.ends_with('_');
            // What the library is recognised by stays.
            count += usize::from(is_blas);
            is_blas && count % 2 == 0 && !["dgemm_", "sgemm_"].contains(&name)
        });
    });
    says(&path, &["it is no whole BLAS: it has no "]);
}

#[test]
fn a_lacking_routine_is_named_where_it_is_called() {
    let (_folder, path) = changed("openblas-pthread", |bytes| {
        without(bytes, |name| name == "dgesvd_");
    });
    says(&path, &["dgesvd_", "it has no dgesvd_", "liblapack3"]);
    // One that the library itself needs: the loader's words.
    let (_folder, path) = changed("netlib", |bytes| without(bytes, |name| name == "dgemm_"));
    says(&path, &["undefined symbol: dgemm_"]);
}

#[test]
fn a_library_that_is_deleted_while_in_use_goes_on() {
    let test = "a_library_that_is_deleted_while_in_use_goes_on";
    let (_folder, path) = changed("openblas-pthread", |_| ());
    let name = path.to_str().unwrap();
    in_own_process(test, &[("THREADCTL_BACKEND", name)], || {
        let path = PathBuf::from(std::env::var_os("THREADCTL_BACKEND").unwrap());
        solves(60);
        std::fs::remove_file(&path).unwrap();
        solves(60);
        // A routine that nobody has called before.
        let matrix = ndarray::Array2::<f64>::from_diag(&ndarray::array![3.0, 1.0, 2.0]);
        let (values, _) = matrix.eigh(UPLO::Lower).unwrap();
        assert_eq!(values.to_vec(), [1.0, 2.0, 3.0]);
        // Away and back, although nobody could open it now.
        let other = paths(&["netlib", "lapack"]).parse().unwrap();
        // SAFETY: BLAS libraries.
        unsafe { backend::switch(&other) }.unwrap();
        solves(60);
        let back = path.to_str().unwrap().parse().unwrap();
        // SAFETY: as above.
        let current = unsafe { backend::switch(&back) }.unwrap();
        assert_eq!(current.layers()[0].path(), path);
        solves(60);
    });
}

#[test]
fn a_library_that_the_program_closes_stays() {
    let test = "a_library_that_the_program_closes_stays";
    let path = paths(&["scipy-openblas32"]);
    in_own_process(test, &[("THREADCTL_BACKEND", &path)], || {
        let open = || {
            // SAFETY: the initialisers of a BLAS.
            unsafe { libloading::os::unix::Library::new(library("scipy-openblas32")) }.unwrap()
        };
        // Opened and closed before us, with us, and after us.
        open().close().unwrap();
        let own = open();
        solves(60);
        own.close().unwrap();
        solves(60);
        for _ in 0..3 {
            let handle = open().into_raw();
            // More often than it was opened, as programs with a fault do.
            for _ in 0..2 {
                // SAFETY: a handle of dlopen; that it is closed twice is what this is about.
                unsafe { libc::dlclose(handle) };
            }
            solves(60);
        }
    });
}

/// 200 threads that begin at once and call what goes through dispatch and what does not.
fn many_callers(test: &str, keys: &[&str], environment: &[(&str, &str)]) {
    let backend = paths(keys);
    let mut environment = environment.to_vec();
    environment.push(("THREADCTL_BACKEND", &backend));
    in_own_process(test, &environment, || {
        const CALLERS: usize = 200;
        let begin = Barrier::new(CALLERS);
        std::thread::scope(|scope| {
            for caller in 0..CALLERS {
                let begin = &begin;
                scope.spawn(move || {
                    begin.wait();
                    for round in 0..3 {
                        solves(20 + (caller + round) % 20);
                    }
                });
            }
        });
    });
}

#[test]
fn openblas_bears_200_callers() {
    many_callers("openblas_bears_200_callers", &["scipy-openblas32"], &[]);
}

#[test]
fn openblas_of_debian_bears_200_callers() {
    let test = "openblas_of_debian_bears_200_callers";
    many_callers(test, &["openblas-pthread"], &[]);
}

#[test]
fn openblas_without_threads_bears_200_callers() {
    let test = "openblas_without_threads_bears_200_callers";
    many_callers(test, &["openblas-serial"], &[]);
}

#[test]
fn openblas_over_openmp_bears_200_callers() {
    let test = "openblas_over_openmp_bears_200_callers";
    many_callers(test, &["openblas-openmp"], &[]);
}

#[test]
fn blis_bears_200_callers() {
    many_callers("blis_bears_200_callers", &["blis-pthread", "lapack"], &[]);
}

#[test]
fn atlas_bears_200_callers() {
    if let Some(why) = common::absent("atlas") {
        assert!(why.contains("ATLAS"), "{why}");
        return;
    }
    many_callers("atlas_bears_200_callers", &["atlas", "atlas-lapack"], &[]);
}

#[test]
fn the_reference_libraries_bear_200_callers() {
    let test = "the_reference_libraries_bear_200_callers";
    many_callers(test, &["netlib", "lapack"], &[]);
}

#[test]
fn mkl_bears_200_callers() {
    let folder = common::mkl_folder();
    let environment = [("LD_LIBRARY_PATH", folder.as_str())];
    many_callers("mkl_bears_200_callers", &["mkl-rt"], &environment);
}

/// Children that are forked while other threads call.
fn forks_in_the_middle(test: &str, keys: &[&str]) {
    // To look for what happens rarely: thousands.
    let forks = std::env::var("THREADCTL_TEST_FORKS").map_or(100, |forks| forks.parse().unwrap());
    let folder = common::mkl_folder();
    let environment = [
        ("THREADCTL_BACKEND", paths(keys)),
        ("LD_LIBRARY_PATH", folder),
    ];
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    in_own_process(test, &environment, || {
        solves(40);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        solves(40);
                    }
                });
            }
            let wrong = (0..forks).filter(|_| !in_child(|| solves(40))).count();
            stop.store(true, Ordering::Relaxed);
            assert_eq!(wrong, 0, "of {forks} children");
        });
        solves(40);
    });
}

#[test]
fn a_child_of_many_callers_computes_on_openblas_with_threads_of_its_own() {
    forks_in_the_middle(
        "a_child_of_many_callers_computes_on_openblas_with_threads_of_its_own",
        &["openblas-pthread"],
    );
}

#[test]
fn a_child_of_many_callers_computes_on_openblas_over_openmp() {
    forks_in_the_middle(
        "a_child_of_many_callers_computes_on_openblas_over_openmp",
        &["openblas-openmp"],
    );
}

#[test]
fn a_child_of_many_callers_computes_on_openblas_of_the_wheel() {
    forks_in_the_middle(
        "a_child_of_many_callers_computes_on_openblas_of_the_wheel",
        &["scipy-openblas32"],
    );
}

#[test]
fn a_child_of_many_callers_computes_on_openblas_without_threads() {
    forks_in_the_middle(
        "a_child_of_many_callers_computes_on_openblas_without_threads",
        &["openblas-serial"],
    );
}

#[test]
fn a_child_of_many_callers_computes_on_the_reference_libraries() {
    forks_in_the_middle(
        "a_child_of_many_callers_computes_on_the_reference_libraries",
        &["netlib", "lapack"],
    );
}

#[test]
fn a_child_of_many_callers_computes_on_blis() {
    forks_in_the_middle(
        "a_child_of_many_callers_computes_on_blis",
        &["blis-pthread", "lapack"],
    );
}

#[test]
fn a_child_of_many_callers_computes_on_mkl() {
    forks_in_the_middle("a_child_of_many_callers_computes_on_mkl", &["mkl-rt"]);
}

#[test]
fn a_child_of_many_callers_computes_on_atlas() {
    forks_in_the_middle(
        "a_child_of_many_callers_computes_on_atlas",
        &["atlas", "atlas-lapack"],
    );
}
