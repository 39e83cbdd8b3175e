//! The supervisor: it runs inside the box, starts the control plane and the workers, and restarts
//! them. When it exits, all processes in the box are killed, and it is killed with the box.

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

use crate::external_dns::{EXTERNAL_DNS, MACHINE};
use crate::home::Home;
use crate::settings::{self, COMPONENTS};
use crate::topology::{API_PORT, CONTROL, CONTROL_ADDRESS, WORKERS, Worker};
use crate::{Outcome, failed, node};

/// Delay before a process that exited is restarted.
const PAUSE: Duration = Duration::from_millis(300);

/// A unit that the supervisor runs, and restarts when it exits.
enum Unit {
    /// A component of the control plane.
    Component(&'static str),
    /// A worker; it boots with its machine.
    Worker(&'static str),
}

/// A request to start or stop a unit. `done` reports that the supervisor applied it.
struct Order {
    wanted: bool,
    done: oneshot::Sender<()>,
}

type Orders = mpsc::Sender<Order>;

/// Runs the cluster until this process is killed. Standard input is a listening socket; its
/// connections are forwarded to the API server.
pub(crate) fn run(home: &Home) -> Outcome {
    node::die_with_parent()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed("start the runtime"))?;
    runtime.block_on(run_units(home))
}

async fn run_units(home: &Home) -> Outcome {
    let assets = Assets::find(&settings::PROGRAMS)?;
    let listener = stdin().as_fd().try_clone_to_owned().map_err(failed("the socket"))?;
    let listener = std::net::TcpListener::from(listener);
    listener.set_nonblocking(true).map_err(failed("the socket"))?;
    let listener = TcpListener::from_std(listener).map_err(failed("the socket"))?;
    let orders = UnixListener::bind(home.orders()).map_err(failed("listen for orders"))?;
    tokio::spawn(forward(listener));
    let mut units = Vec::new();
    for name in COMPONENTS {
        units.push((name, keep_running(home, &assets, Unit::Component(name))));
    }
    for Worker { name, .. } in WORKERS {
        units.push((name, keep_running(home, &assets, Unit::Worker(name))));
    }
    loop {
        let (stream, _from) = orders.accept().await.map_err(failed("take an order"))?;
        // If this fails, the client has closed the connection.
        drop(handle_order(stream, &units).await);
    }
}

/// Handles `start NAME` or `stop NAME` of a component or worker, and replies with one line.
async fn handle_order(stream: UnixStream, units: &[(&str, Orders)]) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let (verb, name) = line.trim().split_once(' ').unwrap_or_default();
    let wanted = verb == "start";
    let found = units.iter().find(|(own, _)| *own == name && (wanted || verb == "stop"));
    let Some((_, orders)) = found else {
        return stream.get_mut().write_all(b"unknown verb or unit\n").await;
    };
    let (done, answer) = oneshot::channel();
    if orders.send(Order { wanted, done }).await.is_ok() && answer.await.is_ok() {
        return stream.get_mut().write_all(b"done\n").await;
    }
    stream.get_mut().write_all(b"the supervisor no longer runs this unit\n").await
}

/// Forwards connections from outside the box to the API server.
async fn forward(listener: TcpListener) {
    loop {
        let Ok((mut from, _peer)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        tokio::spawn(async move {
            if let Ok(mut to) = TcpStream::connect(api()).await {
                // A broken connection concerns only its two ends.
                drop(copy_bidirectional(&mut from, &mut to).await);
            }
        });
    }
}

fn api() -> SocketAddr {
    SocketAddr::from((CONTROL_ADDRESS, API_PORT))
}

/// Starts a unit and keeps it running.
fn keep_running(home: &Home, assets: &Assets, unit: Unit) -> Orders {
    let (sender, mut orders) = mpsc::channel::<Order>(1);
    let (home, assets) = (home.clone(), assets.clone());
    tokio::spawn(async move {
        let mut wanted = !matches!(unit, Unit::Component(EXTERNAL_DNS));
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
                    // It may have exited already.
                    drop(child.kill().await);
                }
                // The client may have gone.
                order.done.send(()).ok();
            } else {
                sleep(PAUSE).await;
            }
        }
    });
    sender
}

/// None if the unit cannot start now: its machine is off, or the API server is not up yet.
async fn start(home: &Home, assets: &Assets, unit: &Unit) -> Option<Child> {
    let first = matches!(unit, Unit::Component("etcd" | "kube-apiserver"));
    if !first {
        TcpStream::connect(api()).await.ok()?;
    }
    let socket = std::env::var_os("VPCBOX_SOCKET")?;
    let mut vpc = Client::connect(Path::new(&socket)).ok()?;
    let (mut command, log) = match unit {
        Unit::Component(name) => {
            let program = settings::program(assets, name).ok()?;
            let machine = if *name == EXTERNAL_DNS { MACHINE } else { CONTROL };
            let mut command = Command::from(vpc.exec(&home.vpcbox(), machine, program));
            command.args(settings::flags(home, assets, name).ok()?);
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
