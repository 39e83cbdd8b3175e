//! A node for one init container: a metadata service, and an EC2 that knows no ENI and denies every
//! other call. The VPC simulator's tests cover mutations.

use crate::http::{Request, Response, Server};

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

pub(crate) struct Node(Server);

impl Node {
    /// A node whose primary interface is in this subnet.
    pub(crate) fn in_subnet(subnet: &str, cidr: &str) -> Self {
        let (subnet, cidr) = (subnet.to_owned(), cidr.to_owned());
        let primary = cidr.split_once("0/").map(|(net, _)| format!("{net}250")).unwrap();
        Self(Server::new(move |request| {
            respond(request, |path| {
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
        }))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// The requested EC2 actions.
    pub(crate) fn ec2_calls(&self) -> Vec<String> {
        self.0.requests().iter().filter_map(|request| action(request).map(str::to_owned)).collect()
    }
}

fn action(request: &Request) -> Option<&str> {
    let is_call = request.line.starts_with("POST");
    request.body.split('&').find_map(|pair| pair.strip_prefix("Action=")).filter(|_| is_call)
}

fn respond(request: &Request, metadata: impl Fn(&str) -> Option<String>) -> Response {
    let path = request.line.strip_prefix("GET /latest/meta-data/");
    let (status, body) = match (action(request), path.and_then(metadata)) {
        (Some("DescribeNetworkInterfaces"), _) => ("200 OK", NO_INTERFACES.to_owned()),
        (Some(_), _) => ("403 Forbidden", REFUSED.to_owned()),
        (None, Some(text)) => ("200 OK", text),
        (None, None) if request.line.starts_with("PUT") => ("200 OK", "token".to_owned()),
        (None, None) => ("404 Not Found", String::new()),
    };
    Response { status, header: "x-aws-ec2-metadata-token-ttl-seconds: 21600", body }
}
