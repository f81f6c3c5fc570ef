//! CORS rules as a document: the XML form that clients of object stores write, in which a bucket
//! keeps them whichever way they came.
//!
//! What a rule may say is checked by [`CorsRule::check`] and by whoever takes a document in; reading
//! a kept one is lenient, so that a rule never shuts out a whole bucket.

use crate::cors::CorsRule;
use crate::xml::Element;
use crate::xml_write::XmlWriter;
use trestle_core::{Error, Result};

/// Most rules of a document.
pub const CORS_RULES_MAX: usize = 100;
/// Most values of one list of a rule.
const VALUES_MAX: usize = 100;

/// A rule and the name that it was given.
pub type NamedCorsRule = (Option<String>, CorsRule);

fn texts(rule: &Element, name: &str) -> Vec<String> {
    rule.children_named(name)
        .map(|child| child.text.trim().to_owned())
        .collect()
}

impl CorsRule {
    /// Reads the rules of a document whose root is this.
    ///
    /// # Errors
    /// `InvalidInput` for an age that is no number.
    pub fn read(root: &Element) -> Result<Vec<NamedCorsRule>> {
        let rules = root.children_named("CORSRule").map(|element| {
            let age = element.child_text("MaxAgeSeconds");
            let malformed = |_| Error::invalid("MaxAgeSeconds is not a number");
            let rule = CorsRule {
                origins: texts(element, "AllowedOrigin"),
                methods: texts(element, "AllowedMethod"),
                headers: texts(element, "AllowedHeader"),
                expose: texts(element, "ExposeHeader"),
                max_age: age
                    .map(|text| text.parse().map_err(malformed))
                    .transpose()?,
                credentials: true,
            };
            Ok((element.child_text("ID").map(str::to_owned), rule))
        });
        rules.collect()
    }

    /// The document of these rules, in the namespace that its readers expect.
    pub fn write(rules: &[NamedCorsRule], namespace: &str) -> XmlWriter {
        let mut document = XmlWriter::new();
        document.open_with("CORSConfiguration", &[("xmlns", namespace)]);
        for (id, rule) in rules {
            document.open("CORSRule");
            document.leaf_if("ID", id.as_deref());
            for (name, list) in [
                ("AllowedHeader", &rule.headers),
                ("AllowedMethod", &rule.methods),
                ("AllowedOrigin", &rule.origins),
                ("ExposeHeader", &rule.expose),
            ] {
                for text in list {
                    document.leaf(name, text);
                }
            }
            document.leaf_if(
                "MaxAgeSeconds",
                rule.max_age.map(|age| age.to_string()).as_deref(),
            );
            document.close();
        }
        document
    }

    /// Whether a rule admits anything, and no pattern of it is more than one `*` can be.
    ///
    /// # Errors
    /// `InvalidInput` with what is wrong.
    pub fn check(&self) -> Result<()> {
        if self.origins.is_empty() || self.methods.is_empty() {
            return Err(Error::invalid(
                "a rule has at least one origin and one method",
            ));
        }
        let lists = [&self.origins, &self.methods, &self.headers, &self.expose];
        if lists.iter().any(|list| list.len() > VALUES_MAX) {
            return Err(Error::invalid(format!(
                "a list of a rule has at most {VALUES_MAX} values"
            )));
        }
        let visible =
            |text: &String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if !lists.iter().copied().flatten().all(visible) {
            return Err(Error::invalid("a rule's values are visible ASCII"));
        }
        if self.max_age.is_some_and(|seconds| seconds < -1) {
            return Err(Error::invalid("an age is a number of seconds, or -1"));
        }
        let method = |method: &String| method.bytes().all(|b| b.is_ascii_uppercase());
        if !self.methods.iter().all(method) {
            return Err(Error::invalid("a rule's methods are in capitals"));
        }
        let stars = |text: &&String| text.matches('*').count() > 1;
        if let Some(text) = self.origins.iter().chain(&self.headers).find(stars) {
            let message = format!("{text:?} has more than one *");
            return Err(Error::invalid(message));
        }
        if self.expose.iter().any(|name| name.contains('*')) {
            return Err(Error::invalid("exposed headers are named, without *"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_xml;

    #[test]
    fn rules_are_read_as_they_are_written() {
        let rule = CorsRule {
            origins: vec!["https://*.example.com".into()],
            methods: vec!["GET".into(), "PATCH".into()],
            headers: vec!["*".into()],
            expose: vec!["ETag".into()],
            max_age: Some(60),
            credentials: true,
        };
        rule.check().unwrap();
        let rules = vec![(Some("a".to_owned()), rule.clone()), (None, rule.clone())];
        let text = CorsRule::write(&rules, "urn:x").finish();
        let root = parse_xml(text.as_bytes(), 1 << 20).unwrap();
        assert_eq!(CorsRule::read(&root).unwrap(), rules);
        for bad in [
            CorsRule::default(),
            CorsRule {
                origins: vec!["*.*".into()],
                ..rule.clone()
            },
            CorsRule {
                methods: vec!["get".into()],
                ..rule.clone()
            },
            CorsRule {
                max_age: Some(-2),
                ..rule.clone()
            },
            CorsRule {
                expose: vec!["x-*".into()],
                ..rule.clone()
            },
            CorsRule {
                headers: vec!["a\r\nb".into()],
                ..rule
            },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
