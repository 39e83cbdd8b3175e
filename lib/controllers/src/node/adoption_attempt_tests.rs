use firecamp_core::agent::NotAdopted;

use super::*;

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn attempt() -> AdoptionAttempt {
    let orphan = Orphan {
        address: [10, 0, 1, 50].into(),
        subnet: parsed("subnet-0000000a"),
        eni: parsed("eni-0000000a"),
    };
    let (node, instance, cluster) = (parsed("here"), parsed("i-0000000a"), parsed("prod"));
    AdoptionAttempt::new(orphan, AgentIdentity { node, instance, cluster }, parsed("run"))
}

/// The answers to the reads, in order; no pool declares the address.
fn answers() -> Vec<AttemptAnswer> {
    let (pools, pods) = (Vec::new(), BTreeSet::new());
    vec![
        AttemptAnswer::Census { pools, claimed: None, pods },
        AttemptAnswer::Owner(Owner::Unassigned),
        AttemptAnswer::Kernel { kernel: None, lock: None, torn: false },
        AttemptAnswer::Sockets(SocketUse::default()),
        AttemptAnswer::Recorded(false),
    ]
}

#[test]
fn attempt_decides_after_all_reads() {
    let mut attempt = attempt();
    for answer in answers() {
        assert!(!matches!(attempt.step(), AttemptStep::Create(_) | AttemptStep::End(_)));
        attempt.answered(answer);
    }
    let refused = AdoptionResult::Refused(NotAdopted::NotDeclared);
    assert_eq!(*attempt.step(), AttemptStep::End(refused));
}

#[test]
fn failed_or_wrong_answer_to_any_read_ends_the_attempt() {
    for failing in 0..answers().len() {
        for answer in [AttemptAnswer::Failed("no answer".to_owned()), AttemptAnswer::Created] {
            let mut attempt = attempt();
            for answer in answers().into_iter().take(failing) {
                attempt.answered(answer);
            }
            attempt.answered(answer);
            let failed = matches!(attempt.step(), AttemptStep::End(AdoptionResult::Failed(_)));
            assert!(failed, "after {failing} reads: {:?}", attempt.step());
        }
    }
}
