//! The client that connects to a member's address until the test ends.

use std::net::Ipv4Addr;

use super::eventually;
use super::process::Process;
use super::test_box::TestBox;

/// One attempt to connect. Times are on the box's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) from_us: u64,
    pub(crate) to_us: u64,
    /// The node and pod that answered, if any.
    pub(crate) answer: Option<(String, String)>,
}

pub(crate) struct Client {
    process: Process,
}

impl Client {
    pub(crate) fn start(test_box: &TestBox, address: Ipv4Addr) -> Self {
        Self::start_on(test_box, "client", address)
    }

    /// Starts the client in this node or client of the box.
    pub(crate) fn start_on(test_box: &TestBox, place: &str, address: Ipv4Addr) -> Self {
        let origin = test_box.clock().origin_ns().to_string();
        Self { process: test_box.tool(place, &["dial", &address.to_string(), &origin]) }
    }

    /// All attempts so far.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        let text = self.process.out();
        // The last line may be incomplete.
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete.lines().map(parse).collect()
    }

    /// Waits until the pod answers an attempt that began after this moment.
    #[track_caller]
    pub(crate) fn wait_for_answer_of(&self, pod: &str, after_us: u64) {
        eventually(&format!("an answer of pod {pod} at the member's address"), || {
            let by_pod = |a: &&Attempt| a.answer.as_ref().is_some_and(|(_, by)| by == pod);
            let attempts = self.attempts();
            attempts.iter().rev().find(by_pod).filter(|a| a.from_us >= after_us).map(drop)
        });
    }
}

fn parse(line: &str) -> Attempt {
    let words: Vec<&str> = line.split_whitespace().collect();
    let us = |at: usize| words[at].parse().unwrap();
    let answer = words.get(3).map(|pod| (words[2].to_owned(), (*pod).to_owned()));
    Attempt { from_us: us(0), to_us: us(1), answer }
}
