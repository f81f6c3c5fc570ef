//! Paths below the root URI: what they name, and how names are written into URIs.
//!
//! A name never contains a slash or a question mark; `x` and `x/` are one name to this dialect and
//! two keys to others, told apart by the trailing slash.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use trestle_core::{Error, Result};
use trestle_http::decode;

/// The root path, without its trailing slash.
pub(crate) const ROOT: &str = "/cdmi";
/// Names below the root that belong to the server start with this.
pub(crate) const RESERVED: &str = "cdmi_";

const IN_NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b',')
    .remove(b'=')
    .remove(b'@')
    .remove(b'/');

/// A name or a path as part of a URI.
pub(crate) fn escape(path: &str) -> String {
    utf8_percent_encode(path, IN_NAME).to_string()
}

/// What no URI has as it is; what is escaped already stays so.
const IN_URI: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A URI of a document, where names need not be escaped, for a header, where they are (5.5.4).
pub(crate) fn escape_uri(uri: &str) -> String {
    utf8_percent_encode(uri, IN_URI).to_string()
}

/// Whether a text can be where something leads to: it says something, and of another server whose.
pub(crate) fn may_be_uri(text: &str) -> bool {
    let authority = text.split_once("://").map(|(_, after)| {
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        after.get(..end).unwrap_or_default()
    });
    !text.trim().is_empty()
        && !text.chars().any(char::is_control)
        && authority.is_none_or(|host| !host.is_empty() && !host.contains(char::is_whitespace))
}

/// Names in a path, and whether a slash follows the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// In order from the root.
    pub(crate) names: Vec<String>,
    /// Whether it is a container's path.
    pub(crate) slash: bool,
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Something by name; the root itself has none.
    Path(Names),
    /// Something by id, or by name below a container that the id names.
    Id(String, Names),
    /// Where objects without a name are created.
    NewId,
    /// A capability object.
    Capabilities(Names),
    /// A domain, or something within it.
    Domains(Names),
}

impl Target {
    /// Reads the path of a request, escaped, with the root path before it.
    pub(crate) fn of_request(path: &str) -> Result<Self> {
        Target::parse(path.strip_prefix(ROOT).unwrap_or(path))
    }

    /// Reads a URI out of a document's field: relative to the root URI, with or without the root
    /// path, or absolute to this very server. The query that follows it is returned, too.
    ///
    /// # Errors
    /// `InvalidInput` for what is not a URI of this server.
    pub(crate) fn of_field(uri: &str, host: Option<&str>) -> Result<(Self, Option<String>)> {
        let refuse = |why: &str| Error::invalid(format!("the URI {uri:?} {why}"));
        let mut rest = uri;
        if let Some((scheme, after)) = uri.split_once("://") {
            if scheme != "http" && scheme != "https" {
                return Err(refuse("is of another scheme"));
            }
            let at = after.find('/').unwrap_or(after.len());
            let (authority, path) = after.split_at(at);
            if Some(authority) != host {
                return Err(refuse("leads to another server"));
            }
            rest = path;
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (rest, None),
        };
        let path = match path.strip_prefix(ROOT) {
            Some(below) if below.starts_with('/') => below,
            _ => path,
        };
        if path.is_empty() {
            return Err(refuse("has no path"));
        }
        Ok((Target::parse(path)?, query))
    }

    fn parse(path: &str) -> Result<Self> {
        let names = Names::parse(path)?;
        match names.names.first().map(String::as_str) {
            Some("cdmi_objectid") => Target::by_id(names),
            Some("cdmi_capabilities") => Ok(Target::Capabilities(names.below())),
            Some("cdmi_domains") => Ok(Target::Domains(names.below())),
            _ => Ok(Target::Path(names)),
        }
    }

    /// The same as a container's, whose path ends in a slash.
    pub(crate) fn with_slash(self) -> Self {
        let with_slash = |names: Names| Names {
            slash: true,
            ..names
        };
        match self {
            Target::Path(names) => Target::Path(with_slash(names)),
            Target::Id(id, below) => Target::Id(id, with_slash(below)),
            other => other,
        }
    }

    fn by_id(names: Names) -> Result<Self> {
        let mut below = names.below();
        if below.names.is_empty() {
            return match below.slash {
                true => Ok(Target::NewId),
                false => Err(Error::invalid("an object id is missing")),
            };
        }
        let id = below.names.remove(0);
        Ok(Target::Id(id, below))
    }
}

impl Names {
    /// Reads an escaped path that starts with a slash, or lacks it.
    pub(crate) fn parse(path: &str) -> Result<Self> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (path, slash) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, path.is_empty()),
        };
        let mut names = Vec::new();
        if !path.is_empty() {
            for name in path.split('/') {
                let name = decode(name)?;
                if name.contains(['/', '?']) {
                    return Err(Error::invalid(
                        "a name contains neither a slash nor a question mark",
                    ));
                }
                names.push(name);
            }
        }
        Ok(Names { names, slash })
    }

    /// Without the first name.
    fn below(mut self) -> Names {
        if !self.names.is_empty() {
            self.names.remove(0);
        }
        self
    }

    /// The last name.
    pub(crate) fn last(&self) -> Option<&str> {
        self.names.last().map(String::as_str)
    }

    /// The path of the container around it; none for the root.
    pub(crate) fn parent(&self) -> Option<Names> {
        let (_, names) = self.names.split_last()?;
        Some(Names {
            names: names.to_vec(),
            slash: true,
        })
    }

    /// The path of something in this container.
    pub(crate) fn child(&self, name: &str, slash: bool) -> Names {
        let mut names = self.names.clone();
        names.push(name.to_owned());
        Names { names, slash }
    }

    /// These names, then those.
    pub(crate) fn join(&self, below: &Names) -> Names {
        Names {
            names: [self.names.clone(), below.names.clone()].concat(),
            slash: below.slash,
        }
    }

    /// As a path relative to the root URI, not escaped: `/a/b/`.
    pub(crate) fn path(&self) -> String {
        let mut path = String::from("/");
        path.push_str(&self.names.join("/"));
        if self.slash && !self.names.is_empty() {
            path.push('/');
        }
        path
    }

    /// As the path of a URL.
    pub(crate) fn url(&self) -> String {
        url_of(&self.path())
    }
}

/// A path that is relative to the root URI, as the path of a URL.
pub(crate) fn url_of(path: &str) -> String {
    format!("{ROOT}{}", escape(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str], slash: bool) -> Names {
        Names {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            slash,
        }
    }

    #[test]
    fn paths_name_objects_containers_ids_and_the_servers_own() {
        let target = |path| Target::of_request(path).unwrap();
        assert_eq!(target("/cdmi/"), Target::Path(names(&[], true)));
        assert_eq!(target("/cdmi/a"), Target::Path(names(&["a"], false)));
        assert_eq!(
            target("/cdmi/a%20b//c/"),
            Target::Path(names(&["a b", "", "c"], true))
        );
        assert_eq!(
            target("/cdmi/cdmi_objectid/00AB/x/"),
            Target::Id("00AB".to_owned(), names(&["x"], true))
        );
        assert_eq!(
            target("/cdmi/cdmi_objectid/00AB/"),
            Target::Id("00AB".to_owned(), names(&[], true))
        );
        assert_eq!(target("/cdmi/cdmi_objectid/"), Target::NewId);
        assert_eq!(
            target("/cdmi/cdmi_capabilities/queue/"),
            Target::Capabilities(names(&["queue"], true))
        );
        assert_eq!(
            target("/cdmi/cdmi_domains/"),
            Target::Domains(names(&[], true))
        );
        for bad in [
            "/cdmi/a%2Fb",
            "/cdmi/a%3F",
            "/cdmi/%ff",
            "/cdmi/cdmi_objectid",
        ] {
            assert!(Target::of_request(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fields_hold_uris_of_this_server_only() {
        let field = |uri| Target::of_field(uri, Some("h:1"));
        let expected = Target::Path(names(&["a", "b"], false));
        for uri in ["/a/b", "a/b", "/cdmi/a/b", "http://h:1/cdmi/a/b"] {
            assert_eq!(field(uri).unwrap(), (expected.clone(), None), "{uri}");
        }
        assert_eq!(
            field("/a/b?value&x=1").unwrap().1.as_deref(),
            Some("value&x=1")
        );
        for bad in ["http://other/cdmi/a", "ftp://h:1/a", ""] {
            assert!(field(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_written_as_they_are_read() {
        let nested = names(&["a b", "ü?".trim_end_matches('?')], true);
        assert_eq!(nested.path(), "/a b/ü/");
        assert_eq!(nested.url(), "/cdmi/a%20b/%C3%BC/");
        assert_eq!(Names::parse("/a%20b/%C3%BC/").unwrap(), nested);
        assert_eq!(nested.parent(), Some(names(&["a b"], true)));
        assert_eq!(names(&[], true).path(), "/");
        assert_eq!(names(&["a"], true).child("b", false).path(), "/a/b");
    }
}
