//! What a child process is told about its cores: the environment variables of every runtime that is known, a row each.
//! Nothing else in the library or the command knows which variables these are.
//!
//! Pure: nothing is set, nothing is read.

use super::width::Width;

/// The cores of a child process, and how it divides them: so many threads in its parallel loops, so many in each call
/// into a library. Makes the environment variables by which programs in any language keep to them.
///
/// ```
/// use std::process::Command;
/// use threadctl::cores::ChildCores;
///
/// let mut command = Command::new("true");
/// let share = ChildCores::new(2);
/// command.envs(share.variables().map(|variable| (variable.name, variable.value)));
/// assert!(share.variables().any(|set| set.name == "OMP_NUM_THREADS" && set.value == "2"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildCores {
    cores: u32,
    outer: u32,
    inner: u32,
}

/// One environment variable.
///
/// ```
/// let share = threadctl::cores::ChildCores::new(4);
/// for variable in share.variables() {
///     println!("{}={} for {}", variable.name, variable.value, variable.runtime);
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its value, of letters, digits and underscores alone: no shell needs quotes.
    pub value: String,
    /// Who reads it.
    pub runtime: &'static str,
    /// Variables that go before this one where they are set.
    pub overruled_by: &'static [&'static str],
}

impl ChildCores {
    /// So many cores, all of which a loop of the child may use, and a call into a library too: for programs that do not
    /// call one from the other. 0 counts as 1.
    ///
    /// ```
    /// use threadctl::{Workers, cores::ChildCores};
    /// assert_eq!(ChildCores::new(Workers::ALL).cores(), threadctl::cores().count());
    /// ```
    pub fn new(cores: impl Width) -> Self {
        let cores = cores.number().max(1);
        ChildCores {
            cores,
            outer: cores,
            inner: cores,
        }
    }

    /// The same for a child whose loops call libraries: `inner` threads in each call, at most all cores, and as many in the
    /// loops as fit beside that. 0 counts as 1.
    ///
    /// ```
    /// let share = threadctl::cores::ChildCores::new(8).nested(3);
    /// assert_eq!((share.outer(), share.inner()), (2, 3));
    /// ```
    #[must_use]
    pub fn nested(self, inner: u32) -> Self {
        let inner = inner.clamp(1, self.cores);
        ChildCores {
            outer: self.cores / inner,
            inner,
            ..self
        }
    }

    /// All its cores.
    ///
    /// ```
    /// assert_eq!(threadctl::cores::ChildCores::new(8).cores(), 8);
    /// ```
    pub fn cores(&self) -> u32 {
        self.cores
    }

    /// Threads of its parallel loops.
    ///
    /// ```
    /// assert_eq!(threadctl::cores::ChildCores::new(8).nested(2).outer(), 4);
    /// ```
    pub fn outer(&self) -> u32 {
        self.outer
    }

    /// Threads of one call into a library.
    ///
    /// ```
    /// assert_eq!(threadctl::cores::ChildCores::new(8).nested(9).inner(), 8);
    /// ```
    pub fn inner(&self) -> u32 {
        self.inner
    }

    /// The variables, each name once. Besides numbers of threads they have idle threads sleep, so that the cores are free for
    /// whoever is next.
    ///
    /// ```
    /// let share = threadctl::cores::ChildCores::new(1);
    /// assert!(share.variables().any(|set| set.name == "OPENBLAS_NUM_THREADS"));
    /// ```
    pub fn variables(&self) -> impl Iterator<Item = Variable> + use<> {
        let share = *self;
        ROWS.iter().map(move |row| Variable {
            name: row.name,
            value: match row.value {
                Value::Cores => share.cores.to_string(),
                Value::Outer => share.outer.to_string(),
                Value::Inner => share.inner.to_string(),
                Value::Spin(text) => text.to_owned(),
            },
            runtime: row.runtime,
            overruled_by: row.stronger,
        })
    }
}

/// One variable.
#[derive(Debug)]
struct Row {
    name: &'static str,
    runtime: &'static str,
    value: Value,
    stronger: &'static [&'static str],
}

/// What a variable is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// All cores of the child, however it divides them.
    Cores,
    /// Threads of the loops of a program, which may call libraries.
    Outer,
    /// Threads of one call into a library.
    Inner,
    /// This text: idle threads sleep.
    Spin(&'static str),
}

const fn row(name: &'static str, runtime: &'static str, value: Value) -> Row {
    Row {
        name,
        runtime,
        value,
        stronger: &[],
    }
}

impl Row {
    /// Tried out: MKL 2026.2, BLIS 0.9.
    const fn below(self, stronger: &'static [&'static str]) -> Row {
        Row { stronger, ..self }
    }
}

const ROWS: &[Row] = &[
    row("THREADCTL_NUM_THREADS", "threadctl", Value::Cores),
    row("OMP_NUM_THREADS", "OpenMP runtimes", Value::Inner),
    row("OPENBLAS_NUM_THREADS", "OpenBLAS", Value::Inner),
    row("MKL_NUM_THREADS", "MKL", Value::Inner).below(&["MKL_DOMAIN_NUM_THREADS"]),
    row("BLIS_NUM_THREADS", "BLIS", Value::Inner).below(&[
        "BLIS_JC_NT",
        "BLIS_PC_NT",
        "BLIS_IC_NT",
        "BLIS_JR_NT",
        "BLIS_IR_NT",
    ]),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_need_no_quotes_in_any_shell_and_are_there_once() {
        let plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let variables: Vec<Variable> = ChildCores::new(8).nested(2).variables().collect();
        for (at, variable) in variables.iter().enumerate() {
            assert!(
                plain(variable.name) && plain(&variable.value),
                "{variable:?}"
            );
            assert!(
                !variables[..at]
                    .iter()
                    .any(|other| other.name == variable.name),
                "{variable:?}"
            );
        }
    }

    #[test]
    fn loops_and_calls_together_stay_within_the_cores() {
        for cores in 1..=64 {
            for inner in 0..=70 {
                let share = ChildCores::new(cores).nested(inner);
                assert!(share.outer() >= 1 && share.inner() >= 1);
                assert!(share.outer() * share.inner() <= cores, "{share:?}");
            }
        }
        assert_eq!(ChildCores::new(0).cores(), 1);
    }
}
