//! `vpcbox probe`: a minimal server and client, for machines without ping or nc.

mod http;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use nix::unistd::gethostname;

use super::arguments::{DialArguments, ProbeCommand, ServeArguments, StripArguments};
use super::{fields, print};
use crate::failure::Failure;
use crate::netlink;

/// The longest answer that is read.
const MAX_ANSWER: usize = 256;

/// `vpcbox probe`.
pub(super) fn run(command: ProbeCommand) -> Result<u8, Failure> {
    match command {
        ProbeCommand::Serve(arguments) => serve(&arguments),
        ProbeCommand::Dial(arguments) => dial(&arguments),
        ProbeCommand::Http(arguments) => http::run(&arguments),
        ProbeCommand::Strip(arguments) => strip(&arguments),
    }
}

fn serve(arguments: &ServeArguments) -> Result<u8, Failure> {
    let bind = arguments.bind;
    let failed = |e| Failure::kernel("listen on", bind.to_string(), e);
    let name = gethostname().map_err(|e| Failure::kernel("read", "the host name", e))?;
    let name = name.to_string_lossy().into_owned();
    let tcp = TcpListener::bind(bind).map_err(failed)?;
    let udp = UdpSocket::bind(bind).map_err(failed)?;
    print::out("serving\n")?;
    let datagrams = std::thread::spawn({
        let name = name.clone();
        move || answer_datagrams(&udp, &name)
    });
    for stream in tcp.incoming() {
        // A connection reset does not end the server.
        let written = stream.and_then(|mut stream| writeln!(stream, "{name}"));
        if let Err(error) = written {
            tracing::debug!(%error, "failed to answer a connection");
        }
    }
    drop(datagrams);
    Ok(0)
}

fn answer_datagrams(udp: &UdpSocket, name: &str) {
    let mut buffer = [0; MAX_ANSWER];
    loop {
        let answered =
            udp.recv_from(&mut buffer).and_then(|(_, from)| udp.send_to(name.as_bytes(), from));
        if let Err(error) = answered {
            tracing::debug!(%error, "failed to answer a datagram");
        }
    }
}

fn dial(arguments: &DialArguments) -> Result<u8, Failure> {
    let timeout = read_timeout(arguments.timeout)?;
    let answer = if arguments.udp {
        ask_datagram(arguments, timeout)
    } else if arguments.from.is_some() {
        return Err(fields::usage("--from needs --udp".to_owned()));
    } else {
        ask_connection(arguments.to, timeout)
    };
    let object = arguments.to.to_string();
    let name = answer.map_err(|error| no_answer(object, timeout, error))?;
    print::out(&format!("{}\n", name.trim())).map(|()| 0)
}

fn strip(arguments: &StripArguments) -> Result<u8, Failure> {
    let timeout = read_timeout(arguments.timeout)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::kernel("start", "a runtime", e))?;
    let away = runtime.block_on(netlink::measure_restore(arguments.address, timeout))?;
    print::out(&format!("restored after {}\n", away.as_micros())).map(|()| 0)
}

fn read_timeout(seconds: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|timeout| !timeout.is_zero())
        .ok_or_else(|| fields::usage(format!("--timeout {seconds}: not a valid duration")))
}

/// A missing answer has its own exit code: a VPC drops packets, it does not refuse them.
fn no_answer(object: String, timeout: Duration, error: io::Error) -> Failure {
    if !is_silence(&error) {
        return Failure::kernel("get an answer from", object, error);
    }
    Failure::TimedOut {
        what: format!("an answer from {object}"),
        seconds: timeout.as_secs_f64(),
        last: "silence".to_owned(),
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

fn ask_datagram(arguments: &DialArguments, timeout: Duration) -> io::Result<String> {
    let from = arguments.from.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let socket = UdpSocket::bind(SocketAddrV4::new(from, 0))?;
    socket.connect((IpAddr::V4(*arguments.to.ip()), arguments.to.port()))?;
    socket.set_read_timeout(Some(timeout))?;
    socket.send(b"who?")?;
    let mut buffer = vec![0; MAX_ANSWER];
    let length = socket.recv(&mut buffer)?;
    buffer.truncate(length);
    Ok(String::from_utf8_lossy(&buffer).into_owned())
}

fn ask_connection(to: SocketAddrV4, timeout: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to.into(), timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
