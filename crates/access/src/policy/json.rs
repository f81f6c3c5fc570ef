//! JSON as policies need it: a name that stands twice in one map is an error, since nobody can say
//! which one counts, and numbers are texts.

use serde_json::Value;
use trestle_core::Once;

/// A value. Numbers are kept as their text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    /// In the order of names.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Parses a document; the message tells line and column.
    pub(super) fn parse(text: &str) -> Result<Node, String> {
        let Once(value) = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(Node::of(value))
    }

    fn of(value: Value) -> Node {
        match value {
            Value::Null => Node::Null,
            Value::Bool(truth) => Node::Bool(truth),
            Value::Number(number) => Node::Number(match number.as_f64() {
                Some(broken) if number.is_f64() => broken.to_string(),
                _ => number.to_string(),
            }),
            Value::String(text) => Node::Text(text),
            Value::Array(list) => Node::List(list.into_iter().map(Node::of).collect()),
            Value::Object(map) => {
                let named = |(name, value)| (name, Node::of(value));
                Node::Map(map.into_iter().map(named).collect())
            }
        }
    }
}
