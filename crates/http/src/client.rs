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
    /// The certificate that the client proved to be its own, when it was asked for one.
    #[cfg(feature = "tls")]
    pub certificate: Option<std::sync::Arc<crate::tls::ClientCertificate>>,
}

impl Client {
    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// The host that the client named, in lower case and without a port.
    pub fn host(&self) -> String {
        let authority = self.authority.to_ascii_lowercase();
        let port = authority.rsplit_once(':').filter(|(_, port)| {
            // The colons of a bare address of IPv6 are within brackets.
            port.bytes().all(|byte| byte.is_ascii_digit())
        });
        port.map_or(authority.as_str(), |(host, _)| host).to_owned()
    }

    /// What stands before one of `domains` in the host that the client named: a virtual host.
    pub fn virtual_host(&self, domains: &[String]) -> Option<String> {
        let host = self.host();
        domains.iter().find_map(|domain| {
            let before = host
                .strip_suffix(&domain.to_ascii_lowercase())?
                .strip_suffix('.')?;
            (!before.is_empty()).then(|| before.to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_hosts_stand_before_a_domain() {
        let client = |authority: &str| Client {
            peer: "127.0.0.1:1".parse().unwrap(),
            address: "127.0.0.1".parse().unwrap(),
            secure: false,
            authority: authority.to_owned(),
            #[cfg(feature = "tls")]
            certificate: None,
        };
        let domains = ["s3.example".to_owned()];
        let named = |authority: &str| client(authority).virtual_host(&domains);
        assert_eq!(
            named("My.Bucket.S3.example:9000").as_deref(),
            Some("my.bucket")
        );
        for none in [
            "s3.example",
            ".s3.example",
            "as3.example",
            "example",
            "",
            "[::1]:80",
        ] {
            assert_eq!(named(none), None, "{none}");
        }
        assert_eq!(client("[::1]:80").host(), "[::1]");
        assert_eq!(client("[::1]").host(), "[::1]");
    }
}
