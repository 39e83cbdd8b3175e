//! Converts `KEY=VALUE` arguments to JSON.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// Parses `KEY=VALUE` arguments into an object. A value that is not JSON is text.
pub(super) fn object(words: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut fields = Map::new();
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            return Err(usage(format!("{word:?} is not KEY=VALUE")));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_text| Value::from(value));
        if fields.insert(key.to_owned(), value).is_some() {
            return Err(usage(format!("{key} is given twice")));
        }
    }
    Ok(fields)
}

/// The same, with the field `kind`.
pub(super) fn of_kind(kind: &str, words: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut fields = object(words)?;
    fields.insert("kind".to_owned(), Value::from(kind));
    Ok(fields)
}

/// Deserializes JSON as a typed value.
pub(super) fn read<T: DeserializeOwned>(what: &str, value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| usage(format!("{what}: {error}")))
}

/// An invalid command line.
pub(super) fn usage(what: String) -> Failure {
    Failure::Usage {
        what,
        next: "see --help of this command, and docs/development/vpcbox.md for all kinds",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn a_value_that_is_not_json_is_text() {
        let fields =
            object(&words(&["n=3", "p=0.5", "address=10.0.0.1", "on=true", "keys=[\"a\"]", "e="]));
        let text = serde_json::to_string(&fields.unwrap()).unwrap();
        let wanted = r#"{"address":"10.0.0.1","e":"","keys":["a"],"n":3,"on":true,"p":0.5}"#;
        assert_eq!(text, wanted);
    }

    #[test]
    fn arguments_without_equals_and_duplicate_keys_are_refused_by_name() {
        let chain = |given: &[&str]| object(&words(given)).unwrap_err().chain();
        assert!(chain(&["alone"]).contains("alone"));
        assert!(chain(&["a=1", "a=2"]).contains("a is given twice"));
    }
}
