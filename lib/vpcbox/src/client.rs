//! A typed client of a box, for demos and tests. It is blocking: each call is one line in each
//! direction over a Unix socket, well under a millisecond.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use firecamp_vpc::{Act, FaultSpec};
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::failure::Failure;
use crate::namespace::SOCKET;
use crate::protocol::{
    Address, Call, Condition, Hello, KernelAct, Place, RefusalKind, Reply, Request, RouterEvent,
    Truth,
};

/// A connection to a box. The box answers the requests of one connection in order.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
    /// The process ID of the box's `vpcbox run`, if this process is outside of the box.
    outer: Option<u32>,
    hello: Hello,
    clock: Clock,
}

impl Client {
    /// Connects to the admin socket at this path: inside a box, the value of `VPCBOX_SOCKET`.
    pub fn connect(path: &Path) -> Result<Self, Failure> {
        let failed = |source| Failure::Unreachable { socket: path.display().to_string(), source };
        let stream = UnixStream::connect(path).map_err(failed)?;
        let mut client = Self {
            stream: BufReader::new(stream),
            path: path.to_owned(),
            outer: None,
            hello: Hello {
                version: String::new(),
                outer: 0,
                clock_origin_ns: 0,
                profile: String::new(),
                seed: 0,
            },
            clock: Clock::with_origin_ns(0),
        };
        client.hello = client.ask(&Request::Hello)?;
        client.clock = Clock::with_origin_ns(client.hello.clock_origin_ns);
        Ok(client)
    }

    /// Connects from outside to the box whose `vpcbox run` has this process ID.
    pub fn attach(outer: u32) -> Result<Self, Failure> {
        let client = Self::connect(&socket_of(outer))?;
        Ok(Self { outer: Some(outer), ..client })
    }

    /// The box's clock, which this process can read without a request.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The box's identity and settings.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The actual state.
    pub fn truth(&mut self) -> Result<Truth, Failure> {
        self.ask(&Request::Truth)
    }

    /// The actual state with every field that the box reports.
    pub fn truth_json(&mut self) -> Result<serde_json::Value, Failure> {
        self.ask(&Request::Truth)
    }

    /// The state of one address; `None` if no ENI ever held it.
    pub fn address(&mut self, address: Ipv4Addr) -> Result<Option<Address>, Failure> {
        Ok(self.truth()?.addresses.into_iter().find(|record| record.address == address))
    }

    /// The calls with a number above `since` (0: all), in order of arrival.
    pub fn calls(&mut self, since: u64) -> Result<Vec<Call>, Failure> {
        self.ask(&Request::Calls { since })
    }

    /// Changes of the router's routes with a number above `since` (0: all).
    pub fn router(&mut self, since: u64) -> Result<Vec<RouterEvent>, Failure> {
        self.ask(&Request::Router { since })
    }

    /// Sets a fault and returns its ID.
    pub fn fault_set(&mut self, spec: FaultSpec) -> Result<u64, Failure> {
        self.ask(&Request::FaultSet { spec })
    }

    /// The faults that are set, with their counters.
    pub fn fault_list(&mut self) -> Result<Vec<serde_json::Value>, Failure> {
        self.ask(&Request::FaultList)
    }

    /// Clears a fault, or all, and returns their final status.
    pub fn fault_clear(&mut self, id: Option<u64>) -> Result<Vec<serde_json::Value>, Failure> {
        self.ask(&Request::FaultClear { id })
    }

    /// Performs an action of another party in the VPC, now.
    pub fn act(&mut self, act: Act) -> Result<(), Failure> {
        self.ask(&Request::Act { act })
    }

    /// Performs an action on the kernel of a node, now.
    pub fn kernel(&mut self, act: KernelAct) -> Result<(), Failure> {
        self.ask::<serde_json::Value>(&Request::Kernel { act }).map(drop)
    }

    /// Waits until the condition holds.
    pub fn wait(&mut self, condition: &Condition, timeout: Duration) -> Result<(), Failure> {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.ask(&Request::Wait { condition: condition.clone(), timeout_ms })
    }

    /// How to enter a node or client.
    pub fn place(&mut self, name: &str) -> Result<Place, Failure> {
        self.ask(&Request::Enter { name: name.to_owned() })
    }

    /// A command that runs `program` in a node or client: `VPCBOX exec NODE -- PROGRAM`. Inside the
    /// box the process becomes the program; outside it is a parent that forwards signals, and whose
    /// death kills the program. Added arguments belong to the program; so does the environment,
    /// except AWS and proxy variables.
    pub fn exec(&self, vpcbox: &Path, node: &str, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(vpcbox);
        command.arg("exec");
        match self.outer {
            Some(outer) => command.arg("--box").arg(outer.to_string()),
            None => command.arg("--socket").arg(&self.path),
        };
        command.arg(node).arg("--").arg(program);
        command
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Failure> {
        let exchanged = self.exchange(request);
        let failed = |source: io::Error| Failure::Unreachable {
            socket: self.path.display().to_string(),
            source,
        };
        let line = exchanged.map_err(failed)?;
        let reply: Reply = serde_json::from_str(&line).map_err(|e| failed(e.into()))?;
        match reply {
            Reply::Ok(value) => serde_json::from_value(value).map_err(|e| failed(e.into())),
            Reply::Error(refusal) => Err(match refusal.kind {
                RefusalKind::Refused => {
                    Failure::Refused { request: describe(request), reason: refusal.reason }
                }
                RefusalKind::TimedOut => timed_out(request, refusal.reason),
            }),
        }
    }

    fn exchange(&mut self, request: &Request) -> io::Result<String> {
        let mut text = serde_json::to_vec(request)?;
        text.push(b'\n');
        self.stream.get_mut().write_all(&text)?;
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the box has ended"));
        }
        Ok(line)
    }
}

/// The admin socket of a box, seen from outside of it.
pub fn socket_of(outer: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{outer}/root{SOCKET}"))
}

fn describe(request: &Request) -> String {
    serde_json::to_string(request).unwrap_or_default()
}

fn timed_out(request: &Request, last: String) -> Failure {
    let Request::Wait { condition, timeout_ms } = request else {
        return Failure::TimedOut { what: describe(request), seconds: 0.0, last };
    };
    let what = serde_json::to_string(condition).unwrap_or_default();
    let seconds = Duration::from_millis(*timeout_ms).as_secs_f64();
    Failure::TimedOut { what, seconds, last }
}
