//! The other end: which server the command line asks, and as whom.
//!
//! Credentials come from the environment, from a file of them, or, on the machine of the server,
//! from its data folder; never from the command line, which others can read.

use crate::config::environment;
use std::path::PathBuf;
use trestle_client::{Client, Credentials, Options};

/// Where the credentials of a root user stand, seen from the folder of its data.
const CREDENTIALS: &str = "trestle-data/root-credentials";

/// How to reach the server, and who asks.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ConnectionArgs {
    /// The server [default: TRESTLE_SERVER, or http://127.0.0.1:9000]
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// A file with TRESTLE_USER=… and TRESTLE_PASSWORD=… (or TRESTLE_ROOT_…) [default: TRESTLE_TOKEN
    /// or these of the environment, or else ./trestle-data/root-credentials]
    #[arg(long, global = true, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Authorities to trust instead of the system's, in PEM [default: TRESTLE_CA]
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print JSON, one document a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl ConnectionArgs {
    /// A client of the server; nothing is asked yet.
    pub(crate) fn client(&self) -> Result<Client, String> {
        let server = match &self.server {
            Some(server) => Some(server.clone()),
            None => environment("TRESTLE_SERVER")?,
        };
        let authorities = match &self.ca {
            Some(path) => Some(path.clone()),
            None => environment("TRESTLE_CA")?.map(PathBuf::from),
        };
        Client::new(&Options {
            server: server.unwrap_or_else(|| "http://127.0.0.1:9000".to_owned()),
            credentials: self.who()?,
            authorities,
        })
    }

    /// A client of who says who they are: what it is for is nobody's in particular.
    pub(crate) fn known_client(&self) -> Result<Client, String> {
        if matches!(self.who()?, Credentials::None) {
            return Err(format!(
                "who asks? Set TRESTLE_USER and TRESTLE_PASSWORD, or TRESTLE_TOKEN, or give \
                 --credentials FILE (there is no ./{CREDENTIALS})"
            ));
        }
        self.client()
    }

    fn who(&self) -> Result<Credentials, String> {
        if let Some(path) = &self.credentials {
            return in_file(path);
        }
        if let Some(token) = environment("TRESTLE_TOKEN")? {
            return Ok(Credentials::Token(token));
        }
        let either = |name: &str, other: &str| match environment(name)? {
            None => environment(other),
            found => Ok(found),
        };
        if let Some(name) = either("TRESTLE_USER", "TRESTLE_ROOT_USER")? {
            let password = either("TRESTLE_PASSWORD", "TRESTLE_ROOT_PASSWORD")?;
            let password = password.ok_or("TRESTLE_PASSWORD is not set")?;
            return Ok(Credentials::User { name, password });
        }
        let path = PathBuf::from(CREDENTIALS);
        match path.exists() {
            true => in_file(&path),
            false => Ok(Credentials::None),
        }
    }
}

/// The credentials that a file has.
fn in_file(path: &std::path::Path) -> Result<Credentials, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the credentials {}: {error}", path.display()))?;
    let value = |names: [&str; 2]| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        let found = lines.find(|(name, _)| names.contains(name));
        let missing = || format!("{} has no {}", path.display(), names[0]);
        found.map(|(_, value)| value.to_owned()).ok_or_else(missing)
    };
    Ok(Credentials::User {
        name: value(["TRESTLE_USER", "TRESTLE_ROOT_USER"])?,
        password: value(["TRESTLE_PASSWORD", "TRESTLE_ROOT_PASSWORD"])?,
    })
}
