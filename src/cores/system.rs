//! Where the facts come from: files below a root folder, and environment variables.
//!
//! Invariant: nothing else in this layer touches the file system or the environment, so a recorded tree of another
//! machine is read exactly as this one is.

use super::{Cores, collect};
use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// More than any of the files has.
const LONGEST: u64 = 16 << 20;

/// A machine to be asked: this one, or a recorded tree of another.
///
/// ```
/// use threadctl::cores::System;
/// // The same answer as `threadctl::cores()`, always fresh.
/// println!("{}", System::this().cores().count());
/// ```
#[derive(Debug, Clone)]
pub struct System {
    root: PathBuf,
    environment: Environment,
}

/// Which variables are seen.
#[derive(Debug, Clone)]
enum Environment {
    /// Those of this process, as they are when asked for.
    Own,
    /// These alone.
    Given(BTreeMap<String, String>),
}

impl System {
    /// This machine, with this process's environment.
    ///
    /// ```
    /// assert!(threadctl::cores::System::this().cores().count() >= 1);
    /// ```
    pub fn this() -> Self {
        System {
            root: PathBuf::from("/"),
            environment: Environment::Own,
        }
    }

    /// A tree below `root` with `proc` and `sys` in it, and these variables alone.
    ///
    /// ```
    /// use threadctl::cores::System;
    /// // A folder with nothing in it: everything is missing, and the answer is still a number.
    /// let cores = System::recorded("/nonexistent", [("OMP_NUM_THREADS", "2")]).cores();
    /// assert_eq!(cores.count(), 1);
    /// assert!(!cores.problems().is_empty());
    /// ```
    pub fn recorded<K: Into<String>, V: Into<String>>(
        root: impl Into<PathBuf>,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        System {
            root: root.into(),
            environment: Environment::Given(
                environment
                    .into_iter()
                    .map(|(name, value)| (name.into(), value.into()))
                    .collect(),
            ),
        }
    }

    /// How many cores the asking process (`/proc/self`) and thread may use. Reads everything anew.
    ///
    /// ```
    /// let cores = threadctl::cores::System::this().cores();
    /// assert!(cores.binding().limit >= cores.count());
    /// ```
    pub fn cores(&self) -> Cores {
        collect::collect(self, "self")
    }

    /// How many cores the process `pid` may use. Its environment is the one that it was started with; the affinity is
    /// its first thread's.
    ///
    /// ```
    /// let cores = threadctl::cores::System::this().cores_of(std::process::id())?;
    /// assert!(cores.count() >= 1);
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::System`]: there is no such process. What cannot be read of one that is there is among its
    /// [`problems`](Cores::problems).
    pub fn cores_of(&self, pid: u32) -> Result<Cores> {
        let status = format!("proc/{pid}/status");
        if let Err(error) = std::fs::read_to_string(self.root.join(&status)) {
            return Err(Error::new(
                ErrorKind::System,
                format!(
                    "process {pid}: cannot read /{status}: {error}; expected is the number of a running process"
                ),
            ));
        }
        let file = format!("proc/{pid}/environ");
        let (variables, unread) = match std::fs::read(self.root.join(&file)) {
            Ok(bytes) => (environ(&bytes), None),
            Err(error) => (
                BTreeMap::new(),
                Some(format!(
                    "/{file}: {error}; its variables are not known and not counted"
                )),
            ),
        };
        let other = System {
            root: self.root.clone(),
            environment: Environment::Given(variables),
        };
        let mut cores = collect::collect(&other, &pid.to_string());
        if let Some(problem) = unread {
            cores.add_problem(problem);
        }
        Ok(cores)
    }

    /// The value of a variable. One that is not UTF-8 comes with replacement characters, and is refused as malformed.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        match &self.environment {
            Environment::Own => {
                std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
            }
            Environment::Given(variables) => variables.get(name).cloned(),
        }
    }

    /// A file's text. `path` is absolute, as the machine itself would name it.
    pub(super) fn read(&self, path: &str) -> std::io::Result<String> {
        // Below another process's root a name may be anything: opening a FIFO would wait, and reading need not end.
        let file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(self.host(path))?;
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A file's text without the blanks around it, if it can be read.
    pub(super) fn line(&self, path: &str) -> Option<String> {
        self.read(path).ok().map(|text| text.trim().to_owned())
    }

    /// Whether it is this machine.
    pub(super) fn is_this(&self) -> bool {
        matches!(self.environment, Environment::Own)
    }

    /// Whether there is such a folder.
    pub(super) fn is_folder(&self, path: &str) -> bool {
        self.host(path).is_dir()
    }

    /// The names of the folders in a folder; none if it cannot be read.
    pub(super) fn folders(&self, path: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.host(path)) else {
            return Vec::new();
        };
        let entries = entries.filter_map(std::io::Result::ok);
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }

    fn host(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path.trim_start_matches('/')))
    }
}

/// The entries of a `/proc/PID/environ`.
pub(super) fn environ(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for entry in bytes.split(|byte| *byte == 0) {
        let entry = String::from_utf8_lossy(entry);
        if let Some((name, value)) = entry.split_once('=') {
            // Of a name that occurs twice, getenv finds the first.
            variables
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
    }
    variables
}
