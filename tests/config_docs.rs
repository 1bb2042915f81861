//! The page of documentation says what the table of variables says.

use threadctl::config::VARIABLES;

const PAGE: &str = include_str!("../docs/CONFIGURATION.md");

#[test]
fn the_pages_table_is_the_table_of_the_code() {
    let rows: Vec<&str> = PAGE
        .lines()
        .filter(|line| line.starts_with("| `THREADCTL_"))
        .collect();
    let expected: Vec<String> = VARIABLES
        .iter()
        .map(|row| {
            format!(
                "| `{}` | {} | `{}` | {} |",
                row.name, row.grammar, row.example, row.meaning
            )
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn every_variable_that_the_page_names_exists() {
    let names = PAGE
        .split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
        .filter(|word| word.starts_with("THREADCTL_") && word.len() > "THREADCTL_".len());
    for name in names {
        // The page's own example of a slip, and what only the preload library reads (its src/report.rs).
        let others = [
            "THREADCTL_LIMIT",
            "THREADCTL_COUNT_CALLS",
            "THREADCTL_TILES",
        ];
        let known = others.contains(&name) || VARIABLES.iter().any(|row| row.name == name);
        assert!(known, "{name}");
    }
}
