use std::cell::RefCell;
use std::rc::Rc;

use tokio::task::LocalSet;
use tokio::time::sleep;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Tick,
    Local,
    Ended(&'static str),
}

enum Effect {
    /// Leads to [`Event::Local`] at once.
    Read,
    /// Ends after this many seconds.
    Start(&'static str, u32),
}

/// What has happened, and when.
type Seen = Rc<RefCell<Vec<(u64, Event)>>>;

/// The first tick starts an operation and a read, both of which take longer than the test.
struct Fixture {
    seen: Seen,
    operating: bool,
    next_tick: Option<Moment>,
}

impl Controller for Fixture {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut seen = self.seen.borrow_mut();
        seen.push((now.0.as_secs(), event));
        match event {
            Event::Tick if seen.len() == 1 => {
                self.operating = true;
                self.next_tick = None;
                vec![Effect::Read, Effect::Start("operation", 10), Effect::Start("read", 100)]
            }
            Event::Ended("operation") => {
                self.operating = false;
                Vec::new()
            }
            Event::Tick | Event::Local | Event::Ended(_) => Vec::new(),
        }
    }

    fn next_tick(&self) -> Option<Moment> {
        self.next_tick
    }

    fn stop(&mut self, _now: Moment) -> Vec<Effect> {
        Vec::new()
    }

    fn is_idle(&self) -> bool {
        !self.operating
    }
}

/// It fails after this many seconds.
struct Outside(u32);

impl Driver<Fixture> for Outside {
    type Failure = &'static str;

    async fn changed(&mut self) -> Result<Event, &'static str> {
        sleep(SECOND * self.0).await;
        Err("no more events")
    }

    fn tick(&mut self) -> Event {
        Event::Tick
    }

    async fn perform(&mut self, effect: Effect, tasks: &mut JoinSet<Event>) -> Option<Event> {
        match effect {
            Effect::Read => Some(Event::Local),
            Effect::Start(name, seconds) => {
                tasks.spawn_local(async move {
                    sleep(SECOND * seconds).await;
                    Event::Ended(name)
                });
                None
            }
        }
    }
}

async fn seen(outside: Outside, end: &CancellationToken) -> (Vec<(u64, Event)>, bool) {
    let seen = Seen::default();
    let next_tick = Some(Moment::default());
    let fixture = Fixture { seen: Rc::clone(&seen), operating: false, next_tick };
    let run = LocalSet::new().run_until(run(fixture, outside, end)).await;
    (seen.take(), run.is_ok())
}

#[tokio::test(start_paused = true)]
async fn stopped_runner_awaits_operations_and_cancels_reads() {
    let end = CancellationToken::new();
    let stop = async {
        sleep(SECOND).await;
        end.cancel();
    };
    let (seen, ()) = tokio::join!(seen(Outside(1000), &end), stop);
    let all = [(0, Event::Tick), (0, Event::Local), (10, Event::Ended("operation"))];
    assert_eq!(seen, (all.to_vec(), true));
}

#[tokio::test(start_paused = true)]
async fn failed_driver_ends_the_other_parts_of_the_process() {
    let end = CancellationToken::new();
    let (seen, succeeded) = seen(Outside(2), &end).await;
    assert_eq!(seen.last(), Some(&(10, Event::Ended("operation"))));
    assert!(!succeeded && end.is_cancelled());
}
