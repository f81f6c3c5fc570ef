//! The dialect over one store: its root container and the ids that it gives.

use crate::domain_tree::DomainTree;
use crate::object_id::ObjectIds;
use crate::partial::Completions;
use crate::watch::Watchers;
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::RwLock;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use trestle_access::{Action, Asked, Context, Grant, Principal, Resource};
use trestle_core::{AccountId, Error, ErrorKind, Id, Result};
use trestle_host::Host;
use trestle_http::Presented;
use trestle_store::{Identities, Store};

/// Says who presents these credentials; none when they are wrong. Who presents nothing is nobody
/// in particular.
pub type Authenticate =
    dyn Fn(Presented) -> BoxFuture<'static, Result<Option<Arc<Principal>>>> + Send + Sync;

/// What is kept of the dialect among the store's settings.
const SETTING: &str = "cdmi";

/// The enterprise number that RFC 5612 keeps for examples, for stores whose operator has none.
pub const ENTERPRISE_NUMBER_DEFAULT: u32 = 32_473;

/// How the dialect is set up.
#[derive(Clone, Debug)]
pub struct CdmiSettings {
    /// The account that owns the root container.
    pub root_account: AccountId,
    /// The enterprise number of object ids. It counts when the store is first served; afterwards
    /// the one of that moment stays.
    pub enterprise_number: u32,
}

/// The dialect.
pub struct Cdmi {
    pub(crate) store: Arc<Store>,
    pub(crate) host: Host,
    pub(crate) authenticate: Arc<Authenticate>,
    pub(crate) identities: Arc<Identities>,
    pub(crate) watchers: Watchers,
    pub(crate) completions: Completions,
    /// Where domains are.
    pub(crate) domains: RwLock<Arc<DomainTree>>,
    pub(crate) ids: ObjectIds,
    /// The id of the root container.
    pub(crate) root: Id,
    pub(crate) root_account: AccountId,
}

impl std::fmt::Debug for Cdmi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cdmi")
    }
}

impl Cdmi {
    /// The dialect over a store; at its first start the root container gets its id, and all object
    /// ids their enterprise number.
    ///
    /// # Errors
    /// `InvalidInput` for an enterprise number that is none; the store's.
    pub async fn open(
        identities: Arc<Identities>,
        host: Host,
        authenticate: Arc<Authenticate>,
        settings: CdmiSettings,
    ) -> Result<Self> {
        let store = identities.store().clone();
        let (enterprise, root) = match store.setting(SETTING).await? {
            Some(stored) => decode(&stored)?,
            None => {
                // Checked before it is kept for good.
                ObjectIds::new(settings.enterprise_number)?;
                let root = host.id();
                let kept = json!({
                    "enterprise": settings.enterprise_number,
                    "root": root.to_string(),
                });
                let kept = Bytes::from(kept.to_string());
                store.set_setting(SETTING, kept, true).await?;
                (settings.enterprise_number, root)
            }
        };
        let cdmi = Cdmi {
            store,
            host,
            authenticate,
            identities,
            watchers: Watchers::default(),
            completions: Completions::default(),
            domains: RwLock::default(),
            ids: ObjectIds::new(enterprise)?,
            root,
            root_account: settings.root_account,
        };
        cdmi.load_domains().await?;
        cdmi.load_watchers().await?;
        Ok(cdmi)
    }

    /// The id of something that the server itself makes at a path, the same at every start.
    pub(crate) fn derived(&self, path: &str) -> Id {
        let mut hasher = Sha256::new();
        hasher.update(self.root.as_bytes());
        hasher.update(path.as_bytes());
        let hash = hasher.finalize();
        hash.get(..16).and_then(Id::from_slice).unwrap_or_default()
    }

    /// The right to keep the dialect's own books, which are nobody's.
    pub(crate) async fn own_grant(&self, action: Action, resource: Resource) -> Result<Grant> {
        let principal = Principal::server(self.root_account.clone());
        let asked = Asked {
            principal: Arc::new(principal),
            action,
            resource,
            context: Arc::new(Context::at(self.store.now()).of("internal", None)),
        };
        self.store.authorize(asked).await
    }
}

fn decode(stored: &[u8]) -> Result<(u32, Id)> {
    let wrong = || Error::new(ErrorKind::Corrupt, "the setting \"cdmi\" cannot be decoded");
    let stored: Value = serde_json::from_slice(stored).map_err(|_| wrong())?;
    let enterprise = stored.get("enterprise").and_then(Value::as_u64);
    let enterprise = enterprise.and_then(|number| u32::try_from(number).ok());
    let root = stored.get("root").and_then(Value::as_str);
    let root = root.and_then(|root| u128::from_str_radix(root, 16).ok());
    let root = root.map(|root| Id(root.to_be_bytes()));
    enterprise.zip(root).ok_or_else(wrong)
}
