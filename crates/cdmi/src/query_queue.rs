//! Query queues (clause 22.1): a queue whose metadata is a query is filled with what it finds when
//! it is made.

use crate::call::Call;
use crate::content::collect;
use crate::data::resolve;
use crate::document::Document;
use crate::fault::{Answered, Fault};
use crate::node::{Container, Leaf, Node, document, nameless_bucket};
use crate::path::{Names, Target};
use crate::queue_content::QueueValue;
use crate::scope::{Scope, check_results, results};
use crate::show::{encoding_of, is_processing};
use crate::value::{Encoding, range_text, to_base64};
use crate::watch::{RESULTS, SCOPE, TYPE, fixed_items};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Map, Value};
use trestle_core::{BucketName, Error, ErrorKind, Metadata, Result, VersionId};

/// The type of a queue that holds what a query finds.
pub(crate) const QUERY: &str = "cdmi_query_queue";
/// The type of a queue that is read at once and not kept.
pub(crate) const IMMEDIATE: &str = "cdmi_query_immediate";
/// Most objects that one query looks at.
const OBJECTS_MAX: usize = 100_000;
/// Largest value that a query looks into.
const VALUE_LOOKED_AT_MAX: u64 = 1 << 20;
/// Fields that a queue has with its values, or by having some.
const OF_VALUES: [&str; 5] = [
    "queueValues",
    "mimetype",
    "valuetransferencoding",
    "valuerange",
    "value",
];
/// Fields that a container has by what is in it.
const OF_CHILDREN: [&str; 2] = ["childrenrange", "children"];

/// The value in base64 that was read last, for who looks at the same version next.
#[derive(Debug, Default)]
pub(crate) struct LastValue(Option<(VersionId, String)>);

/// A query as a queue's metadata has it.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) scope: Scope,
    pub(crate) results: Value,
}

impl Query {
    /// Of what is looked for, and what is given of it.
    pub(crate) fn new(scope: Scope, results: Value) -> Self {
        Query { scope, results }
    }

    /// Whether one of these fields is looked at or given.
    fn names(&self, fields: &[&str]) -> bool {
        self.results.is_string()
            || fields
                .iter()
                .any(|name| self.results.get(name).is_some() || self.scope.names(name))
    }
}

/// The query of a queue's metadata, if it is a query queue.
///
/// # Errors
/// `InvalidInput` for a query that cannot be understood.
pub(crate) fn query_of(metadata: &Metadata) -> Result<Option<Query>> {
    let kind = metadata.get(TYPE).and_then(Value::as_str);
    if kind != Some(QUERY) && kind != Some(IMMEDIATE) {
        return Ok(None);
    }
    let missing = |name: &str| Error::invalid(format!("a query queue needs {name}"));
    let scope = Scope::parse(metadata.get(SCOPE).ok_or_else(|| missing(SCOPE))?)?;
    let results = metadata.get(RESULTS).ok_or_else(|| missing(RESULTS))?;
    check_results(results)?;
    Ok(Some(Query::new(scope, results.clone())))
}

/// Refuses to change what a queue is told while it is of its kind.
pub(crate) fn check_unchanged(before: &Metadata, after: &Metadata) -> Result<()> {
    let kind = before.get(TYPE).and_then(Value::as_str).unwrap_or_default();
    let still = after.get(TYPE) == before.get(TYPE);
    let mut items = fixed_items(kind).iter();
    let changed = items.any(|name| before.get(*name) != after.get(*name));
    // A query queue may become one of another kind; the type of the others only goes.
    let ends = kind == QUERY || !after.contains_key(TYPE);
    let fixed = !fixed_items(kind).is_empty();
    match fixed && (still && changed || !still && !ends) {
        true => Err(Error::new(
            ErrorKind::Forbidden,
            "what the queue is told does not change",
        )),
        false => Ok(()),
    }
}

impl Call<'_> {
    /// What a new query queue holds.
    pub(crate) async fn run_query(&self, query: &Query) -> Answered<Vec<QueueValue>> {
        let all = self.with_all_fields();
        let root = all.root().await?;
        let mut found = Vec::new();
        let mut seen = 0;
        let mut query = query.clone();
        self.name_ids(&mut query.scope).await?;
        all.search(&root, &query, (&mut found, &mut seen)).await?;
        for account in self.accounts().await? {
            let bucket = nameless_bucket(&account)?;
            let reached = (&mut found, &mut seen);
            all.search_nameless(&bucket, &query, reached)
                .boxed()
                .await?;
        }
        Ok(found)
    }

    /// Puts paths in the place of URIs by object id: objects have those.
    pub(crate) async fn name_ids(&self, scope: &mut Scope) -> Answered<()> {
        for uri in scope.uris_by_id() {
            let Ok((target, _)) = Target::of_field(uri, None) else {
                continue;
            };
            let path = match self.aliased(target).await? {
                Target::Domains(names) => Some(format!("/cdmi_domains{}", names.path())),
                Target::Capabilities(names) => Some(format!("/cdmi_capabilities{}", names.path())),
                Target::Id(id, below) if below.names.is_empty() => {
                    let id = self.cdmi.ids.parse(&id).ok().flatten();
                    let names = match id {
                        Some(id) => self.path_of(id).await?,
                        None => None,
                    };
                    names.map(|names| names.path())
                }
                _ => None,
            };
            // What leads nowhere stays as it is, and no object has it.
            if let Some(path) = path {
                *uri = path;
            }
        }
        Ok(())
    }

    /// Looks through the objects that only their ids lead to.
    async fn search_nameless(
        &self,
        bucket: &BucketName,
        query: &Query,
        (found, seen): (&mut Vec<QueueValue>, &mut usize),
    ) -> Answered<()> {
        let mut after = None;
        loop {
            let (objects, next) = self.page(bucket, (String::new(), after)).await?;
            for object in objects {
                *seen += 1;
                check_seen(*seen)?;
                let id = self.id_text(object.id.0);
                let target = Target::Id(id, Names::default());
                let Some(node) = self.find(&target).await? else {
                    continue;
                };
                self.look_at(&node, query, found).await?;
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Takes in what is found, if it is.
    async fn look_at(
        &self,
        node: &Node,
        query: &Query,
        found: &mut Vec<QueueValue>,
    ) -> Answered<()> {
        let mut last = LastValue::default();
        if let Some(object) = self.as_searched(node, query, &mut last).await?
            && query.scope.matches(&object)
        {
            found.push(result(query, &object));
        }
        Ok(())
    }

    fn search<'b>(
        &'b self,
        container: &'b Container,
        query: &'b Query,
        (found, seen): (&'b mut Vec<QueueValue>, &'b mut usize),
    ) -> BoxFuture<'b, Answered<()>> {
        async move {
            let children = match container.names.names.is_empty() {
                // What is found there is decided for each of them.
                true => self.all_in_root().await,
                false => self.children(container, None).await,
            };
            let names = match children {
                Err(Fault::Error(error)) if error.kind() == ErrorKind::Forbidden => return Ok(()),
                names => names?.names,
            };
            for name in names {
                *seen += 1;
                check_seen(*seen)?;
                if container.names.names.is_empty() && name.starts_with("cdmi_") {
                    continue;
                }
                let Some(node) = self.resolve_child(container, &name).await? else {
                    continue;
                };
                self.look_at(&node, query, found).await?;
                if let Node::Leaf(leaf) = &node
                    && leaf.object.documents.contains_key(document::VERSIONED)
                {
                    for version in self.version_leaves(leaf).await? {
                        self.look_at(&Node::Leaf(version), query, found).await?;
                    }
                }
                if let Node::Container(inner) = &node {
                    self.search(inner, query, (found, seen)).await?;
                }
            }
            Ok(())
        }
        .boxed()
    }

    /// An object as a query sees it: nothing, when it may not be read. Its value is read when that
    /// decides, or is told, and taken from `last` when that has it.
    pub(crate) async fn as_searched(
        &self,
        node: &Node,
        query: &Query,
        last: &mut LastValue,
    ) -> Answered<Option<Map<String, Value>>> {
        let Some(mut seen) = self.seen(node).await? else {
            return Ok(None);
        };
        match node {
            Node::Leaf(leaf) if leaf.is_queue() => {
                if query.names(&OF_VALUES) {
                    self.see_values(leaf, &mut seen).boxed().await?;
                }
            }
            Node::Leaf(leaf) => self.see_value(leaf, &mut seen, (query, last)).await?,
            Node::Container(container) => {
                if query.names(&OF_CHILDREN) {
                    self.see_children(container, &mut seen).boxed().await?;
                }
            }
        }
        Ok(Some(seen))
    }

    /// Adds the fields that a data object has with its value.
    async fn see_value(
        &self,
        leaf: &Leaf,
        seen: &mut Map<String, Value>,
        (query, last): (&Query, &mut LastValue),
    ) -> Answered<()> {
        let object = &leaf.object;
        let complete = !is_processing(object);
        if complete && leaf.reference().is_none() {
            let encoding = encoding_of(object).as_str();
            seen.insert("valuetransferencoding".to_owned(), encoding.into());
            let range = range_text(0, object.length());
            seen.insert("valuerange".to_owned(), range.into());
        }
        let possible = || query.scope.may_match(seen, |name| name != "value");
        if !query.names(&["value"])
            || !complete
            || object.length() > VALUE_LOOKED_AT_MAX
            || !possible()
        {
            return Ok(());
        }
        match self.value_of(leaf, last).await {
            Ok((encoding, value)) => {
                seen.insert("valuetransferencoding".to_owned(), encoding.into());
                seen.insert("value".to_owned(), value.into());
                Ok(())
            }
            // Who may read the metadata alone finds by it.
            Err(fault) if fault.is_forbidden() => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Adds those that a queue has with its values, of which the oldest is shown, in base64.
    async fn see_values(&self, leaf: &Leaf, seen: &mut Map<String, Value>) -> Answered<()> {
        let content = match self.queue_content(leaf).await {
            Ok((_, content)) => content,
            Err(fault) if fault.is_forbidden() => return Ok(()),
            Err(fault) => return Err(fault),
        };
        seen.insert("queueValues".to_owned(), content.designators().into());
        let Some(oldest) = content.values.first() else {
            return Ok(());
        };
        let length = oldest.bytes.len() as u64;
        for (name, value) in [
            ("mimetype", oldest.mimetype.clone()),
            ("valuetransferencoding", oldest.encoding.as_str().to_owned()),
            ("valuerange", range_text(0, length)),
            ("value", to_base64(&oldest.bytes)),
        ] {
            if name != "value" || length <= VALUE_LOOKED_AT_MAX {
                seen.insert(name.to_owned(), Value::Array(vec![value.into()]));
            }
        }
        Ok(())
    }

    /// Adds those that a container has by what is in it, for who may list it.
    async fn see_children(
        &self,
        container: &Container,
        seen: &mut Map<String, Value>,
    ) -> Answered<()> {
        let children = match self.children(container, None).await {
            Err(fault) if fault.is_forbidden() => return Ok(()),
            children => children?.names,
        };
        let range = range_text(0, children.len() as u64);
        seen.insert("childrenrange".to_owned(), range.into());
        seen.insert("children".to_owned(), children.into());
        Ok(())
    }

    /// The encoding of a value, and the value in base64.
    async fn value_of(
        &self,
        leaf: &Leaf,
        LastValue(last): &mut LastValue,
    ) -> Answered<(&'static str, String)> {
        // Opened in any case: whether it may be read is another thing for each who asks.
        let reader = self.open(leaf).await?;
        let object = reader.object();
        let (version, encoding) = (object.version, encoding_of(object).as_str());
        if let Some((kept, value)) = last
            && *kept == version
        {
            return Ok((encoding, value.clone()));
        }
        let range = resolve(None, object.length())?;
        let value = to_base64(&collect(reader, range).await?);
        *last = Some((version, value.clone()));
        Ok((encoding, value))
    }

    /// Refuses a change of a queue's metadata that its type forbids, or that cannot be understood.
    pub(crate) fn check_queue_change(&self, leaf: &Leaf, document: &Document) -> Answered<()> {
        let mut properties = leaf.object.properties();
        self.change_properties(&mut properties, document)?;
        check_unchanged(&leaf.object.metadata, &properties.metadata)?;
        let queue = Some(leaf.object.id.0);
        self.check_watches(&leaf.object.metadata)?;
        self.check_queue(&properties.metadata, queue)?;
        Ok(())
    }

    /// Does what a queue's new type asks for, when its metadata has just changed.
    pub(crate) async fn follow_type(&self, before: &Leaf) -> Answered<()> {
        let Some(object) = self.look(&before.bucket, &before.object.key).await? else {
            return Ok(());
        };
        if object.metadata.get(TYPE) == before.object.metadata.get(TYPE) {
            return Ok(());
        }
        self.unwatch(object.id.0).await?;
        self.watch(&object).await?;
        match query_of(&object.metadata)? {
            Some(query) => {
                let found = self.run_query(&query).boxed().await?;
                self.enqueue_values(before, &found).await
            }
            None => Ok(()),
        }
    }
}

/// Refuses to look at more objects than a query may.
fn check_seen(seen: usize) -> Result<()> {
    match seen > OBJECTS_MAX {
        true => Err(Error::new(
            ErrorKind::TooLarge,
            format!("a query looks at {OBJECTS_MAX} objects at most"),
        )),
        false => Ok(()),
    }
}

fn result(query: &Query, object: &Map<String, Value>) -> QueueValue {
    let found = Value::Object(results(&query.results, object));
    QueueValue {
        mimetype: "application/json".to_owned(),
        encoding: Encoding::Json,
        bytes: Bytes::from(found.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(value: Value) -> Metadata {
        value.as_object().unwrap().clone().into_iter().collect()
    }

    #[test]
    fn queries_are_understood_or_refused_and_do_not_change() {
        let query = metadata(json!({
            TYPE: "cdmi_query_queue", SCOPE: [{"objectName": "starts a"}],
            RESULTS: {"objectID": ""}, "colour": "x",
        }));
        assert!(query_of(&query).unwrap().is_some());
        assert!(query_of(&metadata(json!({}))).unwrap().is_none());
        for bad in [
            json!({TYPE: "cdmi_query_queue"}),
            json!({TYPE: "cdmi_query_queue", SCOPE: [], RESULTS: 1}),
            json!({TYPE: "cdmi_query_queue", SCOPE: [{"a": "~"}], RESULTS: ""}),
        ] {
            assert!(query_of(&metadata(bad)).is_err());
        }
        let mut other = query.clone();
        other.insert("colour".to_owned(), json!("y"));
        assert!(check_unchanged(&query, &other).is_ok());
        other.insert(SCOPE.to_owned(), json!([]));
        assert!(check_unchanged(&query, &other).is_err());
        other.remove(TYPE);
        assert!(check_unchanged(&query, &other).is_ok());
        let typed = |kind: &str| metadata(json!({TYPE: kind}));
        assert!(check_unchanged(&query, &typed("cdmi_logging_queue")).is_ok());
        let log = typed("cdmi_logging_queue");
        assert!(check_unchanged(&log, &typed("cdmi_query_queue")).is_err());
        assert!(check_unchanged(&log, &metadata(json!({}))).is_ok());
    }
}
