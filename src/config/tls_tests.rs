//! Certificates of listeners and upstreams: what is accepted, what is refused and with which words, who gets which.

use crate::config::{Env, Faults, ListenTls, Loaded, Source, effective, load};
use crate::upstream::UpstreamTls;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
    KeyIdMethod, KeyPair, SerialNumber, date_time_ymd,
};
use rustls::SignatureScheme;
use std::fs;
use tempfile::TempDir;

/// A folder with a configuration and the files that it names.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("a folder of ours");
    }

    /// A self-signed pair `NAME.pem`, `NAME.key` with an EC key.
    fn pair(&self, name: &str, hosts: &[&str]) {
        self.pair_of(name, &params(hosts), &KeyPair::generate().expect("a key"));
    }

    fn pair_of(&self, name: &str, params: &CertificateParams, key: &KeyPair) {
        let certificate = params.self_signed(key).expect("a certificate");
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// Loads with this inside of `tls` of the only listener.
    fn listener(&self, tls: &str) -> Result<Loaded, Faults> {
        self.load(&format!("server: {{listen: [{{address: \"127.0.0.1:0\", tls: {{{tls}}}}}]}}"), "a:1")
    }

    fn load(&self, server: &str, upstream: &str) -> Result<Loaded, Faults> {
        let text = format!("upstreams: {{b: {upstream}}}\nroutes: [{{path: /}}]\n{server}\n");
        self.write("t.yaml", &text);
        load(&Source::File(self.0.path().join("t.yaml")), &Env::default(), 1)
    }

    /// `KEY: what it says` of every fault.
    fn refused(&self, tls: &str) -> Vec<String> {
        let faults = self.listener(tls).map(drop).expect_err("is refused").list;
        faults.iter().map(|fault| format!("{}: {}", fault.key, fault.says)).collect()
    }
}

fn params(hosts: &[&str]) -> CertificateParams {
    CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).expect("names")
}

fn rsa() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key")
}

fn tls(loaded: &Loaded) -> &ListenTls {
    loaded.snapshot.server.listen[0].tls.as_ref().expect("TLS")
}

fn upstream(loaded: &Loaded) -> &UpstreamTls {
    loaded.snapshot.upstreams[0].tls.as_ref().expect("TLS")
}

/// An authority, and a list of what it has revoked.
fn authority() -> (Certificate, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = params(&[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).expect("a certificate");
    let issuer = Issuer::new(params, key);
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2099, 1, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    (certificate, list.signed_by(&issuer).expect("a list").pem().expect("PEM"))
}

#[test]
fn a_pair_is_read_with_its_names_and_its_end() {
    let folder = Folder::new();
    let mut params = params(&["Api.example", "*.example", "api.example"]);
    params.not_after = date_time_ymd(2099, 7, 1);
    folder.pair_of("a", &params, &KeyPair::generate().expect("a key"));
    let loaded = folder.listener("certificate: a.pem, key: a.key").expect("is valid");
    let certificate = &tls(&loaded).certificates[0];
    assert_eq!(certificate.names, ["api.example", "*.example"]);
    assert_eq!(
        (certificate.expires_on().as_str(), certificate.title().as_str()),
        ("2099-07-01", "api.example")
    );
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert_eq!(loaded.files.len(), 2, "both are looked at again");
    assert_eq!(tls(&loaded).server_config().alpn_protocols, [b"http/1.1"]);
}

#[test]
fn what_does_not_do_as_a_pair_is_a_fault_where_it_stands() {
    let folder = Folder::new();
    folder.pair("a", &["a.example"]);
    folder.pair("b", &["b.example"]);
    folder.write("empty", "nothing here\n");
    let whole = fs::read_to_string(folder.0.path().join("a.pem")).expect("ours");
    folder.write("half.pem", whole.get(..whole.len() / 2).expect("ASCII"));
    folder.write("odd.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    folder.write(
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let expected = [
        ("certificate: a.pem, key: b.key", "tls.key: the key belongs to another certificate"),
        ("certificate: empty, key: a.key", "tls.certificate: there is no certificate in the file"),
        ("certificate: a.pem, key: empty", "tls.key: there is no private key in the file"),
        ("certificate: a.pem, key: a.pem", "tls.key: there is no private key in the file"),
        ("certificate: a.pem, key: locked.key", "tls.key: the key is encrypted"),
        ("certificate: half.pem, key: a.key", "tls.certificate: the file is damaged"),
        ("certificate: odd.pem, key: a.key", "tls.certificate: a certificate in it cannot be read"),
        (
            "certificate: a.pem, key: a.key, client_ca: empty",
            "tls.client_ca: there is no certificate in the file",
        ),
        ("certificate: a.pem, key: a.key, client: request", "tls.client: without `client_ca`"),
        (
            "certificate: a.pem, key: a.key, client_ca: a.pem, client_crl: [empty]",
            "tls.client_crl[0]: there is no revocation list",
        ),
    ];
    for (text, says) in expected {
        let refused = folder.refused(text);
        assert!(refused.len() == 1 && refused[0].contains(says), "{text}: {refused:?}");
    }
    let both =
        folder.refused("certificate: empty, key: empty, certificates: [{certificate: a.pem, key: b.key}]");
    assert_eq!(both.len(), 3, "all faults at once: {both:?}");
}

#[test]
fn a_refused_configuration_still_says_which_files_it_looked_at() {
    let folder = Folder::new();
    folder.pair("a", &["a.example"]);
    let faults = folder.listener("certificate: a.pem, key: nowhere.key").map(drop).expect_err("no key");
    assert_eq!(faults.files.len(), 2);
    folder.write("nowhere.key", "now it is here");
    assert!(faults.files.iter().any(|seen| seen.again() != *seen), "its coming is a change");
}

#[test]
fn a_certificate_out_of_its_time_is_used_with_a_warning_that_names_the_day() {
    let folder = Folder::new();
    for (name, from, to) in [("old", 2001, 2002), ("new", 2098, 2099)] {
        let mut params = params(&["a.example"]);
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 2));
        folder.pair_of(name, &params, &KeyPair::generate().expect("a key"));
        let warnings =
            folder.listener(&format!("certificate: {name}.pem, key: {name}.key")).expect("is valid").warnings;
        let says = if name == "old" { "expired on 2002-01-02" } else { "valid from 2098-01-01 only" };
        assert!(warnings.len() == 1 && warnings[0].contains(says), "{warnings:?}");
    }
}

#[test]
fn a_client_gets_the_certificate_for_its_name_and_its_schemes() {
    let folder = Folder::new();
    folder.pair("default", &["default.example"]);
    folder.pair("exact", &["api.example", "10.0.0.1"]);
    folder.pair("wild", &["*.example", "example"]);
    folder.pair_of("rsa", &params(&["api.example"]), &rsa());
    let text = "certificate: default.pem, key: default.key, certificates: [\
        {certificate: rsa.pem, key: rsa.key}, {certificate: wild.pem, key: wild.key}, {certificate: exact.pem, key: exact.key}]";
    let loaded = folder.listener(text).expect("is valid");
    let certificates = &tls(&loaded).certificates;
    let resolver = super::sni::Certificates::new(certificates).expect("no name twice");
    let (ec, rsa) = (SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256);
    let got = |name: Option<&str>, schemes: &[SignatureScheme]| {
        let found = resolver.find(name, schemes).expect("there is always one");
        let of = certificates.iter().find(|other| other.certified.cert == found.cert).expect("one of them");
        of.file.file_stem().expect("a name").to_string_lossy().into_owned()
    };
    let expected = [
        (Some("api.example"), "exact"),
        (Some("API.Example."), "exact"),
        (Some("other.example"), "wild"),
        (Some("example"), "wild"),
        (Some("a.b.example"), "default"),
        (Some("elsewhere.test"), "default"),
        (None, "default"),
    ];
    for (name, stem) in expected {
        assert_eq!(got(name, &[ec, rsa]), stem, "{name:?}");
    }
    assert_eq!(got(Some("api.example"), &[rsa]), "rsa");
    assert_eq!(got(Some("other.example"), &[rsa]), "wild", "the name decides before the scheme");
}

#[test]
fn a_name_has_one_certificate_for_each_kind_of_key() {
    let folder = Folder::new();
    folder.pair("a", &["a.example"]);
    folder.pair("b", &["b.example", "A.example"]);
    folder.pair("ip", &["10.0.0.1"]);
    let with = |name: &str| {
        folder.refused(&format!(
            "certificate: a.pem, key: a.key, certificates: {{certificate: {name}.pem, key: {name}.key}}"
        ))
    };
    let says = "server.listen[0].tls.certificates: there is another certificate for a.example with the same kind of key";
    assert_eq!(with("b"), [says]);
    assert!(with("ip")[0].contains("the certificate names no host"), "{:?}", with("ip"));
}

#[test]
fn listeners_are_equal_as_long_as_their_files_are_and_never_show_a_key() {
    let folder = Folder::new();
    folder.pair("a", &["a.example"]);
    let (authority, list) = authority();
    folder.write("ca.pem", &authority.pem());
    folder.write("crl.pem", &list);
    let text = "certificate: a.pem, key: a.key, client_ca: ca.pem, client_crl: crl.pem";
    let load = || folder.listener(text).expect("is valid");
    let first = load();
    assert_eq!(tls(&first), tls(&load()));
    folder.pair("a", &["a.example"]);
    assert_ne!(tls(&first), tls(&load()), "a renewed pair");
    let second = load();
    folder.write("crl.pem", &self::authority().1);
    assert_ne!(tls(&second), tls(&load()), "another list");
    let requested = folder.listener(&format!("{text}, client: request")).expect("is valid");
    assert_ne!(tls(&requested), tls(&load()));
    let shown = format!("{:?} {}", tls(&requested), effective(&requested.snapshot));
    let key = fs::read_to_string(folder.0.path().join("a.key")).expect("ours");
    assert!(shown.contains("a.example") && shown.contains("\"client\":\"request\""), "{shown}");
    for line in key.lines() {
        assert!(!shown.contains(line), "{shown}");
    }
}

#[test]
fn sessions_are_resumed_only_where_no_client_shows_a_certificate() {
    let folder = Folder::new();
    folder.pair("a", &["a.example"]);
    folder.write("ca.pem", &authority().0.pem());
    let open = folder.listener("certificate: a.pem, key: a.key").expect("is valid");
    let closed = folder.listener("certificate: a.pem, key: a.key, client_ca: ca.pem").expect("is valid");
    let (open, closed) = (tls(&open).server_config(), tls(&closed).server_config());
    assert!(open.ticketer.enabled() && open.send_tls13_tickets > 0);
    assert!(!closed.ticketer.enabled() && closed.send_tls13_tickets == 0);
    assert!(!open.session_storage.can_cache() && !closed.session_storage.can_cache());
    assert_eq!((open.max_early_data_size, closed.max_early_data_size), (0, 0));
}

#[test]
fn tls_to_servers_is_read_with_the_contents_of_its_files() {
    let folder = Folder::new();
    folder.pair("a", &["client"]);
    folder.write("ca.pem", &authority().0.pem());
    let text = "{servers: [\"h:1\"], tls: {server_name: s.example, ca_file: ca.pem, certificate: a.pem, key: a.key}}";
    let load = || folder.load("", text).expect("is valid");
    let first = load();
    let settings = upstream(&first);
    assert!(settings.verify && settings.server_name.as_deref() == Some("s.example"));
    assert_eq!(settings, upstream(&load()));
    assert_eq!(first.files.len(), 3);
    folder.write("ca.pem", &authority().0.pem());
    assert_ne!(settings, upstream(&load()), "a renewed authority makes connections anew");
    let plain = folder.load("", "{servers: [\"h:1\"], tls: true}").expect("is valid");
    assert_eq!(*upstream(&plain), UpstreamTls::default());
}

#[test]
fn an_unverified_server_is_a_warning_nobody_overlooks() {
    let folder = Folder::new();
    folder.write("ca.pem", &authority().0.pem());
    let loaded =
        folder.load("", "{servers: [\"h:1\"], tls: {verify: false, ca_file: ca.pem}}").expect("is valid");
    assert!(!upstream(&loaded).verify);
    assert_eq!(loaded.warnings.len(), 2, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].contains("NOT VERIFIED"), "{:?}", loaded.warnings);
}

#[test]
fn what_does_not_do_towards_servers_is_a_fault() {
    let folder = Folder::new();
    folder.pair("a", &["client"]);
    folder.write("empty", "");
    for (tls, key) in [
        ("ca_file: empty", "ca_file"),
        ("certificate: a.pem", "tls"),
        ("key: a.key", "tls"),
        ("server_name: \"a b\"", "server_name"),
        ("verify: no", "verify"),
    ] {
        let faults = folder
            .load("", &format!("{{servers: [\"h:1\"], tls: {{{tls}}}}}"))
            .map(drop)
            .expect_err(tls)
            .list;
        assert!(faults.len() == 1 && faults[0].key.ends_with(key), "{tls}: {faults:?}");
    }
}

#[test]
fn certificates_as_identity_need_a_listener_that_asks_for_them() {
    let folder = Folder::new();
    folder.pair("a", &["a.example"]);
    folder.write("ca.pem", &authority().0.pem());
    let identity = "identity: {client_certificate: {user: uri, user_prefix: \"spiffe://example.org/\", tenant: organization}}";
    let with = |ca: &str| {
        let server = format!(
            "server: {{listen: {{address: \"127.0.0.1:0\", tls: {{certificate: a.pem, key: a.key{ca}}}}}}}"
        );
        folder.load(&format!("{server}\n{identity}"), "a:1").expect("is valid")
    };
    assert!(with("").warnings[0].contains("no listener asks for client certificates"));
    let loaded = with(", client_ca: ca.pem");
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let shown = effective(&loaded.snapshot)["identity"]["client_certificate"].clone();
    assert_eq!((&shown["user"], &shown["user_prefix"]), (&"uri".into(), &"spiffe://example.org/".into()));
    let wrong = "identity: {client_certificate: {user: name, tenant_prefix: a}}";
    let faults = folder.load(wrong, "a:1").map(drop).expect_err("both").list;
    assert_eq!(faults.len(), 2, "{faults:?}");
}

/// The YAML blocks of the page, each made whole, with the files that they name.
#[test]
fn every_configuration_that_the_page_about_tls_shows_is_valid() {
    let folder = Folder::new();
    fs::create_dir(folder.0.path().join("tls")).expect("a folder");
    for pair in ["default", "api", "wildcard", "gate"] {
        folder.pair(&format!("tls/{pair}"), &[&format!("{pair}.example")]);
    }
    folder.pair("tls/tls", &["a.example"]);
    for (from, to) in [("tls.pem", "chain.pem"), ("tls.key", "key.pem"), ("tls.pem", "tls.crt")] {
        let dir = folder.0.path().join("tls");
        fs::copy(dir.join(from), dir.join(to)).expect("ours");
    }
    let (authority, list) = authority();
    for (name, text) in
        [("clients-ca", &authority.pem()), ("internal-ca", &authority.pem()), ("revoked", &list)]
    {
        folder.write(&format!("tls/{name}.pem"), text);
    }
    let page = include_str!("../../docs/tls.md").replace("/etc/tidegate-tls/", "tls/");
    let blocks: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 5);
    for block in blocks {
        let more = if block.contains("upstreams:") { "" } else { "upstreams: {b: \"a:1\"}\n" };
        folder.write("t.yaml", &format!("{block}{more}routes: [{{path: /}}]\n"));
        let loaded = load(&Source::File(folder.0.path().join("t.yaml")), &Env::default(), 1);
        let loaded = loaded.unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(loaded.warnings, Vec::<String>::new(), "{block}");
    }
}
