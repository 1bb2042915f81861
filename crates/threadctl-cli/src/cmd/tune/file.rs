//! The file that is written: which one, whether that will work, and writing it whole.
//!
//! Invariant: who reads the file meanwhile sees the old or the new one, and numbers of other libraries stay.

use std::fs::Permissions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tempfile::{Builder, NamedTempFile};
use threadctl::config::{Settings, TuningFile};
use threadctl::dispatch::tuning::{Family, Name, Tuning};

use crate::cmd::special;

const HEADER: &str = "\
# From how much on BLAS calls are shared between cores, as `threadctl tune` measured it on this machine:
# library, version, kernels, routine, and pairs (level 3) or bytes.
";

/// Which file it is: `output`, or the one that programs read.
pub(crate) fn path(output: Option<&Path>) -> Result<PathBuf> {
    let path = match output {
        Some(path) => path.to_owned(),
        None => {
            let file = Settings::from_env()?.tuning;
            match (file.path(), file) {
                (Some(path), _) => path,
                (None, TuningFile::Off) => {
                    bail!(
                        "THREADCTL_TUNING is off, so no program would read a file; --output FILE writes one"
                    )
                }
                (None, _) => bail!(
                    "neither XDG_CACHE_HOME nor HOME names a folder for the tuning; --output FILE writes one elsewhere"
                ),
            }
        }
    };
    // A link stays one.
    Ok(path.canonicalize().unwrap_or(path))
}

/// Whether it can be written later: what is in it now, which must be a tuning if anything.
pub(crate) fn prepare(path: &Path, make_folder: bool) -> Result<String> {
    if let Some(what) = special::of(path) {
        bail!("{}: this is {what}, and the tuning a file", path.display());
    }
    if path.is_dir() {
        bail!("{}: this is a directory; name a file in it", path.display());
    }
    let text = match std::fs::read_to_string(path) {
        Ok(text) => {
            Tuning::read(path)?;
            text
        }
        Err(error) if error.kind() == ErrorKind::NotFound => HEADER.to_owned(),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    if make_folder {
        let folder = folder(path);
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    drop(beside(path)?);
    Ok(text)
}

/// Writes the numbers of a library to a file that has this text.
pub(crate) fn write(
    path: &Path,
    text: &str,
    name: &Name,
    numbers: &[(Family, usize)],
) -> Result<()> {
    let text = Tuning::replaced(text, name, numbers)?;
    let mut file = beside(path)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .with_context(|| format!("cannot write beside {}", path.display()))?;
    file.persist(path)
        .with_context(|| format!("cannot replace {}", path.display()))?;
    Ok(())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A new file in the same folder, which goes away unless it takes the place of the other.
fn beside(path: &Path) -> Result<NamedTempFile> {
    let folder = folder(path);
    Builder::new()
        .prefix(".tuning-")
        // Others may read it, as far as the user's mask goes.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .with_context(|| format!("cannot write to the folder {}", folder.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use threadctl::dispatch::tuning::Least;

    #[test]
    fn the_file_is_replaced_whole_and_other_libraries_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tuning");
        let text = prepare(&path, false).unwrap();
        assert!(!path.exists());
        let zen = Name::new("openblas", Some("1"), Some("Zen"));
        write(&path, &text, &zen, &[(Family::Dot, 5)]).unwrap();
        // Who has it open goes on reading what it was.
        let mut open = std::fs::File::open(&path).unwrap();
        let blis = Name::new("blis", Some("1"), None);
        let text = prepare(&path, false).unwrap();
        write(&path, &text, &blis, &[(Family::Dot, Least::NEVER)]).unwrap();
        let mut before = String::new();
        std::io::Read::read_to_string(&mut open, &mut before).unwrap();
        assert_eq!(before, format!("{HEADER}openblas 1 Zen dot 5\n"));
        let tuning = Tuning::read(&path).unwrap();
        assert_eq!(tuning.least(&zen).get(Family::Dot), 5);
        assert_eq!(tuning.least(&blis).get(Family::Dot), Least::NEVER);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_said_before_anything_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| prepare(path, false).unwrap_err().to_string();
        assert!(refused(folder.path()).contains("this is a directory"));
        assert!(refused(Path::new("/dev/null")).contains("this is a device"));
        assert!(refused(&folder.path().join("no/file")).contains("cannot write to the folder"));
        let path = folder.path().join("tuning");
        std::fs::write(&path, "mine\n").unwrap();
        assert!(refused(&path).contains("tuning, line 1: "));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine\n");
    }
}
