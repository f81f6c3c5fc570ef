//! Every target of the crates in one binary: `TARGET=http-xml cargo +nightly fuzz run target
//! corpus/http-xml`. The bodies are in the `fuzz` module of each crate.

#![no_main]

use std::sync::LazyLock;

/// The one that is named.
static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("TARGET").expect("TARGET names a target");
    let all = [
        trestle_access::fuzz::TARGETS,
        trestle_cdmi::fuzz::TARGETS,
        trestle_http::fuzz::TARGETS,
        trestle_rest::fuzz::TARGETS,
        trestle_s3::fuzz::TARGETS,
        trestle_swift::fuzz::TARGETS,
    ];
    let mut all = all.into_iter().flatten();
    let found = all.find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no target is called {name}")).1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
