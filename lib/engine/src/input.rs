//! The input of a run.

use firecamp_core::attach::{Attach, AttachInput, LookedUp};
use firecamp_core::contract::timing;
use firecamp_core::ids::Version;
use firecamp_core::machine::Machine;
use firecamp_core::ports::Owner;
use firecamp_core::release::{Release, ReleaseInput};
use firecamp_core::time::Moment;
use tokio::time::Instant;

/// What a run creates its machine from: an input of the core, or a closure.
pub trait Begin {
    /// The machine.
    type Machine: Machine;

    /// Creates a machine that starts now.
    fn begin(self, now: Moment) -> Self::Machine;

    /// The input for the trace; none for a closure, whose run leaves no trace.
    #[cfg(all(debug_assertions, feature = "trace"))]
    fn input(&self) -> Option<crate::trace::Input> {
        None
    }
}

impl Begin for AttachInput {
    type Machine = Attach;

    fn begin(self, now: Moment) -> Attach {
        Attach::new(self, now)
    }

    #[cfg(all(debug_assertions, feature = "trace"))]
    fn input(&self) -> Option<crate::trace::Input> {
        Some(crate::trace::Input::Attach(self.clone()))
    }
}

/// An owner look-up that was sent before its attach began.
#[derive(Debug, Clone)]
pub struct EarlyLookUp {
    /// The version of the record, which was read before.
    pub version: Version,
    /// The answer of EC2.
    pub owner: Owner,
    /// When it was sent.
    pub sent: Instant,
}

impl EarlyLookUp {
    /// What an attach that begins now by its own clock gets of it; nothing if it is too old.
    fn at(&self, now: Moment) -> Option<Box<LookedUp>> {
        let left = timing::EARLY_LOOK_UP.checked_sub(self.sent.elapsed())?;
        let Self { version, owner, .. } = self.clone();
        Some(Box::new(LookedUp { version, owner, until: now.plus(left) }))
    }
}

/// An attach whose owner may have been looked up before.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The rest of its input.
    pub input: AttachInput,
    /// The look-up.
    pub early: Option<EarlyLookUp>,
}

impl Prepared {
    fn at(self, now: Moment) -> AttachInput {
        let looked_up = self.early.and_then(|early| early.at(now));
        AttachInput { looked_up, ..self.input }
    }
}

impl Begin for Prepared {
    type Machine = Attach;

    fn begin(self, now: Moment) -> Attach {
        Attach::new(self.at(now), now)
    }

    #[cfg(all(debug_assertions, feature = "trace"))]
    fn input(&self) -> Option<crate::trace::Input> {
        Some(crate::trace::Input::Attach(self.clone().at(Moment::default())))
    }
}

impl Begin for ReleaseInput {
    type Machine = Release;

    fn begin(self, now: Moment) -> Release {
        Release::new(self, now)
    }

    #[cfg(all(debug_assertions, feature = "trace"))]
    fn input(&self) -> Option<crate::trace::Input> {
        Some(crate::trace::Input::Release(self.clone()))
    }
}

impl<M: Machine, F: FnOnce(Moment) -> M> Begin for F {
    type Machine = M;

    fn begin(self, now: Moment) -> M {
        self(now)
    }
}
