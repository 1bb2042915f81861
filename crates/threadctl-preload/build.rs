//! Turns the table of names into trampolines: one for each name under each naming of libraries.
//!
//! Invariants: a symbol is defined once; the order of the symbols is that of their numbers.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const TABLE: &str = "names.txt";

/// How libraries call their routines: what is before a name, what is after one of Fortran in place of its underscore, and after
/// one of CBLAS. A test holds them against those that threadctl knows.
const NAMINGS: &[[&str; 3]] = &[
    ["", "_", ""],
    ["scipy_", "_", ""],
    ["", "64_", "64_"],
    ["", "_64_", "64_"],
    ["scipy_", "_64_", "64_"],
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={TABLE}");
    let text = fs::read_to_string(TABLE).map_err(|error| format!("{TABLE}: {error}"))?;
    let mut symbols = Vec::new();
    for name in text.lines().filter(|line| !line.starts_with('#')) {
        for [before, fortran, cblas] in NAMINGS {
            symbols.push(match name.strip_suffix('_') {
                Some(routine) => format!("{before}{routine}{fortran}"),
                None => format!("{before}{name}{cblas}"),
            });
        }
    }
    // Two namings call CBLAS the same.
    symbols.sort();
    symbols.dedup();

    let mut text = format!("static SYMBOLS: &str = {:?};\n", symbols.join("\n"));
    for (number, symbol) in symbols.iter().enumerate() {
        writeln!(text, "trampoline!(s{number} {symbol:?} {number});")?;
    }
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("trampolines.rs"), text)?;
    Ok(())
}
