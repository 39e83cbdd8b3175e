//! EC2's query API: ec2-semantics.md section 2.

mod actions;
mod assign;
mod attach;
mod automatic_addresses;
mod create;
mod describe;
mod errors;
mod filters;
mod instances;
mod interface_xml;
mod interfaces;
mod modify;
mod pages;
mod params;
mod reservations;
mod subnets;
mod tags;
mod types;
mod unassign;
mod volumes;
mod xml;

pub(crate) use actions::{Action, ActionContext, Effect, Knobs, Request, execute, parse};
pub(crate) use errors::{ApiError, error_body};
pub(crate) use interface_xml::{GROUP, private_dns_name};
pub(crate) use params::{Form, read_form};

/// The API version that is served.
pub(crate) const VERSION: &str = "2016-11-15";

/// Whether `text` is an ID of this kind: its prefix, a dash and 8 or 17 hex digits.
pub(crate) fn is_id(kind: &str, text: &str) -> bool {
    let digits = text.strip_prefix(kind).and_then(|rest| rest.strip_prefix('-'));
    digits.is_some_and(|digits| {
        matches!(digits.len(), 8 | 17)
            && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// Whether `text` matches a pattern in which `*` matches any text and `?` any character.
pub(crate) fn matches_pattern(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0_usize, 0_usize);
    // Where to resume after the last star: one character further in the text each time.
    let mut again: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), text.get(t)) {
            (Some('*'), _) => {
                again = Some((p + 1, t));
                p += 1;
            }
            (Some('?'), Some(_)) => (p, t) = (p + 1, t + 1),
            (Some(a), Some(b)) if a == b => (p, t) = (p + 1, t + 1),
            _ => match again {
                Some((after, from)) => {
                    (p, t) = (after, from + 1);
                    again = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_ec2_filters_do() {
        for (pattern, text, expected) in [
            ("10.0.0.9", "10.0.0.9", true),
            ("10.0.0.9", "10.0.0.90", false),
            ("10.0.0.*", "10.0.0.90", true),
            ("*", "", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("*b*d", "abcd", true),
            ("*b*d", "abcde", false),
            ("A", "a", false),
        ] {
            assert_eq!(matches_pattern(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn ids_have_8_or_17_hex_digits() {
        assert!(is_id("eni", "eni-0123456789abcdef0") && is_id("eni", "eni-01234567"));
        for bad in ["eni-", "eni-0", "eni-0123456G", "i-01234567", "eni-012345678", "eni01234567"] {
            assert!(!is_id("eni", bad), "{bad}");
        }
    }
}
