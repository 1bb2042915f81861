//! The ways to put limits in force: for a guard's life, for a closure, around a function.

use super::guard::{Plan, ProcessGuard, ThreadGuard};
use super::select::Limits;
use crate::error::Result;
use crate::runtime::{Runtimes, runtimes};

impl Limits {
    /// Resolves the limits for these runtimes, for guards that are made often.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidLimit`](crate::ErrorKind::InvalidLimit) for a limit out of range,
    /// [`ErrorKind::InvalidSelection`](crate::ErrorKind::InvalidSelection) for a name that nothing has or a path that
    /// is not absolute.
    ///
    /// ```
    /// let blas = threadctl::runtimes().select(|runtime| runtime.user_api() == "blas");
    /// let plan = threadctl::Limits::new().all(1).plan(&blas).unwrap();
    /// let _guard = plan.limit_process().unwrap();
    /// ```
    pub fn plan(&self, runtimes: &Runtimes) -> Result<Plan> {
        crate::config::notice();
        Plan::new(self, runtimes)
    }

    /// Puts the limits in force for the whole process, until the guard is dropped, on the runtimes that are loaded
    /// now.
    ///
    /// # Errors
    /// As for [`plan`](Limits::plan) and [`Plan::limit_process`].
    ///
    /// ```
    /// let guard = threadctl::Limits::new().user_api("blas", 1).limit_process().unwrap();
    /// // ... calls into BLAS, from any thread, use one core each ...
    /// drop(guard);
    /// ```
    pub fn limit_process(&self) -> Result<ProcessGuard> {
        self.plan(&runtimes())?.limit_process()
    }

    /// Puts the limits in force for the calling thread, until the guard is dropped, on the runtimes that are loaded
    /// now.
    ///
    /// # Errors
    /// As for [`plan`](Limits::plan) and [`Plan::limit_thread`].
    ///
    /// ```
    /// let guard = threadctl::Limits::new().user_api("openmp", 1).limit_thread().unwrap();
    /// // ... calls made from this thread ...
    /// drop(guard);
    /// ```
    pub fn limit_thread(&self) -> Result<ThreadGuard> {
        self.plan(&runtimes())?.limit_thread()
    }

    /// Calls `work` with the limits in force for the whole process.
    ///
    /// # Errors
    /// As for [`limit_process`](Limits::limit_process); then `work` is not called.
    ///
    /// ```
    /// let sum: f64 = threadctl::Limits::new().user_api("blas", 1).run(|| 1.0 + 1.0).unwrap();
    /// assert_eq!(sum, 2.0);
    /// ```
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> Result<R> {
        self.plan(&runtimes())?.run(work)
    }

    /// Calls `work` with the limits in force for the calling thread.
    ///
    /// # Errors
    /// As for [`limit_thread`](Limits::limit_thread); then `work` is not called.
    ///
    /// ```
    /// let sum: f64 = threadctl::Limits::new().all(1).run_thread(|| 1.0 + 1.0).unwrap();
    /// assert_eq!(sum, 2.0);
    /// ```
    pub fn run_thread<R>(&self, work: impl FnOnce() -> R) -> Result<R> {
        self.plan(&runtimes())?.run_thread(work)
    }

    /// A function that calls `work` with the limits in force for the whole process, put in force anew at each call for
    /// the runtimes that are loaded then. Several arguments are passed as a tuple, none as `()`.
    ///
    /// The function returns the errors of [`limit_process`](Limits::limit_process).
    ///
    /// ```
    /// let limits = threadctl::Limits::new().user_api("blas", 1);
    /// let product = limits.wrap(|(a, b): (f64, f64)| a * b);
    /// assert_eq!(product((3.0, 4.0)).unwrap(), 12.0);
    /// ```
    pub fn wrap<A, R, F>(&self, work: F) -> impl Fn(A) -> Result<R> + use<A, R, F>
    where
        F: Fn(A) -> R,
    {
        let limits = self.clone();
        move |arguments| limits.run(|| work(arguments))
    }

    /// As [`wrap`](Limits::wrap), with the limits in force for the thread that calls the function.
    ///
    /// ```
    /// let product = threadctl::Limits::new().all(1).wrap_thread(|(a, b): (f64, f64)| a * b);
    /// assert_eq!(product((3.0, 4.0)).unwrap(), 12.0);
    /// ```
    pub fn wrap_thread<A, R, F>(&self, work: F) -> impl Fn(A) -> Result<R> + use<A, R, F>
    where
        F: Fn(A) -> R,
    {
        let limits = self.clone();
        move |arguments| limits.run_thread(|| work(arguments))
    }
}

impl Plan {
    /// Calls `work` with the limits in force for the whole process.
    ///
    /// # Errors
    /// As for [`limit_process`](Plan::limit_process); then `work` is not called.
    ///
    /// ```
    /// let plan = threadctl::Limits::new().all(1).plan(&threadctl::runtimes()).unwrap();
    /// assert_eq!(plan.run(|| 7).unwrap(), 7);
    /// ```
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> Result<R> {
        let _guard = self.limit_process()?;
        Ok(work())
    }

    /// Calls `work` with the limits in force for the calling thread.
    ///
    /// # Errors
    /// As for [`limit_thread`](Plan::limit_thread); then `work` is not called.
    ///
    /// ```
    /// let plan = threadctl::Limits::new().all(1).plan(&threadctl::runtimes()).unwrap();
    /// assert_eq!(plan.run_thread(|| 7).unwrap(), 7);
    /// ```
    pub fn run_thread<R>(&self, work: impl FnOnce() -> R) -> Result<R> {
        let _guard = self.limit_thread()?;
        Ok(work())
    }
}
