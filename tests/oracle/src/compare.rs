//! The first difference between two JSON texts.

use std::collections::BTreeSet;

use serde_json::Value;

/// The longest text that is printed of either side.
const SHOWN: usize = 200;

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlike {
    /// The path: keys and array indices.
    pub place: String,
    /// What was recorded.
    pub expected: String,
    /// What this tree does.
    pub got: String,
}

/// Keys whose values are texts for people, which may be reworded.
pub type Texts = BTreeSet<String>;

/// The first difference. The order of keys does not matter, nor do texts for people.
pub fn differ(expected: &str, got: &str, texts: &Texts) -> Option<Unlike> {
    unlike(expected, got, &Rules { whole: true, texts })
}

/// How two values are compared.
struct Rules<'a> {
    /// Additional keys are a difference.
    whole: bool,
    texts: &'a Texts,
}

impl Rules<'_> {
    fn allows(&self, key: &str, one: &Value, other: &Value) -> bool {
        one.is_string() && other.is_string() && self.texts.contains(key)
    }
}

/// The first recorded part that is missing or changed. Additional keys are allowed.
pub fn lost(expected: &str, got: &str) -> Option<Unlike> {
    unlike(expected, got, &Rules { whole: false, texts: &Texts::new() })
}

fn unlike(expected: &str, got: &str, rules: &Rules<'_>) -> Option<Unlike> {
    if expected == got {
        return None;
    }
    match (serde_json::from_str(expected), serde_json::from_str(got)) {
        (Ok(expected), Ok(got)) => first((&expected, &got), rules, &mut String::new()),
        (Err(error), _) | (_, Err(error)) => {
            let got = format!("what cannot be read: {error}");
            Some(Unlike { place: "/".to_owned(), expected: short(expected), got })
        }
    }
}

/// In the place of what is missing.
const ABSENT: &str = "(absent)";

fn first(
    (expected, got): (&Value, &Value),
    rules: &Rules<'_>,
    place: &mut String,
) -> Option<Unlike> {
    let parts = match (expected, got) {
        (Value::Object(a), Value::Object(b)) => {
            let new = b.keys().filter(|key| rules.whole && !a.contains_key(*key));
            let keys = a.keys().chain(new);
            keys.map(|key| (String::clone(key), a.get(key), b.get(key))).collect()
        }
        (Value::Array(a), Value::Array(b)) => {
            let numbers = 0..a.len().max(b.len());
            numbers.map(|number| (number.to_string(), a.get(number), b.get(number))).collect()
        }
        _ if expected == got => Vec::new(),
        _ => return Some(at(place, Some(expected), Some(got))),
    };
    let length = place.len();
    for (key, one, other) in parts {
        place.extend(["/", &key]);
        let found = match (one, other) {
            (Some(one), Some(other)) if rules.allows(&key, one, other) => None,
            (Some(one), Some(other)) => first((one, other), rules, place),
            _ => Some(at(place, one, other)),
        };
        if found.is_some() {
            return found;
        }
        place.truncate(length);
    }
    None
}

fn at(place: &str, expected: Option<&Value>, got: Option<&Value>) -> Unlike {
    let text = |side: Option<&Value>| {
        side.map_or_else(|| ABSENT.to_owned(), |value| short(&value.to_string()))
    };
    let place = if place.is_empty() { "/" } else { place };
    Unlike { place: place.to_owned(), expected: text(expected), got: text(got) }
}

/// The text, truncated.
pub fn short(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        assert_eq!(differ(r#"{"a":1,"b":[2]}"#, r#"{"b":[2],"a":1}"#, &Texts::new()), None);
    }

    #[test]
    fn a_text_for_people_may_be_reworded_and_nothing_else() {
        let texts = Texts::from(["why".to_owned()]);
        let old = r#"{"why":"old","what":"same"}"#;
        assert_eq!(differ(old, r#"{"why":"new","what":"same"}"#, &texts), None);
        assert!(differ(old, r#"{"why":"old","what":"other"}"#, &texts).is_some());
        assert!(differ(old, r#"{"why":null,"what":"same"}"#, &texts).is_some());
    }

    #[test]
    fn the_path_of_the_first_difference_is_reported() {
        let found =
            differ(r#"{"a":1,"b":[2,{"c":"x"}]}"#, r#"{"b":[2,{"c":"y"}],"a":1}"#, &Texts::new());
        let (expected, got) = (r#""x""#.to_owned(), r#""y""#.to_owned());
        assert_eq!(found, Some(Unlike { place: "/b/1/c".to_owned(), expected, got }));
        let found = differ("[1]", "[1,2]", &Texts::new()).unwrap();
        assert_eq!((found.place.as_str(), found.expected.as_str()), ("/1", ABSENT));
        assert_eq!(differ("null", "{}", &Texts::new()).unwrap().got, "{}");
        assert!(differ("1", "{", &Texts::new()).unwrap().got.contains("cannot be read"));
    }

    #[test]
    fn an_additional_key_is_not_a_loss() {
        let (before, after) = (r#"[{"a":1}]"#, r#"[{"a":1,"b":null}]"#);
        assert_eq!(lost(before, after), None);
        assert_eq!(differ(before, after, &Texts::new()).unwrap().place, "/0/b");
        assert_eq!(lost(after, before).unwrap().got, ABSENT);
    }
}
