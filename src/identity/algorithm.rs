//! Signature algorithms by their registered names (RFC 7518 section 3.1, RFC 8037 section 3.1).

use std::fmt;
use std::str::FromStr;

use jsonwebtoken::AlgorithmFamily;

/// The names of all algorithms that can be configured. `none` is not among them and never will be (RFC 8725
/// section 3.2).
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

impl Algorithm {
    /// Does it sign with a secret that both sides share?
    #[must_use]
    pub fn is_symmetric(self) -> bool {
        self.0.family() == AlgorithmFamily::Hmac
    }

    /// The least key size in bytes that is as strong as the algorithm (RFC 7518 section 3.2); 0 when the algorithm
    /// takes no secret.
    #[must_use]
    pub fn secret_bytes_min(self) -> usize {
        match self.0 {
            jsonwebtoken::Algorithm::HS256 => 32,
            jsonwebtoken::Algorithm::HS384 => 48,
            jsonwebtoken::Algorithm::HS512 => 64,
            _ => 0,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for name in ALGORITHM_NAMES {
            assert_eq!(name.parse::<Algorithm>().expect("known").to_string(), *name);
        }
    }

    #[test]
    fn none_and_its_spellings_are_no_algorithm() {
        for name in ["none", "None", "NONE", "", "hs256", "ES512", "RSA1_5"] {
            assert!(name.parse::<Algorithm>().is_err(), "{name}");
        }
        let says = "none".parse::<Algorithm>().expect_err("fault").to_string();
        assert!(says.starts_with("`none` is not a signature algorithm; write one of HS256, "), "{says}");
    }
}
