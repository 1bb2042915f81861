//! What a call must be to be cut into tiles: what is not goes to the library as it is. Pure.

/// Whether a matrix is taken as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trans {
    /// As it is.
    No,
    /// Transposed.
    Yes,
    /// Transposed and conjugated.
    Conjugated,
}

impl Trans {
    /// A flag of BLAS; `None` for one that it does not have.
    pub fn read(flag: u8) -> Option<Self> {
        match flag.to_ascii_uppercase() {
            b'N' => Some(Trans::No),
            b'T' => Some(Trans::Yes),
            b'C' => Some(Trans::Conjugated),
            _ => None,
        }
    }

    /// The flag of BLAS.
    pub fn flag(self) -> u8 {
        match self {
            Trans::No => b'N',
            Trans::Yes => b'T',
            Trans::Conjugated => b'C',
        }
    }

    /// The stored rows and columns of a matrix that is rows x cols as it is taken.
    pub fn stored(self, rows: usize, cols: usize) -> (usize, usize) {
        if self == Trans::No {
            (rows, cols)
        } else {
            (cols, rows)
        }
    }
}

/// Which side a matrix stands on, or which triangle of it counts.
pub(super) fn letter(flag: u8, letters: [u8; 2]) -> Option<bool> {
    let flag = flag.to_ascii_uppercase();
    letters.contains(&flag).then_some(flag == letters[0])
}

/// Numbers that are all above 0.
pub(super) fn positive<const N: usize>(numbers: [isize; N]) -> Option<[usize; N]> {
    let mut result = [0; N];
    for (result, number) in result.iter_mut().zip(numbers) {
        *result = usize::try_from(number).ok().filter(|&number| number > 0)?;
    }
    Some(result)
}
