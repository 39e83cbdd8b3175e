//! A recording replays; whatever has changed is found.

#![expect(clippy::unwrap_used, reason = "a recording that cannot be made fails the test")]

use firecamp_oracle::record::{Kind, histories};
use firecamp_oracle::renames::Renames;
use firecamp_oracle::replay::{Replay, Summary};

/// The first lines of recordings that later code can no longer make.
const MODEL: &str = include_str!("samples/model.jsonl");
const SWEEPS: &str = include_str!("samples/sweeps.jsonl");
const VOLUMES: &str = include_str!("samples/volumes.jsonl");
const PUBLISHER: &str = include_str!("samples/publisher.jsonl");

fn recorded(kind: Kind, count: u64) -> String {
    let mut all = Vec::new();
    histories(kind, 1, count, &mut |mut lines| {
        all.append(&mut lines);
        Ok(())
    })
    .unwrap();
    String::from_utf8(all).unwrap()
}

fn replayed(recording: &str, renames: &str) -> Summary {
    let renames = Renames::parse(renames).unwrap();
    let mut replay = Replay::new(&renames, 10);
    replay.lines(recording.as_bytes(), |_| ()).unwrap();
    replay.summary
}

/// The recording with one change in the first line that contains all marks.
fn changed(recording: &str, marks: &[&str], (from, to): (&str, &str)) -> String {
    let mut lines: Vec<String> = recording.lines().map(|line| format!("{line}\n")).collect();
    let has = |line: &&mut String| marks.iter().all(|mark| line.contains(mark));
    let line = lines.iter_mut().find(has).unwrap();
    assert!(line.contains(from), "{line}");
    *line = line.replacen(from, to, 1);
    lines.concat()
}

#[test]
fn every_kind_of_recording_replays_equal() {
    let kinds = [(Kind::Leader, 5), (Kind::Lease, 10)];
    for (kind, count) in kinds {
        let summary = replayed(&recorded(kind, count), "");
        let differences = &summary.differences;
        assert!(differences.is_empty(), "{kind:?}: {}", differences[0]);
        assert_eq!(summary.histories, count);
        assert!(summary.compared > 100 && summary.instances > 0, "{kind:?}: {summary}");
        assert_eq!((summary.events, summary.skipped), (summary.compared, 0), "{kind:?}");
    }
}

#[test]
fn recordings_of_the_pinned_commit_replay_equal() {
    for recording in [MODEL, SWEEPS, VOLUMES, PUBLISHER] {
        let summary = replayed(recording, "");
        assert!(summary.differences.is_empty(), "{}", summary.differences[0]);
        assert!(summary.compared > 100 && summary.instances > 0, "{summary}");
        assert_eq!((summary.events, summary.skipped), (summary.compared, 0));
    }
}

#[test]
fn a_tampered_effect_is_found() {
    let tampered =
        changed(MODEL, &["machine.reply", r#""action":"ReadIdentity""#], ("Identity", "Pod"));
    let summary = replayed(&tampered, "");
    assert_eq!(summary.different, 1, "{summary}");
    let found = &summary.differences[0];
    assert_eq!((found.history.0.as_str(), found.call.as_str()), ("model", "machine.reply"));
    let unlike = &found.unlike;
    assert_eq!(unlike.place, "/action");
    assert_eq!(
        (unlike.expected.as_str(), unlike.got.as_str()),
        (r#""ReadPod""#, r#""ReadIdentity""#)
    );
    assert!(summary.skipped > 0, "later effects of the instance are not compared: {summary}");
}

#[test]
fn a_tampered_event_is_found() {
    let tampered = changed(MODEL, &["machine.reply", r#"["Waited","#], ("Waited", "Begun"));
    let found = &replayed(&tampered, "").differences[0];
    let place = found.unlike.place.as_str();
    assert!(found.with.contains("Begun") && place.starts_with("/action"), "{found}");
    let plans = recorded(Kind::Leader, 2);
    let tampered = plans.replace(r#""controller":{"name":"redis""#, r#""controller":{"name":"x""#);
    assert_ne!(tampered, plans);
    assert!(replayed(&tampered, "").different > 0);
}

#[test]
fn old_names_replay_with_the_table_and_are_found_without_it() {
    // As if an optional field, another field and a variant had been renamed since.
    let before = MODEL
        .replace(r#""reserved_on":"#, r#""kept_on":"#)
        .replace(r#""attachment":"#, r#""tie":"#)
        .replace(r#""Parked""#, r#""Left""#);
    assert_ne!(before, MODEL);
    let table = "# renamed\nkept_on\treserved_on\ntie\tattachment\nLeft\tParked\n";
    let summary = replayed(&before, table);
    assert!(summary.differences.is_empty(), "{}", summary.differences[0]);
    assert_eq!(summary.compared, replayed(MODEL, "").compared);
    for missing in ["kept_on", "tie", "Left"] {
        let lines = table.lines().filter(|line| !line.starts_with(missing));
        let part: Vec<&str> = lines.collect();
        let summary = replayed(&before, &part.join("\n"));
        assert!(summary.different > 0, "without {missing}");
    }
}

#[test]
fn arguments_that_are_lost_are_found() {
    let marks = ["attach.new"];
    let lost = changed(MODEL, &marks, (r#""pool":null"#, r#""swimming":"pool""#));
    let found = &replayed(&lost, "").differences[0];
    assert!(found.unlike.got.contains("is deserialised as"), "{found}");
    let unknown = changed(MODEL, &marks, (r#""member""#, r#""limb""#));
    let found = &replayed(&unknown, "").differences[0];
    assert!(found.unlike.got.contains("missing field `member`"), "{found}");
}

#[test]
fn unknown_events_invalid_lines_and_empty_recordings_are_found() {
    let title = "{\"history\":\"model\",\"seed\":1}\n";
    let summary = replayed(&format!("{title}{{\"call\":\"x.y\",\"with\":null,\"gives\":1}}\n"), "");
    assert!(summary.differences[0].unlike.got.contains("unknown event"), "{summary}");
    assert_eq!(replayed(title, "").compared, 0);
    let renames = Renames::default();
    let mut replay = Replay::new(&renames, 1);
    assert!(replay.lines("{\"call\":\"x\"".as_bytes(), |_| ()).is_err());
    assert!(replay.lines("{}\n".as_bytes(), |_| ()).is_err());
}
