//! A node whose addresses, ENIs, pools and checks change by rng, and what is published of it.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::publish::facts::{AddressFact, Check, EniFact};
use firecamp_controllers::publish::{Facts, Notice, Publisher};
use firecamp_core::ids::{EniId, Epoch, NodeName};
use firecamp_core::node_identity::Eni;
use firecamp_core::record::{
    Attachment, OrphanPolicy, Pool, PoolSubnet, ReleasePolicy, State, StaticIp,
};
use firecamp_core::time::Moment;
use firecamp_histories::seed::{Purpose, SeededRng};
use firecamp_histories::tape::Tape;
use firecamp_histories::volumes::recorder::Recorder;
use firecamp_histories::volumes::status_writer::{How, Shaky};
use firecamp_node::volumes::Table;
use firecamp_registry::api::EniManager;
use firecamp_testkit::sim::SimStatusWriter;

use super::{parsed, pick};

const SECONDS: u64 = 900;
const ADDRESSES: u8 = 4;
const STATES: [State; 5] =
    [State::Attaching, State::Attached, State::Attached, State::Parked, State::Releasing];

/// Records a history.
pub fn publisher(seed: u64) -> Tape {
    let tape = Some(Tape::of("publisher", seed));
    let node: NodeName = parsed("node-1");
    let mut fixture = ClusterFixture {
        rng: SeededRng::new(seed, Purpose::Test, 102),
        recorder: Recorder { tape, process: 0 },
        publisher: Publisher::new(node.clone()),
        facts: Facts::new(node),
        status_writer: SimStatusWriter::default(),
        epoch: 1,
        changed: true,
    };
    fixture.recorder.asked("publisher.new", &fixture.facts.node, &());
    fixture.status_writer.add_node("uid-1");
    let pause = [5, 20, 90][usize::from(fixture.rng.small(3))];
    for second in 0..SECONDS {
        // Nothing happens in the last third.
        if second < SECONDS * 2 / 3 && fixture.rng.once_in(pause) {
            fixture.change(second);
        }
        fixture.publish(second);
    }
    fixture.recorder.tape.unwrap_or_default()
}

struct ClusterFixture {
    rng: SeededRng,
    recorder: Recorder,
    publisher: Publisher,
    facts: Facts,
    status_writer: SimStatusWriter,
    epoch: u64,
    changed: bool,
}

fn at(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, 50 + number)
}

fn eni_id(number: u8) -> EniId {
    parsed(&format!("eni-000000{number:02x}"))
}

fn wall(second: u64) -> String {
    format!("2026-11-20T00:{:02}:{:02}Z", second / 60 % 60, second % 60)
}

impl ClusterFixture {
    fn publish(&mut self, second: u64) {
        let now = Moment(Duration::from_secs(second));
        if std::mem::take(&mut self.changed) || self.publisher.is_due(now) {
            self.recorder.asks("publisher.take", &(&self.facts, now, wall(second)));
            self.publisher.take(self.facts.clone(), now, &wall(second));
            self.recorder.holds(&self.publisher, now);
        }
        for _ in 0..50 {
            let step = self.publisher.next(now);
            self.recorder.asked("publisher.next", &now, &step);
            let Some(step) = step else { return };
            let ways = [How::Fails, How::Lost, How::Conflicts, How::Refused];
            let fails = self.rng.once_in(12);
            let how = if fails { pick(&mut self.rng, &ways) } else { How::Well };
            let status_writer = Shaky { status_writer: &self.status_writer, how };
            let done = self.recorder.carry_out(&status_writer, &self.facts.node, &step);
            let rng = u32::try_from(self.rng.below(65_536)).unwrap_or_default();
            self.recorder.asks("publisher.done", &(&done, now, rng));
            self.publisher.done(&step, done, (now, rng));
            self.recorder.holds(&self.publisher, now);
        }
    }

    fn change(&mut self, second: u64) {
        self.changed = true;
        match self.rng.small(16) {
            0..=5 => self.change_address(),
            6 | 7 => self.change_enis(),
            8 => self.change_pools(),
            9 | 10 => self.change_checks(),
            11 => self.change_self(),
            12 | 13 => self.notice(second),
            14 => self.change_board(second),
            15.. => self.restart(second),
        }
    }

    fn change_address(&mut self) {
        let number = self.rng.small(ADDRESSES);
        if self.rng.once_in(15) {
            self.facts.addresses = None;
            return;
        }
        let known = self.facts.addresses.get_or_insert_default();
        if self.rng.once_in(2)
            && let Some(fact) = known.iter_mut().find(|fact| fact.record.address == at(number))
        {
            return disturb(fact, &mut self.rng);
        }
        known.retain(|fact| fact.record.address != at(number));
        if self.rng.once_in(5) {
            return;
        }
        self.epoch += 1;
        let record = record(number, self.epoch, &mut self.rng);
        self.status_writer.set_static_ip(&record);
        let well = |rng: &mut SeededRng| pick(rng, &[Some(true), Some(true), None]);
        let in_ec2 = well(&mut self.rng);
        let in_kernel = well(&mut self.rng);
        known.push(AddressFact { record, in_kernel, in_ec2, foreign: None, failing: None });
    }

    fn change_enis(&mut self) {
        let rng = &mut self.rng;
        let enis = (0..rng.small(3)).map(|number| eni(number, rng)).collect();
        self.facts.enis = (!rng.once_in(6)).then_some(enis);
    }

    fn change_pools(&mut self) {
        let rng = &mut self.rng;
        let last = at(rng.small(ADDRESSES));
        let pool = Pool {
            name: parsed("redis"),
            release_policy: ReleasePolicy::Keep,
            orphaned: OrphanPolicy::Report,
            subnets: vec![PoolSubnet {
                subnet: parsed("subnet-0000000a"),
                cidr: parsed("10.0.1.0/24"),
                zone: parsed("us-east-1a"),
                ranges: vec![(at(0), last)],
            }],
        };
        let pools = if rng.once_in(3) { Vec::new() } else { vec![pool] };
        self.facts.pools = (!rng.once_in(4)).then_some(pools);
    }

    fn change_checks(&mut self) {
        let rng = &mut self.rng;
        let check = |kind: &str, rng: &mut SeededRng| Check {
            kind: kind.to_owned(),
            good: pick(rng, &[Some(true), Some(false), None]),
            blocks: rng.once_in(2),
            reason: pick(rng, &["Good", "Bad", "Unknown"]).to_owned(),
            message: format!("{kind} was checked"),
        };
        let kinds = ["Metadata", "ReversePath", "Permissions"];
        let all = kinds.iter().map(|kind| check(kind, rng)).collect::<Vec<_>>();
        self.facts.checks = all.into_iter().filter(|_| !rng.once_in(4)).collect();
    }

    fn change_self(&mut self) {
        let rng = &mut self.rng;
        self.facts.instance = (!rng.once_in(4)).then(|| parsed("i-0000000a"));
        self.facts.zone = (!rng.once_in(4)).then(|| parsed("us-east-1a"));
        self.facts.volumes = (!rng.once_in(4)).then(Table::default);
        self.facts.pods = (!rng.once_in(4)).then(Vec::new);
    }

    fn notice(&mut self, second: u64) {
        let (address, now) = (at(self.rng.small(ADDRESSES)), Moment(Duration::from_secs(second)));
        let all = [
            Notice::Restored(address),
            Notice::Reasserted(address),
            Notice::Released(address),
            Notice::Adopted(address),
        ];
        let notice = pick(&mut self.rng, &all);
        self.recorder.asks("publisher.notice", &(notice, now));
        self.publisher.notice(notice, now);
        self.recorder.holds(&self.publisher, now);
    }

    fn change_board(&mut self, second: u64) {
        match self.rng.small(4) {
            0 => self.status_writer.remove_node(),
            1 => self.status_writer.delete_attachments(),
            2 => self.status_writer.change_capacity(pick(&mut self.rng, &[None, Some("3")])),
            3.. => self.status_writer.add_node(&format!("uid-{second}")),
        }
    }

    fn restart(&mut self, second: u64) {
        let now = Moment(Duration::from_secs(second));
        let node = self.facts.node.clone();
        if self.rng.once_in(8) {
            self.publisher = Publisher::offline(node);
            self.recorder.asks("publisher.offline", &self.facts.node);
        } else {
            self.publisher = Publisher::new(node);
            self.recorder.asks("publisher.new", &self.facts.node);
        }
        self.recorder.gives(&());
        self.recorder.asks("publisher.take", &(&self.facts, now, wall(second)));
        self.publisher.take(self.facts.clone(), now, &wall(second));
        self.recorder.holds(&self.publisher, now);
    }
}

fn disturb(fact: &mut AddressFact, rng: &mut SeededRng) {
    let said = [None, Some(true), Some(false), Some(false)];
    match rng.small(4) {
        0 => fact.in_kernel = pick(rng, &said),
        1 => fact.in_ec2 = pick(rng, &said),
        2 => {
            fact.foreign = pick(rng, &[None, Some("eni-00000099 of another account".to_owned())]);
        }
        3.. => {
            let failing = Some(("CloudRefused".to_owned(), "EC2 refuses".to_owned()));
            fact.failing = pick(rng, &[None, failing]);
        }
    }
}

fn record(number: u8, epoch: u64, rng: &mut SeededRng) -> StaticIp {
    let eni = (!rng.once_in(6)).then(|| eni_id(rng.small(2)));
    let node = pick(rng, &["node-1", "node-1", "node-1", "node-2"]);
    let attachment = Attachment {
        state: pick(rng, &STATES),
        pod: parsed(&format!("pod-{}", rng.small(3))),
        node: parsed(node),
        eni: eni.clone(),
        run: parsed("run-1"),
        served: rng.once_in(2),
    };
    StaticIp {
        address: at(number),
        pool: parsed("redis"),
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        member: parsed(&format!("prod/redis-{number}")),
        epoch: Epoch(epoch),
        attachment: (!rng.once_in(8)).then_some(attachment),
        reserved_on: eni,
        pending_mutations: [].into(),
    }
}

fn eni(number: u8, rng: &mut SeededRng) -> EniFact {
    let managers =
        [EniManager::FireCamp, EniManager::FireCamp, EniManager::VpcCni, EniManager::Unknown];
    EniFact {
        eni: Eni {
            id: eni_id(number),
            mac: parsed(&format!("02:00:00:00:00:{number:02x}")),
            device_index: u32::from(number),
            network_card: 0,
            subnet: parsed("subnet-0000000a"),
            cidr: parsed("10.0.1.0/24"),
            primary_address: Ipv4Addr::new(10, 0, 1, 10 + number),
            listed: (0..rng.small(ADDRESSES + 1)).map(at).collect(),
            prefixes: u32::from(pick(rng, &[0_u8, 0, 1])),
        },
        limit: pick(rng, &[Some(10), Some(4), None]),
        link: pick(rng, &[Some(format!("ens{number}")), None]),
        managed_by: pick(rng, &managers),
        carries: pick(rng, &[Some(true), Some(false), None]),
    }
}
