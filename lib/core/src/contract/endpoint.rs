//! The agent's endpoint, at which pods without privileges ask for their address
//! (`docs/endpoint.md`).

use std::time::Duration;

/// Where the agent listens by default: link-local (RFC 3927), outside the ranges that AWS reserves
/// (169.254.168.0/22), that pods of IPv6 clusters use (169.254.172.0/22), and that OVN uses
/// (169.254.0.0/17).
pub const DEFAULT: &str = "169.254.196.96:9814";
/// The link that has the address: a bridge without ports.
pub const LINK: &str = "firecamp0";
/// The audience of the pods' tokens.
pub const AUDIENCE: &str = "firecamp.io";
/// Where a pod has its token.
pub const TOKEN_FILE: &str = "/var/run/secrets/firecamp.io/token";
/// Where a member reads its address.
pub const ADDRESS_FILE: &str = "/run/firecamp.io/address";
/// Label of a pod: the pool of a member that has no address yet.
pub const POOL_LABEL: &str = "firecamp.io/pool";

/// Label of a pod: with the value [`NOT_INJECTED`] it carries everything itself.
pub const INJECT_LABEL: &str = "firecamp.io/inject";
/// The value of [`INJECT_LABEL`] with which nothing is injected.
pub const NOT_INJECTED: &str = "false";
/// Annotation of a pod: ranges, separated by commas, that Istio's sidecar leaves alone.
pub const ISTIO_EXCLUDES: &str = "traffic.sidecar.istio.io/excludeOutboundIPRanges";
/// Annotation of a pod: ports, separated by commas, that Linkerd's sidecar leaves alone.
pub const LINKERD_EXCLUDES: &str = "config.linkerd.io/skip-outbound-ports";
/// The injected init container.
pub const INIT_CONTAINER: &str = "firecamp-init";
/// The volume with the token.
pub const TOKEN_VOLUME: &str = "firecamp-token";
/// The volume with [`ADDRESS_FILE`].
pub const ADDRESS_VOLUME: &str = "firecamp-address";
/// How long a token is valid, in seconds; the kubelet renews it.
pub const TOKEN_SECONDS: u32 = 3600;

/// Path of an attach.
pub const ATTACH: &str = "/v1/attach";
/// Path of a release.
pub const RELEASE: &str = "/v1/release";
/// Path of the member's address.
pub const ADDRESS: &str = "/v1/address";

/// A request body is never longer.
pub const LONGEST_BODY: usize = 4 * 1024;
/// A token is never longer: the API server's are below 2 KiB.
pub const LONGEST_TOKEN: usize = 8 * 1024;
/// The head of a request is never longer.
pub const LONGEST_HEAD: usize = 16 * 1024;
/// A request must be complete after this long.
pub const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// A client must make room for the next line of its response within this time by reading, and read
/// the rest of it within this time from its last line on.
pub const RESPONSE_WITHIN: Duration = Duration::from_secs(5);
/// The longest release: as long as the longest grace period that is usual.
pub const LONGEST_RELEASE: Duration = Duration::from_hours(1);
/// More connections of pods with hostNetwork are closed at once, and as many of all others if they
/// are served. A node has at most 110 pods by default, and a member has two containers that ask.
pub const CONNECTIONS: usize = 256;
/// More connections from elsewhere are closed at once, if pods with a network of their own are not
/// served.
pub const CONNECTIONS_OF_OTHERS: usize = 16;
/// More connections of one pod with a network of its own are closed at once.
pub const CONNECTIONS_OF_POD: usize = 4;
/// More requests of one pod are refused until one of them ends.
pub const REQUESTS_OF_POD: usize = 4;
/// Tokens of pods with hostNetwork that may be reviewed at once, and as many from elsewhere; each
/// second adds [`REVIEWS_A_SECOND`]. Fifty members may start together.
pub const REVIEWS: f64 = 60.0;
/// Tokens that a pod with a network of its own may show at once; each second adds one.
pub const REVIEWS_OF_POD: f64 = 6.0;
/// See [`REVIEWS`].
pub const REVIEWS_A_SECOND: f64 = 10.0;
