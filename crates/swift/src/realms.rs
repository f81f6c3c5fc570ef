//! The clusters that containers are synchronised between: which there are, the keys that they share,
//! and the signatures of what one sends to another.
//!
//! A destination is `//realm/cluster/account/container`, or the whole URL of a container at a host that
//! the operator named: then nothing but the container's own key, which goes along as it is, says who
//! sends. A URL of any other host is refused.

use crate::target::unquote;
use hmac::{Hmac, Mac};
use serde_json::{Map, Value, json};
use sha1::Sha1;
use std::collections::{BTreeMap, BTreeSet};
use subtle::ConstantTimeEq;

/// The header with the signature of a realm, and the one with a container's own key.
pub(crate) const AUTH_HEADER: &str = "x-container-sync-auth";
pub(crate) const KEY_HEADER: &str = "x-container-sync-key";
/// Most realms, and most clusters of one.
const REALMS_MAX: usize = 1000;

/// Which clusters there are.
#[derive(Clone, Default)]
pub struct Realms {
    /// By name, in upper case.
    known: BTreeMap<String, Realm>,
    /// Hosts, with a port where they have one, in lower case.
    hosts: BTreeSet<String>,
}

#[derive(Clone, Default)]
struct Realm {
    key: String,
    /// The former or the next key, which is taken but not used.
    second: Option<String>,
    /// URLs by name, in upper case.
    clusters: BTreeMap<String, String>,
}

impl std::fmt::Debug for Realms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Realms")
            .field("known", &self.known.keys())
            .field("hosts", &self.hosts)
            .finish()
    }
}

/// Where a container is sent to.
#[derive(Clone)]
pub(crate) struct Destination {
    /// The realm and its key; none for a whole URL.
    realm: Option<(String, String)>,
    /// `scheme://host` of the cluster.
    pub(crate) server: String,
    /// The container's path there, encoded.
    pub(crate) path: String,
}

/// What is signed.
#[derive(Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) timestamp: &'a str,
    pub(crate) nonce: &'a str,
}

impl Signed<'_> {
    /// The signature under a realm's and a container's key, in hexadecimal.
    fn under(&self, realm: &str, container: &str) -> Option<String> {
        let Signed {
            method,
            path,
            timestamp,
            nonce,
        } = self;
        let text = format!("{method}\n{path}\n{timestamp}\n{nonce}\n{container}");
        let mut mac = Hmac::<Sha1>::new_from_slice(realm.as_bytes()).ok()?;
        mac.update(text.as_bytes());
        let bytes = mac.finalize().into_bytes();
        Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl Destination {
    /// The header that says who sends: the signature of a realm, or the container's own key.
    pub(crate) fn proof(&self, signed: &Signed<'_>, container: &str) -> (&'static str, String) {
        let Some((realm, key)) = &self.realm else {
            return (KEY_HEADER, container.to_owned());
        };
        let signature = signed.under(key, container).unwrap_or_default();
        (AUTH_HEADER, format!("{realm} {} {signature}", signed.nonce))
    }
}

impl Realms {
    /// Reads the form of Swift's `container-sync-realms.conf`.
    ///
    /// # Errors
    /// What is wrong, for a person; never a key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut realms = Realms::default();
        let mut current: Option<String> = None;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                let name = name.trim().to_ascii_uppercase();
                if name != "DEFAULT" {
                    realms.known.entry(name.clone()).or_default();
                }
                current = Some(name);
                continue;
            }
            let pair = line.split_once(['=', ':']);
            let (name, value) = pair.ok_or_else(|| format!("line {number} says nothing"))?;
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
            let Some(realm) = current.as_ref().and_then(|name| realms.known.get_mut(name)) else {
                continue;
            };
            match (name.as_str(), name.strip_prefix("cluster_")) {
                ("key", _) => realm.key = value,
                ("key2", _) => realm.second = Some(value),
                (_, Some(cluster)) => {
                    let wrong = || format!("line {number}: a cluster is an http or https URL");
                    split_url(&value).ok_or_else(wrong)?;
                    realm.clusters.insert(cluster.to_ascii_uppercase(), value);
                }
                _ => return Err(format!("line {number}: nothing is called {name}")),
            }
        }
        for (name, realm) in &realms.known {
            if realm.key.is_empty() {
                return Err(format!("realm {name} has no key"));
            }
            if realm.clusters.len() > REALMS_MAX {
                return Err(format!("realm {name} has more than {REALMS_MAX} clusters"));
            }
        }
        match realms.known.len() > REALMS_MAX {
            true => Err(format!("there are more than {REALMS_MAX} realms")),
            false => Ok(realms),
        }
    }

    /// Lets whole URLs of these hosts be destinations, and lets whoever knows a container's own key
    /// send into it.
    ///
    /// # Errors
    /// What is no host.
    pub fn allow_hosts(&mut self, hosts: &[String]) -> Result<(), String> {
        for host in hosts {
            if host.contains('/') || split_url(&format!("http://{host}")).is_none() {
                return Err(format!("{host:?} is no host"));
            }
            self.hosts.insert(host.to_ascii_lowercase());
        }
        Ok(())
    }

    /// Whether a container's own key alone lets somebody send into it.
    pub(crate) fn take_keys(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.hosts.is_empty()
    }

    /// What `/info` says.
    pub(crate) fn shown(&self) -> Value {
        let realm = |realm: &Realm| {
            let clusters: Map<String, Value> = realm
                .clusters
                .keys()
                .map(|name| (name.clone(), json!({})))
                .collect();
            json!({ "clusters": clusters })
        };
        let realms: Map<String, Value> = self
            .known
            .iter()
            .map(|(name, found)| (name.clone(), realm(found)))
            .collect();
        json!({ "realms": realms })
    }

    /// Where `X-Container-Sync-To` leads to.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    pub(crate) fn destination(&self, to: &str) -> Result<Destination, String> {
        let invalid = || format!("Invalid X-Container-Sync-To format {to:?}");
        let Some(rest) = to.trim_end_matches('/').strip_prefix("//") else {
            return self.whole_url(to);
        };
        let parts: Vec<&str> = rest.split('/').collect();
        let [realm, cluster, account, container] = parts.as_slice() else {
            return Err(invalid());
        };
        let name = realm.to_ascii_uppercase();
        let unknown = || format!("No realm key for {realm:?}");
        let found = self.known.get(&name).ok_or_else(unknown)?;
        let url = found.clusters.get(&cluster.to_ascii_uppercase());
        let unknown = || format!("No cluster endpoint for {realm:?} {cluster:?}");
        let (server, path) = split_url(url.ok_or_else(unknown)?).ok_or_else(unknown)?;
        if !is_part(account) || !is_part(container) || to.contains(['?', '#']) {
            return Err(invalid());
        }
        Ok(Destination {
            realm: Some((name, found.key.clone())),
            server,
            path: format!("{}/{account}/{container}", path.trim_end_matches('/')),
        })
    }

    /// A destination by its whole URL, at one of the hosts that the operator named.
    fn whole_url(&self, to: &str) -> Result<Destination, String> {
        if self.hosts.is_empty() {
            let text = "Full URLs are not allowed for X-Container-Sync-To values. Only realm values \
                        of the format //realm/cluster/account/container are allowed.\n";
            return Err(text.to_owned());
        }
        let invalid = || format!("Invalid X-Container-Sync-To format {to:?}");
        let (server, path) = split_url(to.trim_end_matches('/')).ok_or_else(invalid)?;
        let host = server.split_once("://").map_or("", |(_, host)| host);
        if !self.hosts.contains(&host.to_ascii_lowercase()) {
            return Err(format!("Invalid host {host:?} in X-Container-Sync-To"));
        }
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["", version, account, container]
                if [version, account, container]
                    .into_iter()
                    .all(|part| is_part(part)) =>
            {
                Ok(Destination {
                    realm: None,
                    server,
                    path,
                })
            }
            _ => Err("Path required in X-Container-Sync-To".to_owned()),
        }
    }

    /// Whether a request is signed by a cluster of one of the realms: what its header says, and the
    /// container's own key.
    pub(crate) fn verifies(&self, header: &str, signed: Signed<'_>, container: &str) -> bool {
        let parts: Vec<&str> = header.split_whitespace().collect();
        let [realm, nonce, signature] = parts.as_slice() else {
            return false;
        };
        let Some(realm) = self.known.get(&realm.to_ascii_uppercase()) else {
            return false;
        };
        let signed = Signed { nonce, ..signed };
        let keys = [Some(&realm.key), realm.second.as_ref()];
        keys.into_iter().flatten().any(|key| {
            let made = signed.under(key, container).filter(|_| !key.is_empty());
            made.is_some_and(|made| bool::from(made.as_bytes().ct_eq(signature.as_bytes())))
        })
    }
}

/// Whether a text is one part of a path, as it is and for whoever decodes it.
fn is_part(part: &str) -> bool {
    let named = |plain: String| !["", ".", ".."].contains(&&*plain) && !plain.contains('/');
    unquote(part).is_ok_and(named) && part.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The server and the path of an http or https URL.
fn split_url(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(at)?;
    let sound = ["http", "https"].contains(&scheme) && !host.is_empty();
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains(['?', '#', '@']);
    // Hosts in other case are the same (RFC 9110 §4.2.3).
    let host = host.to_ascii_lowercase();
    (sound && plain).then(|| (format!("{scheme}://{host}"), path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[DEFAULT]\nmtime_check_interval = 300\n# two\n[realm1]\nkey = k\nkey2 = l\n\
                        cluster_name1 = http://a:1/v1/\n[Realm2]\nkey=m\ncluster_n=https://b/v1\n";

    #[test]
    fn destinations_are_those_of_known_clusters() {
        let realms = Realms::parse(TEXT).unwrap();
        let found = realms.destination("//REALM1/Name1/AUTH_a/c").unwrap();
        assert_eq!(found.server, "http://a:1");
        assert_eq!(found.path, "/v1/AUTH_a/c");
        let found = realms.destination("//realm2/N/AUTH_a/c%20d/").unwrap();
        assert_eq!(
            (found.server, found.path),
            ("https://b".into(), "/v1/AUTH_a/c%20d".into())
        );
        for bad in [
            "http://a/v1/AUTH_a/c",
            "//realm1/name1/AUTH_a",
            "//realm1/name1/AUTH_a/c/d",
            "//realm3/name1/AUTH_a/c",
            "//realm1/name2/AUTH_a/c",
            "//realm1/name1//c",
            "//realm1/name1/../c",
            "//realm1/name1/%2e%2e/c",
            "//realm1/name1/AUTH_a/%2E.",
            "//realm1/name1/AUTH_a/c%2Fd",
            "//realm1/name1/AUTH_a/c%00",
            "//realm1/name1/AUTH_a/%ff",
            "//realm1/name1/AUTH_a/c?x",
        ] {
            assert!(realms.destination(bad).is_err(), "{bad}");
        }
        for bad in [
            "[r]\nkey2=x\n",
            "[r]\nkey=x\ncluster_a=ftp://x\n",
            "[r]\nkey\n",
            "[r]\nkey=x\nother=y\n",
        ] {
            assert!(Realms::parse(bad).is_err(), "{bad}");
        }
        let shown = "Realms { known: [\"REALM1\", \"REALM2\"], hosts: {} }";
        assert_eq!(format!("{realms:?}"), shown);
    }

    #[test]
    fn whole_urls_are_those_of_hosts_that_the_operator_named() {
        let mut realms = Realms::default();
        assert!(realms.destination("https://a/v1/AUTH_a/c").is_err());
        assert!(realms.is_empty() && !realms.take_keys());
        let hosts = ["A".to_owned(), "b:8080".to_owned()];
        realms.allow_hosts(&hosts).unwrap();
        assert!(!realms.is_empty() && realms.take_keys());
        let found = realms.destination("https://a/v1/AUTH_a/c%20d/").unwrap();
        assert_eq!(
            (found.server.as_str(), found.path.as_str()),
            ("https://a", "/v1/AUTH_a/c%20d")
        );
        let signed = Signed {
            method: "PUT",
            path: "/v1/AUTH_a/c%20d/o",
            timestamp: "1.00000",
            nonce: "n",
        };
        assert_eq!(found.proof(&signed, "own"), (KEY_HEADER, "own".to_owned()));
        assert!(realms.destination("http://B:8080/v1/AUTH_a/c").is_ok());
        for bad in [
            "http://b/v1/AUTH_a/c",
            "http://b:80/v1/AUTH_a/c",
            "http://a.b:8080/v1/AUTH_a/c",
            "http://c@a/v1/AUTH_a/c",
            "ftp://a/v1/AUTH_a/c",
            "http://a/v1/AUTH_a",
            "http://a/v1/AUTH_a/c/o",
            "http://a/v1/../c",
            "http://a/v1/AUTH_a/%2e%2e",
            "http://a/%2e/AUTH_a/c",
            "http://a/v1/AUTH_a/c?x",
            "a/v1/AUTH_a/c",
            "",
        ] {
            assert!(realms.destination(bad).is_err(), "{bad}");
        }
        for bad in ["", "http://a", "a/b", "a b", "a?", "u@a"] {
            let mut realms = Realms::default();
            assert!(realms.allow_hosts(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_shared_key_signs() {
        let realms = Realms::parse(TEXT).unwrap();
        let signed = Signed {
            method: "PUT",
            path: "/v1/AUTH_a/c/o",
            timestamp: "1.00000",
            nonce: "n",
        };
        let to = realms.destination("//realm1/name1/AUTH_a/c").unwrap();
        let (name, header) = to.proof(&signed, "own");
        assert_eq!(name, AUTH_HEADER);
        assert!(realms.verifies(&header, signed, "own"));
        assert!(!realms.verifies(&header, signed, "other"));
        let delete = Signed {
            method: "DELETE",
            ..signed
        };
        assert!(!realms.verifies(&header, delete, "own"));
        let later = Signed {
            timestamp: "2.00000",
            ..signed
        };
        assert!(!realms.verifies(&header, later, "own"));
        let swapped = realms.known.get("REALM1").unwrap().second.clone().unwrap();
        let second = signed.under(&swapped, "own").unwrap();
        assert!(realms.verifies(&format!("realm1 n {second}"), signed, "own"));
        for bad in ["", "realm1 n", "realm3 n x", "realm1 n x y", "realm2 n 00"] {
            assert!(!realms.verifies(bad, signed, "own"), "{bad}");
        }
    }
}
