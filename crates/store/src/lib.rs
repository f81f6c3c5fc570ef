//! The verbs, and the commit protocol behind them.
//!
//! Every rule that spans metadata and data lives here once, for all dialects: names and ids,
//! preconditions, counters, digests. A verb takes a [`trestle_access::Grant`] for exactly its
//! action and resource. A write streams its bytes into the data port and ends in one commit; before
//! that commit nothing is visible, after it nothing is missing.

mod nouns;

pub use nouns::{
    Bucket, BucketUsage, Content, DeleteObject, ListBuckets, ListObjects, Listing, ListingItem, Object,
    ObjectReader, PutObject, PutOutcome, ReadObject, TagOf,
};
