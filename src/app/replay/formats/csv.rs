//! CSV with a row of names: which column means what is told by `--columns` or by customary names. A record is one line.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use crate::app::replay::entry::{Entry, Skip, known};
use crate::app::replay::lines::LINE_BYTES_MAX;
use crate::app::replay::time::parse_us;

/// More columns are not read.
const COLUMNS_MAX: usize = 512;

/// A fact that a column can tell: its name on the command line, and the columns that customarily tell it.
const FACTS: [(&str, &[&str]); FACT_COUNT] = [
    (
        "time",
        &["time", "timestamp", "ts", "@timestamp", "date", "datetime", "time_iso8601", "time_local", "msec"],
    ),
    ("method", &["method", "verb", "request_method", "http_method"]),
    ("path", &["path", "url", "uri", "request_uri", "target", "http_path"]),
    ("ip", &["ip", "client", "client_ip", "clientip", "remote_addr", "remote_ip", "address"]),
    ("user", &["user", "user_id", "remote_user", "uid"]),
    ("tenant", &["tenant", "tenant_id", "organization", "organization_id", "org", "org_id"]),
    ("api_key", &["api_key", "key_name"]),
    ("status", &["status", "status_code", "code", "http_status"]),
    ("tier", &["tier", "plan"]),
    ("host", &["host", "http_host", "authority"]),
    ("cache", &["cache", "cache_status", "upstream_cache_status"]),
    ("duration", &["duration", "request_time"]),
];
const FACT_COUNT: usize = 12;

// The places of the facts in the table above.
const TIME: usize = 0;
const METHOD: usize = 1;
const PATH: usize = 2;
const IP: usize = 3;
const USER: usize = 4;
const TENANT: usize = 5;
const API_KEY: usize = 6;
const STATUS: usize = 7;
const TIER: usize = 8;
const HOST: usize = 9;
const CACHE: usize = 10;
const DURATION: usize = 11;

/// One `fact=column` of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnChoice {
    fact: usize,
    column: String,
}

impl FromStr for ColumnChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let facts = || FACTS.map(|(name, _)| name).join(", ");
        let (name, column) =
            text.split_once('=').ok_or_else(|| format!("write FACT=COLUMN; facts are {}", facts()))?;
        let fact = FACTS.iter().position(|(known, _)| *known == name.trim());
        let fact = fact.ok_or_else(|| format!("`{name}` is none of {}", facts()))?;
        Ok(Self { fact, column: column.trim().to_owned() })
    }
}

/// Why a first line is no row of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// No column tells a fact that every request has.
    #[error("no column tells the {0}; name it with --columns {0}=COLUMN (there are {1})")]
    Missing(&'static str, String),
    /// A column that was asked for is not there.
    #[error("there is no column `{0}`; there are {1}")]
    Unknown(String, String),
    /// It cannot be read at all.
    #[error("the first line is no row of column names")]
    NotCsv,
}

/// Reads the lines below a row of names.
pub struct Csv {
    reader: Reader,
    columns: [Option<usize>; FACT_COUNT],
    width: usize,
    output: Vec<u8>,
    ends: Vec<usize>,
}

impl fmt::Debug for Csv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Csv").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Csv {
    /// Takes the names from the first line. Comma, semicolon or tabulator separates, whichever is there most.
    ///
    /// # Errors
    /// [`HeaderFault`] when time, path or sender have no column, or a chosen column is not there.
    pub fn new(header: &[u8], chosen: &[ColumnChoice]) -> Result<Self, HeaderFault> {
        let header = header.strip_prefix("\u{feff}".as_bytes()).unwrap_or(header);
        let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
        let separator =
            [b'\t', b';', b','].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',');
        let reader = ReaderBuilder::new().delimiter(separator).build();
        let (output, ends) = (vec![0; LINE_BYTES_MAX], vec![0; COLUMNS_MAX]);
        let mut csv = Self { reader, columns: [None; FACT_COUNT], width: 0, output, ends };
        csv.width = csv.split(header).ok_or(HeaderFault::NotCsv)?;
        let fields = (0..csv.width).map(|column| csv.field(column).map(str::trim).map(str::to_owned));
        let names: Vec<String> = fields.collect::<Option<_>>().ok_or(HeaderFault::NotCsv)?;
        csv.columns = columns(&names, chosen)?;
        Ok(csv)
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`Skip`].
    pub fn read(&mut self, line: &[u8]) -> Result<Entry<'_>, Skip> {
        if line.trim_ascii().is_empty() {
            return Err(Skip::Other);
        }
        let fields = self.split(line).ok_or(Skip::Unreadable("it has too many columns"))?;
        if fields != self.width {
            return Err(Skip::Unreadable("it has not as many columns as the first line"));
        }
        let of =
            |fact: usize| self.columns.get(fact).copied().flatten().and_then(|column| self.field(column));
        let said = |fact| of(fact).and_then(known);
        let text = |fact| Cow::Borrowed(said(fact).unwrap_or_default());
        let time = of(TIME).and_then(|time| parse_us(time.trim_matches(['[', ']']).as_bytes()));
        let status = said(STATUS).map_or(Some(0), |status| status.parse().ok());
        let status = status.ok_or(Skip::Unreadable("its status is no number"))?;
        let cache = said(CACHE).unwrap_or_default();
        Ok(Entry {
            start_us: time.ok_or(Skip::Unreadable("its time cannot be read"))?,
            took_us: said(DURATION).and_then(seconds_us).unwrap_or(0),
            method: Cow::Borrowed(said(METHOD).unwrap_or("GET")),
            host: said(HOST).unwrap_or_default().to_ascii_lowercase().into(),
            target: said(PATH).map(Cow::Borrowed).ok_or(Skip::Unreadable("it has no path"))?,
            client: text(IP),
            user: said(USER).map(Cow::Borrowed),
            tenant: said(TENANT).map(Cow::Borrowed),
            api_key: said(API_KEY).map(Cow::Borrowed),
            tier: said(TIER).map(Cow::Borrowed),
            status,
            is_from_cache: ["hit", "stale"].iter().any(|word| cache.eq_ignore_ascii_case(word)),
            is_denied: status == 429,
        })
    }

    /// Takes a line apart, into `output` and `ends`. `None` when it has too many fields.
    fn split(&mut self, line: &[u8]) -> Option<usize> {
        self.reader.reset();
        let (mut read, mut written, mut fields) = (0, 0, 0);
        loop {
            let (result, from, to, ended) = self.reader.read_record(
                line.get(read..).unwrap_or_default(),
                self.output.get_mut(written..)?,
                self.ends.get_mut(fields..)?,
            );
            (read, written, fields) = (read + from, written + to, fields + ended);
            match result {
                // All of the line is read and the next call says so.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record | ReadRecordResult::End => return Some(fields),
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => return None,
            }
        }
    }

    fn field(&self, column: usize) -> Option<&str> {
        let before = column.checked_sub(1);
        let from = before.map_or(Some(0), |before| self.ends.get(before).copied())?;
        str::from_utf8(self.output.get(from..*self.ends.get(column)?)?).ok()
    }
}

fn columns(names: &[String], chosen: &[ColumnChoice]) -> Result<[Option<usize>; FACT_COUNT], HeaderFault> {
    let listed = || names.join(", ");
    let position = |wanted: &str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
    let mut columns = FACTS.map(|(_, customary)| customary.iter().find_map(|wanted| position(wanted)));
    for choice in chosen {
        let column =
            position(&choice.column).ok_or_else(|| HeaderFault::Unknown(choice.column.clone(), listed()))?;
        if let Some(slot) = columns.get_mut(choice.fact) {
            *slot = Some(column);
        }
    }
    let has = |fact: usize| columns.get(fact).copied().flatten().is_some();
    for (fact, name) in [(TIME, "time"), (PATH, "path")] {
        if !has(fact) {
            return Err(HeaderFault::Missing(name, listed()));
        }
    }
    if ![IP, USER, TENANT, API_KEY].into_iter().any(has) {
        return Err(HeaderFault::Missing("ip", listed()));
    }
    Ok(columns)
}

/// Seconds with an optional fraction, as microseconds.
fn seconds_us(text: &str) -> Option<u64> {
    let seconds = text.parse::<f64>().ok()?;
    u64::try_from(Duration::try_from_secs_f64(seconds).ok()?.as_micros()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chosen(text: &str) -> Vec<ColumnChoice> {
        text.split(',').filter(|word| !word.is_empty()).map(|word| word.parse().expect("a choice")).collect()
    }

    fn csv(header: &str, columns: &str) -> Result<Csv, HeaderFault> {
        Csv::new(header.as_bytes(), &chosen(columns))
    }

    #[test]
    fn columns_are_found_by_the_map_and_by_customary_names() {
        let mut csv = csv(
            "ts,verb,url,client,uid,org,key,code,plan,vhost",
            "time=ts,method=verb,path=url,ip=client,user=uid,tenant=org,api_key=key,status=code,tier=plan,host=vhost",
        )
        .expect("a header");
        let line = b"1782907200.5,POST,\"/a,\"\"b\"\"?c\",192.0.2.7,ada,acme,billing,429,pro,API.Example";
        let entry = csv.read(line).expect("a request");
        assert_eq!(
            (entry.start_us, &*entry.method, &*entry.target),
            (1_782_907_200_500_000, "POST", "/a,\"b\"?c")
        );
        assert_eq!(
            (entry.user.as_deref(), entry.tenant.as_deref(), entry.api_key.as_deref()),
            (Some("ada"), Some("acme"), Some("billing"))
        );
        assert_eq!(
            (entry.tier.as_deref(), &*entry.host, entry.status, entry.is_denied),
            (Some("pro"), "api.example", 429, true)
        );
        let mut plain = self::csv("\u{feff}Timestamp;Path;IP;request_time;cache", "").expect("a header");
        let entry = plain.read(b"[2026-07-01T12:00:00Z];/a;2001:db8::1;0.25;HIT").expect("a request");
        assert_eq!(
            (&*entry.method, entry.status, entry.took_us, entry.is_from_cache),
            ("GET", 0, 250_000, true)
        );
    }

    #[test]
    fn a_header_that_does_not_say_enough_is_refused_with_what_there_is() {
        let says = |header, columns| csv(header, columns).expect_err("too little").to_string();
        assert_eq!(
            says("a,b", ""),
            "no column tells the time; name it with --columns time=COLUMN (there are a, b)"
        );
        assert!(says("time,ip", "").contains("path=COLUMN"));
        assert!(says("time,path", "").contains("ip=COLUMN"));
        assert_eq!(says("time,path,ip", "user=uid"), "there is no column `uid`; there are time, path, ip");
        assert!(csv("time,path,org", "").is_ok(), "a tenant is a sender too");
        assert!("agent=ua".parse::<ColumnChoice>().expect_err("unknown").contains("none of time, method"));
        assert!(Csv::new(b"\xff,time", &[]).is_err());
    }

    #[test]
    fn hostile_lines_are_unreadable_and_no_more() {
        let mut csv = csv("time,path,ip,status", "").expect("a header");
        for line in [
            &b"1782907200,/a,192.0.2.1"[..],
            b"1782907200,/a,192.0.2.1,200,more",
            b"1782907200,\"/a,192.0.2.1,200",
            b"-5,/a,192.0.2.1,200",
            b"-001-01-01T00:00:00Z,/a,192.0.2.1,200",
            b"1782907200,,192.0.2.1,200",
            b"1782907200,\xff,192.0.2.1,200",
            b"1782907200,/a,192.0.2.1,OK",
            b"\0\0\0",
        ] {
            assert!(matches!(csv.read(line), Err(Skip::Unreadable(_))), "{line:?}");
        }
        assert_eq!(csv.read(b"  "), Err(Skip::Other));
        let wide = vec![b','; COLUMNS_MAX + 5];
        assert!(matches!(csv.read(&wide), Err(Skip::Unreadable(_))));
        assert!(csv.read(b"1782907200,/a\0,192.0.2.1,200").is_ok_and(|entry| entry.target == "/a\0"));
        assert_eq!(csv.read(b"1782907200,/a,192.0.2.1,-").expect("a request").status, 0);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in prop::collection::vec(prop_oneof![Just(b','), Just(b'"'), any::<u8>()], 0..90)) {
            let mut csv = csv("time,path,ip", "").expect("a header");
            drop(csv.read(&line));
            drop(Csv::new(&line, &[]));
        }
    }
}
