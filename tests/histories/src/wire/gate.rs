//! SIGSTOP, SIGCONT and SIGKILL for a task.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug, Default)]
struct State {
    frozen: bool,
    dead: bool,
    wakers: Vec<Waker>,
}

/// The gate of one process and of everything that runs in it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process stops while time goes on.
    pub(crate) fn freeze(&self) {
        self.state().frozen = true;
    }

    /// The process resumes.
    pub(crate) fn thaw(&self) {
        let wakers = {
            let mut state = self.state();
            state.frozen = false;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The process never runs again.
    pub(crate) fn kill(&self) {
        self.state().dead = true;
    }

    fn is_shut(&self, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        if state.frozen {
            state.wakers.push(cx.waker().clone());
        }
        state.frozen || state.dead
    }
}

/// A future that makes progress only while its gate is open.
pub(crate) struct Gated<F> {
    gate: Arc<Gate>,
    work: Pin<Box<F>>,
}

impl<F: Future> Gated<F> {
    pub(crate) fn new(gate: Arc<Gate>, work: F) -> Self {
        Self { gate, work: Box::pin(work) }
    }
}

impl<F: Future> Future for Gated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.gate.is_shut(cx) { Poll::Pending } else { self.work.as_mut().poll(cx) }
    }
}
