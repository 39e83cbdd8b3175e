//! A tag of this machine's instance, according to the metadata service.

use firecamp_core::failure::CloudFailure;

use crate::clock_skew::ClockSkews;
use crate::config::CloudConfig;
use crate::metadata::Metadata;
use crate::sdk_error;

/// The names of the instance's tags, if the instance's metadata options allow to read them.
const TAGS: &str = "tags/instance";

/// What the metadata service says about a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceTag {
    /// The instance has it, with this value.
    Value(String),
    /// The instance does not have it.
    Absent,
    /// The metadata service serves no tags: it is not known whether the instance has it.
    NotServed,
    /// This machine is another instance.
    OtherInstance(String),
}

/// Reads a tag of an instance, which must be this machine's. Needs no credentials.
///
/// *Errors.* The settings are invalid, or the metadata service does not answer.
pub async fn instance_tag(
    config: &CloudConfig,
    instance: &str,
    key: &str,
) -> Result<InstanceTag, CloudFailure> {
    config.check()?;
    let metadata = Metadata::new(config, ClockSkews::new(config.clock()))?;
    let here = metadata.get("instance-id").await?;
    if here.trim() != instance {
        return Ok(InstanceTag::OtherInstance(sdk_error::clean(here.trim())));
    }
    let Some(names) = metadata.find(TAGS).await? else { return Ok(InstanceTag::NotServed) };
    if !names.lines().any(|name| name == key) {
        return Ok(InstanceTag::Absent);
    }
    let value = metadata.get(&format!("{TAGS}/{key}")).await?;
    Ok(InstanceTag::Value(sdk_error::clean(value.trim())))
}
