//! What the Describe actions share: parameters, filters, pages and the frame of the answer
//! (ec2-semantics.md section 2.1).

use super::actions::{Action, ActionContext, Effect};
use super::filters::{Filter, known};
use super::pages::{Bounds, Listing, Page, PageRequest, check_bounds};
use super::xml::Xml;
use super::{ApiError, Form};
use crate::rng::key_of;

/// The smallest MaxResults of every Describe action.
const LEAST: u32 = 5;

/// A Describe action.
#[derive(Debug)]
pub(super) struct Describe {
    pub(super) action: Action,
    /// The parameter with the ids of the wanted resources, if the action has one.
    pub(super) ids: Option<&'static str>,
    /// The set that EC2 names when it refuses ids together with MaxResults. None: it accepts both.
    pub(super) ids_without_pages: Option<&'static str>,
    /// The supported filters, in order.
    pub(super) filters: &'static [&'static str],
    /// Whether the action accepts filters on tags.
    pub(super) tags: bool,
    /// The largest MaxResults.
    pub(super) most: u32,
    /// Whether the action has the parameter IncludeManagedResources.
    pub(super) managed: bool,
    /// The element of the answer that contains the resources.
    pub(super) set: &'static str,
    /// An element of the answer that is always empty here.
    pub(super) empty_set: Option<&'static str>,
}

/// The parameters of a Describe request.
#[derive(Debug, Clone)]
pub(crate) struct DescribeRequest {
    pub(super) ids: Vec<String>,
    pub(super) filters: Vec<Filter>,
    pub(super) managed: bool,
    page: PageRequest,
}

impl DescribeRequest {
    /// Whether the request asks for this resource, as far as its ids say.
    pub(super) fn names(&self, id: &str) -> bool {
        self.ids.is_empty() || self.ids.iter().any(|own| own == id)
    }
}

impl Describe {
    /// Parses a request.
    pub(super) fn parse(&self, form: &Form) -> Result<DescribeRequest, ApiError> {
        let ids = self.ids.map(|name| form.list(name)).unwrap_or_default();
        let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
        let filters = form.filters()?;
        let max = form.number("MaxResults")?;
        let token = form.text("NextToken").map(str::to_owned);
        let managed = self.managed && form.flag("IncludeManagedResources")?;
        let dry = form.flag("DryRun")?;
        form.nothing_left()?;
        let tag = filters.iter().find(|filter| filter.name.starts_with("tag:") && !self.tags);
        if let Some(tag) = tag {
            return Err(ApiError::invalid_filter(&tag.name));
        }
        known(&filters, self.filters)?;
        check_bounds(max, Bounds { least: LEAST, most: self.most })?;
        if let (Some(set), Some(_), false) = (self.ids_without_pages, max, ids.is_empty()) {
            return Err(ApiError::combination(format!(
                "The parameter {set} cannot be used with the parameter maxResults"
            )));
        }
        if dry {
            return Err(ApiError::dry_run());
        }
        Ok(DescribeRequest { ids, filters, managed, page: PageRequest { max, token } })
    }

    /// The page of `found` that the request asks for.
    pub(super) fn page<T>(
        &self,
        request: &DescribeRequest,
        on: &ActionContext<'_>,
        found: Vec<T>,
        id: impl Fn(&T) -> String,
    ) -> Result<Page<T>, ApiError> {
        let DescribeRequest { ids, filters, managed, .. } = request;
        let fingerprint = key_of(&format!("{ids:?}{filters:?}{managed}"));
        let listing = Listing { rng: on.rng, action: self.action.name(), fingerprint };
        on.page(&listing, found, id, &request.page)
    }

    /// The answer with this page; `item` writes one resource.
    pub(super) fn answer<T>(
        &self,
        on: &ActionContext<'_>,
        page: Page<T>,
        item: impl Fn(&mut Xml, T),
    ) -> Effect {
        let name = self.action.name();
        let mut xml = Xml::answer(name, on.request_id);
        xml.set(self.set, page.items, item);
        if let Some(empty) = self.empty_set {
            xml.set(empty, std::iter::empty::<()>(), |_xml, ()| {});
        }
        if let Some(token) = page.token {
            xml.leaf("nextToken", token);
        }
        Effect::read(xml.finish(name))
    }
}

#[cfg(test)]
mod tests {
    use crate::ec2::{instances, interfaces, reservations, subnets, types, volumes};

    #[test]
    fn the_filters_of_every_action_are_in_order() {
        for describe in [
            instances::DESCRIBE,
            interfaces::DESCRIBE,
            reservations::DESCRIBE,
            subnets::DESCRIBE,
            types::DESCRIBE,
            volumes::DESCRIBE,
        ] {
            assert!(describe.filters.is_sorted(), "{describe:?}");
        }
    }
}
