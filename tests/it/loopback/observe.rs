//! What a client sees at an endpoint, written down as one line of text.

use std::time::Duration;

use authcanary::loopback::{Endpoint, Loopback};
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::visitor::{self, Answer, Visitor, jwt_part, parameters, text};

/// Goes as far as the endpoint, switches the fault on, and writes down what a client can see there.
pub(super) async fn observe(
    server: &Loopback,
    endpoint: Endpoint,
    patience: Patience,
    switch: impl FnOnce(),
) -> String {
    let visitor = Visitor::new(server);
    match endpoint {
        Endpoint::Any | Endpoint::Discovery => {
            switch();
            get(&visitor, "/.well-known/openid-configuration", "").await
        }
        Endpoint::Jwks => {
            switch();
            raw(server, "/jwks", patience).await
        }
        Endpoint::Authorize => {
            switch();
            let foreign = visitor
                .authorize(&[("redirect_uri", "https://evil.example/")])
                .await;
            let taken = if foreign.url.contains("/login/") {
                "foreign address taken"
            } else {
                ""
            };
            format!(
                "{taken} {}",
                arrival(&visitor, visitor.authorize(&[]).await).await
            )
        }
        Endpoint::Login | Endpoint::Mfa => {
            switch();
            arrival(&visitor, visitor.authorize(&[]).await).await
        }
        Endpoint::Consent => {
            let page = visitor.authorize(&[]).await;
            let fields = [
                ("username", visitor.username()),
                ("password", visitor.password()),
            ];
            let consent = visitor.submit(&page, &fields).await;
            switch();
            arrival(&visitor, visitor.get(&consent.url).await).await
        }
        Endpoint::Callback => {
            switch();
            let page = visitor.authorize(&[]).await;
            arrival(&visitor, page).await
        }
        Endpoint::Token => observe_token(&visitor, switch).await,
        Endpoint::Refresh => observe_refresh(&visitor, switch).await,
        Endpoint::Userinfo | Endpoint::Resource => {
            let tokens = visitor.tokens().await;
            switch();
            let path = format!("/{}", endpoint.name());
            get(&visitor, &path, text(&tokens, "access_token")).await
        }
        Endpoint::Introspection => {
            let tokens = visitor.tokens().await;
            switch();
            describe(
                &visitor
                    .call("/introspect", &[("token", text(&tokens, "access_token"))])
                    .await,
            )
        }
        Endpoint::Revocation => {
            let tokens = visitor.tokens().await;
            switch();
            let token = text(&tokens, "access_token");
            let revoked = visitor.call("/revoke", &[("token", token)]).await;
            let works = visitor.get_with("/resource", token).await.status == 200;
            format!(
                "status={}; the token {}",
                revoked.status,
                if works { "works" } else { "is dead" }
            )
        }
        Endpoint::Logout => {
            let tokens = visitor.tokens().await;
            switch();
            visitor
                .get(&format!(
                    "/logout?id_token_hint={}",
                    text(&tokens, "id_token")
                ))
                .await;
            let silent = visitor.authorize(&[("prompt", "none")]).await;
            let signed_in = parameters(silent.location()).contains_key("code");
            (if signed_in {
                "still signed in"
            } else {
                "signed out"
            })
            .to_owned()
        }
    }
}

/// The pages from here to the end, and what came back to the client.
async fn arrival(visitor: &Visitor, page: Answer) -> String {
    let first = describe(&page);
    let button = if page.body.contains("type=\"submit\"") {
        "button"
    } else {
        "no button"
    };
    let end = visitor.pass_pages(page).await;
    let params = parameters(end.location());
    let mut seen = vec![first, button.to_owned(), describe(&end)];
    if end.location().starts_with(visitor::REDIRECT_URI) {
        for name in ["code", "error", "state", "iss"] {
            let value = params.get(name).map_or("absent", String::as_str);
            let value = if name == "state" && !["absent", "the state"].contains(&value) {
                "wrong"
            } else {
                value
            };
            seen.push(format!("callback {name}={value}"));
        }
    }
    seen.join(" | ")
}

async fn observe_token(visitor: &Visitor, switch: impl FnOnce()) -> String {
    let keys = keys(visitor).await;
    let [code, other, third] = [
        visitor.code(&[]).await,
        visitor.code(&[]).await,
        visitor.code(&[]).await,
    ];
    switch();
    let answer = visitor.redeem(&code).await;
    let again = visitor.redeem(&code).await;
    let fields = |verifier| {
        [
            ("grant_type", "authorization_code"),
            ("code", other.as_str()),
            ("redirect_uri", visitor::REDIRECT_URI),
            ("code_verifier", verifier),
        ]
    };
    let bad_verifier = visitor
        .call(
            "/token",
            &fields("not-the-verifier-not-the-verifier-not-the-verifier"),
        )
        .await;
    let mut right = fields(visitor::VERIFIER);
    right[1].1 = &third;
    let wrong_secret = visitor
        .call_as("/token", &right, visitor.client.auth, "wrong")
        .await;
    format!(
        "{} {} second time {} bad verifier {} wrong secret {}",
        describe(&answer),
        judge(visitor, &answer, &keys, &Value::Null).await,
        again.status,
        bad_verifier.status,
        wrong_secret.status
    )
}

async fn observe_refresh(visitor: &Visitor, switch: impl FnOnce()) -> String {
    let keys = keys(visitor).await;
    let tokens = visitor.tokens().await;
    switch();
    let token = text(&tokens, "refresh_token");
    let answer = visitor.refresh(token).await;
    let judged = judge(visitor, &answer, &keys, &tokens).await;
    // Where the token stays the same, a second time is no reuse.
    let rotated = answer.body.contains("\"refresh_token\"");
    let again = if rotated {
        visitor.refresh(token).await.status
    } else {
        0
    };
    format!("{} {judged} second time {again}", describe(&answer))
}

async fn get(visitor: &Visitor, path: &str, token: &str) -> String {
    let request = visitor.http.get(visitor.at(path)).bearer_auth(token);
    match visitor.try_send(request).await {
        Ok(answer) => describe(&answer),
        Err(error) if error.is_body() || error.is_decode() => "broken body".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// An answer as a client sees it.
fn describe(answer: &Answer) -> String {
    let kind = answer
        .header("content-type")
        .split(';')
        .next()
        .unwrap_or_default();
    let mut seen = format!("status={} type={kind}", answer.status);
    for name in ["retry-after", "location"] {
        if !answer.header(name).is_empty() {
            seen.push_str(&format!(" {name}={}", answer.header(name)));
        }
    }
    let date = jiff::fmt::rfc2822::parse(answer.header("date"))
        .unwrap()
        .timestamp();
    let offset = date.duration_since(authcanary::clock::now()).abs();
    if offset > jiff::SignedDuration::from_mins(30) {
        seen.push_str(" clock=wrong");
    }
    if kind == "application/json" {
        match serde_json::from_str::<Value>(&answer.body) {
            Ok(body) if body["error"].is_string() => {
                seen.push_str(&format!(" error={}", text(&body, "error")));
            }
            Ok(_) => (),
            Err(_) => seen.push_str(" no JSON"),
        }
    }
    format!("{seen} {}", answer.body)
}

async fn keys(visitor: &Visitor) -> JwkSet {
    serde_json::from_str(&visitor.get("/jwks").await.body).unwrap()
}

/// The tokens of an answer, checked as a client checks them. `keys` were fetched before.
async fn judge(visitor: &Visitor, answer: &Answer, keys: &JwkSet, before: &Value) -> String {
    let Ok(body) = serde_json::from_str::<Value>(&answer.body) else {
        return String::new();
    };
    let names = ["access_token", "refresh_token", "id_token"];
    let present: Vec<&str> = names
        .into_iter()
        .filter(|name| body[name].is_string())
        .collect();
    let shape = format!(
        "tokens={} new={} type={} expires_in={} scope={}",
        present.join(","),
        body["access_token"] != before["access_token"],
        body["token_type"],
        body["expires_in"],
        body["scope"]
    );
    let Some(id_token) = body["id_token"].as_str() else {
        return shape;
    };
    let header = jwt_part(id_token, 0);
    let claims = jwt_part(id_token, 1);
    let kid = header["kid"].as_str().unwrap_or_default();
    let later = self::keys(visitor).await;
    let kid_is = match (keys.find(kid), later.find(kid)) {
        (Some(_), _) => "known",
        (None, Some(_)) => "fresh",
        (None, None) => "unknown",
    };
    let now = authcanary::clock::now().as_second();
    let is = |right: bool| if right { "right" } else { "wrong" };
    let when = |name: &str| match claims[name].as_i64() {
        None => "absent",
        Some(time) if time > now + 60 => "future",
        Some(time) if time < now - 60 => "past",
        Some(_) => "now",
    };
    let nonce = claims["nonce"]
        .as_str()
        .map_or("absent", |nonce| is(nonce == "the nonce"));
    let at_hash = body["access_token"].as_str().map_or("absent", |token| {
        let hash = digest::digest(&digest::SHA256, token.as_bytes());
        is(claims["at_hash"] == URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]))
    });
    format!(
        "{shape} alg={} kid={kid_is} sig={} iss={} aud={} azp={} sub={} nonce={nonce} at_hash={at_hash} exp={} iat={} nbf={}",
        header["alg"].as_str().unwrap_or_default(),
        if verifies(id_token, &later) {
            "good"
        } else {
            "bad"
        },
        is(claims["iss"] == visitor.issuer),
        claims["aud"],
        claims["azp"],
        is(claims["sub"] != "somebody-else"),
        when("exp"),
        when("iat"),
        when("nbf"),
    )
}

fn verifies(token: &str, keys: &JwkSet) -> bool {
    let Ok(header) = jsonwebtoken::decode_header(token) else {
        return false;
    };
    let Some(key) = keys.find(header.kid.as_deref().unwrap_or_default()) else {
        return false;
    };
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_jwk(key).unwrap();
    jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation).is_ok()
}

/// How long is waited for the first byte, and for the end after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) first: Duration,
    pub(super) end: Duration,
}

impl Patience {
    /// For an answer that comes and ends, on a machine however busy.
    pub(super) const LONG: Self = Self {
        first: Duration::from_secs(120),
        end: Duration::from_secs(120),
    };
    /// Silence counts as such.
    pub(super) const NONE: Self = Self {
        first: Duration::from_millis(300),
        end: Duration::from_millis(300),
    };
    /// Something comes, and does not end.
    pub(super) const NO_END: Self = Self {
        first: Self::LONG.first,
        end: Self::NONE.end,
    };
}

const FLOOD_BYTES: usize = 512 * 1024;

/// Reads until it is over or too much.
async fn read_on(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> &'static str {
    let mut buffer = vec![0; 64 * 1024];
    while bytes.len() <= FLOOD_BYTES {
        match stream.read(&mut buffer).await {
            Ok(0) => return "closed",
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(_) => return "reset",
        }
    }
    "flood"
}

/// What comes back on a bare socket: how it ends, and what it began with.
async fn raw(server: &Loopback, path: &str, patience: Patience) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        server.address()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = vec![0; 64 * 1024];
    let first = tokio::time::timeout(patience.first, stream.read(&mut bytes)).await;
    let (length, end) = match first {
        Ok(Ok(0)) => (0, "closed"),
        Ok(Ok(length)) => (length, "open"),
        Ok(Err(_)) => (0, "reset"),
        Err(_) => (0, "open"),
    };
    bytes.truncate(length);
    let end = if bytes.is_empty() {
        end
    } else {
        let reading = read_on(&mut stream, &mut bytes);
        let end = tokio::time::timeout(patience.end, reading).await;
        end.unwrap_or("open")
    };
    if bytes.is_empty() {
        return format!("{end} after 0 bytes");
    }
    if !bytes.starts_with(b"HTTP/1.1 ") {
        return "no HTTP".to_owned();
    }
    let text = String::from_utf8_lossy(&bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return format!("{end} of headers");
    };
    let head = head.to_ascii_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let keys = serde_json::from_str::<Value>(body).unwrap_or(json!({"keys": []}));
    let list = if keys["keys"].is_array() {
        "keys"
    } else {
        "keys are no list"
    };
    format!(
        "{end}, content-length {} {list}",
        length.unwrap_or("absent")
    )
}
