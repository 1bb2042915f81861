//! The same loop by processes. Their results come back through pipes, which is what processes cost.

use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use threadctl::Workers;

use super::{Failed, map};

/// The numbers of the program: number `index`.
#[must_use]
pub fn number(index: usize) -> f64 {
    (index % 1000) as f64 * 1e-3
}

/// exp of the first `count` numbers by as many processes of `program` as there are workers, each of which is told
/// `--part FIRST END` and answers with [`part`].
///
/// # Errors
/// A process could not be started or failed, or the workers could not be started.
pub fn exp_in_processes(
    program: &Path,
    count: usize,
    workers: Workers<'_>,
) -> Result<Vec<f64>, Failed<String>> {
    let parts = workers.resolve(threadctl::cores().count()) as usize;
    let bounds: Vec<Range<usize>> = (0..parts)
        .map(|part| count * part / parts..count * (part + 1) / parts)
        .collect();
    let results = map(|bounds| one(program, bounds.clone()), &bounds, workers)?;
    Ok(results.concat())
}

fn one(program: &Path, bounds: Range<usize>) -> Result<Vec<f64>, String> {
    let mut child = Command::new(program)
        .args(["--part", &bounds.start.to_string(), &bounds.end.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut bytes = Vec::with_capacity(bounds.len() * 8);
    let read = child
        .stdout
        .take()
        .map(|mut pipe| pipe.read_to_end(&mut bytes));
    let status = child.wait().map_err(|error| error.to_string())?;
    match read {
        Some(Ok(length)) if status.success() && length == bounds.len() * 8 => Ok(bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bytes| f64::from_le_bytes(*bytes))
            .collect()),
        _ => Err(format!(
            "the process ended with {status} after {} bytes",
            bytes.len()
        )),
    }
}

/// A process's side: `f` computes its part, which is then written.
///
/// # Errors
/// Nobody reads.
pub fn part(
    bounds: Range<usize>,
    f: impl FnOnce(&[f64], &mut [f64]),
    to: &mut dyn Write,
) -> std::io::Result<()> {
    let numbers: Vec<f64> = bounds.map(number).collect();
    let mut results = vec![0.0; numbers.len()];
    f(&numbers, &mut results);
    let bytes: Vec<u8> = results
        .iter()
        .flat_map(|result| result.to_le_bytes())
        .collect();
    to.write_all(&bytes)
}
