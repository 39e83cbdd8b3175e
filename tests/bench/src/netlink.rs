//! Measures netlink alone: the real kernel in namespaces of this process.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use firecamp_core::contract::{kernel, path};
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::{Epoch, Mac, PodUid};
use firecamp_core::ports::{Holder, HostNet, KernelTarget, Routing};
use firecamp_host::{HostTimeouts, LinuxHost};
use firecamp_testkit::netns::{Net, enter};
use tokio::time::Instant;

use crate::args::KernelArguments;
use crate::failure::Failure;
use crate::samples::Samples;

/// The number of other addresses on the node, and the suffix of the figures' names.
const SIZES: [(u32, &str); 3] = [(0, ""), (49, ".50"), (499, ".500")];

/// Runs this program again in its own namespaces.
pub(crate) fn in_namespaces(bench: &Path, rounds: u32) -> Result<Samples, Failure> {
    let mut command = Command::new(bench);
    command.args(["kernel", "--rounds", &rounds.to_string()]);
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let ended = command.output().map_err(Failure::of("measure netlink"))?;
    if !ended.status.success() {
        return Err(Failure::new(format!(
            "failed to measure netlink: the process ended with {}",
            ended.status
        )));
    }
    Ok(Samples::read(&String::from_utf8_lossy(&ended.stdout)))
}

/// A node with a primary and a secondary ENI.
struct Node {
    net: Net,
    /// The peers of the veth links; dropping it removes the links.
    _router: Net,
    host: LinuxHost,
    suffix: &'static str,
    primary: KernelTarget,
    secondary: KernelTarget,
}

/// The part in the namespaces. The sizes alternate.
pub(crate) fn kernel(arguments: &KernelArguments) -> Result<(), Failure> {
    enter();
    let nodes: Result<Vec<Node>, Failure> = SIZES.iter().map(Node::new).collect();
    let nodes = nodes?;
    let mut samples = Samples::default();
    for epoch in 1..=u64::from(arguments.rounds) {
        for node in &nodes {
            let cycle = node.net.block_on(|| node.cycle(Epoch(epoch)));
            samples.join(cycle.map_err(|failure| Failure::new(failure.detail))?);
        }
    }
    samples.print().map_err(Failure::of("print"))
}

impl Node {
    fn new((others, suffix): &(u32, &'static str)) -> Result<Self, Failure> {
        let (net, router) = (Net::new(), Net::new());
        net.veth("eth0", &router, "port0");
        net.veth("eth1", &router, "port1");
        net.add_address("eth0", Ipv4Addr::new(10, 0, 0, 4), 16, None);
        net.add_address("eth1", Ipv4Addr::new(10, 1, 0, 4), 16, None);
        for number in 0..*others {
            let address = Ipv4Addr::from(0x0a00_0200 + number);
            net.add_address("eth0", address, 32, Some(kernel::PROTOCOL));
        }
        let run_dir = format!("{}{suffix}", path::RUN_DIR);
        let target = |link: &str, address, routing| KernelTarget {
            address,
            mac: Mac::from_bytes(net.mac(link)),
            routing,
        };
        let subnet = "10.1.0.0/16".parse().map_err(Failure::of("10.1.0.0/16"))?;
        let table = kernel::TABLE_BASE.saturating_add(1);
        let routing = Routing { table, gateway: Ipv4Addr::new(10, 1, 0, 1), subnet };
        let primary = target("eth0", Ipv4Addr::new(10, 0, 1, 10), None);
        let secondary = target("eth1", Ipv4Addr::new(10, 1, 1, 10), Some(routing));
        let host = LinuxHost::new(Path::new(&run_dir), HostTimeouts::default());
        Ok(Self { net, _router: router, host, suffix, primary, secondary })
    }

    /// Adds, reads and removes an address and its routing.
    async fn cycle(&self, epoch: Epoch) -> Result<Samples, HostFailure> {
        let holder = Holder { pod: pod()?, epoch };
        let mut samples = Samples::default();
        let mut note = |what: &str, took: Duration| {
            samples.add(format!("kernel.{what}{}", self.suffix), took.as_secs_f64() * 1e6);
        };
        let (host, target) = (&self.host, &self.primary);
        note("add", timed(host.add_address(target, &holder)).await?);
        note("observe", timed(host.observe(target)).await?);
        note("sockets", timed(host.sockets(target.address)).await?);
        note("remove", timed(host.remove_address(target.address, &holder)).await?);
        let target = &self.secondary;
        host.add_address(target, &holder).await?;
        note("route", timed(host.add_routing(target, &holder)).await?);
        host.remove_address(target.address, &holder).await?;
        note("unroute", timed(host.remove_routing(target.address, &holder)).await?);
        Ok(samples)
    }
}

fn pod() -> Result<PodUid, HostFailure> {
    PodUid::new("bench").map_err(|wrong| HostFailure {
        kind: firecamp_core::failure::HostKind::Refused,
        detail: wrong.to_string(),
    })
}

async fn timed<T>(
    work: impl Future<Output = Result<T, HostFailure>>,
) -> Result<Duration, HostFailure> {
    let begun = Instant::now();
    work.await?;
    Ok(begun.elapsed())
}
