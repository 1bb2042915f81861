//! The variables of the runtimes, a row each. Nothing else in this command knows a runtime by name.

/// One variable.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Who reads it.
    pub(super) runtime: &'static str,
    pub(super) value: Value,
}

/// What a variable is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// All cores of the job, however the job divides them.
    Job,
    /// Threads of the loops of a program, which may call libraries.
    Outer,
    /// Threads of one call into a library.
    Inner,
    /// This text: idle threads sleep, so that the cores are free for whoever is next.
    Spin(&'static str),
}

const fn row(name: &'static str, runtime: &'static str, value: Value) -> Row {
    Row {
        name,
        runtime,
        value,
    }
}

pub(super) const ROWS: &[Row] = &[
    row("THREADCTL_NUM_THREADS", "threadctl", Value::Job),
    row("OMP_NUM_THREADS", "OpenMP runtimes", Value::Inner),
    row("OPENBLAS_NUM_THREADS", "OpenBLAS", Value::Inner),
    row("MKL_NUM_THREADS", "MKL", Value::Inner),
    row("BLIS_NUM_THREADS", "BLIS", Value::Inner),
    row("VECLIB_MAXIMUM_THREADS", "Accelerate", Value::Inner),
    row("NUMEXPR_NUM_THREADS", "numexpr", Value::Inner),
    row("NUMBA_NUM_THREADS", "numba", Value::Outer),
    row("RAYON_NUM_THREADS", "rayon", Value::Outer),
    row("POLARS_MAX_THREADS", "polars", Value::Outer),
    row("JULIA_NUM_THREADS", "Julia", Value::Outer),
    row("OMP_WAIT_POLICY", "OpenMP runtimes", Value::Spin("passive")),
    // Milliseconds.
    row("KMP_BLOCKTIME", "libomp, libiomp5", Value::Spin("0")),
    // Turns of the loop.
    row("GOMP_SPINCOUNT", "libgomp", Value::Spin("0")),
    // The exponent of two of a number of cycles; OpenBLAS takes nothing smaller.
    row("OPENBLAS_THREAD_TIMEOUT", "OpenBLAS", Value::Spin("4")),
];

/// Variables that go before one of the above where they are set (tried out: MKL 2026.2, BLIS 0.9), and which one.
pub(super) const STRONGER: &[(&str, &str)] = &[
    ("MKL_DOMAIN_NUM_THREADS", "MKL_NUM_THREADS"),
    ("BLIS_JC_NT", "BLIS_NUM_THREADS"),
    ("BLIS_PC_NT", "BLIS_NUM_THREADS"),
    ("BLIS_IC_NT", "BLIS_NUM_THREADS"),
    ("BLIS_JR_NT", "BLIS_NUM_THREADS"),
    ("BLIS_IR_NT", "BLIS_NUM_THREADS"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_need_no_quotes_in_any_shell_and_are_there_once() {
        let plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        for (at, row) in ROWS.iter().enumerate() {
            assert!(plain(row.name), "{}", row.name);
            assert!(
                !ROWS[..at].iter().any(|other| other.name == row.name),
                "{}",
                row.name
            );
            if let Value::Spin(text) = row.value {
                assert!(plain(text), "{}={text}", row.name);
            }
        }
    }
}
