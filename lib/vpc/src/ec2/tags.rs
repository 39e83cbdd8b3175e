//! CreateTags and the tag rules: ec2-semantics.md section 2.8.

use std::collections::{BTreeMap, BTreeSet};

use super::actions::{ActionContext, Effect};
use super::xml::Xml;
use super::{ApiError, Form, assign, instances, is_id};
use crate::model::VpcState;

/// Tags per resource.
const MAX_TAGS: usize = 50;
/// Resources per request (API reference, CreateTags).
const MAX_RESOURCES: usize = 1_000;

/// The tags of a resource by key.
type Tags = BTreeMap<String, String>;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CreateTags {
    resources: Vec<String>,
    tags: Vec<(String, String)>,
    dry: bool,
}

/// Parses a request.
pub(crate) fn parse(form: &Form) -> Result<CreateTags, ApiError> {
    let resources: Vec<String> = form.list("ResourceId").into_iter().map(str::to_owned).collect();
    let tags = form.pairs("Tag")?;
    let dry = form.flag("DryRun")?;
    form.nothing_left()?;
    if resources.is_empty() {
        return Err(ApiError::missing("resourceIdSet"));
    }
    if tags.is_empty() {
        return Err(ApiError::missing("tagSet"));
    }
    if resources.len() > MAX_RESOURCES {
        return Err(ApiError::value("A request names 1000 resources at most"));
    }
    same_key_twice(&tags)?;
    Ok(CreateTags { resources, tags, dry })
}

/// Refuses duplicate keys (text from field reports).
pub(super) fn same_key_twice(tags: &[(String, String)]) -> Result<(), ApiError> {
    let mut seen = BTreeSet::new();
    match tags.iter().find(|(key, _)| !seen.insert(key)) {
        Some((key, _)) => Err(ApiError::value(format!("Duplicate tag key '{key}' specified."))),
        None => Ok(()),
    }
}

/// Whether these tags may be added to a resource that has the old ones.
pub(super) fn check_tags(new: &[(String, String)], old: &Tags) -> Result<(), ApiError> {
    for (key, value) in new {
        if key.is_empty() || key.starts_with("aws:") || key.chars().count() > 128 {
            return Err(ApiError::malformed_tag(key));
        }
        if value.chars().count() > 256 {
            return Err(ApiError::value(format!("The value of tag '{key}' is too long")));
        }
    }
    let added = new.iter().filter(|(key, _)| !old.contains_key(key)).count();
    if old.len() + added > MAX_TAGS { Err(ApiError::too_many_tags()) } else { Ok(()) }
}

/// Executes a request on the current state: all resources or none (unverified).
pub(crate) fn execute(request: &CreateTags, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    let mut next = (*on.vpc).clone();
    for resource in &request.resources {
        let tags = tags_of(resource, on, &mut next)?;
        check_tags(&request.tags, tags)?;
        tags.extend(request.tags.iter().cloned());
    }
    if request.dry {
        return Err(ApiError::dry_run());
    }
    let changed = next.enis != on.vpc.enis
        || next.instances != on.vpc.instances
        || next.volumes != on.vpc.volumes;
    let body = Xml::done(super::Action::CreateTags.name(), on.request_id);
    Ok(Effect { body, next: changed.then_some(next) })
}

/// The tags of a resource that can be tagged here: an ENI, an instance or a volume. Other resources
/// are refused.
fn tags_of<'a>(
    id: &str,
    on: &ActionContext<'_>,
    next: &'a mut VpcState,
) -> Result<&'a mut Tags, ApiError> {
    let kind = id.rsplit_once('-').map_or("", |(kind, _)| kind);
    match kind {
        "eni" => {
            assign::interface(id, on)?;
            next.eni_mut(id).map(|eni| &mut eni.tags).ok_or_else(|| ApiError::no_eni(id))
        }
        "i" if is_id("i", id) => {
            let instance = next.instance_mut(id);
            let listed = instance.filter(|instance| instances::is_listed(instance, on.now));
            listed.map(|instance| &mut instance.tags).ok_or_else(|| ApiError::no_instance(id))
        }
        "vol" if is_id("vol", id) => next
            .volume_mut(id)
            .map(|volume| &mut volume.tags)
            .ok_or_else(|| ApiError::no_volume(id)),
        _ => Err(ApiError::invalid_id(id)),
    }
}
