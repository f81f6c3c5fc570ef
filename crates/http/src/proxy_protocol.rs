//! The PROXY protocol, versions 1 and 2: how a proxy that passes bytes on says whose they are.
//!
//! Read only where it is expected, and then it must be there. No I/O; what is read is bounded.

use bytes::{Buf, BytesMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest line of version 1, with its end.
const LINE_BYTES_MAX: usize = 107;
/// What version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Most bytes of addresses and extensions in version 2.
const BLOCK_BYTES_MAX: usize = 4096;
/// The extension that tells of TLS, and its flag for it.
const EXTENSION_TLS: u8 = 0x20;
const TLS_IN_USE: u8 = 1;

/// What a header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Relayed {
    /// The client; none when the proxy speaks for itself.
    pub(crate) client: Option<SocketAddr>,
    /// Whether the client speaks TLS to the proxy.
    pub(crate) secure: bool,
}

/// Takes a header from the start of what was received; none when more bytes are needed.
pub(crate) fn take(received: &mut BytesMut) -> Result<Option<Relayed>, &'static str> {
    let start = received.len().min(SIGNATURE.len());
    if received.get(..start) == SIGNATURE.get(..start) {
        return take_binary(received);
    }
    let start = received.len().min(6);
    if received.get(..start) != b"PROXY ".get(..start) {
        return Err("a connection of a proxy does not begin with a PROXY header");
    }
    let Some(end) = received.windows(2).position(|pair| pair == b"\r\n") else {
        return if received.len() >= LINE_BYTES_MAX {
            Err("a PROXY line is too long")
        } else {
            Ok(None)
        };
    };
    if end + 2 > LINE_BYTES_MAX {
        return Err("a PROXY line is too long");
    }
    let line = received.split_to(end + 2);
    let text = line
        .get(..end)
        .and_then(|line| std::str::from_utf8(line).ok());
    text.and_then(parse_line)
        .map(Some)
        .ok_or("a PROXY line is malformed")
}

/// Digits alone: a sign is none.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

fn parse_line(line: &str) -> Option<Relayed> {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Some(Relayed::default()),
        ["PROXY", family, source, target, source_port, target_port] => {
            let (source, target): (IpAddr, IpAddr) = (source.parse().ok()?, target.parse().ok()?);
            let fits = match *family {
                "TCP4" => source.is_ipv4() && target.is_ipv4(),
                "TCP6" => source.is_ipv6() && target.is_ipv6(),
                _ => false,
            };
            let _port: u16 = port(target_port)?;
            let client = SocketAddr::new(source, port(source_port)?);
            fits.then_some(Relayed {
                client: Some(client),
                secure: false,
            })
        }
        _ => None,
    }
}

fn take_binary(received: &mut BytesMut) -> Result<Option<Relayed>, &'static str> {
    let Some(head) = received.get(SIGNATURE.len()..SIGNATURE.len() + 4) else {
        return Ok(None);
    };
    let [command, family, high, low] = head else {
        return Ok(None);
    };
    let (command, family) = (*command, *family);
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > BLOCK_BYTES_MAX {
        return Err("a PROXY header is too long");
    }
    if received.len() < SIGNATURE.len() + 4 + length {
        return Ok(None);
    }
    received.advance(SIGNATURE.len() + 4);
    let block = received.split_to(length);
    match command {
        // LOCAL: the proxy itself, to see whether anybody is here.
        0x20 => Ok(Some(Relayed::default())),
        0x21 => parse_block(family, &block)
            .map(Some)
            .ok_or("a PROXY header is malformed"),
        _ => Err("a PROXY header is of an unknown version or command"),
    }
}

fn parse_block(family: u8, block: &[u8]) -> Option<Relayed> {
    let port = |at: usize| {
        let bytes: [u8; 2] = block.get(at..at + 2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    };
    let (client, extensions) = match family {
        0x11 => {
            let source: [u8; 4] = block.get(..4)?.try_into().ok()?;
            let client = SocketAddr::new(Ipv4Addr::from(source).into(), port(8)?);
            (Some(client), block.get(12..)?)
        }
        0x21 => {
            let source: [u8; 16] = block.get(..16)?.try_into().ok()?;
            let client = SocketAddr::new(Ipv6Addr::from(source).into(), port(32)?);
            (Some(client), block.get(36..)?)
        }
        // Other kinds of sockets have no address that means anything here.
        _ => (None, [].as_slice()),
    };
    Some(Relayed {
        client,
        secure: speaks_tls(extensions)?,
    })
}

fn speaks_tls(mut extensions: &[u8]) -> Option<bool> {
    let mut secure = false;
    while let [kind, high, low, rest @ ..] = extensions {
        let (value, rest) =
            rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        if *kind == EXTENSION_TLS {
            secure = value.first().is_some_and(|flags| flags & TLS_IN_USE != 0);
        }
        extensions = rest;
    }
    extensions.is_empty().then_some(secure)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` byte by byte; what was said, and how much was left.
    fn feed(input: &[u8]) -> Result<Option<(Relayed, usize)>, &'static str> {
        let mut received = BytesMut::new();
        for (at, byte) in input.iter().enumerate() {
            received.extend_from_slice(&[*byte]);
            if let Some(relayed) = take(&mut received)? {
                return Ok(Some((relayed, received.len() + input.len() - at - 1)));
            }
        }
        Ok(None)
    }

    fn client(address: &str, secure: bool) -> Relayed {
        Relayed {
            client: Some(address.parse().unwrap()),
            secure,
        }
    }

    #[test]
    fn lines_name_the_client() {
        let line = b"PROXY TCP4 1.2.3.4 10.0.0.1 5000 80\r\nGET";
        assert_eq!(feed(line), Ok(Some((client("1.2.3.4:5000", false), 3))));
        let six = b"PROXY TCP6 2001:db8::1 ::1 5000 80\r\n";
        assert_eq!(
            feed(six),
            Ok(Some((client("[2001:db8::1]:5000", false), 0)))
        );
        assert_eq!(
            feed(b"PROXY UNKNOWN x\r\n"),
            Ok(Some((Relayed::default(), 0)))
        );
        assert_eq!(feed(b"PROXY TCP4 1.2.3.4"), Ok(None));
        for bad in [
            "GET / HTTP/1.1\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
            "PROXY\r\n",
            &format!("PROXY UNKNOWN {}\r\n", "x".repeat(100)),
        ] {
            assert!(feed(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, block].concat()
    }

    #[test]
    fn blocks_name_the_client_and_its_tls() {
        let addresses = [1, 2, 3, 4, 10, 0, 0, 1, 0x13, 0x88, 0, 80];
        let plain = binary(0x21, 0x11, &addresses);
        assert_eq!(feed(&plain), Ok(Some((client("1.2.3.4:5000", false), 0))));
        let tls = [
            &addresses[..],
            &[4, 0, 1, 9, EXTENSION_TLS, 0, 5, 1, 0, 0, 0, 0],
        ]
        .concat();
        let tls = binary(0x21, 0x11, &tls);
        assert_eq!(feed(&tls), Ok(Some((client("1.2.3.4:5000", true), 0))));
        let mut six = [0; 36];
        six[15] = 1;
        six[33] = 7;
        let six = binary(0x21, 0x21, &six);
        assert_eq!(feed(&six), Ok(Some((client("[::1]:7", false), 0))));
        assert_eq!(
            feed(&binary(0x20, 0, &[])),
            Ok(Some((Relayed::default(), 0)))
        );
        assert!(feed(&binary(0x31, 0x11, &addresses)).is_err());
        assert!(feed(&binary(0x21, 0x11, &addresses[..11])).is_err());
        let cut = [&addresses[..], &[4, 0, 9, 1]].concat();
        assert!(feed(&binary(0x21, 0x11, &cut)).is_err());
        assert!(feed(&binary(0x21, 0x11, &[0; 5000])).is_err());
    }
}
