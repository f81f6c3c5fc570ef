//! What proxies say of the client that they speak for: believed of trusted ones, ignored of others.
//!
//! The chain is walked from the end that is known: an address counts as long as whoever named it is
//! trusted, so a client can put what it likes at the other end and gains nothing.

use crate::network::Network;
use crate::parameters::Parameterized;
use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use std::net::{IpAddr, SocketAddr};

/// Hops that are followed.
const HOPS_MAX: usize = 32;

/// Which headers the trusted proxies write. The other kind is ignored, since a proxy that does not
/// write it passes on what the client put there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeaders {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The proxies that are trusted, and how they speak.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Where they are.
    pub networks: Vec<Network>,
    /// Which headers they write.
    pub headers: ProxyHeaders,
    /// Whether each of their connections begins with a header of the PROXY protocol.
    pub protocol: bool,
}

/// What is known of a client behind proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) address: IpAddr,
    pub(crate) secure: Option<bool>,
    pub(crate) host: Option<String>,
}

/// What one proxy says of whoever sent it the request.
#[derive(Default)]
struct Hop {
    address: Option<IpAddr>,
    proto: Option<String>,
    host: Option<String>,
}

impl Origin {
    /// The peer itself.
    pub(crate) fn of(peer: IpAddr) -> Self {
        Origin {
            address: peer.to_canonical(),
            secure: None,
            host: None,
        }
    }
}

impl Proxies {
    /// Whether a trusted proxy is at this address.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }

    /// Who a request came from, by what trusted proxies say.
    pub(crate) fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> Origin {
        let mut origin = Origin::of(peer);
        if !self.trusts(peer) {
            return origin;
        }
        let hops = match self.headers {
            ProxyHeaders::Forwarded => forwarded(headers),
            ProxyHeaders::XForwarded => x_forwarded(headers),
        };
        for hop in hops.into_iter().rev().take(HOPS_MAX) {
            if !self.trusts(origin.address) {
                break;
            }
            if let Some(proto) = hop.proto {
                origin.secure = Some(proto.eq_ignore_ascii_case("https"));
            }
            origin.host = hop.host.or(origin.host);
            match hop.address {
                Some(address) => origin.address = address.to_canonical(),
                // A hidden or unknown client: nothing beyond it can be told.
                None => break,
            }
        }
        origin
    }
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let lines = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .collect()
}

fn x_forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let named = |name| values(headers, &HeaderName::from_static(name));
    let (addresses, protos, hosts) = (
        named("x-forwarded-for"),
        named("x-forwarded-proto"),
        named("x-forwarded-host"),
    );
    // Each proxy adds its client's address, while most set the others to one value: then it is what
    // the last of them saw.
    let of = |list: &[&str], at: usize| {
        let value = match list.len() == addresses.len() {
            true => list.get(at),
            false if at + 1 == addresses.len().max(1) => list.last(),
            false => None,
        };
        value
            .map(|value| (*value).to_owned())
            .filter(|value| !value.is_empty())
    };
    let hop = |at: usize| Hop {
        address: addresses.get(at).and_then(|text| address(text)),
        proto: of(&protos, at),
        host: of(&hosts, at),
    };
    (0..addresses.len().max(1)).map(hop).collect()
}

fn forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let elements = values(headers, &FORWARDED).into_iter();
    elements
        .map(|element| {
            // Parameters without a value before them.
            let Ok(parsed) = Parameterized::parse(&format!(";{element}")) else {
                return Hop::default();
            };
            Hop {
                address: parsed.parameter("for").and_then(address),
                proto: parsed.parameter("proto").map(str::to_owned),
                host: parsed.parameter("host").map(str::to_owned),
            }
        })
        .collect()
}

/// An address, with a port or without, one of IPv6 in brackets or bare.
fn address(text: &str) -> Option<IpAddr> {
    let socket = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse().ok().or_else(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(headers: ProxyHeaders, peer: &str, pairs: &[(&'static str, &str)]) -> Origin {
        let proxies = Proxies {
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            headers,
            protocol: false,
        };
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        proxies.origin(peer.parse().unwrap(), &map)
    }

    fn told(address: &str, secure: Option<bool>, host: Option<&str>) -> Origin {
        Origin {
            address: address.parse().unwrap(),
            secure,
            host: host.map(str::to_owned),
        }
    }

    #[test]
    fn x_forwarded_is_believed_up_to_the_first_stranger() {
        let ask = |peer: &str, pairs: &[(&'static str, &str)]| {
            origin(ProxyHeaders::XForwarded, peer, pairs)
        };
        let chain = ("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.2");
        assert_eq!(ask("10.0.0.1", &[chain]), told("1.2.3.4", None, None));
        assert_eq!(ask("9.9.9.9", &[chain]), told("9.9.9.9", None, None));
        let all = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "a.example"),
        ];
        assert_eq!(
            ask("10.0.0.1", &all),
            told("1.2.3.4", Some(true), Some("a.example"))
        );
        assert_eq!(ask("9.9.9.9", &all), told("9.9.9.9", None, None));
        // Of the other kind nothing is believed.
        let other = [("forwarded", "for=6.6.6.6;proto=https")];
        assert_eq!(ask("10.0.0.1", &other), told("10.0.0.1", None, None));
        let nonsense = [("x-forwarded-for", "1.2.3.4, what")];
        assert_eq!(ask("10.0.0.1", &nonsense), told("10.0.0.1", None, None));
        let split = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-for", "10.0.0.9"),
        ];
        assert_eq!(ask("10.0.0.1", &split), told("1.2.3.4", None, None));
        let proto = [("x-forwarded-proto", "https")];
        assert_eq!(ask("10.0.0.1", &proto), told("10.0.0.1", Some(true), None));
    }

    #[test]
    fn forwarded_is_read_in_all_its_forms() {
        let ask =
            |value: &str| origin(ProxyHeaders::Forwarded, "10.0.0.1", &[("forwarded", value)]);
        assert_eq!(
            ask(
                "for=6.6.6.6, For=\"[2001:db8::1]:4711\";proto=http;host=a:1, for=10.0.0.2;proto=https"
            ),
            told("2001:db8::1", Some(false), Some("a:1"))
        );
        assert_eq!(ask("for=1.2.3.4:80"), told("1.2.3.4", None, None));
        assert_eq!(
            ask("for=_hidden;proto=https"),
            told("10.0.0.1", Some(true), None)
        );
        assert_eq!(ask("for=1.2.3.4, ;;="), told("10.0.0.1", None, None));
    }
}
