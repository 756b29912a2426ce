//! Work on all cores.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `work` of every job, in the jobs' order, as many at a time as there are cores.
pub(super) fn each<J: Sync, R: Send>(
    jobs: &[J],
    work: impl Fn(&J) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(jobs.len());
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, anyhow::Result<R>)> = std::thread::scope(|scope| {
        let run = || {
            let mut own = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = jobs.get(index) else { return own };
                own.push((index, work(job)));
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        // A panic in a thread is a bug of its own; it goes on here.
        let joined = threads.into_iter().map(|t| t.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        joined.flatten().collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::each;

    #[test]
    fn jobs_come_back_in_order_and_the_first_error_is_given() {
        let jobs: Vec<u64> = (0..20).collect();
        let squares = each(&jobs, |j| Ok(j * j)).unwrap();
        assert_eq!(squares, jobs.iter().map(|j| j * j).collect::<Vec<_>>());
        let error = each(&jobs, |j| if *j < 7 { Ok(()) } else { anyhow::bail!("job {j}") }).unwrap_err();
        assert_eq!(error.to_string(), "job 7");
        assert!(each(&[] as &[u64], |_| Ok(())).unwrap().is_empty());
    }
}
