//! Pagination: all pages of a listing, or a failure if it does not end.

use std::collections::HashSet;
use std::future::Future;

use firecamp_core::failure::{CloudFailure, CloudKind};

use crate::sdk_error;

/// An address is on one ENI, and a subnet of a cluster has hundreds of ENIs: more pages than this
/// are not a plausible response.
const PAGES_MAX: usize = 20;

/// A page and the token of the next one.
type Page<T> = (Vec<T>, Option<String>);

/// Reads all pages without the SDK's paginator, which takes a repeated token for the end.
pub(super) async fn all<T, F>(
    what: &str,
    page_request: impl Fn(Option<String>) -> F,
) -> Result<Vec<T>, CloudFailure>
where
    F: Future<Output = Result<Page<T>, CloudFailure>>,
{
    let mut all = Vec::new();
    let mut seen: HashSet<String> = HashSet::new();
    let mut token: Option<String> = None;
    for _page in 0..PAGES_MAX {
        let (some, next) = page_request(token).await?;
        all.extend(some);
        token = next.filter(|token| !token.is_empty());
        let Some(next) = &token else {
            return Ok(all);
        };
        if !seen.insert(next.clone()) {
            return Err(endless_listing(what, "a page token was repeated"));
        }
    }
    Err(endless_listing(what, "too many pages"))
}

fn endless_listing(what: &str, why: &str) -> CloudFailure {
    sdk_error::read_failure(
        CloudKind::Transient,
        format!("{what}: the listing does not end: {why}"),
    )
}
