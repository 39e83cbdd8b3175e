//! The objects of `kube::runtime`, reduced to what is used.

use std::borrow::Cow;

use kube::Resource;
use kube::core::{ClusterResourceScope, ObjectMeta};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The objects of a kind in the API.
#[derive(Debug, Clone, Copy)]
pub struct Collection {
    /// `v1`, or `apps/v1`.
    pub api_version: &'static str,
    /// The plural in URLs.
    pub plural: &'static str,
}

/// What is kept of the objects of a kind.
pub trait Watchable: Clone + std::fmt::Debug + Send + 'static {
    /// All objects of the kind.
    const COLLECTION: Collection;

    /// Parses the JSON of an object.
    fn parse(text: &str) -> Result<Self, String>;
}

/// One object, reduced to its name and the parsed value.
#[derive(Debug, Clone)]
pub struct Item<T> {
    /// Only name, namespace and version.
    metadata: ObjectMeta,
    /// The parsed value, or why it cannot be parsed: this affects no other object.
    pub object: Result<T, String>,
}

impl<T> Item<T> {
    /// The name of the object.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The namespace, if the kind is namespaced.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata.namespace.as_deref()
    }
}

#[derive(Deserialize)]
struct Head {
    metadata: HeadMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadMetadata {
    name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
}

impl<'de, T: Watchable> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The API server writes the type of a watch event before its object, so that the object is
        // still text here.
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let head: Head = serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?;
        let HeadMetadata { name, namespace, resource_version } = head.metadata;
        let metadata = ObjectMeta { name, namespace, resource_version, ..ObjectMeta::default() };
        Ok(Self { metadata, object: T::parse(text.get()) })
    }
}

/// A watch reads the objects of all namespaces.
impl<T: Watchable> Resource for Item<T> {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        T::COLLECTION.plural.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        T::COLLECTION.api_version.rsplit_once('/').map_or("", |(group, _)| group).into()
    }

    fn version((): &()) -> Cow<'_, str> {
        T::COLLECTION.api_version.rsplit('/').next().unwrap_or_default().into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        T::COLLECTION.plural.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
