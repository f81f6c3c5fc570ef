//! Extended listings (a standalone extension): children with fields of theirs, and those of their
//! containers.
//!
//! `children=[objectName,metadata/cdmi_size]` gives an array for each child, `children=!` puts an
//! array behind each container. What may not be read of a child is null.

use crate::call::Call;
use crate::children::CHILDREN_MAX;
use crate::fault::{Answered, Fault};
use crate::node::{Container, Node};
use crate::query::{Fields, Span};
use crate::value::range_text;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use serde_json::{Map, Value};
use trestle_core::{Error, ErrorKind, Result};

/// Most fields of each child.
const FIELDS_MAX: usize = 64;
/// How deep recursive listings go.
const DEPTH_MAX: usize = 60;

/// What is asked of children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extended {
    recursive: bool,
    /// The names that lead to each field.
    fields: Option<Vec<Vec<String>>>,
    span: Option<Span>,
}

impl Extended {
    /// What a query asks, when it is more than names.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub(crate) fn of(fields: &Fields) -> Result<Option<Self>> {
        let arguments = fields.arguments("children");
        let extended = |text: &&str| text.starts_with(['!', '[']);
        let Some(text) = arguments.iter().copied().find(extended) else {
            return Ok(None);
        };
        if arguments.len() > 1 {
            return Err(Error::invalid("children is given more than once"));
        }
        let (recursive, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut asked = Extended {
            recursive,
            ..Extended::default()
        };
        if let Some(list) = rest.strip_prefix('[') {
            let list = list.strip_suffix(']');
            let list =
                list.ok_or_else(|| Error::invalid("a list of fields ends with a bracket"))?;
            let paths: Vec<Vec<String>> = list.split(',').map(path).collect::<Result<_>>()?;
            if paths.len() > FIELDS_MAX {
                return Err(Error::invalid(format!(
                    "at most {FIELDS_MAX} fields of each child are given"
                )));
            }
            asked.fields = Some(paths);
        } else if !rest.is_empty() {
            asked.span = Some(Span::parse(rest)?);
        }
        Ok(Some(asked))
    }
}

/// The names in `metadata/cdmi_size`, where a backslash takes the meaning from a slash.
fn path(text: &str) -> Result<Vec<String>> {
    let mut names = vec![String::new()];
    let mut escaped = false;
    for c in text.trim().chars() {
        match c {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '/' if !escaped => names.push(String::new()),
            c => {
                if let Some(last) = names.last_mut() {
                    last.push(c);
                }
            }
        }
        escaped = false;
    }
    match names.iter().any(String::is_empty) {
        true => Err(Error::invalid(format!(
            "{text:?} is not the name of a field"
        ))),
        false => Ok(names),
    }
}

/// The field that names lead to.
fn field(object: &Map<String, Value>, path: &[String]) -> Value {
    let mut names = path.iter();
    let mut found = names.next().and_then(|name| object.get(name));
    for name in names {
        found = found.and_then(|value| value.get(name));
    }
    found.cloned().unwrap_or(Value::Null)
}

impl Call<'_> {
    /// The children of a container as a query asks for them, and their range.
    pub(crate) async fn extended(
        &self,
        container: &Container,
        asked: &Extended,
    ) -> Answered<(String, Vec<Value>)> {
        let mut taken = 0;
        let all = self.with_all_fields();
        let span = asked.span;
        let names = self.children(container, span).await?.names;
        let range = range_text(span.map_or(0, |span| span.first), names.len() as u64);
        let items = all
            .extend((container, names), asked, (&mut taken, 0))
            .await?;
        Ok((range, items))
    }

    fn extend<'b>(
        &'b self,
        (container, names): (&'b Container, Vec<String>),
        asked: &'b Extended,
        (taken, depth): (&'b mut usize, usize),
    ) -> BoxFuture<'b, Answered<Vec<Value>>> {
        async move {
            let mut items = Vec::new();
            for name in names {
                *taken += 1;
                if *taken > CHILDREN_MAX || depth > DEPTH_MAX {
                    return Err(Fault::Status(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        format!("more than {CHILDREN_MAX} children, or {DEPTH_MAX} levels of them"),
                    ));
                }
                let descends = asked.recursive && name.ends_with('/');
                let node = match asked.fields.is_some() || descends {
                    true => self.resolve_child(container, &name).await?,
                    false => None,
                };
                items.push(match &asked.fields {
                    Some(fields) => self.fields_of(node.as_ref(), fields, &name).await?,
                    None => Value::from(name.as_str()),
                });
                if let Some(Node::Container(inner)) = node.as_ref().filter(|_| descends) {
                    let below = match self.children(inner, None).await {
                        Ok(children) => children.names,
                        Err(fault) if fault.is_forbidden() => Vec::new(),
                        Err(fault) => return Err(fault),
                    };
                    let below = self
                        .extend((inner, below), asked, (taken, depth + 1))
                        .await?;
                    items.push(Value::Array(below));
                }
            }
            Ok(items)
        }
        .boxed()
    }

    async fn fields_of(
        &self,
        node: Option<&Node>,
        fields: &[Vec<String>],
        name: &str,
    ) -> Answered<Value> {
        let mut document = match node {
            Some(node) => self.seen(node).await?.unwrap_or_default(),
            None => Map::new(),
        };
        // The listing itself tells the name.
        document.insert("objectName".to_owned(), Value::from(name));
        let fields = fields.iter().map(|path| field(&document, path));
        Ok(Value::Array(fields.collect()))
    }

    /// The fields of an object but its value or children: nothing when they may not be read.
    pub(crate) async fn seen(&self, node: &Node) -> Answered<Option<Map<String, Value>>> {
        let seen = match node {
            Node::Container(container) => self.container_head(container).await,
            Node::Leaf(leaf) if leaf.reference().is_some() => return Ok(None),
            Node::Leaf(leaf) => self.readable_head(leaf).await,
        };
        match seen {
            Ok(rendering) => Ok(Some(rendering.into_map())),
            Err(Fault::Error(error)) if error.kind() == ErrorKind::Forbidden => Ok(None),
            Err(fault) => Err(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;
    use serde_json::json;

    fn asked(query: &str) -> Result<Option<Extended>> {
        Extended::of(&Fields::parse(Some(query), &Version::Second).unwrap())
    }

    #[test]
    fn a_query_asks_for_fields_and_for_what_is_below() {
        assert_eq!(asked("children").unwrap(), None);
        assert_eq!(asked("children=0-3").unwrap(), None);
        assert!(asked("children=!").unwrap().unwrap().recursive);
        let ranged = asked("children=!1-2").unwrap().unwrap();
        assert_eq!(ranged.span, Some(Span { first: 1, last: 2 }));
        let fields = asked("children=%5BobjectName,metadata/a%5C/b%5D").unwrap();
        let fields = fields.unwrap().fields.unwrap();
        assert_eq!(fields, [vec!["objectName"], vec!["metadata", "a/b"]]);
        for bad in [
            "children=[",
            "children=[]",
            "children=!x",
            "children=!&children=!",
        ] {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fields_are_reached_by_their_names() {
        let object = json!({"a": {"b": ["c"]}});
        let object = object.as_object().unwrap();
        let at = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            field(object, &names)
        };
        assert_eq!(at(&["a", "b"]), json!(["c"]));
        assert_eq!(at(&["a", "x"]), Value::Null);
        assert_eq!(at(&["x"]), Value::Null);
    }
}
