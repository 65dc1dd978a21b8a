//! Known API keys, by the SHA-256 of the key: neither the file nor a core dump gives a key away.
//!
//! A key is looked up by its digest. What the look-up's time could betray is a digest's prefix, from which no key
//! follows, so no comparison over the key itself has to be constant in time.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::claims::is_plain_fact;

/// One entry of the key file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// SHA-256 of the key, 64 hexadecimal digits.
    pub sha256: String,
    /// What the key is called in limits, logs and metrics. Several keys may share a name (rotation), and its budget
    /// with it.
    pub name: String,
    /// The organisation that owns it.
    pub tenant: Option<String>,
    /// Its service tier.
    pub tier: Option<String>,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownKey {
    pub(super) name: Arc<str>,
    pub(super) tenant: Option<Arc<str>>,
    pub(super) tier: Option<Arc<str>>,
}

/// The known keys.
#[derive(Clone, Default)]
pub struct ApiKeys {
    by_digest: HashMap<[u8; 32], KnownKey>,
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({})", self.by_digest.len())
    }
}

/// What is wrong with the list of keys; entries are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyFault {
    /// `sha256` is not 64 hexadecimal digits.
    #[error(
        "entry {index}: `sha256` must be 64 hexadecimal digits, as `printf %s KEY | sha256sum` prints them"
    )]
    Digest {
        /// Which entry.
        index: usize,
    },
    /// A name, tenant or tier that cannot stand in a header field.
    #[error("entry {index}: `{field}` must be 1 to 256 bytes without control characters and outer spaces")]
    Text {
        /// Which entry.
        index: usize,
        /// Which of its fields.
        field: &'static str,
    },
    /// Two entries for one key.
    #[error("entry {index}: the same key as entry {first}")]
    Duplicate {
        /// Which entry.
        index: usize,
        /// The earlier one.
        first: usize,
    },
    /// Two tenants' keys of one name would share a budget.
    #[error(
        "entry {index}: `{name}` already names a key of another tenant (entry {first}); names belong to one tenant"
    )]
    SharedName {
        /// Which entry.
        index: usize,
        /// The earlier one.
        first: usize,
        /// The name.
        name: String,
    },
}

impl ApiKeyFault {
    /// Which entry is wrong, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        match self {
            Self::Digest { index }
            | Self::Text { index, .. }
            | Self::Duplicate { index, .. }
            | Self::SharedName { index, .. } => *index,
        }
    }
}

impl ApiKeys {
    /// Checks the records. Empty tenants and tiers count as absent.
    ///
    /// # Errors
    /// [`ApiKeyFault`] names the first entry that is wrong.
    pub fn new(records: Vec<ApiKeyRecord>) -> Result<Self, ApiKeyFault> {
        let mut by_digest = HashMap::with_capacity(records.len());
        let mut digests: HashMap<[u8; 32], usize> = HashMap::new();
        let mut tenants: HashMap<String, (usize, Option<String>)> = HashMap::new();
        for (index, record) in records.into_iter().enumerate() {
            let digest = hex_digest(&record.sha256).ok_or(ApiKeyFault::Digest { index })?;
            let record = ApiKeyRecord {
                tenant: record.tenant.filter(|text| !text.is_empty()),
                tier: record.tier.filter(|text| !text.is_empty()),
                ..record
            };
            check_texts(index, &record)?;
            if let Some(first) = digests.insert(digest, index) {
                return Err(ApiKeyFault::Duplicate { index, first });
            }
            let (first, owner) = tenants.entry(record.name.clone()).or_insert((index, record.tenant.clone()));
            if *owner != record.tenant {
                return Err(ApiKeyFault::SharedName { index, first: *first, name: record.name });
            }
            let known = KnownKey {
                name: Arc::from(record.name),
                tenant: record.tenant.map(Arc::from),
                tier: record.tier.map(Arc::from),
            };
            by_digest.insert(digest, known);
        }
        Ok(Self { by_digest })
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_digest.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_digest.is_empty()
    }

    pub(super) fn known(&self, key: &[u8]) -> Option<&KnownKey> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        self.by_digest.get(&digest)
    }
}

fn check_texts(index: usize, record: &ApiKeyRecord) -> Result<(), ApiKeyFault> {
    let texts = [
        ("name", Some(record.name.as_str())),
        ("tenant", record.tenant.as_deref()),
        ("tier", record.tier.as_deref()),
    ];
    match texts.into_iter().find(|(_, text)| text.is_some_and(|text| !is_plain_fact(text))) {
        Some((field, _)) => Err(ApiKeyFault::Text { index, field }),
        None => Ok(()),
    }
}

fn hex_digest(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        })
        .collect::<Option<_>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two digests.
    const A: &str = "cb0321631cc8cb20187205fc1b4f7a0db77014eac05d14b7f5ff11cd48fbfb8b";
    const B: &str = "51B3E4C6BFB4C6E8CBD2C6CAB1A9C9A4B04D5A4FB3FE9A0B9E5A6B9A7F4A2C11";

    fn record(sha256: &str, name: &str, tenant: Option<&str>) -> ApiKeyRecord {
        ApiKeyRecord {
            sha256: sha256.to_owned(),
            name: name.to_owned(),
            tenant: tenant.map(str::to_owned),
            tier: None,
        }
    }

    fn digest_of(key: &str) -> String {
        Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_known_key_is_found_by_its_digest_in_either_case() {
        for sha256 in [digest_of("key-1"), digest_of("key-1").to_uppercase()] {
            let keys = ApiKeys::new(vec![record(&sha256, "batch", Some("acme"))]).expect("keys");
            let known = keys.known(b"key-1").expect("known");
            assert_eq!(
                (&*known.name, known.tenant.as_deref(), known.tier.as_deref()),
                ("batch", Some("acme"), None)
            );
            assert!(keys.known(b"key-2").is_none() && keys.known(b"").is_none());
        }
    }

    #[test]
    fn an_empty_tenant_is_no_tenant() {
        let keys = ApiKeys::new(vec![record(&digest_of("k"), "n", Some(""))]).expect("keys");
        assert_eq!(keys.known(b"k").expect("known").tenant, None);
        assert!(ApiKeys::default().is_empty());
    }

    #[test]
    fn refuses_entries_that_cannot_be_meant() {
        let fault = |records: Vec<ApiKeyRecord>| ApiKeys::new(records).expect_err("fault");
        assert_eq!(fault(vec![record("abc", "n", None)]), ApiKeyFault::Digest { index: 0 });
        assert_eq!(fault(vec![record(&"g".repeat(64), "n", None)]), ApiKeyFault::Digest { index: 0 });
        assert_eq!(fault(vec![record(A, "", None)]), ApiKeyFault::Text { index: 0, field: "name" });
        assert_eq!(
            fault(vec![record(A, "n", Some("a\nb"))]),
            ApiKeyFault::Text { index: 0, field: "tenant" }
        );
        let twice = fault(vec![record(A, "n", None), record(&A.to_uppercase(), "m", None)]);
        assert_eq!((twice.index(), twice), (1, ApiKeyFault::Duplicate { index: 1, first: 0 }));
        let shared = fault(vec![record(A, "n", Some("a")), record(B, "n", Some("b"))]);
        assert_eq!(shared, ApiKeyFault::SharedName { index: 1, first: 0, name: "n".to_owned() });
    }

    #[test]
    fn keys_of_one_name_and_tenant_may_overlap_for_rotation() {
        let keys = ApiKeys::new(vec![record(A, "n", Some("a")), record(B, "n", Some("a"))]).expect("keys");
        assert_eq!((keys.len(), format!("{keys:?}")), (2, "ApiKeys(2)".to_owned()));
    }
}
