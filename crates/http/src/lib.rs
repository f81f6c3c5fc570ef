//! The small modules of an HTTP transaction, each one part of it. Knows nothing of storage.
//!
//! A standard header is parsed in exactly one place, here, into a value; a dialect picks its reading
//! of that value. Framing is guarded before the HTTP implementation sees a byte.

mod accept;
mod app;
mod basic;
mod body;
mod byteranges;
mod client;
mod conditional;
mod connection;
mod cors;
mod cors_document;
mod drain;
mod exchange;
mod expectation;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod guard;
mod guarded;
mod http2;
mod idempotency;
mod logged;
mod merge_patch;
mod metrics;
mod multipart;
mod network;
mod openapi;
mod operation;
mod pace;
mod parameters;
mod path;
mod phrase;
mod presented;
mod problem;
mod proxies;
mod proxy_protocol;
mod range;
mod receive;
mod request_body;
mod resource;
mod selected;
mod serve;
mod serving;
#[cfg(feature = "tls")]
mod tls;
mod xml;
mod xml_write;

pub use accept::negotiate;
pub use app::{App, AppService, run};
pub use basic::BasicCredentials;
pub use body::{Body, Chunked};
pub use byteranges::ByteRanges;
pub use client::Client;
pub use conditional::{IfRange, http_date, parse_http_date, parse_if_range, parse_precondition};
pub use cors::{CORS_VARY, CorsRequest, CorsRule};
pub use cors_document::{CORS_RULES_MAX, NamedCorsRule};
pub use exchange::Stopping;
pub use expectation::check_expectations;
pub use guard::{Guard, HEAD_BYTES_MAX, HEADERS_MAX, Violation};
pub use idempotency::{Claim, IDEMPOTENCY_KEY, Kept, Ledger, MemoryLedger};
pub use logged::LoggedUser;
pub use merge_patch::{MERGE_PATCH, merge_patch};
pub use metrics::{Figure, Label, Metrics};
pub use multipart::{FormPart, Multipart, PART_HEAD_BYTES_MAX, PARTS_MAX};
pub use network::Network;
pub use operation::{Content, Described, OpenApi, Operation, Parameter, Takes};
pub use pace::BodyPace;
pub use parameters::Parameterized;
pub use path::{decode, query};
pub use phrase::{phrase_of, set_phrase};
pub use presented::{Credentials, Presented};
pub use problem::Problem;
pub use proxies::{Proxies, ProxyHeaders};
pub use range::{
    ContentRange, RangeHeader, parse_content_range, parse_range, range_disorder, resolve_ranges,
};
pub use receive::{Trailers, incoming, read_whole, receive};
pub use request_body::RequestBody;
pub use resource::{Call, Listing, Page, Resource};
pub use selected::Selected;
pub use serve::{Handler, RequestId, Service, serve};
#[cfg(feature = "tls")]
pub use tls::{ClientCertificate, Tls, TlsFiles, self_signed};
pub use trestle_core::Once;
pub use xml::{Element, XML_DEPTH_MAX, XML_ELEMENTS_MAX, parse_xml};
pub use xml_write::XmlWriter;
