//! Whatever a client sends, a parser answers or refuses; what it takes, it reads back the same.

use crate::acl::{self, AccountList, Side};
use crate::archive::{Compression, Unpacker};
use crate::query::Query;
use crate::signature::Signature;
use crate::target::{Prefixes, Target, container_and_object, quote, unquote};
use crate::tempurl::{Parameters, Scope, Use};
use crate::{domain, slo, times, versions};
use bytes::Bytes;
use proptest::prelude::*;
use trestle_access::Acl;
use trestle_core::Timestamp;

/// Texts that are near to what the parsers look for.
fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just(".r:".to_owned()),
        Just(".rlistings".to_owned()),
        Just(",".to_owned()),
        Just("-".to_owned()),
        Just("*".to_owned()),
        Just(":".to_owned()),
        Just("/".to_owned()),
        Just("%2F".to_owned()),
        Just("%".to_owned()),
        Just("&".to_owned()),
        Just("=".to_owned()),
        Just("temp_url_sig".to_owned()),
        Just("temp_url_expires".to_owned()),
        Just("temp_url_ip_range".to_owned()),
        "[a-z0-9]{1,4}",
        "\\PC{0,3}",
    ];
    proptest::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

/// JSON near to a manifest's.
fn manifest() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("\"/c/o\"".to_owned()),
        Just("\"YQ==\"".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("\"1-2\"".to_owned()),
        Just("\"-\"".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
    ];
    let key = prop_oneof![
        Just("path"),
        Just("data"),
        Just("etag"),
        Just("size_bytes"),
        Just("range"),
        Just("name"),
        Just("bytes"),
        Just("hash"),
        Just("other"),
    ];
    let pair = (key, value).prop_map(|(key, value)| format!("\"{key}\":{value}"));
    let item = proptest::collection::vec(pair, 0..6).prop_map(|p| format!("{{{}}}", p.join(",")));
    proptest::collection::vec(item, 0..6).prop_map(|items| format!("[{}]", items.join(",")))
}

fn drain(compression: Compression, bytes: &[u8], step: usize) -> usize {
    let mut unpacker = Unpacker::new(compression);
    let mut events = 0;
    for piece in bytes.chunks(step.max(1)) {
        unpacker.push(Bytes::copy_from_slice(piece));
        loop {
            match unpacker.next() {
                Ok(Some(_)) => events += 1,
                Ok(None) => break,
                Err(_) => return events,
            }
        }
    }
    events
}

proptest! {
    #[test]
    fn lists_that_are_taken_are_clean(text in words()) {
        for side in [Side::Read, Side::Write] {
            if let Ok(clean) = acl::clean(side, &text) {
                prop_assert_eq!(acl::clean(side, &clean).unwrap(), clean.clone());
                let list = acl::of_container(None, Some(&clean), Some(&clean)).unwrap();
                prop_assert!(list.is_none_or(|list| Acl::parse(&list).is_ok()));
            }
        }
        if let Ok(list) = AccountList::parse(&text) {
            prop_assert_eq!(AccountList::parse(&list.text()).unwrap(), list);
        }
    }

    #[test]
    fn names_are_read_back(text in "\\PC{0,40}") {
        prop_assert_eq!(unquote(&quote(&text)).unwrap(), text.clone());
        if let Ok(target) = Target::parse(&format!("/v1/{}", quote(&text))) {
            let again = Target::parse(&target.path()).unwrap();
            prop_assert_eq!(again.object, target.object);
            prop_assert_eq!(again.container, target.container);
        }
        if let Some((container, object)) = container_and_object(&text) {
            prop_assert!(!container.contains('/') && !object.is_empty());
        }
        let prefixes = Prefixes(vec!["AUTH".into(), "SERVICE".into()]);
        if let Some(id) = prefixes.account(&format!("AUTH_{text}")) {
            prop_assert_eq!(prefixes.name(&id), format!("AUTH_{text}"));
        }
    }

    #[test]
    fn queries_and_signatures_never_admit_by_accident(text in words()) {
        let keys = [("key".to_owned(), Scope::Account)];
        let used = Use {
            method: "GET",
            account: "AUTH_a",
            container: "c",
            object: "o",
            remote: Some([127, 0, 0, 1].into()),
            now: Timestamp(0),
        };
        if let Ok(query) = Query::parse(Some(&text))
            && let Some(parameters) = Parameters::of(&query)
        {
            prop_assert_eq!(parameters.verify(&used, &keys), None);
        }
        prop_assert!(Signature::parse(&text).is_none_or(|s| !s.verifies("key", "text")));
        let _never_panics = (versions::parse(&text), times::integer(&text), times::parse_iso(&text));
        let prefixes = Prefixes(vec!["AUTH".into()]);
        let _never_panics = domain::rewrite(&["a".to_owned()], &prefixes, &text);
    }

    #[test]
    fn manifests_are_taken_or_refused(text in manifest()) {
        let _never_panics = slo::parse(text.as_bytes(), "/c/own");
    }

    #[test]
    fn damaged_archives_end(
        place in 0..4096usize,
        byte in any::<u8>(),
        step in 1..700usize,
        noise in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let mut builder = tar::Builder::new(Vec::new());
        for name in ["c/a".to_owned(), "long".repeat(50)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(700);
            builder.append_data(&mut header, &name, &[1u8; 700][..]).unwrap();
        }
        let mut bytes = builder.into_inner().unwrap();
        let place = place % bytes.len();
        bytes[place] = byte;
        for compression in [Compression::None, Compression::Gzip, Compression::Bzip2] {
            prop_assert!(drain(compression, &bytes, step) < 5000);
            prop_assert!(drain(compression, &noise, step) < 5000);
        }
    }
}
