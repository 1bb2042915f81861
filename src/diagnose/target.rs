//! Another process as `/proc` shows it: its state, its settings, and the files that it has mapped.
//!
//! Invariant: nothing here stops, signals or changes the process. All of `/proc/PID` is read through one open
//! directory, so that a number that is given to a new process meanwhile cannot mix two of them up.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory;
use procfs::process::{MMPermissions, MMapPath, MemoryMaps, Process, Status};
use procfs::{FromBufRead, ProcError, ProcResult};
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Beginnings of the names of environment variables that runtimes and numerical programs take their threads from.
const VARIABLES: &[&str] = &[
    "OMP_",
    "GOMP_",
    "KMP_",
    "OPENBLAS_",
    "GOTO_NUM_THREADS",
    "MKL_",
    "BLIS_",
    "BLI_",
    "FLEXIBLAS",
    "ARMPL_",
    "NVPL_",
    "VECLIB_",
    "RAYON_",
    "TBB_",
    "NUMEXPR_",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "JULIA_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
];

/// What `/proc/PID/maps` puts after the name of a file that is gone.
const DELETED: &str = " (deleted)";

/// A process that is looked at.
#[derive(Debug)]
pub(super) struct Target {
    pub pid: u32,
    /// The thread whose memory is read: the first one, or another one where the first has ended before the process.
    pub through: u32,
    pub threads: u32,
    /// Ranges of CPU numbers, first and last.
    pub allowed_cpus: Vec<(u32, u32)>,
    process: Process,
}

/// A file, and where it is mapped.
#[derive(Debug)]
pub(super) struct MappedFile {
    /// As the process sees it, links resolved.
    pub path: PathBuf,
    deleted: bool,
    inode: u64,
    /// In ascending order.
    pub areas: Vec<Area>,
}

/// A range of addresses that shows a part of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub start: u64,
    pub end: u64,
    /// What part of the file begins at `start`.
    pub offset: u64,
    pub is_executable: bool,
}

impl MappedFile {
    #[cfg(test)]
    pub fn at(areas: Vec<Area>) -> MappedFile {
        MappedFile {
            path: "/file".into(),
            deleted: false,
            inode: 0,
            areas,
        }
    }

    /// A file that no process has mapped, or none that is known.
    pub fn not_mapped(path: &Path) -> MappedFile {
        MappedFile {
            path: path.to_owned(),
            deleted: false,
            inode: 0,
            areas: Vec::new(),
        }
    }

    /// Whether its code can run here. A library that was only opened as data cannot: it is not loaded.
    pub fn is_loaded(&self) -> bool {
        self.areas.iter().any(|area| area.is_executable)
    }
}

impl Target {
    /// Takes hold of the process `pid`, or of the one that the thread `pid` belongs to.
    pub fn open(pid: u32) -> Result<Target> {
        let refused = |error| failed(pid, &error, "looking for it");
        let number = i32::try_from(pid).map_err(|_| no_such(pid))?;
        let mut process = Process::new(number).map_err(refused)?;
        let mut status: Status = read(&process, "status").map_err(refused)?;
        if status.tgid != number {
            process = Process::new(status.tgid).map_err(refused)?;
            status = read(&process, "status").map_err(refused)?;
        }
        let tgid = status.tgid;
        if status.state.starts_with('Z')
            && status.threads > 1
            && let Some((thread, of_thread)) = thread_that_runs(&process)
        {
            // The first thread has ended, and with it went its view of the memory; the others still have it.
            (process, status) = (thread, of_thread);
        }
        let flags = process.stat().map_err(refused)?.flags;
        if let Some(why) = no_program(&status.state, status.vmsize.is_some(), flags) {
            return Err(system(format!("process {pid} ({}) {why}", status.name)));
        }
        Ok(Target {
            pid: u32::try_from(tgid).unwrap_or(pid),
            through: u32::try_from(process.pid).unwrap_or(pid),
            threads: u32::try_from(status.threads).unwrap_or(u32::MAX),
            allowed_cpus: status.cpus_allowed_list.unwrap_or_default(),
            process,
        })
    }

    /// The program's file.
    pub fn executable(&self) -> ProcResult<PathBuf> {
        self.process.exe().map(|path| without_mark(path).0)
    }

    /// Settings of threads in the environment that the process was started with.
    pub fn environment(&self) -> Result<BTreeMap<String, String>> {
        let all = self
            .process
            .environ()
            .map_err(|error| failed(self.pid, &error, "reading its environment"))?;
        Ok(all
            .into_iter()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .filter(|(name, _)| VARIABLES.iter().any(|known| name.starts_with(known)))
            .collect())
    }

    /// The files that are mapped, in the order of their addresses.
    pub fn mapped_files(&self) -> Result<Vec<MappedFile>> {
        let refused = |error: &ProcError| failed(self.pid, error, "reading what it has mapped");
        let maps: MemoryMaps = read(&self.process, "maps").map_err(|error| refused(&error))?;
        let mut files: Vec<MappedFile> = Vec::new();
        for map in maps {
            let MMapPath::Path(path) = map.pathname else {
                continue;
            };
            let area = Area {
                start: map.address.0,
                end: map.address.1,
                offset: map.offset,
                is_executable: map.perms.contains(MMPermissions::EXECUTE),
            };
            let (path, deleted) = without_mark(path);
            let known = files.iter_mut().find(|file| {
                file.inode == map.inode && file.path == path && file.deleted == deleted
            });
            match known {
                Some(file) => file.areas.push(area),
                None => files.push(MappedFile {
                    path,
                    deleted,
                    inode: map.inode,
                    areas: vec![area],
                }),
            }
        }
        if files.is_empty() {
            // Nothing mapped, not even the program: it ended between two looks.
            return Err(ended(self.pid));
        }
        Ok(files)
    }

    /// Opens a mapped file: the very file that is mapped, even if it is deleted or lies in another container, where the
    /// kernel allows that; otherwise by its path as the process sees it. The error is a reason in words.
    pub fn open_file(&self, mapped: &MappedFile) -> std::result::Result<File, String> {
        if let Some(area) = mapped.areas.first() {
            let link = format!("map_files/{:x}-{:x}", area.start, area.end);
            if let Ok(file) = self.open_part(Path::new(&link)) {
                return Ok(file);
            }
        }
        let shown = mapped.path.display();
        if mapped.deleted {
            return Err(format!(
                "{shown} was deleted or replaced after the process had loaded it; only root can still read it"
            ));
        }
        let mut path = Path::new("root").as_os_str().to_owned();
        path.push(&mapped.path);
        let file = self
            .open_part(Path::new(&path))
            .map_err(|why| format!("{shown} cannot be opened: {why}"))?;
        match file.metadata() {
            Ok(metadata) if metadata.ino() == mapped.inode => Ok(file),
            // Some file systems number a file differently here; then its first bytes must be those that are mapped.
            Ok(_) if self.begins_like(mapped, &file) => Ok(file),
            _ => Err(format!(
                "{shown} is not the file any more that the process has loaded"
            )),
        }
    }

    /// Opens what the process has made a file of this name. What is none meanwhile, such as a pipe that nobody writes
    /// to, must not make this wait.
    fn open_part(&self, path: &Path) -> std::result::Result<File, String> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = self
            .process
            .open_relative_flags(path, flags)
            .map_err(|error| error.to_string())?;
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(file),
            Ok(_) => Err("it is not a file any more".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn begins_like(&self, mapped: &MappedFile, file: &File) -> bool {
        use std::os::unix::fs::FileExt as _;
        let Some(area) = mapped.areas.iter().find(|area| area.offset == 0) else {
            return false;
        };
        // Headers and build identity lie in here.
        let (mut there, mut here) = ([0; 1024], [0; 1024]);
        memory::read(self.through, area.start, &mut there).is_ok()
            && file.read_exact_at(&mut here, 0).is_ok()
            && there == here
    }

    /// Makes sure that everything read so far was of this process, and that it still runs.
    pub fn still_there(&self) -> Result<()> {
        match self.process.stat() {
            Ok(stat) if stat.state != 'Z' && stat.state != 'X' => Ok(()),
            _ => Err(ended(self.pid)),
        }
    }
}

/// A thread of the process that has not ended, as if it were a process: `/proc` shows it in the same way.
fn thread_that_runs(process: &Process) -> Option<(Process, Status)> {
    process.tasks().ok()?.flatten().find_map(|task| {
        let thread = Process::new(task.tid).ok()?;
        let status: Status = read(&thread, "status").ok()?;
        let is_of_it = status.tgid == process.pid;
        (is_of_it && !status.state.starts_with(['Z', 'X'])).then_some((thread, status))
    })
}

/// Reads a file of the process as procfs does, but for names that are not UTF-8: the name of the program in `status`
/// must not hide all else, nor one path in `maps` all the others.
fn read<T: FromBufRead>(process: &Process, file: &str) -> ProcResult<T> {
    let mut bytes = Vec::new();
    process.open_relative(file)?.read_to_end(&mut bytes)?;
    T::from_buf_read(String::from_utf8_lossy(&bytes).as_bytes())
}

/// Why there is no program in a process, if there is none.
fn no_program(state: &str, has_memory: bool, flags: u32) -> Option<&'static str> {
    /// The kernel's own, in the flags of `/proc/PID/stat` (`PF_KTHREAD`).
    const KERNEL: u32 = 0x0020_0000;
    if flags & KERNEL != 0 {
        Some("is a thread of the kernel: it has no libraries; give the number of a program")
    } else if state.starts_with('Z') {
        Some(
            "has ended and only waits for its parent to notice (a zombie): it has no libraries any more",
        )
    } else if state.starts_with('X') || !has_memory {
        Some("ended while it was looked at")
    } else {
        None
    }
}

fn without_mark(path: PathBuf) -> (PathBuf, bool) {
    match path.as_os_str().as_bytes().strip_suffix(DELETED.as_bytes()) {
        Some(name) => (PathBuf::from(std::ffi::OsStr::from_bytes(name)), true),
        None => (path, false),
    }
}

fn system(message: String) -> Error {
    Error::new(ErrorKind::System, message)
}

fn no_such(pid: u32) -> Error {
    system(format!(
        "there is no process {pid} (any more); `ps -e` lists those that run"
    ))
}

fn ended(pid: u32) -> Error {
    system(format!("process {pid} ended while it was looked at"))
}

/// What it means that `/proc` refused.
fn failed(pid: u32, error: &ProcError, what: &str) -> Error {
    match error {
        ProcError::NotFound(_) => no_such(pid),
        ProcError::Io(error, _) if error.raw_os_error() == Some(libc::ESRCH) => ended(pid),
        ProcError::PermissionDenied(_) => system(format!(
            "process {pid} belongs to another user or protects itself: {what} is not permitted; run this as its user \
             or as root (sudo threadctl info --pid {pid})"
        )),
        other => system(format!("process {pid}: {what} failed: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_files_and_threads() {
        let target = Target::open(std::process::id()).unwrap();
        let files = target.mapped_files().unwrap();
        let own = files
            .iter()
            .find(|file| file.path == target.executable().unwrap());
        let own = own.expect("the program itself is mapped");
        assert!(target.open_file(own).is_ok());
        assert!(target.threads >= 1 && !target.allowed_cpus.is_empty());
        target.still_there().unwrap();
    }

    #[test]
    fn what_is_no_file_any_more_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("libopenblas.so");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let target = Target::open(std::process::id()).unwrap();
        let mut seen = std::ffi::OsString::from("root");
        seen.push(&pipe);
        let why = target.open_part(Path::new(&seen)).unwrap_err();
        assert!(why.contains("not a file"), "{why}");
    }

    #[test]
    fn what_has_no_program_is_told_apart() {
        assert_eq!(no_program("S (sleeping)", true, 0x0040_0000), None);
        let why = |state, has_memory, flags| no_program(state, has_memory, flags).unwrap();
        assert!(why("I (idle)", false, 0x0420_8040).contains("kernel"));
        assert!(why("Z (zombie)", false, 0x0040_000c).contains("zombie"));
        // Between giving its memory back and becoming a zombie.
        assert!(why("R (running)", false, 0x0040_0004).contains("ended"));
    }

    #[test]
    fn the_mark_of_deleted_files_is_no_part_of_their_name() {
        assert_eq!(
            without_mark("/a/b.so (deleted)".into()),
            ("/a/b.so".into(), true)
        );
        assert_eq!(without_mark("/a/b.so".into()), ("/a/b.so".into(), false));
    }
}
