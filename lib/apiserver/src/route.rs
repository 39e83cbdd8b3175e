//! Which object or list a path names.

use firecamp_core::contract::api;
use firecamp_registry::api::{Kind, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec};

/// A path that the server serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespace: Option<String>,
    /// None for the list of all.
    pub(crate) name: Option<String>,
}

impl Route {
    /// None for what answers "404 page not found".
    pub(crate) fn of(path: &str) -> Option<Self> {
        let custom = path.strip_prefix("/apis/")?.strip_prefix(api::VERSION)?.strip_prefix('/')?;
        let parts: Vec<&str> = custom.split('/').collect();
        let (namespace, rest) = split(&parts)?;
        let (plural, name) = rest;
        let (plural, kind, namespaced) = known(plural)?;
        let name = name.map(str::to_owned);
        (namespaced == namespace.is_some()).then_some(Self { plural, kind, namespace, name })
    }

    /// `/api/v1/namespaces/NAMESPACE/pods/NAME`.
    pub(crate) fn pod(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix("/api/v1/")?.split('/').collect();
        let [namespaces, namespace, pods, name] = parts.as_slice() else { return None };
        let namespace = Some((*namespace).to_owned());
        let name = Some((*name).to_owned());
        let fits = *namespaces == "namespaces" && *pods == "pods";
        fits.then_some(Self { plural: "pods", kind: "Pod", namespace, name })
    }
}

type Rest<'a> = (&'a str, Option<&'a str>);

fn split<'a>(parts: &[&'a str]) -> Option<(Option<String>, Rest<'a>)> {
    match parts {
        ["namespaces", namespace, plural] => Some((Some((*namespace).to_owned()), (plural, None))),
        ["namespaces", namespace, plural, name] => {
            Some((Some((*namespace).to_owned()), (plural, Some(name))))
        }
        [plural] => Some((None, (plural, None))),
        [plural, name] => Some((None, (plural, Some(name)))),
        _ => None,
    }
}

fn known(plural: &str) -> Option<(&'static str, &'static str, bool)> {
    fn of<S: Kind>() -> (&'static str, &'static str, bool) {
        (S::PLURAL, S::KIND, S::NAMESPACED)
    }
    let kinds = [of::<StaticIPSpec>(), of::<StaticIPClaimSpec>(), of::<StaticIPPoolSpec>()];
    kinds.into_iter().find(|(known, _, _)| *known == plural)
}
