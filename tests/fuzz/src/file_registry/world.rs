//! A registry in a directory beside its model, and what may happen to both.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Epoch, Member, RunId, Version};
use firecamp_core::ports::Registry;
use firecamp_core::record::{Claim, MemberRecords, Pool, StaticIp, Stored, Write};
use firecamp_registry::memory::Snapshot;
use firecamp_registry::{FileRegistry, Timeouts, api, conformance};

use super::orphaned;

/// Which version a write names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// The stored one.
    Current,
    /// The one before.
    Stale,
}

/// The versions that an object had, oldest first: in the file, and in the model.
type Versions = Vec<(Version, Version)>;

pub(super) struct World {
    dir: tempfile::TempDir,
    file: FileRegistry,
    model: Snapshot,
    pool: Pool,
    claims: BTreeMap<Member, Versions>,
    ips: BTreeMap<Ipv4Addr, Versions>,
    /// The whole text of each damaged object.
    damaged: BTreeMap<Ipv4Addr, Vec<u8>>,
}

/// An answer as it must be: the same in kind, and a failure without effect.
fn answered<T>(answer: &Result<T, RegistryFailure>) -> Option<RegistryKind> {
    let failure = answer.as_ref().err()?;
    assert_eq!(failure.effect, Effect::None, "{failure:?}");
    Some(failure.kind)
}

fn at(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 0, last)
}

fn member(index: u8) -> Member {
    conformance::member(u32::from(index)).expect("a sample")
}

/// In memory, if this machine has such a directory: what is proven here needs no disk.
fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a directory")
}

impl World {
    pub(super) async fn new() -> Self {
        let dir = directory();
        let pool = conformance::pool("a", &[1]).expect("a sample");
        let file = FileRegistry::open(dir.path(), Timeouts::default()).expect("a directory");
        file.create_pool(&pool).await.expect("a pool");
        let mut model = Snapshot::default();
        model.pools.insert(pool.name.clone(), pool.clone());
        let (claims, ips, damaged) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { dir, file, model, pool, claims, ips, damaged }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("staticips").join(name)
    }

    fn object(&self, address: Ipv4Addr) -> PathBuf {
        self.path(&format!("{address}.yaml"))
    }

    fn staged(&self, address: Ipv4Addr) -> PathBuf {
        self.path(&format!(".{address}.new"))
    }

    /// Sends one write to both. `otherwise` is the file's answer where damage decides.
    async fn write(
        &mut self,
        [to_file, to_model]: [Write; 2],
        otherwise: Option<RegistryKind>,
    ) -> Option<(Version, Version)> {
        let mut after = self.model.clone();
        let wanted = after.write(&to_model);
        let answer = self.file.write(&to_file).await;
        if otherwise.is_some() {
            assert_eq!(answered(&answer), otherwise, "{to_file:?}: {answer:?}");
            return None;
        }
        assert_eq!(answered(&answer), answered(&wanted), "{to_file:?}: {answer:?}, not {wanted:?}");
        let both = answer.ok().zip(wanted.ok())?;
        self.model = after;
        Some(both)
    }

    pub(super) async fn create_claim(&mut self, index: u8) {
        let claim = conformance::claim(&member(index), &self.pool);
        let write = Write::CreateClaim(claim.clone());
        let versions = self.write([write.clone(), write], None).await;
        self.claims.entry(claim.member).or_default().extend(versions);
    }

    pub(super) async fn bind(&mut self, index: u8, last: Option<u8>, basis: Basis) {
        let claim = conformance::claim(&member(index), &self.pool);
        let object = Claim { address: last.map(at), ..claim };
        let versions = named(self.claims.get(&object.member), basis);
        let writes =
            versions.map(|version| Write::UpdateClaim(Stored { version, object: object.clone() }));
        let versions = self.write(writes, None).await;
        self.claims.entry(object.member).or_default().extend(versions);
    }

    pub(super) async fn create_ip(&mut self, last: u8, index: u8) {
        let ip = conformance::static_ip(at(last), &member(index), &self.pool).expect("a sample");
        let write = Write::CreateStaticIp(ip);
        let versions = self.write([write.clone(), write], None).await;
        self.ips.entry(at(last)).or_default().extend(versions);
    }

    pub(super) async fn take(&mut self, last: u8, epoch: u64, index: u8, basis: Basis) {
        let bare = conformance::static_ip(at(last), &member(index), &self.pool).expect("a sample");
        let object = conformance::attached(&bare, epoch).expect("a sample");
        let damaged = self.damaged.contains_key(&at(last));
        // What contradicts itself is refused before anything is looked at.
        let contradicts = epoch == 0 || last < 4;
        let otherwise = damaged.then_some(if contradicts {
            RegistryKind::Refused
        } else {
            RegistryKind::Invalid
        });
        let versions = named(self.ips.get(&at(last)), basis);
        let writes = versions
            .map(|version| Write::UpdateStaticIp(Stored { version, object: object.clone() }));
        let versions = self.write(writes, otherwise).await;
        self.ips.entry(at(last)).or_default().extend(versions);
    }

    /// A person edits the file without changing what it says: a new version all the same.
    pub(super) async fn comment(&mut self, last: u8, number: u8) {
        let file = self.object(at(last));
        if self.damaged.contains_key(&at(last)) {
            return;
        }
        let Ok(text) = fs::read(&file) else { return };
        let edited = [format!("# {number}\n").as_bytes(), &text].concat();
        fs::write(&file, edited).expect("an edit");
        let stored = self.model.static_ips.get(&at(last)).expect("the model has it");
        let object = stored.object.clone();
        self.follow(at(last), object).await;
    }

    /// The file says this now, so the model does, too.
    async fn follow(&mut self, address: Ipv4Addr, object: StaticIp) {
        let read = self.file.static_ip(address).await.expect("it is whole").expect("it is there");
        let stored = self.model.static_ips.get(&address).expect("the model has it");
        let write = Stored { version: stored.version.clone(), object };
        let version = self.model.write(&Write::UpdateStaticIp(write)).expect("it may be so");
        let known = self.ips.entry(address).or_default();
        known.push((read.version, version));
    }

    pub(super) fn delete_ip(&mut self, last: u8) {
        if fs::remove_file(self.object(at(last))).is_ok() {
            self.model.static_ips.remove(&at(last));
            self.ips.remove(&at(last));
            self.damaged.remove(&at(last));
        }
    }

    pub(super) fn reopen(&mut self) {
        self.file = FileRegistry::open(self.dir.path(), Timeouts::default()).expect("it is there");
    }

    /// A writer died with a state written, in part or whole, and not published.
    pub(super) fn crash_before_publishing(&mut self, last: u8, state: &[u8]) {
        let locks = self.dir.path().join(".locks/staticips");
        for dir in [&self.path(""), &locks] {
            fs::create_dir_all(dir).expect("a directory");
        }
        fs::write(locks.join(at(last).to_string()), state).expect("a lock that nobody holds");
        // As a writer does it: what is there may be a link to the object.
        let staged = self.staged(at(last));
        if staged.exists() {
            fs::remove_file(&staged).expect("it is there");
        }
        fs::write(staged, state).expect("a staged state");
    }

    /// A writer died after the new object was linked, before it tidied up.
    pub(super) fn crash_after_publishing(&mut self, last: u8) {
        let (object, staged) = (self.object(at(last)), self.staged(at(last)));
        if object.exists() && !staged.exists() {
            fs::hard_link(object, staged).expect("a link");
        }
    }

    /// A disk loses the end of an object.
    pub(super) fn damage(&mut self, last: u8, cut: usize) {
        let file = self.object(at(last));
        if self.damaged.contains_key(&at(last)) {
            return;
        }
        let Ok(whole) = fs::read(&file) else { return };
        let start = whole.get(..whole.len() * cut / 256).unwrap_or_default();
        if api::parse::<api::StaticIPSpec>(start).is_err() {
            // In a new file: a staged link to the old one must not be damaged as well.
            fs::remove_file(&file).expect("it is there");
            fs::write(&file, start).expect("a cut object");
            self.damaged.insert(at(last), whole);
        }
    }

    pub(super) fn repair(&mut self, last: u8) {
        if let Some(whole) = self.damaged.remove(&at(last)) {
            fs::write(self.object(at(last)), whole).expect("a repaired object");
        }
    }

    /// Somebody puts into the directory what is no object, or no file.
    pub(super) async fn plant(&mut self, kind: u8, name: &[u8]) {
        fs::create_dir_all(self.path("")).expect("a directory");
        let free = at(99);
        match kind % 4 {
            0 => {
                let plain = name.iter().filter(|byte| byte.is_ascii_alphanumeric()).copied();
                let name: Vec<u8> = std::iter::once(b'.').chain(plain).collect();
                let hidden = self.path("").join(std::ffi::OsStr::from_bytes(&name)).join("");
                fs::create_dir_all(hidden).expect("a hidden directory");
            }
            1 => fs::write(self.path("README.txt"), name).expect("a foreign file"),
            2 => {
                let odd = [b"n", name, b".yaml"].concat();
                if odd.len() > 200 || odd.iter().any(|byte| matches!(byte, b'/' | 0)) {
                    return;
                }
                let odd = self.path("").join(std::ffi::OsStr::from_bytes(&odd));
                fs::write(&odd, b"").expect("a foreign file");
                let listed = self.file.allocated(&self.pool.name).await;
                assert_eq!(answered(&listed), Some(RegistryKind::Invalid), "{listed:?}");
                fs::remove_file(odd).expect("it is there");
            }
            _ if self.object(free).exists() => {}
            _ => {
                std::os::unix::fs::symlink("README.txt", self.object(free)).expect("a link");
                let read = self.file.static_ip(free).await;
                assert_eq!(answered(&read), Some(RegistryKind::Invalid), "{read:?}");
                fs::remove_file(self.object(free)).expect("it is there");
            }
        }
    }

    /// Two managers write on one version at the same time. With an even `number` the first is
    /// given up at once, which takes nothing back: its write may land at any moment.
    pub(super) async fn race(&mut self, last: u8, number: u64) {
        let Some(stored) = self.model.static_ips.get(&at(last)).cloned() else { return };
        if self.damaged.contains_key(&at(last)) {
            return;
        }
        let file = self.ips.get(&at(last)).and_then(|known| known.last()).expect("a version");
        let object = |run: &str| {
            let ip = StaticIp { epoch: Epoch(0), ..stored.object.clone() };
            let mut ip = conformance::attached(&ip, stored.object.epoch.0 + 1).expect("a sample");
            let attachment = ip.attachment.as_mut().expect("it is attached");
            attachment.run = RunId::new(run).expect("a run");
            ip
        };
        let write = |run: &str| {
            Write::UpdateStaticIp(Stored { version: file.0.clone(), object: object(run) })
        };
        let other = FileRegistry::open(self.dir.path(), Timeouts::default()).expect("it is there");
        let (first, second) = (write("first"), write("second"));
        if number.is_multiple_of(2) {
            tokio::select! {
                biased;
                _landed = other.write(&first) => {}
                () = std::future::ready(()) => {}
            }
            let answer = self.file.write(&second).await;
            let decided = answered(&answer).is_none_or(|kind| kind == RegistryKind::Conflict);
            assert!(decided, "{answer:?}");
        } else {
            let (first, second) = tokio::join!(other.write(&first), self.file.write(&second));
            let mut kinds = [answered(&first), answered(&second)];
            kinds.sort_unstable();
            assert_eq!(kinds, [None, Some(RegistryKind::Conflict)], "one wins");
        }
        let read = self.file.static_ip(at(last)).await.expect("whole").expect("there").object;
        assert!(["first", "second"].iter().any(|run| read == object(run)), "{read:?}");
        self.follow(at(last), read).await;
    }

    /// Everything that can be read is what the model holds.
    pub(super) async fn check(&self) {
        for last in [16, 17, 99, 2] {
            let read = self.file.static_ip(at(last)).await;
            if self.damaged.contains_key(&at(last)) {
                assert_eq!(answered(&read), Some(RegistryKind::Invalid), "{read:?}");
            } else {
                assert_eq!(read.expect("it is whole"), self.ip(at(last)));
            }
        }
        for index in 0..3 {
            let member = member(index);
            let claim = self.model.claims.get(&member);
            let claim = claim.map(|claim| as_in_file(claim, self.claims.get(&member)));
            let address = claim.as_ref().and_then(|claim| claim.object.address);
            let read = self.file.member(&member, None).await;
            if address.is_some_and(|address| self.damaged.contains_key(&address)) {
                assert_eq!(answered(&read), Some(RegistryKind::Invalid), "{read:?}");
                continue;
            }
            let static_ip = address.and_then(|address| self.ip(address));
            let wanted = MemberRecords { claim, static_ip, pool: Some(self.pool.clone()) };
            assert_eq!(read.expect("all is whole"), wanted);
        }
        let listed = self.file.allocated(&self.pool.name).await.expect("names are whole");
        assert_eq!(listed, self.model.allocated(&self.pool.name).expect("the pool is there"));
    }

    fn ip(&self, address: Ipv4Addr) -> Option<Stored<StaticIp>> {
        let stored = self.model.static_ips.get(&address)?;
        Some(as_in_file(stored, self.ips.get(&address)))
    }
}

fn as_in_file<T: Clone>(stored: &Stored<T>, known: Option<&Versions>) -> Stored<T> {
    let (version, _) = known.and_then(|known| known.last()).expect("it was written").clone();
    Stored { version, object: stored.object.clone() }
}

/// The versions that a write names.
fn named(known: Option<&Versions>, basis: Basis) -> [Version; 2] {
    let (file, model) = match (basis, known.map_or(&[][..], Vec::as_slice)) {
        (Basis::Current, [.., current]) => current.clone(),
        (Basis::Stale, [.., before, _]) => before.clone(),
        (Basis::Stale | Basis::Current, _) => (orphaned(), orphaned()),
    };
    [file, model]
}
