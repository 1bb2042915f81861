//! The runtimes that are known: a row each.
//!
//! A file is taken for a runtime when its name starts with one of the row's prefixes and the file itself defines one
//! of the row's symbols. Rows are tried in order. The prefixes are reported, and are those of threadpoolctl where it
//! knows the runtime.

use super::describe::{Affixes, Description, PLAIN, Subject};
use super::{blis, fixed, flexiblas, mkl, openblas, openmp, vendor};

/// One kind of runtime.
pub(crate) struct Row {
    pub user_api: &'static str,
    pub internal_api: &'static str,
    /// Starts of file names; the first that fits is reported.
    pub prefixes: &'static [&'static str],
    /// Any one of these, with one of the affixes, makes sure of it.
    pub check_symbols: &'static [&'static str],
    pub affixes: &'static [Affixes],
    pub describe: fn(&Subject<'_>) -> Description,
    /// Files of this kind are parts of one runtime: only the first, in the order of the prefixes, counts.
    pub one_per_process: bool,
    /// Whether the project's tests run it for real.
    pub tested: bool,
}

const NO_AFFIXES: &[Affixes] = &[PLAIN];

/// The catalog.
pub(crate) const ROWS: &[Row] = &[
    Row {
        user_api: "blas",
        internal_api: "openblas",
        prefixes: &["libopenblas", "libscipy_openblas"],
        check_symbols: &["openblas_get_num_threads"],
        affixes: openblas::AFFIXES,
        describe: openblas::describe,
        one_per_process: false,
        tested: true,
    },
    Row {
        user_api: "blas",
        internal_api: "blis",
        prefixes: &["libblis"],
        check_symbols: &["bli_thread_get_num_threads", "bli_info_get_version_str"],
        affixes: NO_AFFIXES,
        describe: blis::describe,
        one_per_process: false,
        tested: true,
    },
    Row {
        user_api: "blas",
        internal_api: "mkl",
        // libmkl_rt brings the interface libraries with it; programs may also link those directly.
        prefixes: &[
            "libmkl_rt",
            "libmkl_intel_lp64",
            "libmkl_intel_ilp64",
            "libmkl_gf_lp64",
            "libmkl_gf_ilp64",
        ],
        check_symbols: &["MKL_Get_Max_Threads"],
        affixes: NO_AFFIXES,
        describe: mkl::describe,
        one_per_process: true,
        tested: true,
    },
    Row {
        user_api: "openmp",
        internal_api: "openmp",
        prefixes: &["libiomp", "libgomp", "libomp"],
        check_symbols: &["omp_get_max_threads"],
        affixes: NO_AFFIXES,
        describe: openmp::describe,
        one_per_process: false,
        tested: true,
    },
    Row {
        user_api: "blas",
        internal_api: "flexiblas",
        prefixes: &["libflexiblas"],
        check_symbols: &["flexiblas_current_backend"],
        affixes: NO_AFFIXES,
        describe: flexiblas::describe,
        one_per_process: false,
        tested: false,
    },
    Row {
        user_api: "blas",
        internal_api: "atlas",
        prefixes: &["libatlas", "libtatlas", "libsatlas"],
        check_symbols: &["ATL_buildinfo"],
        affixes: NO_AFFIXES,
        describe: fixed::describe,
        one_per_process: true,
        tested: true,
    },
    Row {
        user_api: "blas",
        internal_api: "armpl",
        prefixes: &["libarmpl"],
        check_symbols: &["armpl_get_num_threads"],
        affixes: NO_AFFIXES,
        describe: vendor::describe_armpl,
        one_per_process: false,
        tested: false,
    },
    Row {
        user_api: "blas",
        internal_api: "nvpl",
        prefixes: &["libnvpl_blas"],
        check_symbols: &["nvpl_blas_get_max_threads"],
        affixes: NO_AFFIXES,
        describe: vendor::describe_nvpl,
        one_per_process: true,
        tested: false,
    },
    Row {
        user_api: "blas",
        internal_api: "accelerate",
        prefixes: &["Accelerate", "libBLAS.dylib"],
        check_symbols: &["BLASSetThreading"],
        affixes: NO_AFFIXES,
        describe: vendor::describe_accelerate,
        one_per_process: true,
        tested: false,
    },
];

impl Row {
    /// The prefix by which a file of this name is recognised, and its rank.
    pub(crate) fn prefix_of(&self, file_name: &str) -> Option<(usize, &'static str)> {
        self.prefixes
            .iter()
            .copied()
            .enumerate()
            .find(|(_, prefix)| file_name.starts_with(prefix))
    }
}

/// The functions of the runtimes all start so, once affixes are taken off.
const STEMS: &[&str] = &[
    "openblas_",
    "omp_get_max_threads",
    "omp_set_num_threads",
    openmp::LLVM_SYMBOL,
    "bli_thread_",
    "bli_info_get_",
    "bli_arch_",
    "MKL_",
    "flexiblas_",
    "ATL_buildinfo",
    "armpl_",
    "nvpl_blas_",
    "BLASSetThreading",
];

/// The letters that they have at this place.
const fn letters(place: usize) -> [bool; 256] {
    let mut letters = [false; 256];
    let mut stem = 0;
    while stem < STEMS.len() {
        letters[STEMS[stem].as_bytes()[place] as usize] = true;
        stem += 1;
    }
    letters
}

/// Every spelling of every symbol that the catalog looks for: what is worth reading from a program's symbol table. What follows the
/// name may be there too.
pub(crate) fn is_catalog_symbol(name: impl AsRef<[u8]>) -> bool {
    // Of tens of thousands of names nearly all end here.
    const FIRST: [bool; 256] = letters(0);
    const SECOND: [bool; 256] = letters(1);
    let name = name.as_ref();
    let name = name.strip_prefix(b"scipy_").unwrap_or(name);
    let begins =
        |&[first, second]: &[u8; 2]| FIRST[usize::from(first)] && SECOND[usize::from(second)];
    name.first_chunk().is_some_and(begins)
        && STEMS.iter().any(|stem| name.starts_with(stem.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_symbol_is_read_from_a_static_program() {
        for row in ROWS {
            for affixes in row.affixes {
                for symbol in row.check_symbols {
                    assert!(is_catalog_symbol(affixes.of(symbol)), "{symbol}");
                }
            }
        }
    }

    #[test]
    fn rows_are_distinct_and_recognisable() {
        let mut names: Vec<_> = ROWS.iter().map(|row| row.internal_api).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
        assert!(
            ROWS.iter()
                .all(|row| !row.prefixes.is_empty() && !row.check_symbols.is_empty())
        );
    }

    #[test]
    fn prefixes_are_those_that_threadpoolctl_reports() {
        let prefix = |file: &str| {
            ROWS.iter()
                .find_map(|row| row.prefix_of(file))
                .map(|found| found.1)
        };
        assert_eq!(
            prefix("libscipy_openblas64_-32a4b2a6.so"),
            Some("libscipy_openblas")
        );
        assert_eq!(prefix("libopenblasp-r0.3.21.so"), Some("libopenblas"));
        assert_eq!(prefix("libiomp5.so"), Some("libiomp"));
        assert_eq!(prefix("libmkl_rt.so.3"), Some("libmkl_rt"));
        assert_eq!(prefix("libm.so.6"), None);
    }
}
