//! Each audit fails where its promise is broken: what is told is changed on its way to the audit.

use std::collections::BTreeMap;

use firecamp_controllers::publish::Step;
use firecamp_histories::volumes::agent::Noted;
use firecamp_histories::volumes::audit::{Audit, Promise};
use firecamp_histories::volumes::scenario::{Shape, Trouble};
use firecamp_histories::volumes::views::bytes;
use firecamp_histories::volumes::world::{Ec2, Names, Phase, State, World};
use firecamp_node::volumes::seen::AttachmentState;
use firecamp_node::volumes::{Problem, Reason, Table, VolumeKind, VolumeRow};
use firecamp_registry::api::{NodeAttachments, NodeAttachmentsStatus};

const SHAPE: Shape = Shape { data: 2, nfs: false, xen: false };

/// Volume 1 is attached, and its device is the first.
fn attached() -> State {
    let mut state = World::new(1, SHAPE).now;
    let volume = &mut state.volumes[1];
    volume.ec2 = Ec2::Here(AttachmentState::Attached, 0);
    (volume.phase, volume.slot, volume.label) = (Phase::Plugged, Some(1), Some(1));
    volume.believed = Some(true);
    state
}

fn with(reason: Reason) -> State {
    let mut state = attached();
    state.volumes[1].trouble = Some(Trouble { reason, elsewhere: false });
    state
}

fn row(names: &Names, told: &[Reason]) -> VolumeRow {
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
        problems: told.iter().map(problem).collect(),
    }
}

struct Telling {
    audit: Audit,
    names: Names,
}

impl Telling {
    /// One whose truth is this from the first second on.
    fn of(state: &State) -> Self {
        let mut audit = Audit::new(SHAPE);
        audit.truths.take(state, 0);
        Self { audit, names: Names::new() }
    }

    fn tells(&mut self, second: u64, change: impl FnOnce(&mut VolumeRow), told: &[Reason]) {
        let devices = BTreeMap::from([("nvme1n1".to_owned(), 1), ("nvme2n1".to_owned(), 2)]);
        let mut row = row(&self.names, told);
        change(&mut row);
        self.audit.table(&Table { volumes: vec![row] }, &devices, (&self.names, second));
    }

    fn broken(self) -> Option<Promise> {
        self.audit.violation.map(|violation| violation.promise)
    }
}

#[test]
fn what_is_so_may_be_told_and_what_is_not_may_not() {
    let mut telling = Telling::of(&with(Reason::AttachmentFailing));
    telling.tells(100, |_| {}, &[Reason::AttachmentFailing]);
    assert_eq!(telling.broken(), None);
    let mut telling = Telling::of(&attached());
    telling.tells(100, |_| {}, &[Reason::AttachmentFailing]);
    assert_eq!(telling.broken(), Some(Promise::V1));
}

#[test]
fn what_is_told_before_its_patience_is_over_is_an_alarm_too_early() {
    let mut telling = Telling::of(&with(Reason::AttachmentFailing));
    telling.tells(29, |_| {}, &[Reason::AttachmentFailing]);
    assert_eq!(telling.broken(), Some(Promise::V1));
}

#[test]
fn what_belongs_to_another_volume_is_mixed_up() {
    let changes: [fn(&mut VolumeRow); 3] = [
        |row| row.device = Some("nvme2n1".to_owned()),
        |row| row.size = Some(bytes(2)),
        |row| row.persistent_volume = Some("pvc-2".to_owned()),
    ];
    for change in changes {
        let mut telling = Telling::of(&attached());
        telling.tells(100, change, &[]);
        assert_eq!(telling.broken(), Some(Promise::V2));
    }
}

#[test]
fn what_lasts_and_is_not_told_in_time_or_is_unsaid_is_noticed() {
    let mut telling = Telling::of(&with(Reason::LinkMismatch));
    telling.audit.clear_from = Some(0);
    telling.tells(60, |_| {}, &[]);
    assert_eq!(telling.audit.violation, None);
    telling.tells(65, |_| {}, &[]);
    assert_eq!(telling.broken(), Some(Promise::V7));
    let mut telling = Telling::of(&with(Reason::LinkMismatch));
    telling.tells(60, |_| {}, &[Reason::LinkMismatch]);
    telling.tells(200, |_| {}, &[]);
    assert_eq!(telling.broken(), Some(Promise::V8));
}

#[test]
fn what_flaps_is_noticed() {
    let mut telling = Telling::of(&with(Reason::LinkMismatch));
    for second in [60, 62, 64, 66, 68, 70] {
        let told: &[Reason] = if second % 4 == 0 { &[Reason::LinkMismatch] } else { &[] };
        telling.tells(second, |_| {}, told);
    }
    assert_eq!(telling.broken(), Some(Promise::V4));
}

#[test]
fn a_side_that_is_asked_too_often_is_noticed() {
    for pause in [59, 60] {
        let mut telling = Telling::of(&attached());
        for second in [0, pause] {
            let noted = Noted { cloud: Some(true), ..Noted::default() };
            telling.audit.noted(&noted, second);
        }
        assert_eq!(telling.broken(), (pause < 60).then_some(Promise::V5));
    }
}

#[test]
fn a_write_while_nothing_happens_and_a_step_that_is_no_report_are_noticed() {
    let mut telling = Telling::of(&attached());
    telling.audit.step((&Step::Capacity(1), true), &telling.names, 1);
    assert_eq!(telling.broken(), Some(Promise::V6));
    let mut telling = Telling::of(&attached());
    telling.audit.quiet = true;
    telling.audit.step((&Step::Learn, true), &telling.names, 1);
    assert_eq!(telling.audit.violation, None, "reading is no write");
    let object = NodeAttachments::new("node-1", None, NodeAttachmentsStatus::default());
    telling.audit.step((&Step::Create(Box::new(object)), true), &telling.names, 2);
    assert_eq!(telling.broken(), Some(Promise::V3));
}
