//! One error type for every layer: a kind that says what the caller should do, a message for a
//! person, and the cause. Dialects map the kind to their own codes; nobody parses the message.

use crate::{Timestamp, VersionId};
use std::fmt;

/// The result of everything fallible in Trestle's lower layers.
pub type Result<T> = std::result::Result<T, Error>;

/// What a [`ErrorKind::NotFound`] or [`ErrorKind::AlreadyExists`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Noun {
    /// An account.
    Account,
    /// A bucket.
    Bucket,
    /// An object: what a key names.
    Object,
    /// A version of an object.
    Version,
    /// A job on directories.
    Job,
    /// An upload in parts.
    Upload,
    /// A user of an account.
    User,
    /// A group of users.
    Group,
    /// A role.
    Role,
    /// An identity policy.
    Policy,
    /// An access key.
    AccessKey,
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Noun::Account => "account",
            Noun::Bucket => "bucket",
            Noun::Object => "object",
            Noun::Version => "version",
            Noun::Job => "job",
            Noun::Upload => "upload",
            Noun::User => "user",
            Noun::Group => "group",
            Noun::Role => "role",
            Noun::Policy => "policy",
            Noun::AccessKey => "access key",
        })
    }
}

/// The meaning of an error, by what its receiver can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself is wrong: mend it, do not repeat it.
    InvalidInput,
    /// The named thing does not exist.
    NotFound(Noun),
    /// The name is taken.
    AlreadyExists(Noun),
    /// A bucket that still holds something cannot be deleted.
    NotEmpty,
    /// The caller's precondition does not hold.
    PreconditionFailed,
    /// The range starts beyond the end; `length` is the object's size in bytes.
    RangeNotSatisfiable {
        /// Size of the object in bytes.
        length: u64,
    },
    /// The bytes received do not have the digest that the caller declared.
    DigestMismatch,
    /// The body ended early or its transfer failed; nothing was stored.
    IncompleteBody,
    /// The client sent its body too slowly, or stood still in the middle of it; nothing was stored.
    TooSlow,
    /// A part that was never uploaded, or has other digests than the caller says.
    InvalidPart {
        /// Its number.
        number: u32,
    },
    /// Parts are not named in ascending order of their numbers.
    InvalidPartOrder,
    /// A part that is not the last one is smaller than parts have to be.
    PartTooSmall {
        /// Its number.
        number: u32,
        /// Its size in bytes.
        length: u64,
    },
    /// Bytes were to be added at an offset that is not the object's end.
    InvalidOffset {
        /// Size of the object in bytes.
        length: u64,
    },
    /// Larger than a limit; the message names the limit.
    TooLarge,
    /// The principal may not do this.
    Forbidden,
    /// The credential was a right one until its time was over.
    Expired,
    /// A retention or a legal hold protects it.
    Locked,
    /// The bucket or the account would hold more than its quota allows.
    QuotaExceeded,
    /// What is there does not allow this change; the message says why.
    InvalidState,
    /// The content is encrypted under a key that the caller has to give, and did not give; or it gave
    /// one where none is needed.
    WrongKey,
    /// A concurrent change won; repeating the same request may succeed.
    Conflict,
    /// What was asked for was there once, and is no longer kept.
    NoLongerKept,
    /// No space left for a write. Reads and deletes still work.
    NoSpace,
    /// The store refuses writes (after a failed flush) or is stopping; only a restart helps.
    Unavailable,
    /// Stored bytes do not match their checksum, or a record cannot be decoded.
    Corrupt,
    /// An I/O or programming error that has no better meaning.
    Internal,
}

/// A delete marker that was found where an object was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Its id among the versions of the key.
    pub version: VersionId,
    /// Whether it was made while the bucket kept no new versions.
    pub null_version: bool,
    /// When it was made.
    pub modified: Timestamp,
}

/// An error by meaning, with a message and its cause.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    marker: Option<Marker>,
    source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
}

impl Error {
    /// An error of `kind`; `message` is for a person and carries no secret.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into(),
            marker: None,
            source: None,
        }
    }

    /// Says that it is a delete marker that was found.
    #[must_use]
    pub fn with_marker(mut self, marker: Marker) -> Self {
        self.marker = Some(marker);
        self
    }

    /// The delete marker that was found instead of an object.
    pub fn marker(&self) -> Option<Marker> {
        self.marker
    }

    /// Attaches the cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Shorthand for [`ErrorKind::InvalidInput`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::InvalidInput, message)
    }

    /// Shorthand for [`ErrorKind::Corrupt`].
    pub fn corrupt(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Corrupt, message)
    }

    /// Shorthand for [`ErrorKind::NotFound`].
    pub fn not_found(noun: Noun, name: impl fmt::Display) -> Self {
        Error::new(
            ErrorKind::NotFound(noun),
            format!("{noun} {name} does not exist"),
        )
    }

    /// What the receiver can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message without the cause.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<std::io::Error> for Error {
    /// A full disk, quota or inode table is [`ErrorKind::NoSpace`]; the rest is internal.
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::StorageFull | Io::QuotaExceeded => ErrorKind::NoSpace,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, format!("input/output error: {error}")).with_source(error)
    }
}
