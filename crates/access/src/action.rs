//! What can be done: one neutral list of actions for every dialect, finer than any dialect's own.
//!
//! A dialect asks for the actions that its request needs; a policy's names (`s3:GetObject`) stand
//! for sets of them. An action that is not here cannot be granted.

/// What kind of thing an action is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// An account, or the list of its buckets.
    Account,
    /// A bucket.
    Bucket,
    /// What a key names, or an upload to it.
    Object,
    /// Users, groups, roles, policies, access keys of an account.
    Identity,
    /// The server as a whole.
    Server,
}

macro_rules! actions {
    ($($level:ident { $($(#[$doc:meta])* $name:ident,)* })*) => {
        /// What is to be done. Finer than any dialect's own verbs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($($(#[$doc])* $name,)*)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Action] = &[$($(Action::$name,)*)*];

            /// Its name, as explanations and the audit log show it.
            pub fn name(self) -> &'static str {
                match self {
                    $($(Action::$name => stringify!($name),)*)*
                }
            }

            /// What kind of thing it is done to.
            pub fn level(self) -> Level {
                match self {
                    $($(Action::$name)|* => Level::$level,)*
                }
            }
        }
    };
}

actions! {
    Account {
        /// List the buckets of an account, with its counters.
        ListBuckets,
        /// Read an account's properties and counters.
        ReadAccount,
        /// Change an account's properties.
        WriteAccount,
        /// Read who else may use an account.
        ReadAccountAcl,
        /// Change who else may use an account.
        WriteAccountAcl,
        /// Change an account's quota.
        WriteAccountQuota,
        /// Read the account's block of public access.
        ReadAccountPublicAccess,
        /// Change the account's block of public access.
        WriteAccountPublicAccess,
        /// Make an account.
        CreateAccount,
        /// Delete an account that owns nothing.
        DeleteAccount,
    }
    Bucket {
        /// Create a bucket.
        CreateBucket,
        /// Read a bucket's properties and counters.
        ReadBucket,
        /// Read where a bucket lies.
        ReadBucketLocation,
        /// Delete an empty bucket.
        DeleteBucket,
        /// List the keys of a bucket.
        ListObjects,
        /// List the versions of a bucket's keys.
        ListVersions,
        /// List a bucket's uploads in progress.
        ListUploads,
        /// Read a bucket's policy.
        ReadBucketPolicy,
        /// Change a bucket's policy.
        WriteBucketPolicy,
        /// Delete a bucket's policy.
        DeleteBucketPolicy,
        /// Read whether a bucket's policy makes it public.
        ReadBucketPolicyStatus,
        /// Read a bucket's ACL.
        ReadBucketAcl,
        /// Change a bucket's ACL.
        WriteBucketAcl,
        /// Read whether a bucket keeps versions.
        ReadBucketVersioning,
        /// Change whether a bucket keeps versions.
        WriteBucketVersioning,
        /// Read a bucket's tags.
        ReadBucketTags,
        /// Change a bucket's tags.
        WriteBucketTags,
        /// Read a bucket's metadata.
        ReadBucketMetadata,
        /// Change a bucket's metadata.
        WriteBucketMetadata,
        /// Read a bucket's object lock.
        ReadBucketLock,
        /// Change a bucket's object lock.
        WriteBucketLock,
        /// Read a bucket's block of public access.
        ReadBucketPublicAccess,
        /// Change a bucket's block of public access.
        WriteBucketPublicAccess,
        /// Read who owns objects that others write.
        ReadBucketOwnership,
        /// Change who owns objects that others write.
        WriteBucketOwnership,
        /// Read a bucket's quota.
        ReadBucketQuota,
        /// Change a bucket's quota.
        WriteBucketQuota,
        /// Read a bucket's default encryption.
        ReadBucketEncryption,
        /// Change a bucket's default encryption.
        WriteBucketEncryption,
        /// Read a bucket's rules of expiry.
        ReadBucketLifecycle,
        /// Change a bucket's rules of expiry.
        WriteBucketLifecycle,
        /// Read what pages of other origins may do.
        ReadBucketCors,
        /// Change what pages of other origins may do.
        WriteBucketCors,
        /// Read how a bucket is served as a site.
        ReadBucketWebsite,
        /// Change how a bucket is served as a site.
        WriteBucketWebsite,
        /// Delete how a bucket is served as a site.
        DeleteBucketWebsite,
        /// Read where a bucket's events go.
        ReadBucketNotification,
        /// Change where a bucket's events go.
        WriteBucketNotification,
        /// Read where a bucket's access log goes.
        ReadBucketLogging,
        /// Change where a bucket's access log goes.
        WriteBucketLogging,
        /// Read where a bucket is copied to.
        ReadBucketReplication,
        /// Change where a bucket is copied to.
        WriteBucketReplication,
        /// Read who pays for requests.
        ReadBucketRequestPayment,
        /// Change who pays for requests.
        WriteBucketRequestPayment,
        /// Read a part of a bucket's configuration that has no action of its own.
        ReadBucketDocument,
        /// Change a part of a bucket's configuration that has no action of its own.
        WriteBucketDocument,
        /// Change what a bucket tells of itself that is neither its metadata nor configuration.
        WriteBucketAttributes,
        /// Change a bucket's owner.
        WriteBucketOwner,
        /// Change until when a bucket itself is retained.
        WriteBucketRetention,
        /// Change whether a bucket itself is held.
        WriteBucketHold,
        /// Shorten or lift a bucket's own retention in governance mode.
        BypassBucketRetention,
        /// Make a snapshot of a bucket, or of a directory in it.
        CreateSnapshot,
        /// Delete a snapshot of a bucket.
        DeleteSnapshot,
        /// Make another bucket of all that is in a bucket or a snapshot.
        CloneBucket,
    }
    Object {
        /// Read an object's bytes.
        ReadObject,
        /// Read the bytes of a version.
        ReadObjectVersion,
        /// Read an object's metadata.
        ReadObjectMetadata,
        /// Read the metadata of a version.
        ReadObjectVersionMetadata,
        /// Read an object's attributes: size, digests, parts.
        ReadObjectAttributes,
        /// Read a version's attributes.
        ReadObjectVersionAttributes,
        /// Create or replace an object, or change its bytes.
        WriteObject,
        /// Add bytes at an object's end, and change none of those there.
        AppendObject,
        /// Change an object's metadata alone.
        WriteObjectMetadata,
        /// Change an object's attributes alone: its media type, and what else is told of it beside its
        /// bytes and its metadata.
        WriteObjectAttributes,
        /// Delete an object.
        DeleteObject,
        /// Delete a version.
        DeleteObjectVersion,
        /// Read an object's tags.
        ReadObjectTags,
        /// Read a version's tags.
        ReadObjectVersionTags,
        /// Change an object's tags.
        WriteObjectTags,
        /// Change a version's tags.
        WriteObjectVersionTags,
        /// Delete an object's tags.
        DeleteObjectTags,
        /// Delete a version's tags.
        DeleteObjectVersionTags,
        /// Read an object's ACL.
        ReadObjectAcl,
        /// Read a version's ACL.
        ReadObjectVersionAcl,
        /// Change an object's ACL.
        WriteObjectAcl,
        /// Change a version's ACL.
        WriteObjectVersionAcl,
        /// Read until when an object is retained.
        ReadObjectRetention,
        /// Change until when an object is retained.
        WriteObjectRetention,
        /// Read whether an object is held.
        ReadLegalHold,
        /// Change whether an object is held.
        WriteLegalHold,
        /// Shorten or pass over a retention in governance mode.
        BypassRetention,
        /// Abort an upload.
        AbortUpload,
        /// List the parts of an upload.
        ListParts,
        /// Change state of an object that one dialect alone knows.
        WriteObjectDocument,
        /// Change an object's owner.
        WriteObjectOwner,
    }
    Identity {
        /// Read and list users.
        ReadUsers,
        /// Create users.
        CreateUsers,
        /// Change users.
        WriteUsers,
        /// Delete users.
        DeleteUsers,
        /// Read and list groups.
        ReadGroups,
        /// Create, change and delete groups.
        WriteGroups,
        /// Read and list roles.
        ReadRoles,
        /// Create, change and delete roles.
        WriteRoles,
        /// Take a role for a while.
        AssumeRole,
        /// Read and list identity policies.
        ReadPolicies,
        /// Create, change and delete identity policies.
        WritePolicies,
        /// Attach identity policies to somebody, and detach them.
        AttachPolicies,
        /// List access keys; never their secrets.
        ReadKeys,
        /// Create access keys.
        CreateKeys,
        /// Disable and enable access keys.
        WriteKeys,
        /// Delete access keys.
        DeleteKeys,
        /// Have a decision explained.
        ExplainDecisions,
    }
    Server {
        /// List all accounts.
        ListAccounts,
        /// Read the audit log.
        ReadAudit,
    }
}

/// A set of actions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ActionSet(u128);

impl ActionSet {
    /// Whether it holds an action.
    pub fn holds(self, action: Action) -> bool {
        self.0 & 1 << action as u32 != 0
    }

    /// Whether it holds nothing.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What either holds.
    #[must_use]
    pub fn or(self, other: ActionSet) -> ActionSet {
        ActionSet(self.0 | other.0)
    }
}

impl FromIterator<Action> for ActionSet {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        ActionSet(actions.into_iter().fold(0, |set, a| set | 1 << a as u32))
    }
}

impl std::fmt::Debug for ActionSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held = Action::ALL.iter().filter(|action| self.holds(**action));
        f.debug_set().entries(held).finish()
    }
}

// Each action has a bit of its own.
const _: () = assert!(Action::ALL.len() <= 128);

impl Action {
    /// The action that changes the part of a bucket's configuration with this name. A name that is
    /// not known here needs [`Action::WriteBucketDocument`], which few have.
    pub fn write_document(name: &str) -> Action {
        match name {
            "cors" => Action::WriteBucketCors,
            "website" => Action::WriteBucketWebsite,
            "lifecycle" => Action::WriteBucketLifecycle,
            "notification" => Action::WriteBucketNotification,
            "logging" => Action::WriteBucketLogging,
            "replication" => Action::WriteBucketReplication,
            "encryption" => Action::WriteBucketEncryption,
            "ownership" => Action::WriteBucketOwnership,
            "request-payment" => Action::WriteBucketRequestPayment,
            name if is_attribute(name) => Action::WriteBucketAttributes,
            _ => Action::WriteBucketDocument,
        }
    }

    /// The action that changes the state with this name that an object has.
    pub fn write_object_document(name: &str) -> Action {
        match is_attribute(name) {
            true => Action::WriteObjectAttributes,
            false => Action::WriteObjectDocument,
        }
    }

    /// Whether it changes nothing, and gives no credentials.
    pub fn only_reads(self) -> bool {
        let prefixes = ["Read", "List", "Explain"];
        prefixes
            .iter()
            .any(|prefix| self.name().starts_with(prefix))
    }

    /// The action by its name.
    pub fn named(name: &str) -> Option<Action> {
        Action::ALL.iter().copied().find(|a| a.name() == name)
    }
}

/// Whether state with this name is what clients give and are shown as fields of their own; all else is
/// what a dialect notes for itself. What stands before the dot is the dialect.
fn is_attribute(name: &str) -> bool {
    matches!(name.split_once('.'), Some((_, "fields" | "exports")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lead_back() {
        for action in Action::ALL {
            assert_eq!(Action::named(action.name()), Some(*action));
        }
        assert_eq!(Action::named("Nonsense"), None);
        assert!(Action::ListObjects.only_reads() && Action::ReadAudit.only_reads());
        assert!(!Action::AssumeRole.only_reads() && !Action::BypassRetention.only_reads());
        assert_eq!(Action::ReadObject.level(), Level::Object);
        assert_eq!(Action::write_document("cors"), Action::WriteBucketCors);
        assert_eq!(Action::write_document("x"), Action::WriteBucketDocument);
        for (name, of_bucket, of_object) in [
            ("x.fields", true, true),
            ("x.exports", true, true),
            ("x.y", false, false),
            ("fields", false, false),
        ] {
            let (bucket, object) = (Action::WriteBucketAttributes, Action::WriteObjectAttributes);
            assert_eq!(Action::write_document(name) == bucket, of_bucket, "{name}");
            let found = Action::write_object_document(name);
            assert_eq!(found == object, of_object, "{name}");
        }
    }
}
