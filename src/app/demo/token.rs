//! Signs the demo's tokens: HS256 JSON Web Tokens (RFC 7515, RFC 7518 section 3.2). The proxy only ever verifies.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::base::{Mac, Secret};

/// How long a demo token is valid, in seconds.
pub const LIFETIME_S: u64 = 86_400;

/// Who a token speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person<'a> {
    /// Claim `sub`.
    pub user: &'a str,
    /// Claim `organization_id`.
    pub tenant: &'a str,
    /// Claim `role`.
    pub role: &'a str,
}

/// A fresh signing key: 256 random bits in base64url, so that it can stand in YAML as it is.
#[must_use]
pub fn random_secret() -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// A token for `person`, valid from `now_s` (Unix seconds) for [`LIFETIME_S`].
#[must_use]
pub fn sign(person: Person<'_>, secret: &Secret, now_s: u64) -> String {
    let claims = json!({
        "sub": person.user,
        "organization_id": person.tenant,
        "role": person.role,
        "iat": now_s,
        "exp": now_s.saturating_add(LIFETIME_S),
    });
    sign_claims(&claims, secret.expose().as_bytes())
}

fn sign_claims(claims: &Value, key: &[u8]) -> String {
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "typ": "JWT"}).to_string());
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = Mac::new(key).chain(signed.as_bytes()).finish();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_rfc_7515_appendix_a_1_does() {
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .expect("the key of the RFC");
        let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signed = URL_SAFE_NO_PAD.encode(Mac::new(&key).chain(message.as_bytes()).finish());
        assert_eq!(signed, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    }

    #[test]
    fn no_two_starts_share_a_secret() {
        assert_ne!(random_secret().expose(), random_secret().expose());
    }
}
