//! How rows of a partial run come among those of BENCHMARKS.md (`benches/tables/merge.rs`).

#[path = "../benches/tables/merge.rs"]
mod merge;

use merge::merge;

const OLD: &str = "| library | call | time |\n| --- | --- | --- |\n| A | one | 1 |\n| A | two | 2 |\n| B | one | 3 |\n\nOld note.\n";

fn new(rows: &str) -> String {
    format!("| library | call | time |\n| --- | --- | --- |\n{rows}\nNew note.\n")
}

#[test]
fn a_row_takes_the_place_of_the_one_with_its_key_and_others_stay() {
    assert_eq!(
        merge(OLD, &new("| A | two | 20 |\n"), 2),
        "| library | call | time |\n| --- | --- | --- |\n| A | one | 1 |\n| A | two | 20 |\n| B | one | 3 |\n\
         \nNew note. Rows were taken in more than one run.\n"
    );
}

#[test]
fn a_new_row_goes_behind_its_like_or_to_the_end() {
    let text = merge(OLD, &new("| A | three | 9 |\n| C | one | 8 |\n"), 2);
    let rows: Vec<&str> = text.lines().skip(2).take(5).collect();
    assert_eq!(
        rows,
        [
            "| A | one | 1 |",
            "| A | two | 2 |",
            "| A | three | 9 |",
            "| B | one | 3 |",
            "| C | one | 8 |"
        ]
    );
}

#[test]
fn merging_again_says_it_once_and_another_table_comes_as_it_is() {
    let once = merge(OLD, &new("| A | two | 20 |\n"), 2);
    assert_eq!(merge(&once, &once, 2), once);
    let other = "| program | time |\n| --- | --- |\n| A | 7 |\n";
    assert_eq!(merge(OLD, other, 1), other);
    assert_eq!(merge("Not measured yet.\n", other, 1), other);
}
