//! Addresses of named symbols from the symbol table of a file, for what the dynamic loader cannot see:
//! functions linked statically into a program, and data that a program does not export.
//!
//! Invariant: a returned address belongs to the object mapped at `base`, and is relocated to it.

use object::{Object as _, ObjectSymbol as _, ReadCache};
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

/// Addresses, in the object mapped at `base`, of those of the `wanted` names that the file defines.
///
/// An unreadable or stripped file gives an empty map: the caller then knows of no such symbol, which is the truth
/// as far as it can be seen.
pub(crate) fn defined_symbols(
    file: &Path,
    base: usize,
    wanted: impl Fn(&str) -> bool,
) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    let Ok(file) = File::open(file) else {
        return found;
    };
    // Reads the ranges that are asked for, not the whole of a program with debug information.
    let cache = ReadCache::new(file);
    let Ok(elf) = object::File::parse(&cache) else {
        return found;
    };
    for symbol in elf.symbols().chain(elf.dynamic_symbols()) {
        if symbol.is_undefined() || symbol.address() == 0 {
            continue;
        }
        if let Ok(name) = symbol.name()
            && wanted(name)
        {
            found.insert(
                name.to_owned(),
                base.wrapping_add(symbol.address() as usize),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_elf_has_no_symbols() {
        assert!(defined_symbols(Path::new("Cargo.toml"), 0, |_| true).is_empty());
    }

    #[test]
    fn the_test_program_defines_main() {
        let found = defined_symbols(Path::new("/proc/self/exe"), 0, |name| name == "main");
        assert!(found.contains_key("main"));
    }
}
