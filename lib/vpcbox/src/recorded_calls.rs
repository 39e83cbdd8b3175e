//! Compares the calls by which a program changes EC2 with those that another one was recorded to
//! send.

use crate::protocol::Call;

/// Checks that the successful mutating calls begin as recorded: a line for each, with the action
/// and the names of its parameters in alphabetical order. Equal calls in a row count once. An
/// interface that is deleted right after its creation does not count: EC2 did not know it yet when
/// it was to be attached, so it is created again. Lines that begin with `#` are comments. The error
/// shows both lists.
pub fn begin_as_recorded<'a>(
    calls: impl IntoIterator<Item = &'a Call>,
    recording: &str,
) -> Result<(), String> {
    let changes = calls.into_iter().filter(|call| call.mutating && call.code.is_none());
    let mut sent: Vec<String> = Vec::new();
    for line in changes.map(line) {
        let created = sent.last().is_some_and(|last| last.starts_with("CreateNetworkInterface"));
        if created && line.starts_with("DeleteNetworkInterface") {
            sent.pop();
        } else if sent.last() != Some(&line) {
            sent.push(line);
        }
    }
    let recorded: Vec<&str> =
        recording.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    if sent.len() >= recorded.len() && recorded.iter().zip(&sent).all(|(a, b)| a == b) {
        return Ok(());
    }
    Err(format!("recorded:\n{}\nsent:\n{}", recorded.join("\n"), sent.join("\n")))
}

fn line(call: &Call) -> String {
    let names = call.parameters.keys().map(String::as_str);
    std::iter::once(call.action.as_str()).chain(names).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(action: &str, parameter: &str, code: Option<&str>) -> Call {
        serde_json::from_value(serde_json::json!({
            "seq": 1, "at_us": 0, "service": "ec2", "caller": "node-a", "action": action,
            "parameters": { parameter: "x" }, "request_id": "", "landed_at_us": null,
            "status": null, "code": code, "message": null, "answered_at_us": null,
            "delivery": "answered", "mutating": action != "Describe", "committed": true,
            "faults": [],
        }))
        .unwrap()
    }

    #[test]
    fn only_successful_changes_count_and_equal_ones_in_a_row_once() {
        let calls = [
            call("A", "x", None),
            call("A", "x", None),
            call("Describe", "x", None),
            call("B", "x", Some("InvalidParameterValue")),
            call("CreateNetworkInterface", "y", None),
            call("DeleteNetworkInterface", "y", None),
            call("B", "y", None),
            call("C", "z", None),
        ];
        assert_eq!(begin_as_recorded(&calls, "# a comment\nA x\nB y\n"), Ok(()));
        for wrong in ["A x\nB x\n", "B y\n", "A x\nB y\nC z\nD z\n"] {
            let why = begin_as_recorded(&calls, wrong).unwrap_err();
            assert!(why.contains(wrong.trim()) && why.contains("sent:\nA x\nB y\nC z"), "{why}");
        }
    }
}
