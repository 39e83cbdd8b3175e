//! A plain HTTP request.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use super::super::arguments::HttpArguments;
use super::super::{fields, print};
use crate::failure::{Failure, exit};

/// The longest answer that is read.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;

/// `vpcbox probe http`.
pub(super) fn run(arguments: &HttpArguments) -> Result<u8, Failure> {
    let (to, path) = parse(&arguments.url)?;
    let timeout = super::read_timeout(arguments.timeout)?;
    let answer = exchange(to, &request(arguments, to, path), timeout)
        .map_err(|error| super::no_answer(arguments.url.clone(), timeout, error))?;
    let text = String::from_utf8_lossy(&answer);
    if !arguments.body_only {
        print::out(&text.replace("\r\n", "\n"))?;
        return Ok(0);
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    print::out(body)?;
    let good = head.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
    Ok(if good { 0 } else { exit::REFUSED })
}

fn parse(url: &str) -> Result<(SocketAddrV4, &str), Failure> {
    let bare = url.strip_prefix("http://").unwrap_or(url);
    let (host, path) = bare.find('/').map_or((bare, "/"), |slash| bare.split_at(slash));
    let to = host
        .parse::<SocketAddrV4>()
        .or_else(|_no_port| host.parse::<Ipv4Addr>().map(|ip| SocketAddrV4::new(ip, 80)))
        .map_err(|error| fields::usage(format!("{url:?} is not ADDRESS[:PORT]/PATH: {error}")))?;
    Ok((to, path))
}

fn request(arguments: &HttpArguments, to: SocketAddrV4, path: &str) -> String {
    let HttpArguments { method, header, body, .. } = arguments;
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", to.ip());
    for line in header {
        text.push_str(line);
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        let length = body.len().to_string();
        text.extend(["Content-Length: ", &length, "\r\n"]);
    }
    text.push_str("Connection: close\r\n\r\n");
    text.push_str(body);
    text
}

fn exchange(to: SocketAddrV4, request: &str, timeout: Duration) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&to.into(), timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "connection closed without a response",
        ));
    }
    Ok(answer)
}
