//! What operations on many things answer with: 200, and in the body what really happened, as plain
//! text, JSON or XML.

use crate::fault::status_line;
use crate::listing::{Format, escape};
use serde_json::{Map, Value, json};

/// A report.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The root element in XML.
    pub(crate) root: &'static str,
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Further fields, in order.
    pub(crate) fields: Vec<(&'static str, Value)>,
    /// Quoted names, and what became of each.
    pub(crate) errors: Vec<(String, String)>,
}

impl Report {
    /// An empty report.
    pub(crate) fn new(root: &'static str, status: u16) -> Self {
        Report {
            root,
            status,
            body: String::new(),
            fields: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// All fields with their names.
    fn named(&self) -> Vec<(&'static str, Value)> {
        let mut named = self.fields.clone();
        named.push(("Response Body", json!(self.body)));
        named.push(("Response Status", json!(status_line(self.status))));
        named
    }

    /// Writes it.
    pub(crate) fn render(&self, format: Format) -> String {
        match format {
            Format::Json => self.json(),
            Format::Plain => self.plain(),
            Format::Xml | Format::TextXml => self.xml(),
        }
    }

    fn json(&self) -> String {
        let mut map: Map<String, Value> = self
            .named()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        map.insert("Errors".into(), json!(self.errors));
        Value::Object(map).to_string()
    }

    fn plain(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.named() {
            text.push_str(&format!("{name}: {}\n", shown(&value)));
        }
        text.push_str("Errors:\n");
        for (name, status) in &self.errors {
            text.push_str(&format!("{name}, {status}\n"));
        }
        text
    }

    fn xml(&self) -> String {
        let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        text.push_str(&format!("<{}>\n", self.root));
        for (name, value) in self.named() {
            let name = name.replace(' ', "_").to_lowercase();
            text.push_str(&format!("<{name}>{}</{name}>\n", escape(&shown(&value))));
        }
        text.push_str("<errors>\n");
        for (name, status) in &self.errors {
            text.push_str(&format!(
                "<object><name>{}</name><status>{}</status></object>\n",
                escape(name),
                escape(status)
            ));
        }
        text.push_str(&format!("</errors>\n</{}>\n", self.root));
        text
    }
}

fn shown(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_status_counts_and_errors() {
        let mut report = Report::new("delete", 400);
        report.fields.push(("Number Deleted", json!(2)));
        report
            .errors
            .push(("c/a%20b".into(), "409 Conflict".into()));
        let json: Value = serde_json::from_str(&report.render(Format::Json)).unwrap();
        assert_eq!(
            json,
            json!({"Number Deleted": 2, "Response Body": "", "Response Status": "400 Bad Request",
                   "Errors": [["c/a%20b", "409 Conflict"]]})
        );
        let plain = report.render(Format::Plain);
        assert_eq!(
            plain,
            "Number Deleted: 2\nResponse Body: \nResponse Status: 400 Bad Request\n\
             Errors:\nc/a%20b, 409 Conflict\n"
        );
        let xml = report.render(Format::Xml);
        assert!(
            xml.contains("<delete>\n<number_deleted>2</number_deleted>"),
            "{xml}"
        );
        assert!(
            xml.contains("<object><name>c/a%20b</name><status>409 Conflict</status></object>"),
            "{xml}"
        );
    }
}
