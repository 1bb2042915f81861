//! The names of the routines, in the order of their slots.
//!
//! Invariant: one text and no table of pointers, which the loader would have to fix up before the program begins.

include!(concat!(env!("OUT_DIR"), "/names.rs"));

/// What the reference libraries call the routine of a slot, and whether its integers have 64 bits.
pub(crate) fn of_slot(slot: usize) -> Option<(&'static str, bool)> {
    NAMES
        .lines()
        .nth(slot % COUNT)
        .map(|name| (name, slot >= COUNT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_slot_has_a_name_of_its_own() {
        let names: HashSet<_> = NAMES.lines().collect();
        assert_eq!(names.len(), COUNT);
        assert_eq!(NAMES.lines().count(), COUNT);
        let first = NAMES.lines().next().map(|name| (name, false));
        assert_eq!(of_slot(0), first);
        assert_eq!(of_slot(COUNT), first.map(|(name, _)| (name, true)));
        let last = NAMES.lines().last().map(|name| (name, true));
        assert_eq!(of_slot(2 * COUNT - 1), last);
    }

    #[test]
    fn error_handlers_are_left_to_programs() {
        let mine = ["xerbla_", "cblas_xerbla", "LAPACKE_xerbla"];
        assert!(NAMES.lines().all(|name| !mine.contains(&name)));
    }

    #[test]
    fn what_dispatch_covers_is_supplied() {
        for covered in threadctl::backend::covered_routines() {
            assert!(NAMES.lines().any(|name| name == covered), "{covered}");
        }
    }
}
