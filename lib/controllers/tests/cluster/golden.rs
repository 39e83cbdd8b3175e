//! The lifecycle of an address as the leader observes it, as text.
//!
//! `BLESS=1` rewrites the file.

use std::fmt::Write as _;
use std::path::Path;

use firecamp_controllers::leader::{ConditionChange, NodeReadiness, Operation};
use firecamp_core::record::State;
use firecamp_registry::api::{Condition, StaticIPPoolStatus};

use super::support::{
    ADDRESS, ClusterFixture, MINUTE, address, attachment, claim, gone, owner, parsed,
};

struct Story {
    fixture: ClusterFixture,
    text: String,
}

impl Story {
    fn report(&mut self, what: &str) {
        writeln!(self.text, "# {what}").unwrap();
    }

    /// Passes every half a minute, and what they find that the one before did not.
    fn pass(&mut self, minutes: u32) {
        let mut last = Vec::new();
        for _ in 0..minutes * 2 {
            self.fixture.now = self.fixture.now.plus(MINUTE / 2);
            let operations = self.fixture.pass();
            if operations != last {
                for operation in &operations {
                    let reason =
                        operation.reason().map(|it| format!(" [{it}]")).unwrap_or_default();
                    let at = self.fixture.now.0.as_secs();
                    writeln!(self.text, "{at:>5} s  {operation}{reason}").unwrap();
                }
            }
            for operation in &operations {
                self.written(operation);
            }
            last = operations;
        }
    }

    /// Stores a status update.
    fn written(&mut self, operation: &Operation) {
        if let Operation::UpdateClaimStatus {
            member,
            change: ConditionChange::Set(condition),
            ..
        } = operation
        {
            let claim = self.fixture.view.claims.get_mut(member).unwrap().as_mut().unwrap();
            claim.conditions = dated(std::slice::from_ref(condition)).as_slice().into();
        }
        let Operation::UpdatePoolStatus { pool, status, .. } = operation else { return };
        let conditions = dated(&status.conditions);
        let status = StaticIPPoolStatus { conditions, ..status.clone() };
        self.fixture.view.pools.get_mut(pool).unwrap().as_mut().unwrap().status = Some(status);
    }

    fn record(&mut self, state: State) {
        let attachment = attachment(state, "pod-1", "n1");
        self.fixture.put(address(ADDRESS, "redis-0", Some(attachment)));
    }
}

fn dated(conditions: &[Condition]) -> Vec<Condition> {
    let mut all = conditions.to_vec();
    for condition in &mut all {
        condition.last_transition_time = Some("2026-11-20T15:00:00Z".to_owned());
    }
    all
}

#[test]
fn the_lifecycle_of_an_address_is_published_state_by_state() {
    let mut story =
        Story { fixture: ClusterFixture::with_member(State::Attached), text: String::new() };
    story.fixture.claim(claim("redis-0", Some(ADDRESS), None));
    story.report("a member is attached, and its claim has no owner on record yet");
    story.pass(1);
    story.fixture.claim(claim("redis-0", Some(ADDRESS), Some(owner("set-1"))));
    story.report("its owner is on record");
    story.pass(1);
    story.report("its machine is terminated; the Node object stays; its pod is force-deleted");
    story.fixture.view.nodes.insert(parsed("n1"), Some(NodeReadiness::NotReady.into()));
    story.fixture.pod("redis-0", gone());
    story.fixture.ec2(false);
    story.pass(3);
    story.record(State::Parked);
    story.report("the address is released, and the StatefulSet is scaled down");
    story.fixture.set("set-1", 0);
    story.pass(3);
    story.fixture.unclaim("redis-0");
    story.report("the claim is gone");
    story.pass(3);
    story.record(State::Released);
    story.report("the address is out of EC2");
    story.pass(3);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/life.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &story.text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(kept, story.text, "BLESS=1 rewrites {}", file.display());
}
