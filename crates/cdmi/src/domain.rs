//! Domains: each account is one, below `cdmi_domains/`.

use crate::call::Call;
use crate::fault::{Answered, Fault};
use crate::media::Kind;
use crate::path::Names;
use crate::render::Rendering;
use crate::route::not_allowed;
use crate::time;
use crate::value::range_text;
use http::{Method, StatusCode};
use serde_json::{Map, Value};
use trestle_access::{Action, Resource};
use trestle_core::AccountId;
use trestle_store::Account;

/// Where domains begin.
const TOP: &str = "cdmi_domains";

impl Call<'_> {
    /// Answers at a path below `cdmi_domains`.
    pub(crate) async fn domains(&self, names: &Names) -> Answered {
        if !matches!(self.method, Method::GET | Method::HEAD) {
            return Ok(not_allowed("GET, HEAD"));
        }
        self.account()?;
        if !names.slash {
            let whole = Names {
                slash: true,
                ..names.clone()
            };
            let url = format!("{}{}/{TOP}{}", self.origin, crate::path::ROOT, whole.path());
            return Err(Fault::Elsewhere(StatusCode::MOVED_PERMANENTLY, url));
        }
        match names.names.as_slice() {
            [] => self.domains_container().await,
            [name] => {
                let missing = || Fault::missing(&names.path());
                let id = AccountId::parse(name.as_str()).map_err(|_| missing())?;
                let resource = Resource::Account(id.clone());
                let grant = self.grant(Action::ReadAccount, resource).await?;
                let (account, _) = self.cdmi.store.account(&grant, &id).await?;
                self.domain(&account)
            }
            _ => Err(Fault::missing(&names.path())),
        }
    }

    fn domain_id(&self, name: &str) -> trestle_core::Id {
        self.cdmi.derived(&format!("/{TOP}/{name}"))
    }

    async fn domains_container(&self) -> Answered {
        self.check_acceptable(Kind::Container)?;
        let fields = &self.fields;
        let mut rendering = Rendering::default();
        let kind = Kind::Container.media_type();
        rendering.choose(fields, "objectType", kind);
        rendering.choose(fields, "objectID", self.id_text(self.domain_id("")));
        rendering.choose(fields, "objectName", format!("{TOP}/"));
        rendering.choose(fields, "parentURI", "/");
        rendering.choose(fields, "parentID", self.id_text(self.cdmi.root));
        let owner = format!("/{TOP}/{}/", self.cdmi.root_account);
        rendering.choose(fields, "domainURI", owner);
        rendering.choose(fields, "capabilitiesURI", "/cdmi_capabilities/domain/");
        rendering.choose(fields, "completionStatus", "Complete");
        rendering.choose(fields, "metadata", Map::new());
        let children = vec![format!("{}/", self.account()?)];
        rendering.choose(
            fields,
            "childrenrange",
            range_text(0, children.len() as u64),
        );
        rendering.choose(fields, "children", children);
        Ok(rendering.answer(StatusCode::OK, kind)?)
    }

    fn domain(&self, account: &Account) -> Answered {
        self.check_acceptable(Kind::Domain)?;
        let fields = &self.fields;
        let mut rendering = Rendering::default();
        let kind = Kind::Domain.media_type();
        let id = account.id.as_str();
        rendering.choose(fields, "objectType", kind);
        rendering.choose(
            fields,
            "objectID",
            self.id_text(self.domain_id(&format!("{id}/"))),
        );
        rendering.choose(fields, "objectName", format!("{id}/"));
        rendering.choose(fields, "parentURI", format!("/{TOP}/"));
        rendering.choose(fields, "parentID", self.id_text(self.domain_id("")));
        rendering.choose(fields, "domainURI", format!("/{TOP}/{id}/"));
        rendering.choose(fields, "capabilitiesURI", "/cdmi_capabilities/domain/");
        if fields.has("metadata") {
            let mut metadata: Map<String, Value> =
                account.properties.metadata.clone().into_iter().collect();
            let enabled = (!account.properties.closed).to_string();
            for (name, value) in [
                ("cdmi_domain_enabled", enabled),
                ("cdmi_ctime", time::text(account.created)),
                ("cdmi_mtime", time::text(account.modified)),
            ] {
                metadata.insert(name.to_owned(), Value::from(value));
            }
            rendering.add("metadata", crate::metadata::select(metadata, fields));
        }
        rendering.choose(fields, "childrenrange", "");
        rendering.choose(fields, "children", Vec::<String>::new());
        Ok(rendering.answer(StatusCode::OK, kind)?)
    }
}
