//! The input of a run.

use firecamp_core::attach::{Attach, AttachInput};
use firecamp_core::machine::Machine;
use firecamp_core::release::{Release, ReleaseInput};
use firecamp_core::time::Moment;

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
