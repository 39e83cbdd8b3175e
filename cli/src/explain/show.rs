//! Formats an explanation as text.

use super::links::Explanation;
use crate::common::table::table;

/// The reason, the links, and the advice.
pub fn people(explanation: &Explanation) -> String {
    let Explanation { member, reason, message, advice, links } = explanation;
    let rows: Vec<Vec<String>> = links
        .iter()
        .map(|link| {
            let reason = link.reason.map(|reason| format!("{reason:?}")).unwrap_or_default();
            vec![link.link.to_owned(), link.state.as_str().to_owned(), reason, link.seen.clone()]
        })
        .collect();
    let links = table(&["LINK", "STATE", "REASON", "DETAIL"], &rows);
    format!("{member}: {reason:?}: {message}\n\n{links}\nWhat to do: {advice}\n")
}
