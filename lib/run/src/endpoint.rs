//! The agent's endpoint as its clients and the agent see it: the protocol, and the client of init
//! and stop container. `docs/endpoint.md` specifies the protocol.

mod client;
mod protocol;
mod request;
mod response;

pub use self::client::EndpointClient;
pub use self::protocol::{
    AddressResponse, AttachRequest, DrainScope, Outcome, ReleaseRequest, ResponseLine,
};
pub use self::request::{Asked, BadRequest, ClientToken, read_request};
pub use self::response::{LongLine, ResponseReader};
