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

    /// When the next tick is due; at once if that time has passed. None: not before something else
    /// happens. The tick moves it on, so that a tick does not lead to the next one at once.
    fn next_tick(&self) -> Option<Moment>;

    /// The process ends: from now on the controller completes what runs and starts only what must
    /// happen before the end. Returns what that is.
    fn stop(&mut self, now: Moment) -> Vec<Self::Effect>;

    /// Whether nothing runs that must end before the process does. What else runs is cancelled, so
    /// a later process must be able to repeat it.
    fn is_idle(&self) -> bool;
}
