//! What is recorded of one process of the agent.

mod heard;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::tape::Tape;
use firecamp_controllers::publish::{Board, Done, Publisher, Step, carry_out};
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::NodeName;
use firecamp_core::time::Moment;
use firecamp_node::volumes::seen::{BlockDevice, Mount, NodeView, Usage};
use firecamp_node::volumes::{Change, Table, Tracker, Volumes, VolumesFailure, observe};
use futures_util::FutureExt as _;
use serde::Serialize;

use self::heard::Heard;

/// Records the calls of a process, if anybody wants to know.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    /// All that was recorded so far.
    pub tape: Option<Tape>,
    /// The number of the process in its history.
    pub process: u64,
}

impl Recorder {
    /// A component of this process is about to be asked. [`Recorder::gives`] follows at once.
    pub fn asks(&mut self, call: &str, with: &impl Serialize) {
        if let Some(tape) = &mut self.tape {
            tape.call(call, Some(self.process), with);
        }
    }

    /// What it has answered.
    pub fn gives(&mut self, what: &impl Serialize) {
        if let Some(tape) = &mut self.tape {
            tape.gives(what);
        }
    }

    /// It was asked, and has answered.
    pub fn asked(&mut self, call: &str, with: &impl Serialize, gives: &impl Serialize) {
        self.asks(call, with);
        self.gives(gives);
    }

    /// A function that remembers nothing was called.
    pub fn function(&mut self, call: &str, with: &impl Serialize, gives: &impl Serialize) {
        if let Some(tape) = &mut self.tape {
            tape.function(call, with, gives);
        }
    }

    /// What a tracker shows after a step.
    pub fn shows(&mut self, tracker: &Tracker, table: Option<&Table>, now: Moment) {
        if self.tape.is_some() {
            let lasting: Vec<_> = tracker.lasting(now).collect();
            let pending = tracker.is_pending();
            self.gives(&(table, tracker.pods(), tracker.lacked(), pending, lasting));
        }
    }

    /// What a publisher shows after it has taken something in.
    pub fn holds(&mut self, publisher: &Publisher, now: Moment) {
        if self.tape.is_some() {
            let (capacity, due) = (publisher.capacity(), publisher.is_due(now));
            self.gives(&(publisher.wanted(), capacity, publisher.published(), due));
        }
    }

    /// Carries a step out.
    pub fn carry_out(
        &mut self,
        board: &impl Board,
        node: &NodeName,
        step: &Step,
    ) -> Result<Done, RegistryFailure> {
        let heard = Heard::of(board);
        let carried = carry_out(&heard, node, step).now_or_never();
        let done = carried.expect("a simulated API answers at once");
        if self.tape.is_some() {
            let (asked, answers) = heard.into_parts();
            self.asked("publish.carry_out", &(node, answers), &(asked, &done));
        }
        done
    }

    /// Looks at the node.
    pub fn observe(&mut self, node: &impl Volumes, kubelet: &str) -> NodeView {
        let spaces = Mutex::new(Vec::new());
        let overheard = Overheard { node, spaces: &spaces };
        let looked = observe(&overheard, kubelet).now_or_never();
        let (view, failures) = looked.expect("a simulated kernel answers at once");
        if self.tape.is_some() {
            let lists = (node.devices().now_or_never(), node.mounts().now_or_never());
            let spaces = spaces.into_inner().unwrap_or_else(PoisonError::into_inner);
            self.function("volumes.observe", &(lists, spaces, kubelet), &(&view, failures));
        }
        view
    }
}

type Room = Result<Usage, VolumesFailure>;

/// A node, and what it has said of the room on its filesystems.
struct Overheard<'a, V> {
    node: &'a V,
    spaces: &'a Mutex<Vec<(Mount, Room)>>,
}

impl<V: Volumes> Volumes for Overheard<'_, V> {
    async fn devices(&self) -> Result<Vec<BlockDevice>, VolumesFailure> {
        self.node.devices().await
    }

    async fn mounts(&self) -> Result<Vec<Mount>, VolumesFailure> {
        self.node.mounts().await
    }

    async fn space(&self, mount: &Mount) -> Room {
        let said = self.node.space(mount).await;
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        spaces.push((mount.clone(), said.clone()));
        said
    }

    async fn changed(&self, within: Duration) -> Result<Change, VolumesFailure> {
        self.node.changed(within).await
    }
}
