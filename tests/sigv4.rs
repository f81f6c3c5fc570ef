//! Signatures of version 4 as a client makes them, written from the published specification, so
//! that the server's verifier is held against something that shares no code with it.
//!
//! Every part of a signature can be set, because the tests are about wrong ones.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::time::{SystemTime, UNIX_EPOCH};

/// What a request looks like on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// The method.
    pub method: String,
    /// Path and query, as they are sent.
    pub target: String,
    /// Header lines without `Host`, `Authorization` among them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Wire {
    /// Changes the value of a header that is there.
    ///
    /// # Panics
    /// When it is not.
    pub fn header(&mut self, name: &str) -> &mut String {
        let found = self.headers.iter_mut().find(|(known, _)| known == name);
        &mut found.unwrap_or_else(|| panic!("no header {name}")).1
    }
}

/// Who signs, and for what.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The access key.
    pub key: String,
    /// Its secret.
    pub secret: String,
    /// The region.
    pub region: String,
    /// The service.
    pub service: String,
    /// Seconds since 1970; now, unless it is set.
    pub time: u64,
    /// `x-amz-content-sha256`; the body's own digest without it.
    pub payload: Option<String>,
    /// Headers that are sent and not signed.
    pub unsigned: Vec<String>,
    /// How long a presigned URL is valid, in seconds.
    pub expires: String,
}

impl Signer {
    /// Somebody who signs rightly.
    pub fn new(key: &str, secret: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Signer {
            key: key.into(),
            secret: secret.into(),
            region: "us-east-1".into(),
            service: "s3".into(),
            time: now.map_or(0, |now| now.as_secs()),
            payload: None,
            unsigned: Vec::new(),
            expires: "60".into(),
        }
    }

    fn scope(&self) -> String {
        let day = &stamp(self.time)[..8];
        format!("{day}/{}/{}/aws4_request", self.region, self.service)
    }

    fn signing_key(&self) -> Vec<u8> {
        let day = stamp(self.time)[..8].to_owned();
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [&day, &self.region, &self.service, "aws4_request"] {
            key = mac(&key, part.as_bytes());
        }
        key
    }

    /// The signature of a string to sign.
    pub fn sign_text(&self, text: &str) -> String {
        hex(&mac(&self.signing_key(), text.as_bytes()))
    }

    /// The signature over a canonical request.
    fn signature(&self, canonical: &str) -> String {
        let hashed = sha256(canonical.as_bytes());
        let scope = self.scope();
        let time = stamp(self.time);
        self.sign_text(&format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashed}"))
    }

    /// Signs in the header.
    pub fn sign(&self, host: &str, mut wire: Wire) -> Wire {
        let payload = self.payload.clone();
        let payload = payload.unwrap_or_else(|| sha256(&wire.body));
        wire.headers
            .push(("x-amz-content-sha256".into(), payload.clone()));
        wire.headers.push(("x-amz-date".into(), stamp(self.time)));
        let signed = self.signed_headers(host, &wire);
        let canonical = canonical(&wire, &signed, &payload);
        let names = names(&signed);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={names}, Signature={}",
            self.key,
            self.scope(),
            self.signature(&canonical)
        );
        wire.headers.push(("authorization".into(), authorization));
        wire
    }

    /// Signs in the query.
    pub fn presign(&self, host: &str, mut wire: Wire) -> Wire {
        let signed = self.signed_headers(host, &wire);
        let credential = format!("{}/{}", self.key, self.scope()).replace('/', "%2F");
        let mark = if wire.target.contains('?') { '&' } else { '?' };
        wire.target.push_str(&format!(
            "{mark}X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={}\
             &X-Amz-Expires={}&X-Amz-SignedHeaders={}",
            stamp(self.time),
            self.expires,
            names(&signed).replace(';', "%3B")
        ));
        let canonical = canonical(&wire, &signed, "UNSIGNED-PAYLOAD");
        let signature = self.signature(&canonical);
        wire.target
            .push_str(&format!("&X-Amz-Signature={signature}"));
        wire
    }

    /// A body in signed chunks, behind the seed signature of the request's header.
    pub fn chunks(&self, seed: &str, chunks: &[&[u8]]) -> Vec<u8> {
        let mut before = seed.to_owned();
        let mut body = Vec::new();
        for chunk in chunks.iter().copied().chain([&b""[..]]) {
            let text = format!(
                "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{before}\n{}\n{}",
                stamp(self.time),
                self.scope(),
                sha256(b""),
                sha256(chunk)
            );
            before = self.sign_text(&text);
            let head = format!("{:x};chunk-signature={before}\r\n", chunk.len());
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        body
    }

    fn signed_headers(&self, host: &str, wire: &Wire) -> Vec<(String, String)> {
        let mut signed = vec![("host".to_owned(), host.to_owned())];
        for (name, value) in &wire.headers {
            if !self.unsigned.contains(name) {
                let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
                signed.push((name.to_ascii_lowercase(), value));
            }
        }
        signed.sort();
        signed
    }
}

fn names(signed: &[(String, String)]) -> String {
    let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
    names.join(";")
}

fn canonical(wire: &Wire, signed: &[(String, String)], payload: &str) -> String {
    let (path, query) = wire.target.split_once('?').unwrap_or((&wire.target, ""));
    let mut fields: Vec<String> = query
        .split('&')
        .filter(|field| !field.is_empty())
        .map(|field| match field.contains('=') {
            true => field.to_owned(),
            false => format!("{field}="),
        })
        .collect();
    fields.sort();
    let lines: String = signed
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let fields = fields.join("&");
    let names = names(signed);
    let method = &wire.method;
    format!("{method}\n{path}\n{fields}\n{lines}\n{names}\n{payload}")
}

/// `20260131T120000Z`.
pub fn stamp(seconds: u64) -> String {
    let (year, month, day) = date(seconds / 86_400);
    let second = seconds % 86_400;
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

/// The civil date of a day since 1970, by counting.
fn date(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// HMAC with SHA-256.
///
/// # Panics
/// Never: it takes a key of any length.
pub fn mac(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

/// Hexadecimal, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Amazon's documentation, "GET Object".
    #[test]
    fn a_published_signature_comes_out() {
        let mut signer = Signer::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        );
        signer.time = 1_369_353_600;
        assert_eq!(stamp(signer.time), "20130524T000000Z");
        let wire = Wire {
            method: "GET".into(),
            target: "/test.txt".into(),
            headers: vec![("range".into(), "bytes=0-9".into())],
            body: Vec::new(),
        };
        let mut signed = signer.sign("examplebucket.s3.amazonaws.com", wire);
        let text = signed.header("authorization");
        let expected = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn dates_are_the_calendar_s() {
        assert_eq!(stamp(951_782_400), "20000229T000000Z");
        assert_eq!(stamp(1_767_225_599), "20251231T235959Z");
    }
}
