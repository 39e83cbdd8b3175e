//! CreateTags, DeleteTags and the tag rules: ec2-semantics.md section 2.8.

use std::collections::{BTreeMap, BTreeSet};

use super::actions::{Action, ActionContext, Effect};
use super::xml::Xml;
use super::{ApiError, Form, assign, instances, is_id};
use crate::model::VpcState;

/// Tags per resource.
const MAX_TAGS: usize = 50;
/// Resources per request, and tags to delete (API reference, CreateTags and DeleteTags).
const MAX_NAMED: usize = 1_000;
/// Characters of a key (API reference, Tag). The User Guide says 128; nothing may rely on that.
const MAX_KEY: usize = 127;

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
    let tags = form.pairs("Tag")?;
    let (resources, dry) = rest(form)?;
    if tags.is_empty() {
        return Err(ApiError::missing("tagSet"));
    }
    same_key_twice(&tags)?;
    Ok(CreateTags { resources, tags, dry })
}

/// A request to delete tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeleteTags {
    resources: Vec<String>,
    /// Keys; a tag with another value than this one stays. Empty: all tags.
    tags: Vec<(String, Option<String>)>,
    dry: bool,
}

/// Parses a request to delete tags.
pub(crate) fn parse_delete(form: &Form) -> Result<DeleteTags, ApiError> {
    let tags = form.keys_with_values("Tag")?;
    let (resources, dry) = rest(form)?;
    if tags.len() > MAX_NAMED {
        return Err(ApiError::value("A request deletes 1000 tags at most"));
    }
    if let Some((key, _)) = tags.iter().find(|(key, _)| !is_key(key)) {
        return Err(ApiError::malformed_tag(key));
    }
    Ok(DeleteTags { resources, tags, dry })
}

/// The resources, and whether it is a dry run.
fn rest(form: &Form) -> Result<(Vec<String>, bool), ApiError> {
    let resources: Vec<String> = form.list("ResourceId").into_iter().map(str::to_owned).collect();
    let dry = form.flag("DryRun")?;
    form.nothing_left()?;
    if resources.is_empty() {
        return Err(ApiError::missing("resourceIdSet"));
    }
    if resources.len() > MAX_NAMED {
        return Err(ApiError::value("A request names 1000 resources at most"));
    }
    Ok((resources, dry))
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
        if !is_key(key) {
            return Err(ApiError::malformed_tag(key));
        }
        if value.chars().count() > 256 {
            return Err(ApiError::value(format!("The value of tag '{key}' is too long")));
        }
    }
    let added = new.iter().filter(|(key, _)| !old.contains_key(key)).count();
    if old.len() + added > MAX_TAGS { Err(ApiError::too_many_tags()) } else { Ok(()) }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && !key.starts_with("aws:") && key.chars().count() <= MAX_KEY
}

/// Executes a request on the current state: all resources or none (unverified).
pub(crate) fn execute(request: &CreateTags, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    let mut next = (*on.vpc).clone();
    for resource in &request.resources {
        let tags = tags_of(resource, on, &mut next)?;
        check_tags(&request.tags, tags)?;
        tags.extend(request.tags.iter().cloned());
    }
    finish((Action::CreateTags, request.dry), next, on)
}

/// Executes a request to delete tags on the current state: all resources or none (unverified). A
/// tag that a resource does not have is no error. The tags of AWS stay (API reference, DeleteTags).
pub(crate) fn delete(request: &DeleteTags, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    let mut next = (*on.vpc).clone();
    for resource in &request.resources {
        let named = |key: &String, value: &String| {
            let matches = |(name, only): &(String, Option<String>)| {
                name == key && only.as_ref().is_none_or(|only| only == value)
            };
            request.tags.is_empty() || request.tags.iter().any(matches)
        };
        let tags = tags_of(resource, on, &mut next)?;
        tags.retain(|key, value| key.starts_with("aws:") || !named(key, value));
    }
    finish((Action::DeleteTags, request.dry), next, on)
}

/// The response, with the new state if it is another one.
fn finish(
    (action, dry): (Action, bool),
    next: VpcState,
    on: &ActionContext<'_>,
) -> Result<Effect, ApiError> {
    if dry {
        return Err(ApiError::dry_run());
    }
    let changed = next.enis != on.vpc.enis
        || next.instances != on.vpc.instances
        || next.volumes != on.vpc.volumes;
    Ok(Effect { body: Xml::done(action.name(), on.request_id), next: changed.then_some(next) })
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
