//! Asks the admin listener of a running instance, for the commands that look at it or steer it.
//!
//! One request, one connection; bounded in time and bytes. Plain HTTP/1.1, as the admin listener speaks it.

use std::future::{Future, pending};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::app::cli::AdminArgs;
use crate::app::origin::{Origin, Refused};
use crate::base::Secret;
use crate::config::Env;

/// The environment variable with the admin token.
pub const TOKEN_VARIABLE: &str = "TIDEGATE_ADMIN_TOKEN";

/// For connecting.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// For the whole answer: a little more than the listener takes at most.
const ANSWER_MAX: Duration = Duration::from_secs(35);

/// Bytes of an answer: ten thousand overrides take a few MiB.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum AskFailure {
    /// Nobody answers.
    #[error(
        "no answer from http://{address}: {source}; is Tidegate running, and is this its admin listener?"
    )]
    Silent {
        /// Who was asked.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke, or whoever answers does not speak HTTP.
    #[error("no answer from http://{address}: {source}")]
    Broken {
        /// Who was asked.
        address: SocketAddr,
        /// What happened.
        source: hyper::Error,
    },
    /// The answer is an error.
    #[error("{detail}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// What happened and what to do.
        detail: String,
    },
    /// The answer is none of ours.
    #[error("http://{address} answers with {what}; is this the admin listener of Tidegate?")]
    Strange {
        /// Who was asked.
        address: SocketAddr,
        /// What came.
        what: &'static str,
    },
}

/// One instance's admin listener.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    token: Option<Secret>,
}

impl Client {
    /// The listener at `address`; an unspecified address is asked on loopback.
    #[must_use]
    pub fn new(address: SocketAddr, token: Option<Secret>) -> Self {
        Self { address: reachable(address), token }
    }

    /// The listener that the command line names, or the configuration. The token is that of the command line, of the
    /// environment or of the configuration, the first that is there.
    ///
    /// # Errors
    /// [`Refused`] when neither names one.
    pub fn of(args: &AdminArgs, config: Option<PathBuf>, env: Env) -> Result<Self, Refused> {
        let stated = args.token.clone().or_else(|| env.get(TOKEN_VARIABLE).map(str::to_owned));
        let stated = stated.filter(|token| !token.is_empty()).map(Secret::new);
        // A configuration that is named beside an address is there for its token.
        let admin = match (args.admin, &stated, &config) {
            (Some(_), Some(_), _) | (Some(_), None, None) => None,
            (Some(_), None, Some(_)) | (None, ..) => Some(Origin::file(config, env)?.load(1)?.snapshot.admin),
        };
        let address =
            args.admin.or_else(|| admin.as_ref().map(|admin| admin.listen)).ok_or(Refused::Nothing)?;
        Ok(Self::new(address, stated.or_else(|| admin.and_then(|admin| admin.token))))
    }

    /// Sends one request with an optional JSON body, and returns the JSON of a good answer.
    ///
    /// # Errors
    /// [`AskFailure`].
    ///
    /// Cancel safety: a dropped request may still be carried out.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, AskFailure> {
        let request = self.request(method, path, body)?;
        let address = self.address;
        let silent = |source| AskFailure::Silent { address, source };
        let stream = within(CONNECT_MAX, TcpStream::connect(address)).await.and_then(|stream| stream);
        let stream = stream.map_err(silent)?;
        let (status, body) = within(ANSWER_MAX, self.exchange(stream, request)).await.map_err(silent)??;
        let json = serde_json::from_slice::<Value>(&body);
        if status.is_success() {
            return json.map_err(|_not_json| self.strange("something else than JSON"));
        }
        let detail = json.ok().and_then(|problem| told(&problem));
        Err(AskFailure::Refused {
            status,
            detail: detail.unwrap_or_else(|| format!("the answer is {status}")),
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Request<Full<Bytes>>, AskFailure> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::HOST, self.address.to_string());
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        let bytes = body.map_or_else(Bytes::new, |body| body.to_string().into());
        request.body(Full::new(bytes)).map_err(|_malformed| AskFailure::Refused {
            status: StatusCode::BAD_REQUEST,
            detail: "the token or a name holds characters that cannot be sent".to_owned(),
        })
    }

    async fn exchange(
        &self,
        stream: TcpStream,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), AskFailure> {
        let address = self.address;
        let broken = |source| AskFailure::Broken { address, source };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(broken)?;
            let (status, body) = (answer.status(), answer.into_body());
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
            let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(source) => broken(*source),
                Err(other) if other.is::<LengthLimitError>() => self.strange("more than 16 MiB"),
                Err(_other) => self.strange("half a body"),
            })?;
            Ok((status, body.to_bytes()))
        };
        // The connection only moves bytes: what its end means is for the exchange to say.
        let moving = async {
            drop(connection.await);
            pending::<()>().await;
        };
        tokio::select! {
            answer = exchange => answer,
            () = moving => Err(self.strange("nothing")),
        }
    }

    fn strange(&self, what: &'static str) -> AskFailure {
        AskFailure::Strange { address: self.address, what }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> io::Result<T> {
    let done = tokio::time::timeout(limit, work).await;
    done.map_err(|_elapsed| io::Error::new(io::ErrorKind::TimedOut, format!("nothing within {limit:?}")))
}

/// What a problem document says, with its faults if it lists some.
fn told(problem: &Value) -> Option<String> {
    let title = problem.get("title").and_then(Value::as_str)?;
    Some(match problem.get("detail").and_then(Value::as_str) {
        Some(detail) => format!("{title}: {detail}"),
        None => title.to_owned(),
    })
}

/// `0.0.0.0` and `[::]` are where one listens, not where one connects.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// A name as one segment of a path (RFC 3986 section 3.3): everything but unreserved characters is percent-encoded.
#[must_use]
pub fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Answers one connection with `answer` and hands over what it was asked.
    fn once(answer: &'static str) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("is bound");
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the test connects");
            let mut head = [0; 1_024];
            let length = stream.read(&mut head).expect("a request");
            stream.write_all(answer.as_bytes()).expect("the test reads");
            String::from_utf8_lossy(&head[..length]).into_owned()
        });
        (address, asked)
    }

    async fn ask(answer: &'static str) -> (Result<Value, AskFailure>, String) {
        let (address, asked) = once(answer);
        let client = Client::new(address, Some(Secret::new("s3cret")));
        let result = client.ask(Method::GET, "/api/v1/limits", None).await;
        (result, asked.join().expect("it was asked"))
    }

    #[tokio::test]
    async fn a_good_answer_is_its_json() {
        let (answer, asked) = ask("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"a\": 1}").await;
        assert_eq!(answer.expect("good")["a"], 1);
        assert!(asked.starts_with("GET /api/v1/limits HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("authorization: Bearer s3cret\r\n") && asked.contains("host: 127.0.0.1:"));
        let (until_the_end, _) = ask("HTTP/1.1 200 OK\r\n\r\n[]").await;
        assert_eq!(until_the_end.expect("good"), Value::Array(Vec::new()));
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_in_the_words_of_the_problem() {
        let problem =
            "HTTP/1.1 404 Not Found\r\n\r\n{\"title\": \"No policy\", \"detail\": \"did you mean `chat`?\"}";
        let (refused, _) = ask(problem).await;
        assert_eq!(refused.expect_err("refused").to_string(), "No policy: did you mean `chat`?");
        let (bare, _) = ask("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(bare.expect_err("refused").to_string(), "the answer is 502 Bad Gateway");
    }

    #[tokio::test]
    async fn whoever_is_not_tidegate_is_told_apart() {
        let (page, _) = ask("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>").await;
        assert!(matches!(page, Err(AskFailure::Strange { .. })), "{page:?}");
        for answer in ["nonsense", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", ""] {
            let (broken, _) = ask(answer).await;
            assert!(matches!(broken, Err(AskFailure::Broken { .. })), "{answer:?}: {broken:?}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("is bound");
        drop(listener);
        let silent = Client::new(address, None).ask(Method::GET, "/", None).await.expect_err("nobody");
        assert!(silent.to_string().contains("is Tidegate running"), "{silent}");
    }

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        assert_eq!(segment("ip:2001:db8::/64"), "ip%3A2001%3Adb8%3A%3A%2F64");
        assert_eq!(segment("user:a_B-1.~ü ?#"), "user%3Aa_B-1.~%C3%BC%20%3F%23");
    }

    #[test]
    fn one_connects_to_loopback_where_one_listens_everywhere() {
        let of = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(
            (of("0.0.0.0:1"), of("[::]:1"), of("10.0.0.1:1")),
            ("127.0.0.1:1".into(), "[::1]:1".into(), "10.0.0.1:1".into())
        );
    }
}
