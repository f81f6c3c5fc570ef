//! `trestle serve`: opens the store, listens, and stops cleanly.

use crate::authenticate;
use crate::config::Config;
use crate::credentials::{self, Fresh, ROOT_ACCOUNT};
use crate::dialects::Dialects;
use crate::figures::Figures;
use crate::listeners::Listeners;
use crate::{master_key, swift};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use trestle_admin::Admin;
use trestle_cdmi::{Cdmi, CdmiSettings, ENTERPRISE_NUMBER_DEFAULT};
use trestle_core::AccountId;
use trestle_engine_embedded::Settings;
use trestle_host::Host;
use trestle_http::{Metrics, Service, Tls};
use trestle_rest::Rest;
use trestle_s3::S3;
use trestle_store::{Identities, Store};
use trestle_swift::Swift;

/// How often space is given back that nobody needs.
const TIDY: std::time::Duration = std::time::Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT; SIGHUP reads the TLS certificate again.
pub(crate) async fn run(config: &Config) -> Result<ExitCode, String> {
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
    let account = AccountId::parse(ROOT_ACCOUNT).map_err(opening)?;
    let store = master_key::open_store(&host, config, engine, account).await?;
    set_limits(&store, config)?;
    // Before the root user is made: its credentials are shown only by a start that succeeds.
    let listeners = Listeners::bind(&host, config, &dir).await?;
    let identities = Identities::new(store.clone()).map_err(opening)?;
    let audit = crate::audit::open(&host, config, &dir)?;
    if let Some(audit) = &audit {
        store.set_auditor(audit.clone());
    }
    let fresh = credentials::root(&host, &identities, &dir, config).await?;
    let urls = listeners.urls()?;
    if let (Some(fresh), Some(url)) = (&fresh, urls.first()) {
        let file = dir.join(credentials::FILE);
        introduce(fresh, config, (url, &file.display().to_string()));
    }
    for url in &urls {
        println!("listening on {url}");
    }
    let metrics = Arc::new(Metrics::default());
    let dialects = dialects(config, &host, &identities, metrics.clone()).await?;
    let (stopping, stop) = watch::channel(false);
    let tidying = tokio::spawn(tidy(store.clone()));
    let synchronises = dialects.swift.synchronises();
    let synchronising =
        synchronises.then(|| tokio::spawn(swift::synchronise(dialects.swift.clone())));
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
    if let Some(synchronising) = synchronising {
        synchronising.abort();
    }
    if let Some(audit) = audit {
        audit.close();
    }
    store
        .close()
        .await
        .map_err(|error| format!("the store did not close cleanly: {error}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Every dialect over a store: all that a server is but its sockets. It remembers nothing that another
/// one over the same engine would need.
pub(crate) async fn dialects(
    config: &Config,
    host: &Host,
    identities: &Arc<Identities>,
    metrics: Arc<Metrics>,
) -> Result<Arc<Dialects>, String> {
    let store = identities.store().clone();
    let account = AccountId::parse(ROOT_ACCOUNT).map_err(|error| error.to_string())?;
    let authenticate = authenticate::presented(identities);
    let s3 = s3_settings(config)?;
    let cdmi = open_cdmi(config, host, identities, account).await?;
    Ok(Arc::new(Dialects {
        s3: S3::new(
            store.clone(),
            host.clone(),
            authenticate::keys(identities),
            authenticate::accounts(identities),
            s3,
        ),
        swift: Swift::new(
            store.clone(),
            host.clone(),
            Arc::new(swift::Users(identities.clone())),
            swift::settings(config)?,
        ),
        admin: Admin::new(identities.clone(), authenticate.clone()),
        rest: Rest::new(store.clone(), authenticate.clone()),
        cdmi,
        openapi: crate::dialects::openapi(),
        store: store.clone(),
        figures: Figures {
            metrics,
            store: store.clone(),
            authenticate: match config.get("metrics") {
                Some("public") => None,
                Some("root") | None => Some(authenticate),
                Some(other) => return Err(format!("metrics is root or public, not {other:?}")),
            },
        },
    }))
}

/// What of the store's limits is the operator's.
fn set_limits(store: &Store, config: &Config) -> Result<(), String> {
    let number = |name: &str, least: u32| -> Result<u32, String> {
        let text = config.get(name).unwrap_or_default();
        let number = text.parse().ok().filter(|number: &u32| *number >= least);
        number.ok_or_else(|| format!("{name}: {text:?} is not a number from {least}"))
    };
    let hours = u64::from(number("events_kept", 0)?);
    store.set_feed_age(std::time::Duration::from_secs(hours * 3600));
    let delay = u64::from(number("expiry_delay", 0)?);
    store.set_expiry_delay(std::time::Duration::from_secs(delay));
    let buckets = config.get("buckets_per_account").is_some();
    let buckets = buckets.then(|| number("buckets_per_account", 1));
    store.set_buckets_per_account(buckets.transpose()?.map(u64::from));
    let keys = usize::try_from(number("tree_keys_max", 1)?);
    store.set_tree_keys_max(keys.unwrap_or(usize::MAX));
    Ok(())
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
    identities: &Arc<Identities>,
    root_account: AccountId,
) -> Result<Cdmi, String> {
    let given = config.get("cdmi_enterprise_number");
    let wrong = || "cdmi_enterprise_number is a number from 1 to 16777215".to_owned();
    let number = given.map(|text| text.parse::<u32>().map_err(|_| wrong()));
    let settings = CdmiSettings {
        root_account,
        enterprise_number: number.transpose()?.unwrap_or(ENTERPRISE_NUMBER_DEFAULT),
    };
    let authenticate = authenticate::members(identities);
    let opened = Cdmi::open(identities.clone(), host.clone(), authenticate, settings);
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

/// Opens a store that exists and that nobody serves.
pub(crate) async fn open_unused(host: &Host, config: &Config) -> Result<Arc<Store>, String> {
    let dir = config.data();
    let failed = |error: trestle_core::Error| format!("{}: {error}", dir.display());
    if !trestle_engine_embedded::is_store(host, &dir).map_err(failed)? {
        return Err(format!("{} is not a Trestle data folder", dir.display()));
    }
    let engine = trestle_engine_embedded::open(host, &dir, Settings::default())
        .await
        .map_err(failed)?;
    let account = AccountId::parse(ROOT_ACCOUNT).map_err(failed)?;
    master_key::open_store(host, config, engine, account).await
}

/// Gives the root user of a store that is not in use new credentials.
pub(crate) async fn reset_root(config: &Config) -> Result<ExitCode, String> {
    let host = Host::real();
    let dir = config.data();
    let failed = |error: trestle_core::Error| format!("{}: {error}", dir.display());
    let store = open_unused(&host, config).await?;
    let fresh = credentials::reset(&host, &store, &dir, config).await?;
    store.close().await.map_err(failed)?;
    println!(
        "\nThe root user has new credentials; the old ones are void. These are shown once, and kept \
         in {}:\n{}",
        dir.join(credentials::FILE).display(),
        shown(&fresh, config)
    );
    Ok(ExitCode::SUCCESS)
}

/// The credentials. Whoever configured a secret knows it, and what is printed is mostly kept.
fn shown(fresh: &Fresh, config: &Config) -> String {
    let secret = |part: &str, made: &str| match config.root(part) {
        Some(_) => "as configured".to_owned(),
        None => made.to_owned(),
    };
    format!(
        "\n    user        {}\n    password    {}\n    access key  {}\n    secret key  {}\n",
        fresh.user,
        secret("password", &fresh.password),
        fresh.access_key,
        secret("secret_key", &fresh.secret_key)
    )
}

/// Prints the credentials, once, with something to paste.
fn introduce(fresh: &Fresh, config: &Config, (url, file): (&str, &str)) {
    // Without a password curl asks for it.
    let user = match config.root("password") {
        Some(_) => fresh.user.clone(),
        None => format!("{}:{}", fresh.user, fresh.password),
    };
    println!(
        "\nThe root user was made. These are shown once, and kept in {file}:\n\
         {}\nTry:\n\
         \n    curl -u '{user}' -X PUT {url}/rest/photos/\
         \n    curl -u '{user}' -T README.md {url}/rest/photos/readme\
         \n    curl -u '{user}' {url}/rest/photos/readme\
         \n    curl -u '{user}' {url}/rest/photos/\n",
        shown(fresh, config),
    );
}

/// What S3 is set up with.
fn s3_settings(config: &Config) -> Result<trestle_s3::Settings, String> {
    let one_of = |name: &str, [yes, no]: [&str; 2]| match config.get(name) {
        Some(value) if value == yes => Ok(true),
        Some(value) if value == no => Ok(false),
        other => Err(format!(
            "{name} is {yes} or {no}, not {:?}",
            other.unwrap_or_default()
        )),
    };
    Ok(trestle_s3::Settings {
        regions: config.list("region").to_vec(),
        domains: config.list("domain").to_vec(),
        storage_classes: config.list("storage_class").to_vec(),
        kms_keys: config.list("kms_key").to_vec(),
        signature_v2: one_of("signature_v2", ["on", "off"])?,
        keys_in_the_clear: one_of("sse_c", ["anywhere", "private"])?,
    })
}
