//! The rename table: names that have changed since the recording.
//!
//! Each line is `old<TAB>new`; lines that begin with `#` are comments. A rule applies to the keys
//! of objects and to strings that equal `old` as a whole, that is to names of fields and of enum
//! variants. Where one old name has several new ones, a rule can name its parents:
//! `operation.Release` is the `Release` directly below the key `operation`, ignoring arrays in
//! between. The parent of the top level is the component of the event, such as `leader`. The rule
//! with the most parents wins. `call:old<TAB>new` renames the event itself, and
//! `text:key<TAB>reworded` leaves the texts of a key out of the comparison.
//! `prefix:old<TAB>new` changes what values begin with.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::compare::Texts;

/// The table.
#[derive(Debug, Clone, Default)]
pub struct Renames {
    /// By the old name alone.
    rules: HashMap<String, Vec<Rule>>,
    /// The names of events.
    calls: HashMap<String, String>,
    /// What values begin with.
    prefixes: Vec<(String, String)>,
    /// Keys of texts for people, which are not compared.
    texts: Texts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// Its parents, the outermost first.
    below: Vec<String>,
    new: String,
}

impl Renames {
    /// Parses a table; an error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut table = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || format!("line {number} of the renames is not OLD<TAB>NEW: {line:?}");
            let (old, new) = line.split_once('\t').ok_or_else(wrong)?;
            if let Some(key) = old.strip_prefix("text:") {
                table.texts.insert(key.to_owned());
                continue;
            }
            if let Some(prefix) = old.strip_prefix("prefix:") {
                table.prefixes.push((prefix.to_owned(), new.to_owned()));
                continue;
            }
            if let Some(call) = old.strip_prefix("call:") {
                table.calls.insert(call.to_owned(), new.to_owned());
                continue;
            }
            let mut below: Vec<String> = old.split('.').map(str::to_owned).collect();
            let name = below.pop().filter(|name| !name.is_empty()).ok_or_else(wrong)?;
            if new.is_empty() || new.contains(['\t', '"', '\\']) {
                return Err(wrong());
            }
            let rules = table.rules.entry(name).or_default();
            rules.push(Rule { below, new: new.to_owned() });
            rules.sort_by_key(|rule| std::cmp::Reverse(rule.below.len()));
        }
        Ok(table)
    }

    /// The keys of texts for people.
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// The present name of an event.
    pub fn call<'a>(&'a self, old: &'a str) -> &'a str {
        self.calls.get(old).map_or(old, String::as_str)
    }

    /// Applies the table to compact JSON. `of`: the component of the event.
    pub fn apply<'a>(&self, of: &'a str, json: &'a str) -> Cow<'a, str> {
        if self.rules.is_empty() && self.prefixes.is_empty() {
            return Cow::Borrowed(json);
        }
        let mut walk = Walk { out: String::with_capacity(json.len()), path: vec![(of, false)] };
        walk.through(self, json);
        Cow::Owned(walk.out)
    }

    fn new_name(&self, old: &str, path: &[(&str, bool)]) -> Option<&str> {
        let keys = || path.iter().rev().filter(|(key, _)| !key.is_empty()).map(|(key, _)| *key);
        let fits = |rule: &&Rule| {
            let mut above = keys();
            rule.below.iter().rev().all(|wanted| above.next() == Some(wanted.as_str()))
        };
        self.rules.get(old)?.iter().find(fits).map(|rule| rule.new.as_str())
    }
}

/// A scan of compact JSON, string by string. The path has an entry for each open object and array:
/// the old name of the current key, and whether it is an object.
struct Walk<'a> {
    out: String,
    path: Vec<(&'a str, bool)>,
}

impl<'a> Walk<'a> {
    fn through(&mut self, table: &Renames, json: &'a str) {
        let mut rest = json;
        let mut expects_key = false;
        while let Some(at) = rest.find(['"', '{', '[', '}', ']', ',']) {
            let (before, from) = rest.split_at(at);
            self.out.push_str(before);
            let (sign, after) = from.split_at(1);
            if sign == "\"" {
                let (text, after) = after.split_at(end_of_text(after));
                self.text(table, text, expects_key);
                expects_key = false;
                rest = after.get(1..).unwrap_or_default();
                continue;
            }
            self.out.push_str(sign);
            match sign {
                "{" | "[" => self.path.push(("", sign == "{")),
                "}" | "]" => drop(self.path.pop()),
                _ => {}
            }
            let object = self.path.last().is_some_and(|(_, object)| *object);
            expects_key = object && matches!(sign, "{" | ",");
            rest = after;
        }
        self.out.push_str(rest);
    }

    fn text(&mut self, table: &Renames, text: &'a str, key: bool) {
        if let (true, Some(last)) = (key, self.path.last_mut()) {
            last.0 = "";
        }
        self.out.push('"');
        if let Some(name) = table.new_name(text, &self.path) {
            self.out.push_str(name);
        } else {
            let begins = |(old, new): &'_ (String, String)| {
                text.strip_prefix(old.as_str()).map(|rest| format!("{new}{rest}"))
            };
            let begun = table.prefixes.iter().find_map(begins);
            self.out.push_str(begun.as_deref().unwrap_or(text));
        }
        self.out.push('"');
        if let (true, Some(last)) = (key, self.path.last_mut()) {
            last.0 = text;
        }
    }
}

/// The index of the quote that ends a string.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    let ends = |byte: &u8| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    };
    text.as_bytes().iter().position(ends).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(table: &str, json: &str) -> String {
        Renames::parse(table).unwrap().apply("leader", json).into_owned()
    }

    #[test]
    fn only_keys_and_whole_strings_are_renamed() {
        let table = "# a comment\n\nParked\tReserved\naddress\tip\n";
        let json =
            r#"{"address":"Parked","note":"Parked here","address2":["Parked",{"Parked":1}]}"#;
        let wanted =
            r#"{"ip":"Reserved","note":"Parked here","address2":["Reserved",{"Reserved":1}]}"#;
        assert_eq!(renamed(table, json), wanted);
        assert_eq!(renamed("", json), json);
    }

    #[test]
    fn an_event_can_be_renamed() {
        let table = Renames::parse("call:a.old\ta.new\n").unwrap();
        assert_eq!((table.call("a.old"), table.call("a.other")), ("a.new", "a.other"));
    }

    #[test]
    fn a_prefix_of_a_value_can_be_renamed() {
        assert_eq!(renamed("prefix:a/\tb/\n", r#"["a/1","1a/","a"]"#), r#"["b/1","1a/","a"]"#);
    }

    #[test]
    fn two_names_can_be_swapped() {
        let json = r#"[{"a":"b"},{"b":"a"}]"#;
        assert_eq!(renamed("a\tb\nb\ta\n", json), r#"[{"b":"a"},{"a":"b"}]"#);
    }

    #[test]
    fn the_rule_with_the_most_parents_wins() {
        let table = "Release\tFree\nrun.Release\tRunRelease\nleader.Release\tLet\n";
        let json = r#"[{"Release":{"run":{"Release":{"by":["Release"]}}}}]"#;
        let wanted = r#"[{"Let":{"run":{"RunRelease":{"by":["Free"]}}}}]"#;
        assert_eq!(renamed(table, json), wanted);
    }

    #[test]
    fn strings_with_quotes_and_brackets_are_kept() {
        let json = r#"{"x":"a \" } ] , \\","old":"{\"old\":1}","y":["old"]}"#;
        let wanted = r#"{"x":"a \" } ] , \\","new":"{\"old\":1}","y":["new"]}"#;
        assert_eq!(renamed("old\tnew\n", json), wanted);
    }

    #[test]
    fn an_invalid_line_is_reported() {
        for table in ["old new", "\tnew", "old\t", "a\tb\tc", "a.\tb"] {
            assert!(Renames::parse(table).unwrap_err().contains("line 1"), "{table:?}");
        }
    }
}
