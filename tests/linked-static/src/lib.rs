//! The statically linked pool, as its program calls it.

unsafe extern "C" {
    /// Its present size.
    pub safe fn openblas_get_num_threads() -> i32;
    /// Changes it.
    pub safe fn openblas_set_num_threads(threads: i32);
    /// Runs on as many threads as it may, and returns how many took part.
    pub safe fn pool_work() -> i32;
}
