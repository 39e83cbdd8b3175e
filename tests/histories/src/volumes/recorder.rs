//! The recording of one process of the agent.

mod recording_status_writer;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::tape::Tape;
use firecamp_controllers::publish::{Done, Publisher, StatusWriter, Step, carry_out};
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::NodeName;
use firecamp_core::time::Moment;
use firecamp_node::volumes::observation::{BlockDevice, Mount, NodeView, Usage};
use firecamp_node::volumes::{Change, Table, Tracker, Volumes, VolumesFailure, observe};
use futures_util::FutureExt as _;
use serde::Serialize;

use self::recording_status_writer::RecordingStatusWriter;

/// Records the calls of a process, if requested.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    /// The recording so far.
    pub tape: Option<Tape>,
    /// The number of the process in its history.
    pub process: u64,
}

impl Recorder {
    /// Records a call of a component of this process. [`Recorder::gives`] must follow immediately.
    pub fn asks(&mut self, call: &str, with: &impl Serialize) {
        if let Some(tape) = &mut self.tape {
            tape.call(call, Some(self.process), with);
        }
    }

    /// Records the result of the call.
    pub fn gives(&mut self, what: &impl Serialize) {
        if let Some(tape) = &mut self.tape {
            tape.gives(what);
        }
    }

    /// Records a call with its result.
    pub fn asked(&mut self, call: &str, with: &impl Serialize, gives: &impl Serialize) {
        self.asks(call, with);
        self.gives(gives);
    }

    /// Records a call of a pure function.
    pub fn function(&mut self, call: &str, with: &impl Serialize, gives: &impl Serialize) {
        if let Some(tape) = &mut self.tape {
            tape.function(call, with, gives);
        }
    }

    /// Records the state of a tracker after a step.
    pub fn shows(&mut self, tracker: &Tracker, table: Option<&Table>, now: Moment) {
        if self.tape.is_some() {
            let lasting: Vec<_> = tracker.lasting(now).collect();
            let pending = tracker.is_pending();
            self.gives(&(table, tracker.pods(), tracker.lacked(), pending, lasting));
        }
    }

    /// Records the state of a publisher after it has taken facts.
    pub fn holds(&mut self, publisher: &Publisher, now: Moment) {
        if self.tape.is_some() {
            let (capacity, due) = (publisher.capacity(), publisher.is_due(now));
            self.gives(&(publisher.wanted(), capacity, publisher.published(), due));
        }
    }

    /// Performs a step and records it.
    pub fn carry_out(
        &mut self,
        status_writer: &impl StatusWriter,
        node: &NodeName,
        step: &Step,
    ) -> Result<Done, RegistryFailure> {
        let recording = RecordingStatusWriter::of(status_writer);
        let carried = carry_out(&recording, node, step).now_or_never();
        let done = carried.expect("a simulated API answers at once");
        if self.tape.is_some() {
            let (calls, answers) = recording.into_parts();
            self.asked("publish.carry_out", &(node, answers), &(calls, &done));
        }
        done
    }

    /// Observes the node and records the observation.
    pub fn observe(&mut self, node: &impl Volumes, kubelet: &str) -> NodeView {
        let spaces = Mutex::new(Vec::new());
        let recording = RecordingVolumes { node, spaces: &spaces };
        let observed = observe(&recording, kubelet).now_or_never();
        let (view, failures) = observed.expect("a simulated kernel answers at once");
        if self.tape.is_some() {
            let lists = (node.devices().now_or_never(), node.mounts().now_or_never());
            let spaces = spaces.into_inner().unwrap_or_else(PoisonError::into_inner);
            self.function("volumes.observe", &(lists, spaces, kubelet), &(&view, failures));
        }
        view
    }
}

type SpaceReading = Result<Usage, VolumesFailure>;

/// A node whose answers about space on filesystems are recorded.
struct RecordingVolumes<'a, V> {
    node: &'a V,
    spaces: &'a Mutex<Vec<(Mount, SpaceReading)>>,
}

impl<V: Volumes> Volumes for RecordingVolumes<'_, V> {
    async fn devices(&self) -> Result<Vec<BlockDevice>, VolumesFailure> {
        self.node.devices().await
    }

    async fn mounts(&self) -> Result<Vec<Mount>, VolumesFailure> {
        self.node.mounts().await
    }

    async fn space(&self, mount: &Mount) -> SpaceReading {
        let exchanges = self.node.space(mount).await;
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        spaces.push((mount.clone(), exchanges.clone()));
        exchanges
    }

    async fn changed(&self, within: Duration) -> Result<Change, VolumesFailure> {
        self.node.changed(within).await
    }
}
