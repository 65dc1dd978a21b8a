//! Names in the certificates of clients: ASN.1 of whoever got one signed.

use super::Target;
use tidegate::identity::CertificateNames;

pub(crate) const TARGET: Target = Target {
    name: "certificate",
    holds,
    words: &["\u{30}", "\u{0c}", "\u{16}", "\u{1e}", "\u{7f}", "\u{0}", "ada"],
    seeds: &[],
};

fn holds(input: &[u8]) {
    let names = CertificateNames::read(input);
    assert_eq!(CertificateNames::read(input), names);
    if names == CertificateNames::default() {
        return;
    }
    // What stands behind a certificate makes it none.
    let longer = [input, b"\0"].concat();
    assert_eq!(CertificateNames::read(&longer), CertificateNames::default());
}
