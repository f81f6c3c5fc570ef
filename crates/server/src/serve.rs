//! `trestle serve`: opens the store, listens, and stops cleanly.

use crate::config::Config;
use crate::credentials::{self, Fresh, RootRecord};
use crate::dialects::Dialects;
use crate::figures::Figures;
use crate::listeners::Listeners;
use crate::{master_key, swift};
use futures::future::BoxFuture;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use trestle_access::{PasswordCache, Principal, SecretKey};
use trestle_cdmi::{Cdmi, CdmiSettings, ENTERPRISE_NUMBER_DEFAULT};
use trestle_core::{AccountId, Result};
use trestle_engine_embedded::Settings;
use trestle_host::Host;
use trestle_http::{BasicCredentials, Metrics, Service, Tls};
use trestle_rest::{Authenticate, Rest};
use trestle_s3::{AccountBy, AccountOf, KeyOf, KnownKey, S3};
use trestle_store::Store;
use trestle_swift::Swift;

/// The account of the root user.
const ROOT_ACCOUNT: &str = "root";
/// How often space is given back that nobody needs.
const TIDY: std::time::Duration = std::time::Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT; SIGHUP reads the TLS certificate again.
pub(crate) async fn run(config: &Config) -> std::result::Result<ExitCode, String> {
    let host = Host::real();
    let dir = config.data();
    let opening =
        |error: trestle_core::Error| format!("{} cannot be opened: {error}", dir.display());
    // The signals count from the start, so that none is lost while the store opens.
    let caught = |kind| signal(kind).map_err(|error| error.to_string());
    let mut terminate = caught(SignalKind::terminate())?;
    let mut interrupt = caught(SignalKind::interrupt())?;
    let mut hangup = caught(SignalKind::hangup())?;
    let engine = trestle_engine_embedded::open(&host, &dir, Settings::default())
        .await
        .map_err(opening)?;
    let master = master_key::load(&host, config)?;
    let account = AccountId::parse(ROOT_ACCOUNT).map_err(opening)?;
    let store = Store::open(engine, host.clone(), account.clone(), Some(master))
        .await
        .map_err(opening)?;
    // Before the root user is made: its credentials are shown only by a start that succeeds.
    let listeners = Listeners::bind(&host, config, &dir).await?;
    let (root, fresh) = credentials::root(&host, &store, &dir, config).await?;
    let urls = listeners.urls()?;
    if let (Some(fresh), Some(url)) = (&fresh, urls.first()) {
        introduce(
            fresh,
            url,
            &dir.join(credentials::FILE).display().to_string(),
        );
    }
    for url in &urls {
        println!("listening on {url}");
    }
    let metrics = Arc::new(Metrics::default());
    let authenticate = authenticate(host.clone(), root.clone(), account.clone());
    let cdmi = open_cdmi(config, &host, &store, &authenticate, account.clone()).await?;
    let dialects = Arc::new(Dialects {
        s3: S3::new(
            store.clone(),
            keys(config, &root, &account),
            accounts(&account),
            s3_settings(config),
        ),
        swift: Swift::new(
            store.clone(),
            host.clone(),
            Arc::new(swift::Users::new(
                store.clone(),
                host.clone(),
                root.clone(),
                account.clone(),
            )),
            swift::settings(config),
        ),
        rest: Rest::new(store.clone(), authenticate.clone()),
        cdmi,
        store: store.clone(),
        figures: Figures {
            metrics: metrics.clone(),
            store: store.clone(),
            authenticate: match config.get("metrics") {
                Some("public") => None,
                Some("root") | None => Some(authenticate),
                Some(other) => return Err(format!("metrics is root or public, not {other:?}")),
            },
        },
    });
    let (stopping, stop) = watch::channel(false);
    let tidying = tokio::spawn(tidy(store.clone()));
    let tls = listeners.tls();
    let service = |share| {
        Service::new(host.clone(), share, dialects.clone().handler()).metrics(metrics.clone())
    };
    let mut serving = listeners.serve(service, &stop);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload(tls.as_deref()),
        }
    }
    tracing::info!("stopping: requests in progress may end");
    stopping.send_replace(true);
    while let Some(served) = serving.join_next().await {
        served.map_err(|error| error.to_string())?;
    }
    tidying.abort();
    store
        .close()
        .await
        .map_err(|error| format!("the store did not close cleanly: {error}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the certificate again; the former one stays when that fails.
fn reload(tls: Option<&Tls>) {
    match tls.map(Tls::reload) {
        None => tracing::info!("there is nothing to read again"),
        Some(Ok(())) => tracing::info!("the TLS certificate was read again"),
        Some(Err(error)) => tracing::error!(%error, "the former TLS certificate stays in use"),
    }
}

/// The CDMI dialect with its settings.
async fn open_cdmi(
    config: &Config,
    host: &Host,
    store: &Arc<Store>,
    authenticate: &Arc<Authenticate>,
    root_account: AccountId,
) -> std::result::Result<Cdmi, String> {
    let given = config.get("cdmi_enterprise_number");
    let wrong = || "cdmi_enterprise_number is a number from 1 to 16777215".to_owned();
    let number = given.map(|text| text.parse::<u32>().map_err(|_| wrong()));
    let settings = CdmiSettings {
        root_account,
        enterprise_number: number.transpose()?.unwrap_or(ENTERPRISE_NUMBER_DEFAULT),
    };
    let opened = Cdmi::open(store.clone(), host.clone(), authenticate.clone(), settings);
    opened.await.map_err(|error| format!("CDMI: {error}"))
}

/// Keeps the store tidy for as long as it serves.
async fn tidy(store: Arc<Store>) {
    let mut ticks = tokio::time::interval(TIDY);
    loop {
        ticks.tick().await;
        if let Err(error) = store.tidy().await {
            tracing::warn!(%error, "space was not given back");
        }
    }
}

/// Gives the root user of a store that is not in use new credentials.
pub(crate) async fn reset_root(config: &Config) -> std::result::Result<ExitCode, String> {
    let host = Host::real();
    let dir = config.data();
    let failed = |error: trestle_core::Error| format!("{}: {error}", dir.display());
    if !trestle_engine_embedded::is_store(&host, &dir).map_err(failed)? {
        return Err(format!("{} is not a Trestle data folder", dir.display()));
    }
    let engine = trestle_engine_embedded::open(&host, &dir, Settings::default())
        .await
        .map_err(failed)?;
    let account = AccountId::parse(ROOT_ACCOUNT).map_err(failed)?;
    let master = master_key::load(&host, config)?;
    let store = Store::open(engine, host.clone(), account, Some(master))
        .await
        .map_err(failed)?;
    let fresh = credentials::reset(&host, &store, &dir, config).await?;
    store.close().await.map_err(failed)?;
    println!(
        "\nThe root user has new credentials; the old ones are void. These are shown once, and kept \
         in {}:\n{}",
        dir.join(credentials::FILE).display(),
        shown(&fresh)
    );
    Ok(ExitCode::SUCCESS)
}

fn shown(fresh: &Fresh) -> String {
    format!(
        "\n    user        {}\n    password    {}\n    access key  {}\n    secret key  {}\n",
        fresh.user, fresh.password, fresh.access_key, fresh.secret_key
    )
}

/// Prints the credentials, once, with something to paste.
fn introduce(fresh: &Fresh, url: &str, file: &str) {
    println!(
        "\nThe root user was made. These are shown once, and kept in {file}:\n\
         {}\nTry:\n\
         \n    curl -u '{user}:{password}' -X PUT {url}/rest/photos/\
         \n    curl -u '{user}:{password}' -T README.md {url}/rest/photos/readme\
         \n    curl -u '{user}:{password}' {url}/rest/photos/readme\
         \n    curl -u '{user}:{password}' {url}/rest/photos/\n",
        shown(fresh),
        user = fresh.user,
        password = fresh.password,
    );
}

/// What S3 is set up with.
fn s3_settings(config: &Config) -> trestle_s3::Settings {
    trestle_s3::Settings {
        regions: config.list("region").to_vec(),
        domains: config.list("domain").to_vec(),
        storage_classes: config.list("storage_class").to_vec(),
        ..trestle_s3::Settings::default()
    }
}

/// The one account that there is.
fn accounts(root: &AccountId) -> Arc<AccountOf> {
    let root = root.clone();
    Arc::new(
        move |by: AccountBy| -> BoxFuture<'static, Result<Option<AccountId>>> {
            let known = by == AccountBy::Id(root.as_str().to_owned());
            let found = known.then(|| root.clone());
            Box::pin(async move { Ok(found) })
        },
    )
}

/// Root's access key, when this start was given its secret: the store has only a hash of it.
fn keys(config: &Config, root: &RootRecord, account: &AccountId) -> Arc<KeyOf> {
    let secret = config.root("secret_key").map(str::to_owned);
    let principal = Arc::new(Principal::root(account.clone(), root.user.clone()));
    let known = root.access_key.clone();
    Arc::new(
        move |key: String| -> BoxFuture<'static, Result<Option<KnownKey>>> {
            let found = secret
                .as_ref()
                .filter(|_| key == known)
                .map(|secret| (SecretKey::new(secret.clone()), principal.clone()));
            Box::pin(async move { Ok(found) })
        },
    )
}

fn authenticate(host: Host, root: RootRecord, account: AccountId) -> Arc<Authenticate> {
    let cache = Arc::new(PasswordCache::new(&*host.random));
    Arc::new(
        move |presented: BasicCredentials| -> BoxFuture<'static, Result<Option<Principal>>> {
            let (host, root, account, cache) =
                (host.clone(), root.clone(), account.clone(), cache.clone());
            Box::pin(async move {
                // An unknown user costs the same argon2 run as a wrong password.
                let verified = cache
                    .verify(
                        &host,
                        &presented.user,
                        &presented.password,
                        &root.password_hash,
                    )
                    .await?;
                let known = presented.user == root.user;
                Ok((verified && known).then(|| Principal::root(account, root.user)))
            })
        },
    )
}
