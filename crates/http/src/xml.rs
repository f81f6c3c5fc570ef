//! XML documents of requests, bounded: read into a small tree of local names.
//!
//! Refuses what no interface needs and what attacks are made of: a DTD, entities other than the five
//! of XML, another encoding than UTF-8, anything deep or large. Comments and processing
//! instructions are skipped. The tree is never larger than the document it was read from, by a
//! constant factor.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use trestle_core::{Error, ErrorKind, Result};

/// How deep elements may be nested.
pub const XML_DEPTH_MAX: usize = 32;
/// Most elements of a document.
pub const XML_ELEMENTS_MAX: usize = 100_000;
/// Most attributes of an element.
const ATTRIBUTES_MAX: usize = 32;

/// An element: its local name, its text and its children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// The name without its prefix.
    pub name: String,
    /// Attributes by local name, without declarations of namespaces.
    pub attributes: Vec<(String, String)>,
    /// The elements in it, in order.
    pub children: Vec<Element>,
    /// All text directly in it, joined, with blanks as they were.
    pub text: String,
}

impl Element {
    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of this name.
    pub fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first child of this name, without blanks around it.
    pub fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Reads a document of at most `bytes_max` bytes; the root element.
///
/// # Errors
/// `TooLarge` beyond `bytes_max`; `InvalidInput` for everything that is not a well-formed document
/// within the limits.
pub fn parse_xml(document: &[u8], bytes_max: usize) -> Result<Element> {
    if document.len() > bytes_max {
        let message = format!("the XML document is larger than {bytes_max} bytes");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    let text = std::str::from_utf8(document)
        .map_err(|_| Error::invalid("the XML document is not UTF-8"))?;
    // XML 1.0 §2.2: none of these is a character of a document.
    let is_control = |c: char| c < ' ' && !matches!(c, '\t' | '\n' | '\r');
    if text.contains(is_control) {
        return Err(Error::invalid("the XML document has a control character"));
    }
    let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut tree = Tree::default();
    loop {
        let event = reader.read_event().map_err(|error| {
            let place = reader.error_position();
            Error::invalid(format!(
                "the XML is not well-formed at byte {place}: {error}"
            ))
        })?;
        match event {
            Event::Start(start) => tree.open(element(&start)?)?,
            Event::Empty(start) => {
                tree.open(element(&start)?)?;
                tree.close()?;
            }
            Event::End(_) => tree.close()?,
            Event::Text(text) => tree.text(&text.xml10_content())?,
            Event::CData(text) => tree.text(&text.xml10_content())?,
            Event::GeneralRef(name) => {
                let mut resolved = String::new();
                resolve(&name, &mut resolved)?;
                tree.text(&resolved)?;
            }
            Event::Decl(declaration) => {
                if let Some(encoding) = declaration.encoding() {
                    let encoding = encoding.map_err(|_| Error::invalid("a wrong declaration"))?;
                    if !["utf-8", "utf8", "us-ascii"]
                        .iter()
                        .any(|known| encoding.eq_ignore_ascii_case(known))
                    {
                        return Err(Error::invalid("only XML in UTF-8 is read"));
                    }
                }
            }
            Event::DocType(_) => return Err(Error::invalid("XML with a DTD is refused")),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return tree.finish(),
        }
    }
}

/// What was read so far: the open elements, innermost last.
#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Tree {
    fn open(&mut self, element: Element) -> Result<()> {
        self.elements += 1;
        if self.root.is_some() {
            return Err(Error::invalid("XML has one root element"));
        }
        if self.open.len() >= XML_DEPTH_MAX || self.elements > XML_ELEMENTS_MAX {
            return Err(Error::invalid(format!(
                "XML of more than {XML_ELEMENTS_MAX} elements, or nested deeper than {XML_DEPTH_MAX}"
            )));
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let closed = self.open.pop();
        let closed =
            closed.ok_or_else(|| Error::invalid("an XML element ends that never began"))?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => self.root = Some(closed),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<()> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(Error::invalid("XML has text outside its root element")),
        }
        Ok(())
    }

    fn finish(self) -> Result<Element> {
        match self.root {
            Some(root) if self.open.is_empty() => Ok(root),
            _ => Err(Error::invalid("the XML document ends too early")),
        }
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element> {
    let mut attributes = Vec::new();
    for (count, attribute) in start.attributes().enumerate() {
        let attribute =
            attribute.map_err(|error| Error::invalid(format!("a wrong XML attribute: {error}")))?;
        if count >= ATTRIBUTES_MAX {
            return Err(Error::invalid("an XML element has too many attributes"));
        }
        let qualified = attribute.key.0;
        if qualified == "xmlns" || qualified.starts_with("xmlns:") {
            continue;
        }
        let name = attribute.key.local_name().as_ref().to_owned();
        attributes.push((name, unescape(&attribute.value)?));
    }
    let name = start.local_name().as_ref().to_owned();
    if name.is_empty() {
        return Err(Error::invalid("an XML element has no name"));
    }
    Ok(Element {
        name,
        attributes,
        ..Element::default()
    })
}

fn unescape(raw: &str) -> Result<String> {
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('&') {
        value.push_str(before);
        let (name, after) = after
            .split_once(';')
            .ok_or_else(|| Error::invalid("an XML entity has no end"))?;
        resolve(name, &mut value)?;
        rest = after;
    }
    value.push_str(rest);
    Ok(value)
}

/// What an entity stands for. Control characters pass when they are written as references: keys may
/// contain them.
fn resolve(name: &str, to: &mut String) -> Result<()> {
    let number = |digits: &str, radix| {
        let sound = digits.len() <= 8 && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let code = u32::from_str_radix(digits, radix).ok().filter(|_| sound)?;
        char::from_u32(code).filter(|c| *c != '\0')
    };
    let character = match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match name.strip_prefix('#') {
            Some(digits) => match digits.strip_prefix('x') {
                Some(digits) => number(digits, 16),
                None => number(digits, 10),
            },
            None => None,
        },
    };
    to.push(character.ok_or_else(|| Error::invalid("an XML entity is not known"))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Element> {
        parse_xml(text.as_bytes(), 1 << 20)
    }

    #[test]
    fn names_are_local_and_text_is_joined() {
        let root = parse(
            "\u{feff}<?xml version='1.0' encoding='UTF-8'?><!-- c --><a:Delete xmlns:a='urn:x' \
             xmlns='urn:y'><Quiet/><Object xsi:type='T&amp;U'><Key> a&lt;&#x1;<![CDATA[<b>]]>&#10;\
             </Key></Object><Object/></a:Delete>\n",
        )
        .unwrap();
        assert_eq!(root.name, "Delete");
        assert!(root.attributes.is_empty());
        assert_eq!(root.children_named("Object").count(), 2);
        let object = root.child("Object").unwrap();
        assert_eq!(object.attribute("type"), Some("T&U"));
        assert_eq!(object.child("Key").unwrap().text, " a<\u{1}<b>\n");
        assert_eq!(object.child_text("Key"), Some("a<\u{1}<b>"));
        assert_eq!(root.child_text("Quiet"), Some(""));
    }

    #[test]
    fn what_is_not_plain_is_refused() {
        let deep = "<a>".repeat(XML_DEPTH_MAX + 1);
        for bad in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a>\u{1}</a>",
            "<a>\0</a>",
            "</a>",
            "<a/>x",
            "<a b='1' b='2'/>",
            "<a b=1/>",
            "<a>&b;</a>",
            "<a>&#0;</a>",
            "<a>&#xD800;</a>",
            "<a>&#+1;</a>",
            "<a b='&c;'/>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
            "<?xml version='1.0' encoding='utf-16'?><a/>",
            &deep,
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse_xml(b"<a>\xff</a>", 100).is_err());
        let large = parse_xml(b"<a>12345</a>", 11).unwrap_err();
        assert_eq!(large.kind(), ErrorKind::TooLarge);
        let many = format!("<a>{}</a>", "<b/>".repeat(XML_ELEMENTS_MAX));
        assert!(parse(&many).is_err());
    }
}
