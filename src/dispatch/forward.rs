//! Calls of routines that dispatch does not cover, on libraries whose own threads have to be watched while they run.
//!
//! Two kinds of libraries need that. Where the setter reaches one thread only (OpenMP builds, MKL under TBB), nothing else
//! holds such a call back. And MKL calls inside itself, where dispatch does not see it: held at one thread, its LAPACK would
//! leave idle cores idle. So such a call gets as many threads as there are idle workers: these are asked as for any shared
//! call, those who come soon sleep until it has ended (`share/guests.rs`), and the library has one thread for each of them, and one
//! for the caller, in the scope of this thread. Calls that are not worth that, by what those of their size took (`history.rs`), have one.
//!
//! Invariants: a worker sleeps here only while the call of its caller runs, and counts as computing meanwhile, so that no more
//! threads run than there are cores; the thread's own number is as before when the call has ended, also when it was left by
//! `longjmp` (`under_way.rs`); a call inside another one, or inside a tile, has one thread.

use super::backend::Blas;
use super::history::{Cheap, History, Size};
use super::share::{Guests, in_tile, width};
use super::under_way::{Forwarded, Kept, Mark, Number, UnderWay};
use crate::runtime::runtimes;
use crate::sys::call::{GetInt, MapInt, SetInt};
use crate::sys::library::Library;
use std::time::Instant;

/// What a library needs around calls of its routines.
#[derive(Debug)]
pub(crate) enum Watch {
    /// The calling thread is held at one.
    Held,
    /// As many threads as there are idle workers: MKL.
    Idle(Own),
}

/// MKL's own threads.
#[derive(Debug)]
pub(crate) struct Own {
    /// How many a call of this thread would have.
    get: GetInt,
    /// Sets the number of the calling thread, and returns the one that it had; 0 for none.
    set: MapInt,
    /// Sets for how long the threads of Intel's OpenMP, where that is its layer, look for work after a call.
    blocktime: Option<SetInt>,
    _openmp: Option<Library>,
}

impl Own {
    fn of(blas: &Blas) -> Option<Self> {
        // SAFETY: `mkl_service.h` declares it so.
        let set = unsafe { MapInt::find(blas.library(), "MKL_Set_Num_Threads_Local") }?;
        // SAFETY: as above.
        let get = unsafe { GetInt::find(blas.library(), "MKL_Get_Max_Threads") }?;
        let openmp = runtimes()
            .iter()
            .filter(|runtime| runtime.user_api() == "openmp")
            .find_map(|runtime| {
                let library = Library::hold(runtime.filepath())?;
                // SAFETY: Intel's and LLVM's `omp.h` declare it so.
                let set = unsafe { SetInt::find(&library, "kmp_set_blocktime") }?;
                Some((set, library))
            });
        let (blocktime, openmp) = openmp.unzip();
        Some(Own {
            get,
            set,
            blocktime,
            _openmp: openmp,
        })
    }

    /// Whether calls of this thread have one thread as it is.
    fn is_one(&self) -> bool {
        // SAFETY: the library is a backend's, which stays loaded.
        unsafe { self.get.call() == 1 }
    }

    /// From now on the calling thread has so many, until the number is dropped.
    fn set(&'static self, threads: usize) -> Number {
        let threads = i32::try_from(threads).unwrap_or(i32::MAX);
        // SAFETY: the library is a backend's, which stays loaded.
        let before = unsafe { self.set.call(threads) };
        if let (Some(blocktime), true) = (&self.blocktime, threads > 1) {
            // They would keep cores that are given back busy, for 200 ms.
            // SAFETY: held in `self`.
            unsafe { blocktime.call(0) };
        }
        Number { own: self, before }
    }

    pub(super) fn put_back(&self, before: i32) {
        // SAFETY: the library is a backend's, which stays loaded.
        unsafe { self.set.call(before) };
    }
}

impl Blas {
    /// What calls of routines that dispatch does not cover need; `None` where nothing.
    pub(crate) fn watch(&self) -> Option<Watch> {
        let mkl = self
            .runtime()
            .is_some_and(|runtime| runtime.internal_api() == "mkl");
        if mkl && self.cuts() {
            Own::of(self).map(Watch::Idle)
        } else {
            self.held_by_thread().then_some(Watch::Held)
        }
    }

    /// Makes such a call, of so large a size, of the routine of this history.
    pub(crate) fn forwarded(
        &self,
        watch: &'static Watch,
        history: &History,
        size: Size,
        call: impl FnOnce(),
    ) {
        let mark = Mark(0);
        let inside = Forwarded::begin(&mark);
        if inside.is_none() || size == Size::Question {
            return call();
        }
        match watch {
            Watch::Held => {
                let _under_way = UnderWay::begin(&mark, || Kept::held(self.held()));
                call();
            }
            Watch::Idle(own) => self.with_idle(&mark, own, history, size, call),
        }
    }

    fn with_idle(
        &self,
        mark: &Mark,
        own: &'static Own,
        history: &History,
        size: Size,
        call: impl FnOnce(),
    ) {
        // A forked child has no workers: it asks for no limit either, which may need a lock that the fork copied.
        let wide = history.is_worth_it(size) && width() > 1 && !in_tile();
        if !wide {
            let under_way =
                (!own.is_one()).then(|| UnderWay::begin(mark, || Kept::number(own.set(1))));
            let began = Cheap::now();
            call();
            let took = began.at_least();
            drop(under_way);
            return history.took(size, took, 1);
        }
        let mut threads = 1;
        let under_way = UnderWay::begin(mark, || {
            let guests = Guests::gather(self.most());
            threads += guests.came();
            Kept {
                _number: Some(own.set(threads)),
                _held: None,
                _guests: Some(guests),
            }
        });
        let began = Instant::now();
        call();
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        drop(under_way);
        history.took(size, took, threads);
    }
}
