//! Where the server listens: plain and TLS addresses, how many connections there may be, which
//! proxies are believed, and the certificate of a trial.

use crate::config::Config;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use trestle_host::{Host, OpenMode};
use trestle_http::{BodyPace, Network, Proxies, ProxyHeaders, Service, Tls, TlsFiles, self_signed};

/// How long requests in progress may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(30);
/// Most open connections.
const CONNECTIONS_MAX: u32 = 4096;
/// Files that are no connection's: the log, the index, segments open for reading, and room.
const FILES_OF_STORE: u64 = 512;
/// With fewer connections than this there is nothing to serve.
const CONNECTIONS_MIN: u32 = 32;
/// What answers of health and figures never wait for.
const VITAL: &[&str] = &["/healthz", "/readyz", "/metrics"];
/// The files of a trial's certificate and its key, in the data folder.
const TRIAL: [&str; 2] = ["trial-certificate.pem", "trial-key.pem"];

type Outcome<T> = Result<T, String>;

/// Sockets that are bound, and what is spoken on them.
pub(crate) struct Listeners {
    plain: Vec<TcpListener>,
    secure: Vec<TcpListener>,
    tls: Option<Arc<Tls>>,
    connections: u32,
    requests: u32,
    pace: BodyPace,
    proxies: Proxies,
}

impl Listeners {
    /// Binds every address of the configuration. Nothing is served yet.
    pub(crate) async fn bind(host: &Host, config: &Config, dir: &Path) -> Outcome<Self> {
        let connections = connections()?;
        let tls = match config.list("listen_tls") {
            [] => {
                without_tls(config)?;
                None
            }
            addresses => Some(Arc::new(certificate(host, config, dir, addresses)?)),
        };
        Ok(Listeners {
            plain: listen(config.list("listen")).await?,
            secure: listen(config.list("listen_tls")).await?,
            tls,
            connections,
            requests: number(config, "requests_max")?,
            pace: pace(config)?,
            proxies: proxies(config)?,
        })
    }

    /// Where each can be reached, plain ones first.
    pub(crate) fn urls(&self) -> Outcome<Vec<String>> {
        let url = |(listener, scheme): (&TcpListener, &str)| {
            let address = listener.local_addr().map_err(|error| error.to_string())?;
            Ok(format!("{scheme}://{address}"))
        };
        let plain = self.plain.iter().map(|listener| (listener, "http"));
        let secure = self.secure.iter().map(|listener| (listener, "https"));
        plain.chain(secure).map(url).collect()
    }

    /// What connections speak TLS with.
    pub(crate) fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// Serves until `stop` becomes true; the tasks end when the last request has.
    pub(crate) fn serve(
        self,
        service: impl Fn(u32) -> Service,
        stop: &watch::Receiver<bool>,
    ) -> JoinSet<()> {
        // Each listener has its share: together they stay below the limit of open files.
        let count = self.plain.len() + self.secure.len();
        let share = self.connections / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        // Made once: what is counted is counted together.
        let service = service(share)
            .requests(self.requests)
            .pace(self.pace)
            .vital(VITAL)
            .proxies(self.proxies);
        let mut serving = JoinSet::new();
        for listener in self.plain {
            let (service, stop) = (service.clone(), stop.clone());
            serving.spawn(trestle_http::serve(listener, service, stop, DRAIN));
        }
        for listener in self.secure {
            let Some(tls) = self.tls.clone() else {
                continue;
            };
            let (service, stop) = (service.clone().tls(tls), stop.clone());
            serving.spawn(trestle_http::serve(listener, service, stop, DRAIN));
        }
        serving
    }
}

/// How many connections the limit of open files leaves room for. Each may have two: its socket, and
/// the segment that it writes to. Beyond that the store itself could not open what it needs, and
/// would refuse writes for good.
fn connections() -> Outcome<u32> {
    let files = trestle_host::open_files_max();
    let room = files.saturating_sub(FILES_OF_STORE) / 2;
    let connections = u32::try_from(room).unwrap_or(u32::MAX).min(CONNECTIONS_MAX);
    if connections < CONNECTIONS_MIN {
        return Err(format!(
            "only {files} files may be open, at least {} are needed (ulimit -n)",
            FILES_OF_STORE + u64::from(2 * CONNECTIONS_MIN)
        ));
    }
    if connections < CONNECTIONS_MAX {
        tracing::warn!(
            files,
            connections,
            "few files may be open: fewer connections are taken"
        );
    }
    Ok(connections)
}

/// A socket for each address.
async fn listen(addresses: &[String]) -> Outcome<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(address).await;
        listeners
            .push(listener.map_err(|error| format!("{address} cannot be listened on: {error}"))?);
    }
    Ok(listeners)
}

fn number(config: &Config, name: &str) -> Outcome<u32> {
    let text = config.get(name).unwrap_or_default();
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("{name}: {text:?} is not a number above 0"))
}

/// How fast bodies have to come; 0 asks for no rate.
fn pace(config: &Config) -> Outcome<BodyPace> {
    let text = config.get("body_rate_min").unwrap_or_default();
    let rate = text.parse();
    let seconds = number(config, "body_grace")?;
    Ok(BodyPace {
        rate_min: rate.map_err(|_| format!("body_rate_min: {text:?} is not a number"))?,
        grace: Duration::from_secs(seconds.into()),
    })
}

/// The proxies that are believed.
fn proxies(config: &Config) -> Outcome<Proxies> {
    let network = |text: &String| {
        let parsed = text.parse::<Network>();
        parsed.map_err(|error| format!("trusted_proxies: {}", error.message()))
    };
    Ok(Proxies {
        networks: config
            .list("trusted_proxies")
            .iter()
            .map(network)
            .collect::<Result<_, _>>()?,
        headers: match config.get("proxy_headers") {
            Some("x-forwarded") | None => ProxyHeaders::XForwarded,
            Some("forwarded") => ProxyHeaders::Forwarded,
            Some(other) => {
                return Err(format!(
                    "proxy_headers is x-forwarded or forwarded, not {other:?}"
                ));
            }
        },
        protocol: match config.get("proxy_protocol") {
            Some("on") => true,
            Some("off") | None => false,
            Some(other) => return Err(format!("proxy_protocol is on or off, not {other:?}")),
        },
    })
}

/// The configured certificate, or one of a trial, made at the first start.
fn certificate(host: &Host, config: &Config, dir: &Path, addresses: &[String]) -> Outcome<Tls> {
    let clients = config.get("tls_clients").map(PathBuf::from);
    let files = match (config.get("tls_certificate"), config.get("tls_key")) {
        (Some(certificate), Some(key)) => TlsFiles {
            certificate: certificate.into(),
            key: key.into(),
            clients,
        },
        (None, None) => {
            let [certificate, key] = TRIAL.map(|name| dir.join(name));
            trial(host, dir, addresses)?;
            tracing::warn!(
                certificate = %certificate.display(),
                "TLS with a certificate that nobody vouches for: set tls_certificate and tls_key"
            );
            TlsFiles {
                certificate,
                key,
                clients,
            }
        }
        _ => return Err("tls_certificate and tls_key are given together or not at all".to_owned()),
    };
    Tls::load(files).map_err(|error| error.message().to_owned())
}

/// Refuses settings of TLS where no address speaks it: whoever gave them would take it to be on.
fn without_tls(config: &Config) -> Outcome<()> {
    for name in ["tls_certificate", "tls_key", "tls_clients"] {
        if config.get(name).is_some() {
            return Err(format!(
                "{name} is set, but no address speaks TLS: set listen_tls"
            ));
        }
    }
    Ok(())
}

/// Makes the certificate of a trial unless there is one.
fn trial(host: &Host, dir: &Path, addresses: &[String]) -> Outcome<()> {
    let [certificate, key] = TRIAL.map(|name| dir.join(name));
    if certificate.exists() && key.exists() {
        return Ok(());
    }
    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    for address in addresses {
        let name = address
            .rsplit_once(':')
            .map_or(address.as_str(), |(name, _)| name);
        let name = name.trim_matches(['[', ']']).to_owned();
        if !["", "0.0.0.0", "::"].contains(&name.as_str()) && !names.contains(&name) {
            names.push(name);
        }
    }
    let made = self_signed(names).map_err(|error| error.message().to_owned())?;
    let failed = |error: std::io::Error| format!("the certificate of a trial: {error}");
    for (path, text) in [(&key, made.1), (&certificate, made.0)] {
        match host.disk.remove(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
        let file = host.disk.open(path, OpenMode::CreateNew).map_err(failed)?;
        file.write_at(text.as_bytes(), 0).map_err(failed)?;
        file.sync_data().map_err(failed)?;
    }
    host.disk.sync_dir(dir).map_err(failed)
}
