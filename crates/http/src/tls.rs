//! TLS by rustls: certificate and key from files, read again on demand; client certificates where
//! they are asked for; a certificate of our own for trials.

use parking_lot::RwLock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{RootCertStore, crypto};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use trestle_core::{Error, ErrorKind, Result};

/// Where certificate and key are.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate and those that vouch for it, in PEM, the server's first.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// The authorities whose client certificates are taken, in PEM; none asks for none.
    pub clients: Option<PathBuf>,
}

/// A certificate that a client proved to be its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// As it was sent, in DER.
    pub der: Vec<u8>,
}

impl ClientCertificate {
    /// Its SHA-256 in lower-case hexadecimal.
    pub fn fingerprint(&self) -> String {
        Sha256::digest(&self.der)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// What connections speak TLS with.
pub struct Tls {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

fn wrong(message: String, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let source = source.into();
    Error::new(ErrorKind::InvalidInput, format!("{message}: {source}")).with_source(source)
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>> {
    let failed = |error| wrong(format!("{} is no certificate", path.display()), error);
    let found = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let found: Vec<_> = found
        .collect::<std::result::Result<_, _>>()
        .map_err(failed)?;
    if found.is_empty() {
        return Err(Error::invalid(format!(
            "{} has no certificate",
            path.display()
        )));
    }
    Ok(found)
}

fn load(files: &TlsFiles) -> Result<ServerConfig> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| wrong(format!("{} is no private key", files.key.display()), error))?;
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("TLS".to_owned(), error))?;
    let builder = match &files.clients {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                let added = roots.add(certificate);
                added.map_err(|error| wrong(format!("{}", path.display()), error))?;
            }
            // A client without one is let in: what it may do without is decided elsewhere.
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                .allow_unauthenticated()
                .build();
            let verifier = verifier.map_err(|error| wrong(format!("{}", path.display()), error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| wrong("certificate and key do not fit".to_owned(), error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// `InvalidInput`, naming the file that is not what it should be.
    pub fn load(files: TlsFiles) -> Result<Self> {
        Ok(Tls {
            config: RwLock::new(Arc::new(load(&files)?)),
            files,
        })
    }

    /// Reads them again, for connections from now on.
    ///
    /// # Errors
    /// As [`Tls::load`]; the former ones then stay in use.
    pub fn reload(&self) -> Result<()> {
        let config = Arc::new(load(&self.files)?);
        *self.config.write() = config;
        Ok(())
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.read().clone()
    }
}

/// A certificate for these names that nobody vouches for, and its key, both in PEM: for trials.
///
/// # Errors
/// `InvalidInput` for a name that no certificate can carry.
pub fn self_signed(names: Vec<String>) -> Result<(String, String)> {
    let made = rcgen::generate_simple_self_signed(names);
    let made = made.map_err(|error| wrong("a certificate".to_owned(), error))?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}
