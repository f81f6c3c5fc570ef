//! The fixed part: every pair of a writer and a reader, over contents that are stored in different
//! ways.

use super::{Dialect, Object, Spoken};
use crate::Fixture;
use std::collections::BTreeMap;

/// A name, its media type, how many bytes.
const CONTENTS: [(&str, &str, usize); 6] = [
    ("empty", "text/plain", 0),
    ("one byte", "application/octet-stream", 1),
    ("attached", "image/png", 131_072),
    ("streamed", "video/mp4", 131_073),
    ("blocks", "application/x-tar", 1_000_003),
    ("\u{e4}\u{f6}\u{fc} \u{65e5}", "text/html", 11),
];

fn object(kind: &str, length: usize, writer: Dialect) -> Object {
    let metadata = [
        ("writer", format!("{writer:?}")),
        ("two-words", "some words".to_owned()),
    ];
    Object {
        bytes: (0..length).map(|at| (at * 31 % 251) as u8).collect(),
        kind: kind.to_owned(),
        metadata: metadata
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
    }
}

#[test]
fn what_one_dialect_writes_each_other_one_reads_copies_and_deletes() {
    let fixture = Fixture::new();
    let spoken = &mut Spoken::new(&fixture);
    for writer in Dialect::ALL {
        for (name, kind, length) in CONTENTS {
            let object = object(kind, length, writer);
            let put = spoken.put(writer, "b", name, &object);
            assert!(put.status < 300, "{writer:?} {name}: {}", put.text());
            for reader in Dialect::ALL {
                let seen = spoken.get(reader, "b", name);
                assert!(
                    seen.as_ref() == Some(&object),
                    "{writer:?} {name} {reader:?}"
                );
                let copied = spoken.copy(reader, "b", name, "copy");
                assert!(copied.status < 300, "{reader:?} {name}: {}", copied.text());
                let seen = spoken.get(writer, "b", "copy");
                assert!(seen == Some(object.clone()), "{reader:?} {name} {writer:?}");
                let sizes = spoken.list(reader, "b");
                assert_eq!(sizes.len(), 2, "{reader:?}");
                let size = sizes[name].unwrap_or(length as u64);
                assert_eq!(size, length as u64, "{reader:?} {name}");
                let deleted = spoken.delete(reader, "b", "copy");
                assert!(deleted.status < 300, "{reader:?}: {}", deleted.text());
                for other in Dialect::ALL {
                    assert_eq!(spoken.get(other, "b", "copy"), None, "{reader:?} {other:?}");
                }
            }
            assert!(spoken.delete(writer, "b", name).status < 300);
        }
    }
}

/// A digest by which clients know a content is the same wherever it is shown.
#[test]
fn a_content_has_one_md5_in_every_dialect() {
    let fixture = Fixture::new();
    let spoken = &mut Spoken::new(&fixture);
    for writer in Dialect::ALL {
        let object = object("text/plain", 200_000, writer);
        assert!(spoken.put(writer, "b", "o", &object).status < 300);
        let tag = |spoken: &mut Spoken, dialect| {
            let answer = spoken.send(dialect, "HEAD", "b/o", Vec::new(), &[]);
            answer.header("etag").unwrap().replace('"', "")
        };
        let md5 = tag(spoken, Dialect::S3);
        assert_eq!(md5, tag(spoken, Dialect::Swift), "{writer:?}");
        let document = spoken.send(Dialect::Rest, "GET", "b/o?metadata", Vec::new(), &[]);
        assert_eq!(crate::json(&document)["digests"]["md5"], md5.as_str());
    }
}

/// What flat dialects cannot show is kept by them.
#[test]
fn nested_metadata_survive_a_copy_through_a_flat_dialect() {
    let fixture = Fixture::new();
    let spoken = &mut Spoken::new(&fixture);
    let nested = serde_json::json!({"flat": "text", "deep": {"list": [1, {"a": null}]}});
    let body = serde_json::json!({"metadata": nested, "value": "x"}).to_string();
    let kind = || {
        (
            "content-type".to_owned(),
            "application/cdmi-object".to_owned(),
        )
    };
    let made = spoken.send(Dialect::Cdmi, "PUT", "b/o", vec![kind()], body.as_bytes());
    assert_eq!(made.status, 201, "{}", made.text());
    for flat in [Dialect::S3, Dialect::Swift, Dialect::Rest] {
        assert!(spoken.copy(flat, "b", "o", "copy").status < 300, "{flat:?}");
        let shown = spoken.send(Dialect::Rest, "GET", "b/copy?metadata", Vec::new(), &[]);
        assert_eq!(crate::json(&shown)["metadata"], nested, "{flat:?}");
        let seen = spoken.get(Dialect::S3, "b", "copy").unwrap();
        let text = [("flat".to_owned(), "text".to_owned())];
        let missing: BTreeMap<String, String> = seen.metadata;
        assert!(missing.contains_key("flat") && text[0].1 == missing["flat"]);
    }
}
