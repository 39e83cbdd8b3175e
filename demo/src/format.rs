//! Durations, EC2 calls and privileges as text.

use crate::event::{Call, Privileges};

/// A duration in milliseconds, with one decimal place below 10.
pub(crate) fn ms(us: u64) -> String {
    let tenths = us.saturating_add(50) / 100;
    if us < 10_000 {
        format!("{}.{} ms", tenths / 10, tenths % 10)
    } else {
        format!("{} ms", us.saturating_add(500) / 1000)
    }
}

/// The outcome of a call, in one word.
pub fn outcome(code: Option<&str>, status: Option<u16>, delivery: &str) -> String {
    match (code, status, delivery) {
        (_, _, "lost" | "cut" | "silence") => format!("answer {delivery}"),
        (Some(code), _, _) => code.to_owned(),
        (None, Some(200), _) => "ok".to_owned(),
        (None, Some(status), _) => format!("HTTP {status}"),
        (None, None, _) => "not answered".to_owned(),
    }
}

/// The number of calls as text.
pub(crate) fn calls_in_words(calls: &[Call]) -> String {
    let mutating = calls.iter().filter(|call| call.mutating).count();
    match calls.len() {
        0 => "No EC2 call".to_owned(),
        1 => format!("1 EC2 call ({mutating} mutating)"),
        count => format!("{count} EC2 calls ({mutating} mutating)"),
    }
}

/// Privileges as text.
pub(crate) fn privileges_in_words(privileges: Privileges) -> String {
    let Privileges { uid, capabilities, can_gain: _, calls } = privileges;
    let number = |count: usize, one: &str, many: &str| match count {
        0 => format!("no {one}"),
        1 => format!("1 {one}"),
        more => format!("{more} {many}"),
    };
    let user = match (uid, capabilities) {
        // The box of an unprivileged user has no second user.
        (0, 0) => "a user namespace of its own".to_owned(),
        (0, _) => "root".to_owned(),
        (uid, _) => format!("user {uid}"),
    };
    let capabilities = usize::try_from(capabilities).unwrap_or(usize::MAX);
    let capabilities = number(capabilities, "capability", "capabilities");
    let calls = number(calls, "EC2 call", "EC2 calls");
    format!("{capabilities}, {user}, {calls} of its own")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_rounded() {
        assert_eq!(ms(0), "0.0 ms");
        assert_eq!(ms(9_940), "9.9 ms");
        assert_eq!(ms(9_960), "10.0 ms");
        assert_eq!(ms(81_500), "82 ms");
    }

    #[test]
    fn privileges_are_counted_and_their_absence_is_named() {
        let all = Privileges { uid: 0, capabilities: 41, can_gain: true, calls: 1 };
        assert_eq!(privileges_in_words(all), "41 capabilities, root, 1 EC2 call of its own");
        let none = Privileges { uid: 65532, capabilities: 0, can_gain: false, calls: 0 };
        let words = "no capability, user 65532, no EC2 call of its own";
        assert_eq!(privileges_in_words(none), words);
        let inside = privileges_in_words(Privileges { uid: 0, ..none });
        assert!(inside.contains("a user namespace of its own"), "{inside}");
    }

    #[test]
    fn a_call_shows_its_error_or_what_happened_to_its_response() {
        assert_eq!(outcome(None, Some(200), "answered"), "ok");
        assert_eq!(outcome(Some("AuthFailure"), Some(401), "answered"), "AuthFailure");
        assert_eq!(outcome(None, Some(200), "lost"), "answer lost");
        assert_eq!(outcome(None, Some(502), "answered"), "HTTP 502");
        assert_eq!(outcome(None, None, "answered"), "not answered");
    }
}
