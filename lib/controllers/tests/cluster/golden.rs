//! The life of an address as the holder of the Lease sees it, word by word.
//!
//! `BLESS=1` rewrites the file.

use std::fmt::Write as _;
use std::path::Path;

use firecamp_controllers::leader::{Duty, NodeLife};
use firecamp_core::record::State;
use firecamp_registry::api::{Condition, StaticIPPoolStatus};

use super::support::{ADDRESS, MINUTE, Town, address, attachment, claim, gone, owner, parsed};

struct Story {
    town: Town,
    text: String,
}

impl Story {
    fn tell(&mut self, what: &str) {
        writeln!(self.text, "# {what}").unwrap();
    }

    /// Passes every half a minute, and what they find that the one before did not.
    fn pass(&mut self, minutes: u32) {
        let mut last = Vec::new();
        for _ in 0..minutes * 2 {
            self.town.now = self.town.now.plus(MINUTE / 2);
            let duties = self.town.pass();
            if duties != last {
                for duty in &duties {
                    let reason = duty.reason().map(|it| format!(" [{it}]")).unwrap_or_default();
                    let at = self.town.now.0.as_secs();
                    writeln!(self.text, "{at:>5} s  {duty}{reason}").unwrap();
                }
            }
            for duty in &duties {
                self.written(duty);
            }
            last = duties;
        }
    }

    /// A status that was told is there from now on.
    fn written(&mut self, duty: &Duty) {
        if let Duty::TellClaim { member, conditions, .. } = duty {
            let claim = self.town.view.claims.get_mut(member).unwrap().as_mut().unwrap();
            claim.conditions = dated(conditions);
        }
        let Duty::TellPool { pool, status, .. } = duty else { return };
        let conditions = dated(&status.conditions);
        let status = StaticIPPoolStatus { conditions, ..status.clone() };
        self.town.view.pools.get_mut(pool).unwrap().as_mut().unwrap().status = Some(status);
    }

    fn record(&mut self, state: State) {
        let attachment = attachment(state, "pod-1", "n1");
        self.town.put(address(ADDRESS, "redis-0", Some(attachment)));
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
fn the_life_of_an_address_is_told_word_by_word() {
    let mut story = Story { town: Town::with_member(State::Attached), text: String::new() };
    story.town.claim(claim("redis-0", Some(ADDRESS), None));
    story.tell("a member is attached, and its claim has no owner on record yet");
    story.pass(1);
    story.town.claim(claim("redis-0", Some(ADDRESS), Some(owner("set-1"))));
    story.tell("its owner is on record");
    story.pass(1);
    story.tell("its machine is terminated; the Node object stays; its pod is force-deleted");
    story.town.view.nodes.insert(parsed("n1"), Some(NodeLife::NotReady.into()));
    story.town.pod("redis-0", gone());
    story.town.ec2(false);
    story.pass(3);
    story.record(State::Parked);
    story.tell("the address is released, and the StatefulSet is scaled down");
    story.town.set("set-1", 0);
    story.pass(3);
    story.town.unclaim("redis-0");
    story.tell("the claim is gone");
    story.pass(3);
    story.record(State::Released);
    story.tell("the address is out of EC2");
    story.pass(3);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/life.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &story.text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(kept, story.text, "BLESS=1 rewrites {}", file.display());
}
