//! A client that connects every 10 ms, all along, and prints what came of each attempt:
//! `FROM_US TO_US NODE POD`, or `FROM_US TO_US` if nobody answered.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use vpcbox::clock::Clock;

/// Between the beginnings of two attempts, unless one takes longer.
const EVERY: Duration = Duration::from_millis(10);
/// Below the kernel's first retransmission after 1 s, so that no attempt outlives a silence.
const PATIENCE: Duration = Duration::from_millis(50);

/// Dials until it is killed, or nobody reads any more.
pub(crate) fn run(address: Ipv4Addr, origin: &str) -> io::Result<()> {
    let origin = origin.parse().map_err(io::Error::other)?;
    let clock = Clock::with_origin_ns(origin);
    let at = SocketAddr::from((address, crate::PORT));
    let mut out = io::stdout();
    loop {
        let from = clock.now();
        // Silence is an answer here.
        let answer = ask(at).unwrap_or_default();
        let to = clock.now();
        let line = format!("{} {} {}\n", from.as_micros(), to.as_micros(), answer.trim());
        out.write_all(line.as_bytes())?;
        out.flush()?;
        thread::sleep(EVERY.saturating_sub(to.saturating_sub(from)));
    }
}

fn ask(at: SocketAddr) -> io::Result<String> {
    let stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}
