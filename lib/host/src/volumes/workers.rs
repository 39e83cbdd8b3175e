//! Threads for queries that may hang forever.
//!
//! Nothing ends a thread that hangs in the kernel, so each thread has a small stack, a query blocks
//! at most one thread, and the total is bounded. They are not tokio's blocking threads, because a
//! tokio runtime waits for those when it ends. A thread is reused for the next query: one thread
//! per query would grow the allocator's memory for hours.

use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use firecamp_node::volumes::observation::DeviceNumber;

/// Maximum number of hanging filesystems; above it no more are queried.
const LIMIT: usize = 32;
const STACK: usize = 256 * 1024;
/// Maximum number of idle threads, which is also the number of concurrent queries.
const IDLE: usize = firecamp_node::volumes::ASKED_AT_ONCE;

/// The kind of a query, which does not run again while it hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Query {
    Devices,
    Mounts,
    Space(DeviceNumber),
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stuck {
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("still no answer to an earlier query")]
    Still,
    #[error("not queried, because {LIMIT} other queries hang")]
    Full,
    #[error("failed to start the thread: {0}")]
    NoThread(#[source] io::Error),
    #[error("the thread ended without an answer")]
    Lost,
}

/// The threads of one node.
#[derive(Debug, Clone, Default)]
pub(super) struct Workers {
    open: Open,
    idle: Arc<Idle>,
}

type Open = Arc<Mutex<BTreeSet<Query>>>;

/// Idle threads. A thread owns a sender to itself only while it runs an order, so dropping this
/// ends all of them.
#[derive(Debug, Default)]
struct Idle(Mutex<Vec<Sender<Order>>>);

/// Work that calls its argument before it reports its answer.
type Run = dyn FnOnce(&mut dyn FnMut()) + Send;

/// One query for a thread, and the sender to that thread.
struct Order {
    run: Box<Run>,
    back: Sender<Order>,
}

impl Idle {
    /// An idle thread, or a new one.
    fn thread(self: &Arc<Self>) -> io::Result<Sender<Order>> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(sender) = idle {
            return Ok(sender);
        }
        let (sender, orders) = channel();
        let idle = Arc::downgrade(self);
        let thread = std::thread::Builder::new().name("volumes".to_owned()).stack_size(STACK);
        thread.spawn(move || serve(&orders, &idle))?;
        Ok(sender)
    }

    fn put(&self, sender: Sender<Order>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < IDLE {
            all.push(sender);
        }
    }
}

/// Runs one query after the other until all senders are dropped.
fn serve(orders: &Receiver<Order>, idle: &Weak<Idle>) {
    while let Ok(Order { run, back }) = orders.recv() {
        let mut back = Some(back);
        run(&mut || {
            if let (Some(idle), Some(back)) = (idle.upgrade(), back.take()) {
                idle.put(back);
            }
        });
    }
}

/// Removes its query from the list, however its thread ends.
struct OpenQuery {
    open: Open,
    query: Query,
}

impl Drop for OpenQuery {
    fn drop(&mut self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.query);
    }
}

impl Workers {
    /// Runs the work on a thread and waits for it, at most for `within`.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        query: Query,
        within: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stuck> {
        let asked = self.begin(query)?;
        let (report, reported) = oneshot::channel();
        let run = move |put_back: &mut dyn FnMut()| {
            let answer = work();
            // Return the thread first, so that the caller finds it idle after the answer.
            drop(asked);
            put_back();
            // Fails if the caller has timed out.
            drop(report.send(answer));
        };
        let sender = self.idle.thread().map_err(Stuck::NoThread)?;
        let back = sender.clone();
        // If the thread has ended, the receiver below reports it.
        drop(sender.send(Order { run: Box::new(run), back }));
        match timeout(within, reported).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_ended)) => Err(Stuck::Lost),
            Err(_elapsed) => Err(Stuck::Late(within)),
        }
    }

    fn begin(&self, query: Query) -> Result<OpenQuery, Stuck> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Devices and mounts are never delayed by hanging filesystems.
        if open.len() >= LIMIT && matches!(query, Query::Space(_)) {
            return Err(if open.contains(&query) { Stuck::Still } else { Stuck::Full });
        }
        if !open.insert(query) {
            return Err(Stuck::Still);
        }
        Ok(OpenQuery { open: Arc::clone(&self.open), query })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(30);

    fn space(minor: u32) -> Query {
        Query::Space(DeviceNumber { major: 0, minor })
    }

    /// Work that hangs until the sender is dropped.
    fn hanging() -> (mpsc::Sender<()>, impl FnOnce() + Send) {
        let (end, ended) = mpsc::channel::<()>();
        (end, move || assert!(ended.recv().is_err()))
    }

    #[tokio::test]
    async fn query_returns_its_answer_and_may_run_again() {
        let workers = Workers::default();
        for n in 0..100 {
            assert_eq!(workers.ask(space(1), LONG, move || n).await.unwrap(), n);
        }
    }

    #[tokio::test]
    async fn consecutive_queries_share_one_thread_that_ends_with_the_workers() {
        let workers = Workers::default();
        let own = || std::thread::current().id();
        let first = workers.ask(Query::Mounts, LONG, own).await.unwrap();
        for minor in 0..100 {
            assert_eq!(workers.ask(space(minor), LONG, own).await.unwrap(), first);
        }
        let idle = Arc::downgrade(&workers.idle);
        drop(workers);
        assert!(idle.upgrade().is_none(), "a thread outlives its workers");
    }

    #[tokio::test]
    async fn f051_hanging_query_times_out_and_is_not_repeated_until_it_ends() {
        let workers = Workers::default();
        let (end, work) = hanging();
        assert!(matches!(workers.ask(space(1), SOON, work).await, Err(Stuck::Late(_))));
        let again = workers.ask(space(1), SOON, || panic!("the query runs again")).await;
        assert!(matches!(again, Err(Stuck::Still)));
        assert_eq!(workers.ask(space(2), LONG, || 2).await.unwrap(), 2, "other queries still run");
        drop(end);
        let answered = async {
            while workers.ask(space(1), LONG, || ()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, answered).await.expect("the query runs again once the hanging one has ended");
    }

    #[tokio::test]
    async fn f051_hanging_space_queries_are_limited_and_do_not_delay_lists() {
        let workers = Workers::default();
        let mut ends = Vec::new();
        for minor in 0..u32::try_from(LIMIT).unwrap() {
            let (end, work) = hanging();
            ends.push(end);
            assert!(workers.ask(space(minor), Duration::ZERO, work).await.is_err());
        }
        let one_more =
            workers.ask(space(1000), LONG, || panic!("the query exceeds the limit")).await;
        assert!(matches!(one_more, Err(Stuck::Full)));
        assert!(matches!(workers.ask(space(0), LONG, || ()).await, Err(Stuck::Still)));
        assert_eq!(workers.ask(Query::Mounts, LONG, || 7).await.unwrap(), 7);
        assert_eq!(workers.ask(Query::Devices, LONG, || 8).await.unwrap(), 8);
    }

    #[tokio::test]
    async fn panicking_query_is_an_error_and_blocks_nothing() {
        let workers = Workers::default();
        let lost = workers.ask(space(1), LONG, || panic!("the query panics")).await;
        assert!(matches!(lost, Err::<(), _>(Stuck::Lost)));
        assert_eq!(workers.ask(space(1), LONG, || 1).await.unwrap(), 1);
    }
}
