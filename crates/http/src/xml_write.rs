//! XML documents of answers: elements open and close in order, every text is escaped.
//!
//! Control characters are written as references (`&#x1;`), which is what clients of XML interfaces
//! expect of names that contain them, though XML 1.0 has no place for most of them.

/// Writes one document. Elements that are still open are closed at its end.
#[derive(Debug)]
pub struct XmlWriter {
    text: String,
    open: Vec<&'static str>,
}

impl Default for XmlWriter {
    fn default() -> Self {
        XmlWriter::new()
    }
}

impl XmlWriter {
    /// A document with its declaration.
    pub fn new() -> Self {
        XmlWriter {
            text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(),
            open: Vec::new(),
        }
    }

    /// A document without a declaration: one that goes on where another text began.
    pub fn fragment() -> Self {
        XmlWriter {
            text: String::new(),
            open: Vec::new(),
        }
    }

    /// Opens an element.
    pub fn open(&mut self, name: &'static str) -> &mut Self {
        self.open_with(name, &[])
    }

    /// Opens an element with attributes, `xmlns` among them.
    pub fn open_with(&mut self, name: &'static str, attributes: &[(&str, &str)]) -> &mut Self {
        self.start(name, attributes);
        self.text.push('>');
        self.open.push(name);
        self
    }

    /// Closes the innermost open element.
    pub fn close(&mut self) -> &mut Self {
        if let Some(name) = self.open.pop() {
            self.text.push_str("</");
            self.text.push_str(name);
            self.text.push('>');
        }
        self
    }

    /// Text in the innermost open element.
    pub fn text(&mut self, text: &str) -> &mut Self {
        escape(text, false, &mut self.text);
        self
    }

    /// An element that has only text.
    pub fn leaf(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.open(name).text(text).close()
    }

    /// An element that has only text, when there is one.
    pub fn leaf_if(&mut self, name: &'static str, text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            self.leaf(name, text);
        }
        self
    }

    /// An element with nothing in it.
    pub fn empty(&mut self, name: &'static str, attributes: &[(&str, &str)]) -> &mut Self {
        self.start(name, attributes);
        self.text.push_str("/>");
        self
    }

    /// The document, whole.
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.text
    }

    fn start(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.text.push('<');
        self.text.push_str(name);
        for (name, value) in attributes {
            self.text.push(' ');
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(value, true, &mut self.text);
            self.text.push('"');
        }
    }
}

/// In an attribute line ends and tabs would be read as spaces.
fn escape(text: &str, attribute: bool, to: &mut String) {
    for character in text.chars() {
        match character {
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '&' => to.push_str("&amp;"),
            '"' => to.push_str("&quot;"),
            '\n' | '\t' if !attribute => to.push(character),
            '\u{fffe}' | '\u{ffff}' => reference(character, to),
            _ if character.is_control() => reference(character, to),
            _ => to.push(character),
        }
    }
}

fn reference(character: char, to: &mut String) {
    to.push_str(&format!("&#x{:x};", u32::from(character)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_xml;

    #[test]
    fn what_is_written_reads_the_same() {
        let hard = "a<b>&\"'\u{1}\r\n\t\u{7f}\u{85}\u{ffff}é";
        let mut writer = XmlWriter::new();
        writer
            .open_with("List", &[("xmlns", "urn:x"), ("note", hard)])
            .leaf("Key", hard)
            .leaf_if("None", None)
            .empty("Empty", &[("a", "1")])
            .open("Left");
        let text = writer.finish();
        assert!(text.contains("&#x1;&#xd;\n"), "{text}");
        assert!(
            text.ends_with("<Empty a=\"1\"/><Left></Left></List>"),
            "{text}"
        );
        let root = parse_xml(text.as_bytes(), 1 << 16).unwrap();
        assert_eq!(root.child("Key").unwrap().text, hard);
        assert_eq!(root.attribute("note"), Some(hard));
    }
}
