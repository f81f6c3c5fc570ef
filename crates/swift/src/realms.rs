//! The clusters that containers are synchronised between: which there are, the keys that they share,
//! and the signatures of what one sends to another.
//!
//! Only destinations of the form `//realm/cluster/account/container` are known. Whole URLs, which no
//! key of a realm protects, are refused.

use hmac::{Hmac, Mac};
use serde_json::{Map, Value, json};
use sha1::Sha1;
use std::collections::BTreeMap;
use subtle::ConstantTimeEq;

/// Most realms, and most clusters of one.
const REALMS_MAX: usize = 1000;

/// Realms by name, in upper case.
#[derive(Clone, Default)]
pub struct Realms(BTreeMap<String, Realm>);

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
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// Where a container is sent to.
#[derive(Clone)]
pub(crate) struct Destination {
    pub(crate) realm: String,
    key: String,
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
    /// What `X-Container-Sync-Auth` says.
    pub(crate) fn authorization(&self, signed: &Signed<'_>, container: &str) -> String {
        let signature = signed.under(&self.key, container).unwrap_or_default();
        format!("{} {} {signature}", self.realm, signed.nonce)
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
                    realms.0.entry(name.clone()).or_default();
                }
                current = Some(name);
                continue;
            }
            let pair = line.split_once(['=', ':']);
            let (name, value) = pair.ok_or_else(|| format!("line {number} says nothing"))?;
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
            let Some(realm) = current.as_ref().and_then(|name| realms.0.get_mut(name)) else {
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
        for (name, realm) in &realms.0 {
            if realm.key.is_empty() {
                return Err(format!("realm {name} has no key"));
            }
            if realm.clusters.len() > REALMS_MAX {
                return Err(format!("realm {name} has more than {REALMS_MAX} clusters"));
            }
        }
        match realms.0.len() > REALMS_MAX {
            true => Err(format!("there are more than {REALMS_MAX} realms")),
            false => Ok(realms),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
            .0
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
        let rest = to.trim_end_matches('/').strip_prefix("//");
        let rest = rest.ok_or_else(|| {
            "Full URLs are not allowed for X-Container-Sync-To values. Only realm values of the \
             format //realm/cluster/account/container are allowed.\n"
                .to_owned()
        })?;
        let parts: Vec<&str> = rest.split('/').collect();
        let [realm, cluster, account, container] = parts.as_slice() else {
            return Err(invalid());
        };
        let name = realm.to_ascii_uppercase();
        let unknown = || format!("No realm key for {realm:?}");
        let found = self.0.get(&name).ok_or_else(unknown)?;
        let url = found.clusters.get(&cluster.to_ascii_uppercase());
        let unknown = || format!("No cluster endpoint for {realm:?} {cluster:?}");
        let (server, path) = split_url(url.ok_or_else(unknown)?).ok_or_else(unknown)?;
        let sound = |part: &str| {
            let named = !["", ".", ".."].contains(&part);
            named && part.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !sound(account) || !sound(container) || to.contains(['?', '#']) {
            return Err(invalid());
        }
        Ok(Destination {
            realm: name,
            key: found.key.clone(),
            server,
            path: format!("{}/{account}/{container}", path.trim_end_matches('/')),
        })
    }

    /// Whether a request is signed by a cluster of one of the realms: what its header says, and the
    /// container's own key.
    pub(crate) fn verifies(&self, header: &str, signed: Signed<'_>, container: &str) -> bool {
        let parts: Vec<&str> = header.split_whitespace().collect();
        let [realm, nonce, signature] = parts.as_slice() else {
            return false;
        };
        let Some(realm) = self.0.get(&realm.to_ascii_uppercase()) else {
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

/// The server and the path of an http or https URL.
fn split_url(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(at)?;
    let sound = ["http", "https"].contains(&scheme) && !host.is_empty();
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains(['?', '#', '@']);
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
        assert!(!format!("{realms:?}").contains('k'));
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
        let header = to.authorization(&signed, "own");
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
        let swapped = realms.0.get("REALM1").unwrap().second.clone().unwrap();
        let second = signed.under(&swapped, "own").unwrap();
        assert!(realms.verifies(&format!("realm1 n {second}"), signed, "own"));
        for bad in ["", "realm1 n", "realm3 n x", "realm1 n x y", "realm2 n 00"] {
            assert!(!realms.verifies(bad, signed, "own"), "{bad}");
        }
    }
}
