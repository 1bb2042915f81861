//! The catalog's rows on a fixture: what cannot be installed, what newer versions do, and runtimes of users' own.
//!
//! The fixture is compiled under the names of the library that it plays, each in a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/found.rs"]
mod found;

use common::{get, in_own_process, load_path, set};
use found::the_one;
use libloading::os::unix::Library;
use std::ffi::c_void;
use std::path::PathBuf;
use std::process::Command;
use std::ptr::NonNull;
use threadctl::{Integers, Registration, Runtime, SetterScope, runtimes};

/// Compiles the fixture as `file` with the given definitions.
fn build(file: &str, definitions: &[&str]) -> PathBuf {
    let folder =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fixture-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(file);
    let output = Command::new("cc")
        .args([
            "-shared", "-fPIC", "-O1", "-pthread", "-Wall", "-Werror", "-o",
        ])
        .arg(&path)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/pool.c"
        ))
        .args(
            definitions
                .iter()
                .map(|definition| format!("-D{definition}")),
        )
        .output()
        .expect("cc, the C compiler, is needed: apt-get install gcc libc6-dev");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    path
}

/// Builds and opens the fixture, and returns it with the runtime it was taken for.
fn play(internal_api: &str, file: &str, definitions: &[&str]) -> (&'static Library, Runtime) {
    let library = load_path(&build(file, definitions));
    (library, the_one(internal_api))
}

#[test]
fn armpl_is_found_and_process_wide() {
    in_own_process("armpl_is_found_and_process_wide", &[], || {
        let (_, runtime) = play(
            "armpl",
            "libarmpl_ilp64_mp.so",
            &["GET=armpl_get_num_threads", "SET=armpl_set_num_threads"],
        );
        let info = runtime.info();
        assert_eq!(info.prefix, "libarmpl");
        assert_eq!(info.num_threads, Some(4));
        assert_eq!(info.setter_scope, SetterScope::Process);
        assert_eq!(info.interface.integers, Integers::Ilp64);
        assert!(!info.tested, "no real ArmPL is tested, and it must say so");
    });
}

#[test]
fn nvpl_has_a_setter_of_each_kind() {
    in_own_process("nvpl_has_a_setter_of_each_kind", &[], || {
        let (library, runtime) = play(
            "nvpl",
            "libnvpl_blas_core.so.0",
            &[
                "GET=nvpl_blas_get_max_threads",
                "SET=nvpl_blas_set_num_threads",
                "SET_LOCAL=nvpl_blas_set_num_threads_local",
            ],
        );
        assert_eq!(runtime.setter_scope(), SetterScope::Both);
        assert_eq!(
            get(library, "nvpl_blas_get_max_threads"),
            4,
            "the probe left nothing behind"
        );
    });
}

#[test]
fn accelerate_is_reported_without_a_number() {
    in_own_process("accelerate_is_reported_without_a_number", &[], || {
        let (_, runtime) = play(
            "accelerate",
            "libBLAS.dylib",
            &["GET=a_get", "SET=a_set", "CHECK=BLASSetThreading"],
        );
        let info = runtime.info();
        assert_eq!(info.num_threads, None);
        assert!(info.unknown.contains_key("num_threads"));
        assert_eq!(info.setter_scope, SetterScope::Unknown);
    });
}

#[test]
fn atlas_is_reported_with_the_version_in_its_name_and_fixed() {
    let test = "atlas_is_reported_with_the_version_in_its_name_and_fixed";
    in_own_process(test, &[], || {
        let (_, runtime) = play(
            "atlas",
            "libatlas.so.3.10.3",
            &["GET=a_get", "SET=a_set", "CHECK=ATL_buildinfo"],
        );
        let info = runtime.info();
        assert_eq!(info.version.as_deref(), Some("3.10.3"));
        assert_eq!(
            (info.num_threads, info.setter_scope),
            (Some(1), SetterScope::Fixed)
        );
    });
}

#[test]
fn a_newer_blis_is_found_to_be_thread_scoped() {
    in_own_process("a_newer_blis_is_found_to_be_thread_scoped", &[], || {
        let (library, runtime) = play(
            "blis",
            "libblis.so.5",
            &[
                "GET=bli_thread_get_num_threads",
                "SET=bli_thread_set_num_threads",
                "CHECK=bli_info_get_enable_openmp",
                "PER_THREAD",
            ],
        );
        let info = runtime.info();
        assert_eq!(info.threading_layer.as_deref(), Some("openmp"));
        assert_eq!(info.setter_scope, SetterScope::Thread);
        assert_eq!(get(library, "bli_thread_get_num_threads"), 4);
    });
}

#[test]
fn openblas_is_found_under_every_affix() {
    in_own_process("openblas_is_found_under_every_affix", &[], || {
        for (file, prefix, suffix) in [
            ("libopenblas.so.0", "", ""),
            ("libopenblas64_.so.0", "", "64_"),
            ("libopenblas_64.so.0", "", "_64"),
            ("libscipy_openblas-1.so", "scipy_", ""),
            ("libscipy_openblas64_-1.so", "scipy_", "64_"),
            ("libscipy_openblas_64-1.so", "scipy_", "_64"),
        ] {
            let name = |function: &str| format!("{prefix}{function}{suffix}");
            let path = build(
                file,
                &[
                    &format!("GET={}", name("openblas_get_num_threads")),
                    &format!("SET={}", name("openblas_set_num_threads")),
                ],
            );
            load_path(&path);
            let found = runtimes();
            let info = found
                .iter()
                .find(|runtime| runtime.filepath() == path)
                .unwrap_or_else(|| panic!("{file} is not found"))
                .info();
            assert_eq!(info.interface.symbol_prefix, prefix);
            assert_eq!(info.interface.symbol_suffix, suffix);
            assert_eq!(info.num_threads, Some(4));
            assert_eq!(info.setter_scope, SetterScope::Process);
        }
        assert_eq!(runtimes().len(), 6);
    });
}

#[test]
fn flexiblas_lists_and_switches_its_backends() {
    in_own_process("flexiblas_lists_and_switches_its_backends", &[], || {
        let (_, runtime) = play(
            "flexiblas",
            "libflexiblas.so.3",
            &[
                "GET=flexiblas_get_num_threads",
                "SET=flexiblas_set_num_threads",
                "FLEXIBLAS",
            ],
        );
        let info = runtime.info();
        assert_eq!(info.version.as_deref(), Some("3.4.5"));
        assert_eq!(info.current_backend.as_deref(), Some("NETLIB"));
        assert_eq!(
            info.loaded_backends.unwrap(),
            ["NETLIB"],
            "the fallback is no backend"
        );
        assert_eq!(
            info.available_backends.unwrap(),
            ["NETLIB", "OPENBLASPTHREAD", "BLISOPENMP"]
        );

        runtime.switch_backend("BLISOPENMP").unwrap();
        assert_eq!(
            runtime.info().current_backend.as_deref(),
            Some("BLISOPENMP")
        );
        runtime.switch_backend("NETLIB").unwrap();
        assert_eq!(runtime.info().current_backend.as_deref(), Some("NETLIB"));
        runtime.switch_backend("/opt/libmyblas.so").unwrap();
        assert_eq!(
            runtime.info().current_backend.as_deref(),
            Some("/opt/libmyblas.so")
        );

        let error = runtime.switch_backend("NONESUCH").unwrap_err().to_string();
        assert!(
            error.contains("NONESUCH") && error.contains("BLISOPENMP"),
            "{error}"
        );
        assert_eq!(
            runtime.info().current_backend.as_deref(),
            Some("/opt/libmyblas.so")
        );
    });
}

#[test]
fn a_runtime_of_ones_own_is_registered_read_and_probed() {
    in_own_process(
        "a_runtime_of_ones_own_is_registered_read_and_probed",
        &[],
        || {
            let path = build(
                "libmylib.so.1",
                &[
                    "GET=my_get",
                    "SET=my_set",
                    "VERSION=my_version",
                    "PER_THREAD",
                ],
            );
            let library = load_path(&path);
            assert!(runtimes().is_empty(), "nothing knows it yet");
            // SAFETY: the fixture declares them so.
            let row = unsafe { Registration::with_functions("mylib", "my_get", "my_set") };
            row.user_api("blas")
                .prefix("libmylib")
                .version_symbol("my_version")
                .register()
                .unwrap();

            let info = the_one("mylib").info();
            assert_eq!(info.user_api, "blas");
            assert_eq!(info.version.as_deref(), Some("1.2.3"));
            assert_eq!(info.num_threads, Some(4));
            assert_eq!(info.setter_scope, SetterScope::Thread);
            set(library, "my_set", 2);
            assert_eq!(the_one("mylib").num_threads(), Some(2));
            assert_eq!(get(library, "pool_work"), 2);
        },
    );
}

#[test]
fn a_controller_reaches_what_two_functions_cannot() {
    in_own_process(
        "a_controller_reaches_what_two_functions_cannot",
        &[],
        || {
            use std::sync::Arc;
            use threadctl::{Controller, LoadedLibrary};

            /// A library that counts its helpers, the caller left out.
            struct Helpers(unsafe extern "C" fn() -> i32, unsafe extern "C" fn(i32));
            impl Controller for Helpers {
                fn num_threads(&self) -> u32 {
                    // SAFETY: the runtime holds its library.
                    unsafe { (self.0)() }.unsigned_abs() + 1
                }
                fn set_num_threads(&self, threads: u32) {
                    // SAFETY: the runtime holds its library.
                    unsafe { (self.1)(threads.cast_signed() - 1) }
                }
            }
            let open = |library: &LoadedLibrary<'_>| {
                let get = library.symbol("h_get")?;
                let set = library.symbol("h_set")?;
                type Get = unsafe extern "C" fn() -> i32;
                type Set = unsafe extern "C" fn(i32);
                // SAFETY: the fixture declares it so.
                let get = unsafe { std::mem::transmute::<NonNull<c_void>, Get>(get) };
                // SAFETY: as above.
                let set = unsafe { std::mem::transmute::<NonNull<c_void>, Set>(set) };
                let helpers = Helpers(get, set);
                Some(Arc::new(helpers) as Arc<dyn Controller>)
            };
            Registration::with_controller("helpers", open)
                .prefix("libhelpers")
                .register()
                .unwrap();
            load_path(&build("libhelpers.so", &["GET=h_get", "SET=h_set"]));
            let runtime = the_one("helpers");
            assert_eq!(runtime.user_api(), "helpers");
            assert_eq!(runtime.num_threads(), Some(5));
            assert_eq!(runtime.setter_scope(), SetterScope::Process);
            assert_eq!(runtime.num_threads(), Some(5));
        },
    );
}

#[test]
fn what_is_loaded_later_is_found_and_what_is_unloaded_is_not_called() {
    in_own_process(
        "what_is_loaded_later_is_found_and_what_is_unloaded_is_not_called",
        &[],
        || {
            use libloading::os::unix::{RTLD_LAZY, RTLD_LOCAL};
            let names: &[&str] = &[
                "GET=openblas_get_num_threads",
                "SET=openblas_set_num_threads",
            ];
            let path = build("libopenblas.so.0", names);
            assert!(runtimes().is_empty());
            for round in 0..50 {
                // SAFETY: the fixture has no initialisers.
                let library =
                    unsafe { Library::open(Some(&path), RTLD_LAZY | RTLD_LOCAL) }.unwrap();
                set(&library, "openblas_set_num_threads", 2 + round % 3);
                assert_eq!(
                    the_one("openblas").num_threads(),
                    Some((2 + round % 3).unsigned_abs())
                );
                if round % 2 == 0 {
                    let held = the_one("openblas");
                    library.close().unwrap();
                    // The program has let go of it, the runtime has not: it may still be called.
                    assert_eq!(held.num_threads(), Some((2 + round % 3).unsigned_abs()));
                } else {
                    library.close().unwrap();
                }
                let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
                assert!(!maps.contains("libopenblas"), "nobody holds it any more");
                assert!(runtimes().is_empty());
            }
        },
    );
}

#[test]
fn another_file_under_the_old_name_is_not_taken_for_the_old_one() {
    in_own_process(
        "another_file_under_the_old_name_is_not_taken_for_the_old_one",
        &[],
        || {
            use libloading::os::unix::{RTLD_LAZY, RTLD_LOCAL};
            let open = |path: &PathBuf| {
                // SAFETY: the fixture has no initialisers.
                unsafe { Library::open(Some(path), RTLD_LAZY | RTLD_LOCAL) }.unwrap()
            };
            let path = build(
                "libopenblas.so.0",
                &[
                    "GET=openblas_get_num_threads",
                    "SET=openblas_set_num_threads",
                ],
            );
            let first = open(&path);
            assert_eq!(the_one("openblas").info().interface.symbol_suffix, "");
            first.close().unwrap();
            std::fs::remove_file(&path).unwrap();
            build(
                "libopenblas.so.0",
                &[
                    "GET=openblas_get_num_threads64_",
                    "SET=openblas_set_num_threads64_",
                ],
            );
            let second = open(&path);
            assert_eq!(the_one("openblas").info().interface.symbol_suffix, "64_");
            second.close().unwrap();
        },
    );
}

#[test]
fn two_links_to_one_file_count_once() {
    in_own_process("two_links_to_one_file_count_once", &[], || {
        let path = build(
            "libopenblas.so.0",
            &[
                "GET=openblas_get_num_threads",
                "SET=openblas_set_num_threads",
            ],
        );
        let alias = path.with_file_name("libopenblas_alias.so");
        std::os::unix::fs::symlink(&path, &alias).unwrap();
        load_path(&path);
        load_path(&alias);
        assert_eq!(runtimes().len(), 1);
        assert_eq!(the_one("openblas").filepath(), path.canonicalize().unwrap());
    });
}

#[test]
fn a_file_that_only_bears_the_name_is_left_alone() {
    in_own_process("a_file_that_only_bears_the_name_is_left_alone", &[], || {
        load_path(&build("libopenblas-notes.so", &["GET=g", "SET=s"]));
        assert!(runtimes().is_empty());
    });
}
