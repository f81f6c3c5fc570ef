use crate::fixture::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use trestle_core::ErrorKind;
use trestle_store::{ListObjects, Listing, ListingItem};

fn all() -> ListObjects {
    ListObjects {
        bucket: name("b"),
        prefix: String::new(),
        delimiter: None,
        after: None,
        until: None,
        reverse: false,
        limit: 1000,
    }
}

fn names(listing: &Listing) -> Vec<String> {
    listing
        .items
        .iter()
        .map(|item| match item {
            ListingItem::Object(object) => object.key.to_string(),
            ListingItem::Prefix(prefix) => format!("{prefix} *"),
        })
        .collect()
}

/// The common prefix that a key folds into.
fn fold(list: &ListObjects, key: &str) -> Option<String> {
    let delimiter = list.delimiter.as_ref()?;
    let rest = key.strip_prefix(&list.prefix)?;
    let end = rest.find(delimiter.as_str())? + delimiter.len();
    Some(format!("{}{}", list.prefix, &rest[..end]))
}

/// The listing as its definition says it, without paging.
fn naive(keys: &BTreeSet<String>, list: &ListObjects) -> Vec<String> {
    let beyond = |bound: &Option<String>, key: &str, greater: bool| {
        bound.as_ref().is_none_or(|bound| {
            let folded =
                fold(list, bound).as_ref() == Some(bound) && key.starts_with(bound.as_str());
            if greater {
                key > bound.as_str() && !folded
            } else {
                key < bound.as_str()
            }
        })
    };
    let mut found: Vec<String> = Vec::new();
    for key in keys {
        let within = key.starts_with(&list.prefix)
            && beyond(&list.after, key, !list.reverse)
            && beyond(&list.until, key, list.reverse);
        let item = fold(list, key).map_or_else(|| key.clone(), |prefix| format!("{prefix} *"));
        if within && found.last() != Some(&item) {
            found.push(item);
        }
    }
    if list.reverse {
        found.reverse();
    }
    found
}

/// Walks all pages of `limit` items.
async fn pages(f: &Fixture, list: &ListObjects) -> Vec<String> {
    let mut list = list.clone();
    let mut found = Vec::new();
    loop {
        let page = f.list(&list).await.unwrap();
        assert!(page.items.len() <= list.limit);
        found.extend(names(&page));
        match page.next {
            Some(next) => {
                assert_eq!(page.items.len(), list.limit);
                list.after = Some(next);
            }
            None => return found,
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec!["a", "b", "/", "//", "é", "\u{10ffff}", "."]),
        0..5,
    )
    .prop_map(|parts| parts.concat())
}

fn listing() -> impl Strategy<Value = ListObjects> {
    let delimiter = prop::option::of(prop::sample::select(vec!["/", "//", "a", "é", "/a"]));
    let bound = || prop::option::of(text());
    (
        text(),
        delimiter,
        bound(),
        bound(),
        any::<bool>(),
        1..5usize,
        any::<bool>(),
    )
        .prop_map(
            |(prefix, delimiter, after, until, reverse, limit, whole)| ListObjects {
                prefix: if whole { String::new() } else { prefix },
                delimiter: delimiter.map(str::to_owned),
                after,
                until,
                reverse,
                limit,
                ..all()
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..Default::default() })]
    #[test]
    fn listings_are_as_defined(
        keys in prop::collection::btree_set(text(), 0..30),
        lists in prop::collection::vec(listing(), 20),
    ) {
        futures::executor::block_on(async {
            let f = Fixture::new().await;
            let keys: BTreeSet<_> = keys.into_iter().filter(|key| !key.is_empty()).collect();
            for key in &keys {
                f.put(key, b"").await.unwrap();
            }
            for list in &lists {
                assert_eq!(pages(&f, list).await, naive(&keys, list), "{list:?} over {keys:?}");
            }
        });
    }
}

#[tokio::test]
async fn limits_and_pages() {
    let f = Fixture::new().await;
    for i in 0..2500 {
        f.put(&format!("d{:02}/{i:04}", i % 50), b"").await.unwrap();
    }
    let page = f
        .list(&ListObjects {
            limit: 10_000,
            ..all()
        })
        .await
        .unwrap();
    assert_eq!((page.items.len(), page.next), (2500, None));
    let page = f
        .list(&ListObjects {
            limit: 2500,
            ..all()
        })
        .await
        .unwrap();
    assert_eq!((page.items.len(), page.next), (2500, None));
    let page = f
        .list(&ListObjects {
            limit: 2499,
            ..all()
        })
        .await
        .unwrap();
    assert_eq!(
        (page.items.len(), page.next.as_deref()),
        (2499, Some("d49/2449"))
    );
    let folded = ListObjects {
        delimiter: Some("/".into()),
        limit: 50,
        ..all()
    };
    let page = f.list(&folded).await.unwrap();
    assert_eq!((page.items.len(), page.next), (50, None));
    let page = f
        .list(&ListObjects {
            limit: 49,
            ..folded
        })
        .await
        .unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (49, Some("d48/")));
    let page = f.list(&ListObjects { limit: 0, ..all() }).await.unwrap();
    assert_eq!((page.items.len(), page.next), (0, None));
    let over = f
        .list(&ListObjects {
            limit: 10_001,
            ..all()
        })
        .await;
    assert_eq!(kind(over), ErrorKind::InvalidInput);
    let empty = f
        .list(&ListObjects {
            delimiter: Some(String::new()),
            ..all()
        })
        .await;
    assert_eq!(kind(empty), ErrorKind::InvalidInput);
}
