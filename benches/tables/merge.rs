//! Rows of a run of some programs or libraries only, put among those that are in BENCHMARKS.md already (pure).
//!
//! Invariants: a row is known by its first cells, as many as the table says; a row that was measured anew takes the place of
//! the old one and no other row changes; what is under the tables is the new run's, and says that there were several runs.

/// What such a table says of itself.
const SEVERAL: &str = "Rows were taken in more than one run.";

/// The old text with the rows of the new one. Tables are the same if their heads are.
pub fn merge(old: &str, new: &str, key: usize) -> String {
    let old = blocks(old);
    let mut text = String::new();
    let mut footnote = false;
    for block in blocks(new) {
        match block {
            Block::Table(head, rows) => {
                let before = old.iter().find_map(|block| match block {
                    Block::Table(same, rows) if *same == head => Some(rows.clone()),
                    _ => None,
                });
                let rows = merged(before.unwrap_or_default(), rows, key);
                for line in head.into_iter().chain(rows) {
                    text += line;
                    text.push('\n');
                }
            }
            Block::Line("") => text.push('\n'),
            Block::Line(line) => {
                text += line;
                if !footnote && !line.contains(SEVERAL) {
                    text.push(' ');
                    text += SEVERAL;
                }
                footnote = true;
                text.push('\n');
            }
        }
    }
    text
}

/// A part of the text: a table's head (two lines) and rows, or a line outside of tables.
enum Block<'a> {
    Table([&'a str; 2], Vec<&'a str>),
    Line(&'a str),
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        match lines.next_if(|next| line.starts_with('|') && next.starts_with("| ---")) {
            Some(rule) => {
                let rows = std::iter::from_fn(|| lines.next_if(|row| row.starts_with('|')));
                blocks.push(Block::Table([line, rule], rows.collect()));
            }
            None => blocks.push(Block::Line(line)),
        }
    }
    blocks
}

fn merged<'a>(mut rows: Vec<&'a str>, new: Vec<&'a str>, key: usize) -> Vec<&'a str> {
    let cells = |row: &'a str, count| -> Vec<&'a str> {
        row.split('|').skip(1).take(count).map(str::trim).collect()
    };
    for row in new {
        if let Some(at) = rows
            .iter()
            .position(|old| cells(old, key) == cells(row, key))
        {
            rows[at] = row;
        } else {
            // Behind its like: those of the same first cell.
            let like = rows.iter().rposition(|old| cells(old, 1) == cells(row, 1));
            rows.insert(like.map_or(rows.len(), |at| at + 1), row);
        }
    }
    rows
}
