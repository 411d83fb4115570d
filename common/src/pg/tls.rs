//! TLS to PostgreSQL with libpq's `sslmode` meanings, over rustls.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::conninfo::{Conninfo, SslMode};

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate or key file cannot be read.
    #[error("{keyword} {path:?} cannot be read as PEM")]
    File {
        /// Keyword of the connect string.
        keyword: &'static str,
        /// The file.
        path: std::path::PathBuf,
    },
    /// `verify-ca` and `verify-full` need to know whom to trust.
    #[error("sslmode {mode} needs sslrootcert=FILE in the connect string")]
    NoRoot {
        /// The mode.
        mode: &'static str,
    },
    /// rustls refuses the certificates.
    #[error("set up TLS")]
    Rustls(#[from] rustls::Error),
    /// The roots cannot be used.
    #[error("set up TLS verification from sslrootcert")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
}

/// Whether one side refuses the other's certificate, or what it offers: trying again does not
/// help.
pub(super) fn is_refusal(error: &(dyn std::error::Error + 'static)) -> bool {
    let of_tls = |error: &(dyn std::error::Error + 'static)| {
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        matches!(
            inner.or_else(|| error.downcast_ref()),
            Some(
                rustls::Error::InvalidCertificate(_)
                    | rustls::Error::AlertReceived(_)
                    | rustls::Error::PeerIncompatible(_)
            )
        )
    };
    std::iter::successors(Some(error), |error| error.source()).any(of_tls)
}

/// The connector for one connect string.
pub(super) fn connector(conninfo: &Conninfo) -> Result<MakeRustlsConnect, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let roots = conninfo
        .ssl_root_cert
        .as_deref()
        .map(load_roots)
        .transpose()?;
    let verify = match (conninfo.ssl_mode, &roots) {
        (SslMode::Disable | SslMode::Prefer, _) | (SslMode::Require, None) => Verify::Nothing,
        (SslMode::Require | SslMode::VerifyCa, Some(_)) => Verify::Chain,
        (SslMode::VerifyFull, Some(_)) => Verify::ChainAndName,
        (SslMode::VerifyCa, None) => return Err(TlsError::NoRoot { mode: "verify-ca" }),
        (SslMode::VerifyFull, None) => {
            return Err(TlsError::NoRoot {
                mode: "verify-full",
            });
        }
    };
    let inner = roots
        .map(|roots| {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
        })
        .transpose()?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier {
            provider,
            verify,
            inner,
        }));
    let config = match (&conninfo.ssl_cert, &conninfo.ssl_key) {
        (Some(cert), Some(key)) => {
            builder.with_client_auth_cert(load_certs(cert, "sslcert")?, load_key(key)?)?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn load_certs(
    path: &Path,
    keyword: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refuse = |_| TlsError::File {
        keyword,
        path: path.into(),
    };
    CertificateDer::pem_file_iter(path)
        .map_err(refuse)?
        .collect::<Result<_, _>>()
        .map_err(refuse)
}

fn load_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|_| TlsError::File {
        keyword: "sslkey",
        path: path.into(),
    })
}

fn load_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in load_certs(path, "sslrootcert")? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verify {
    Nothing,
    Chain,
    ChainAndName,
}

/// Verifies as much as `sslmode` asks for.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    verify: Verify,
    inner: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (Some(inner), true) = (&self.inner, self.verify != Verify::Nothing) else {
            return Ok(ServerCertVerified::assertion());
        };
        let result =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match (result, self.verify) {
            (
                Err(rustls::Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                )),
                Verify::Chain,
            ) => Ok(ServerCertVerified::assertion()),
            (result, _) => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
