//! A client that connects every 10 ms and prints the result of each attempt:
//! `FROM_US TO_US NODE POD`, or `FROM_US TO_US` without an answer.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use vpcbox::clock::Clock;

/// From the start of one attempt to the start of the next, unless the attempt takes longer.
const INTERVAL: Duration = Duration::from_millis(10);
/// Shorter than the kernel's first retransmission after 1 s, so that an attempt during an outage
/// fails instead of succeeding later.
const TIMEOUT: Duration = Duration::from_millis(50);

/// Connects until the process is killed or its standard output is closed.
pub(crate) fn run(address: Ipv4Addr, origin: &str) -> io::Result<()> {
    let origin = origin.parse().map_err(io::Error::other)?;
    let clock = Clock::with_origin_ns(origin);
    let at = SocketAddr::from((address, crate::PORT));
    let mut out = io::stdout();
    loop {
        let from = clock.now();
        // A failed attempt is a result, too.
        let answer = connect(at).unwrap_or_default();
        let to = clock.now();
        let line = format!("{} {} {}\n", from.as_micros(), to.as_micros(), answer.trim());
        out.write_all(line.as_bytes())?;
        out.flush()?;
        thread::sleep(INTERVAL.saturating_sub(to.saturating_sub(from)));
    }
}

fn connect(at: SocketAddr) -> io::Result<String> {
    let stream = TcpStream::connect_timeout(&at, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}
