//! A node for one init container: a metadata service, and an EC2 that knows no ENI and denies every
//! other call. The VPC simulator's tests cover mutations.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A MAC without a link.
pub(crate) const MAC: &str = "0a:f1:5e:ca:3b:9d";
/// The ENI with that MAC.
pub(crate) const ENI: &str = "eni-0fedcba9876543210";
const NO_INTERFACES: &str = "<DescribeNetworkInterfacesResponse \
    xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r-1</requestId>\
    <networkInterfaceSet/></DescribeNetworkInterfacesResponse>";
const REFUSED: &str = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are \
    not authorized to perform this operation.</Message></Error></Errors>\
    <RequestID>r-2</RequestID></Response>";

pub(crate) struct Node {
    address: SocketAddr,
    ec2: Arc<Mutex<Vec<String>>>,
}

impl Node {
    /// A node whose primary interface is in this subnet.
    pub(crate) fn in_subnet(subnet: &str, cidr: &str) -> Self {
        let (subnet, cidr) = (subnet.to_owned(), cidr.to_owned());
        let primary = cidr.split_once("0/").map(|(net, _)| format!("{net}250")).unwrap();
        Self::serving(move |path| {
            let of_eni = format!("network/interfaces/macs/{MAC}/");
            let key = path.strip_prefix(&of_eni).unwrap_or(path);
            Some(match key {
                "instance-id" => "i-0123456789abcdef0".to_owned(),
                "instance-type" => "m6i.large".to_owned(),
                "placement/availability-zone" => "eu-west-1b".to_owned(),
                "placement/region" => "eu-west-1".to_owned(),
                "mac" => MAC.to_owned(),
                "network/interfaces/macs/" => format!("{MAC}/"),
                "interface-id" => ENI.to_owned(),
                "device-number" => "0".to_owned(),
                "subnet-id" => subnet.clone(),
                "subnet-ipv4-cidr-block" => cidr.clone(),
                "local-ipv4s" => primary.clone(),
                _ => return None,
            })
        })
    }

    fn serving(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ec2 = Arc::new(Mutex::new(Vec::new()));
        let actions = Arc::clone(&ec2);
        thread::spawn(move || {
            for connection in listener.incoming() {
                // Ignore clients that close the connection.
                connection.and_then(|it| serve(&it, &answer, &actions)).ok();
            }
        });
        Self { address, ec2 }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requested EC2 actions.
    pub(crate) fn ec2_calls(&self) -> Vec<String> {
        self.ec2.lock().unwrap().clone()
    }
}

fn serve(
    connection: &TcpStream,
    answer: &impl Fn(&str) -> Option<String>,
    actions: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if header.trim().is_empty() {
            break;
        }
        let lower = header.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, text) = respond(&request, &String::from_utf8_lossy(&body), answer, actions);
    let length = text.len();
    let mut connection = connection;
    write!(
        connection,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\
         x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\r\n{text}"
    )
}

fn respond(
    request: &str,
    body: &str,
    answer: &impl Fn(&str) -> Option<String>,
    actions: &Mutex<Vec<String>>,
) -> (&'static str, String) {
    let path = request.split(' ').nth(1).unwrap_or_default();
    if request.starts_with("POST") {
        let action = body.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap();
        actions.lock().unwrap().push(action.to_owned());
        return if action == "DescribeNetworkInterfaces" {
            ("200 OK", NO_INTERFACES.to_owned())
        } else {
            ("403 Forbidden", REFUSED.to_owned())
        };
    }
    if request.starts_with("PUT") {
        return ("200 OK", "token".to_owned());
    }
    match path.strip_prefix("/latest/meta-data/").and_then(answer) {
        Some(text) => ("200 OK", text),
        None => ("404 Not Found", String::new()),
    }
}
