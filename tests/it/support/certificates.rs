//! Certificates made on the spot, clients that show them, and a TLS front for a backend.

use crate::support::wait::within;
use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyPair, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme, version,
};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fs, io};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
    der: CertificateDer<'static>,
    issued: AtomicU64,
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
    serial: SerialNumber,
}

impl Pair {
    /// The certificate, DER.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("ours")
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("ours")
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of the tests");
        let certificate = params.self_signed(&key).expect("a certificate");
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { pem, der, issuer: Issuer::new(params, key), issued: AtomicU64::new(1) }
    }

    /// A certificate for these host names and addresses.
    pub(crate) fn issue(&self, names: &[&str]) -> Pair {
        self.sign(names, |_| ())
    }

    /// One for a user, named by a URI, and an organisation.
    pub(crate) fn issue_to(&self, uri: &str, organization: &str) -> Pair {
        self.sign(&[], |params| {
            params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("ASCII"))];
            params.distinguished_name.push(DnType::OrganizationName, organization);
        })
    }

    fn sign(&self, names: &[&str], details: impl FnOnce(&mut CertificateParams)) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        let serial = SerialNumber::from(self.issued.fetch_add(1, Ordering::Relaxed));
        params.serial_number = Some(serial.clone());
        details(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Pair { certificate, key: key.serialize_pem(), serial }
    }

    /// A list of revoked certificates, PEM.
    pub(crate) fn revoke(&self, pairs: &[&Pair]) -> String {
        let revoked = pairs.iter().map(|pair| RevokedCertParams {
            serial_number: pair.serial.clone(),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2099, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("a list").pem().expect("PEM")
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("an authority");
        roots
    }
}

/// A folder for certificates and keys.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("a folder of ours");
        shown(&path)
    }

    /// Writes `NAME.pem` and `NAME.key` and gives the keys that name them.
    pub(crate) fn pair(&self, name: &str, pair: &Pair) -> String {
        let certificate = self.write(&format!("{name}.pem"), &pair.certificate);
        let key = self.write(&format!("{name}.key"), &pair.key);
        format!("certificate: \"{certificate}\", key: \"{key}\"")
    }
}

fn shown(path: &Path) -> String {
    path.to_str().expect("temporary folders have plain names").to_owned()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What a client saw of a handshake, and the answer to its request.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) protocol: Option<String>,
    pub(crate) answer: String,
}

/// A client that believes every certificate unless it is told whom to believe.
#[derive(Clone)]
pub(crate) struct TlsClient(ClientConfig, String);

impl TlsClient {
    pub(crate) fn new() -> Self {
        Self::of(None, None)
    }

    /// Shows a certificate when it is asked for one.
    pub(crate) fn showing(pair: &Pair) -> Self {
        Self::of(None, Some(pair))
    }

    fn of(authority: Option<&Authority>, shown: Option<&Pair>) -> Self {
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(&[&version::TLS13, &version::TLS12]).expect("both");
        let builder = match authority {
            Some(authority) => builder.with_root_certificates(authority.roots()),
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Believer(provider()))),
        };
        let config = match shown {
            Some(pair) => builder.with_client_auth_cert(vec![pair.der()], pair.key_der()).expect("a pair"),
            None => builder.with_no_client_auth(),
        };
        Self(config, String::new())
    }

    /// Sends this before the handshake, as a proxy of connections does.
    pub(crate) fn behind(mut self, header: &str) -> Self {
        header.clone_into(&mut self.1);
        self
    }

    /// Offers these protocols (ALPN), best first.
    pub(crate) fn offering(mut self, protocols: &[&str]) -> Self {
        self.0.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// Does not say which host it wants.
    pub(crate) fn nameless(mut self) -> Self {
        self.0.enable_sni = false;
        self
    }

    /// Asks for `/` on a connection of its own, with these further fields.
    pub(crate) async fn ask(&self, address: SocketAddr, host: &str, fields: &str) -> io::Result<Met> {
        within(Duration::from_secs(20), "an answer over TLS", self.ask_at_leisure(address, host, fields))
            .await
    }

    async fn ask_at_leisure(&self, address: SocketAddr, host: &str, fields: &str) -> io::Result<Met> {
        let name = ServerName::try_from(host.to_owned()).expect("a host name");
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(self.1.as_bytes()).await?;
        let mut stream = TlsConnector::from(Arc::new(self.0.clone())).connect(name, socket).await?;
        let session = stream.get_ref().1;
        let protocol = session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        let certificate = session.peer_certificates().expect("servers have one")[0].clone();
        let mut answer = String::new();
        if protocol.as_deref() != Some("h2") {
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{fields}Connection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            stream.read_to_string(&mut answer).await?;
            if answer.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Met { certificate, protocol, answer })
    }

    /// An ordinary client with the same certificate, which finds `host` at `address`.
    pub(crate) fn ordinary(&self, host: &str, address: SocketAddr) -> reqwest::Client {
        reqwest::Client::builder()
            .use_preconfigured_tls(self.0.clone())
            .resolve(host, address)
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client")
    }
}

/// Believes any certificate: these clients look at what they got themselves.
#[derive(Debug)]
struct Believer(Arc<CryptoProvider>);

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS in front of a plain backend; its connections end with it.
pub(crate) struct TlsFront {
    pub(crate) address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    shown: Arc<Mutex<Vec<Option<CertificateDer<'static>>>>>,
    _tasks: JoinSet<()>,
}

impl TlsFront {
    /// Speaks HTTP/1.1 with this certificate, asks for one of `clients` if given, and passes on to `backend`.
    pub(crate) async fn start(backend: SocketAddr, pair: &Pair, clients: Option<&Authority>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let config = Arc::new(Mutex::new(front_config(pair, clients)));
        let shown = Arc::<Mutex<Vec<Option<CertificateDer<'static>>>>>::default();
        let mut tasks = JoinSet::new();
        let (current, record) = (Arc::clone(&config), Arc::clone(&shown));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, record) =
                    (TlsAcceptor::from(Arc::clone(&current.lock())), Arc::clone(&record));
                connections.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(socket).await else { return };
                    let chain = stream.get_ref().1.peer_certificates();
                    record.lock().push(chain.map(|chain| chain[0].clone()));
                    let mut plain = TcpStream::connect(backend).await.expect("the backend listens");
                    drop(tokio::io::copy_bidirectional(&mut stream, &mut plain).await);
                });
            }
        });
        Self { address, config, shown, _tasks: tasks }
    }

    /// Uses another certificate for connections to come.
    pub(crate) fn renew(&self, pair: &Pair) {
        *self.config.lock() = front_config(pair, None);
    }

    /// What each client showed, in the order of the handshakes that succeeded.
    pub(crate) fn shown(&self) -> Vec<Option<CertificateDer<'static>>> {
        self.shown.lock().clone()
    }
}

fn front_config(pair: &Pair, clients: Option<&Authority>) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_protocol_versions(&[&version::TLS13, &version::TLS12]).expect("both");
    let builder = match clients {
        Some(authority) => {
            let roots = Arc::new(authority.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
            builder.with_client_cert_verifier(verifier.expect("an authority"))
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(vec![pair.der()], pair.key_der()).expect("a pair");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
