//! The world on the machine's clock: takes requests at the time at which they come, sends answers
//! at the time at which they are due, and keeps the hardware in step.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firecamp_vpc::{Answer, Exchange, WireRequest, World};
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};

use crate::clock::{Clock, micros};
use crate::failure::Failure;
use crate::plant::{Plant, Wanted};
use crate::protocol::{Hello, RouterEvent};

/// Router events that are kept; a demo makes dozens.
const MAX_EVENTS: usize = 100_000;
/// The longest sleep of the task that keeps the hardware in step.
const IDLE: Duration = Duration::from_hours(1);

/// Everything that runs in the first process of a box.
pub(crate) struct Driver {
    pub(crate) clock: Clock,
    pub(crate) hello: Hello,
    pub(crate) region: String,
    world: Mutex<World>,
    pub(crate) plant: AsyncMutex<Plant>,
    events: Mutex<(u64, VecDeque<RouterEvent>)>,
    /// Something happened that may have changed the data path or the hardware.
    dirty: AtomicBool,
    changed: Notify,
    /// The failure that ends the box.
    fatal: watch::Sender<Option<String>>,
}

/// What a box says of itself.
pub(crate) struct About {
    pub(crate) hello: Hello,
    /// The region that every node is in.
    pub(crate) region: String,
}

impl Driver {
    /// A driver of this world, whose clock starts now.
    pub(crate) fn new(world: World, plant: Plant, clock: Clock, about: About) -> Self {
        Self {
            clock,
            hello: about.hello,
            region: about.region,
            world: Mutex::new(world),
            plant: AsyncMutex::new(plant),
            events: Mutex::new((0, VecDeque::new())),
            dirty: AtomicBool::new(true),
            changed: Notify::new(),
            fatal: watch::Sender::new(None),
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the world as it is now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut World, Duration) -> T) -> T {
        let mut world = self.world();
        let now = self.clock.now();
        if world.next_event().is_some_and(|due| due <= now) {
            self.dirty.store(true, Ordering::Relaxed);
        }
        look(&mut world, now)
    }

    /// Changes the world as it is now, and tells the task that keeps the hardware in step.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World, Duration) -> T) -> T {
        let result = self.look(change);
        self.dirty.store(true, Ordering::Relaxed);
        self.changed.notify_one();
        result
    }

    /// Serves one request: hands it to the world, waits until the answer is due, and makes sure
    /// that the router does not lag behind what the answer shows. `None`: never answered.
    pub(crate) async fn serve(
        &self,
        accept: impl FnOnce(&mut World, Duration) -> Exchange,
    ) -> Result<Option<Answer>, Failure> {
        let exchange = self.change(accept);
        let Some(due) = exchange.respond_at else { return Ok(None) };
        loop {
            self.clock.sleep_until(due).await;
            self.settle().await?;
            if self.clock.now() >= due {
                return Ok(self.look(|world, now| world.answer(now, exchange.call)));
            }
        }
    }

    /// The same for EC2, with the node or client that the source address belongs to as a hint.
    pub(crate) async fn ec2(
        &self,
        source: Ipv4Addr,
        request: &WireRequest,
    ) -> Result<Option<Answer>, Failure> {
        let hint = self.site_of(source).await;
        self.serve(|world, now| world.ec2(now, hint.as_deref(), request)).await
    }

    /// The node or client that an address is delivered to.
    pub(crate) async fn site_of(&self, address: Ipv4Addr) -> Option<String> {
        self.plant.lock().await.site_of(address).map(str::to_owned)
    }

    /// The node that an address is delivered to; a client is none.
    pub(crate) async fn node_at(&self, address: Ipv4Addr) -> Option<String> {
        let name = self.site_of(address).await?;
        let nodes = self.look(|world, _| world.nodes());
        nodes.into_iter().any(|node| node.name == name).then_some(name)
    }

    /// Makes the hardware agree with the world as it is now, if anything may have changed.
    pub(crate) async fn settle(&self) -> Result<(), Failure> {
        let mut plant = self.plant.lock().await;
        let wanted = self.look(|world, now| {
            world.advance(now);
            self.dirty.swap(false, Ordering::Relaxed).then(|| Wanted {
                data_path: world.data_path(now),
                nodes: world.nodes(),
                clients: world.clients(),
            })
        });
        let Some(wanted) = wanted else { return Ok(()) };
        let routed = plant.agree(&wanted).await?;
        let at_us = micros(self.clock.now());
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        for mut routed in routed {
            routed.at_us = at_us;
            events.0 = events.0.saturating_add(1);
            let seq = events.0;
            events.1.push_back(RouterEvent { seq, routed });
        }
        while events.1.len() > MAX_EVENTS {
            events.1.pop_front();
        }
        Ok(())
    }

    /// Changes of the router's routes with a number above `since`.
    pub(crate) fn router_events(&self, since: u64) -> Vec<RouterEvent> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.1.iter().filter(|event| event.seq > since).cloned().collect()
    }

    /// Keeps the hardware in step until the box ends.
    pub(crate) async fn keep_in_step(&self) {
        loop {
            if let Err(failure) = self.settle().await {
                self.give_up(&failure);
                return;
            }
            let next = self.look(|world, now| {
                let idle = now.saturating_add(IDLE);
                world.next_event().map_or(idle, |due| due.min(idle))
            });
            tokio::select! {
                () = self.clock.sleep_until(next) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Ends the box: a box whose hardware does not follow the truth must not go on.
    pub(crate) fn give_up(&self, failure: &Failure) {
        self.fatal.send_if_modified(|text| {
            let first = text.is_none();
            if first {
                *text = Some(failure.chain());
            }
            first
        });
    }

    /// Waits for the failure that ends the box.
    pub(crate) async fn gave_up(&self) -> String {
        let mut fatal = self.fatal.subscribe();
        match fatal.wait_for(Option::is_some).await {
            Ok(text) => text.clone().unwrap_or_default(),
            Err(closed) => closed.to_string(),
        }
    }
}
