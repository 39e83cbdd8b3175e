//! What the controllers of an agent have in common.

use firecamp_core::time::Moment;

/// A state machine without I/O, clock or randomness: an event and the time in, effects out.
///
/// Guarantees: effects follow from the events and their times alone. Assumptions: effects are
/// performed in order; moments never go backwards.
pub trait Controller {
    /// What happens to it.
    type Event: 'static;

    /// What it wants done.
    type Effect;

    /// Handles an event. Returns the effects in the order in which they are to be performed.
    fn handle(&mut self, event: Self::Event, now: Moment) -> Vec<Self::Effect>;

    /// The process ends: from now on the controller starts nothing and only completes what runs.
    fn stop(&mut self);

    /// Whether nothing runs that must end before the process does. What else runs is cancelled, so
    /// a later process must be able to repeat it.
    fn is_idle(&self) -> bool;
}
