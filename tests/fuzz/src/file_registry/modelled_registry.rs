//! A file registry with its model, and the steps that change both.

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

use super::unknown_version;

/// The version of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// The stored version.
    Current,
    /// The version before it.
    Stale,
}

/// The versions of an object in the file and in the model, oldest first.
type Versions = Vec<(Version, Version)>;

pub(super) struct ModelledRegistry {
    dir: tempfile::TempDir,
    file: FileRegistry,
    model: Snapshot,
    pool: Pool,
    claims: BTreeMap<Member, Versions>,
    ips: BTreeMap<Ipv4Addr, Versions>,
    /// The original text of each corrupt object.
    damaged: BTreeMap<Ipv4Addr, Vec<u8>>,
}

/// The kind of the failure, if there is one. Asserts that a failure has no effect.
fn failure_kind<T>(answer: &Result<T, RegistryFailure>) -> Option<RegistryKind> {
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

/// A directory in memory, if this machine has one, because the target needs no disk.
fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a directory")
}

impl ModelledRegistry {
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

    /// Sends one write to both. `otherwise` is the expected failure if the object is corrupt.
    async fn write(
        &mut self,
        [to_file, to_model]: [Write; 2],
        otherwise: Option<RegistryKind>,
    ) -> Option<(Version, Version)> {
        let mut after = self.model.clone();
        let wanted = after.write(&to_model);
        let answer = self.file.write(&to_file).await;
        if otherwise.is_some() {
            assert_eq!(failure_kind(&answer), otherwise, "{to_file:?}: {answer:?}");
            return None;
        }
        assert_eq!(
            failure_kind(&answer),
            failure_kind(&wanted),
            "{to_file:?}: {answer:?} instead of {wanted:?}"
        );
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
        let versions = versions_of(self.claims.get(&object.member), basis);
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

    pub(super) async fn acquire(&mut self, last: u8, epoch: u64, index: u8, basis: Basis) {
        let bare = conformance::static_ip(at(last), &member(index), &self.pool).expect("a sample");
        let object = conformance::attached(&bare, epoch).expect("a sample");
        let damaged = self.damaged.contains_key(&at(last));
        // The registry rejects an inconsistent object before it reads the stored one.
        let inconsistent = epoch == 0 || last < 4;
        let otherwise = damaged.then_some(if inconsistent {
            RegistryKind::Refused
        } else {
            RegistryKind::Invalid
        });
        let versions = versions_of(self.ips.get(&at(last)), basis);
        let writes = versions
            .map(|version| Write::UpdateStaticIp(Stored { version, object: object.clone() }));
        let versions = self.write(writes, otherwise).await;
        self.ips.entry(at(last)).or_default().extend(versions);
    }

    /// A user adds a comment to the file, which results in a new version of the same object.
    pub(super) async fn comment(&mut self, last: u8, number: u8) {
        let file = self.object(at(last));
        if self.damaged.contains_key(&at(last)) {
            return;
        }
        let Ok(text) = fs::read(&file) else { return };
        let edited = [format!("# {number}\n").as_bytes(), &text].concat();
        fs::write(&file, edited).expect("an edit");
        let stored = self.model.static_ips.get(&at(last)).expect("the model has the object");
        let object = stored.object.clone();
        self.follow(at(last), object).await;
    }

    /// Updates the model to the object in the file.
    async fn follow(&mut self, address: Ipv4Addr, object: StaticIp) {
        let read = self
            .file
            .static_ip(address)
            .await
            .expect("the object is valid")
            .expect("the object exists");
        let stored = self.model.static_ips.get(&address).expect("the model has the object");
        let write = Stored { version: stored.version.clone(), object };
        let version =
            self.model.write(&Write::UpdateStaticIp(write)).expect("the model accepts the object");
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
        self.file = FileRegistry::open(self.dir.path(), Timeouts::default()).expect("it exists");
    }

    /// A writer was killed after it had staged an object, in part or completely.
    pub(super) fn crash_before_publishing(&mut self, last: u8, state: &[u8]) {
        let locks = self.dir.path().join(".locks/staticips");
        for dir in [&self.path(""), &locks] {
            fs::create_dir_all(dir).expect("a directory");
        }
        fs::write(locks.join(at(last).to_string()), state).expect("a free lock");
        // A writer removes the staged file first, because it may be a hard link to the object.
        let staged = self.staged(at(last));
        if staged.exists() {
            fs::remove_file(&staged).expect("it exists");
        }
        fs::write(staged, state).expect("a staged state");
    }

    /// A writer was killed after it had linked the new object, before it removed the staged file.
    pub(super) fn crash_after_publishing(&mut self, last: u8) {
        let (object, staged) = (self.object(at(last)), self.staged(at(last)));
        if object.exists() && !staged.exists() {
            fs::hard_link(object, staged).expect("a link");
        }
    }

    /// Truncates an object, as a failing disk may.
    pub(super) fn damage(&mut self, last: u8, cut: usize) {
        let file = self.object(at(last));
        if self.damaged.contains_key(&at(last)) {
            return;
        }
        let Ok(whole) = fs::read(&file) else { return };
        let start = whole.get(..whole.len() * cut / 256).unwrap_or_default();
        if api::parse::<api::StaticIPSpec>(start).is_err() {
            // In a new file, so that a staged hard link to the old one stays intact.
            fs::remove_file(&file).expect("it exists");
            fs::write(&file, start).expect("a truncated object");
            self.damaged.insert(at(last), whole);
        }
    }

    pub(super) fn repair(&mut self, last: u8) {
        if let Some(whole) = self.damaged.remove(&at(last)) {
            fs::write(self.object(at(last)), whole).expect("a repaired object");
        }
    }

    /// Adds something to the directory that is not an object: a directory, a file or a symlink.
    pub(super) async fn add_unrelated_file(&mut self, kind: u8, name: &[u8]) {
        fs::create_dir_all(self.path("")).expect("a directory");
        let free = at(99);
        match kind % 4 {
            0 => {
                let plain = name.iter().filter(|byte| byte.is_ascii_alphanumeric()).copied();
                let name: Vec<u8> = std::iter::once(b'.').chain(plain).collect();
                let hidden = self.path("").join(std::ffi::OsStr::from_bytes(&name)).join("");
                fs::create_dir_all(hidden).expect("a hidden directory");
            }
            1 => fs::write(self.path("README.txt"), name).expect("an unrelated file"),
            2 => {
                let odd = [b"n", name, b".yaml"].concat();
                if odd.len() > 200 || odd.iter().any(|byte| matches!(byte, b'/' | 0)) {
                    return;
                }
                let odd = self.path("").join(std::ffi::OsStr::from_bytes(&odd));
                fs::write(&odd, b"").expect("an unrelated file");
                let listed = self.file.allocated(&self.pool.name).await;
                assert_eq!(failure_kind(&listed), Some(RegistryKind::Invalid), "{listed:?}");
                fs::remove_file(odd).expect("it exists");
            }
            _ if self.object(free).exists() => {}
            _ => {
                std::os::unix::fs::symlink("README.txt", self.object(free)).expect("a link");
                let read = self.file.static_ip(free).await;
                assert_eq!(failure_kind(&read), Some(RegistryKind::Invalid), "{read:?}");
                fs::remove_file(self.object(free)).expect("it exists");
            }
        }
    }

    /// Two processes write at the same version concurrently. With an even `number` the first write
    /// is cancelled at once, but may still take effect at any time.
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
        let other = FileRegistry::open(self.dir.path(), Timeouts::default()).expect("it exists");
        let (first, second) = (write("first"), write("second"));
        if number.is_multiple_of(2) {
            tokio::select! {
                biased;
                _landed = other.write(&first) => {}
                () = std::future::ready(()) => {}
            }
            let answer = self.file.write(&second).await;
            let expected = failure_kind(&answer).is_none_or(|kind| kind == RegistryKind::Conflict);
            assert!(expected, "{answer:?}");
        } else {
            let (first, second) = tokio::join!(other.write(&first), self.file.write(&second));
            let mut kinds = [failure_kind(&first), failure_kind(&second)];
            kinds.sort_unstable();
            assert_eq!(
                kinds,
                [None, Some(RegistryKind::Conflict)],
                "exactly one of two concurrent writes succeeds"
            );
        }
        let read = self
            .file
            .static_ip(at(last))
            .await
            .expect("the object is valid")
            .expect("the object exists")
            .object;
        assert!(["first", "second"].iter().any(|run| read == object(run)), "{read:?}");
        self.follow(at(last), read).await;
    }

    /// Asserts that all objects equal the model's.
    pub(super) async fn check(&self) {
        for last in [16, 17, 99, 2] {
            let read = self.file.static_ip(at(last)).await;
            if self.damaged.contains_key(&at(last)) {
                assert_eq!(failure_kind(&read), Some(RegistryKind::Invalid), "{read:?}");
            } else {
                assert_eq!(read.expect("the object is valid"), self.ip(at(last)));
            }
        }
        for index in 0..3 {
            let member = member(index);
            let claim = self.model.claims.get(&member);
            let claim = claim.map(|claim| as_in_file(claim, self.claims.get(&member)));
            let address = claim.as_ref().and_then(|claim| claim.object.address);
            let read = self.file.member(&member, None).await;
            if address.is_some_and(|address| self.damaged.contains_key(&address)) {
                assert_eq!(failure_kind(&read), Some(RegistryKind::Invalid), "{read:?}");
                continue;
            }
            let static_ip = address.and_then(|address| self.ip(address));
            let wanted = MemberRecords { claim, static_ip, pool: Some(self.pool.clone()) };
            assert_eq!(read.expect("the objects are valid"), wanted);
        }
        let listed = self.file.allocated(&self.pool.name).await.expect("the list is valid");
        assert_eq!(listed, self.model.allocated(&self.pool.name).expect("the model has the pool"));
    }

    fn ip(&self, address: Ipv4Addr) -> Option<Stored<StaticIp>> {
        let stored = self.model.static_ips.get(&address)?;
        Some(as_in_file(stored, self.ips.get(&address)))
    }
}

fn as_in_file<T: Clone>(stored: &Stored<T>, known: Option<&Versions>) -> Stored<T> {
    let (version, _) =
        known.and_then(|known| known.last()).expect("the object was written").clone();
    Stored { version, object: stored.object.clone() }
}

/// The version of a write to the file, and to the model.
fn versions_of(known: Option<&Versions>, basis: Basis) -> [Version; 2] {
    let (file, model) = match (basis, known.map_or(&[][..], Vec::as_slice)) {
        (Basis::Current, [.., current]) => current.clone(),
        (Basis::Stale, [.., before, _]) => before.clone(),
        (Basis::Stale | Basis::Current, _) => (unknown_version(), unknown_version()),
    };
    [file, model]
}
