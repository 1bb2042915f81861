//! `threadctl.h`, read as a program reads it: by compilers, and its prototypes beside the symbols of the library.

use crate::common;
use object::{Object as _, ObjectSymbol as _};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// The folder of the header.
pub fn include() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/include"))
}

fn text() -> String {
    std::fs::read_to_string(include().join("threadctl.h")).unwrap()
}

/// What a function returns and takes, as the header writes it, without names of parameters.
#[derive(Debug, PartialEq, Eq)]
pub struct Prototype {
    pub returns: String,
    pub takes: Vec<String>,
}

/// The type of a parameter or a function, and its name, of which stars are no part.
fn split(declaration: &str) -> (String, String) {
    let at = declaration
        .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap();
    let (of_type, name) = declaration.split_at(at + 1);
    (of_type.trim().to_owned(), name.to_owned())
}

/// The text without comments and lines of the preprocessor.
fn code() -> String {
    let mut code = String::new();
    for piece in text().split("/*") {
        code.push_str(piece.split_once("*/").map_or("", |(_, code)| code));
    }
    let lines = code.lines().filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join(" ")
}

/// Every function of the header.
pub fn prototypes() -> BTreeMap<String, Prototype> {
    let mut found = BTreeMap::new();
    for statement in code().split(';') {
        let Some((head, parameters)) = statement.trim().split_once('(') else {
            continue;
        };
        let (returns, name) = split(head);
        let parameters = parameters.trim_end().strip_suffix(')').unwrap();
        let takes = parameters.split(',').map(str::trim);
        let takes = takes.filter(|it| *it != "void").map(|it| split(it).0);
        // What is before the first function is the brace of `extern "C"`.
        let returns = returns.rsplit('{').next().unwrap().trim().to_owned();
        let prototype = Prototype {
            returns,
            takes: takes.collect(),
        };
        assert_eq!(found.insert(name, prototype), None);
    }
    found
}

#[test]
fn every_function_of_the_header_is_a_symbol_and_every_symbol_a_function_of_the_header() {
    let file = std::fs::read(common::preload()).unwrap();
    let library = object::read::elf::ElfFile64::<object::Endianness>::parse(&*file).unwrap();
    let symbols: Vec<String> = library
        .dynamic_symbols()
        .filter(|symbol| symbol.is_definition() && symbol.kind() == object::SymbolKind::Text)
        .filter_map(|symbol| symbol.name().ok().map(str::to_owned))
        .filter(|name| name.starts_with("threadctl_"))
        .collect();
    let symbols: std::collections::BTreeSet<_> = symbols.into_iter().collect();
    let header: std::collections::BTreeSet<_> = prototypes().into_keys().collect();
    assert!(!header.is_empty());
    assert_eq!(symbols, header);
}

#[test]
fn every_function_is_documented() {
    let text = text();
    let lines: Vec<&str> = text.lines().collect();
    for name in prototypes().keys() {
        let call = format!("{name}(");
        let at = lines
            .iter()
            .position(|line| !line.starts_with([' ', '/', '*']) && line.contains(&call))
            .unwrap();
        assert!(
            lines[at - 1].ends_with("*/"),
            "{name}: no comment before it"
        );
    }
}

/// Compiles a program that has nothing but the header, and the address of each function.
fn compiles(compiler: &str, flags: &[&str], extension: &str) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("all").with_extension(extension);
    let mut program = String::from("#include \"threadctl.h\"\n#include \"threadctl.h\"\n");
    for (name, Prototype { returns, takes }) in prototypes() {
        let takes = if takes.is_empty() {
            "void".to_owned()
        } else {
            takes.join(", ")
        };
        program.push_str(&format!(
            "{returns} (*const use_{name})({takes}) = {name};\n"
        ));
    }
    std::fs::write(&source, program).unwrap();
    let output = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c"])
        .args(flags)
        .arg("-I")
        .arg(include())
        .arg(&source)
        .arg("-o")
        .arg(folder.path().join("all.o"))
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}: install gcc and g++"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn it_is_c() {
    compiles("cc", &["-std=c99", "-Wstrict-prototypes"], "c");
}

#[test]
fn it_is_cpp() {
    compiles("c++", &["-std=c++11"], "cpp");
}
