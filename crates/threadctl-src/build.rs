//! Turns the tables of names into trampolines.
//!
//! Invariants: each name occurs once over all tables, so that each symbol is defined once; the order of the names is that of the
//! slots, first all of them with 32-bit integers, then all with 64.

use std::collections::HashSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// What is after a name where integers have 64 bits.
const WIDE: &str = "64_";

/// The tables, one name per line; a line with `#` is a remark.
const TABLES: &[&str] = &["blas", "cblas", "lapack", "lapacke"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut names = Vec::new();
    for table in TABLES {
        let path = format!("names/{table}.txt");
        println!("cargo::rerun-if-changed={path}");
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        names.extend(lines.map(str::to_owned));
    }
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(format!("{twice} is in the tables twice").into());
    }

    let count = names.len();
    let mut text = format!("pub(crate) const COUNT: usize = {count};\n");
    let lines: Vec<&str> = names.iter().map(String::as_str).collect();
    writeln!(text, "static NAMES: &str = {:?};", lines.join("\n"))?;
    let mut code = String::new();
    for (slot, name) in names.iter().enumerate() {
        writeln!(code, "trampoline!(s{slot} \"{name}\" {slot});")?;
    }
    for (slot, name) in (count..).zip(&names) {
        writeln!(code, "trampoline!(s{slot} \"{name}{WIDE}\" {slot});")?;
    }
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("names.rs"), text)?;
    fs::write(Path::new(&out).join("trampolines.rs"), code)?;
    Ok(())
}
