//! The network namespaces of pods, entered by a thread that then ends: a socket stays in the
//! namespace in which it was opened.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::getsockopt;
use nix::{getsockopt_impl, sockopt_impl};
use tokio::runtime::Handle;

use super::failed;
use crate::error::HostError;
use crate::linux::{ROUTE, SOCK_DIAG};
use crate::netlink::Netlink;

sockopt_impl!(
    /// The cookie of the network namespace of a socket (Linux 5.14).
    NetnsCookie,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_NETNS_COOKIE,
    u64
);

/// A network namespace with sockets in it.
pub(super) struct Namespace {
    pub(super) cookie: u64,
    pub(super) name: String,
    pub(super) route: Netlink,
    pub(super) sockets: Netlink,
}

/// The cookie of the calling thread's namespace.
pub(super) fn own_cookie() -> io::Result<u64> {
    Ok(getsockopt(&UnixDatagram::unbound()?, NetnsCookie)?)
}

/// The names of the files in the directory.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, HostError> {
    let read = || -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(dir)?;
        let name = |entry: io::Result<std::fs::DirEntry>| entry.map(|it| it.file_name());
        let names: Vec<_> = entries.map(name).collect::<io::Result<_>>()?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    };
    read().map_err(|source| failed("list", dir, source))
}

/// Those of the named namespaces that exist, in order. With a cookie, only that one counts: the
/// name of a file is used again.
pub(super) async fn enter(
    dir: &Path,
    limit: Duration,
    wanted: Vec<(String, Option<u64>)>,
) -> Result<Vec<Namespace>, HostError> {
    let runtime = Handle::current();
    let (dir, path) = (dir.to_owned(), dir.to_owned());
    let entered = tokio::task::spawn_blocking(move || {
        // A thread of its own: it never returns to the namespace that it came from.
        let work = move || {
            let _runtime = runtime.enter();
            all(&dir, limit, wanted)
        };
        thread::spawn(work).join()
    });
    let ended = || failed("enter the namespaces in", &path, io::Error::other("a thread failed"));
    entered.await.ok().and_then(Result::ok).ok_or_else(ended)?
}

fn all(
    dir: &Path,
    limit: Duration,
    wanted: Vec<(String, Option<u64>)>,
) -> Result<Vec<Namespace>, HostError> {
    let mut found = Vec::new();
    for (name, cookie) in wanted {
        let path: PathBuf = dir.join(&name);
        let opened = one(&path, limit, (name, cookie));
        found.extend(opened.map_err(|source| failed("enter the namespace", &path, source))?);
    }
    Ok(found)
}

/// None if the namespace is another one, if it is gone, or if the file is none of a namespace: a
/// runtime that is interrupted leaves empty ones.
fn one(
    path: &Path,
    limit: Duration,
    (name, wanted): (String, Option<u64>),
) -> io::Result<Option<Namespace>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match setns(&file, CloneFlags::CLONE_NEWNET) {
        Ok(()) => {}
        Err(Errno::EINVAL) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    }
    let cookie = own_cookie()?;
    if wanted.is_some_and(|wanted| wanted != cookie) {
        return Ok(None);
    }
    let open = |family| Netlink::open(family, limit).map_err(io::Error::other);
    Ok(Some(Namespace { cookie, name, route: open(ROUTE)?, sockets: open(SOCK_DIAG)? }))
}
