//! Removes secrets from output.
//!
//! Guarantees: the result contains no value of a key or name that indicates a secret, no text in
//! the form of a well-known credential, and no value that the caller declares secret. Limits: other
//! secrets are not recognized. Therefore all annotations and values of environment variables are
//! removed, and users are asked to review a bundle before they send it.

use std::ffi::OsString;

use serde_json::{Map, Value};

/// The replacement of a secret.
pub const REDACTED: &str = "REDACTED";

/// Words in names that indicate a secret.
const SECRET_WORDS: [&str; 9] = [
    "token",
    "secret",
    "passw",
    "credential",
    "authorization",
    "private",
    "apikey",
    "accesskey",
    "session",
];

/// Public names that contain such a word.
const PUBLIC: [&str; 1] = ["privateip"];

/// The token of a pod's service account.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Shorter secrets are ignored, because they would match ordinary words.
const SHORTEST: usize = 8;

/// Redacts texts and objects.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    known: Vec<String>,
}

impl Redactor {
    /// A redactor that also removes these values.
    pub fn knowing(values: impl IntoIterator<Item = String>) -> Self {
        let long = values.into_iter().filter(|value| value.len() >= SHORTEST);
        let mut known: Vec<String> = long.collect();
        // A secret that contains another one must be removed first.
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { known }
    }

    /// A redactor that also removes the secrets of this process: from its environment, and the
    /// token of its service account.
    pub fn of_this_process() -> Self {
        let named = |(name, value): (OsString, OsString)| {
            let is_secret = is_secret_name(&name.to_string_lossy());
            is_secret.then(|| value.to_string_lossy().into_owned())
        };
        let token = std::fs::read_to_string(TOKEN).ok().map(|token| token.trim().to_owned());
        Self::knowing(std::env::vars_os().filter_map(named).chain(token))
    }

    /// An API object as JSON, without server-side metadata and secrets.
    pub fn object(&self, value: &Value) -> String {
        let text = serde_json::to_string_pretty(&clean(value)).unwrap_or_default();
        self.text(&text)
    }

    /// Lines of JSON or other text, without secrets.
    pub fn lines(&self, text: &str) -> String {
        let clean = |line: &str| match serde_json::from_str::<Map<String, Value>>(line) {
            Ok(object) => Value::Object(clean_map(&object)).to_string(),
            Err(_no_object) => line.to_owned(),
        };
        let lines: Vec<String> = text.split('\n').map(clean).collect();
        self.text(&lines.join("\n"))
    }

    /// A text without secrets.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.known {
            text = text.replace(value.as_str(), REDACTED);
        }
        let mut lines = Vec::new();
        let mut in_key = false;
        for line in text.split('\n') {
            let starts = line.contains("-----BEGIN ");
            if starts || in_key {
                // A key that is quoted on one line ends on the same line.
                in_key = !line.contains("-----END ");
                lines.push(REDACTED.to_owned());
            } else {
                lines.push(line_without_secrets(line));
            }
        }
        lines.join("\n")
    }
}

/// Whether the name of a variable or key indicates a secret.
pub fn is_secret_name(name: &str) -> bool {
    let mut plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    for public in PUBLIC {
        plain = plain.replace(public, "");
    }
    SECRET_WORDS.iter().any(|word| plain.contains(word))
}

fn clean(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(clean_map(map)),
        Value::Array(list) => Value::Array(list.iter().map(clean).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn clean_map(map: &Map<String, Value>) -> Map<String, Value> {
    let is_variable = map.contains_key("name") && map.contains_key("value");
    let mut cleaned = Map::new();
    for (key, value) in map {
        let value = match key.as_str() {
            "managedFields" => continue,
            "annotations" => without_values(value),
            "value" if is_variable => Value::from(REDACTED),
            name if is_secret_name(name) && !value.is_object() => Value::from(REDACTED),
            _ => clean(value),
        };
        cleaned.insert(key.clone(), value);
    }
    cleaned
}

/// The names without their values.
fn without_values(value: &Value) -> Value {
    let Value::Object(map) = value else { return Value::from(REDACTED) };
    map.keys().map(|key| (key.clone(), Value::from(REDACTED))).collect::<Map<_, _>>().into()
}

/// Whether the character ends a word.
fn is_end(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '"' | '\'' | ',' | ';' | '&' | '{' | '}' | '(' | ')' | '<' | '>')
}

fn line_without_secrets(line: &str) -> String {
    let mut result = String::new();
    let mut rest = line;
    let mut hide = false;
    let mut named = false;
    while let Some(first) = rest.chars().next() {
        let length = rest.find(is_end).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(length);
        if word.is_empty() {
            result.push(first);
            rest = behind.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let (sign, value) = sign(word);
        let announces = announces_a_secret(word) || (named && !sign.is_empty() && value.is_empty());
        let shown = match (hide && !announces, named && !sign.is_empty() && !value.is_empty()) {
            (true, _) => REDACTED.to_owned(),
            (false, true) => format!("{sign}{REDACTED}"),
            (false, false) => redacted(word),
        };
        result.push_str(&shown);
        hide = announces;
        named = is_secret_name(word);
        rest = behind;
    }
    result
}

/// Splits a word that starts with the separator (`:` or `=`) after a quoted name into separator and
/// value. Nested quotes add backslashes.
fn sign(word: &str) -> (&str, &str) {
    let value = word.trim_start_matches('\\').trim_start_matches([':', '=']);
    let value = value.trim_start_matches('\\');
    let sign = word.strip_suffix(value).unwrap_or_default();
    if sign.contains([':', '=']) { (sign, value) } else { ("", word) }
}

/// Whether the next word is a secret: after `Bearer` or `Basic`, or after a name with a separator.
fn announces_a_secret(word: &str) -> bool {
    let scheme = ["bearer", "basic"].iter().any(|kind| word.eq_ignore_ascii_case(kind));
    let name = word.strip_suffix('=').or_else(|| word.strip_suffix(':'));
    scheme || name.is_some_and(is_secret_name)
}

fn redacted(word: &str) -> String {
    if let Some((scheme, rest)) = word.split_once("://")
        && let Some((user, host)) = rest.split_once('@')
        && !user.contains('/')
    {
        return format!("{scheme}://{REDACTED}@{host}");
    }
    let named = word.split_once('=').or_else(|| word.split_once(':'));
    if let Some((name, value)) = named
        && !value.is_empty()
        && is_secret_name(name)
    {
        let sign =
            if word.get(name.len()..).is_some_and(|end| end.starts_with('=')) { '=' } else { ':' };
        return format!("{name}{sign}{REDACTED}");
    }
    let parts = word.split(['=', ':']);
    let shaped = parts.filter(|part| has_shape(part));
    let mut word = word.to_owned();
    for part in shaped.map(str::to_owned).collect::<Vec<_>>() {
        word = word.replace(&part, REDACTED);
    }
    word
}

/// Whether the word is a JSON web token or an AWS access key ID.
fn has_shape(word: &str) -> bool {
    let is_token = word.starts_with("eyJ") && word.len() > 20;
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    let is_key = (word.starts_with("AKIA") || word.starts_with("ASIA"))
        && word.len() == 20
        && word.chars().all(upper);
    is_token || is_key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_recognized_by_form_and_by_name() {
        let cases = [
            ("Authorization: Bearer abc.def", "Authorization: Bearer REDACTED"),
            ("token=hush, next", "token=REDACTED, next"),
            ("metric{password=\"hush\"} 1", "metric{password=\"REDACTED\"} 1"),
            ("password: hush", "password: REDACTED"),
            ("AWS_SECRET_ACCESS_KEY=hush/it", "AWS_SECRET_ACCESS_KEY=REDACTED"),
            ("x AKIAIOSFODNN7EXAMPLE y", "x REDACTED y"),
            ("jwt:eyJhbGciOiJSUzI1NiIsImtpZCI6 z", "jwt:REDACTED z"),
            ("https://me:hush@host/path", "https://REDACTED@host/path"),
            ("mail me@host about it", "mail me@host about it"),
            ("{\"token\":\"hush\",\"a\":1}", "{\"token\":\"REDACTED\",\"a\":1}"),
            ("{\"password\": \"hush\"}", "{\"password\": \"REDACTED\"}"),
            ("{\"apiKey\":12345}", "{\"apiKey\":REDACTED}"),
            (
                "body {\\\"token\\\":\\\"hush\\\"} of it",
                "body {\\\"token\\\":\\\"REDACTED\"} of it",
            ),
            ("no token was given: timeout", "no token was given: timeout"),
            ("AssignPrivateIpAddresses: throttled", "AssignPrivateIpAddresses: throttled"),
            ("10.0.0.9 on eni-0123456789abcdef0", "10.0.0.9 on eni-0123456789abcdef0"),
        ];
        for (text, expected) in cases {
            assert_eq!(Redactor::default().text(text), expected);
        }
    }

    #[test]
    fn values_of_secret_keys_are_removed_from_json_lines() {
        let text = "{\"message\":\"Begun\",\"sessionKeys\":[\"hush\",\"hush\"]}\n\
                    plain, password: hush\n";
        let shown = "{\"message\":\"Begun\",\"sessionKeys\":\"REDACTED\"}\n\
                     plain, password: REDACTED\n";
        assert_eq!(Redactor::default().lines(text), shown);
    }

    #[test]
    fn a_private_key_is_removed_completely() {
        let text = "a\n-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\nb";
        assert_eq!(Redactor::default().text(text), "a\nREDACTED\nREDACTED\nREDACTED\nb");
    }

    #[test]
    fn annotations_variables_and_managed_fields_are_removed_from_objects() {
        let object = json!({
            "metadata": {
                "name": "x",
                "managedFields": [{ "manager": "m" }],
                "annotations": { "note": "hush" },
                "labels": { "team": "db" },
            },
            "spec": { "env": [{ "name": "A", "value": "hush" }], "apiToken": "hush", "pool": "a" },
        });
        let text = Redactor::default().object(&object);
        assert!(!text.contains("hush") && !text.contains("managedFields"), "{text}");
        for kept in ["note", "team", "db", "\"pool\": \"a\""] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }

    proptest! {
        /// A declared secret is removed wherever it occurs.
        #[test]
        fn a_declared_secret_is_removed_from_any_text(
            before in ".{0,20}", secret in "[A-Za-z0-9/+]{8,40}", after in ".{0,20}"
        ) {
            let redactor = Redactor::knowing([secret.clone()]);
            let text = redactor.text(&format!("{before}{secret}{after}"));
            prop_assert!(!text.contains(&secret) || REDACTED.contains(&secret), "{}", text);
        }
    }
}
