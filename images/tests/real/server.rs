//! Minimal DNS, metadata and TLS servers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// The maximum time until a program connects.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);

/// A DNS server on the loopback that resolves one name and reports all questions.
pub(crate) fn resolver(known: &'static str) -> Receiver<String> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).unwrap();
    let (sender, questions) = channel();
    thread::spawn(move || {
        let mut packet = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            let (name, answer) = answer(&packet[..length], known);
            socket.send_to(&answer, from).unwrap();
            drop(sender.send(name));
        }
    });
    questions
}

/// The name in a DNS question, and the answer: 127.0.0.1, no record of this type, or NXDOMAIN.
fn answer(question: &[u8], known: &str) -> (String, Vec<u8>) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while question[at] != 0 {
        let length = usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..=at + length]).into_owned());
        at += length + 1;
    }
    let end = at + 5;
    let name = labels.join(".");
    let is_address = question[at + 1..at + 3] == [0, 1];
    let found = name == known && is_address;
    let code = if name == known { 0x80 } else { 0x83 };
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, code, 0, 1, 0, u8::from(found), 0, 0, 0, 0]);
    answer.extend(&question[12..end]);
    if found {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    (name, answer)
}

/// A TLS port that reports the first ClientHello with this server name (SNI), and completes no
/// handshake.
pub(crate) fn tls_port(port: u16, name: &'static str) -> Receiver<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (sender, clients) = channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut hello = [0; 4096];
            let length = stream.read(&mut hello).unwrap_or_default();
            // A handshake record that contains the name.
            let received = &hello[..length];
            if received.first() == Some(&22)
                && received.windows(name.len()).any(|it| it == name.as_bytes())
            {
                drop(sender.send(name.to_owned()));
            }
        }
    });
    clients
}

/// The metadata of an instance with one interface.
const METADATA: [(&str, &str); 12] = [
    ("instance-id", "i-0123456789abcdef0"),
    ("instance-type", "t3.small"),
    ("placement/availability-zone", "us-east-1a"),
    ("placement/region", "us-east-1"),
    ("mac", "02:00:00:00:00:01"),
    ("network/interfaces/macs/", "02:00:00:00:00:01/"),
    ("network/interfaces/macs/02:00:00:00:00:01/interface-id", "eni-0123456789abcdef0"),
    ("network/interfaces/macs/02:00:00:00:00:01/device-number", "0"),
    ("network/interfaces/macs/02:00:00:00:00:01/subnet-id", "subnet-0123456789abcdef0"),
    ("network/interfaces/macs/02:00:00:00:00:01/subnet-ipv4-cidr-block", "10.0.1.0/24"),
    ("network/interfaces/macs/02:00:00:00:00:01/local-ipv4s", "10.0.1.7"),
    ("local-ipv4", "10.0.1.7"),
];

/// A metadata service at this address.
pub(crate) fn metadata(address: Ipv4Addr) {
    let listener = TcpListener::bind((address, 80)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || drop(respond(stream)));
        }
    });
}

fn respond(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.extend(byte);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let key = path.strip_prefix("/latest/meta-data/").unwrap_or_default();
    let known = METADATA.iter().find(|(known, _)| *known == key).map(|(_, text)| *text);
    let (status, text) = match known {
        _ if request.starts_with("PUT /latest/api/token ") => ("200 OK", "a-token"),
        Some(text) => ("200 OK", text),
        None => ("404 Not Found", ""),
    };
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Type: text/plain\r\n\
         x-aws-ec2-metadata-token-ttl-seconds: 21600\r\nConnection: close\r\n\r\n{text}"
    )
}
