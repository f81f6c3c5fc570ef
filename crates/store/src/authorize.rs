//! Rights: the facts of a decision are read here, in one snapshot, and every verb confirms its
//! grant in its own.
//!
//! A grant that rests on just what a verb finds holds; else it is decided again on what is there.
//! What a verb found is what its commit expects, so a right that is taken away meanwhile is never
//! used.

use crate::identity::{self, Moment};
use crate::nouns::VersionRef;
use crate::placement;
use crate::properties::{BucketProperties, PublicAccessBlock};
use crate::store::{self, FoundBucket, FoundObject, Store};
use std::sync::Arc;
use trestle_access::{
    Acl, Action, Asked, BucketFacts, Facts, Grant, ObjectFacts, Ownership, Policy, PolicyKind,
    Resource, Revisions, Seen, Verdict,
};
use trestle_core::{
    AccountId, BucketName, Error, ErrorKind, Noun, Owner, Result, Sequence, Timestamp,
};
use trestle_engine::{Expectation, MetaRead};

impl Store {
    /// The time, for the circumstances of a request.
    pub fn now(&self) -> Timestamp {
        self.host.clock.now()
    }

    /// How often what is written is there.
    pub fn redundancy(&self) -> trestle_engine::Redundancy {
        self.engine.data.redundancy()
    }

    /// Decides whether it may be done.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound(Bucket)` when what is not there does not allow it; `Corrupt` when what
    /// decides it cannot be read.
    pub async fn authorize(&self, asked: Asked) -> Result<Grant> {
        self.decide(asked, None).await
    }

    /// The same on what is under a key now: for who does what no verb confirms, and so would go by the
    /// bucket's list alone, whatever that of the object says, and for who is to see a version that is
    /// not the current one, whose list and tags are its own.
    ///
    /// # Errors
    /// As of [`Store::authorize`].
    pub async fn authorize_on(&self, asked: Asked, version: VersionRef) -> Result<Grant> {
        self.decide(asked, Some(version)).await
    }

    /// Decides on a bucket that is about to be made as if it were there already, with neither policy nor
    /// list: for what comes along with its creation.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn authorize_made(&self, asked: Asked) -> Result<()> {
        let (Some(name), Some(mut owner)) = (asked.resource.bucket(), asked.principal.owner())
        else {
            let message = "an anonymous principal cannot own anything";
            return Err(Error::new(ErrorKind::Forbidden, message));
        };
        owner.account = name.account().unwrap_or(owner.account);
        let read = self.snapshot().await?;
        let moment = self.moment(&*read).await?;
        let mut facts = self.facts(moment, &asked, None).await?;
        let acl = self
            .known_account(moment, &owner.account)
            .await?
            .acl
            .clone();
        facts.account_acl = acl.map_or(Seen::Absent, Seen::There);
        facts.bucket = Some(Arc::new(BucketFacts {
            name: name.clone(),
            owner,
            policy: None,
            acl: None,
            ownership: Ownership::Unsaid,
            public_access: Default::default(),
        }));
        let (verdict, decided) = trestle_access::judge(&Arc::new(asked.clone()), &facts);
        self.audit.decided(&asked, &verdict);
        decided.map(drop)
    }

    /// Decides on an object that is about to be made as if it were there already, whose it will be and
    /// with the list that comes to it from what it is made in: for what else comes along with it.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound(Bucket)`; `Corrupt`.
    pub async fn authorize_new(&self, asked: Asked, acl: Option<&str>) -> Result<()> {
        let read = self.snapshot().await?;
        let moment = self.moment(&*read).await?;
        let bucket = self.bucket_of(&*read, &asked).await?;
        let bucket = bucket.as_deref();
        let mut facts = self.facts(moment, &asked, bucket).await?;
        if let Some(found) = bucket {
            let acl = acl.map(|text| identity::parse_acl(text).map(Arc::new));
            facts.object = Seen::There(ObjectFacts {
                owner: store::owner_within(&found.bucket, asked.principal.owner(), None),
                acl: acl.transpose()?,
                tags: Default::default(),
            });
        }
        self.read_account_acl(moment, &asked, bucket, &mut facts)
            .await?;
        let (verdict, decided) = trestle_access::judge(&Arc::new(asked.clone()), &facts);
        self.audit.decided(&asked, &verdict);
        let decided = decided.map_err(|error| missing(&asked, bucket.is_some(), error));
        decided.map(drop)
    }

    /// Decides on an object that is about to be made by the list of what it is made in, of this owner,
    /// as if that were its own.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound(Bucket)`; `Corrupt`.
    pub async fn authorize_added(
        &self,
        asked: Asked,
        (owner, acl): (&Owner, &str),
    ) -> Result<Grant> {
        let asked = Arc::new(asked);
        let read = self.snapshot().await?;
        let moment = self.moment(&*read).await?;
        let bucket = self.bucket_of(&*read, &asked).await?;
        let bucket = bucket.as_deref();
        let facts = self.facts(moment, &asked, bucket).await?;
        let of = (bucket, VersionRef::Current);
        let mut facts = self.more(moment, &asked, of, facts).await?;
        if facts.object == Seen::Absent {
            facts.object = Seen::There(ObjectFacts {
                owner: owner.clone(),
                acl: Some(Arc::new(identity::parse_acl(acl)?)),
                tags: Default::default(),
            });
        }
        let judged = trestle_access::judge(&asked, &facts);
        self.told(&asked, bucket.is_some(), judged)
    }

    /// Decides on listing what is in a directory by the list of that, of this owner, as if that were its
    /// bucket's. Who is shut out of the bucket by its own list has to be looked for before.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound(Bucket)`; `Corrupt`.
    pub async fn authorize_listing(
        &self,
        asked: Asked,
        (owner, acl): (&Owner, &str),
    ) -> Result<Grant> {
        let asked = Arc::new(asked);
        let read = self.snapshot().await?;
        let moment = self.moment(&*read).await?;
        let bucket = self.bucket_of(&*read, &asked).await?;
        let bucket = bucket.as_deref();
        let facts = self.facts(moment, &asked, bucket).await?;
        let of = (bucket, VersionRef::Current);
        let mut facts = self.more(moment, &asked, of, facts).await?;
        if let Some(bucket) = facts.bucket.as_mut() {
            let bucket = Arc::make_mut(bucket);
            bucket.owner = owner.clone();
            bucket.acl = Some(Arc::new(identity::parse_acl(acl)?));
        }
        let judged = trestle_access::judge(&asked, &facts);
        self.told(&asked, bucket.is_some(), judged)
    }

    /// Looks at the object first when its version is said, else where the decision needs it.
    async fn decide(&self, asked: Asked, version: Option<VersionRef>) -> Result<Grant> {
        let asked = Arc::new(asked);
        if version.is_none()
            && let Some(facts) = self.facts_now(&asked)
        {
            let judged = trestle_access::judge(&asked, &facts);
            if judged.0 != Verdict::NeedsMore {
                return self.told(&asked, true, judged);
            }
        }
        // What is seldom needed does not make every request's state larger.
        Box::pin(self.decide_by_reading(asked, version)).await
    }

    /// What [`Store::facts`] gives of a snapshot that is taken now, without taking one: when everything
    /// that is asked for was looked at since the newest commit.
    fn facts_now(&self, asked: &Asked) -> Option<Facts> {
        let (revisions, bucket) = self.shown_now(asked.resource.bucket()?)?;
        let principal = &asked.principal;
        let identity = match principal.is_root() || principal.is_anonymous() {
            true => None,
            false => Some(principal.known_at(revisions.identities)?.clone()),
        };
        Some(Facts {
            revisions,
            identity,
            account_acl: Seen::Unread,
            bucket: Some(bucket),
            // No role is a bucket, or in one.
            trust: None,
            object: Seen::Unread,
        })
    }

    async fn decide_by_reading(
        &self,
        asked: Arc<Asked>,
        version: Option<VersionRef>,
    ) -> Result<Grant> {
        let read = self.snapshot().await?;
        let moment = self.moment(&*read).await?;
        let found = self.bucket_of(&*read, &asked).await?;
        let bucket = found.as_deref();
        let mut facts = self.facts(moment, &asked, bucket).await?;
        if let (Some(found), Some(facts)) = (&found, &facts.bucket)
            && let Some(name) = asked.resource.bucket()
        {
            let shown = (read.sequence(), moment.identities);
            self.keep_shown(shown, name, (found, facts));
        }
        if let Some(version) = version {
            let of = (bucket, version);
            facts = self.more(moment, &asked, of, facts).await?;
        }
        let (mut verdict, mut decided) = trestle_access::judge(&asked, &facts);
        if verdict == Verdict::NeedsMore {
            let of = (bucket, VersionRef::Current);
            facts = self.more(moment, &asked, of, facts).await?;
            (verdict, decided) = trestle_access::judge(&asked, &facts);
        }
        self.told(&asked, bucket.is_some(), (verdict, decided))
    }

    /// Has the auditor told, and gives the grant.
    fn told(
        &self,
        asked: &Asked,
        has_bucket: bool,
        (verdict, decided): (Verdict, Result<Option<Grant>>),
    ) -> Result<Grant> {
        self.audit.decided(asked, &verdict);
        let undecided = || Error::new(ErrorKind::Internal, "a decision was not made");
        let decided = decided.map_err(|error| missing(asked, has_bucket, error))?;
        decided.ok_or_else(undecided)
    }

    /// Why something is decided as it is, for who may have it explained: about users of the account
    /// that the grant, for `ExplainDecisions`, is for. What another account says of its own things
    /// is told to those alone who administer all.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound(Bucket)`; `Corrupt`.
    pub async fn explain(&self, grant: &Grant, asked: &Asked) -> Result<Verdict> {
        let account = asked.principal.account();
        let fits = grant.action() == Action::ExplainDecisions
            && (account.is_none() || account == grant.resource().account());
        if !fits {
            let message = "the grant is for another action or account";
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
        let read = self.snapshot().await?;
        self.confirm(&*read, grant, None, None).await?;
        let bucket = self.bucket_of(&*read, asked).await?;
        let bucket = bucket.as_deref();
        let moment = self.moment(&*read).await?;
        let facts = self.facts(moment, asked, bucket).await?;
        let of = (bucket, VersionRef::Current);
        let facts = self.more(moment, asked, of, facts).await?;
        let verdict = trestle_access::verdict(asked, &facts);
        let owner = bucket.map(|found| &found.bucket.owner.account);
        let owner = owner.or_else(|| asked.resource.account());
        let foreign = owner.is_some() && owner != grant.resource().account();
        Ok(match foreign && !grant.principal().reseller_admin {
            true => verdict.without_its_owner_s(),
            false => verdict,
        })
    }

    /// Confirms a grant on what is under its key now, where [`Store::authorize_on`] was not asked.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn confirm_now(&self, grant: &Grant, version: VersionRef) -> Result<()> {
        let read = self.snapshot().await?;
        let bucket = self.bucket_of(&*read, grant.asked()).await?;
        let bucket = bucket.as_deref();
        let object = object_of(&*read, grant.asked(), (bucket, version)).await?;
        let object = object.as_ref();
        self.confirm(&*read, grant, bucket, object).await?;
        Ok(())
    }

    /// Confirms a grant on what a verb found in its snapshot, and says what the verb's commit has
    /// to expect beside the rows of the bucket and the object.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(crate) async fn confirm(
        &self,
        read: &dyn MetaRead,
        grant: &Grant,
        bucket: Option<&FoundBucket>,
        object: Option<&FoundObject>,
    ) -> Result<Expectation> {
        let moment = self.moment(read).await?;
        let found = object.map_or(Seen::Absent, Seen::There);
        let now = revisions(moment.identities, bucket, &found);
        // An ordered list binds everybody, and was perhaps not looked for.
        let listed = object.is_some_and(|found| found.object.acl.is_some());
        let unread = listed && !grant.saw_object();
        if unread || !grant.rests_on(&now) {
            let asked = grant.asked();
            let mut facts = self.facts(moment, asked, bucket).await?;
            (facts.revisions, facts.object) = (now, object_facts(found)?);
            self.read_account_acl(moment, asked, bucket, &mut facts)
                .await?;
            let (verdict, confirmed) = grant.confirm(&facts);
            if confirmed.is_err() {
                self.audit.decided(asked, &verdict);
            }
            confirmed?;
        }
        Ok(identity::expectation(moment.identities))
    }

    /// What most decisions need: who asks, and the bucket.
    pub(crate) async fn facts(
        &self,
        moment: Moment<'_>,
        asked: &Asked,
        bucket: Option<&FoundBucket>,
    ) -> Result<Facts> {
        let identity = self.identity_facts(moment, &asked.principal).await?;
        let mut found = bucket.map(|found| self.bucket_facts(found)).transpose()?;
        if let (Some(facts), Some(bucket)) = (&mut found, bucket) {
            let account = &bucket.bucket.owner.account;
            let block = self.known_account(moment, account).await?.block;
            if block != PublicAccessBlock::default() {
                let facts = Arc::make_mut(facts);
                facts.public_access = facts.public_access.or(identity::block_of(&block));
            }
        }
        Ok(Facts {
            revisions: revisions(moment.identities, bucket, &Seen::Unread),
            identity,
            account_acl: Seen::Unread,
            bucket: found,
            trust: self.known_trust(moment, asked).await?,
            object: Seen::Unread,
        })
    }

    /// The rest: the account's ACL, and the object.
    async fn more(
        &self,
        moment: Moment<'_>,
        asked: &Asked,
        (bucket, version): (Option<&FoundBucket>, VersionRef),
        mut facts: Facts,
    ) -> Result<Facts> {
        let object = object_of(moment.read, asked, (bucket, version)).await?;
        let object = object.as_ref().map_or(Seen::Absent, Seen::There);
        facts.revisions = revisions(facts.revisions.identities, bucket, &object);
        facts.object = object_facts(object)?;
        self.read_account_acl(moment, asked, bucket, &mut facts)
            .await?;
        Ok(facts)
    }

    pub(crate) async fn read_account_acl(
        &self,
        moment: Moment<'_>,
        asked: &Asked,
        bucket: Option<&FoundBucket>,
        facts: &mut Facts,
    ) -> Result<()> {
        let bucket = bucket.map(|found| found.bucket.owner.account.clone());
        let named = || asked.resource.bucket().and_then(BucketName::account);
        let account: Option<AccountId> = match asked.action {
            // Of the account that is to own it, whoever has a bucket of that name.
            Action::CreateBucket => named(),
            _ => bucket.or_else(|| asked.resource.account().cloned()),
        };
        let acl = match account {
            None => None,
            Some(account) => self.known_account(moment, &account).await?.acl.clone(),
        };
        facts.account_acl = acl.map_or(Seen::Absent, Seen::There);
        Ok(())
    }

    async fn bucket_of(
        &self,
        read: &dyn MetaRead,
        asked: &Asked,
    ) -> Result<Option<Arc<FoundBucket>>> {
        let Some(name) = asked.resource.bucket() else {
            return Ok(None);
        };
        match self.shown(read, name).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == ErrorKind::NotFound(Noun::Bucket) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What is under the key that is asked for.
pub(crate) async fn object_of(
    read: &dyn MetaRead,
    asked: &Asked,
    (bucket, version): (Option<&FoundBucket>, VersionRef),
) -> Result<Option<FoundObject>> {
    let (Resource::Object(_, key), Some(found)) = (&asked.resource, bucket) else {
        return Ok(None);
    };
    let found = placement::find_version(read, &found.bucket, key, version).await?;
    // Verbs find nothing under a marker.
    Ok(found.filter(|found| !found.object.is_marker()))
}

/// Nothing protects the name of a bucket that does not exist.
fn missing(asked: &Asked, has_bucket: bool, refused: Error) -> Error {
    match asked.resource.bucket() {
        Some(name) if !has_bucket && asked.action != Action::CreateBucket => {
            Error::not_found(Noun::Bucket, name)
        }
        _ => refused,
    }
}

fn revisions(
    identities: Sequence,
    bucket: Option<&FoundBucket>,
    object: &Seen<&FoundObject>,
) -> Revisions {
    Revisions {
        identities,
        bucket: bucket.map(FoundBucket::revisions),
        object: match object {
            Seen::Unread => Seen::Unread,
            Seen::Absent => Seen::Absent,
            Seen::There(found) => Seen::There(found.revision),
        },
    }
}

pub(crate) fn object_facts(object: Seen<&FoundObject>) -> Result<Seen<ObjectFacts>> {
    Ok(match object {
        Seen::Unread => Seen::Unread,
        Seen::Absent => Seen::Absent,
        Seen::There(found) => {
            let acl = found.object.acl.as_deref().map(identity::parse_acl);
            Seen::There(ObjectFacts {
                owner: found.object.owner.clone(),
                acl: acl.transpose()?.map(std::sync::Arc::new),
                tags: found.object.tags.clone(),
            })
        }
    })
}

/// Refuses a bucket's policy, ACL or ownership that is not understood, and what its block of public
/// access keeps out.
pub(crate) fn check_bucket(
    name: &BucketName,
    former: &BucketProperties,
    new: &BucketProperties,
    block: &PublicAccessBlock,
) -> Result<()> {
    if let Some(text) = new.policy.as_ref().filter(|_| new.policy != former.policy) {
        let policy = Policy::parse(text, PolicyKind::Bucket(name.as_str()))?;
        if block.block_policy && policy.is_public() {
            return Err(blocked());
        }
    }
    if let Some(text) = new.acl.as_ref().filter(|_| new.acl != former.acl) {
        check_acl(block, (text, former.acl.as_deref()))?;
    }
    if let Some(named) = &new.ownership
        && Ownership::named(named).is_none()
    {
        return Err(Error::invalid(format!(
            "the ownership {named:?} is not known"
        )));
    }
    Ok(())
}

/// Refuses an ACL that is not understood, and what it says beside a former one that a block of public
/// access keeps out.
pub(crate) fn check_acl(
    block: &PublicAccessBlock,
    (text, former): (&str, Option<&str>),
) -> Result<()> {
    check_beside(block, (text, former), |acl, former| (acl, former))
}

/// The same of something that is written in a former one's place: grants come with the request, an
/// ordered list may be what was there, or what a container passes on.
pub(crate) fn check_written_acl(
    block: &PublicAccessBlock,
    (text, former): (&str, Option<&str>),
) -> Result<()> {
    check_beside(block, (text, former), |acl, former| {
        let former = Acl {
            entries: former.entries,
            ..Acl::default()
        };
        let kept = acl.entries == former.entries;
        (if kept { acl } else { acl.without_inherited() }, former)
    })
}

/// `counted` says what of a list and of the former one is held against each other.
fn check_beside(
    block: &PublicAccessBlock,
    (text, former): (&str, Option<&str>),
    counted: fn(Acl, Acl) -> (Acl, Acl),
) -> Result<()> {
    let acl = Acl::parse(text)?;
    if !block.block_acls {
        return Ok(());
    }
    let former = former.map(Acl::parse).transpose()?.unwrap_or_default();
    let (acl, former) = counted(acl, former);
    match acl.is_public_beside(&former) {
        true => Err(blocked()),
        false => Ok(()),
    }
}

fn blocked() -> Error {
    Error::new(ErrorKind::Forbidden, "public access is blocked")
}
