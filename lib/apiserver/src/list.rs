//! Lists in pages of one snapshot.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::answer::{About, Answer};
use crate::objects::ServerState;
use crate::route::Route;
use crate::watch::Selector;

/// A page of the list's snapshot.
pub(crate) fn page(
    state: &mut ServerState,
    route: &Route,
    query: &BTreeMap<String, String>,
    names_only: bool,
) -> Answer {
    let about = About { plural: route.plural, name: "" };
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<usize>().ok());
    let limit = number(query.get("limit").map(String::as_str)).unwrap_or(usize::MAX);
    let token = query.get("continue").map(String::as_str).unwrap_or_default();
    let (snapshot, from) = if let Some((snapshot, from)) = token.split_once("/+=") {
        (number(Some(snapshot)), number(Some(from)))
    } else {
        match Selector::of(route, query) {
            Ok(selector) => (Some(state.begin_list(route.plural, &selector)), Some(0)),
            Err(refused) => return refused,
        }
    };
    if from != Some(0) && !state.keeps_snapshots {
        state.snapshots.clear();
    }
    let kept = snapshot.and_then(|snapshot| state.snapshots.get(snapshot).map(|it| (snapshot, it)));
    let (Some((snapshot, (version, all))), Some(from)) = (kept, from) else {
        return Answer::status(410, "Expired", "the continue parameter is too old", about);
    };
    let shown = |object: &Value| {
        if names_only { json!({ "metadata": object.get("metadata") }) } else { object.clone() }
    };
    let items: Vec<Value> = all.iter().skip(from).take(limit).map(shown).collect();
    let next = from + items.len();
    let more = if next < all.len() { format!("{snapshot}/+={next}") } else { String::new() };
    let kind = if names_only { "PartialObjectMetadataList" } else { "List" };
    // Like a real API server.
    let items = if names_only && items.is_empty() { Value::Null } else { json!(items) };
    Answer::object(
        200,
        &json!({
            "apiVersion": "v1",
            "kind": kind,
            "metadata": { "resourceVersion": version.to_string(), "continue": more },
            "items": items,
        }),
    )
}

impl ServerState {
    /// Takes a snapshot for the pages of one list.
    fn begin_list(&mut self, plural: &str, selector: &Selector) -> usize {
        let all = self.all(plural, selector);
        self.snapshots.push((self.version, all));
        self.snapshots.len() - 1
    }
}
