//! How a pool is made: so many workers, each bound to a core of its own or not; and arrays whose pages lie with them.
//!
//! Invariants: nothing is bound unless the builder or `THREADCTL_PIN` asks for it, the builder before the variable; where a
//! pool cannot be bound as a whole, none of its workers is.

use super::region::{self, Pool};
use super::scalar::Scalar;
use crate::config::pin;
use crate::cores::pinning;
use crate::cores::{Place, System, Width};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::fresh;
use rayon::ThreadPoolBuilder;
use std::hint::black_box;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The smallest page of the processors that Linux runs on: what is touched once in each is touched everywhere.
const PAGE: usize = 4096;

/// What a [`Pool`] is made from: see [`Pool::builder`].
///
/// ```
/// use threadctl::{Workers, dispatch::Pool};
/// let pool = Pool::builder(Workers::ALL).pinned(true).build()?;
/// assert_eq!(pool.places().len(), pool.rayon().current_num_threads());
/// # Ok::<(), threadctl::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder builds nothing by itself"]
pub struct PoolBuilder {
    workers: u32,
    pinned: Option<bool>,
}

impl Pool {
    /// For a pool of so many workers. See [`Width`].
    ///
    /// ```
    /// let pool = threadctl::dispatch::Pool::builder(1).build()?;
    /// assert_eq!(pool.rayon().current_num_threads(), 1);
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn builder(workers: impl Width) -> PoolBuilder {
        PoolBuilder {
            workers: workers.number(),
            pinned: None,
        }
    }

    /// The cores that the workers are bound to, in the order of their numbers; none where they are not bound.
    ///
    /// ```
    /// let pool = threadctl::dispatch::Pool::builder(1).pinned(false).build()?;
    /// assert!(pool.places().is_empty());
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn places(&self) -> &[Place] {
        &self.1
    }

    /// So many zeros, whose pages the workers have touched first: the first part the first worker, and so on, in equal parts.
    /// On a machine with several NUMA nodes the kernel puts a page where the thread runs that touches it first, so with bound
    /// workers each part lies beside the worker that will compute on it, if loops cut the array in the same way. An array that one
    /// thread has filled lies on one node, and all others wait for that node's memory.
    ///
    /// Worth it for arrays of megabytes. Smaller ones the allocator may take from memory that was touched before; that is not moved.
    /// Waits for the workers: do not call it in a task of this pool that others wait for.
    ///
    /// # Errors
    /// [`ErrorKind::System`]: there is not so much memory.
    ///
    /// ```
    /// let pool = threadctl::dispatch::Pool::new(threadctl::Workers::ALL)?;
    /// let mut numbers: Vec<f64> = pool.zeroed(1 << 20)?;
    /// assert!(numbers.iter().all(|number| *number == 0.0));
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn zeroed<T: Scalar>(&self, length: usize) -> Result<Vec<T>> {
        let Some(mut numbers) = fresh::zeroed::<T>(length) else {
            return Err(Error::new(
                ErrorKind::System,
                format!("an array of {length} elements: there is not so much memory"),
            ));
        };
        let workers = self.rayon().current_num_threads();
        let part = length.div_ceil(workers).max(1);
        let parts: Vec<Mutex<&mut [T]>> = numbers.chunks_mut(part).map(Mutex::new).collect();
        self.rayon().broadcast(|context| {
            if let Some(part) = parts.get(context.index()) {
                touch(&mut part.lock().unwrap_or_else(PoisonError::into_inner));
            }
        });
        drop(parts);
        Ok(numbers)
    }
}

/// Writes the zero that is there to each page.
fn touch<T: Scalar>(part: &mut [T]) {
    for page in part.chunks_mut(PAGE / size_of::<T>()) {
        if let Some(first) = page.first_mut() {
            // The compiler must not know that this changes nothing.
            *first = black_box(T::ZERO);
        }
    }
}

impl PoolBuilder {
    /// Whether each worker is bound to a core of its own, with its SMT siblings: `THREADCTL_PIN` decides where this is not
    /// called, and without that they are not. Cores of one NUMA node are given to neighbouring workers, and few nodes are used.
    ///
    /// For programs that have their cores to themselves: the kernel cannot move a worker away from a core that somebody else is busy
    /// on. Threads that a worker starts inherit its CPUs, so do not load libraries that start threads from inside a worker. What
    /// [`cores()`](crate::cores()) counts in a worker are all of the process, as elsewhere.
    ///
    /// ```
    /// let builder = threadctl::dispatch::Pool::builder(1).pinned(true);
    /// assert_eq!(builder.build()?.places().len(), 1);
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn pinned(self, pinned: bool) -> Self {
        PoolBuilder {
            pinned: Some(pinned),
            ..self
        }
    }

    /// Makes the pool.
    ///
    /// # Errors
    /// As for [`Pool::new`]; where binding was asked for here, also [`ErrorKind::InvalidLimit`] for more workers than this process
    /// may use cores, and [`ErrorKind::System`] if the kernel refuses. Where the variable asked, that is told as a
    /// warning of `tracing`, and nobody is bound.
    ///
    /// ```
    /// let pool = threadctl::dispatch::Pool::builder(threadctl::Workers::ALL).build()?;
    /// assert_eq!(pool.install(|| 7)?, 7);
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn build(self) -> Result<Pool> {
        let pins = self.pins()?;
        self.build_by(pins)
    }

    fn build_by(self, mut pins: Option<Arc<Pins>>) -> Result<Pool> {
        let pool = region::born(self.workers, pins.clone())?;
        if let Some(bound) = &pins {
            // Each has begun, and so was bound or refused, when this returns.
            pool.broadcast(|_| ());
            if let Some(error) = bound.refused() {
                let why = format!(
                    "binding a pool of {} workers to CPUs: {error}",
                    self.workers
                );
                if self.pinned == Some(true) {
                    return Err(Error::new(ErrorKind::System, why));
                }
                tracing::warn!("{why}; none is bound");
                // They have been told already; when this returns, they have done it.
                pool.broadcast(|_| unbind());
                pins = None;
            }
        }
        let places = pins.map(|pins| pins.places.clone()).unwrap_or_default();
        Ok(Pool(pool, places))
    }

    /// The cores of the workers, where they are to be bound.
    fn pins(&self) -> Result<Option<Arc<Pins>>> {
        let asked = self.pinned.unwrap_or_else(pin);
        if !asked || self.workers == 0 {
            return Ok(None);
        }
        let pins = Pins::new(self.workers);
        match pins {
            None if self.pinned == Some(true) => Err(Error::new(
                ErrorKind::InvalidLimit,
                format!(
                    "a pool of {} workers bound to CPUs: this process may use {} cores",
                    self.workers,
                    System::this().places().len()
                ),
            )),
            pins => Ok(pins),
        }
    }
}

/// Where the workers of a pool are to run.
#[derive(Debug)]
pub(super) struct Pins {
    places: Arc<[Place]>,
    /// Why the kernel did, the first time.
    refused: Mutex<Option<String>>,
}

impl Pins {
    /// `None`, with a warning, where there are fewer cores than workers.
    fn new(workers: u32) -> Option<Arc<Self>> {
        let places = System::this().places();
        let count = places.len();
        let number = usize::try_from(workers).unwrap_or(usize::MAX);
        let Some(places) = pinning::of(places, number) else {
            tracing::warn!("{workers} workers are not bound to CPUs: there are {count} cores");
            return None;
        };
        Some(Arc::new(Pins {
            places: places.into(),
            refused: Mutex::default(),
        }))
    }

    /// Where `THREADCTL_PIN` asks for it.
    pub(super) fn by_variable(workers: u32) -> Option<Arc<Self>> {
        pin().then(|| Pins::new(workers)).flatten()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> Option<String> {
        self.lock().clone()
    }

    /// In the worker of this number, when it begins. Where the kernel refuses, the others of its pool are unbound too, without
    /// waiting for them: in the global pool they may have tasks already that wait for us.
    pub(super) fn bind(&self, worker: usize) {
        let Some(place) = self.places.get(worker) else {
            return;
        };
        if self.refused().is_some() {
            return;
        }
        if let Err(error) = pinning::bind(&place.cpus) {
            tracing::warn!(worker, %error, "workers are not bound: refused for CPUs {}", place.cpus);
            self.lock()
                .get_or_insert_with(|| format!("CPUs {}: {error}", place.cpus));
            // Who binds itself in this moment, or begins later, is told as well: a worker looks at its broadcasts after it has begun.
            rayon::spawn_broadcast(|_| unbind());
        }
    }
}

/// In a worker.
fn unbind() {
    if let Err(error) = pinning::unbind() {
        tracing::warn!(%error, "a worker stays bound to CPUs");
    }
}

/// A builder of rayon's whose workers are bound where the variable asks for it; all of them or none.
pub(super) fn bound(builder: ThreadPoolBuilder, workers: u32) -> ThreadPoolBuilder {
    bound_by(builder, Pins::by_variable(workers))
}

fn bound_by(builder: ThreadPoolBuilder, pins: Option<Arc<Pins>>) -> ThreadPoolBuilder {
    match pins {
        Some(pins) => builder.start_handler(move |worker| pins.bind(worker)),
        None => builder,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use rustix::thread::sched_getaffinity;

    /// The first workers' CPUs are ones that the kernel accepts; those of the last one no machine has that this runs on.
    fn refused_for_the_last(workers: u32) -> Option<Arc<Pins>> {
        let mut places: Vec<Place> = System::this()
            .places()
            .into_iter()
            .cycle()
            .take(usize::try_from(workers).unwrap())
            .collect();
        places.last_mut().unwrap().cpus = "1023".parse().unwrap();
        Some(Arc::new(Pins {
            places: places.into(),
            refused: Mutex::default(),
        }))
    }

    fn own_cpus() -> Vec<usize> {
        let own = sched_getaffinity(None).unwrap();
        (0..rustix::thread::CpuSet::MAX_CPU)
            .filter(|cpu| own.is_set(*cpu))
            .collect()
    }

    #[test]
    fn where_one_worker_is_refused_none_is_bound() {
        let own = own_cpus();
        for workers in [1, 2, 5] {
            let builder = Pool::builder(workers);
            let pool = builder.build_by(refused_for_the_last(workers)).unwrap();
            assert!(pool.places().is_empty());
            let cpus = pool.rayon().broadcast(|_| own_cpus());
            assert!(cpus.iter().all(|cpus| *cpus == own), "{cpus:?}");
            let counted = pool.rayon().broadcast(|_| pinning::is_bound());
            assert!(!counted.contains(&true));

            let builder = Pool::builder(workers).pinned(true);
            let error = builder.build_by(refused_for_the_last(workers)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::System);
        }
    }

    #[test]
    fn workers_of_pools_that_nobody_waits_for_are_unbound_too() {
        let own = own_cpus();
        for workers in [2, 5] {
            let builder = ThreadPoolBuilder::new().num_threads(usize::try_from(workers).unwrap());
            let pool = bound_by(builder, refused_for_the_last(workers))
                .build()
                .unwrap();
            // All have begun then, and what they were told by one of them comes before the next broadcast.
            pool.broadcast(|_| ());
            let cpus = pool.broadcast(|_| own_cpus());
            assert!(cpus.iter().all(|cpus| *cpus == own), "{cpus:?}");
        }
    }
}
