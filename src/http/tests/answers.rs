//! Answers of every shape, and what is kept of them.

use tokio::io::AsyncWriteExt;

use super::server::{hold, request};
use super::*;
use crate::secret::Secret;

#[tokio::test]
async fn an_answer_is_given_raw_and_kept_with_its_timings() {
    let server = Server::answering(
        "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 5\r\nX-Two: a\r\nX-Two: b\r\n\r\nhello",
    )
    .await;
    let session = session(&Settings::default());
    for _ in 0..2 {
        let sent = session.send(get(&server.url("/x?code=abc")), Instant::now() + PATIENT);
        let reply = sent.await.unwrap();
        assert_eq!((reply.status, &reply.body[..]), (418, &b"hello"[..]));
        assert_eq!(reply.header("x-two"), Some("a"));
    }
    let [first, second] = session.exchanges().try_into().unwrap();
    assert_eq!(
        (first.status, first.response_size_bytes, first.error),
        (Some(418), 5, None)
    );
    assert_eq!(
        first.peer.unwrap().address,
        Some(server.address.to_string())
    );
    assert!(first.url.contains("/x?code=[redacted-3-chars-"));
    assert!(first.timings.connect_us.is_some());
    assert!(first.timings.first_byte_us.unwrap() <= first.timings.total_us);
    assert_eq!((first.timings.dns_us, first.timings.tls_us), (None, None));
    assert_eq!(second.timings.connect_us, None, "the connection was kept");
    assert_eq!(
        second.peer.unwrap().address,
        Some(server.address.to_string())
    );
}

#[tokio::test]
async fn requests_carry_our_name_and_the_last_header_of_a_name() {
    let server = Server::start(|mut stream| async move {
        let sent = request(&mut stream).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
        stream
            .write_all(format!("{head}{sent}").as_bytes())
            .await
            .unwrap();
    })
    .await;
    let form = vec![("grant_type".to_owned(), "a b&c".to_owned())];
    let request = Request::post_form(
        Stage::TokenExchange,
        server.url("/token").parse().unwrap(),
        form,
    )
    .header("X-Probe", "one")
    .header("x-probe", "two");
    let session = session(&Settings::default());
    let reply = session
        .send(request, Instant::now() + PATIENT)
        .await
        .unwrap();
    let seen = String::from_utf8(reply.body.to_vec()).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(seen.starts_with("POST /token HTTP/1.1\r\n"), "{seen}");
    assert!(
        seen.contains(&format!(
            "user-agent: authcanary/{version} (+synthetic)\r\n"
        )),
        "{seen}"
    );
    assert!(
        seen.contains("x-probe: two\r\n") && !seen.contains("one"),
        "{seen}"
    );
    assert!(!seen.contains("accept-encoding"), "{seen}");
    assert!(seen.ends_with("\r\n\r\ngrant_type=a+b%26c"), "{seen}");
}

#[tokio::test]
async fn nothing_secret_is_kept() {
    let answer = r#"{"access_token":"at-secret","id_token":"eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.sig-secret","note":"client-secret"}"#;
    let server = Server::answering(format!(
        "HTTP/1.1 200 OK\r\nSet-Cookie: sid=cookie-secret\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    ))
    .await;
    let redactor = Redactor::new(&[Secret::new("client-secret")]);
    let session = Http::new(&Settings::default())
        .unwrap()
        .session(Arc::new(redactor));
    let form = [
        ("code", "code-secret"),
        ("code_verifier", "verifier-secret"),
        ("x", "client-secret"),
    ];
    let form = form
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let url = server.url("/token?state=state-secret").parse().unwrap();
    let request = Request::post_form(Stage::TokenExchange, url, form)
        .header("authorization", "Basic aWQ6Y2xpZW50LXNlY3JldA==");
    session
        .send(request, Instant::now() + PATIENT)
        .await
        .unwrap();
    let kept = serde_json::to_string(&session.exchanges()).unwrap();
    assert!(
        !kept.contains("-secret") && !kept.contains("aWQ6"),
        "{kept}"
    );
    assert!(
        kept.contains("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.[redacted-10"),
        "{kept}"
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
    let limit = 10_000;
    let settings = Settings {
        max_body_bytes: limit,
        ..Settings::default()
    };
    let gigabyte = "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
    let endless = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (head, chunk) in [
        (gigabyte, "x".repeat(4096)),
        (endless, format!("1000\r\n{}\r\n", "x".repeat(4096))),
    ] {
        let server = Server::start(move |mut stream| {
            let chunk = chunk.clone();
            async move {
                request(&mut stream).await;
                stream.write_all(head.as_bytes()).await.unwrap();
                while stream.write_all(chunk.as_bytes()).await.is_ok() {}
            }
        })
        .await;
        let (finding, exchange) = fails(&session(&settings), &server.url("/"), PATIENT).await;
        assert_eq!(finding.class, Class::ResponseTooLarge);
        assert_eq!(exchange.status, Some(200));
        assert!(exchange.response_size_bytes <= limit as u64);
    }
    let exact = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {limit}\r\n\r\n{}",
        "x".repeat(limit)
    );
    let server = Server::answering(exact).await;
    let reply = session(&settings)
        .send(get(&server.url("/")), Instant::now() + PATIENT)
        .await;
    assert_eq!(reply.unwrap().body.len(), limit);
}

#[tokio::test]
async fn a_compressed_body_stays_compressed() {
    let server = Server::answering(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
            .to_vec(),
    )
    .await;
    let session = session(&Settings::default());
    let reply = session
        .send(get(&server.url("/")), Instant::now() + PATIENT)
        .await
        .unwrap();
    assert_eq!(&reply.body[..], b"\x1f\x8b\x08\x00");
    assert_eq!(session.exchanges()[0].response_body, "[binary, 4 bytes]");
}

#[tokio::test]
async fn endless_headers_are_refused() {
    let server = Server::start(|mut stream| async move {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        while stream
            .write_all(format!("X-Long: {}\r\n", "x".repeat(4000)).as_bytes())
            .await
            .is_ok()
        {}
    })
    .await;
    assert_eq!(class_of(&server, PATIENT).await, Class::ResponseTooLarge);
}

#[tokio::test]
async fn drips_do_not_outlast_the_deadline() {
    for head in [
        "HTTP/1.1 200 OK\r\nX-Slow: ",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
    ] {
        let server = Server::start(move |mut stream| async move {
            request(&mut stream).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut beat = tokio::time::interval(Duration::from_millis(20));
            while stream.write_all(b"H").await.is_ok() {
                beat.tick().await;
            }
        })
        .await;
        let (finding, exchange) =
            fails(&session(&Settings::default()), &server.url("/"), BRIEF).await;
        assert_eq!(finding.class, Class::RequestTimeout);
        assert_eq!(exchange.status.is_some(), head.ends_with("\r\n\r\n"));
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_still_leaves_an_exchange() {
    let server = Server::start(hold).await;
    let session = session(&Settings::default());
    let sent = session.send(get(&server.url("/")), Instant::now() + PATIENT);
    assert!(tokio::time::timeout(BRIEF, sent).await.is_err());
    let exchange = session.exchanges().pop().unwrap();
    assert_eq!(
        exchange.error.as_deref(),
        Some("given up before an answer was complete")
    );
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_is_our_fault() {
    let server = Server::answering("").await;
    for (name, value) in [("bad name", "x"), ("x", "line\nbreak")] {
        let session = session(&Settings::default());
        let request = get(&server.url("/")).header(name, value);
        let finding = session
            .send(request, Instant::now() + PATIENT)
            .await
            .unwrap_err();
        assert_eq!(finding.class, Class::ConfigInvalid);
    }
}

/// A server that redirects by path and shows the request at `/end`.
async fn redirecting(elsewhere: Option<String>) -> Server {
    Server::start(move |mut stream| {
        let elsewhere = elsewhere.clone();
        async move {
            let Some(sent) = request(&mut stream).await else { return };
            let target = match sent.split(' ').nth(1).unwrap() {
                "/start" => "/middle".to_owned(),
                "/middle" => "end".to_owned(),
                "/loop" => "/loop".to_owned(),
                "/away" => elsewhere.unwrap(),
                "/file" => "file:///etc/passwd".to_owned(),
                "/end" => {
                    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
                    stream.write_all(format!("{head}{sent}").as_bytes()).await.unwrap();
                    return;
                }
                longer => format!("{longer}x"),
            };
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn redirects_are_followed_by_hand_within_limits() {
    let server = redirecting(None).await;
    let settings = Settings::default();
    let deadline = Instant::now() + PATIENT;

    let followed = session(&settings);
    let reply = followed
        .send_following(get(&server.url("/start")), deadline)
        .await
        .unwrap();
    assert_eq!((reply.status, reply.url.path()), (200, "/end"));
    let statuses: Vec<_> = followed
        .exchanges()
        .iter()
        .map(|exchange| exchange.status)
        .collect();
    assert_eq!(statuses, [Some(302), Some(302), Some(200)]);

    for (path, hops) in [("/loop", 1), ("/grows", REDIRECT_LIMIT + 1)] {
        let session = session(&settings);
        let finding = session
            .send_following(get(&server.url(path)), deadline)
            .await
            .unwrap_err();
        assert_eq!(finding.class, Class::RedirectLoop);
        assert_eq!(session.exchanges().len(), hops);
    }

    let reply = session(&settings)
        .send(get(&server.url("/start")), deadline)
        .await
        .unwrap();
    assert_eq!(reply.status, 302, "`send` follows nothing");
    let reply = session(&settings)
        .send_following(get(&server.url("/file")), deadline)
        .await
        .unwrap();
    assert_eq!(reply.status, 302, "only http and https are followed");
    let post = Request::post_form(
        Stage::TokenExchange,
        server.url("/start").parse().unwrap(),
        Vec::new(),
    );
    let reply = session(&settings)
        .send_following(post, deadline)
        .await
        .unwrap();
    assert_eq!(reply.status, 302, "a POST is never followed");
}

#[tokio::test]
async fn credentials_do_not_follow_to_another_origin() {
    let other = redirecting(None).await;
    let server = redirecting(Some(other.url("/end"))).await;
    let request = |path: &str| {
        get(&server.url(path))
            .header("Authorization", "Bearer a")
            .header("X-Key", "b")
            .header("Accept", "c/d")
    };
    let session = session(&Settings::default());
    let deadline = Instant::now() + PATIENT;
    let same = session
        .send_following(request("/start"), deadline)
        .await
        .unwrap();
    let same = String::from_utf8(same.body.to_vec()).unwrap();
    assert!(
        same.contains("authorization: Bearer a") && same.contains("x-key: b"),
        "{same}"
    );
    let away = session
        .send_following(request("/away"), deadline)
        .await
        .unwrap();
    let away = String::from_utf8(away.body.to_vec()).unwrap();
    assert!(
        !away.contains("authorization") && !away.contains("x-key"),
        "{away}"
    );
    assert!(away.contains("accept: c/d"), "{away}");
}

#[tokio::test]
async fn a_request_names_its_span_where_it_is_told_to() {
    let server = Server::start(|mut stream| async move {
        let sent = request(&mut stream).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
        stream
            .write_all(format!("{head}{sent}").as_bytes())
            .await
            .unwrap();
    })
    .await;
    let id = crate::run::RunId(uuid::Uuid::now_v7()).trace_id();
    for is_sent in [true, false] {
        let session = session(&Settings::default()).traced(Trace { id, is_sent });
        for number in 0..2 {
            let sent = session.send(get(&server.url("/")), Instant::now() + PATIENT);
            let seen = String::from_utf8(sent.await.unwrap().body.to_vec()).unwrap();
            let span = id.span(crate::run::Part::Exchange(number));
            let parent = ("traceparent".to_owned(), id.parent(span));
            let line = format!("traceparent: {}", parent.1);
            assert_eq!(seen.contains(&line), is_sent, "{seen}");
            let kept = session.last().unwrap();
            assert_eq!(kept.span_id, Some(span));
            assert_eq!(kept.request_headers.contains(&parent), is_sent);
            assert_eq!(kept.protocol.as_deref(), Some("HTTP/1.1"));
        }
    }
}
