//! Links to files: whoever has one may fetch the file until its time is over, without a token, as browsers follow links.
//!
//! HMAC-SHA256 (RFC 2104) over the export, its tenant and the end of the time. No tenant's link opens another's file.

use crate::base::Mac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Signs links and knows them again.
#[derive(Clone)]
pub(super) struct Links {
    key: Vec<u8>,
}

impl Links {
    /// With a key that all instances share, or else links of one are refused by the others.
    pub(super) fn new(key: Vec<u8>) -> Self {
        Self { key }
    }

    /// The query of a link that ends at `expires`, in seconds since 1970.
    pub(super) fn query(&self, id: &str, tenant: &str, expires: u64) -> String {
        let signature = URL_SAFE_NO_PAD.encode(self.mac(id, tenant, expires).finish());
        format!("exp={expires}&sig={signature}")
    }

    /// Was it signed here? In constant time. Whether its time is over is another question.
    pub(super) fn is_signed(&self, id: &str, tenant: &str, (expires, signature): (u64, &str)) -> bool {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        self.mac(id, tenant, expires).is(&signature)
    }

    fn mac(&self, id: &str, tenant: &str, expires: u64) -> Mac {
        // Neither an id nor a number holds a bar: the three parts never run into each other.
        Mac::new(&self.key).chain(format!("export|{id}|{tenant}|{expires}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_for_one_export_of_one_tenant_and_one_time() {
        let links = Links::new(b"secret".to_vec());
        let query = links.query("a", "acme", 100);
        let signature = query.strip_prefix("exp=100&sig=").expect("its form");
        assert!(links.is_signed("a", "acme", (100, signature)));
        assert!(!links.is_signed("b", "acme", (100, signature)));
        assert!(!links.is_signed("a", "other", (100, signature)));
        assert!(!links.is_signed("a", "acme", (101, signature)));
        assert!(!Links::new(b"another".to_vec()).is_signed("a", "acme", (100, signature)));
        for odd in ["", "x", "%%", &format!("{signature}A")] {
            assert!(!links.is_signed("a", "acme", (100, odd)), "{odd}");
        }
        assert!(!links.is_signed("a|acme", "1", (100, signature)));
    }
}
