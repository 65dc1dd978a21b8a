//! Signature algorithms by their registered names (RFC 7518 section 3.1, RFC 8037 section 3.1).

use std::fmt;
use std::str::FromStr;

/// The names of all algorithms that can be configured. `none` is not among them and never will be.
pub const ALGORITHM_NAMES: &[&str] = &[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
    "EdDSA",
];

/// A signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Algorithm(pub(super) jsonwebtoken::Algorithm);

/// A name that is no algorithm of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a signature algorithm; write one of {}", ALGORITHM_NAMES.join(", "))]
pub struct AlgorithmFault {
    name: String,
}

impl FromStr for Algorithm {
    type Err = AlgorithmFault;

    fn from_str(name: &str) -> Result<Self, AlgorithmFault> {
        match name.parse() {
            Ok(algorithm) if ALGORITHM_NAMES.contains(&name) => Ok(Self(algorithm)),
            _ => Err(AlgorithmFault { name: name.to_owned() }),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
