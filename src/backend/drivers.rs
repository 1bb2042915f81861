//! How large a call of a LAPACK driver is: which of its arguments say that.
//!
//! For calls that are handed on with all that may be an argument (`forward.rs` in dispatch wants to know their size). What is not in the table
//! has a size that is not known.
//!
//! Invariant: a row's places count from 0, as LAPACK's documentation lists the arguments; each is of a flag, or of an integer of the
//! library's width, passed by its place in Fortran. In LAPACKE, which passes them themselves and has the layout before them,
//! no argument of another kind comes before.

use crate::dispatch::history::Size;

/// How to tell the size of a call of one routine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure {
    row: &'static Row,
    by: By,
}

/// How arguments are passed.
#[derive(Debug, Clone, Copy)]
enum By {
    Place,
    /// One later.
    Itself,
}

#[derive(Debug)]
struct Row {
    /// Without the letter.
    name: &'static str,
    flags: &'static [usize],
    sizes: &'static [usize],
    /// Of the real and the complex routine: the length of its workspace.
    lwork: [usize; 2],
}

const fn row(
    name: &'static str,
    flags: &'static [usize],
    sizes: &'static [usize],
    lwork: [usize; 2],
) -> Row {
    Row {
        name,
        flags,
        sizes,
        lwork,
    }
}

static ROWS: &[Row] = &[
    row("gesdd", &[0], &[1, 2], [11, 11]),
    row("gesvd", &[0, 1], &[2, 3], [12, 12]),
    row("syev", &[0], &[2], [7, 7]),
    row("heev", &[0], &[2], [7, 7]),
    row("syevd", &[0], &[2], [7, 7]),
    row("heevd", &[0], &[2], [7, 7]),
    row("syevr", &[0, 1], &[3], [17, 17]),
    row("heevr", &[0, 1], &[3], [17, 17]),
    row("syevx", &[0, 1], &[3], [16, 16]),
    row("heevx", &[0, 1], &[3], [16, 16]),
    row("sygv", &[1], &[3], [10, 10]),
    row("hegv", &[1], &[3], [10, 10]),
    row("sygvd", &[1], &[3], [10, 10]),
    row("hegvd", &[1], &[3], [10, 10]),
    row("sygvx", &[1, 2], &[4], [19, 19]),
    row("hegvx", &[1, 2], &[4], [19, 19]),
    row("geev", &[0, 1], &[2], [12, 11]),
    row("geevx", &[1, 2, 3], &[4], [20, 19]),
    row("gees", &[0], &[3], [12, 11]),
    row("ggev", &[0, 1], &[2], [15, 14]),
    row("gelsd", &[], &[0, 1, 2], [11, 11]),
    row("gelss", &[], &[0, 1, 2], [11, 11]),
    row("gelsy", &[], &[0, 1, 2], [11, 11]),
    row("geqp3", &[], &[0, 1], [7, 7]),
    row("gebrd", &[], &[0, 1], [9, 9]),
    row("gehrd", &[], &[0], [7, 7]),
    row("sytrd", &[], &[1], [8, 8]),
    row("hetrd", &[], &[1], [8, 8]),
    row("orgbr", &[0], &[1, 2, 3], [8, 8]),
    row("ungbr", &[0], &[1, 2, 3], [8, 8]),
    row("hseqr", &[0, 1], &[2], [12, 11]),
    row("sytrf", &[], &[1], [6, 6]),
    row("hetrf", &[], &[1], [6, 6]),
    row("sysv", &[], &[1, 2], [9, 9]),
    row("hesv", &[], &[1, 2], [9, 9]),
];

impl Measure {
    /// That of a routine, by the name that the reference libraries have for it.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (routine, by) = match name.strip_prefix("LAPACKE_") {
            Some(routine) => (routine, By::Itself),
            None => (name.strip_suffix('_')?, By::Place),
        };
        let rest = routine.strip_prefix(['s', 'd', 'c', 'z'])?;
        let row = ROWS.iter().find(|row| row.name == rest)?;
        Some(Measure { row, by })
    }

    /// The size of a call; `argument` gives the word at a place, which is `None` where it is not known.
    ///
    /// # Safety
    /// The words are those of a call of this routine, of a library whose routines of this kind are `complex` or not.
    pub(super) unsafe fn size(
        self,
        complex: bool,
        argument: impl Fn(usize) -> Option<usize>,
    ) -> Size {
        let integer = |place: usize| match self.by {
            // SAFETY: our caller's promise: the place of an integer. Of a wide one these are the lower bits, on machines whose
            // lower bytes come first; and so is -1.
            By::Place => unsafe { (argument(place)? as *const i32).as_ref().copied() },
            By::Itself => Some(argument(place + 1)? as i32),
        };
        let flag = |place: usize| match self.by {
            // SAFETY: our caller's promise: the place of a letter.
            By::Place => unsafe { (argument(place)? as *const u8).as_ref().copied() },
            By::Itself => Some(argument(place + 1)? as u8),
        };
        let size = || {
            if let By::Place = self.by
                && integer(self.row.lwork[usize::from(complex)])? == -1
            {
                return Some(Size::Question);
            }
            let mut size = Size::NONE;
            for &place in self.row.flags {
                size = size.with_flag(flag(place)?);
            }
            for &place in self.row.sizes {
                size = size.with_size(integer(place)?);
            }
            Some(size)
        };
        size().unwrap_or(Size::Unknown)
    }
}
