//! The names of all objects of a cluster-scoped kind, page by page, from one snapshot.

use std::collections::BTreeSet;
use std::time::Duration;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_registry::api::Kind;
use http::StatusCode;
use kube::Client;
use serde::Deserialize;

use crate::call::{self, Answer, Call, Timeouts};
use crate::{classify, object};

/// Objects on a page, as client-go's pager asks for.
const PAGE: usize = 500;
/// More addresses than a /12 has: whoever still sends pages does not stop.
const MAX_PAGES: usize = 2_200;

#[derive(Deserialize)]
struct Page {
    kind: String,
    #[serde(default)]
    metadata: PageMetadata,
    /// The API server sends `null` for none.
    items: Option<Vec<Item>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PageMetadata {
    r#continue: String,
}

#[derive(Deserialize)]
struct Item {
    metadata: ItemMetadata,
}

#[derive(Deserialize)]
struct ItemMetadata {
    name: String,
}

/// All names, each parsed, or a failure: never a part of them.
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
    let whole = all::<S, T>(client, timeouts.call, &what, parse);
    match tokio::time::timeout(timeouts.list, whole).await {
        Ok(names) => names,
        Err(_elapsed) => {
            let seconds = timeouts.list.as_secs_f32();
            let detail = format!("{what}: not all pages came within {seconds} s");
            Err(RegistryFailure { kind: RegistryKind::Unavailable, effect: Effect::None, detail })
        }
    }
}

async fn all<S, T>(
    client: &Client,
    within: Duration,
    what: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<BTreeSet<T>, RegistryFailure>
where
    S: Kind,
    T: Ord,
{
    let mut names = BTreeSet::new();
    let mut from = String::new();
    for _ in 0..MAX_PAGES {
        let mut query = vec![format!("limit={PAGE}")];
        if !from.is_empty() {
            query.push(format!("continue={}", escaped(&from)));
        }
        let call = Call::list(what, object::collection::<S>(), query);
        let answer = call::send(client, &call, within).await?;
        let page = page(&call, &answer)?;
        for item in page.items.into_iter().flatten() {
            let name = item.metadata.name;
            names.insert(parse(&name).ok_or_else(|| {
                let problem = format!("{name:?} is no name of a {}", S::KIND);
                call.failed(RegistryKind::Invalid, Effect::None, problem)
            })?);
        }
        from = page.metadata.r#continue;
        if from.is_empty() {
            return Ok(names);
        }
    }
    let detail = format!("{what}: more than {MAX_PAGES} pages of {PAGE}");
    Err(RegistryFailure { kind: RegistryKind::Invalid, effect: Effect::None, detail })
}

fn page(call: &Call, answer: &Answer) -> Result<Page, RegistryFailure> {
    if answer.status != StatusCode::OK {
        return Err(classify::refused(call, answer));
    }
    let page: Page = serde_json::from_slice(&answer.body)
        .map_err(|wrong| call.failed(RegistryKind::Invalid, Effect::None, wrong))?;
    if page.kind.ends_with("List") {
        return Ok(page);
    }
    let problem = format!("the answer is a {:?} and no list", page.kind);
    Err(call.failed(RegistryKind::Invalid, Effect::None, problem))
}

/// A continue token is opaque, so whatever is no letter or digit is written as its code.
fn escaped(token: &str) -> String {
    let escape = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    token.bytes().map(escape).collect()
}
