//! Threads for questions that may never be answered.
//!
//! Nothing ends a thread that hangs in the kernel, so each has little stack, one question hangs
//! at most one, and there is a bound on all. They are not tokio's, whose runtime waits for its
//! blocking threads when it ends. One that has answered waits for the next question: a thread for
//! each would leave its traces in the allocator's memory, which grows by it for hours.

use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use firecamp_node::volumes::seen::DeviceNumber;

/// How many filesystems may hang before no more are asked.
const LIMIT: usize = 32;
const STACK: usize = 256 * 1024;
/// So many threads wait for a question; as many are asked at once.
const IDLE: usize = firecamp_node::volumes::ASKED_AT_ONCE;

/// What is asked, so that it is not asked again while it hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Question {
    Devices,
    Mounts,
    Space(DeviceNumber),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stuck {
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("still no answer to an earlier question")]
    Still,
    #[error("not asked, because {LIMIT} others hang")]
    Full,
    #[error("its thread could not begin: {0}")]
    NoThread(#[source] io::Error),
    #[error("its thread ended without an answer")]
    Lost,
}

/// The threads of one node.
#[derive(Debug, Clone, Default)]
pub(super) struct Workers {
    open: Open,
    idle: Arc<Idle>,
}

type Open = Arc<Mutex<BTreeSet<Question>>>;

/// Threads that wait. Without this each of them ends, and a thread has no way to itself but an
/// order that it has got.
#[derive(Debug, Default)]
struct Idle(Mutex<Vec<Sender<Order>>>);

/// Work that calls what it is given before it tells its answer.
type Run = dyn FnOnce(&mut dyn FnMut()) + Send;

/// One question for a thread, and the way to that thread.
struct Order {
    run: Box<Run>,
    back: Sender<Order>,
}

impl Idle {
    /// A thread that waits, or a new one.
    fn thread(self: &Arc<Self>) -> io::Result<Sender<Order>> {
        let waits = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(waits) = waits {
            return Ok(waits);
        }
        let (way, orders) = channel();
        let idle = Arc::downgrade(self);
        let thread = std::thread::Builder::new().name("volumes".to_owned()).stack_size(STACK);
        thread.spawn(move || serve(&orders, &idle))?;
        Ok(way)
    }

    fn waits(&self, way: Sender<Order>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < IDLE {
            all.push(way);
        }
    }
}

/// Answers one question after the other, until nobody knows the way any more.
fn serve(orders: &Receiver<Order>, idle: &Weak<Idle>) {
    while let Ok(Order { run, back }) = orders.recv() {
        let mut back = Some(back);
        run(&mut || {
            if let (Some(idle), Some(back)) = (idle.upgrade(), back.take()) {
                idle.waits(back);
            }
        });
    }
}

/// Takes its question off the list, however its thread ends.
struct Asked {
    open: Open,
    question: Question,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.question);
    }
}

impl Workers {
    /// Does the work on a thread that does nothing else and waits for it, at most for `within`.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: Question,
        within: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stuck> {
        let asked = self.begin(question)?;
        let (tell, told) = oneshot::channel();
        let run = move |waits: &mut dyn FnMut()| {
            let answer = work();
            // Whoever hears the answer may ask again, and finds this thread.
            drop(asked);
            waits();
            // Nobody waits any more: the answer came too late.
            drop(tell.send(answer));
        };
        let way = self.idle.thread().map_err(Stuck::NoThread)?;
        let back = way.clone();
        // A thread that waits is there; if not, the question has no answer, and says so below.
        drop(way.send(Order { run: Box::new(run), back }));
        match timeout(within, told).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_ended)) => Err(Stuck::Lost),
            Err(_elapsed) => Err(Stuck::Late(within)),
        }
    }

    fn begin(&self, question: Question) -> Result<Asked, Stuck> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // What all else depends on is never kept waiting by filesystems.
        if open.len() >= LIMIT && matches!(question, Question::Space(_)) {
            return Err(if open.contains(&question) { Stuck::Still } else { Stuck::Full });
        }
        if !open.insert(question) {
            return Err(Stuck::Still);
        }
        Ok(Asked { open: Arc::clone(&self.open), question })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(30);

    fn space(minor: u32) -> Question {
        Question::Space(DeviceNumber { major: 0, minor })
    }

    /// Work that hangs until the sender is dropped.
    fn hanging() -> (mpsc::Sender<()>, impl FnOnce() + Send) {
        let (end, ended) = mpsc::channel::<()>();
        (end, move || assert!(ended.recv().is_err()))
    }

    #[tokio::test]
    async fn an_answer_is_told_and_the_question_may_be_asked_again() {
        let workers = Workers::default();
        for n in 0..100 {
            assert_eq!(workers.ask(space(1), LONG, move || n).await.unwrap(), n);
        }
    }

    #[tokio::test]
    async fn questions_that_follow_each_other_are_answered_by_one_thread_which_ends_with_them() {
        let workers = Workers::default();
        let own = || std::thread::current().id();
        let first = workers.ask(Question::Mounts, LONG, own).await.unwrap();
        for minor in 0..100 {
            assert_eq!(workers.ask(space(minor), LONG, own).await.unwrap(), first);
        }
        let idle = Arc::downgrade(&workers.idle);
        drop(workers);
        assert!(idle.upgrade().is_none(), "nobody knows the way to a thread any more");
    }

    #[tokio::test]
    async fn f051_a_question_that_hangs_is_given_up_and_not_asked_again_until_it_ends() {
        let workers = Workers::default();
        let (end, work) = hanging();
        assert!(matches!(workers.ask(space(1), SOON, work).await, Err(Stuck::Late(_))));
        let again = workers.ask(space(1), SOON, || panic!("asked again")).await;
        assert!(matches!(again, Err(Stuck::Still)));
        assert_eq!(workers.ask(space(2), LONG, || 2).await.unwrap(), 2, "another goes on");
        drop(end);
        let answered = async {
            while workers.ask(space(1), LONG, || ()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, answered).await.expect("asked again once it has ended");
    }

    #[tokio::test]
    async fn f051_no_more_than_the_bound_hang_and_lists_are_read_all_the_same() {
        let workers = Workers::default();
        let mut ends = Vec::new();
        for minor in 0..u32::try_from(LIMIT).unwrap() {
            let (end, work) = hanging();
            ends.push(end);
            assert!(workers.ask(space(minor), Duration::ZERO, work).await.is_err());
        }
        let one_more = workers.ask(space(1000), LONG, || panic!("one too many")).await;
        assert!(matches!(one_more, Err(Stuck::Full)));
        assert!(matches!(workers.ask(space(0), LONG, || ()).await, Err(Stuck::Still)));
        assert_eq!(workers.ask(Question::Mounts, LONG, || 7).await.unwrap(), 7);
        assert_eq!(workers.ask(Question::Devices, LONG, || 8).await.unwrap(), 8);
    }

    #[tokio::test]
    async fn a_thread_that_panics_is_no_answer_and_blocks_nothing() {
        let workers = Workers::default();
        let lost = workers.ask(space(1), LONG, || panic!("as wanted")).await;
        assert!(matches!(lost, Err::<(), _>(Stuck::Lost)));
        assert_eq!(workers.ask(space(1), LONG, || 1).await.unwrap(), 1);
    }
}
