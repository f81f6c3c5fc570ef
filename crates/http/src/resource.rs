//! The `Resource` trait: implement the methods that your type has, and be served by them.
//!
//! A collection has `list` and `post`, each item in it `get`, `put`, `patch` and `delete`. Which of
//! them a type implements is found out by their types, without calling them: those that keep the
//! default body are the ones that `Allow` does not name.

use crate::client::Client;
use crate::problem::Problem;
use http::{Extensions, HeaderMap, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::any::TypeId;
use std::fmt::Display;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};
use trestle_core::Timestamp;

/// One request, as methods of a resource see it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path, as it was sent.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The query's parameters in order, decoded.
    pub query: Vec<(String, String)>,
    /// What stands for the `{name}`s of the route, decoded.
    pub parameters: Vec<(String, String)>,
    /// What layers in front found out, such as who asks.
    pub extensions: Extensions,
}

impl Call {
    /// A parameter of the route.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.parameters, name)
    }

    /// A parameter of the query.
    pub fn filter(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// Who sent the request; none when it came through no connection.
    pub fn client(&self) -> Option<&Client> {
        self.extensions.get()
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = pairs.iter().find(|(found, _)| found == name);
    found.map(|(_, value)| value.as_str())
}

/// The page of a list that is asked for: `?after=…&limit=…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What the page before ended with; none for the first.
    pub after: Option<String>,
    /// Most items.
    pub limit: usize,
}

/// A page of items.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to ask for as `after` to see the next page; none on the last.
    pub next: Option<String>,
}

impl<T> Listing<T> {
    /// A page of items in order, each with its id, cut to what was asked for.
    pub fn page<I: Display>(items: impl IntoIterator<Item = (I, T)>, page: &Page) -> Self {
        let mut listing = Listing {
            items: Vec::new(),
            next: None,
        };
        let mut last = None;
        for (id, item) in items {
            if listing.items.len() >= page.limit {
                listing.next = last;
                return listing;
            }
            last = Some(id.to_string());
            listing.items.push(item);
        }
        listing
    }
}

/// A type that is served. Errors are [`Problem`]s, made by their status.
pub trait Resource: Send + Sync + Sized + 'static {
    /// What names an item: the last segment of its path. What does not parse is 404.
    type Id: FromStr + Display + Send + 'static;
    /// What an item is, as it is sent and received in JSON. What does not fit is 422.
    type Item: Serialize + DeserializeOwned + Send + 'static;

    /// Largest body that is read; a larger one is 413.
    const BODY_BYTES_MAX: usize = 1 << 20;
    /// The Cache-Control of what is read.
    const CACHE_CONTROL: &'static str = "no-cache";
    /// Whether a change must say which state it changes: one without If-Match is then 428.
    const CONDITIONS_REQUIRED: bool = false;
    /// The parameters that `list` knows besides `after` and `limit`; others are 400.
    const FILTERS: &'static [&'static str] = &[];

    /// The JSON Schema of an item, for the OpenAPI document.
    fn schema() -> Value {
        Value::Object(serde_json::Map::new())
    }

    /// When an item was changed last: its Last-Modified.
    fn modified(&self, _item: &Self::Item) -> Option<Timestamp> {
        None
    }

    /// An item as HTML, for those who want that more than JSON.
    fn html(&self, _item: &Self::Item) -> Option<String> {
        None
    }

    /// GET of the collection.
    fn list(
        &self,
        _page: Page,
        _call: &Call,
    ) -> impl Future<Output = Result<Listing<Self::Item>, Problem>> + Send {
        Missing::new()
    }

    /// POST to the collection: makes an item and its name.
    fn post(
        &self,
        _item: Self::Item,
        _call: &Call,
    ) -> impl Future<Output = Result<(Self::Id, Self::Item), Problem>> + Send {
        Missing::new()
    }

    /// GET of an item.
    fn get(
        &self,
        _id: Self::Id,
        _call: &Call,
    ) -> impl Future<Output = Result<Self::Item, Problem>> + Send {
        Missing::new()
    }

    /// PUT of an item: what it is from now on.
    fn put(
        &self,
        _id: Self::Id,
        _item: Self::Item,
        _call: &Call,
    ) -> impl Future<Output = Result<Self::Item, Problem>> + Send {
        Missing::new()
    }

    /// PATCH of an item by a JSON merge patch. Where `get` and `put` are, it need not be: the patch
    /// is then applied to what `get` gives, and the outcome put.
    fn patch(
        &self,
        _id: Self::Id,
        _patch: Value,
        _call: &Call,
    ) -> impl Future<Output = Result<Self::Item, Problem>> + Send {
        Missing::new()
    }

    /// DELETE of an item.
    fn delete(
        &self,
        _id: Self::Id,
        _call: &Call,
    ) -> impl Future<Output = Result<(), Problem>> + Send {
        Missing::new()
    }
}

/// What a method that is not implemented returns.
struct Missing<T>(PhantomData<fn() -> T>);

impl<T> Missing<T> {
    fn new() -> Self {
        Missing(PhantomData)
    }
}

impl<T> Future for Missing<T> {
    type Output = Result<T, Problem>;

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
        let detail = "the resource does not have this method";
        Poll::Ready(Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)))
    }
}

/// Which methods a type implements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Methods {
    pub(crate) list: bool,
    pub(crate) post: bool,
    pub(crate) get: bool,
    pub(crate) put: bool,
    pub(crate) patch: bool,
    pub(crate) delete: bool,
}

fn implemented<T: 'static, F: Future<Output = Result<T, Problem>> + 'static>() -> bool {
    TypeId::of::<F>() != TypeId::of::<Missing<T>>()
}

fn one<R, A, T: 'static, F>(_: fn(&'static R, A, &'static Call) -> F) -> bool
where
    F: Future<Output = Result<T, Problem>> + 'static,
{
    implemented::<T, F>()
}

fn two<R, A, B, T: 'static, F>(_: fn(&'static R, A, B, &'static Call) -> F) -> bool
where
    F: Future<Output = Result<T, Problem>> + 'static,
{
    implemented::<T, F>()
}

impl Methods {
    pub(crate) fn of<R: Resource>() -> Self {
        let (get, put) = (one(R::get), two(R::put));
        Methods {
            list: one(R::list),
            post: one(R::post),
            get,
            put,
            patch: two(R::patch) || (get && put),
            delete: one(R::delete),
        }
    }

    /// Whether the type has a patch of its own.
    pub(crate) fn own_patch<R: Resource>() -> bool {
        two(R::patch)
    }

    /// The names of an item's methods, or of the collection's.
    pub(crate) fn names(&self, item: bool) -> Vec<&'static str> {
        let names = if item {
            [
                (self.get, "GET"),
                (self.get, "HEAD"),
                (self.put, "PUT"),
                (self.patch, "PATCH"),
                (self.delete, "DELETE"),
            ]
            .to_vec()
        } else {
            [(self.list, "GET"), (self.list, "HEAD"), (self.post, "POST")].to_vec()
        };
        let names = names
            .into_iter()
            .filter(|(has, _)| *has)
            .map(|(_, name)| name);
        names.chain(["OPTIONS"]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Some;

    impl Resource for Some {
        type Id = u64;
        type Item = String;

        async fn get(&self, id: u64, _call: &Call) -> Result<String, Problem> {
            Ok(id.to_string())
        }

        async fn put(&self, _id: u64, item: String, _call: &Call) -> Result<String, Problem> {
            Ok(item)
        }
    }

    struct Nothing;

    impl Resource for Nothing {
        type Id = u64;
        type Item = String;
    }

    #[test]
    fn what_is_implemented_shows_without_a_call() {
        let methods = Methods::of::<Some>();
        let expected = Methods {
            get: true,
            put: true,
            patch: true,
            ..Methods::default()
        };
        assert_eq!(methods, expected);
        assert_eq!(
            methods.names(true),
            ["GET", "HEAD", "PUT", "PATCH", "OPTIONS"]
        );
        assert_eq!(Methods::of::<Nothing>(), Methods::default());
        assert_eq!(Methods::of::<Nothing>().names(false), ["OPTIONS"]);
    }

    #[test]
    fn pages_end_with_what_the_next_begins_after() {
        let page = |limit| Page { after: None, limit };
        let items = || (1..=3).map(|id| (id, id));
        let first = Listing::page(items(), &page(2));
        assert_eq!(
            (first.items, first.next.as_deref()),
            (vec![1, 2], Option::Some("2"))
        );
        assert_eq!(Listing::page(items(), &page(3)).next, None);
    }
}
