//! Every fault of the loopback provider, as it shows on the wire. Each one must leave its sign in what a client sees at
//! its endpoint, and the sign must not be there without it.

use authcanary::loopback::{Endpoint, EventKind, Fault, Kind, Loopback, TokenName};
use serde_json::{Value, json};
use strum::IntoEnumIterator;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::observe::{Patience, observe};
use super::visitor::{Visitor, server};

/// Where each fault is looked for, and its sign there. No wildcard: a new fault needs a line.
fn cases(kind: &Kind) -> Vec<(Endpoint, Kind, &'static str)> {
    use Endpoint::{
        Authorize, Callback, Consent, Discovery, Introspection, Jwks, Login, Logout, Refresh,
        Resource, Revocation, Token, Userinfo,
    };
    let at = |endpoint, sign| vec![(endpoint, kind.clone(), sign)];
    let both = |sign| vec![(Token, kind.clone(), sign), (Refresh, kind.clone(), sign)];
    match kind {
        Kind::Close => at(Jwks, "closed after 0 bytes"),
        Kind::Reset => at(Jwks, "reset after 0 bytes"),
        Kind::Never => at(Jwks, "open after 0 bytes"),
        Kind::Drip(_) => vec![(Jwks, Kind::Drip(1), "open, content-length 1048576")],
        Kind::EndlessHeaders => at(Jwks, "flood of headers"),
        Kind::Noise => at(Jwks, "no HTTP"),
        Kind::Status(_) => vec![
            (Discovery, Kind::Status(503), "status=503 type=text/html"),
            (Login, Kind::Status(502), "status=502"),
            (Token, Kind::Status(500), "status=500"),
            (Endpoint::Any, Kind::Status(504), "status=504"),
        ],
        Kind::Error(_) => vec![
            (
                Token,
                Kind::Error("invalid_client".into()),
                "status=401 type=application/json error=invalid_client",
            ),
            (
                Refresh,
                Kind::Error("invalid_grant".into()),
                "status=400 type=application/json error=invalid_grant",
            ),
            (
                Userinfo,
                Kind::Error("invalid_token".into()),
                "status=401 type=application/json error=invalid_token",
            ),
            (
                Authorize,
                Kind::Error("temporarily_unavailable".into()),
                "callback error=temporarily_unavailable",
            ),
            (
                Callback,
                Kind::Error("server_error".into()),
                "callback error=server_error",
            ),
        ],
        Kind::ErrorInSuccess(_) => {
            let error = Kind::ErrorInSuccess("invalid_grant".into());
            vec![(
                Token,
                error,
                "status=200 type=application/json error=invalid_grant",
            )]
        }
        Kind::RateLimited(_) => vec![(
            Userinfo,
            Kind::RateLimited(7),
            "status=429 type=text/html retry-after=7",
        )],
        Kind::BlockedByGateway => at(Resource, "web application firewall"),
        Kind::Latency(_) => vec![(Jwks, Kind::Latency(600_000), "open after 0 bytes")],
        Kind::HugeBody => at(Jwks, "flood, content-length 1073741824"),
        Kind::RedirectLoop => at(
            Discovery,
            "status=307 type= location=/.well-known/openid-configuration",
        ),
        Kind::Garbage => at(Token, "status=200 type=application/json no JSON"),
        Kind::Truncated => at(Discovery, "status=200 type=application/json no JSON"),
        Kind::Cut => at(Discovery, "broken body"),
        Kind::WrongContentType => at(Discovery, "status=200 type=text/html"),
        Kind::ClockOffset(_) => vec![
            (Token, Kind::ClockOffset(3_600), "iat=future"),
            (Token, Kind::ClockOffset(-7_200), "exp=past"),
            (Discovery, Kind::ClockOffset(3_600), "clock=wrong"),
        ],
        Kind::Broken => vec![
            (Discovery, Kind::Broken, "\"jwks_uri\":\"not an address\""),
            (Jwks, Kind::Broken, "keys are no list"),
        ],
        Kind::WrongIss => vec![
            (
                Discovery,
                Kind::WrongIss,
                "\"issuer\":\"https://another-issuer.example\"",
            ),
            (
                Callback,
                Kind::WrongIss,
                "callback iss=https://another-issuer.example",
            ),
            (Token, Kind::WrongIss, " iss=wrong"),
        ],
        Kind::MovedButton => vec![
            (Login, Kind::MovedButton, "id=\"action-7\""),
            (Consent, Kind::MovedButton, "id=\"action-7\""),
        ],
        Kind::MissingButton => at(Login, "no button"),
        Kind::LateForm(_) => vec![(Login, Kind::LateForm(2_500), "}, 2500)")],
        Kind::Captcha => vec![
            (Login, Kind::Captcha, "I am not a robot"),
            (Consent, Kind::Captcha, "I am not a robot"),
        ],
        Kind::UnknownPage => at(Login, "garden"),
        Kind::ErrorPage => at(Authorize, "status=500 type=text/html"),
        Kind::RefusedCredentials => at(Login, "Incorrect user name or password."),
        Kind::LockedAccount => at(Login, "Your account has been locked."),
        Kind::PasswordExpired => at(Login, "You must change your password."),
        Kind::SessionExpired => vec![
            (Login, Kind::SessionExpired, "Your session has expired"),
            (Consent, Kind::SessionExpired, "Your session has expired"),
        ],
        Kind::ConsentDenied => at(Consent, "callback error=access_denied"),
        Kind::WrongState => at(Callback, "callback state=wrong"),
        Kind::MissingState => at(Callback, "callback state=absent"),
        Kind::MissingIss => at(Callback, "callback iss=absent"),
        Kind::MissingCode => at(Callback, "callback code=absent"),
        Kind::NotReached => at(Callback, "You will be taken back"),
        Kind::ExpiredSecret => at(Token, "the client secret has expired"),
        Kind::WrongSignature => both(" sig=bad"),
        Kind::AlgNone => both(" alg=none"),
        Kind::WrongAlg => both(" alg=HS256"),
        Kind::UnknownKid => both(" kid=unknown"),
        Kind::RotatedKey => both(" kid=fresh sig=good"),
        Kind::WrongAud => both(" aud=\"another-client\""),
        Kind::WrongNonce => at(Token, " nonce=wrong"),
        Kind::MissingNonce => at(Token, " nonce=absent"),
        Kind::WrongAtHash => both(" at_hash=wrong"),
        Kind::WrongAzp => both(" azp=\"another-client\""),
        Kind::WrongSub => vec![
            (Token, Kind::WrongSub, " sub=wrong"),
            (Refresh, Kind::WrongSub, " sub=wrong"),
            (Userinfo, Kind::WrongSub, "\"sub\":\"somebody-else\""),
        ],
        Kind::Expired => both(" exp=past"),
        Kind::IssuedInFuture => both(" iat=future"),
        Kind::NotYetValid => both(" nbf=future"),
        Kind::MissingToken(_) => vec![
            (
                Token,
                Kind::MissingToken(TokenName::IdToken),
                "tokens=access_token,refresh_token new",
            ),
            (
                Token,
                Kind::MissingToken(TokenName::AccessToken),
                "tokens=refresh_token,id_token new",
            ),
            (
                Token,
                Kind::MissingToken(TokenName::RefreshToken),
                "tokens=access_token,id_token new",
            ),
        ],
        Kind::ScopeDowngraded => at(Token, "scope=\"openid profile\" "),
        Kind::OddLooks => at(
            Token,
            "type=\"bearer\" expires_in=\"3600\" scope=\"offline_access email profile openid\"",
        ),
        Kind::NoRotation => at(Refresh, "tokens=access_token,id_token new=true"),
        Kind::NothingNew => at(Refresh, "tokens=access_token,id_token new=false"),
        Kind::RevokesNothing => at(Revocation, "status=200; the token works"),
        Kind::Inactive => at(Introspection, "{\"active\":false}"),
        Kind::StaysSignedIn => at(Logout, "still signed in"),
        Kind::AcceptsForeignRedirectUri => at(Authorize, "foreign address taken"),
        Kind::AcceptsReusedCode => at(Token, "second time 200"),
        Kind::AcceptsBadPkce => at(Token, "bad verifier 200"),
        Kind::AcceptsReusedRefreshToken => at(Refresh, "second time 200"),
        Kind::AcceptsWrongClientSecret => at(Token, "wrong secret 200"),
    }
}

#[tokio::test]
async fn every_fault_shows_on_the_wire_and_only_when_it_is_on() {
    let server = server(|_| ()).await;
    for (endpoint, fault, sign) in Kind::iter().flat_map(|kind| cases(&kind)) {
        check(&server, endpoint, fault, sign).await;
    }
}

async fn check(server: &Loopback, endpoint: Endpoint, fault: Kind, sign: &str) {
    let healthy = observe(server, endpoint, Patience::LONG, || ()).await;
    assert!(
        !healthy.contains(sign),
        "{sign} shows without {fault:?}: {healthy}"
    );
    let patience = match sign {
        "open after 0 bytes" => Patience::NONE,
        sign if sign.starts_with("open") => Patience::NO_END,
        _ => Patience::LONG,
    };
    let seen = observe(server, endpoint, patience, || {
        server
            .faults()
            .put(Fault::new(endpoint, fault.clone()))
            .unwrap();
    })
    .await;
    server.faults().clear();
    assert!(
        seen.contains(sign),
        "no {sign} with {fault:?} at {endpoint:?}: {seen}"
    );
    let shown = server
        .events(0)
        .into_iter()
        .rev()
        .find(|event| event.event == EventKind::FaultShown);
    assert!(shown.unwrap().detail.unwrap().starts_with(fault.name()));
}

#[tokio::test]
async fn the_page_of_the_code_has_its_faults_too() {
    let server = server(|_| ()).await;
    let check = async |kind: Kind, sign: &str| {
        let visitor = Visitor::new(&server).with_second_factor();
        server.faults().set(Endpoint::Mfa, kind).unwrap();
        let page = visitor.authorize(&[]).await;
        let fields = [
            ("username", visitor.username()),
            ("password", visitor.password()),
        ];
        let page = visitor.submit(&page, &fields).await;
        let end = visitor.submit_if_form(page).await;
        assert!(end.body.contains(sign), "{sign}: {end:?}");
        server.faults().clear();
    };
    check(Kind::RefusedCredentials, "That code is incorrect").await;
    check(Kind::Captcha, "I am not a robot").await;
    check(Kind::LockedAccount, "Your account has been locked.").await;
    check(Kind::SessionExpired, "Your session has expired").await;
    check(Kind::ErrorPage, "Something went wrong").await;
}

#[tokio::test]
async fn faults_are_switched_over_http() {
    let server = server(|_| ()).await;
    let visitor = Visitor::new(&server);
    let put = async |body: Value| {
        let request = visitor
            .http
            .put(visitor.at("/_faults"))
            .body(body.to_string());
        visitor.send(request).await
    };
    let status = async || visitor.get("/jwks").await.status;

    let one = json!({"endpoint": "jwks", "fault": {"status": 503}, "times": 2});
    assert_eq!(put(one.clone()).await.json(), json!([one]));
    assert_eq!(
        [status().await, status().await, status().await],
        [503, 503, 200]
    );
    assert_eq!(visitor.get("/_faults").await.json(), json!([]));

    put(json!({"endpoint": "jwks", "fault": {"status": 503}, "share": 0.5})).await;
    assert_eq!(
        [
            status().await,
            status().await,
            status().await,
            status().await
        ],
        [200, 503, 200, 503]
    );

    let two =
        json!([{"endpoint": "any", "fault": "close"}, {"endpoint": "token", "fault": "alg_none"}]);
    assert_eq!(put(two).await.json().as_array().unwrap().len(), 3);
    let delete = visitor.http.delete(visitor.at("/_faults?endpoint=any"));
    assert_eq!(
        visitor.send(delete).await.json().as_array().unwrap().len(),
        2
    );
    visitor
        .send(visitor.http.delete(visitor.at("/_faults")))
        .await;
    assert_eq!(status().await, 200);

    for bad in [
        json!({"endpoint": "jwks", "fault": "wrong_nonce"}),
        json!([{"endpoint": "jwks", "fault": "close"}, {"endpoint": "jwks", "fault": "no such"}]),
        json!({"endpoint": "jwks"}),
        json!("close"),
    ] {
        let answer = put(bad.clone()).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(
        visitor.get("/_faults").await.json(),
        json!([]),
        "all or none"
    );
}

#[tokio::test]
async fn a_waiting_fault_does_not_hold_up_the_end() {
    let server = server(|_| ()).await;
    for (endpoint, kind) in [
        (Endpoint::Jwks, Kind::Never),
        (Endpoint::Userinfo, Kind::Latency(600_000)),
        (Endpoint::Discovery, Kind::EndlessHeaders),
        (Endpoint::Resource, Kind::Drip(600_000)),
    ] {
        server.faults().set(endpoint, kind).unwrap();
    }
    let mut open = Vec::new();
    for path in [
        "/jwks",
        "/userinfo",
        "/.well-known/openid-configuration",
        "/resource",
    ] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
        stream.write_all(request.as_bytes()).await.unwrap();
        open.push(stream);
    }
    while server.events(0).len() < open.len() {
        tokio::task::yield_now().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn the_server_stays_small_however_many_sign_in() {
    let server = server(|_| ()).await;
    let visitor = Visitor::new(&server);
    for _ in 0..1_100 {
        visitor.get(&visitor.authorize_path(&[])).await;
    }
    let sizes = visitor.get("/_sizes").await.json();
    assert_eq!(sizes["interactions"], 1_024);
}
