//! How much CPU time a process has used, all its threads together.

use std::time::Duration;

/// Of the process with this number; `None` if there is none.
pub(crate) fn cpu_time_of(pid: u32) -> Option<Duration> {
    let pid = libc::pid_t::try_from(pid).ok()?;
    let mut clock: libc::clockid_t = 0;
    // SAFETY: a place for the clock's number; any number of a process is allowed.
    if unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) } != 0 {
        return None;
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a place for the time; a clock whose process has ended is refused.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return None;
    }
    Some(Duration::new(
        u64::try_from(time.tv_sec).ok()?,
        u32::try_from(time.tv_nsec).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::cpu_time_of;

    #[test]
    fn time_goes_on_while_we_compute_and_nobody_has_none() {
        let before = cpu_time_of(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while cpu_time_of(std::process::id()).unwrap() == before {
            sum = std::hint::black_box(sum + 1);
        }
        // Above the most that Linux gives out.
        assert_eq!(cpu_time_of((1 << 22) + 1), None);
        assert_eq!(cpu_time_of(u32::MAX), None);
    }
}
