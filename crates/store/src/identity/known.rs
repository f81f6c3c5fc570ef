//! What is known of identities and buckets, ready to be decided on, kept as long as nothing changed.
//!
//! Everything here was read at one revision of identities; with another one it is forgotten. A
//! bucket's part is kept by the bucket's own revision, and how a bucket was found only until anything
//! at all is committed.

use super::access_key::find_key;
use super::record::{AccessKeyRecord, GroupRecord, PolicyRecord, RoleRecord, UserRecord};
use super::{find, need};
use crate::nouns::Bucket;
use crate::row_key;
use crate::store::{self, FoundBucket, Store};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use trestle_access::{
    Acl, Action, Asked, AttachedPolicies, AttachedPolicy, BucketFacts, IdentityFacts, Ownership,
    Policy, PolicyKind, Principal, PrincipalKind, PublicAccessBlock, Resource, Revisions,
    SecretKey, Seen,
};
use trestle_core::{
    AccountId, BucketId, BucketName, Error, ErrorKind, Noun, Result, Sequence, Timestamp,
};
use trestle_engine::{MetaRead, Scan};

/// Entries of each kind that are kept at once.
const KEPT_MAX: usize = 10_000;
/// Buckets that are kept as they were found: of each, all that its owner says of it.
const SHOWN_MAX: usize = 1000;

/// A user or a role.
#[derive(Debug)]
pub(crate) struct Known {
    /// What decisions are made on.
    pub(crate) facts: Arc<IdentityFacts>,
    /// The user as a principal; none for a role.
    pub(crate) principal: Option<Arc<Principal>>,
    /// PHC string of the password's hash.
    pub(crate) password_hash: Option<String>,
    /// Tokens of another epoch are void; of a role, when it was made.
    pub(crate) epoch: u64,
    /// When it was made, in microseconds: another one of that name was made at another time.
    pub(crate) created: u64,
    /// Who may take it, of a role.
    trust: Option<Arc<Policy>>,
}

/// An access key and its secret.
#[derive(Debug)]
pub(crate) struct KnownKey {
    pub(crate) record: AccessKeyRecord,
    pub(crate) secret: SecretKey,
    /// Who it stands for; nobody when that is disabled or gone.
    pub(crate) principal: Option<Arc<Principal>>,
}

/// A user by the name of a login, and its full name.
pub(crate) type KnownLogin = (Arc<str>, Arc<Known>);

/// A snapshot, and the revision of identities that it shows.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) read: &'a dyn MetaRead,
    pub(crate) identities: Sequence,
}

impl Store {
    /// The moment of a snapshot. As long as nothing is committed, all snapshots show the same.
    pub(crate) async fn moment<'a>(&self, read: &'a dyn MetaRead) -> Result<Moment<'a>> {
        let sequence = read.sequence();
        if let Some(identities) = self.cache.seen(sequence) {
            return Ok(Moment { read, identities });
        }
        let identities = super::revision(read).await?;
        self.cache.kept.lock().seen = Some((sequence, identities));
        Ok(Moment { read, identities })
    }

    /// The revision of identities that the newest commit shows, when a snapshot of it was looked at
    /// before. Without one, whatever is kept of that revision can be used, and nothing else.
    pub(crate) fn seen_now(&self) -> Option<Sequence> {
        self.cache.seen(self.engine.meta.sequence())
    }

    /// The bucket of a name, or the snapshot, that is to be read, as [`store::find_shown`] finds it;
    /// once for all requests between two commits.
    ///
    /// # Errors
    /// Those of [`store::find_shown`].
    pub(crate) async fn shown(
        &self,
        read: &dyn MetaRead,
        name: &BucketName,
    ) -> Result<Arc<FoundBucket>> {
        let sequence = read.sequence();
        if let Some((found, _)) = self.cache.shown.lock().get(sequence, name) {
            return Ok(found);
        }
        let found = Arc::new(store::find_shown(read, name).await?);
        let value = (found.clone(), None);
        self.cache.shown.lock().put(sequence, name, value);
        Ok(found)
    }

    /// Keeps what decisions on the bucket of a name are made on, as all snapshots of a sequence show
    /// it.
    pub(crate) fn keep_shown(
        &self,
        (sequence, identities): (Sequence, Sequence),
        name: &BucketName,
        (found, facts): (&Arc<FoundBucket>, &Arc<BucketFacts>),
    ) {
        let value = (found.clone(), Some((identities, facts.clone())));
        self.cache.shown.lock().put(sequence, name, value);
    }

    /// What decisions on the bucket of a name are made on, and the revisions of identities and of the
    /// bucket, when they are kept of the newest commit.
    pub(crate) fn shown_now(&self, name: &BucketName) -> Option<(Revisions, Arc<BucketFacts>)> {
        let sequence = self.engine.meta.sequence();
        let shown = self.cache.shown.lock();
        let (found, facts) = shown.find(sequence, name)?;
        let (identities, facts) = facts.as_ref()?;
        let revisions = Revisions {
            identities: *identities,
            bucket: Some(found.revisions()),
            object: Seen::Unread,
        };
        Some((revisions, facts.clone()))
    }
}

/// A bucket as it was found, and what decisions on it are made on once one was made, with the revision
/// of identities that it rests on, too.
type ShownBucket = (Arc<FoundBucket>, Option<(Sequence, Arc<BucketFacts>)>);

/// Buckets as the snapshots of one sequence show them.
#[derive(Debug)]
struct Shown<B = ShownBucket> {
    sequence: Sequence,
    buckets: HashMap<BucketName, B>,
}

impl<B> Default for Shown<B> {
    fn default() -> Self {
        Shown {
            sequence: Sequence(0),
            buckets: HashMap::new(),
        }
    }
}

impl<B: Clone> Shown<B> {
    fn find(&self, sequence: Sequence, name: &BucketName) -> Option<&B> {
        let same = self.sequence == sequence;
        same.then(|| self.buckets.get(name)).flatten()
    }

    fn get(&self, sequence: Sequence, name: &BucketName) -> Option<B> {
        self.find(sequence, name).cloned()
    }

    fn put(&mut self, sequence: Sequence, name: &BucketName, found: B) {
        if self.sequence < sequence || self.buckets.len() >= SHOWN_MAX {
            self.buckets.clear();
            self.sequence = self.sequence.max(sequence);
        }
        if self.sequence == sequence {
            self.buckets.insert(name.clone(), found);
        }
    }
}

/// What an account says of who else may use it.
#[derive(Debug, Default)]
pub(crate) struct KnownAccount {
    pub(crate) acl: Option<Arc<Acl>>,
    /// What all its buckets refuse.
    pub(crate) block: crate::PublicAccessBlock,
}

type UserName = (AccountId, String);

#[derive(Debug, Default)]
struct Kept {
    revision: Sequence,
    /// A commit, and the revision of identities that its snapshots show.
    seen: Option<(Sequence, Sequence)>,
    users: HashMap<UserName, Option<Arc<Known>>>,
    roles: HashMap<UserName, Option<Arc<Known>>>,
    policies: HashMap<UserName, Arc<Policy>>,
    keys: HashMap<String, Option<Arc<KnownKey>>>,
    logins: HashMap<String, KnownLogin>,
    accounts: HashMap<AccountId, Arc<KnownAccount>>,
}

impl Kept {
    fn seen(&self, sequence: Sequence) -> Option<Sequence> {
        let (of, identities) = self.seen?;
        (of == sequence).then_some(identities)
    }
}

/// The cache.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    kept: Mutex<Kept>,
    buckets: Mutex<HashMap<BucketId, (Sequence, Arc<BucketFacts>)>>,
    shown: Mutex<Shown>,
    /// When the use of an access key was last written down, whatever changed since.
    key_uses: Mutex<HashMap<String, u64>>,
}

impl Cache {
    /// Whether a key's use was not written down for `grain` microseconds; then it is from now on. At
    /// most `max` are remembered.
    pub(crate) fn is_key_used_anew(
        &self,
        id: &str,
        now: Timestamp,
        (grain, max): (u64, usize),
    ) -> bool {
        let mut uses = self.key_uses.lock();
        if uses.get(id).is_some_and(|last| now.0 < last + grain) {
            return false;
        }
        if uses.len() >= max {
            uses.clear();
        }
        uses.insert(id.to_owned(), now.0);
        true
    }

    /// The revision of identities that the snapshots of a sequence show, when one was looked at.
    fn seen(&self, sequence: Sequence) -> Option<Sequence> {
        self.kept.lock().seen(sequence)
    }

    /// What is kept of a revision, unless a later one is known already.
    fn get<T>(&self, revision: Sequence, find: impl FnOnce(&Kept) -> Option<T>) -> Option<T> {
        let kept = self.kept.lock();
        (kept.revision == revision).then(|| find(&kept)).flatten()
    }

    fn put<K: std::hash::Hash + Eq, V>(
        &self,
        revision: Sequence,
        of: impl FnOnce(&mut Kept) -> &mut HashMap<K, V>,
        key: K,
        value: V,
    ) {
        let mut kept = self.kept.lock();
        if kept.revision < revision {
            *kept = Kept {
                revision,
                seen: kept.seen,
                ..Kept::default()
            };
        }
        if kept.revision == revision {
            let of = of(&mut kept);
            if of.len() >= KEPT_MAX {
                of.clear();
            }
            of.insert(key, value);
        }
    }
}

impl Store {
    /// A user, as `read` shows it.
    pub(crate) async fn known_user(
        &self,
        moment: Moment<'_>,
        account: &AccountId,
        user: &str,
    ) -> Result<Option<Arc<Known>>> {
        // Anybody may ask for a name; what cannot be one is not kept.
        if user.len() > super::IDENTITY_NAME_BYTES_MAX {
            return Ok(None);
        }
        let Moment { read, identities } = moment;
        let name = (account.clone(), user.to_owned());
        if let Some(known) = self
            .cache
            .get(identities, |kept| kept.users.get(&name).cloned())
        {
            return Ok(known);
        }
        let record: Option<UserRecord> = find(read, account, user).await?;
        let known = match record {
            None => None,
            Some(record) => {
                let known = self.load_user(moment, account, user, record);
                Some(Arc::new(known.await?))
            }
        };
        self.cache
            .put(identities, |kept| &mut kept.users, name, known.clone());
        Ok(known)
    }

    async fn load_user(
        &self,
        moment: Moment<'_>,
        account: &AccountId,
        name: &str,
        record: UserRecord,
    ) -> Result<Known> {
        use super::record::{ADMIN, DISABLED, RESELLER_ADMIN, ROOT, SERVICE};
        let mut names = record.policies.clone();
        for group in &record.groups {
            let group = need::<GroupRecord>(moment.read, account, group).await?;
            names.extend(group.policies);
        }
        let policies = self.load_policies(moment, account, &names).await?;
        let mut principal = match record.has(ROOT) {
            true => Principal::root(account.clone(), name),
            false if record.has(SERVICE) => {
                Principal::named(PrincipalKind::Service, account.clone(), name)
            }
            false => Principal::user(account.clone(), name),
        };
        principal.id.clone_from(&record.id);
        principal.made = Some(Timestamp(record.created));
        principal.display_name.clone_from(&record.display_name);
        principal.email.clone_from(&record.email);
        principal.groups.clone_from(&record.groups);
        principal.admin |= record.has(ADMIN);
        principal.reseller_admin |= record.has(RESELLER_ADMIN);
        let facts = Arc::new(IdentityFacts {
            enabled: !record.has(DISABLED),
            admin: principal.admin,
            reseller_admin: principal.reseller_admin,
            groups: record.groups,
            policies,
        });
        // Of the root user nothing is looked up.
        let principal = match principal.is_root() {
            true => principal,
            false => principal.known(moment.identities, facts.clone()),
        };
        Ok(Known {
            facts,
            principal: Some(Arc::new(principal)),
            password_hash: record.password_hash,
            epoch: record.epoch,
            created: record.created,
            trust: None,
        })
    }

    async fn load_policies(
        &self,
        Moment { read, identities }: Moment<'_>,
        account: &AccountId,
        names: &[String],
    ) -> Result<AttachedPolicies> {
        let mut attached = AttachedPolicies::default();
        let mut known = HashSet::new();
        for name in names {
            if !known.insert(name) {
                continue;
            }
            let key = (account.clone(), name.clone());
            let kept = self
                .cache
                .get(identities, |kept| kept.policies.get(&key).cloned());
            let policy = match kept {
                Some(policy) => policy,
                None => {
                    // One that is missing may have held a Deny: nothing is decided without it.
                    let record = need::<PolicyRecord>(read, account, name).await;
                    let text = record
                        .map_err(|error| unusable(name).with_source(error))?
                        .text;
                    let policy = Policy::parse_kept(&text, PolicyKind::Identity);
                    let policy = policy.map_err(|error| unusable(name).with_source(error))?;
                    let policy = Arc::new(policy);
                    let value = policy.clone();
                    self.cache
                        .put(identities, |kept| &mut kept.policies, key, value);
                    policy
                }
            };
            let name = name.clone();
            attached.extend([AttachedPolicy { name, policy }]);
        }
        Ok(attached)
    }

    /// Who a principal is; none for root, for nobody, and for whoever is not there any more.
    pub(crate) async fn known_of(
        &self,
        moment: Moment<'_>,
        principal: &Principal,
    ) -> Result<Option<Arc<Known>>> {
        let Some(account) = principal.account() else {
            return Ok(None);
        };
        let known = match principal.kind() {
            PrincipalKind::Anonymous | PrincipalKind::Root => return Ok(None),
            PrincipalKind::User | PrincipalKind::Service => {
                self.known_user(moment, account, &principal.user).await?
            }
            PrincipalKind::Role { role, .. } => self.known_role(moment, account, role).await?,
        };
        // Who has the name by now may be somebody else.
        let made = principal.made.map(|made| made.0);
        Ok(known.filter(|known| made.is_none_or(|made| made == known.created)))
    }

    /// What decisions about a principal are made on, where its kind alone does not say.
    pub(crate) async fn identity_facts(
        &self,
        moment: Moment<'_>,
        principal: &Principal,
    ) -> Result<Option<Arc<IdentityFacts>>> {
        // Its credential was mostly resolved at just this revision.
        if let Some(facts) = principal.known_at(moment.identities) {
            return Ok(Some(facts.clone()));
        }
        let known = self.known_of(moment, principal).await?;
        Ok(known.map(|known| known.facts.clone()))
    }

    /// The trust policy of the role that is asked for.
    pub(crate) async fn known_trust(
        &self,
        moment: Moment<'_>,
        asked: &Asked,
    ) -> Result<Option<Arc<Policy>>> {
        let Resource::Identity(account, name) = &asked.resource else {
            return Ok(None);
        };
        match name.strip_prefix("role/") {
            Some(role) if asked.action == Action::AssumeRole => {
                let known = self.known_role(moment, account, role).await?;
                Ok(known.and_then(|known| known.trust.clone()))
            }
            _ => Ok(None),
        }
    }

    pub(crate) async fn known_role(
        &self,
        moment: Moment<'_>,
        account: &AccountId,
        role: &str,
    ) -> Result<Option<Arc<Known>>> {
        if role.len() > super::IDENTITY_NAME_BYTES_MAX {
            return Ok(None);
        }
        let Moment { read, identities } = moment;
        let name = (account.clone(), role.to_owned());
        if let Some(known) = self
            .cache
            .get(identities, |kept| kept.roles.get(&name).cloned())
        {
            return Ok(known);
        }
        let record: Option<RoleRecord> = find(read, account, role).await?;
        let known = match record {
            None => None,
            Some(record) => {
                let policies = self.load_policies(moment, account, &record.policies);
                let trust = Policy::parse_kept(&record.trust, PolicyKind::Trust)
                    .map_err(|error| unusable(role).with_source(error))?;
                let facts = IdentityFacts {
                    enabled: true,
                    policies: policies.await?,
                    ..IdentityFacts::default()
                };
                Some(Arc::new(Known {
                    facts: Arc::new(facts),
                    principal: None,
                    password_hash: None,
                    epoch: record.created,
                    created: record.created,
                    trust: Some(Arc::new(trust)),
                }))
            }
        };
        self.cache
            .put(identities, |kept| &mut kept.roles, name, known.clone());
        Ok(known)
    }

    /// An access key, or that there is none, when that is known of now.
    pub(crate) fn known_key_now(&self, id: &str) -> Option<Option<Arc<KnownKey>>> {
        let identities = self.seen_now()?;
        self.cache
            .get(identities, |kept| kept.keys.get(id).cloned())
    }

    /// What an access key gives that is known of now; it is not copied for that.
    pub(crate) fn of_key_now<T>(
        &self,
        id: &str,
        of: impl FnOnce(&KnownKey) -> Option<T>,
    ) -> Option<T> {
        let sequence = self.engine.meta.sequence();
        let kept = self.cache.kept.lock();
        let newest = kept.seen(sequence)? == kept.revision;
        newest.then(|| of(kept.keys.get(id)?.as_deref()?)).flatten()
    }

    /// An access key with its secret.
    pub(crate) async fn known_key(
        &self,
        moment: Moment<'_>,
        id: &str,
    ) -> Result<Option<Arc<KnownKey>>> {
        if id.len() > super::access_key::ID_BYTES_MAX {
            return Ok(None);
        }
        let Moment { read, identities } = moment;
        let kept = self
            .cache
            .get(identities, |kept| kept.keys.get(id).cloned());
        if let Some(known) = kept {
            return Ok(known);
        }
        let known = match find_key(read, id).await? {
            None => None,
            Some(record) => {
                let secret = self.unwrap_access_key(id, &record).await?;
                let account = AccountId::parse(&record.account)?;
                let user = self.known_user(moment, &account, &record.user).await?;
                let user = user.filter(|user| user.facts.enabled);
                let principal = user.and_then(|user| user.principal.clone());
                let principal = principal.map(|principal| {
                    let mut principal = (*principal).clone();
                    principal.access_key = Some(id.to_owned());
                    Arc::new(principal)
                });
                Some(Arc::new(KnownKey {
                    record,
                    secret,
                    principal,
                }))
            }
        };
        let key = id.to_owned();
        self.cache
            .put(identities, |kept| &mut kept.keys, key, known.clone());
        Ok(known)
    }

    /// The user that a login names without an account: the one of that name, or the root user.
    pub(crate) async fn known_login(
        &self,
        moment: Moment<'_>,
        name: &str,
    ) -> Result<Option<KnownLogin>> {
        let Moment { read, identities } = moment;
        let kept = self
            .cache
            .get(identities, |kept| kept.logins.get(name).cloned());
        if kept.is_some() || name.len() > super::IDENTITY_NAME_BYTES_MAX {
            return Ok(kept);
        }
        let prefix = row_key::user_names(name);
        let mut scan = Scan::prefix(prefix.clone(), 2);
        let mut found: Vec<KnownLogin> = Vec::new();
        let only = loop {
            let page = read.scan(&scan).await?;
            let more = page.len() == scan.limit;
            for item in page {
                let account = item.key().get(prefix.len()..).unwrap_or_default();
                let account = AccountId::parse(String::from_utf8_lossy(account));
                scan.from = Bound::Excluded(item.key().clone());
                let Ok(account) = account else { continue };
                if let Some(known) = self.known_user(moment, &account, name).await? {
                    found.push((format!("{account}/{name}").into(), known));
                }
            }
            // Nobody may keep the root user out by taking its name.
            let is_root = |known: &Known| known.principal.as_ref().is_some_and(|p| p.is_root());
            if let Some(root) = found.iter().find(|(_, known)| is_root(known)) {
                break Some(root.clone());
            }
            found.truncate(2);
            if !more {
                break found.pop().filter(|_| found.is_empty());
            }
        };
        if let Some(known) = &only {
            let (name, known) = (name.to_owned(), known.clone());
            self.cache
                .put(identities, |kept| &mut kept.logins, name, known);
        }
        Ok(only)
    }

    /// An account; as one that says nothing when it does not exist.
    pub(crate) async fn known_account(
        &self,
        Moment { read, identities }: Moment<'_>,
        account: &AccountId,
    ) -> Result<Arc<KnownAccount>> {
        let kept = self
            .cache
            .get(identities, |kept| kept.accounts.get(account).cloned());
        if let Some(known) = kept {
            return Ok(known);
        }
        let found = match crate::account::find_account(read, account).await {
            Ok(found) => found.account.properties,
            Err(error) if error.kind() == ErrorKind::NotFound(Noun::Account) => {
                crate::AccountProperties::default()
            }
            Err(error) => return Err(error),
        };
        let acl = found.acl.as_deref().map(parse_acl).transpose()?;
        let known = Arc::new(KnownAccount {
            acl: acl.map(Arc::new),
            block: found.public_access,
        });
        let key = account.clone();
        self.cache
            .put(identities, |kept| &mut kept.accounts, key, known.clone());
        Ok(known)
    }

    /// What public access a bucket refuses, by itself or by its account.
    pub(crate) async fn block_within(
        &self,
        read: &dyn MetaRead,
        bucket: &Bucket,
    ) -> Result<crate::PublicAccessBlock> {
        let block = self.block_of_account(read, &bucket.owner.account).await?;
        Ok(bucket.properties.public_access.or(block))
    }

    /// What public access all buckets of an account refuse.
    pub(crate) async fn block_of_account(
        &self,
        read: &dyn MetaRead,
        account: &AccountId,
    ) -> Result<crate::PublicAccessBlock> {
        let moment = self.moment(read).await?;
        Ok(self.known_account(moment, account).await?.block)
    }

    /// What decisions need to know of a bucket.
    pub(crate) fn bucket_facts(&self, found: &FoundBucket) -> Result<Arc<BucketFacts>> {
        let (id, (_, revision)) = (found.bucket.id, found.revisions());
        let mut buckets = self.cache.buckets.lock();
        if let Some((_, facts)) = buckets.get(&id).filter(|(of, _)| *of == revision) {
            return Ok(facts.clone());
        }
        let facts = Arc::new(facts_of_bucket(&found.bucket)?);
        if buckets.len() >= KEPT_MAX {
            buckets.clear();
        }
        buckets.insert(id, (revision, facts.clone()));
        Ok(facts)
    }
}

fn unusable(name: &str) -> Error {
    Error::corrupt(format!(
        "the policy {name:?} that decides this cannot be used"
    ))
}

/// A stored ACL. One that cannot be read decides nothing, so nothing is decided.
pub(crate) fn parse_acl(text: &str) -> Result<Acl> {
    Acl::parse(text)
        .map_err(|error| Error::corrupt("a stored ACL cannot be read").with_source(error))
}

fn facts_of_bucket(bucket: &Bucket) -> Result<BucketFacts> {
    let properties = &bucket.properties;
    let broken = |error| Error::corrupt("a bucket's policy cannot be used").with_source(error);
    let policy = properties.policy.as_deref();
    let policy = policy
        .map(|text| Policy::parse_kept(text, PolicyKind::Bucket(bucket.policy_name().as_str())));
    let ownership = match properties.ownership.as_deref() {
        None => Ownership::Unsaid,
        Some(name) => Ownership::named(name)
            .ok_or_else(|| Error::corrupt("a bucket's ownership is not known"))?,
    };
    Ok(BucketFacts {
        name: bucket.policy_name().clone(),
        owner: bucket.owner.clone(),
        policy: policy.transpose().map_err(broken)?.map(Arc::new),
        acl: properties
            .acl
            .as_deref()
            .map(parse_acl)
            .transpose()?
            .map(Arc::new),
        ownership,
        public_access: block_of(&properties.public_access),
    })
}

/// The block of public access as decisions take it.
pub(crate) fn block_of(block: &crate::PublicAccessBlock) -> PublicAccessBlock {
    PublicAccessBlock {
        block_public_acls: block.block_acls,
        ignore_public_acls: block.ignore_acls,
        block_public_policy: block.block_policy,
        restrict_public_buckets: block.restrict_buckets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_snapshot_shows_does_not_take_the_place_of_what_a_newer_does() {
        let name = |text: &str| BucketName::parse(text).unwrap();
        let found = || Arc::new("a bucket");
        let mut shown = Shown::default();
        let (first, second) = (found(), found());
        shown.put(Sequence(2), &name("a"), first.clone());
        assert!(Arc::ptr_eq(
            &shown.get(Sequence(2), &name("a")).unwrap(),
            &first
        ));
        assert!(shown.get(Sequence(1), &name("a")).is_none());
        assert!(shown.get(Sequence(3), &name("a")).is_none());
        shown.put(Sequence(3), &name("a"), second.clone());
        shown.put(Sequence(2), &name("a"), first);
        assert!(Arc::ptr_eq(
            &shown.get(Sequence(3), &name("a")).unwrap(),
            &second
        ));
        assert!(shown.get(Sequence(2), &name("a")).is_none());
        for number in 0..=SHOWN_MAX {
            shown.put(Sequence(3), &name(&format!("b{number}")), found());
            assert!(shown.buckets.len() <= SHOWN_MAX);
        }
    }
}
