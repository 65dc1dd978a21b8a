//! Tokens as an identity provider would mint them, and fresh keys for every family of algorithms.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// The shared secret of the tests.
pub(crate) const SECRET: &str = "a secret of the tests, long enough for HMAC";

/// `identity` for tokens of [`token`].
pub(crate) const HS256: &str = "identity: {jwt: {algorithms: [HS256], secret: \"a secret of the tests, long enough for HMAC\", \
     claims: {user: sub, tenant: organization_id, role: role}}}";

/// A valid HS256 token of `user` in `tenant`.
pub(crate) fn token(user: &str, tenant: &str) -> String {
    signed(&json!({"sub": user, "organization_id": tenant, "exp": in_seconds(3_600)}))
}

/// An HS256 token with exactly these claims.
pub(crate) fn signed(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes()))
        .expect("a token")
}

/// The wall time so many seconds from now (or before), as `exp` wants it.
pub(crate) fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    i64::try_from(now).expect("this century") + seconds
}

/// A key pair made by `openssl`, in files.
pub(crate) struct Keys {
    folder: TempDir,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl Keys {
    /// A fresh pair for RS256, ES256 or `EdDSA`.
    pub(crate) fn generate(algorithm: Algorithm) -> Self {
        let kind: &[&str] = match algorithm {
            Algorithm::RS256 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            Algorithm::ES256 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Algorithm::EdDSA => &["-algorithm", "ED25519"],
            other => panic!("no keys for {other:?}"),
        };
        let folder = TempDir::new().expect("a folder");
        let (private, public) = (folder.path().join("private.pem"), folder.path().join("public.pem"));
        openssl(&[&["genpkey"], kind, &["-out", path(&private)]].concat());
        openssl(&["pkey", "-in", path(&private), "-pubout", "-out", path(&public)]);
        let pem = fs::read(&private).expect("openssl wrote it");
        let private = match algorithm {
            Algorithm::RS256 => EncodingKey::from_rsa_pem(&pem),
            Algorithm::ES256 => EncodingKey::from_ec_pem(&pem),
            _ => EncodingKey::from_ed_pem(&pem),
        };
        Self { folder, algorithm, private: private.expect("a private key") }
    }

    /// The public key as a PEM file.
    pub(crate) fn public_file(&self) -> PathBuf {
        self.folder.path().join("public.pem")
    }

    /// The public key as a member of a JWKS document.
    pub(crate) fn jwk(&self, id: &str) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.private, self.algorithm).expect("a public key");
        jwk.common.key_id = Some(id.to_owned());
        serde_json::to_value(jwk).expect("JSON")
    }

    /// A token with these claims, `kid` set when given.
    pub(crate) fn sign(&self, claims: &Value, id: Option<&str>) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = id.map(str::to_owned);
        encode(&header, claims, &self.private).expect("a token")
    }
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}
