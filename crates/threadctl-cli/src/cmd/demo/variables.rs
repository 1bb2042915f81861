//! The environment variables that decide how many threads a BLAS library or an OpenMP runtime uses, by name: what a
//! run of the demo must not take from its user.
//!
//! Not in here are those that choose among kernels or layers (`OPENBLAS_CORETYPE`, `MKL_THREADING_LAYER`) or say how
//! threads wait and where they run (`OMP_WAIT_POLICY`, `OMP_PROC_BIND`): they are the user's to try.

/// One of them.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    /// Its value for one thread, where it is one of those by which people ask for that. The others would override it,
    /// so they are taken away only.
    pub(crate) at_one: Option<&'static str>,
}

const fn number(name: &'static str) -> Variable {
    Variable {
        name,
        at_one: Some("1"),
    }
}

const fn other(name: &'static str) -> Variable {
    Variable { name, at_one: None }
}

pub(crate) const VARIABLES: &[Variable] = &[
    number("OPENBLAS_NUM_THREADS"),
    number("OPENBLAS_DEFAULT_NUM_THREADS"),
    number("GOTO_NUM_THREADS"),
    number("MKL_NUM_THREADS"),
    number("BLIS_NUM_THREADS"),
    number("OMP_NUM_THREADS"),
    other("MKL_DOMAIN_NUM_THREADS"),
    other("MKL_DYNAMIC"),
    other("BLIS_JC_NT"),
    other("BLIS_PC_NT"),
    other("BLIS_IC_NT"),
    other("BLIS_JR_NT"),
    other("BLIS_IR_NT"),
    other("OMP_THREAD_LIMIT"),
    other("OMP_DYNAMIC"),
    other("OMP_NESTED"),
    other("OMP_MAX_ACTIVE_LEVELS"),
    other("KMP_ALL_THREADS"),
    other("KMP_DEVICE_THREAD_LIMIT"),
    other("KMP_DYNAMIC_MODE"),
    other("KMP_HW_SUBSET"),
    other("KMP_MAX_THREADS"),
    other("KMP_NUM_THREADS"),
    other("THREADCTL_LIMITS"),
    other("THREADCTL_SCOPE"),
];

#[cfg(test)]
mod tests {
    use super::VARIABLES;
    use crate::cmd::demo::test_libraries::THREAD_VARIABLES;

    #[test]
    fn what_a_run_does_not_take_from_its_user_a_test_does_not_take_either() {
        for variable in VARIABLES {
            assert!(
                THREAD_VARIABLES
                    .iter()
                    .any(|known| variable.name.starts_with(known)),
                "{} is not in THREAD_VARIABLES of tests/common/mod.rs",
                variable.name
            );
        }
    }
}
