//! Who asks: by the verified bearer token, and by nothing else.

use crate::companion::service::ServiceState;
use crate::companion::service::around::Noted;
use crate::companion::service::refusal::Refusal;
use crate::identity::VerifiedToken;
use axum::extract::FromRequestParts;
use http::request::Parts;

/// Somebody who may see a tenant's figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The subject of the token.
    pub user: String,
    /// The organisation of the token.
    pub tenant: String,
    /// Its roles.
    pub roles: Vec<String>,
}

/// Somebody who may export them too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exporter(pub Principal);

impl FromRequestParts<ServiceState> for Principal {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &ServiceState) -> Result<Self, Refusal> {
        let settings = &state.settings;
        let principal = principal(parts, state)?;
        if !principal.is_one_of(&settings.readers) && !principal.is_one_of(&settings.exporters) {
            return Err(Refusal::forbidden("its role may not see the dashboard"));
        }
        Ok(principal)
    }
}

impl FromRequestParts<ServiceState> for Exporter {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &ServiceState) -> Result<Self, Refusal> {
        let principal = principal(parts, state)?;
        if !principal.is_one_of(&state.settings.exporters) {
            return Err(Refusal::forbidden("its role may not export"));
        }
        Ok(Self(principal))
    }
}

impl Principal {
    /// Has it one of these roles?
    #[must_use]
    pub fn is_one_of(&self, roles: &[String]) -> bool {
        self.roles.iter().any(|role| roles.contains(role))
    }
}

fn principal(parts: &Parts, state: &ServiceState) -> Result<Principal, Refusal> {
    let none = || Refusal::unauthorized("send `Authorization: Bearer` with a token");
    let token = state.identifier.bearer(&parts.headers).ok_or_else(none)?;
    let now_s = state.clock.wall_ms() / 1_000;
    let verified = state.identifier.verify(token, now_s);
    let verified = verified.map_err(|fault| Refusal::invalid_token(fault.to_string()))?;
    let roles = roles(&verified);
    let (Some(user), Some(tenant)) = (verified.user, verified.tenant) else {
        return Err(Refusal::forbidden("it names no user or no organisation"));
    };
    let principal = Principal { user: user.to_string(), tenant: tenant.to_string(), roles };
    if let Some(noted) = parts.extensions.get::<Noted>() {
        noted.note(&principal);
    }
    Ok(principal)
}

/// One role, or a list of them, which the verifier hands on as JSON.
fn roles(token: &VerifiedToken) -> Vec<String> {
    let Some(text) = token.claims.get("role") else { return Vec::new() };
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(roles) => roles,
        Err(_) => vec![text.clone()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_be_one_or_a_list() {
        let of = |text: &str| {
            let claims = [("role".to_owned(), text.to_owned())].into();
            let token = VerifiedToken {
                user: None,
                tenant: None,
                tier: None,
                claims: std::sync::Arc::new(claims),
                expires_s: 0,
            };
            roles(&token)
        };
        assert_eq!(of("admin"), ["admin"]);
        assert_eq!(of(r#"["teacher","admin"]"#), ["teacher", "admin"]);
        assert_eq!(of(r#"[{"a":1}]"#), [r#"[{"a":1}]"#], "nothing that anybody could have configured");
    }
}
