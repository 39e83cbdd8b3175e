//! A cache of the static IPs and pools of a directory: files that cannot have changed are not
//! read again. All functions block.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::time::SystemTime;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::PoolName;
use firecamp_core::record::{Pool, StaticIp, Stored};

use super::change_detection::Stamp;
use super::object_paths::SUFFIX;
use super::store::Store;
use crate::api::{Kind, StaticIPPoolSpec, StaticIPSpec};

/// Objects of one kind by name; an error for each file that cannot be read.
type Listed<K, T> = BTreeMap<K, Result<T, RegistryFailure>>;

/// All static IPs and pools of the registry.
#[derive(Debug)]
pub struct FileListing {
    /// Each static IP: its record, or why it cannot be read.
    pub static_ips: BTreeMap<Ipv4Addr, Result<Stored<StaticIp>, RegistryFailure>>,
    /// All pools, or why one of them cannot be read.
    pub pools: Result<Vec<Pool>, RegistryFailure>,
}

/// The objects that were read last.
#[derive(Debug, Default)]
pub(super) struct Cache {
    static_ips: KindCache<Ipv4Addr, Stored<StaticIp>>,
    pools: KindCache<PoolName, Pool>,
}

/// Objects of one kind whose stamps are settled: any change of their files is detected.
#[derive(Debug)]
struct KindCache<K, T> {
    objects: BTreeMap<K, (Stamp, T)>,
    /// Whether these are all objects of the kind.
    complete: bool,
}

impl<K, T> Default for KindCache<K, T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), complete: false }
    }
}

impl<K: Ord + Clone, T: Clone> KindCache<K, T> {
    /// Whether the cache holds exactly these names with these stamps.
    fn is_still(&self, names: &BTreeSet<K>, stamp: impl Fn(&K) -> Option<Stamp>) -> bool {
        let same =
            |name| self.objects.get(name).is_some_and(|cached| Some(cached.0) == stamp(name));
        self.complete && names.len() == self.objects.len() && names.iter().all(same)
    }

    /// Reads the objects that are not cached or have changed. Omits those that are deleted
    /// meanwhile.
    fn refresh(
        &self,
        names: BTreeSet<K>,
        now: SystemTime,
        stamp: impl Fn(&K) -> Option<Stamp>,
        read: impl Fn(&K) -> Result<Option<T>, RegistryFailure>,
    ) -> (Listed<K, T>, Self) {
        let mut listed = BTreeMap::new();
        let mut next = Self { objects: BTreeMap::new(), complete: true };
        for name in names {
            // Taken before the file is read, so the next poll detects a change in between.
            let stamp = stamp(&name);
            let cached = self.objects.get(&name).filter(|cached| Some(cached.0) == stamp);
            let found = match cached {
                Some((_, object)) => Some(Ok(object.clone())),
                None => read(&name).transpose(),
            };
            match (&found, stamp.filter(|stamp| stamp.is_settled(now))) {
                (Some(Ok(object)), Some(stamp)) => {
                    next.objects.insert(name.clone(), (stamp, object.clone()));
                }
                (Some(Ok(_) | Err(_)) | None, _) => next.complete = false,
            }
            listed.extend(found.map(|object| (name, object)));
        }
        (listed, next)
    }
}

impl Store {
    /// Whether another poll may return a different result.
    pub(super) fn has_changed_since(&self, cache: &Cache) -> Result<bool, RegistryFailure> {
        let (ips, pools) = (self.addresses()?, self.pool_names()?);
        Ok(!cache.static_ips.is_still(&ips, |name| self.stamp::<StaticIPSpec>(name))
            || !cache.pools.is_still(&pools, |name| self.stamp::<StaticIPPoolSpec>(name)))
    }

    /// The current static IPs and pools, and the cache for the next poll. An error means that the
    /// list of static IPs is unknown.
    pub(super) fn list(&self, cache: &Cache) -> Result<(FileListing, Cache), RegistryFailure> {
        let now = SystemTime::now();
        let stamp = |name: &Ipv4Addr| self.stamp::<StaticIPSpec>(name);
        let read = |name: &Ipv4Addr| self.static_ip(*name);
        let (static_ips, cached) = cache.static_ips.refresh(self.addresses()?, now, stamp, read);
        let mut next = Cache { static_ips: cached, ..Cache::default() };
        let pools = self.pool_names().and_then(|names| {
            let stamp = |name: &PoolName| self.stamp::<StaticIPPoolSpec>(name);
            let (listed, cached) = cache.pools.refresh(names, now, stamp, |name| self.pool(name));
            next.pools = cached;
            listed.into_values().collect()
        });
        Ok((FileListing { static_ips, pools }, next))
    }

    fn addresses(&self) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        self.names::<StaticIPSpec, _>(|name| name.parse::<Ipv4Addr>().ok())
    }

    fn stamp<S: Kind>(&self, name: &impl Display) -> Option<Stamp> {
        Stamp::of(&self.kind_dir::<S>().join(format!("{name}{SUFFIX}")))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    /// Two files that were written long ago.
    struct Files {
        dir: tempfile::TempDir,
        read: RefCell<Vec<&'static str>>,
    }

    impl Files {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let it = Self { dir, read: RefCell::default() };
            for name in ["a", "b"] {
                it.write(name, "1");
            }
            it
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            Path::join(self.dir.path(), name)
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.path(name), text).unwrap();
        }

        /// One poll at a later time: the names that were read, and the new cache.
        fn poll(
            &self,
            cached: &KindCache<&'static str, String>,
            later: Duration,
        ) -> (Vec<&'static str>, KindCache<&'static str, String>) {
            let read = |name: &&'static str| {
                self.read.borrow_mut().push(name);
                let text = std::fs::read_to_string(self.path(name)).ok();
                match text.as_deref() {
                    Some("damaged") => {
                        let kind = firecamp_core::failure::RegistryKind::Invalid;
                        Err(crate::failure::failed(kind, "damaged".to_owned()))
                    }
                    Some(_) | None => Ok(text),
                }
            };
            let stamp = |name: &&str| Stamp::of(&self.path(name));
            let names = ["a", "b"].into_iter().filter(|name| self.path(name).exists()).collect();
            let (_listed, next) = cached.refresh(names, SystemTime::now() + later, stamp, read);
            (self.read.take(), next)
        }

        fn is_still(&self, cached: &KindCache<&'static str, String>) -> bool {
            let names = ["a", "b"].into_iter().filter(|name| self.path(name).exists()).collect();
            cached.is_still(&names, |name| Stamp::of(&self.path(name)))
        }
    }

    const LONG: Duration = Duration::from_hours(1);

    #[test]
    fn an_unchanged_settled_file_is_not_read_again() {
        let files = Files::new();
        let (read, cached) = files.poll(&KindCache::default(), LONG);
        assert_eq!(read, ["a", "b"]);
        assert!(files.is_still(&cached));
        let (read, cached) = files.poll(&cached, LONG);
        assert_eq!((read.len(), files.is_still(&cached)), (0, true));
    }

    #[test]
    fn a_recent_file_is_read_again_until_its_stamp_settles() {
        let files = Files::new();
        let (_read, cached) = files.poll(&KindCache::default(), Duration::ZERO);
        assert!(!files.is_still(&cached), "it may change again within one clock step");
        let (read, cached) = files.poll(&cached, LONG);
        assert_eq!((read, files.is_still(&cached)), (vec!["a", "b"], true));
    }

    #[test]
    fn only_changed_or_replaced_files_are_read_again() {
        let files = Files::new();
        let (_read, cached) = files.poll(&KindCache::default(), LONG);
        files.write("a", "22");
        assert!(!files.is_still(&cached));
        let (read, cached) = files.poll(&cached, LONG);
        assert_eq!(read, ["a"]);
        files.write("new", "2");
        std::fs::rename(files.path("new"), files.path("b")).unwrap();
        assert!(!files.is_still(&cached));
        let (read, cached) = files.poll(&cached, LONG);
        assert_eq!((read, files.is_still(&cached)), (vec!["b"], true));
    }

    #[test]
    fn an_added_or_removed_file_is_a_change() {
        let files = Files::new();
        let (_read, cached) = files.poll(&KindCache::default(), LONG);
        std::fs::remove_file(files.path("b")).unwrap();
        assert!(!files.is_still(&cached));
        let (_read, cached) = files.poll(&cached, LONG);
        assert!(files.is_still(&cached));
        files.write("b", "1");
        assert!(!files.is_still(&cached));
    }

    #[test]
    fn an_unreadable_file_is_read_again_each_time() {
        let files = Files::new();
        files.write("b", "damaged");
        let (_read, cached) = files.poll(&KindCache::default(), LONG);
        assert!(!files.is_still(&cached));
        assert_eq!(files.poll(&cached, LONG).0, ["b"]);
    }
}
