//! Takes secrets out of what is shown or packed.
//!
//! Guarantees: what stands under a key or after a name that speaks of a secret, what has the shape
//! of a well-known credential, and every value that the caller knows to be secret, is not in the
//! result. Caveats: nobody knows a secret that looks like nothing; so annotations and values of
//! environment variables go altogether, and people are told to read a bundle before they send it.

use std::ffi::OsString;

use serde_json::{Map, Value};

/// What stands in the place of a secret.
pub const REDACTED: &str = "REDACTED";

/// Words in the names of what is secret.
const SPEAKING: [&str; 9] = [
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

/// Names of what is public and would speak of a secret by one of its words.
const PUBLIC: [&str; 1] = ["privateip"];

/// Where a pod's service account has its token.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A secret that is shorter would be found in ordinary words.
const SHORTEST: usize = 8;

/// Redacts texts and objects.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    known: Vec<String>,
}

impl Redactor {
    /// One that also knows these values as secret, whatever they look like.
    pub fn knowing(values: impl IntoIterator<Item = String>) -> Self {
        let long = values.into_iter().filter(|value| value.len() >= SHORTEST);
        let mut known: Vec<String> = long.collect();
        // A secret that contains another one must go first.
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { known }
    }

    /// One that knows what is secret in this process: of its environment, and its service account's
    /// token as it is now.
    pub fn of_this_process() -> Self {
        let named = |(name, value): (OsString, OsString)| {
            let is_secret = speaks_of_a_secret(&name.to_string_lossy());
            is_secret.then(|| value.to_string_lossy().into_owned())
        };
        let token = std::fs::read_to_string(TOKEN).ok().map(|token| token.trim().to_owned());
        Self::knowing(std::env::vars_os().filter_map(named).chain(token))
    }

    /// An object of the API without what only servers write and what may be secret.
    pub fn object(&self, value: &Value) -> String {
        let text = serde_json::to_string_pretty(&clean(value)).unwrap_or_default();
        self.text(&text)
    }

    /// Lines of JSON, and whatever else stands among them, without secrets.
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
            let begins = line.contains("-----BEGIN ");
            if begins || in_key {
                // Of a key that is quoted on one line the end follows at once.
                in_key = !line.contains("-----END ");
                lines.push(REDACTED.to_owned());
            } else {
                lines.push(line_without_secrets(line));
            }
        }
        lines.join("\n")
    }
}

/// Whether a variable or a key of this name holds a secret.
pub fn speaks_of_a_secret(name: &str) -> bool {
    let mut plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    for public in PUBLIC {
        plain = plain.replace(public, "");
    }
    SPEAKING.iter().any(|word| plain.contains(word))
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
            name if speaks_of_a_secret(name) && !value.is_object() => Value::from(REDACTED),
            _ => clean(value),
        };
        cleaned.insert(key.clone(), value);
    }
    cleaned
}

/// The names alone.
fn without_values(value: &Value) -> Value {
    let Value::Object(map) = value else { return Value::from(REDACTED) };
    map.keys().map(|key| (key.clone(), Value::from(REDACTED))).collect::<Map<_, _>>().into()
}

/// What ends a word.
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
        named = speaks_of_a_secret(word);
        rest = behind;
    }
    result
}

/// The sign between a name in quotes and its value, which stands at the begin of a word, and what
/// follows it. Quotes within quotes bring backslashes.
fn sign(word: &str) -> (&str, &str) {
    let value = word.trim_start_matches('\\').trim_start_matches([':', '=']);
    let value = value.trim_start_matches('\\');
    let sign = word.strip_suffix(value).unwrap_or_default();
    if sign.contains([':', '=']) { (sign, value) } else { ("", word) }
}

/// Whether the next word is the secret: `Bearer`, or a name with nothing behind its sign.
fn announces_a_secret(word: &str) -> bool {
    let scheme = ["bearer", "basic"].iter().any(|kind| word.eq_ignore_ascii_case(kind));
    let name = word.strip_suffix('=').or_else(|| word.strip_suffix(':'));
    scheme || name.is_some_and(speaks_of_a_secret)
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
        && speaks_of_a_secret(name)
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

/// A JSON web token, or an AWS access key id.
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
    fn credentials_are_known_by_their_shapes_and_by_the_names_before_them() {
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
    fn of_lines_of_json_what_stands_under_a_speaking_key_is_gone_and_the_rest_stays() {
        let text = "{\"message\":\"Begun\",\"sessionKeys\":[\"hush\",\"hush\"]}\n\
                    plain, password: hush\n";
        let shown = "{\"message\":\"Begun\",\"sessionKeys\":\"REDACTED\"}\n\
                     plain, password: REDACTED\n";
        assert_eq!(Redactor::default().lines(text), shown);
    }

    #[test]
    fn a_key_goes_from_its_first_line_to_its_last() {
        let text = "a\n-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\nb";
        assert_eq!(Redactor::default().text(text), "a\nREDACTED\nREDACTED\nREDACTED\nb");
    }

    #[test]
    fn an_object_loses_annotations_values_of_variables_and_what_only_servers_write() {
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
        /// Wherever a secret stands that the caller knows, it is gone.
        #[test]
        fn a_known_secret_is_found_in_any_text(
            before in ".{0,20}", secret in "[A-Za-z0-9/+]{8,40}", after in ".{0,20}"
        ) {
            let redactor = Redactor::knowing([secret.clone()]);
            let text = redactor.text(&format!("{before}{secret}{after}"));
            prop_assert!(!text.contains(&secret) || REDACTED.contains(&secret), "{}", text);
        }
    }
}
