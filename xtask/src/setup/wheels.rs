//! Wheels from PyPI, unpacked below `target/` into the folders where pip would put their files.
//!
//! Invariant: a folder appears whole, by one rename, and carries a stamp that says which wheels it was made from; a
//! folder with another stamp, or without one, is made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::needed;
use super::python::{Fetcher, Python};
use super::table::{self, Package, Purpose, Source};
use crate::project::{output_of, stdout_of, tail};

const STAMP: &str = ".wheels.json";

/// A wheel that lies unpacked.
pub struct Wheel {
    pub folder: PathBuf,
    pub version: String,
    /// Who imports it.
    pub python: Python,
}

/// Unpacked wheels by package.
pub type Unpacked = BTreeMap<String, Wheel>;

/// What a folder was made from.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    /// What was asked for.
    wanted: Vec<String>,
    /// What came: version by package.
    got: BTreeMap<String, String>,
}

/// Fetches and unpacks the wheels that the purpose needs.
pub fn ensure(root: &Path, purpose: Purpose) -> Result<Unpacked> {
    let folders: BTreeSet<&str> = table::PACKAGES
        .iter()
        .filter(|package| needed(package.name, purpose))
        .filter_map(table::folder)
        .collect();
    let mut unpacked = Unpacked::new();
    if folders.is_empty() {
        return Ok(unpacked);
    }
    let downloads = root.join("downloads");
    fs::create_dir_all(&downloads).with_context(|| format!("creating {}", downloads.display()))?;
    let fetcher = Fetcher::find(&downloads)?;
    for name in folders {
        let packages: Vec<&Package> = table::PACKAGES
            .iter()
            .filter(|package| table::folder(package) == Some(name))
            .collect();
        let folder = root.join(name);
        let wanted = wanted(&packages, &fetcher.python);
        let stamp = match read_stamp(&folder)
            .filter(|stamp| stamp.wanted == wanted && whole(&folder, &packages))
        {
            Some(stamp) => stamp,
            None => make(&folder, &packages, wanted, &fetcher, &downloads)?,
        };
        for (package, version) in stamp.got {
            unpacked.insert(
                package,
                Wheel {
                    folder: folder.clone(),
                    version,
                    python: fetcher.python.clone(),
                },
            );
        }
    }
    // Only now: after an interruption the next run uses what was already fetched.
    fs::remove_dir_all(&downloads).with_context(|| format!("removing {}", downloads.display()))?;
    Ok(unpacked)
}

fn pinned(package: &Package) -> &'static str {
    match package.source {
        Source::Apt => "",
        Source::Wheel { version, .. } | Source::PythonWheel { version, .. } => version,
    }
}

fn wanted(packages: &[&Package], python: &Python) -> Vec<String> {
    let requirement = |package: &&Package| format!("{}=={}", package.name, pinned(package));
    let mut wanted: Vec<String> = packages.iter().map(requirement).collect();
    if packages
        .iter()
        .any(|package| matches!(package.source, Source::PythonWheel { .. }))
    {
        wanted.push(format!(
            "{} {}",
            python.executable.display(),
            python.version
        ));
    }
    wanted
}

fn read_stamp(folder: &Path) -> Option<Stamp> {
    serde_json::from_slice(&fs::read(folder.join(STAMP)).ok()?).ok()
}

/// Whether the files that the table names are there: someone may have cleaned up inside.
fn whole(folder: &Path, packages: &[&Package]) -> bool {
    let ours = |library: &&table::Library| {
        packages
            .iter()
            .any(|package| package.name == library.package)
    };
    table::LIBRARIES
        .iter()
        .filter(ours)
        .all(|library| match library.find {
            table::Find::Path(path) => exact(folder, path).is_ok(),
            table::Find::Prefix(prefix) => by_prefix(folder, prefix).is_ok(),
            _ => true,
        })
}

/// Fetches and unpacks all wheels of one folder.
fn make(
    folder: &Path,
    packages: &[&Package],
    wanted: Vec<String>,
    fetcher: &Fetcher,
    downloads: &Path,
) -> Result<Stamp> {
    // What an interrupted run left there goes first.
    let staging = folder.with_extension("part");
    remove_if_there(&staging)?;
    let mut got = BTreeMap::new();
    for package in packages {
        // A folder for each pin and Python: the one wheel in it is then the one that was asked for.
        let name = format!(
            "{}-{}-{}",
            package.name,
            pinned(package),
            fetcher.python.version
        );
        let wheel = fetch(package, fetcher, &downloads.join(name))?;
        let name = wheel
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let version =
            version_of(name).with_context(|| format!("{name} is not the name of a wheel"))?;
        let raw = staging.join(".raw");
        stdout_of(&mut fetcher.unzip(&wheel, &raw)).with_context(|| format!("unpacking {name}"))?;
        spread(&raw, &staging).with_context(|| format!("unpacking {name}"))?;
        got.insert(package.name.to_owned(), version.to_owned());
    }
    let stamp = Stamp { wanted, got };
    let text = serde_json::to_string_pretty(&stamp).context("writing the stamp as JSON")?;
    fs::write(staging.join(STAMP), text)
        .with_context(|| format!("writing {}", staging.join(STAMP).display()))?;
    remove_if_there(folder)?;
    fs::rename(&staging, folder)
        .with_context(|| format!("renaming {} to {}", staging.display(), folder.display()))?;
    Ok(stamp)
}

/// Downloads one wheel, the pinned version where it can be had.
fn fetch(package: &Package, fetcher: &Fetcher, folder: &Path) -> Result<PathBuf> {
    let (name, python) = (package.name, &fetcher.python);
    let requirement = format!("{name}=={}", pinned(package));
    eprintln!("setup: fetching {requirement} from PyPI");
    let pinned = output_of(&mut fetcher.download(&requirement, folder))?;
    if !pinned.status.success() {
        let any = match package.source {
            Source::PythonWheel { .. } => output_of(&mut fetcher.download(name, folder))?,
            _ => pinned,
        };
        if !any.status.success() {
            bail!(
                "the wheel {requirement} from PyPI cannot be had for Python {} on {}:\n{}\n\
                 To see it whole, type:\n  {} -m pip download --no-deps {requirement}",
                python.version,
                std::env::consts::ARCH,
                tail(&any, 6),
                python.executable.display(),
            );
        }
    }
    let mut wheels = list(folder)?;
    wheels.retain(|path| path.extension().is_some_and(|extension| extension == "whl"));
    let [wheel] = wheels.as_slice() else {
        bail!(
            "expected one wheel in {}, found {}; remove that folder and try again",
            folder.display(),
            wheels.len()
        );
    };
    let version = wheel
        .file_name()
        .and_then(|file| file.to_str())
        .and_then(version_of)
        .unwrap_or_default();
    if version != self::pinned(package) {
        eprintln!(
            "setup: {requirement} has no wheel for Python {}; using {name} {version}",
            python.version
        );
    }
    Ok(wheel.clone())
}

/// The version in the name of a wheel.
fn version_of(file: &str) -> Option<&str> {
    file.strip_suffix(".whl")?.split('-').nth(1)
}

/// Moves an unpacked wheel's files to where pip would put them. Of the files that are not Python (`NAME.data/data`)
/// only `lib` is kept: the rest is headers, documentation and, for Intel's OpenMP, 100 MB of compiler parts.
fn spread(raw: &Path, folder: &Path) -> Result<()> {
    for path in list(raw)? {
        if path
            .extension()
            .is_some_and(|extension| extension == "data")
        {
            for (from, to) in [("data/lib", "lib"), ("purelib", ""), ("platlib", "")] {
                if path.join(from).is_dir() {
                    merge(&path.join(from), &folder.join(to))?;
                }
            }
        } else if let Some(name) = path.file_name() {
            move_to(&path, &folder.join(name))?;
        }
    }
    remove_if_there(raw)
}

/// Moves what is in a folder into another one, which may exist.
fn merge(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
    for path in list(from)? {
        if let Some(name) = path.file_name() {
            move_to(&path, &to.join(name))?;
        }
    }
    Ok(())
}

fn move_to(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() && to.is_dir() {
        return merge(from, to);
    }
    fs::rename(from, to).with_context(|| format!("renaming {} to {}", from.display(), to.display()))
}

fn remove_if_there(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}

/// The paths in a folder, sorted.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut paths: Vec<PathBuf> = entries
        .with_context(|| format!("reading {}", folder.display()))?
        .iter()
        .map(fs::DirEntry::path)
        .collect();
    paths.sort();
    Ok(paths)
}

/// A path in a folder, which must exist.
pub fn exact(folder: &Path, path: &str) -> Result<PathBuf> {
    // `join("")` would leave a slash at the end.
    let path = if path.is_empty() {
        folder.to_path_buf()
    } else {
        folder.join(path)
    };
    if !path.exists() {
        bail!("there is no {}", path.display());
    }
    Ok(path)
}

/// The one path in a folder that begins so; of several the shortest, which is the least specific name of the same file.
pub fn by_prefix(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let whole = folder.join(prefix);
    let (Some(parent), Some(start)) = (
        whole.parent(),
        whole.file_name().and_then(|name| name.to_str()),
    ) else {
        bail!("`{prefix}` is not the beginning of a path");
    };
    let begins = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(start))
    };
    let found = list(parent)?
        .into_iter()
        .filter(begins)
        .min_by_key(|path| path.as_os_str().len());
    found.with_context(|| format!("there is no {}*", whole.display()))
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)] // a test ends there
    use super::*;

    /// A folder that goes with the value.
    pub struct Scratch(pub PathBuf);

    impl Scratch {
        pub fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            remove_if_there(&folder).unwrap();
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn write(&self, path: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            // What cannot be removed is only a leftover in the system's folder for such.
            remove_if_there(&self.0).ok();
        }
    }

    #[test]
    fn the_version_is_the_second_part_of_a_wheels_name() {
        let name = "scipy_openblas32-0.3.34.481.3-py3-none-manylinux_2_28_x86_64.whl";
        assert_eq!(version_of(name), Some("0.3.34.481.3"));
        assert_eq!(version_of("numpy-2.4.6.tar.gz"), None);
    }

    #[test]
    fn two_wheels_of_a_folder_end_up_side_by_side() {
        let scratch = Scratch::new("spread");
        for (wheel, library) in [("mkl-1", "libmkl_rt.so.3"), ("tbb-2", "libtbb.so.12")] {
            scratch.write(&format!("raw/{wheel}.data/data/lib/{library}"));
            scratch.write(&format!("raw/{wheel}.data/data/share/doc"));
            scratch.write(&format!("raw/{wheel}.dist-info/RECORD"));
            spread(&scratch.0.join("raw"), &scratch.0).unwrap();
        }
        let names = |folder: &str| -> Vec<String> {
            let paths = list(&exact(&scratch.0, folder).unwrap()).unwrap();
            paths
                .iter()
                .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names("lib"), ["libmkl_rt.so.3", "libtbb.so.12"]);
        assert_eq!(names(""), ["lib", "mkl-1.dist-info", "tbb-2.dist-info"]);
    }

    #[test]
    fn the_shortest_name_that_begins_so_is_taken() {
        let scratch = Scratch::new("prefix");
        for name in [
            "lib/libtbb.so.12.20",
            "lib/libtbb.so.12",
            "lib/libtbbmalloc.so",
        ] {
            scratch.write(name);
        }
        assert_eq!(
            by_prefix(&scratch.0, "lib/libtbb.so.").unwrap(),
            scratch.0.join("lib/libtbb.so.12")
        );
        assert!(by_prefix(&scratch.0, "lib/libmkl").is_err());
    }

    #[test]
    fn a_folder_with_a_missing_file_is_not_whole() {
        let scratch = Scratch::new("whole");
        let package = table::package("threadpoolctl").unwrap();
        assert!(!whole(&scratch.0, &[package]));
        scratch.write("threadpoolctl.py");
        assert!(whole(&scratch.0, &[package]));
    }
}
