//! The process in the box that runs the cluster, and whose end is everybody's: what is in the box
//! dies with it, and it dies with the box.

use std::io::stdin;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use firecamp_testkit::kubernetes::Assets;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use vpcbox::client::Client;

use crate::home::Home;
use crate::settings::{self, COMPONENTS};
use crate::topology::{API_PORT, CONTROL, CONTROL_ADDRESS, WORKERS, Worker};
use crate::{Outcome, failed, node};

/// Between the end of a process and its next start.
const PAUSE: Duration = Duration::from_millis(300);

/// What is run, and run again when it ends.
enum Unit {
    /// A component of the control plane.
    Component(&'static str),
    /// A worker, which boots when its machine does.
    Worker(&'static str),
}

/// Whether a unit is to run; answered when it is so.
struct Order {
    wanted: bool,
    done: oneshot::Sender<()>,
}

type Orders = mpsc::Sender<Order>;

/// Runs the cluster until this process is ended. Standard input is the socket by which the API
/// server is reached from outside.
pub(crate) fn run(home: &Home) -> Outcome {
    node::tie()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed("start the runtime"))?;
    runtime.block_on(live(home))
}

async fn live(home: &Home) -> Outcome {
    let assets = Assets::find(&settings::PROGRAMS)?;
    let ports = stdin().as_fd().try_clone_to_owned().map_err(failed("the socket"))?;
    let ports = std::net::TcpListener::from(ports);
    ports.set_nonblocking(true).map_err(failed("the socket"))?;
    let ports = TcpListener::from_std(ports).map_err(failed("the socket"))?;
    let orders = UnixListener::bind(home.orders()).map_err(failed("listen for orders"))?;
    tokio::spawn(forward(ports));
    let mut units = Vec::new();
    for name in COMPONENTS {
        units.push((name, keep(home, &assets, Unit::Component(name))));
    }
    for Worker { name, .. } in WORKERS {
        units.push((name, keep(home, &assets, Unit::Worker(name))));
    }
    loop {
        let (stream, _from) = orders.accept().await.map_err(failed("take an order"))?;
        // Who gave it up does not wait for the answer.
        drop(obey(stream, &units).await);
    }
}

/// `start NAME` or `stop NAME` of a component or worker, answered with a line.
async fn obey(stream: UnixStream, units: &[(&str, Orders)]) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let (verb, name) = line.trim().split_once(' ').unwrap_or_default();
    let wanted = verb == "start";
    let found = units.iter().find(|(own, _)| *own == name && (wanted || verb == "stop"));
    let Some((_, orders)) = found else {
        return stream.get_mut().write_all(b"no such order\n").await;
    };
    let (done, answer) = oneshot::channel();
    if orders.send(Order { wanted, done }).await.is_ok() && answer.await.is_ok() {
        return stream.get_mut().write_all(b"done\n").await;
    }
    stream.get_mut().write_all(b"it is not kept any more\n").await
}

/// What comes in from outside goes to the API server.
async fn forward(ports: TcpListener) {
    loop {
        let Ok((mut from, _peer)) = ports.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        tokio::spawn(async move {
            if let Ok(mut to) = TcpStream::connect(api()).await {
                // A connection that breaks is its two ends' affair.
                drop(copy_bidirectional(&mut from, &mut to).await);
            }
        });
    }
}

fn api() -> SocketAddr {
    SocketAddr::from((CONTROL_ADDRESS, API_PORT))
}

/// Runs a unit from now on.
fn keep(home: &Home, assets: &Assets, unit: Unit) -> Orders {
    let (sender, mut orders) = mpsc::channel::<Order>(1);
    let (home, assets) = (home.clone(), assets.clone());
    tokio::spawn(async move {
        let mut wanted = true;
        loop {
            let mut child = if wanted { start(&home, &assets, &unit).await } else { None };
            let order = match &mut child {
                Some(child) => tokio::select! {
                    _ended = child.wait() => None,
                    order = orders.recv() => order,
                },
                None if wanted => None,
                None => orders.recv().await,
            };
            if let Some(order) = order {
                wanted = order.wanted;
                if let Some(mut child) = child {
                    // It may have ended by itself.
                    drop(child.kill().await);
                }
                // Who gave it may have lost patience.
                order.done.send(()).ok();
            } else {
                sleep(PAUSE).await;
            }
        }
    });
    sender
}

/// None if it cannot be now: the machine is off, or the API server is not there yet.
async fn start(home: &Home, assets: &Assets, unit: &Unit) -> Option<Child> {
    let first = matches!(unit, Unit::Component("etcd" | "kube-apiserver"));
    if !first {
        TcpStream::connect(api()).await.ok()?;
    }
    let socket = std::env::var_os("VPCBOX_SOCKET")?;
    let mut vpc = Client::connect(Path::new(&socket)).ok()?;
    let (mut command, log) = match unit {
        Unit::Component(name) => {
            let mut command =
                Command::from(vpc.exec(&home.vpcbox(), CONTROL, assets.program(name)));
            command.args(settings::flags(home, name));
            (command, home.control().join(format!("{name}.log")))
        }
        Unit::Worker(name) => {
            let place = vpc.place(name).ok()?;
            let mut command = Command::new("/proc/self/exe");
            command.arg("node").args(home.flags()).arg(name).arg(place.holder.to_string());
            (command, home.path(&format!("{name}.log")))
        }
    };
    let log = std::fs::OpenOptions::new().append(true).create(true).open(log).ok()?;
    let errors = log.try_clone().ok()?;
    command.stdin(Stdio::null()).stdout(log).stderr(errors).kill_on_drop(true);
    command.spawn().ok()
}
