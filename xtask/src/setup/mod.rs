//! The set-up: fetches what [`table`] lists and writes the manifest that says where it lies.
//!
//! Invariants: nothing that is there is fetched again; nothing half-fetched is ever named in the manifest; whatever
//! cannot be had is an error that names the package and what to type.

mod apt;
mod lock;
mod manifest;
mod python;
pub mod table;
mod wheels;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use manifest::Entry;
pub use manifest::Manifest;
use table::{Find, LIBRARIES, Library, Purpose, Source};

use crate::project::{Project, stdout_of};

/// The environment variable through which tests learn the manifest's path.
pub const MANIFEST_VARIABLE: &str = "THREADCTL_TEST_LIBS";

/// Makes everything that the purpose needs available. Says nothing and starts no download when it already is.
pub fn ensure(project: &Project, purpose: Purpose) -> Result<Manifest> {
    let folder = project.target.join("threadctl-libs");
    let file = folder.join("manifest.json");
    let apt = table::PACKAGES
        .iter()
        .filter(|package| package.source == Source::Apt && needed(package.name, purpose));
    let apt: Vec<&str> = apt.map(|package| package.name).collect();
    let current = || Manifest::read(&file).filter(|manifest| is_current(manifest, purpose, &apt));

    if let Some(manifest) = current() {
        return Ok(manifest);
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let _lock = lock::Lock::take(&folder)?;
    // Whoever held the lock may have done it all.
    if let Some(manifest) = current() {
        return Ok(manifest);
    }

    let started = Instant::now();
    eprintln!(
        "setup: what `cargo xtask {}` needs goes below {}",
        purpose.task(),
        folder.display()
    );
    let old = Manifest::read(&file).filter(|manifest| manifest.table == fingerprint());
    let installed = apt::ensure(&apt, &|package| dropped(package).is_some())?;
    let unpacked = wheels::ensure(&folder, purpose)?;

    // What an earlier run fetched for another purpose stays named, as long as it is there.
    let mut manifest = old.unwrap_or_else(|| Manifest::new(file, fingerprint()));
    manifest.libraries.retain(|_, entry| entry.path.exists());
    for library in table::libraries(purpose) {
        match (locate(library, &installed, &unpacked), library.dropped) {
            (Ok(entry), _) => {
                manifest.absent.remove(library.key);
                manifest.libraries.insert(library.key.to_owned(), entry);
            }
            (Err(_), Some(reason)) => {
                eprintln!("setup: without `{}`: {reason}", library.key);
                manifest.libraries.remove(library.key);
                manifest
                    .absent
                    .insert(library.key.to_owned(), reason.to_owned());
            }
            (Err(error), None) => {
                let (key, package) = (library.key, library.package);
                return Err(error)
                    .with_context(|| format!("looking for `{key}` in the package {package}"));
            }
        }
    }
    verify(&manifest, purpose)?;
    manifest.write()?;
    eprintln!("setup: done in {:.1} s", started.elapsed().as_secs_f64());
    Ok(manifest)
}

/// Changes with the table, so that a manifest of another table is not taken for this one's.
fn fingerprint() -> String {
    let mut hasher = DefaultHasher::new();
    (table::PACKAGES, LIBRARIES).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Why some releases do not have a package, if that is so.
fn dropped(package: &str) -> Option<&'static str> {
    LIBRARIES
        .iter()
        .find(|library| library.package == package)
        .and_then(|library| library.dropped)
}

fn needed(package: &str, purpose: Purpose) -> bool {
    table::libraries(purpose).any(|library| library.package == package)
}

/// Whether all that the purpose needs is still where the manifest says, in the version that it says.
fn is_current(manifest: &Manifest, purpose: Purpose, apt: &[&str]) -> bool {
    let complete = manifest.table == fingerprint()
        && table::libraries(purpose).all(|library| manifest.settles(library.key));
    // Upgrades of the distribution replace files under the same path.
    let same_apt = || {
        apt.is_empty()
            || apt::installed(apt).is_ok_and(|installed| {
                let same = |entry: &Entry| {
                    installed
                        .get(&entry.package)
                        .is_some_and(|now| now.version == entry.version)
                };
                manifest
                    .libraries
                    .values()
                    .filter(|entry| apt.contains(&entry.package.as_str()))
                    .all(same)
            })
    };
    // So do upgrades of Python, and extension modules are built for one version of it.
    let same_python = || match manifest.libraries.get("python") {
        Some(entry) if needed("numpy", purpose) => {
            python::probe(&entry.path).is_some_and(|python| python.version == entry.version)
        }
        _ => true,
    };
    complete && same_apt() && same_python()
}

/// The manifest's entry for a library whose package is there.
fn locate(
    library: &Library,
    installed: &apt::Installed,
    unpacked: &wheels::Unpacked,
) -> Result<Entry> {
    let package = library.package;
    let entry = |path: PathBuf, version: &str| Entry {
        path,
        package: package.to_owned(),
        version: version.to_owned(),
    };
    let apt_version = || {
        installed
            .get(package)
            .map(|it| it.version.as_str())
            .context("it is not installed")
    };
    let wheel = || unpacked.get(package).context("it was not unpacked");
    Ok(match library.find {
        Find::Suffix(suffix) => {
            let package = installed.get(package).context("it is not installed")?;
            entry(apt::file(package, suffix)?, &package.version)
        }
        Find::Linker(name) => entry(linked_by_cc(name)?, apt_version()?),
        Find::DebianPython => entry(PathBuf::from(python::DEBIAN), apt_version()?),
        Find::Path(path) => {
            let wheel = wheel()?;
            entry(wheels::exact(&wheel.folder, path)?, &wheel.version)
        }
        Find::Prefix(prefix) => {
            let wheel = wheel()?;
            entry(wheels::by_prefix(&wheel.folder, prefix)?, &wheel.version)
        }
        Find::Python => {
            let python = &wheel()?.python;
            entry(python.executable.clone(), &python.version)
        }
    })
}

/// Where the C linker finds a library: what a program that links it in the usual way gets.
fn linked_by_cc(name: &str) -> Result<PathBuf> {
    let printed = stdout_of(Command::new("cc").arg(format!("-print-file-name={name}")))?;
    let path = Path::new(printed.trim());
    // cc answers with the bare name when it does not find the file. `canonicalize` would also follow the
    // distribution's links to the chosen variant, so only the folder is made canonical.
    let (Some(folder), Some(file)) = (
        path.parent().filter(|_| path.is_absolute()),
        path.file_name(),
    ) else {
        bail!("the C linker does not find {name}");
    };
    Ok(folder
        .canonicalize()
        .with_context(|| format!("resolving {}", folder.display()))?
        .join(file))
}

/// Whether the Pythons can import what was fetched for them: better to hear that here than from a test.
fn verify(manifest: &Manifest, purpose: Purpose) -> Result<()> {
    if !needed("numpy", purpose) {
        return Ok(());
    }
    let path = |key: &str| {
        manifest
            .libraries
            .get(key)
            .map(|entry| entry.path.as_path())
            .context("missing from the table")
    };
    python::imports(
        path("python")?,
        Some(path("python-packages")?),
        &["numpy", "scipy.linalg", "threadpoolctl"],
    )?;
    if needed("python3-numpy", purpose) {
        python::imports(path("debian-python")?, None, &["numpy"])?;
    }
    Ok(())
}
