//! `/info`: what the dialect can do, and its limits. A feature is named here exactly when it works.

use crate::call::{empty, text};
use crate::fault::{Fault, Outcome};
use crate::query::Query;
use crate::signature::{DEPRECATED, DIGESTS};
use crate::swift::Swift;
use crate::{bulk, listing, metadata, object, patience, slo, symlink, target};
use http::Response;
use serde_json::{Value, json};
use trestle_http::Body;

/// The policy file for old players: nobody is let in from elsewhere.
pub(crate) const CROSS_DOMAIN: &str = "<?xml version=\"1.0\"?>\n\
    <!DOCTYPE cross-domain-policy SYSTEM \
    \"http://www.adobe.com/xml/dtds/cross-domain-policy.dtd\" >\n\
    <cross-domain-policy>\n<site-control permitted-cross-domain-policies=\"none\" />\n\
    </cross-domain-policy>";

/// The methods that a temporary URL may be for.
pub(crate) const TEMP_URL_METHODS: [&str; 5] = ["GET", "HEAD", "PUT", "POST", "DELETE"];

fn document(swift: &Swift) -> Value {
    let policies: Vec<Value> = swift
        .policies
        .iter()
        .enumerate()
        .map(|(place, policy)| {
            let mut names = vec![policy.name.clone()];
            names.extend(policy.aliases.iter().cloned());
            let mut shown = json!({"name": policy.name, "aliases": names.join(", ")});
            if let (0, Some(map)) = (place, shown.as_object_mut()) {
                map.insert("default".into(), json!(true));
            }
            shown
        })
        .collect();
    let mut document = json!({
        "swift": {
            "version": env!("CARGO_PKG_VERSION"),
            "strict_cors_mode": true,
            "allow_account_management": true,
            "account_autocreate": true,
            "allow_open_expired": !swift.store.expiry_delay().is_zero(),
            "policies": policies,
            "valid_api_versions": ["v1", "v1.0"],
            "max_file_size": object::SIZE_MAX,
            "max_meta_name_length": metadata::NAME_MAX,
            "max_meta_value_length": metadata::VALUE_MAX,
            "max_meta_count": metadata::COUNT_MAX,
            "max_meta_overall_size": metadata::OVERALL_MAX,
            "max_header_size": metadata::HEADER_MAX,
            "extra_header_count": 0,
            "max_object_name_length": target::OBJECT_NAME_MAX,
            "max_container_name_length": target::CONTAINER_NAME_MAX,
            "max_account_name_length": target::ACCOUNT_NAME_MAX,
            "container_listing_limit": listing::LIMIT_MAX,
            "account_listing_limit": listing::LIMIT_MAX,
        },
    });
    let features = json!({
        "tempauth": {"account_acls": true},
        "account_quotas": {},
        "etag_quoter": {"enable_by_default": false},
        "container_quotas": {},
        "crossdomain": {},
        "bulk_delete": {
            "max_deletes_per_request": bulk::DELETES_MAX,
            "max_failed_deletes": bulk::FAILED_MAX,
        },
        "bulk_upload": {
            "max_containers_per_extraction": bulk::CONTAINERS_MAX,
            "max_failed_extractions": bulk::FAILED_MAX,
        },
        "slo": {
            "max_manifest_segments": slo::SEGMENTS_MAX,
            "max_manifest_size": slo::MANIFEST_MAX,
            "min_segment_size": 1,
            "yield_frequency": patience::SILENCE_MAX.as_secs(),
            "allow_async_delete": true,
        },
        "dlo": {"max_segments": crate::large::SEGMENTS_MAX},
        "staticweb": {},
        "symlink": {"symloop_max": symlink::HOPS_MAX, "static_links": true},
        "versioned_writes": {"allowed_flags": ["x-versions-location", "x-history-location"]},
        "object_versioning": {},
        "formpost": {"allowed_digests": DIGESTS, "deprecated_digests": DEPRECATED},
        "tempurl": {
            "methods": TEMP_URL_METHODS,
            "incoming_remove_headers": ["x-timestamp", "x-open-expired"],
            "incoming_allow_headers": [],
            "outgoing_remove_headers": ["x-object-meta-*"],
            "outgoing_allow_headers": ["x-object-meta-public-*"],
            "allowed_digests": DIGESTS,
            "deprecated_digests": DEPRECATED,
        },
    });
    if let (Some(all), Value::Object(features)) = (document.as_object_mut(), features) {
        all.extend(features);
        if !swift.settings.realms.is_empty() {
            all.insert("container_sync".into(), swift.settings.realms.shown());
        }
        if let Some(names) = &swift.settings.names {
            all.insert("name_check".into(), names.shown());
        }
        if !swift.settings.rates.is_empty() {
            all.insert("ratelimit".into(), swift.settings.rates.shown());
        }
        if !swift.settings.domains.is_empty() {
            all.insert("domain_remap".into(), json!({}));
        }
    }
    document
}

/// Answers a request for `/info`.
pub(crate) fn answer(
    swift: &Swift,
    method: &str,
    path: &str,
    query: Option<&str>,
) -> Outcome<Response<Body>> {
    if path != "/info" {
        return Err(Fault::new(404));
    }
    let query = Query::parse(query)?;
    if query.has("swiftinfo_sig") || query.has("swiftinfo_expires") {
        // What is shown to operators alone: there is no key for it.
        return Err(Fault::new(403));
    }
    match method {
        "GET" | "HEAD" => Ok(text(
            200,
            "application/json; charset=UTF-8",
            document(swift).to_string(),
        )),
        "OPTIONS" => {
            let mut response = empty(200);
            crate::call::set(response.headers_mut(), "allow", "HEAD, GET, OPTIONS");
            Ok(response)
        }
        _ => Err(Fault::new(405).with("allow", "HEAD, GET, OPTIONS")),
    }
}
