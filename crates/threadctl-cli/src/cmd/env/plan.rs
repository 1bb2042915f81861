//! Who gets how many cores. Pure.
//!
//! Invariants: jobs x outer x inner never exceeds the cores, unless there are more jobs than cores: then each of those
//! numbers is 1 for each job. Whatever differs from what was asked for, or leaves a core idle, is in the notes.

use anyhow::{Result, bail};
use threadctl::cores::ChildCores;
use threadctl::{Workers, split};

/// The numbers for a job.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// How many jobs run at once.
    pub(super) jobs: usize,
    /// The cores of the job, and how it divides them.
    pub(super) share: ChildCores,
    pub(super) notes: Vec<String>,
}

impl Plan {
    /// `jobs` is a number of jobs, which may be more than there are cores.
    pub(super) fn new(
        cores: u32,
        jobs: usize,
        job: Option<usize>,
        inner: Option<Workers<'_>>,
    ) -> Result<Self> {
        let mut notes = Vec::new();
        if let Some(job) = job
            && !(1..=jobs).contains(&job)
        {
            bail!("--job {job}: the jobs are numbered from 1 to {jobs} (--jobs)");
        }
        let shares = split(cores, jobs);
        if u32::try_from(jobs).map_or(true, |jobs| jobs > cores) {
            notes.push(format!(
                "{jobs} jobs exceed the {cores} {}: each gets 1 thread, and they take turns",
                of_cores(cores)
            ));
        } else if job.is_none() && shares.remainder() > 0 {
            let idle = shares.remainder();
            notes.push(format!(
                "{cores} cores among {jobs} jobs: {idle} {} idle; --job 1, --job 2 ... gives each job its own share",
                if idle == 1 { "core stays" } else { "cores stay" }
            ));
        }
        let width = match job {
            Some(job) => shares.width(job - 1).unwrap_or(1),
            None => shares.inner(),
        };
        let share = nested(ChildCores::new(width), inner, &mut notes);
        Ok(Plan { jobs, share, notes })
    }
}

/// Threads of the loops and of the calls that they make.
fn nested(share: ChildCores, inner: Option<Workers<'_>>, notes: &mut Vec<String>) -> ChildCores {
    let Some(wanted) = inner else {
        return share;
    };
    let width = share.cores();
    let share = share.nested(wanted.resolve(width));
    let (outer, inner) = (share.outer(), share.inner());
    let asked: Result<i64, _> = wanted.to_string().parse();
    if asked.is_ok_and(|asked| asked > i64::from(inner)) {
        notes.push(format!(
            "--inner {wanted}: a job has {width} {}, so a call gets {inner}",
            of_cores(width)
        ));
    }
    if outer * inner < width {
        notes.push(format!(
            "--inner {inner}: {outer} x {inner} of a job's {width} cores are used"
        ));
    }
    share
}

fn of_cores(number: u32) -> &'static str {
    if number == 1 { "core" } else { "cores" }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn jobs_and_levels_never_exceed_the_cores() {
        for budget in 1..=64 {
            for count in 1..=70 {
                let jobs = usize::try_from(count).unwrap();
                let mut sum = 0;
                for job in 1..=jobs {
                    let plan = Plan::new(budget, jobs, Some(job), None).unwrap();
                    sum += plan.share.cores();
                }
                assert_eq!(sum, budget.max(count), "{budget} cores, {jobs} jobs");
                for inner in [
                    None,
                    Some(-1),
                    Some(-2),
                    Some(1),
                    Some(2),
                    Some(3),
                    Some(100),
                ] {
                    let workers = inner.map(|inner: i32| Workers::try_from(inner).unwrap());
                    let plan = Plan::new(budget, jobs, None, workers).unwrap();
                    let (width, outer) = (plan.share.cores(), plan.share.outer());
                    let threads = outer * plan.share.inner();
                    assert!(width * count <= budget.max(count), "{plan:?}");
                    if inner.is_some() {
                        assert!((1..=width).contains(&threads), "{plan:?}");
                    }
                    let used = width * count;
                    assert_eq!(
                        plan.notes.is_empty(),
                        used == budget && {
                            inner.is_none_or(|wanted| {
                                wanted <= i32::try_from(plan.share.inner()).unwrap()
                                    && threads == width
                            })
                        },
                        "{budget} cores, {jobs} jobs, inner {inner:?}: {plan:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_job_that_is_none_of_them_is_refused() {
        for job in [0, 5] {
            let error = Plan::new(8, 4, Some(job), None).unwrap_err();
            assert!(error.to_string().contains("from 1 to 4"), "{error}");
        }
    }
}
