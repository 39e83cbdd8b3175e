//! Lists all objects of a kind, or their names, page by page, from one snapshot.

use std::collections::BTreeSet;
use std::time::Duration;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_registry::api::Kind;
use http::StatusCode;
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http_request::{self, Answer, Call, Timeouts};
use crate::{classify, object_paths};

/// Objects for each page, like client-go's pager.
const PAGE: usize = 500;
/// Enough for more addresses than a /12 has. A server that sends more pages never stops.
const MAX_PAGES: usize = 2_200;

/// A page of a list.
#[derive(Deserialize)]
pub(crate) struct Page<I> {
    kind: String,
    #[serde(default)]
    pub(crate) metadata: PageMetadata,
    /// The API server sends `null` for an empty list.
    pub(crate) items: Option<Vec<I>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PageMetadata {
    /// The token of the next page; empty after the last one.
    pub(crate) r#continue: String,
    resource_version: String,
}

#[derive(Deserialize)]
struct Item {
    metadata: ItemMetadata,
}

#[derive(Deserialize)]
struct ItemMetadata {
    name: String,
}

/// All names, parsed, or a failure; never a partial list.
pub(crate) async fn names<S, T>(
    client: &Client,
    timeouts: Timeouts,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<BTreeSet<T>, RegistryFailure>
where
    S: Kind,
    T: Ord,
{
    let what = format!("list the objects of kind {}", S::KIND);
    let call = Call::list(what, object_paths::collection::<S>(), Vec::new());
    let items: Vec<Item> = all(client, timeouts, &call, PAGE).await?;
    let name = |item: Item| {
        let name = item.metadata.name;
        parse(&name).ok_or_else(|| {
            let problem = format!("{name:?} is not a valid name of a {}", S::KIND);
            call.failed(RegistryKind::Invalid, Effect::None, problem)
        })
    };
    items.into_iter().map(name).collect()
}

/// All items of a list, read in pages of size `page`, or a failure; never a partial list.
pub(crate) async fn all<I: DeserializeOwned>(
    client: &Client,
    timeouts: Timeouts,
    call: &Call,
    page: usize,
) -> Result<Vec<I>, RegistryFailure> {
    let mut items = Vec::new();
    let add = |item| {
        items.push(item);
        Ok(())
    };
    each(client, timeouts, (call, page), add).await?;
    Ok(items)
}

/// Passes each item of a list to the callback, reading pages of size `page`, and returns the
/// resource version of the list. After a failure the passed items are a partial list.
pub(crate) async fn each<I: DeserializeOwned>(
    client: &Client,
    timeouts: Timeouts,
    (call, page): (&Call, usize),
    add: impl FnMut(I) -> Result<(), String>,
) -> Result<String, RegistryFailure> {
    let complete = pages(client, timeouts.call, (call, page), add);
    match tokio::time::timeout(timeouts.list, complete).await {
        Ok(version) => version,
        Err(_elapsed) => {
            let seconds = timeouts.list.as_secs_f32();
            let problem = format!("the list was not complete within {seconds} s");
            Err(call.failed(RegistryKind::Unavailable, Effect::None, problem))
        }
    }
}

async fn pages<I: DeserializeOwned>(
    client: &Client,
    within: Duration,
    (call, size): (&Call, usize),
    mut add: impl FnMut(I) -> Result<(), String>,
) -> Result<String, RegistryFailure> {
    let mut from = String::new();
    for _ in 0..MAX_PAGES {
        let mut call = call.clone();
        call.query.push(format!("limit={size}"));
        if !from.is_empty() {
            call.query.push(format!("continue={}", escaped(&from)));
        }
        let answer = http_request::send(client, &call, within).await?;
        let page = page(&call, &answer)?;
        for item in page.items.into_iter().flatten() {
            add(item).map_err(|wrong| call.failed(RegistryKind::Invalid, Effect::None, wrong))?;
        }
        from = page.metadata.r#continue;
        if from.is_empty() {
            return Ok(page.metadata.resource_version);
        }
    }
    let problem = format!("more than {MAX_PAGES} pages of {size}");
    Err(call.failed(RegistryKind::Invalid, Effect::None, problem))
}

/// Parses a page.
pub(crate) fn page<I: DeserializeOwned>(
    call: &Call,
    answer: &Answer,
) -> Result<Page<I>, RegistryFailure> {
    if answer.status != StatusCode::OK {
        return Err(classify::refused(call, answer));
    }
    let page: Page<I> = serde_json::from_slice(&answer.body)
        .map_err(|wrong| call.failed(RegistryKind::Invalid, Effect::None, wrong))?;
    if page.kind.ends_with("List") {
        return Ok(page);
    }
    let problem = format!("the response is a {:?}, not a list", page.kind);
    Err(call.failed(RegistryKind::Invalid, Effect::None, problem))
}

/// Percent-encodes a continue token, which is opaque, except for letters and digits.
pub(crate) fn escaped(token: &str) -> String {
    let escape = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    token.bytes().map(escape).collect()
}
