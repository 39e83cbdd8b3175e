//! Each audit detects its violation: the report is changed on its way to the audit.

use std::collections::BTreeMap;

use firecamp_controllers::publish::Step;
use firecamp_core::agent::ResourceList;
use firecamp_histories::volumes::agent::TickReport;
use firecamp_histories::volumes::audit::{Audit, Promise};
use firecamp_histories::volumes::scenario::{InjectedProblem, Shape};
use firecamp_histories::volumes::simulated_node::{Ec2, Names, Phase, SimulatedNode, State};
use firecamp_histories::volumes::views::bytes;
use firecamp_node::volumes::observation::AttachmentState;
use firecamp_node::volumes::{Problem, Reason, Recheck, Table, VolumeKind, VolumeRow};
use firecamp_registry::api::{NodeAttachments, NodeAttachmentsStatus};

const SHAPE: Shape = Shape { data: 2, nfs: false, xen: false };

/// Volume 1 is attached, and its device is the first.
fn attached() -> State {
    let mut state = SimulatedNode::new(1, SHAPE).now;
    let volume = &mut state.volumes[1];
    volume.ec2 = Ec2::Here(AttachmentState::Attached, 0);
    (volume.phase, volume.slot, volume.label) = (Phase::Plugged, Some(1), Some(1));
    volume.believed = Some(true);
    state
}

fn with(reason: Reason) -> State {
    let mut state = attached();
    state.volumes[1].problem = Some(InjectedProblem { reason, elsewhere: false });
    state
}

fn row(names: &Names, reported: &[Reason]) -> VolumeRow {
    let problem = |reason: &Reason| Problem { reason: *reason, message: String::new() };
    VolumeRow {
        name: names.volumes[1].to_string(),
        kind: VolumeKind::Ebs,
        volume_id: Some(names.volumes[1].clone()),
        attachment: Some(AttachmentState::Attached),
        label: None,
        delete_on_termination: None,
        zone: None,
        device: Some("nvme1n1".to_owned()),
        size: Some(bytes(1)),
        source: None,
        filesystem: None,
        space: None,
        persistent_volume: Some("pvc-1".to_owned()),
        claim: None,
        volume_attachment: None,
        mounts: Vec::new(),
        more_mounts: 0,
        problems: reported.iter().map(problem).collect(),
    }
}

struct Reporting {
    audit: Audit,
    names: Names,
}

impl Reporting {
    /// An audit with this ground truth from the first second on.
    fn of(state: &State) -> Self {
        let mut audit = Audit::new(SHAPE);
        audit.truths.take(state, 0);
        Self { audit, names: Names::new() }
    }

    fn reports(&mut self, second: u64, change: impl FnOnce(&mut VolumeRow), reported: &[Reason]) {
        let devices = BTreeMap::from([("nvme1n1".to_owned(), 1), ("nvme2n1".to_owned(), 2)]);
        let mut row = row(&self.names, reported);
        change(&mut row);
        self.audit.table(&Table { volumes: vec![row] }, &devices, (&self.names, second));
    }

    fn broken(self) -> Option<Promise> {
        self.audit.violation.map(|violation| violation.promise)
    }
}

#[test]
fn true_problems_may_be_reported_and_others_may_not() {
    let mut reporting = Reporting::of(&with(Reason::AttachmentFailing));
    reporting.reports(100, |_| {}, &[Reason::AttachmentFailing]);
    assert_eq!(reporting.broken(), None);
    let mut reporting = Reporting::of(&attached());
    reporting.reports(100, |_| {}, &[Reason::AttachmentFailing]);
    assert_eq!(reporting.broken(), Some(Promise::V1));
}

#[test]
fn a_problem_reported_before_its_patience_is_over_is_a_violation() {
    let mut reporting = Reporting::of(&with(Reason::AttachmentFailing));
    reporting.reports(29, |_| {}, &[Reason::AttachmentFailing]);
    assert_eq!(reporting.broken(), Some(Promise::V1));
}

#[test]
fn facts_of_another_volume_are_a_violation() {
    let changes: [fn(&mut VolumeRow); 3] = [
        |row| row.device = Some("nvme2n1".to_owned()),
        |row| row.size = Some(bytes(2)),
        |row| row.persistent_volume = Some("pvc-2".to_owned()),
    ];
    for change in changes {
        let mut reporting = Reporting::of(&attached());
        reporting.reports(100, change, &[]);
        assert_eq!(reporting.broken(), Some(Promise::V2));
    }
}

#[test]
fn a_lasting_problem_that_is_not_reported_in_time_or_is_cleared_is_a_violation() {
    let mut reporting = Reporting::of(&with(Reason::LinkMismatch));
    reporting.audit.clear_from = Some(0);
    reporting.reports(60, |_| {}, &[]);
    assert_eq!(reporting.audit.violation, None);
    reporting.reports(65, |_| {}, &[]);
    assert_eq!(reporting.broken(), Some(Promise::V7));
    let mut reporting = Reporting::of(&with(Reason::LinkMismatch));
    reporting.reports(60, |_| {}, &[Reason::LinkMismatch]);
    reporting.reports(200, |_| {}, &[]);
    assert_eq!(reporting.broken(), Some(Promise::V8));
}

#[test]
fn reported_flapping_is_a_violation() {
    let mut reporting = Reporting::of(&with(Reason::LinkMismatch));
    for second in [60, 62, 64, 66, 68, 70] {
        let reported: &[Reason] = if second % 4 == 0 { &[Reason::LinkMismatch] } else { &[] };
        reporting.reports(second, |_| {}, reported);
    }
    assert_eq!(reporting.broken(), Some(Promise::V4));
}

#[test]
fn querying_a_source_too_often_is_a_violation() {
    for pause in [59, 60] {
        let mut reporting = Reporting::of(&attached());
        for second in [0, pause] {
            let tick_report = TickReport { cloud: Some(Recheck::Now), ..TickReport::default() };
            reporting.audit.tick_report(&tick_report, second);
        }
        assert_eq!(reporting.broken(), (pause < 60).then_some(Promise::V5));
    }
}

#[test]
fn a_write_without_a_change_and_a_non_reporting_step_are_violations() {
    let mut reporting = Reporting::of(&attached());
    reporting.audit.step((&Step::UpdateCapacity(ResourceList::new()), true), &reporting.names, 1);
    assert_eq!(reporting.broken(), Some(Promise::V6));
    let mut reporting = Reporting::of(&attached());
    reporting.audit.quiet = true;
    reporting.audit.step((&Step::Get, true), &reporting.names, 1);
    assert_eq!(reporting.audit.violation, None, "a read is not a write");
    let object = NodeAttachments::new("node-1", None, NodeAttachmentsStatus::default());
    reporting.audit.step((&Step::Create(Box::new(object)), true), &reporting.names, 2);
    assert_eq!(reporting.broken(), Some(Promise::V3));
}
