//! Lists every object of a kind as its file holds it. For diagnosis; the protocol does not use it.

use std::path::Path;

use firecamp_core::failure::RegistryFailure;
use serde::de::DeserializeOwned;

use super::listing;
use super::object_paths::Place;
use super::store::{Store, io_failed};
use crate::api::{Kind, Object};

/// The objects of a kind, sorted by name; an error for each file that cannot be read.
pub(super) type Objects<S> = Vec<Result<Object<S>, RegistryFailure>>;

impl Store {
    /// Every object of a kind, without those that are deleted meanwhile.
    pub(super) fn objects<S>(&self) -> Result<Objects<S>, RegistryFailure>
    where
        S: Kind + DeserializeOwned,
    {
        let mut found = Vec::new();
        for place in self.places::<S>()? {
            match place.and_then(|place| self.read::<S>(&place)) {
                Ok(Some(read)) => found.push(Ok(read.object)),
                Ok(None) => {}
                Err(why) => found.push(Err(why)),
            }
        }
        if found.is_empty() {
            self.check_present()?;
        }
        Ok(found)
    }

    fn places<S: Kind>(&self) -> Result<Vec<Result<Place, RegistryFailure>>, RegistryFailure> {
        let root = self.kind_dir::<S>();
        let mut places = Vec::new();
        for namespace in namespaces::<S>(&root)? {
            let dir = namespace.as_ref().map_or_else(|| root.clone(), |name| root.join(name));
            let mut names = listing::names(&dir).map_err(|wrong| failed::<S>(&dir, &wrong))?;
            names.sort();
            let place = |name: &String| Place::at::<S>(self.dir(), namespace.as_deref(), name);
            places.extend(names.iter().map(place));
        }
        Ok(places)
    }
}

fn namespaces<S: Kind>(root: &Path) -> Result<Vec<Option<String>>, RegistryFailure> {
    if !S::NAMESPACED {
        return Ok(vec![None]);
    }
    let mut names = listing::directories(root).map_err(|wrong| failed::<S>(root, &wrong))?;
    names.sort();
    Ok(names.into_iter().map(Some).collect())
}

fn failed<S: Kind>(dir: &Path, wrong: &std::io::Error) -> RegistryFailure {
    io_failed(&format!("list the objects of kind {}", S::KIND), &dir.display(), wrong)
}
