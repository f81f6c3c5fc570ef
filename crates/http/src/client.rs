//! Facts of who sent a request: given to handlers as an extension of the request.

use std::net::{IpAddr, SocketAddr};

/// Who sent a request, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// The client's own address: the peer's, unless a trusted proxy names another.
    pub address: IpAddr,
    /// Whether the client's side speaks TLS, here or at a trusted proxy.
    pub secure: bool,
    /// The host, with its port when there is one, that the client named; empty when it named none.
    pub authority: String,
}

impl Client {
    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}
