//! The children of a container: one stable order, in which ranges count.

use crate::acl::mask;
use crate::books::is_own;
use crate::call::Call;
use crate::fault::{Answered, Fault};
use crate::node::{Container, Place, document, found, root_bucket};
use crate::query::Span;
use crate::rights::list_of;
use crate::root::AtRoot;
use crate::value::range_text;
use http::StatusCode;
use std::sync::Arc;
use trestle_access::{Action, Context, Grant, Resource};
use trestle_core::{AccountId, BucketName, ErrorKind, Owner};
use trestle_store::{ListBuckets, ListObjects, ListingItem};

/// Most children of one answer; ranges reach the others.
pub(crate) const CHILDREN_MAX: usize = 100_000;
/// Items of one page of the store.
const PAGE: usize = 10_000;
/// What the server itself has in the root container.
pub(crate) const SYSTEM: [&str; 2] = ["cdmi_capabilities/", "cdmi_domains/"];

/// Children, and the range that they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Children {
    pub(crate) names: Vec<String>,
    pub(crate) range: String,
}

/// Collects the names that a range covers, out of all in order.
struct Collector {
    span: Option<Span>,
    at: u64,
    names: Vec<String>,
}

impl Collector {
    fn new(span: Option<Span>) -> Self {
        Collector {
            span,
            at: 0,
            names: Vec::new(),
        }
    }

    /// Takes the next name in order.
    fn take(&mut self, name: String) -> Answered<()> {
        let wanted = self
            .span
            .is_none_or(|span| span.first <= self.at && self.at <= span.last);
        self.at += 1;
        if wanted {
            if self.names.len() == CHILDREN_MAX {
                return Err(Fault::Status(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("more than {CHILDREN_MAX} children: ask for ranges of them"),
                ));
            }
            self.names.push(name);
        }
        Ok(())
    }

    /// Whether nothing more is wanted.
    fn is_full(&self) -> bool {
        self.span.is_some_and(|span| self.at > span.last)
    }

    fn finish(self) -> Children {
        let first = self.span.map_or(0, |span| span.first);
        Children {
            range: range_text(first, self.names.len() as u64),
            names: self.names,
        }
    }
}

/// By which right a container is listed.
#[derive(Clone, Copy, PartialEq)]
enum Listed<'a> {
    /// The dialect's own: what only it knows.
    Own,
    /// That of who asks, by the owner and the list of a nested container that has one.
    By(Option<(&'a Owner, &'a str)>),
}

impl Call<'_> {
    /// The children of a container, or those in a range.
    pub(crate) async fn children(
        &self,
        container: &Container,
        span: Option<Span>,
    ) -> Answered<Children> {
        self.children_and(container, span, None).await
    }

    /// The same, with one more that the server makes.
    pub(crate) async fn children_and(
        &self,
        container: &Container,
        span: Option<Span>,
        last: Option<&str>,
    ) -> Answered<Children> {
        let mut collector = Collector::new(span);
        match &container.place {
            Place::Root => {
                if container.acl.is_some() {
                    self.check_root(container, AtRoot::Does(Action::ListObjects))?;
                }
                self.collect_buckets(&mut collector).await?;
                self.collect((&root_bucket(self)?, ""), Listed::Own, &mut collector)
                    .await?;
                for name in SYSTEM {
                    collector.take(name.to_owned())?;
                }
            }
            Place::Bucket(bucket) => {
                let by = Listed::By(None);
                self.collect((bucket, ""), by, &mut collector).await?;
            }
            Place::Directory(bucket, key, _) => {
                // The bucket's list is asked for with its keys, and knows of this one no more.
                self.check_parent(container, mask::LIST_CONTAINER).await?;
                let acl = container.acl.as_deref();
                let acl = acl.filter(|acl| list_of(Some(acl)).is_some());
                let by = Listed::By(acl.map(|acl| (&container.owner, acl)));
                self.collect((bucket, key.as_str()), by, &mut collector)
                    .await?;
            }
        }
        if let Some(last) = last {
            collector.take(format!("{last}/"))?;
        }
        Ok(collector.finish())
    }

    /// All that is in the root container, of the accounts that who asks knows, without what says
    /// nothing to them.
    pub(crate) async fn all_in_root(&self) -> Answered<Children> {
        let mut collector = Collector::new(None);
        for account in self.accounts().await? {
            let resource = Resource::Account(account.clone());
            let grant = self.cdmi.own_grant(Action::ListBuckets, resource).await?;
            self.collect_account(&grant, account, &mut collector)
                .await?;
        }
        let mut known = Vec::new();
        for name in std::mem::take(&mut collector.names) {
            if self.is_shown(name.trim_end_matches('/')).await? {
                known.push(name);
            }
        }
        collector.names = known;
        self.collect((&root_bucket(self)?, ""), Listed::Own, &mut collector)
            .await?;
        Ok(collector.finish())
    }

    /// Whether anything of a top-level container may be seen. It is not the user who asks about each:
    /// the audit log would be filled with what they may not see.
    async fn is_shown(&self, name: &str) -> Answered<bool> {
        let Ok(bucket) = BucketName::parse(name) else {
            return Ok(true);
        };
        let mut quiet = self.clone();
        quiet.context = Arc::new(Context::clone(&self.context).quietly());
        for action in [
            Action::ReadBucket,
            Action::ListObjects,
            Action::ReadBucketLocation,
        ] {
            let resource = Resource::Bucket(bucket.clone());
            match quiet.grant(action, resource).await {
                Err(error) if error.kind() == ErrorKind::Forbidden => {}
                decided => return Ok(found(decided)?.is_some()),
            }
        }
        Ok(false)
    }

    async fn collect_buckets(&self, collector: &mut Collector) -> Answered<()> {
        for account in self.accounts().await? {
            let resource = Resource::Account(account.clone());
            let grant = self.grant(Action::ListBuckets, resource).await?;
            self.collect_account(&grant, account, collector).await?;
        }
        Ok(())
    }

    async fn collect_account(
        &self,
        grant: &Grant,
        account: AccountId,
        collector: &mut Collector,
    ) -> Answered<()> {
        let mut list = ListBuckets {
            account,
            prefix: String::new(),
            after: None,
            until: None,
            reverse: false,
            limit: PAGE,
        };
        while !collector.is_full() {
            let Some((buckets, next)) = found(self.cdmi.store.list_buckets(grant, &list).await)?
            else {
                return Ok(());
            };
            for (bucket, _) in buckets {
                collector.take(format!("{}/", bucket.name))?;
            }
            match next {
                Some(next) => list.after = Some(next),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    async fn collect(
        &self,
        (bucket, prefix): (&BucketName, &str),
        by: Listed<'_>,
        collector: &mut Collector,
    ) -> Answered<()> {
        let grant = match by {
            Listed::Own => {
                let resource = Resource::Bucket(bucket.clone());
                self.cdmi.own_grant(Action::ListObjects, resource).await
            }
            Listed::By(of) => self.grant_listing((bucket, prefix), of).await,
        };
        let Some(grant) = found(grant)? else {
            return Ok(());
        };
        let mut list = ListObjects {
            bucket: bucket.clone(),
            prefix: prefix.to_owned(),
            delimiter: Some("/".to_owned()),
            after: None,
            until: None,
            reverse: false,
            limit: PAGE,
        };
        while !collector.is_full() {
            let Some(listing) = found(self.cdmi.store.list(&grant, &list).await)? else {
                return Ok(());
            };
            for item in &listing.items {
                match item {
                    ListingItem::Object(object) => {
                        let name = object.key.as_str().strip_prefix(prefix).unwrap_or_default();
                        // The container's own entry is not in it.
                        if name.is_empty() || by == Listed::Own && is_own(name) {
                            continue;
                        }
                        let reference = object.documents.contains_key(document::REFERENCE);
                        let mark = if reference { "?" } else { "" };
                        collector.take(format!("{name}{mark}"))?;
                    }
                    ListingItem::Prefix(whole) => {
                        collector
                            .take(whole.strip_prefix(prefix).unwrap_or_default().to_owned())?;
                    }
                }
            }
            match listing.next {
                Some(next) => list.after = Some(next),
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(span: Option<(u64, u64)>, names: &[&str]) -> Children {
        let mut collector = Collector::new(span.map(|(first, last)| Span { first, last }));
        for name in names {
            if !collector.is_full() {
                collector.take((*name).to_owned()).unwrap();
            }
        }
        collector.finish()
    }

    #[test]
    fn ranges_are_of_what_is_returned() {
        let names = ["a", "b", "c/"];
        let all = collect(None, &names);
        assert_eq!((all.range.as_str(), all.names.len()), ("0-2", 3));
        let middle = collect(Some((1, 1)), &names);
        assert_eq!(
            (middle.range.as_str(), &middle.names[..]),
            ("1-1", &["b".to_owned()][..])
        );
        assert_eq!(collect(Some((1, 9)), &names).range, "1-2");
        assert_eq!(collect(Some((7, 9)), &names), Children::default());
        assert_eq!(collect(None, &[]), Children::default());
    }
}
