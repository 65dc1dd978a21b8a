//! Who is counted under a policy, who is not, and who has other limits.

use crate::config::fault::hint;
use crate::config::reader::{Reader, Taken};
use crate::config::tree::Kind;
use crate::config::windows::windows;
use crate::limit::{Bypass, Override, Per, Subject, Windows};
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;

const PER_WORDS: &[&str] = &["user", "api_key", "ip", "tenant", "global", "user+ip", "header:NAME"];

/// Whom a policy counts.
pub(super) fn identities(reader: &mut Reader<'_>, taken: &Taken) -> Vec<Per> {
    let items = reader.list(taken);
    let mut per = Vec::new();
    for item in &items {
        let Some(text) = reader.name(item) else { continue };
        let one = match &*text {
            "user" => Per::User,
            "api_key" => Per::ApiKey,
            "ip" => Per::Ip,
            "tenant" => Per::Tenant,
            "global" => Per::Global,
            other => {
                let field =
                    other.strip_prefix("header:").and_then(|name| http::HeaderName::try_from(name).ok());
                let field = field.map(|name| Per::Header(name.as_str().into()));
                match field.or_else(|| Per::parse_together(other)) {
                    Some(per) => per,
                    None => {
                        let says = format!("`{other}` names nobody who can be counted");
                        reader.fault(item.node.at, &item.path, says, hint(other, PER_WORDS));
                        continue;
                    }
                }
            }
        };
        if per.contains(&one) {
            reader.fault(
                item.node.at,
                &item.path,
                format!("`{text}` stands here twice"),
                "remove one of the two",
            );
        }
        per.push(one);
    }
    per
}

/// Who is exempt: addresses, networks and verified identities.
pub(super) fn bypass(reader: &mut Reader<'_>, taken: &Taken) -> Bypass {
    let mut bypass = Bypass::default();
    for item in reader.list(taken) {
        let Some(text) = reader.name(&item) else { continue };
        let address = text.strip_prefix("ip:").unwrap_or(&text);
        if let Ok(network) = address.parse::<IpNet>().or_else(|_| address.parse::<IpAddr>().map(IpNet::from))
        {
            bypass.networks.push(network);
            continue;
        }
        match Subject::parse(&text) {
            Some(subject) if matches!(subject.per, Per::User | Per::ApiKey | Per::Tenant) => {
                bypass.subjects.push(subject);
            }
            _ => {
                let remedy = "write a network such as 10.0.0.0/8, or `user:ID`, `api_key:NAME`, `tenant:ID`";
                reader.fault(
                    item.node.at,
                    &item.path,
                    format!("`{text}` names nobody who can be exempt"),
                    remedy,
                );
            }
        }
    }
    bypass
}

/// What single identities have instead: windows, or `none`. `per` and `base` are the policy's.
pub(super) fn overrides(
    reader: &mut Reader<'_>,
    taken: &Taken,
    per: &[Per],
    base: &Windows,
) -> HashMap<Subject, Override> {
    let mut section = reader.section(&taken.node, &taken.path);
    let mut overrides = HashMap::new();
    for (key, value) in section.take_all() {
        let counted = |subject: &Subject| subject.per == Per::Ip || per.contains(&subject.per);
        let Some(subject) = Subject::parse(&key.name).filter(counted) else {
            let kinds: Vec<String> = per.iter().map(Per::to_string).collect();
            let says = format!("`{}` is nobody whom this policy counts", key.name);
            let remedy = format!("write KIND:VALUE, with a kind of {}", kinds.join(", "));
            reader.fault(key.at, &value.path, says, remedy);
            continue;
        };
        if matches!(&value.node.kind, Kind::Scalar(text) if text == "none") {
            overrides.insert(subject, Override::Unlimited);
            continue;
        }
        let Some(own) = windows(reader, &value) else { continue };
        if let Err(fault) = own.over(base) {
            reader.fault(value.node.at, &value.path, fault.to_string(), "use fewer windows");
        }
        overrides.insert(subject, Override::Windows(own));
    }
    overrides
}
