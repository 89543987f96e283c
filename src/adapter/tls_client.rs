//! TLS as a client: whom to trust, who we are, and the connector that puts it under HTTP.

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use ureq::http::Uri;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use super::trust::{Authorities, Verified};

/// Which servers to believe.
pub(crate) enum Trust {
    /// Whoever answers.
    Anyone,
    /// Whoever has a certificate of one of these authorities, or one of these very certificates.
    Roots(Authorities),
}

/// A client's certificate, its chain behind it, and its key.
pub(crate) struct Identity {
    /// The client's own certificate first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The key of the first certificate.
    pub(crate) key: PrivateKeyDer<'static>,
}

/// The certificates of a PEM text; other blocks are passed over. The error quotes nothing: a key may stand beside
/// them, and the library's own words hold the line at which it stopped.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("not PEM: {}", flaw(&error)))
}

const fn flaw(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "a block has no END line of its own: is the text cut off, or has it lost its line ends?"
        }
        pem::Error::IllegalSectionStart { .. } => {
            "something stands behind BEGIN in its line: has the text lost its line ends?"
        }
        pem::Error::Base64Decode(_) => "a block is not base64, is the text cut off?",
        pem::Error::SectionTooLarge => "a block is too large",
        _ => "it cannot be read",
    }
}

/// The first private key of a PEM text.
pub(crate) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_may_quote| "holds no PEM private key".to_owned())
}

/// Puts the settings of TLS 1.2 and 1.3 together. The error is a clause without secrets.
pub(crate) fn client_config(
    trust: Trust,
    identity: Option<Identity>,
) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Anyone => Arc::new(Unverified { provider: Arc::clone(&provider) }),
        Trust::Roots(roots) => Arc::new(Verified::new(roots, &provider)),
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            builder.with_client_cert_resolver(Arc::new(certified(identity, &provider)?))
        }
    };
    // One server and perhaps its standby nodes; the default keeps 256.
    config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
    Ok(Arc::new(config))
}

const SESSIONS_MAX: usize = 4;

/// The pair for the handshake. A certificate that is of no use to us as a client may be good enough for the
/// server all the same: `openssl x509 -req` makes version 1, and Vault takes it.
fn certified(identity: Identity, provider: &CryptoProvider) -> Result<SingleCertAndKey, String> {
    let key = provider.key_provider.load_private_key(identity.key).map_err(|e| e.to_string())?;
    let pair = CertifiedKey::new(identity.chain, key);
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InvalidCertificate(_)) => Ok(SingleCertAndKey::from(pair)),
        Err(error) => Err(error.to_string()),
    }
}

/// Believes everybody (`tls_skip_verify`); the traffic is encrypted all the same.
#[derive(Debug)]
struct Unverified {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Wraps a connection in TLS when the address asks for it.
pub(crate) struct TlsConnector {
    /// `None` refuses every `https` address.
    pub(crate) config: Option<Arc<ClientConfig>>,
    /// Checked and sent instead of the address' host, but not towards a proxy.
    pub(crate) server_name: Option<ServerName<'static>>,
    /// The proxy, when there is one.
    pub(crate) proxy: Option<Uri>,
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let transport = chained.ok_or(ureq::Error::ConnectionFailed)?;
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let config = self.config.as_ref().ok_or(ureq::Error::Tls("no TLS settings"))?;
        let is_proxy = self.proxy.as_ref() == Some(details.uri);
        let name = match self.server_name.as_ref().filter(|_| !is_proxy) {
            Some(name) => name.clone(),
            None => {
                let host = details.uri.host().unwrap_or_default();
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                ServerName::try_from(host)
                    .map_err(|_invalid| ureq::Error::Tls("the address' host is no DNS name"))?
            }
        };
        let conn = ClientConnection::new(Arc::clone(config), name)
            .map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
        let mut sock = TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        sock.set_timeout(details.timeout);
        let mut stream = StreamOwned::new(conn, sock);
        stream.conn.complete_io(&mut stream.sock)?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Either::B(TlsTransport { buffers, stream })))
    }
}

/// A connection inside of TLS.
pub(crate) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl TlsTransport {
    /// A server that wants a certificate of ours says so in an alert and hangs up, and what we write on
    /// our side may fail before that is read.
    fn last_word(&mut self, error: io::Error) -> io::Error {
        if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) {
            return error;
        }
        let StreamOwned { conn, sock } = &mut self.stream;
        for _record in 0..LAST_RECORDS_MAX {
            match conn.read_tls(sock) {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
            if let Err(alert) = conn.process_new_packets() {
                return io::Error::new(ErrorKind::InvalidData, alert);
            }
        }
        error
    }
}

/// Session tickets and an alert.
const LAST_RECORDS_MAX: usize = 4;

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output).map_err(|error| self.last_word(error))?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let read = self.stream.read(self.buffers.input_append_buf());
        let amount = read.map_err(|error| self.last_word(error))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pem_is_told_without_a_word_of_it() {
        let own = rcgen::generate_simple_self_signed(["app".to_owned()]).unwrap();
        let (whole, key) = (own.cert.pem(), own.signing_key.serialize_pem());
        let (start_of_key, start) = (key.get(..80).unwrap(), whole.get(..200).unwrap());
        for text in [
            key.replace('\n', " "),
            key.replace('\n', ""),
            key.replace('\n', "\\n"),
            format!("{whole}{}", key.replace('\n', " ")),
            format!("{start_of_key}{whole}"),
            start_of_key.to_owned(),
            start.to_owned(),
            format!("{start}\n{whole}"),
            whole.replace("-----END CERTIFICATE-----", "-----END CERTIFICATE----"),
        ] {
            let Err(error) = certificates(text.as_bytes()) else { continue };
            // Neither as text nor as the numbers of its bytes.
            assert!(!error.contains('[') && error.len() < 150, "{error}");
            assert!(error.starts_with("not PEM: ") && !error.contains("MI"), "{error}");
        }
        let flat = whole.replace('\n', " ");
        assert!(certificates(flat.as_bytes()).unwrap_err().contains("line ends"));
    }

    /// Of `openssl x509 -req -signkey`, for a hundred years.
    const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBGDCBvwIUb+S4bEqjWYtrFfvhZUaguOfDa1owCgYIKoZIzj0EAwIwDjEMMAoG
A1UEAwwDYXBwMCAXDTI2MTEyMzA2MjAxNFoYDzIxMjYxMDMwMDYyMDE0WjAOMQww
CgYDVQQDDANhcHAwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATEtpzEOSQ50oKD
FrOXMBHpN2bhZm+09mRxLyQvv5uF1JlujSsGdLRr3X+c14rrNyjqgD0PeCO3gXiV
eLpzYduCMAoGCCqGSM49BAMCA0gAMEUCIQD+rirfupYhJ+WMMObG3WUFKFC1Furi
ir8wJGCw0b8YAAIgNJ/KFndrqCyy2r3vv6GVh/+gl7SMMSoa1e6z1CpJhn0=
-----END CERTIFICATE-----
";
    const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/8dmYlANn8G3Lt8+
TEdkaWJ8X01yvmCGVISJfh5Fx3uhRANCAATEtpzEOSQ50oKDFrOXMBHpN2bhZm+0
9mRxLyQvv5uF1JlujSsGdLRr3X+c14rrNyjqgD0PeCO3gXiVeLpzYduC
-----END PRIVATE KEY-----
";

    #[test]
    fn a_client_may_show_a_certificate_of_version_1() {
        let chain = certificates(VERSION_1.as_bytes()).unwrap();
        let key = private_key(KEY.as_bytes()).unwrap();
        assert!(client_config(Trust::Anyone, Some(Identity { chain, key })).is_ok());
    }

    #[test]
    fn a_certificate_and_the_key_of_another_are_no_pair() {
        let pair = || rcgen::generate_simple_self_signed(["app".to_owned()]).unwrap();
        let chain = certificates(pair().cert.pem().as_bytes()).unwrap();
        let key = private_key(KEY.as_bytes()).unwrap();
        let error = client_config(Trust::Anyone, Some(Identity { chain, key })).unwrap_err();
        assert!(error.contains("KeyMismatch"), "{error}");
    }
}
