use proptest::prelude::*;

use super::*;

fn holder(pod: &str, epoch: u64) -> Holder {
    Holder { pod: PodUid::new(pod).unwrap(), epoch: Epoch(epoch) }
}

fn record(pod: &str, epoch: u64, hold: Hold) -> Record {
    Record { holder: holder(pod, epoch), hold, added: true, pid: 42 }
}

fn on_file(pod: &str, epoch: u64, hold: Hold) -> Recorded {
    Recorded::This(record(pod, epoch, hold))
}

#[test]
fn f023_old_holder_may_not_remove_the_address_of_the_new_one() {
    let new = on_file("new", 8, Hold::Held);
    let denied = new.permits_removing(&holder("old", 7), Versions::Understood);
    assert_eq!(denied, Err(Denied::Superseded(record("new", 8, Hold::Held))));
}

#[test]
fn f111_late_removal_by_an_earlier_incarnation_is_denied() {
    let second = on_file("pod", 8, Hold::Held);
    assert!(second.permits_removing(&holder("pod", 7), Versions::Understood).is_err());
    assert!(second.permits_removing(&holder("pod", 8), Versions::Understood).is_ok());
}

#[test]
fn a_removal_for_an_epoch_that_another_pod_holds_is_denied() {
    assert!(
        on_file("a", 5, Hold::Held)
            .permits_removing(&holder("b", 5), Versions::Understood)
            .is_err()
    );
    assert!(
        on_file("a", 5, Hold::Released)
            .permits_removing(&holder("b", 5), Versions::Understood)
            .is_ok()
    );
    assert!(
        on_file("a", 5, Hold::Held).permits_removing(&holder("b", 6), Versions::Understood).is_ok()
    );
}

#[test]
fn a_released_epoch_is_not_added_again() {
    let released = on_file("pod", 5, Hold::Released);
    assert!(released.permits_adding(&holder("pod", 5)).is_err());
    assert!(released.permits_adding(&holder("pod", 6)).is_ok());
}

#[test]
fn only_the_holding_pod_may_add_again_for_its_epoch() {
    let held = on_file("pod", 5, Hold::Held);
    assert!(held.permits_adding(&holder("pod", 5)).is_ok());
    assert!(held.permits_adding(&holder("other", 5)).is_err());
}

#[test]
fn a_torn_record_permits_adding_and_forbids_removing() {
    assert!(Recorded::Torn.permits_adding(&holder("pod", 1)).is_ok());
    assert_eq!(
        Recorded::Torn.permits_removing(&holder("pod", 9), Versions::Understood),
        Err(Denied::Torn)
    );
}

#[test]
fn without_a_record_adding_and_removing_are_permitted() {
    assert!(Recorded::Nothing.permits_adding(&holder("pod", 1)).is_ok());
    assert!(Recorded::Nothing.permits_removing(&holder("pod", 1), Versions::Understood).is_ok());
}

#[test]
fn the_longest_record_fits() {
    let longest = Record {
        holder: holder(&"p".repeat(128), u64::MAX),
        hold: Hold::Released,
        added: false,
        pid: u32::MAX,
    };
    assert!(longest.text().len() + MAX_VERSION < MAX_LENGTH);
}

/// The record of a program of another version: the same first line, and that program's second line.
fn written_by(current: u32, oldest: u32, record: &Record) -> Recorded {
    let second = format!("{WRITER} protocol={current} oldest={oldest} version=9.8.7\n");
    Recorded::parse(format!("{}{second}", record.line()).as_bytes())
}

#[test]
fn f097_record_of_a_compatible_version_is_accepted() {
    let own = record("pod", 8, Hold::Held);
    let Protocol { current, .. } = Protocol::OURS;
    for theirs in [current, current + 1] {
        let read = written_by(theirs, theirs.saturating_sub(1), &own);
        assert_eq!(read, Recorded::This(own.clone()), "{theirs}");
    }
    assert_eq!(
        Recorded::parse(own.line().as_bytes()),
        Recorded::This(own.clone()),
        "without a second line"
    );
    assert_eq!(Recorded::parse(own.text().as_bytes()), Recorded::This(own));
}

#[test]
fn f097_record_of_an_incompatible_version_is_kept_and_named() {
    let current = Protocol::OURS.current + 2;
    let theirs = written_by(current, current - 1, &record("pod", 8, Hold::Held));
    assert_eq!(theirs.last(), Some(record("pod", 8, Hold::Held).rule()));
    let same = holder("pod", 8);
    for denied in
        [theirs.permits_adding(&same), theirs.permits_removing(&same, Versions::Understood)]
    {
        let Err(Denied::Apart(why)) = denied else { panic!("{denied:?}") };
        assert!(why.starts_with("the program that wrote it is FireCamp 9.8.7"), "{why}");
    }
    let later = holder("next", 9);
    assert!(theirs.permits_adding(&later).is_ok(), "a later epoch replaces the record");
    assert!(theirs.permits_removing(&later, Versions::Understood).is_ok());
}

#[test]
fn f097_withdraw_removes_only_addresses_of_an_incompatible_version() {
    let may = |recorded: &Recorded, pod, epoch| {
        recorded.permits_removing(&holder(pod, epoch), Versions::All).is_ok()
    };
    let current = Protocol::OURS.current + 2;
    let theirs = |hold| written_by(current, current - 1, &record("pod", 8, hold));
    let held = theirs(Hold::Held);
    assert!(
        may(&held, "pod", 8) && may(&held, "next", 9) && may(&theirs(Hold::Released), "pod", 8)
    );
    assert!(!may(&held, "pod", 7), "a later incarnation holds it");
    assert!(!may(&held, "other", 8), "another pod holds it");
    assert!(held.permits_adding(&holder("pod", 8)).is_err(), "a withdrawing agent adds nothing");
    for unread in [Recorded::Torn, Recorded::Later] {
        assert!(!may(&unread, "pod", 9), "{unread:?}: the holder is unknown");
    }
}

#[test]
fn f097_incomplete_or_unknown_second_line_is_ignored() {
    let own = record("pod", 8, Hold::Held);
    for tail in ["firecamp-program protocol=9 oldest=9 version=", "protocol=9 oldest=9\n", "x\n"] {
        let read = Recorded::parse(format!("{}{tail}", own.line()).as_bytes());
        assert_eq!(read, Recorded::This(own.clone()), "{tail}");
    }
}

fn any_record() -> impl Strategy<Value = Record> {
    ("[A-Za-z0-9._-]{1,128}", any::<u64>(), any::<bool>(), any::<bool>(), any::<u32>()).prop_map(
        |(pod, epoch, held, added, pid)| Record {
            holder: holder(&pod, epoch),
            hold: if held { Hold::Held } else { Hold::Released },
            added,
            pid,
        },
    )
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written(record in any_record()) {
        prop_assert_eq!(Recorded::parse(record.line().as_bytes()), Recorded::This(record));
    }

    #[test]
    fn the_tail_of_a_longer_record_is_ignored(record in any_record(), tail in any::<Vec<u8>>()) {
        let mut bytes = record.line().into_bytes();
        bytes.extend(tail);
        prop_assert_eq!(Recorded::parse(&bytes), Recorded::This(record));
    }

    #[test]
    fn a_truncated_record_is_torn(
        record in any_record(),
        at in any::<prop::sample::Index>(),
    ) {
        let line = record.line();
        let cut = at.index(line.len() - 1) + 1;
        prop_assume!(cut < line.len());
        prop_assert_eq!(Recorded::parse(&line.as_bytes()[..cut]), Recorded::Torn);
    }

    #[test]
    fn a_record_overwritten_in_part_is_torn_or_one_of_the_two(
        old in any_record(), new in any_record(), at in any::<prop::sample::Index>()
    ) {
        let (was, is) = (old.line().into_bytes(), new.line().into_bytes());
        let cut = at.index(is.len());
        let mut mixed = is[..cut].to_vec();
        mixed.extend(was.get(cut..).unwrap_or_default());
        let read = Recorded::parse(&mixed);
        let fine = [Recorded::Torn, Recorded::Nothing, Recorded::This(old), Recorded::This(new)];
        prop_assert!(fine.contains(&read), "{read:?}");
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in any::<Vec<u8>>()) {
        drop(Recorded::parse(&bytes));
    }
}
