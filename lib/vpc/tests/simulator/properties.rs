//! Random histories.

use std::time::Duration;

use firecamp_vpc::{Act, Answer, Profile, Simulator};
use proptest::prelude::*;

use crate::client::{assign, send, simulator};

const ENIS: [&str; 3] = ["eni-00000000000000001", "eni-00000000000000002", "eni-0000000000000000f"];
const CREATE: &str = "Action=CreateNetworkInterface&SubnetId=subnet-0000000000000000a";
const CALLERS: [&str; 4] = ["node-1", "node-2", "admin", "external"];

#[derive(Debug, Clone)]
enum Step {
    Assign(usize, usize, u8, bool),
    Count(usize, u8),
    Prefix(usize),
    Unassign(usize, u8),
    Describe(usize),
    Act(u8, usize, u8),
    Create(u8, u8),
    Attach(u8, usize, u8),
    Detach(u8, bool),
    Delete(u8),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_usize, 0..3_usize, 0..70_u8, any::<bool>())
            .prop_map(|(c, e, a, f)| Step::Assign(c, e, a, f)),
        1 => (0..3_usize, 1..5_u8).prop_map(|(e, n)| Step::Count(e, n)),
        1 => (0..3_usize).prop_map(Step::Prefix),
        4 => (0..3_usize, 0..70_u8).prop_map(|(e, a)| Step::Unassign(e, a)),
        2 => (0..4_usize).prop_map(Step::Describe),
        2 => (0..13_u8, 0..3_usize, 0..70_u8).prop_map(|(k, e, a)| Step::Act(k, e, a)),
        2 => (0..70_u8, 0..3_u8).prop_map(|(a, n)| Step::Create(a, n)),
        2 => (0..4_u8, 0..2_usize, 0..4_u8).prop_map(|(e, n, i)| Step::Attach(e, n, i)),
        1 => (0..4_u8, any::<bool>()).prop_map(|(e, f)| Step::Detach(e, f)),
        1 => (0..4_u8).prop_map(Step::Delete),
        4 => (0..5_000_u64).prop_map(Step::Pass),
    ]
}

fn act_of(kind: u8, eni: usize, address: u8) -> Act {
    let address = std::net::Ipv4Addr::new(10, 0, 1, address);
    let node = ["node-1", "node-2", "node-2"][eni].to_owned();
    let volume = format!("vol-0000000{eni}");
    let eni = ENIS[eni].to_owned();
    match kind {
        0 => Act::Reassign { address, to: Some(eni) },
        1 => Act::Unassign { address },
        2 => Act::StripEni { eni },
        3 => Act::Terminate { node, delete_on_termination: Some(true) },
        4 => Act::Stop { node },
        5 => Act::Start { node },
        6 => Act::Detach { eni },
        7 => Act::Reboot { node, imds_missing_ms: 5_000 },
        8 => Act::CreateVolume { id: volume, zone: "us-east-1a".to_owned(), size_gib: 1 },
        9 => Act::AttachVolume { volume, node, device: None },
        10 => Act::DetachVolume { volume, node: None, force: false },
        11 => Act::DetachVolume { volume, node: None, force: true },
        _ => Act::DeleteEni { eni },
    }
}

/// The n-th ENI that holds an address now, or an unknown one.
fn nth_eni(simulator: &mut Simulator, now: Duration, n: u8) -> String {
    let mut owners: Vec<String> =
        simulator.truth(now).addresses.into_iter().filter_map(|address| address.owner).collect();
    owners.sort();
    owners.dedup();
    let unknown = "eni-0000000000000dead".to_owned();
    owners.into_iter().rev().nth(usize::from(n)).unwrap_or(unknown)
}

/// The attachment of an ENI, queried on a clone without side effects.
fn attachment_of(simulator: &Simulator, now: Duration, eni: &str) -> String {
    let mut simulator = simulator.clone();
    let filter = format!("Filter.1.Name=network-interface-id&Filter.1.Value.1={eni}");
    let exchange =
        send(&mut simulator, "admin", now, &format!("Action=DescribeNetworkInterfaces&{filter}"));
    let answer = simulator.answer(now + Duration::from_secs(20), exchange.call).unwrap();
    let text = String::from_utf8(answer.response().body.clone()).unwrap();
    let rest = text.split("<attachmentId>").nth(1).unwrap_or("eni-attach-00000000<");
    rest.split('<').next().unwrap().to_owned()
}

/// Executes one step and returns the bytes of its response.
fn execute(simulator: &mut Simulator, now: &mut Duration, step: &Step) -> Vec<u8> {
    let (caller, body) = match step {
        Step::Assign(caller, eni, address, force) => {
            let address = format!("10.0.1.{address}");
            (CALLERS[*caller], assign(ENIS[*eni], &address, *force))
        }
        Step::Count(eni, count) => {
            let action = "Action=AssignPrivateIpAddresses&SecondaryPrivateIpAddressCount=";
            ("admin", format!("{action}{count}&NetworkInterfaceId={}", ENIS[*eni]))
        }
        Step::Prefix(eni) => {
            let action = "Action=AssignPrivateIpAddresses&Ipv4PrefixCount=1";
            ("admin", format!("{action}&NetworkInterfaceId={}", ENIS[*eni]))
        }
        Step::Unassign(eni, address) => {
            let action = "Action=UnassignPrivateIpAddresses&PrivateIpAddress.1=10.0.1.";
            ("admin", format!("{action}{address}&NetworkInterfaceId={}", ENIS[*eni]))
        }
        Step::Describe(caller) => {
            (CALLERS[*caller], "Action=DescribeNetworkInterfaces&MaxResults=5".to_owned())
        }
        Step::Act(kind, eni, address) => {
            // An impossible act is refused, which is no error here.
            let refused = simulator.act(*now, &act_of(*kind, *eni, *address)).err();
            return refused.map(|error| error.to_string().into_bytes()).unwrap_or_default();
        }
        Step::Create(address, count) => {
            let count = format!("SecondaryPrivateIpAddressCount={count}");
            ("admin", format!("{CREATE}&{count}&PrivateIpAddress=10.0.1.{address}"))
        }
        Step::Attach(eni, node, index) => {
            let instance = simulator.nodes()[*node].instance.clone();
            let eni = nth_eni(simulator, *now, *eni);
            let action = format!("Action=AttachNetworkInterface&NetworkInterfaceId={eni}");
            ("admin", format!("{action}&InstanceId={instance}&DeviceIndex={index}"))
        }
        Step::Detach(eni, force) => {
            let eni = nth_eni(simulator, *now, *eni);
            let attachment = attachment_of(simulator, *now, &eni);
            let force = format!("AttachmentId={attachment}&Force={force}");
            ("admin", format!("Action=DetachNetworkInterface&{force}"))
        }
        Step::Delete(eni) => {
            let eni = nth_eni(simulator, *now, *eni);
            ("admin", format!("Action=DeleteNetworkInterface&NetworkInterfaceId={eni}"))
        }
        Step::Pass(ms) => {
            *now += Duration::from_millis(*ms);
            simulator.advance(*now);
            return Vec::new();
        }
    };
    let exchange = send(simulator, caller, *now, &body);
    *now += Duration::from_millis(3);
    match simulator.answer(*now, exchange.call) {
        Some(Answer::Respond(response)) => response.body,
        Some(Answer::Cut { .. }) => panic!("no fault is set"),
        None => Vec::new(),
    }
}

fn run(seed: u64, steps: &[Step], mut check: impl FnMut(&mut Simulator, Duration)) -> Vec<Vec<u8>> {
    let mut simulator = simulator(&Profile::realistic(), seed);
    let mut now = Duration::ZERO;
    let mut answers = Vec::new();
    for step in steps {
        answers.push(execute(&mut simulator, &mut now, step));
        check(&mut simulator, now);
    }
    now += Duration::from_mins(10);
    let truth = serde_json::to_vec(&simulator.truth(now)).unwrap();
    let log = serde_json::to_vec(&(simulator.calls(0), simulator.commits(0))).unwrap();
    answers.extend([truth, log]);
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_an_invariant(seed: u64, steps in prop::collection::vec(step(), 1..60)) {
        run(seed, &steps, |simulator, _| assert_eq!(simulator.violations(), []));
    }

    #[test]
    fn the_same_seed_and_calls_give_the_same_bytes(
        seed: u64,
        steps in prop::collection::vec(step(), 1..40),
    ) {
        assert_eq!(run(seed, &steps, |_, _| {}), run(seed, &steps, |_, _| {}));
    }

    #[test]
    fn a_move_leaves_no_gap_and_ends_with_the_last_commit(
        seed: u64,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        run(seed, &steps, |simulator, now| {
            let commits = simulator.commits(0);
            let truth = simulator.truth(now);
            for address in truth.addresses {
                let of = commits.iter().flat_map(|commit| &commit.moves);
                let moves: Vec<_> = of.filter(|change| change.address == address.address).collect();
                for pair in moves.windows(2) {
                    assert_eq!(pair[0].after, pair[1].before, "{}", address.address);
                }
                if let Some(last) = moves.last() {
                    assert_eq!(last.after, address.owner);
                }
            }
        });
    }

    #[test]
    fn the_data_path_always_follows_the_history(
        seed: u64,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        run(seed, &steps, |simulator, now| {
            for address in simulator.truth(now).addresses {
                let owners = address.history.iter().map(|owner| &owner.eni);
                let explained = owners.chain([&None]).any(|eni| *eni == address.data_path);
                assert!(explained, "{}", address.address);
                let reached = |owner: &&firecamp_vpc::PreviousOwner| {
                    u128::from(owner.data_path_at_us) <= now.as_micros()
                };
                let last = address.history.iter().rev().find(reached);
                assert_eq!(last.and_then(|owner| owner.eni.clone()), address.data_path);
            }
        });
    }
}

#[test]
fn other_seeds_give_other_times() {
    let steps = [Step::Assign(0, 0, 30, false), Step::Pass(4_000), Step::Pass(60_000)];
    assert_ne!(run(1, &steps, |_, _| {}), run(2, &steps, |_, _| {}));
}
