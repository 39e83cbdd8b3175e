//! A pod with a network of its own, connected as the CNI plugin ptp does: the sandbox that holds
//! the network, and the programs that join it.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use tokio::signal::unix::{SignalKind, signal};

use crate::client::Client;
use crate::failure::Failure;
use crate::netlink::{Net, direct, via};
use crate::{namespace, namespace_sysctls};

/// Where container runtimes keep the network namespaces of pods.
const NETWORKS: &str = "/run/netns";
/// What the sandbox prints when programs can join.
pub const READY: &str = "ready";
/// The pod's interface.
const INSIDE: &str = "eth0";

/// The file of a pod's network on its node.
fn file(pod: &str) -> Result<PathBuf, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if pod.is_empty() || pod.len() > 11 || !pod.chars().all(plain) {
        return Err(Failure::Usage {
            what: format!("{pod:?} is not the name of a pod"),
            next: "use at most 11 letters, digits and hyphens",
        });
    }
    Ok(Path::new(NETWORKS).join(pod))
}

/// Joins the network of a pod on this node.
pub(crate) fn join(pod: &str) -> Result<(), Failure> {
    let path = file(pod)?;
    if !path.exists() {
        return Err(Failure::Usage {
            what: format!("this node has no pod {pod}"),
            next: "`vpcbox pod POD ADDRESS`, in the node, creates its network",
        });
    }
    let failed = |e: std::io::Error| Failure::kernel("join the network of", pod, e);
    let network = File::open(path).map_err(failed)?;
    setns(&network, CloneFlags::CLONE_NEWNET).map_err(|e| failed(e.into()))
}

/// The sandbox of a pod on this node: creates its network, reports that, and removes it at SIGTERM
/// or SIGINT.
pub(crate) fn hold(pod: &str, own: Ipv4Addr) -> Result<u8, Failure> {
    let path = file(pod)?;
    let gateway = gateway_of(own)?;
    // It changes the routes of the namespace that it runs in.
    Client::connect(Path::new(namespace::SOCKET))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::kernel("start", "the sandbox", e))?;
    runtime.block_on(async {
        let failed = |e| Failure::kernel("wait in", "the sandbox", e);
        let mut term = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let network = create(pod, &path)?;
        let held = async {
            let node = Net::here("this node")?;
            let link = connect(&node, (pod, &path, &network), (own, gateway)).await?;
            let mut out = std::io::stdout();
            let failed = |e| Failure::kernel("report to", "the caller", e);
            writeln!(out, "{READY}").and_then(|()| out.flush()).map_err(failed)?;
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            node.delete_link(link).await
        };
        let (held, removed) = (held.await, remove(&path));
        held.and(removed)
    })?;
    Ok(0)
}

/// The first address of the /24.
fn gateway_of(own: Ipv4Addr) -> Result<Ipv4Addr, Failure> {
    let gateway = Ipv4Addr::from_bits(own.to_bits() & !0xff | 1);
    if own == gateway {
        return Err(Failure::Usage {
            what: format!("{own} is the gateway of the pods beside it"),
            next: "give the pod another address",
        });
    }
    Ok(gateway)
}

fn remove(path: &Path) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::kernel("remove", path.display().to_string(), e);
    umount2(path, MntFlags::MNT_DETACH).map_err(|e| failed(e.into()))?;
    fs::remove_file(path).map_err(failed)
}

/// A new network namespace, mounted at the file.
fn create(pod: &str, path: &Path) -> Result<File, Failure> {
    let at = path.display().to_string();
    let failed = |e: std::io::Error| Failure::kernel("create", at.clone(), e);
    fs::create_dir_all(NETWORKS).map_err(failed)?;
    File::create_new(path).map_err(failed)?;
    let created = std::thread::scope(|scope| {
        let within = || {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|e| Failure::kernel("create the network of", pod, e))?;
            namespace_sysctls::node()?;
            let this = Some("/proc/thread-self/ns/net");
            mount(this, path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .map_err(|e| Failure::kernel("mount", at.clone(), e))
        };
        scope.spawn(within).join()
    });
    let created = created.unwrap_or_else(|_panic| {
        Err(Failure::Died { what: format!("the thread that creates the network of {pod}") })
    });
    if let Err(failure) = created {
        // Nothing is mounted there.
        fs::remove_file(path).ok();
        return Err(failure);
    }
    File::open(path).map_err(failed)
}

/// Connects a pod's network to that of its node; returns the node's link.
async fn connect(
    node: &Net,
    (pod, path, network): (&str, &Path, &File),
    (own, gateway): (Ipv4Addr, Ipv4Addr),
) -> Result<u32, Failure> {
    let outside = format!("veth{pod}");
    let link = node.create_pod_link(&outside, (INSIDE, network)).await?;
    let inside = Net::at(path, pod)?;
    let local = inside.link("lo").await?.index;
    inside.set_up(local, true).await?;
    let eth = inside.link(INSIDE).await?.index;
    inside.add_address(eth, own, 32).await?;
    inside.set_up(eth, true).await?;
    node.add_address(link, gateway, 32).await?;
    node.set_up(link, true).await?;
    node.replace_route(direct(own, 32, link), "to the pod").await?;
    inside.replace_route(direct(gateway, 32, eth), "to the node").await?;
    inside.replace_route(via(Ipv4Addr::UNSPECIFIED, 0, gateway, eth), "default").await?;
    namespace_sysctls::set("ipv4/ip_forward", "1")?;
    Ok(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_pod_leads_out_of_no_directory() {
        assert_eq!(file("pod-1").unwrap(), Path::new("/run/netns/pod-1"));
        for bad in ["", "..", "a/b", "pod.1", "twelve-chars"] {
            assert!(file(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_gateway_of_pods_is_not_the_address_of_one() {
        let address = |last| Ipv4Addr::new(10, 244, 1, last);
        assert_eq!(gateway_of(address(5)).unwrap(), address(1));
        assert!(gateway_of(address(1)).is_err());
    }
}
