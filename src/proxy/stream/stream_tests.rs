//! Deadlines, rules and last words on a pipe.

use super::*;
use crate::base::ManualClock;
use crate::proxy::places::Connections;
use tokio::io::DuplexStream;

const HEAD: Duration = Duration::from_secs(5);

fn watched(io: DuplexStream, http2: bool) -> Watched {
    let keeper = Keeper {
        metrics: Arc::new(Metrics::new(0).expect("is consistent")),
        clock: Arc::new(ManualClock::at(0)),
        tasks: Tasks::new(),
    };
    let terms = Terms {
        head_timeout: HEAD,
        wire: WireBounds { head_bytes: 1_000, line_bytes: 500, fields: 10 },
        frames: FrameBounds::DEFAULT,
        body_min_rate: 500,
        send_min_rate: 500,
        http2,
    };
    let at = SocketAddr::from(([127, 0, 0, 1], 1));
    let facts = Facts { peer: at, local: at, tls: None, certificate: None, is_http2: false };
    let place = Arc::<Connections>::default().enter(1).expect("free");
    Watched::new(Transport::Pipe(io), facts, terms, Arc::new(keeper), place)
}

async fn said(client: &mut DuplexStream) -> String {
    let mut text = Vec::new();
    client.read_to_end(&mut text).await.expect("a pipe");
    String::from_utf8(text).expect("text")
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_ended_without_a_word() {
    let (mut client, server) = tokio::io::duplex(64);
    let mut watched = watched(server, false);
    let started = tokio::time::Instant::now();
    assert!(watched.read_u8().await.is_err());
    assert_eq!(started.elapsed(), HEAD);
    drop(watched);
    assert_eq!(said(&mut client).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_ended_with_408_on_every_request_of_a_connection() {
    let (mut client, server) = tokio::io::duplex(4_096);
    let mut watched = watched(server, false);
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut buffer = [0; 64];
    client.write_all(request).await.expect("a pipe");
    assert_eq!(watched.read(&mut buffer).await.expect("a request"), request.len());
    let idle = tokio::time::timeout(HEAD * 10, watched.read_u8()).await;
    assert!(idle.is_err(), "no deadline between requests");
    let started = tokio::time::Instant::now();
    for byte in request.iter().take(5) {
        client.write_all(&[*byte]).await.expect("a pipe");
        assert_eq!(watched.read_u8().await.expect("in time"), *byte);
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    assert!(watched.read_u8().await.is_err());
    assert_eq!(started.elapsed(), HEAD);
    drop(watched);
    let words = said(&mut client).await;
    assert!(words.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_the_next_message_waits_for_its_turn() {
    let (mut client, server) = tokio::io::duplex(4_096);
    let stream: Stream = Box::new(watched(server, false));
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write_all(format!("{request}nonsense\r\n").as_bytes()).await.expect("a pipe");
    let mut buffer = [0; 256];
    let mut stream = stream;
    let read = stream.read(&mut buffer).await.expect("a request");
    assert_eq!(&buffer[..read], request.as_bytes());
    is_now(&stream, Phase::Serving);
    let meanwhile = tokio::time::timeout(HEAD * 10, stream.read_u8()).await;
    assert!(meanwhile.is_err(), "the answer is not disturbed");
    is_now(&stream, Phase::Waiting);
    assert!(stream.read_u8().await.is_err());
    drop(stream);
    assert!(said(&mut client).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_ends_the_exchange_under_way() {
    let (mut client, server) = tokio::io::duplex(4_096);
    let mut stream: Stream = Box::new(watched(server, false));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(head.as_bytes()).await.expect("a pipe");
    let mut buffer = [0; 256];
    assert_eq!(stream.read(&mut buffer).await.expect("a head"), head.len());
    is_now(&stream, Phase::Serving);
    client.write_all(b"\r\n").await.expect("a pipe");
    let error = stream.read(&mut buffer).await.expect_err("no chunk");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test(start_paused = true)]
async fn after_a_switch_anything_goes() {
    let (mut client, server) = tokio::io::duplex(4_096);
    let mut stream: Stream = Box::new(watched(server, false));
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").await.expect("a pipe");
    let mut buffer = [0; 256];
    assert!(stream.read(&mut buffer).await.expect("a head") > 0);
    is_now(&stream, Phase::Switched);
    client.write_all(b"\x81\x85\0\0\0\0hello").await.expect("a pipe");
    assert_eq!(stream.read(&mut buffer).await.expect("frames"), 11);
    assert!(tokio::time::timeout(HEAD * 100, stream.read_u8()).await.is_err(), "no deadline");
}

#[tokio::test(start_paused = true)]
async fn small_writes_go_together_and_large_ones_at_once() {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let mut watched = watched(server, false);
    watched.write_all(b"head").await.expect("a pipe");
    watched.write_all(b"body").await.expect("a pipe");
    let mut buffer = [0; 16];
    assert!(tokio::time::timeout(HEAD, client.read(&mut buffer)).await.is_err(), "not flushed yet");
    watched.flush().await.expect("a pipe");
    assert_eq!(client.read(&mut buffer).await.expect("both"), 8);
    watched.write_all(b"head").await.expect("a pipe");
    watched.write_all(&[b'x'; 10_000]).await.expect("a pipe");
    let mut all = vec![0; 10_004];
    client.read_exact(&mut all).await.expect("all of it");
    assert!(all.starts_with(b"headxxx"));
}

#[tokio::test(start_paused = true)]
async fn http2_is_recognised_by_its_whole_preface_and_nothing_else_waits_for_one() {
    for (bytes, expected) in [
        (&frames::PREFACE[..], true),
        (b"GET / HTTP/1.0\r\n\r\n", false),
        (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", false),
    ] {
        let (mut client, server) = tokio::io::duplex(4_096);
        let mut watched = watched(server, true);
        client.write_all(bytes).await.expect("a pipe");
        assert_eq!(watched.is_http2().await.expect("known"), expected, "{}", bytes.escape_ascii());
    }
    let (mut client, server) = tokio::io::duplex(4_096);
    let mut watched = watched(server, true);
    client.write_all(b"PRI * HT").await.expect("a pipe");
    assert_eq!(watched.is_http2().await.expect_err("late").kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_frames_ends_in_go_away() {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let mut watched = watched(server, true);
    client.write_all(frames::PREFACE).await.expect("a pipe");
    assert!(watched.is_http2().await.expect("known"));
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    client.write_all(&settings.repeat(200)).await.expect("a pipe");
    let mut sink = vec![0; 100_000];
    while watched.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    drop(watched);
    let mut words = Vec::new();
    client.read_to_end(&mut words).await.expect("a pipe");
    assert_eq!(words.get(3), Some(&7), "GOAWAY");
    assert!(words.ends_with(b"\0\0\0\x0bsettings"), "{}", words.escape_ascii());
}

#[tokio::test(start_paused = true)]
async fn a_half_frame_is_ended_in_time() {
    let (mut client, server) = tokio::io::duplex(4_096);
    let mut watched = watched(server, true);
    client.write_all(frames::PREFACE).await.expect("a pipe");
    assert!(watched.is_http2().await.expect("known"));
    client.write_all(&[0, 0, 9, 1, 0, 0, 0, 0, 1, 0x82]).await.expect("a pipe");
    let mut sink = [0; 256];
    watched.read_exact(&mut sink[..34]).await.expect("what there is");
    let started = tokio::time::Instant::now();
    assert!(watched.read_u8().await.is_err());
    assert_eq!(started.elapsed(), HEAD);
}

/// Reads seldom end where frames do.
#[tokio::test(start_paused = true)]
async fn a_long_upload_is_not_taken_for_a_half_frame() {
    let (mut client, server) = tokio::io::duplex(4_096);
    let mut watched = watched(server, true);
    client.write_all(frames::PREFACE).await.expect("a pipe");
    assert!(watched.is_http2().await.expect("known"));
    let frame = [&[0, 1, 0, 0, 0, 0, 0, 0, 1][..], &[b'x'; 256]].concat();
    let mut sink = [0; 4_096];
    client.write_all(&frame[..100]).await.expect("a pipe");
    for second in 0..30 {
        let next = [&frame[100..], &frame[..100]].concat();
        client.write_all(&next).await.expect("a pipe");
        assert!(watched.read(&mut sink).await.is_ok_and(|read| read > 0), "after {second} s");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn heads_sent_ahead_each_have_their_own_time() {
    let (mut client, server) = tokio::io::duplex(4_096);
    let mut stream: Stream = Box::new(watched(server, false));
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut sink = [0; 4_096];
    client.write_all(&request[..9]).await.expect("a pipe");
    for second in 0..30 {
        client.write_all(&[&request[9..], &request[..9]].concat()).await.expect("a pipe");
        assert!(stream.read(&mut sink).await.is_ok_and(|read| read > 0), "after {second} s");
        is_now(&stream, Phase::Serving);
        tokio::time::sleep(Duration::from_secs(1)).await;
        is_now(&stream, Phase::Waiting);
    }
}
