//! What a path names: an account, a container in it, an object in that. Names are checked when they
//! are used, since Swift refuses them with different codes at different places.

use crate::fault::{Fault, Outcome};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use trestle_core::AccountId;

/// Longest account name, in bytes.
pub(crate) const ACCOUNT_NAME_MAX: usize = 256;
/// Longest container name, in bytes.
pub(crate) const CONTAINER_NAME_MAX: usize = 256;
/// Longest object name, in bytes.
pub(crate) const OBJECT_NAME_MAX: usize = 1024;

/// What stays as it is in a path that is written into an answer.
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'_')
    .remove(b'-')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// Percent-encodes a path for an answer.
pub(crate) fn quote(text: &str) -> String {
    utf8_percent_encode(text, QUOTED).to_string()
}

/// Decodes percent-encoding; what is not UTF-8, or holds a NUL, is refused with 412.
pub(crate) fn unquote(text: &str) -> Outcome<String> {
    percent_decode(text.as_bytes())
        .decode_utf8()
        .ok()
        .filter(|text| !text.contains('\0'))
        .map(|text| text.into_owned())
        .ok_or_else(|| Fault::text(412, "Invalid UTF8 or contains NULL"))
}

/// The prefixes of account names, the default one first.
#[derive(Clone, Debug)]
pub(crate) struct Prefixes(pub(crate) Vec<String>);

impl Prefixes {
    /// The account that a name in a URL stands for: the default prefix is dropped, another one is
    /// part of the account's id. None for a name without a known prefix.
    pub(crate) fn account(&self, name: &str) -> Option<AccountId> {
        let (first, others) = self.0.split_first()?;
        let with = |prefix: &String| format!("{prefix}_");
        if let Some(id) = name.strip_prefix(&with(first)) {
            // The same id must not have two names.
            if others.iter().any(|other| id.starts_with(&with(other))) {
                return None;
            }
            return AccountId::parse(id).ok();
        }
        let known = others.iter().any(|prefix| {
            name.strip_prefix(&with(prefix))
                .is_some_and(|id| !id.is_empty())
        });
        known.then(|| AccountId::parse(name).ok()).flatten()
    }

    /// The name of an account in URLs.
    pub(crate) fn name(&self, id: &AccountId) -> String {
        let (first, others) = match self.0.split_first() {
            Some(parts) => parts,
            None => return id.as_str().to_owned(),
        };
        match others
            .iter()
            .any(|prefix| id.as_str().starts_with(&format!("{prefix}_")))
        {
            true => id.as_str().to_owned(),
            false => format!("{first}_{id}"),
        }
    }

    /// The prefix that an account's name has.
    pub(crate) fn of<'a>(&'a self, name: &str) -> Option<&'a str> {
        let has = |prefix: &&String| name.starts_with(&format!("{prefix}_"));
        self.0.iter().find(has).map(String::as_str)
    }
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The account as the path writes it.
    pub(crate) account: String,
    /// The container.
    pub(crate) container: Option<String>,
    /// The object.
    pub(crate) object: Option<String>,
    /// Whether a container's path ends in a slash.
    pub(crate) slash: bool,
}

impl Target {
    /// Parses the raw path of a request, without its host and query.
    ///
    /// # Errors
    /// 412 for what is not UTF-8, 404 for an empty part.
    pub(crate) fn parse(raw: &str) -> Outcome<Self> {
        let path = unquote(raw)?;
        if path.trim_end_matches('/').rfind('/') == Some(0) {
            return Err(Fault::html(412, "Bad URL"));
        }
        let mut parts = path.splitn(5, '/').skip(2);
        let account = parts.next().unwrap_or_default();
        let container = parts.next();
        let object = parts.next();
        if account.is_empty() || container == Some("") && object.is_some() {
            return Err(Fault::new(404));
        }
        Ok(Target {
            account: account.to_owned(),
            slash: object == Some(""),
            container: container.filter(|c| !c.is_empty()).map(str::to_owned),
            object: object.filter(|o| !o.is_empty()).map(str::to_owned),
        })
    }

    /// The path of it, encoded.
    pub(crate) fn path(&self) -> String {
        let mut path = format!("/v1/{}", quote(&self.account));
        for part in [&self.container, &self.object].into_iter().flatten() {
            path.push('/');
            path.push_str(&quote(part));
        }
        path
    }
}

/// Splits `container/object`, with or without a slash before it.
pub(crate) fn container_and_object(text: &str) -> Option<(String, String)> {
    let text = text.strip_prefix('/').unwrap_or(text);
    let (container, object) = text.split_once('/')?;
    (!container.is_empty() && !object.is_empty()).then(|| (container.to_owned(), object.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Option<(String, Option<String>, Option<String>)> {
        let target = Target::parse(path).ok()?;
        Some((target.account, target.container, target.object))
    }

    #[test]
    fn paths_have_up_to_three_names_and_objects_may_hold_slashes() {
        let own = |text: &str| Some(text.to_owned());
        assert_eq!(parse("/v1/a"), Some(("a".into(), None, None)));
        assert_eq!(parse("/v1/a/"), Some(("a".into(), None, None)));
        assert_eq!(parse("/v1.0/a/c"), Some(("a".into(), own("c"), None)));
        assert_eq!(parse("/v1/a/c/"), Some(("a".into(), own("c"), None)));
        assert!(Target::parse("/v1/a/c/").unwrap().slash);
        assert_eq!(
            parse("/v1/a/c//o/"),
            Some(("a".into(), own("c"), own("/o/")))
        );
        assert_eq!(
            parse("/v1/a/c/o%2Fp%C3%A9"),
            Some(("a".into(), own("c"), own("o/pé")))
        );
        // An encoded slash splits like any other.
        assert_eq!(parse("/v1/a/c%2Fd"), Some(("a".into(), own("c"), own("d"))));
        for bad in ["/v1", "/v1/"] {
            assert_eq!(Target::parse(bad).unwrap_err().status(), 412, "{bad}");
        }
        for bad in ["/v1//c", "/v1/a//o"] {
            assert_eq!(Target::parse(bad).unwrap_err().status(), 404, "{bad}");
        }
        for bad in ["/v1/a/c/%ff", "/v1/a/c/a%00b"] {
            assert_eq!(Target::parse(bad).unwrap_err().status(), 412, "{bad}");
        }
        let path = Target::parse("/v1/a/c/%20x/y").unwrap().path();
        assert_eq!(path, "/v1/a/c/%20x/y");
    }

    #[test]
    fn each_account_has_one_name() {
        let prefixes = Prefixes(vec!["AUTH".into(), "SERVICE".into()]);
        let id = |name: &str| prefixes.account(name).map(|id| id.to_string());
        assert_eq!(id("AUTH_test"), Some("test".into()));
        assert_eq!(id("SERVICE_test"), Some("SERVICE_test".into()));
        for bad in [
            "test",
            "AUTH_",
            "AUTH_SERVICE_test",
            "SERVICE_",
            "OTHER_x",
            "AUTH_a:b",
        ] {
            assert_eq!(id(bad), None, "{bad}");
        }
        for name in ["AUTH_test", "SERVICE_test"] {
            assert_eq!(prefixes.name(&prefixes.account(name).unwrap()), name);
        }
        assert_eq!(prefixes.of("SERVICE_x"), Some("SERVICE"));
    }

    #[test]
    fn references_name_a_container_and_an_object() {
        let split = |text| container_and_object(text);
        assert_eq!(split("/c/o/p"), Some(("c".into(), "o/p".into())));
        assert_eq!(split("c/o"), Some(("c".into(), "o".into())));
        for bad in ["", "c", "c/", "/c", "//o"] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }
}
