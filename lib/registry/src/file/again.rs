//! Reading static IPs and pools again and again, for who follows them: what cannot have changed
//! since it was read is not read again. Everything here blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::time::SystemTime;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::PoolName;
use firecamp_core::record::{Pool, StaticIp, Stored};

use super::place::SUFFIX;
use super::stamp::Stamp;
use super::store::Store;
use crate::api::{Kind, StaticIPPoolSpec, StaticIPSpec};

/// Objects of one kind by their names, each as far as it can be read.
type Listed<K, T> = BTreeMap<K, Result<T, RegistryFailure>>;

/// Every static IP and every pool that there is.
#[derive(Debug)]
pub struct Everything {
    /// Each static IP: its record, or why that cannot be read.
    pub static_ips: BTreeMap<Ipv4Addr, Result<Stored<StaticIp>, RegistryFailure>>,
    /// All pools, or why one of them cannot be read.
    pub pools: Result<Vec<Pool>, RegistryFailure>,
}

/// What was read last.
#[derive(Debug, Default)]
pub(super) struct Seen {
    static_ips: Kept<Ipv4Addr, Stored<StaticIp>>,
    pools: Kept<PoolName, Pool>,
}

/// Objects of one kind whose files would show a change.
#[derive(Debug)]
struct Kept<K, T> {
    objects: BTreeMap<K, (Stamp, T)>,
    /// They are all that there was.
    whole: bool,
}

impl<K, T> Default for Kept<K, T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), whole: false }
    }
}

impl<K: Ord + Clone, T: Clone> Kept<K, T> {
    /// Whether these names with these stamps are all that there was.
    fn is_still(&self, names: &BTreeSet<K>, stamp: impl Fn(&K) -> Option<Stamp>) -> bool {
        let same = |name| self.objects.get(name).is_some_and(|kept| Some(kept.0) == stamp(name));
        self.whole && names.len() == self.objects.len() && names.iter().all(same)
    }

    /// Reads what is not among them any more. One that is deleted meanwhile is left out.
    fn again(
        &self,
        names: BTreeSet<K>,
        now: SystemTime,
        stamp: impl Fn(&K) -> Option<Stamp>,
        read: impl Fn(&K) -> Result<Option<T>, RegistryFailure>,
    ) -> (Listed<K, T>, Self) {
        let mut listed = BTreeMap::new();
        let mut next = Self { objects: BTreeMap::new(), whole: true };
        for name in names {
            // Taken before the file is read: what changes between them shows the next time.
            let stamp = stamp(&name);
            let kept = self.objects.get(&name).filter(|kept| Some(kept.0) == stamp);
            let found = match kept {
                Some((_, object)) => Some(Ok(object.clone())),
                None => read(&name).transpose(),
            };
            match (&found, stamp.filter(|stamp| stamp.is_settled(now))) {
                (Some(Ok(object)), Some(stamp)) => {
                    next.objects.insert(name.clone(), (stamp, object.clone()));
                }
                (Some(Ok(_) | Err(_)) | None, _) => next.whole = false,
            }
            listed.extend(found.map(|object| (name, object)));
        }
        (listed, next)
    }
}

impl Store {
    /// Whether a look may find something else.
    pub(super) fn has_changed_since(&self, seen: &Seen) -> Result<bool, RegistryFailure> {
        let (ips, pools) = (self.addresses()?, self.pool_names()?);
        Ok(!seen.static_ips.is_still(&ips, |name| self.stamp::<StaticIPSpec>(name))
            || !seen.pools.is_still(&pools, |name| self.stamp::<StaticIPPoolSpec>(name)))
    }

    /// Everything as it is now, and what is known for the next time. An error says that nobody
    /// knows which static IPs there are.
    pub(super) fn everything(&self, seen: &Seen) -> Result<(Everything, Seen), RegistryFailure> {
        let now = SystemTime::now();
        let stamp = |name: &Ipv4Addr| self.stamp::<StaticIPSpec>(name);
        let read = |name: &Ipv4Addr| self.static_ip(*name);
        let (static_ips, kept) = seen.static_ips.again(self.addresses()?, now, stamp, read);
        let mut next = Seen { static_ips: kept, ..Seen::default() };
        let pools = self.pool_names().and_then(|names| {
            let stamp = |name: &PoolName| self.stamp::<StaticIPPoolSpec>(name);
            let (listed, kept) = seen.pools.again(names, now, stamp, |name| self.pool(name));
            next.pools = kept;
            listed.into_values().collect()
        });
        Ok((Everything { static_ips, pools }, next))
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

    /// Two files, long after they were written.
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

        /// One look so long after now: what was read, and what is known then.
        fn look(
            &self,
            kept: &Kept<&'static str, String>,
            later: Duration,
        ) -> (Vec<&'static str>, Kept<&'static str, String>) {
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
            let (_listed, next) = kept.again(names, SystemTime::now() + later, stamp, read);
            (self.read.take(), next)
        }

        fn is_still(&self, kept: &Kept<&'static str, String>) -> bool {
            let names = ["a", "b"].into_iter().filter(|name| self.path(name).exists()).collect();
            kept.is_still(&names, |name| Stamp::of(&self.path(name)))
        }
    }

    const LONG: Duration = Duration::from_hours(1);

    #[test]
    fn what_has_not_changed_for_a_while_is_not_read_again() {
        let files = Files::new();
        let (read, kept) = files.look(&Kept::default(), LONG);
        assert_eq!(read, ["a", "b"]);
        assert!(files.is_still(&kept));
        let (read, kept) = files.look(&kept, LONG);
        assert_eq!((read.len(), files.is_still(&kept)), (0, true));
    }

    #[test]
    fn what_was_just_written_is_read_again_until_its_stamp_can_be_believed() {
        let files = Files::new();
        let (_read, kept) = files.look(&Kept::default(), Duration::ZERO);
        assert!(!files.is_still(&kept), "it may change again within the same step of the clock");
        let (read, kept) = files.look(&kept, LONG);
        assert_eq!((read, files.is_still(&kept)), (vec!["a", "b"], true));
    }

    #[test]
    fn only_what_was_written_in_place_or_replaced_is_read_again() {
        let files = Files::new();
        let (_read, kept) = files.look(&Kept::default(), LONG);
        files.write("a", "22");
        assert!(!files.is_still(&kept));
        let (read, kept) = files.look(&kept, LONG);
        assert_eq!(read, ["a"]);
        files.write("new", "2");
        std::fs::rename(files.path("new"), files.path("b")).unwrap();
        assert!(!files.is_still(&kept));
        let (read, kept) = files.look(&kept, LONG);
        assert_eq!((read, files.is_still(&kept)), (vec!["b"], true));
    }

    #[test]
    fn what_came_or_went_is_a_change() {
        let files = Files::new();
        let (_read, kept) = files.look(&Kept::default(), LONG);
        std::fs::remove_file(files.path("b")).unwrap();
        assert!(!files.is_still(&kept));
        let (_read, kept) = files.look(&kept, LONG);
        assert!(files.is_still(&kept));
        files.write("b", "1");
        assert!(!files.is_still(&kept));
    }

    #[test]
    fn what_could_not_be_read_is_read_again_each_time() {
        let files = Files::new();
        files.write("b", "damaged");
        let (_read, kept) = files.look(&Kept::default(), LONG);
        assert!(!files.is_still(&kept));
        assert_eq!(files.look(&kept, LONG).0, ["b"]);
    }
}
