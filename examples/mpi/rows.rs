//! Rows of numbers, any part of them: from a `.npy` file, of which nothing else is read, or made from a seed.
//!
//! Invariant: a row is the same whoever reads or makes it, and whatever else he does: made ones are a function of the seed and the
//! row's number.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ndarray::Array2;

/// The first bytes of every `.npy` file.
const MAGIC: &[u8] = b"\x93NUMPY";
/// Longer headers are damage.
const LONGEST: usize = 1 << 16;

/// Where rows come from.
#[derive(Debug)]
pub struct Rows {
    source: Source,
    rows: usize,
    columns: usize,
}

#[derive(Debug)]
enum Source {
    File {
        file: File,
        path: PathBuf,
        begin: u64,
    },
    Made(fn(u64, u64, &mut [f64]), u64),
}

impl Rows {
    /// Of a `.npy` file: its first bytes are read here.
    ///
    /// # Errors
    /// It cannot be read, or is not what is wanted, in words.
    pub fn open(path: &Path) -> Result<Self, String> {
        let told = |why: String| {
            format!(
                "{}: {why}; wanted: a .npy file of float64, shape (rows, columns), in C order",
                path.display()
            )
        };
        let file = File::open(path).map_err(|error| told(error.to_string()))?;
        let (begin, rows, columns) = header(&file).map_err(told)?;
        let length = file
            .metadata()
            .map_err(|error| told(error.to_string()))?
            .len();
        let wanted = rows.checked_mul(columns).and_then(|numbers| {
            u64::try_from(numbers)
                .ok()?
                .checked_mul(8)?
                .checked_add(begin)
        });
        if wanted.is_none_or(|wanted| wanted > length) {
            return Err(told(format!(
                "it has {length} bytes, too few for {rows} x {columns} numbers"
            )));
        }
        let path = path.to_owned();
        Ok(Rows {
            source: Source::File { file, path, begin },
            rows,
            columns,
        })
    }

    /// Made ones: `make` fills a row from the seed and the row's number.
    #[must_use]
    pub fn made(rows: usize, columns: usize, seed: u64, make: fn(u64, u64, &mut [f64])) -> Self {
        Rows {
            source: Source::Made(make, seed),
            rows,
            columns,
        }
    }

    /// Rows and columns.
    #[must_use]
    pub fn shape(&self) -> [u64; 2] {
        [self.rows() as u64, self.columns() as u64]
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many numbers each has.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// These rows, and no others.
    ///
    /// # Errors
    /// They cannot be read, or one of them has a number that is none, in words.
    pub fn read(&self, part: Range<usize>) -> Result<Array2<f64>, String> {
        let (begin, count) = (part.start, part.len());
        let mut numbers = vec![0.0; count * self.columns];
        match &self.source {
            Source::Made(make, seed) => {
                for (row, numbers) in part.zip(numbers.chunks_exact_mut(self.columns.max(1))) {
                    make(*seed, row as u64, numbers);
                }
            }
            Source::File {
                file,
                path,
                begin: at,
            } => {
                let mut bytes = vec![0; numbers.len() * 8];
                let at = at + (begin * self.columns * 8) as u64;
                file.read_exact_at(&mut bytes, at).map_err(|error| {
                    format!("{}: rows from {begin} on: {error}", path.display())
                })?;
                for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
                    *number = f64::from_le_bytes(*bytes);
                }
                if let Some(wrong) = numbers.iter().position(|number| !number.is_finite()) {
                    return Err(format!(
                        "{}: row {}: {} is no number to compute with",
                        path.display(),
                        begin + wrong / self.columns.max(1),
                        numbers[wrong]
                    ));
                }
            }
        }
        Array2::from_shape_vec((count, self.columns), numbers).map_err(|error| error.to_string())
    }
}

/// Where the numbers begin, and the shape.
fn header(file: &File) -> Result<(u64, usize, usize), String> {
    let read = |bytes: &mut [u8], at| match file.read_exact_at(bytes, at) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err("it is cut short".to_owned())
        }
        Err(error) => Err(error.to_string()),
        Ok(()) => Ok(()),
    };
    let mut start = [0; 12];
    read(&mut start, 0)?;
    if !start.starts_with(MAGIC) {
        return Err("it is no .npy file".to_owned());
    }
    // Version 1 has two bytes for the header's length, later ones four.
    let (at, length) = match start[6] {
        1 => (10, usize::from(u16::from_le_bytes([start[8], start[9]]))),
        2 | 3 => {
            let length = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
            (12, usize::try_from(length).unwrap_or(usize::MAX))
        }
        version => return Err(format!("it has version {version} of the format")),
    };
    if length > LONGEST {
        return Err(format!("its header has {length} bytes"));
    }
    let mut text = vec![0; length];
    read(&mut text, at)?;
    let text = String::from_utf8_lossy(&text);
    let value = |key: &str| {
        let found = text.split_once(&format!("'{key}':"));
        found.map(|(_, rest)| rest.trim_start())
    };
    let is = |key: &str, wanted: &str| value(key).is_some_and(|value| value.starts_with(wanted));
    if !is("descr", "'<f8'") || !is("fortran_order", "False") {
        return Err(format!("its header is {}", text.trim()));
    }
    let shape = value("shape").and_then(|shape| {
        let (shape, _) = shape.strip_prefix('(')?.split_once(')')?;
        let (rows, columns) = shape.split_once(',')?;
        Some((rows.trim().parse().ok()?, columns.trim().parse().ok()?))
    });
    let (rows, columns) = shape.ok_or_else(|| format!("its header is {}", text.trim()))?;
    Ok((at + length as u64, rows, columns))
}

/// A number from 0 to 1 for each place in each row, as if at random (SplitMix64).
#[must_use]
pub fn random(seed: u64, row: u64, place: u64) -> f64 {
    let mix = |number: u64| {
        let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    };
    let step = 0x9e37_79b9_7f4a_7c15_u64;
    let row = mix(seed.wrapping_add(step).wrapping_add(row.wrapping_mul(step)));
    let bits = mix(row.wrapping_add(place.wrapping_add(1).wrapping_mul(step)));
    // As many bits as a float64 has.
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    #[test]
    fn parts_of_a_file_are_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.npy");
        let whole = Array2::from_shape_fn((50, 3), |(i, j)| (i * 3 + j) as f64);
        ndarray_npy::write_npy(&path, &whole).unwrap();
        let rows = Rows::open(&path).unwrap();
        assert_eq!((rows.rows(), rows.columns()), (50, 3));
        assert_eq!(
            rows.read(7..12).unwrap(),
            whole.slice(ndarray::s![7..12, ..])
        );
        assert_eq!(rows.read(50..50).unwrap().nrows(), 0);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.npy");
        let told = || Rows::open(&path).unwrap_err();
        assert!(told().contains("rows.npy: No such file"), "{}", told());
        std::fs::write(&path, "1,2,3\n4,5,6\n").unwrap();
        assert!(told().contains("no .npy file"), "{}", told());
        ndarray_npy::write_npy(&path, &Array2::<f32>::zeros((2, 3))).unwrap();
        assert!(told().contains("'<f4'"), "{}", told());
        let mut whole = Array2::<f64>::zeros((4, 3));
        whole[[2, 1]] = f64::NAN;
        ndarray_npy::write_npy(&path, &whole).unwrap();
        let rows = Rows::open(&path).unwrap();
        assert!(rows.read(0..2).is_ok());
        let error = rows.read(1..4).unwrap_err();
        assert!(error.contains("row 2: NaN"), "{error}");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(told().contains("too few for 4 x 3"), "{}", told());
        std::fs::write(&path, &bytes[..20]).unwrap();
        assert!(told().contains("cut short"), "{}", told());
    }

    #[test]
    fn made_rows_do_not_depend_on_the_part() {
        let make = |seed, row, numbers: &mut [f64]| {
            for (place, number) in numbers.iter_mut().enumerate() {
                *number = random(seed, row, place as u64);
            }
        };
        let rows = Rows::made(100, 4, 9, make);
        let whole = rows.read(0..100).unwrap();
        assert_eq!(
            rows.read(30..40).unwrap(),
            whole.slice(ndarray::s![30..40, ..])
        );
        let mean = whole.mean().unwrap();
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
