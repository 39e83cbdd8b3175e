//! Runs the simulator in real time: accepts requests when they arrive, sends responses when they
//! are due, and synchronizes the network with the simulated VPC.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firecamp_vpc::{Answer, Exchange, Simulator, WireRequest};
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};

use crate::clock::{Clock, micros};
use crate::failure::Failure;
use crate::network::{DesiredState, Network};
use crate::protocol::{Hello, RouterEvent};

/// Router events that are kept; a demo creates dozens.
const MAX_EVENTS: usize = 100_000;
/// The longest sleep of the task that synchronizes the network.
const IDLE: Duration = Duration::from_hours(1);

/// Everything that runs in the first process of a box.
pub(crate) struct Driver {
    pub(crate) clock: Clock,
    pub(crate) hello: Hello,
    pub(crate) region: String,
    simulator: Mutex<Simulator>,
    pub(crate) network: AsyncMutex<Network>,
    events: Mutex<(u64, VecDeque<RouterEvent>)>,
    /// The number of changes of the simulator that the network shows. A thousand agents ask every
    /// few seconds, and a request changes hardly ever anything.
    reconciled: AtomicU64,
    /// Signals a request, after which other events may be due.
    changed: Notify,
    /// The failure that ends the box.
    fatal: watch::Sender<Option<String>>,
}

/// The box's description of itself.
pub(crate) struct BoxInfo {
    pub(crate) hello: Hello,
    /// The region of all nodes.
    pub(crate) region: String,
}

impl Driver {
    /// A driver of this simulator, whose clock starts now.
    pub(crate) fn new(simulator: Simulator, network: Network, clock: Clock, info: BoxInfo) -> Self {
        Self {
            clock,
            hello: info.hello,
            region: info.region,
            simulator: Mutex::new(simulator),
            network: AsyncMutex::new(network),
            events: Mutex::new((0, VecDeque::new())),
            reconciled: AtomicU64::new(u64::MAX),
            changed: Notify::new(),
            fatal: watch::Sender::new(None),
        }
    }

    fn simulator(&self) -> MutexGuard<'_, Simulator> {
        self.simulator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the current state.
    pub(crate) fn with_simulator<T>(&self, read: impl FnOnce(&mut Simulator, Duration) -> T) -> T {
        read(&mut self.simulator(), self.clock.now())
    }

    /// Changes the state, and wakes up the task that synchronizes the network.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Simulator, Duration) -> T) -> T {
        let result = self.with_simulator(change);
        self.changed.notify_one();
        result
    }

    /// Serves one request: passes it to the simulator, waits until the response is due, and ensures
    /// that the router already shows the state in the response. `None`: never answered.
    pub(crate) async fn serve(
        &self,
        accept: impl FnOnce(&mut Simulator, Duration) -> Exchange,
    ) -> Result<Option<Answer>, Failure> {
        let exchange = self.change(accept);
        let Some(due) = exchange.respond_at else { return Ok(None) };
        loop {
            self.clock.sleep_until(due).await;
            self.reconcile().await?;
            if self.clock.now() >= due {
                return Ok(
                    self.with_simulator(|simulator, now| simulator.answer(now, exchange.call))
                );
            }
        }
    }

    /// The same for EC2, with the node or client of the source address as a hint.
    pub(crate) async fn ec2(
        &self,
        source: Ipv4Addr,
        request: &WireRequest,
    ) -> Result<Option<Answer>, Failure> {
        let hint = self.site_of(source).await;
        self.serve(|simulator, now| simulator.ec2(now, hint.as_deref(), request)).await
    }

    /// The node or client to which an address is routed.
    pub(crate) async fn site_of(&self, address: Ipv4Addr) -> Option<String> {
        self.network.lock().await.site_of(address).map(str::to_owned)
    }

    /// The node to which an address is routed; `None` for a client.
    pub(crate) async fn node_at(&self, address: Ipv4Addr) -> Option<String> {
        let name = self.site_of(address).await?;
        self.with_simulator(|simulator, _| simulator.is_node(&name)).then_some(name)
    }

    /// Synchronizes the network with the current state, if that may have changed.
    pub(crate) async fn reconcile(&self) -> Result<(), Failure> {
        let mut network = self.network.lock().await;
        let wanted = self.with_simulator(|simulator, now| {
            simulator.advance(now);
            let changes = simulator.changes();
            (self.reconciled.load(Ordering::Relaxed) != changes).then(|| {
                let (data_path, nodes) = (simulator.data_path(now), simulator.nodes());
                (changes, DesiredState { data_path, nodes, clients: simulator.clients() })
            })
        });
        let Some((changes, wanted)) = wanted else { return Ok(()) };
        let routed = network.reconcile(&wanted).await?;
        // Not before: a client that goes away cancels this, and the next one repeats it.
        self.reconciled.store(changes, Ordering::Relaxed);
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

    /// Keeps the network synchronized until the box ends.
    pub(crate) async fn run_reconcile_loop(&self) {
        loop {
            if let Err(failure) = self.reconcile().await {
                self.fail(&failure);
                return;
            }
            let next = self.with_simulator(|simulator, now| {
                let idle = now.saturating_add(IDLE);
                simulator.next_event().map_or(idle, |due| due.min(idle))
            });
            tokio::select! {
                () = self.clock.sleep_until(next) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Ends the box, because its network no longer follows the simulated VPC.
    pub(crate) fn fail(&self, failure: &Failure) {
        self.fatal.send_if_modified(|text| {
            let first = text.is_none();
            if first {
                *text = Some(failure.chain());
            }
            first
        });
    }

    /// Waits for the failure that ends the box.
    pub(crate) async fn wait_for_failure(&self) -> String {
        let mut fatal = self.fatal.subscribe();
        match fatal.wait_for(Option::is_some).await {
            Ok(text) => text.clone().unwrap_or_default(),
            Err(closed) => closed.to_string(),
        }
    }
}
