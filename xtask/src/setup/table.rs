//! What the set-up fetches, as data: packages with their pinned versions, and the files in them that tests load.
//!
//! Invariants, checked by the tests below: every library names a package of [`PACKAGES`], no key occurs twice, and what
//! the demo needs comes from wheels alone, so that the demo runs for a user who may not install packages.

/// Who needs a library. A later one of the first three needs everything that an earlier one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// `cargo xtask demo`.
    Demo,
    /// `cargo xtask test`.
    Test,
    /// `cargo xtask bench`.
    Bench,
    /// `cargo xtask peers`: its own rows and [`PEERS_TOO`], all of them wheels, so that it needs no root either.
    Peers,
}

impl Purpose {
    /// The task that it stands for.
    pub fn task(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Test => "test",
            Self::Bench => "bench",
            Self::Peers => "peers",
        }
    }
}

/// Where a package comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Debian or Ubuntu; the version is the distribution's.
    Apt,
    /// A wheel on PyPI of exactly this version, unpacked into this folder. Wheels of one folder are meant to be
    /// installed together: they find each other by lying side by side.
    Wheel {
        version: &'static str,
        folder: &'static str,
    },
    /// Like `Wheel`, but built for one version of Python: where the pinned version has no wheel for the Python at
    /// hand, the newest that has one is taken.
    PythonWheel {
        version: &'static str,
        folder: &'static str,
    },
}

/// One package.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Package {
    pub name: &'static str,
    pub source: Source,
}

/// How a library's path is found once its package is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Find {
    /// The file of a distribution's package whose path ends so. Debian's folders carry the machine's architecture in
    /// their name, so only the end is known beforehand.
    Suffix(&'static str),
    /// This path in the wheel's folder; the empty path is the folder.
    Path(&'static str),
    /// The file in the wheel's folder whose path begins so; the rest is a version or a hash.
    Prefix(&'static str),
    /// The file that the C linker takes for this name.
    Linker(&'static str),
    /// Debian's own Python, which is the one that imports Debian's packages.
    DebianPython,
    /// The Python that fetched the wheels, which is the one that imports them.
    Python,
}

/// One entry of the manifest.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Library {
    /// The name by which tests ask for it.
    pub key: &'static str,
    pub package: &'static str,
    pub find: Find,
    pub purpose: Purpose,
    /// Why some releases of the distribution do not have it. The set-up goes on without it there, and says so.
    pub dropped: Option<&'static str>,
}

const MKL: &str = "mkl";
const PYTHON: &str = "python";
const PYTEST: &str = "pytest";
/// Compiles Python's loops.
const NUMBA: &str = "numba";
/// What learns with numpy, apart from it so that either can change alone.
const LEARN: &str = "learn";

const fn apt(name: &'static str) -> Package {
    Package {
        name,
        source: Source::Apt,
    }
}

const fn wheel(name: &'static str, version: &'static str, folder: &'static str) -> Package {
    Package {
        name,
        source: Source::Wheel { version, folder },
    }
}

const fn python_wheel(name: &'static str, version: &'static str, folder: &'static str) -> Package {
    Package {
        name,
        source: Source::PythonWheel { version, folder },
    }
}

pub const PACKAGES: &[Package] = &[
    apt("libopenblas0-pthread"),
    apt("libopenblas0-openmp"),
    apt("libopenblas0-serial"),
    apt("libopenblas64-0-pthread"),
    apt("libopenblas-dev"),
    apt("libblis4-openmp"),
    apt("libblis4-pthread"),
    apt("libblis4-serial"),
    apt("libatlas3-base"),
    apt("liblapack3"),
    apt("libblas3"),
    apt("liblapacke"),
    apt("libgomp1"),
    apt("libomp5"),
    apt("python3-numpy"),
    apt("python3-scipy"),
    apt("python3-sklearn"),
    apt("libblas-test"),
    apt("liblapack-test"),
    apt("r-base-core"),
    apt("octave"),
    apt("gfortran"),
    apt("make"),
    apt("openmpi-bin"),
    apt("libopenmpi-dev"),
    apt("libclang-dev"),
    apt("iproute2"),
    apt("fish"),
    apt("time"),
    apt("chromium"),
    apt("linux-perf"),
    apt("parallel"),
    wheel("scipy-openblas32", "0.3.34.481.3", "scipy-openblas32"),
    wheel("scipy-openblas64", "0.3.34.481.3", "scipy-openblas64"),
    wheel("mkl", "2026.2.0", MKL),
    wheel("intel-openmp", "2026.2.0", MKL),
    wheel("tbb", "2023.2.0", MKL),
    python_wheel("numpy", "2.4.6", PYTHON),
    python_wheel("scipy", "1.17.1", PYTHON),
    wheel("threadpoolctl", "3.8.0", PYTHON),
    wheel("pytest", "9.2.0", PYTEST),
    wheel("iniconfig", "2.3.1", PYTEST),
    wheel("packaging", "26.3", PYTEST),
    wheel("pluggy", "1.7.0", PYTEST),
    wheel("pygments", "2.21.0", PYTEST),
    wheel("joblib", "1.6.0", LEARN),
    python_wheel("scikit-learn", "1.9.1", LEARN),
    wheel("lightgbm", "4.7.0", LEARN),
    wheel("narwhals", "2.29.0", LEARN),
    python_wheel("numba", "0.68.1", NUMBA),
    python_wheel("llvmlite", "0.50.0", NUMBA),
];

const fn test(key: &'static str, package: &'static str, find: Find) -> Library {
    Library {
        key,
        package,
        find,
        purpose: Purpose::Test,
        dropped: None,
    }
}

const fn demo(key: &'static str, package: &'static str, find: Find) -> Library {
    Library {
        key,
        package,
        find,
        purpose: Purpose::Demo,
        dropped: None,
    }
}

const fn peers(key: &'static str, package: &'static str, find: Find) -> Library {
    Library {
        key,
        package,
        find,
        purpose: Purpose::Peers,
        dropped: None,
    }
}

/// What `cargo xtask peers` needs of the rows that are for others too.
const PEERS_TOO: &[&str] = &[
    DEMO_BLAS,
    "scipy-openblas",
    "python",
    "python-packages",
    "numpy",
    "numpy-openblas",
    "scipy",
    "threadpoolctl",
    "joblib",
    "learn",
    "mkl-rt",
    "mkl-libs",
    "iomp5",
    "tbb",
];

/// The library that `cargo xtask demo` hands to the demo.
pub const DEMO_BLAS: &str = "scipy-openblas32";

pub const LIBRARIES: &[Library] = &[
    demo(
        DEMO_BLAS,
        "scipy-openblas32",
        Find::Path("scipy_openblas32/lib/libscipy_openblas.so"),
    ),
    test(
        "scipy-openblas64",
        "scipy-openblas64",
        Find::Path("scipy_openblas64/lib/libscipy_openblas64_.so"),
    ),
    test(
        "openblas-pthread",
        "libopenblas0-pthread",
        Find::Suffix("/openblas-pthread/libopenblas.so.0"),
    ),
    test(
        "openblas-openmp",
        "libopenblas0-openmp",
        Find::Suffix("/openblas-openmp/libopenblas.so.0"),
    ),
    test(
        "openblas-serial",
        "libopenblas0-serial",
        Find::Suffix("/openblas-serial/libopenblas.so.0"),
    ),
    // The same names as those without 64, with 64-bit integers.
    test(
        "openblas64-pthread",
        "libopenblas64-0-pthread",
        Find::Suffix("/openblas64-pthread/libopenblas64.so.0"),
    ),
    test(
        "openblas-dev",
        "libopenblas-dev",
        Find::Linker("libopenblas.so"),
    ),
    test(
        "blis-openmp",
        "libblis4-openmp",
        Find::Suffix("/blis-openmp/libblis.so.4"),
    ),
    test(
        "blis-pthread",
        "libblis4-pthread",
        Find::Suffix("/blis-pthread/libblis.so.4"),
    ),
    test(
        "blis-serial",
        "libblis4-serial",
        Find::Suffix("/blis-serial/libblis.so.4"),
    ),
    Library {
        dropped: Some("ATLAS ends with Debian 12; libatlas3-base of Debian 13 is an empty package"),
        ..test(
            "atlas",
            "libatlas3-base",
            Find::Suffix("/atlas/libblas.so.3"),
        )
    },
    test(
        "lapack",
        "liblapack3",
        Find::Suffix("/lapack/liblapack.so.3"),
    ),
    // The reference BLAS, and the C interface of the reference LAPACK.
    test("netlib", "libblas3", Find::Suffix("/blas/libblas.so.3")),
    test("lapacke", "liblapacke", Find::Suffix("/liblapacke.so.3")),
    Library {
        dropped: Some("ATLAS ends with Debian 12; libatlas3-base of Debian 13 is an empty package"),
        ..test(
            "atlas-lapack",
            "libatlas3-base",
            Find::Suffix("/atlas/liblapack.so.3"),
        )
    },
    test("gomp", "libgomp1", Find::Suffix("/libgomp.so.1")),
    test("omp", "libomp5", Find::Linker("libomp.so.5")),
    test("mkl-rt", "mkl", Find::Prefix("lib/libmkl_rt.so.")),
    test("iomp5", "intel-openmp", Find::Path("lib/libiomp5.so")),
    test("tbb", "tbb", Find::Path("lib/libtbb.so.12")),
    test("mkl-libs", "mkl", Find::Path("lib")),
    test("numpy", "numpy", Find::Path("numpy/__init__.py")),
    test(
        "numpy-openblas",
        "numpy",
        Find::Prefix("numpy.libs/libscipy_openblas"),
    ),
    test("scipy", "scipy", Find::Path("scipy/__init__.py")),
    test(
        "scipy-openblas",
        "scipy",
        Find::Prefix("scipy.libs/libscipy_openblas"),
    ),
    test(
        "threadpoolctl",
        "threadpoolctl",
        Find::Path("threadpoolctl.py"),
    ),
    test("python-packages", "numpy", Find::Path("")),
    test("python", "numpy", Find::Python),
    test("parallel", "parallel", Find::Suffix("/usr/bin/parallel")),
    test("mpirun", "openmpi-bin", Find::Suffix("/bin/mpirun.openmpi")),
    // What the feature `mpi` is compiled with: MPI, and what reads its headers. The tests are compiled with all features.
    test("mpi-headers", "libopenmpi-dev", Find::Suffix("/mpi.h")),
    // A package of nothing but what it needs.
    test(
        "libclang",
        "libclang-dev",
        Find::Suffix("/libclang-dev/copyright"),
    ),
    // Makes two network namespaces, as hosts for its ranks.
    test("ip", "iproute2", Find::Suffix("/bin/ip")),
    test("debian-python", "python3-numpy", Find::DebianPython),
    // Programs that call BLAS and LAPACK, unchanged.
    test(
        "debian-scipy",
        "python3-scipy",
        Find::Suffix("/dist-packages/scipy/__init__.py"),
    ),
    test(
        "debian-scikit-learn",
        "python3-sklearn",
        Find::Suffix("/dist-packages/sklearn/__init__.py"),
    ),
    test("rscript", "r-base-core", Find::Suffix("/usr/bin/Rscript")),
    test("octave", "octave", Find::Suffix("/bin/octave-cli")),
    test("gfortran", "gfortran", Find::Suffix("/usr/bin/gfortran")),
    test("make", "make", Find::Suffix("/usr/bin/make")),
    // Runs numpy's own tests; the others are what it needs.
    test("pytest", "pytest", Find::Path("pytest/__init__.py")),
    test("pytest-packages", "pytest", Find::Path("")),
    test(
        "iniconfig",
        "iniconfig",
        Find::Path("iniconfig/__init__.py"),
    ),
    test(
        "packaging",
        "packaging",
        Find::Path("packaging/__init__.py"),
    ),
    test("pluggy", "pluggy", Find::Path("pluggy/__init__.py")),
    test("pygments", "pygments", Find::Path("pygments/__init__.py")),
    // The testers of the reference libraries, which lie in one folder each.
    test("blas-test", "libblas-test", Find::Suffix("/blas/xblat3d")),
    test(
        "lapack-test",
        "liblapack-test",
        Find::Suffix("/lapack/xlintstd"),
    ),
    // A shell, which reads what `threadctl env` writes.
    test("fish", "fish", Find::Suffix("/bin/fish")),
    // Measures a command beside `threadctl run`.
    test("time", "time", Find::Suffix("/bin/time")),
    // Shows the pages that `threadctl run --plot` draws.
    Library {
        dropped: Some("Ubuntu has no package of Chromium, only a snap"),
        ..test("chromium", "chromium", Find::Suffix("/usr/bin/chromium"))
    },
    // Starts processes, and counts cores beside threadctl.
    test("joblib", "joblib", Find::Path("joblib/__init__.py")),
    test("learn", "joblib", Find::Path("")),
    // An OpenMP runtime of its own, and one that takes the system's.
    test(
        "scikit-learn-gomp",
        "scikit-learn",
        Find::Prefix("scikit_learn.libs/libgomp"),
    ),
    test(
        "lightgbm",
        "lightgbm",
        Find::Path("lightgbm/lib/lib_lightgbm.so"),
    ),
    // Both need it.
    test("narwhals", "narwhals", Find::Path("narwhals/__init__.py")),
    // Traces the scheduler beside `threadctl run`.
    Library {
        purpose: Purpose::Bench,
        ..test("perf", "linux-perf", Find::Suffix("/bin/perf"))
    },
    peers("numba", "numba", Find::Path("numba/__init__.py")),
    peers("numba-packages", "numba", Find::Path("")),
    peers("llvmlite", "llvmlite", Find::Path("llvmlite/__init__.py")),
];

/// The rows that a purpose needs.
pub fn libraries(purpose: Purpose) -> impl Iterator<Item = &'static Library> {
    LIBRARIES.iter().filter(move |library| match purpose {
        Purpose::Peers => library.purpose == purpose || PEERS_TOO.contains(&library.key),
        _ => library.purpose <= purpose,
    })
}

/// The row of a package. `None` only for a name that is not in the table.
#[cfg(test)]
pub fn package(name: &str) -> Option<&'static Package> {
    PACKAGES.iter().find(|package| package.name == name)
}

/// The folder of a wheel. `None` for packages of the distribution.
pub fn folder(package: &Package) -> Option<&'static str> {
    match package.source {
        Source::Apt => None,
        Source::Wheel { folder, .. } | Source::PythonWheel { folder, .. } => Some(folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_are_unique_and_packages_known() {
        let mut keys = BTreeSet::new();
        for library in LIBRARIES {
            assert!(keys.insert(library.key), "two rows for {}", library.key);
            assert!(
                package(library.package).is_some(),
                "{}: unknown package {}",
                library.key,
                library.package
            );
        }
        assert!(keys.contains(DEMO_BLAS));
    }

    #[test]
    fn every_package_is_fetched_for_some_library() {
        for package in PACKAGES {
            assert!(
                LIBRARIES
                    .iter()
                    .any(|library| library.package == package.name),
                "{} is used by nothing",
                package.name
            );
        }
    }

    #[test]
    fn the_demo_and_the_peers_need_no_distribution_package() {
        for purpose in [Purpose::Demo, Purpose::Peers] {
            assert_ne!(libraries(purpose).count(), 0);
            for library in libraries(purpose) {
                assert!(
                    package(library.package).and_then(folder).is_some(),
                    "{} needs root",
                    library.key
                );
            }
        }
    }

    #[test]
    fn what_is_for_the_peers_alone_is_fetched_for_nobody_else() {
        let keys = |purpose| -> Vec<&str> { libraries(purpose).map(|it| it.key).collect() };
        assert!(!keys(Purpose::Bench).contains(&"numba"));
        for key in PEERS_TOO.iter().chain(&["numba"]) {
            assert!(keys(Purpose::Peers).contains(key), "{key}");
        }
    }
}
