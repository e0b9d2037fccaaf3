//! The loopback provider over real HTTP: the whole sign-in, and that it is strict.

mod faults;
mod observe;
mod visitor;

use authcanary::loopback::{EventKind, Language, Loopback, SigningAlg};
use authcanary::probe::ClientAuth;
use authcanary::secret::Secret;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Map, Value, json};
use visitor::{REDIRECT_URI, Visitor, jwt_part, parameters, server, text, totp};

/// The verified claims of an ID token.
async fn verified(visitor: &Visitor, token: &str) -> Map<String, Value> {
    let keys: JwkSet = serde_json::from_value(visitor.get("/jwks").await.json()).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[&visitor.client.id]);
    validation.set_issuer(&[&visitor.issuer]);
    jsonwebtoken::decode(token, &key, &validation)
        .unwrap()
        .claims
}

fn count(server: &Loopback, kind: EventKind) -> usize {
    server
        .events(0)
        .iter()
        .filter(|event| event.event == kind)
        .count()
}

async fn whole_journey(client: &str, alg: &str, second_factor: bool) {
    let server = server(|_| ()).await;
    let mut visitor = Visitor::new(&server).with_client(client);
    if second_factor {
        visitor = visitor.with_second_factor();
    }

    let callback = parameters(&visitor.sign_in(&[]).await);
    assert_eq!(
        (callback["state"].as_str(), callback["iss"].as_str()),
        ("the state", server.issuer())
    );
    let answer = visitor.redeem(&callback["code"]).await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (200, "no-store"),
        "{answer:?}"
    );
    let tokens = answer.json();
    assert_eq!(tokens["scope"], "openid profile email offline_access");

    let id_token = text(&tokens, "id_token");
    assert_eq!(jwt_part(id_token, 0)["alg"], alg);
    let claims = verified(&visitor, id_token).await;
    assert_eq!(claims["nonce"], "the nonce");
    assert!(claims.contains_key("at_hash") && claims.contains_key("auth_time"));

    let access_token = text(&tokens, "access_token");
    let userinfo = visitor.get_with("/userinfo", access_token).await.json();
    assert_eq!(
        (&userinfo["sub"], &userinfo["email"]),
        (&claims["sub"], &json!(visitor.username()))
    );
    assert_eq!(
        visitor.get_with("/resource", access_token).await.json()["sub"],
        claims["sub"]
    );

    let introspection = visitor
        .call("/introspect", &[("token", access_token)])
        .await;
    if client == "demo-public" {
        assert_eq!(introspection.status, 401, "{introspection:?}");
    } else {
        assert_eq!(introspection.json()["active"], true);
        assert_eq!(introspection.json()["sub"], claims["sub"]);
    }

    let refreshed = visitor.refresh(text(&tokens, "refresh_token")).await.json();
    assert_ne!(refreshed["refresh_token"], tokens["refresh_token"]);
    assert_ne!(refreshed["access_token"], tokens["access_token"]);
    let again = verified(&visitor, text(&refreshed, "id_token")).await;
    assert_eq!(
        (&again["sub"], &again["auth_time"]),
        (&claims["sub"], &claims["auth_time"])
    );

    let revoked = visitor
        .call("/revoke", &[("token", text(&refreshed, "refresh_token"))])
        .await;
    assert_eq!(revoked.status, 200);
    let refused = visitor.refresh(text(&refreshed, "refresh_token")).await;
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (400, Some("invalid_grant"))
    );
    let refused = visitor
        .get_with("/resource", text(&refreshed, "access_token"))
        .await;
    assert_eq!(refused.status, 401);
    assert!(
        refused
            .header("www-authenticate")
            .contains("error=\"invalid_token\"")
    );

    let back = format!("{}/app", server.issuer());
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("id_token_hint", id_token),
            ("post_logout_redirect_uri", &back),
            ("state", "bye"),
        ])
        .finish();
    let left = visitor.get(&format!("/logout?{query}")).await;
    assert_eq!(left.location(), format!("{back}?state=bye"));
    let silent = visitor.authorize(&[("prompt", "none")]).await;
    assert_eq!(parameters(silent.location())["error"], "login_required");
    assert_eq!(count(&server, EventKind::CallbackArrived), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_basic_client_walks_the_whole_journey() {
    whole_journey("demo-basic", "RS256", false).await;
}

#[tokio::test]
async fn a_post_client_walks_the_whole_journey_with_a_second_factor() {
    whole_journey("demo-post", "ES256", true).await;
}

#[tokio::test]
async fn a_public_client_walks_the_whole_journey() {
    whole_journey("demo-public", "RS256", false).await;
}

#[tokio::test]
async fn pages_come_one_by_one_where_they_are_set_so() {
    let server = server(|config| {
        config.pages.identifier_first = true;
        config.pages.stay_signed_in = true;
        config.pages.language = Language::German;
    })
    .await;
    let visitor = Visitor::new(&server).with_second_factor();
    let page = visitor.authorize(&[("login_hint", "somebody")]).await;
    assert!(
        page.body.contains("lang=\"de\"") && page.body.contains("value=\"somebody\""),
        "{page:?}"
    );
    assert!(!page.body.contains("name=\"password\""));
    let page = visitor
        .submit(&page, &[("username", visitor.username())])
        .await;
    assert!(page.body.contains("name=\"password\"") && !page.body.contains("id=\"username\""));
    let page = visitor
        .submit(&page, &[("password", visitor.password())])
        .await;
    assert!(page.url.contains("/mfa/"));
    let page = visitor.submit(&page, &[("code", &totp(0))]).await;
    assert!(page.body.contains("Angemeldet bleiben?"));
    let page = visitor.submit(&page, &[("stay", "yes")]).await;
    assert!(page.body.contains(">Zulassen<"), "{page:?}");
    let end = visitor.submit(&page, &[("decision", "allow")]).await;
    assert!(end.location().starts_with(REDIRECT_URI));
}

#[tokio::test]
async fn the_answer_comes_back_in_the_mode_that_was_asked_for() {
    let server = server(|_| ()).await;
    let visitor = Visitor::new(&server);
    let fragment = visitor.sign_in(&[("response_mode", "fragment")]).await;
    assert!(
        fragment.starts_with(&format!("{REDIRECT_URI}#code=")),
        "{fragment}"
    );
    let page = visitor.authorize(&[("response_mode", "form_post")]).await;
    let page = visitor.pass_pages(page).await;
    assert_eq!(
        page.attribute("method=\"post\" action=\"").as_deref(),
        Some(REDIRECT_URI)
    );
    assert_eq!(
        page.attribute("name=\"state\" value=\"").as_deref(),
        Some("the state")
    );
    assert_eq!(
        visitor
            .redeem(&page.attribute("name=\"code\" value=\"").unwrap())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn prompts_are_honoured() {
    let server = server(|_| ()).await;
    let visitor = Visitor::new(&server);
    let error = async |extra: &[(&str, &str)]| {
        let answer = visitor.authorize(extra).await;
        parameters(answer.location())
            .remove("error")
            .unwrap_or_default()
    };
    assert_eq!(error(&[("prompt", "none")]).await, "login_required");
    let first = visitor.tokens().await;
    assert!(first["refresh_token"].is_string());

    // Without consent, offline_access does not count; everything else was agreed to.
    let silent = visitor.authorize(&[("prompt", "none")]).await;
    let tokens = visitor
        .redeem(&parameters(silent.location())["code"])
        .await
        .json();
    assert_eq!(
        (&tokens["scope"], &tokens["refresh_token"]),
        (&json!("openid profile email"), &Value::Null)
    );
    assert_eq!(
        error(&[("prompt", "none"), ("scope", "openid api")]).await,
        "consent_required"
    );
    assert_eq!(
        error(&[("prompt", "none"), ("client_id", "demo-post")]).await,
        "consent_required"
    );

    assert!(visitor.authorize(&[]).await.url.contains("/consent/"));
    assert!(
        visitor
            .authorize(&[("prompt", "login")])
            .await
            .url
            .contains("/login/")
    );
    assert_eq!(error(&[("prompt", "none"), ("max_age", "3600")]).await, "");
}

#[tokio::test]
async fn refused_consent_is_told_to_the_client() {
    let server = server(|_| ()).await;
    let visitor = Visitor::new(&server);
    let page = visitor.authorize(&[]).await;
    let fields = [
        ("username", visitor.username()),
        ("password", visitor.password()),
    ];
    let page = visitor.submit(&page, &fields).await;
    let end = visitor.submit(&page, &[("decision", "deny")]).await;
    assert_eq!(parameters(end.location())["error"], "access_denied");
    assert_eq!(parameters(end.location())["iss"], server.issuer());
}

#[tokio::test]
async fn a_client_in_doubt_gets_no_redirect() {
    let server = server(|_| ()).await;
    let visitor = Visitor::new(&server);
    for extra in [
        [("redirect_uri", "https://app.example.com/callback/")],
        [("redirect_uri", "https://app.example.com/callback?x=1")],
        [("client_id", "nobody")],
    ] {
        let answer = visitor.authorize(&extra).await;
        assert_eq!((answer.status, answer.location()), (400, ""), "{extra:?}");
    }
}

#[tokio::test]
async fn a_code_that_comes_again_takes_its_tokens_with_it() {
    let server = server(|_| ()).await;
    let visitor = Visitor::new(&server);
    let code = visitor.code(&[]).await;
    let tokens = visitor.redeem(&code).await.json();
    assert_eq!(
        visitor
            .get_with("/userinfo", text(&tokens, "access_token"))
            .await
            .status,
        200
    );
    let again = visitor.redeem(&code).await;
    assert_eq!(
        (again.status, again.json()["error"].as_str()),
        (400, Some("invalid_grant"))
    );
    assert_eq!(
        visitor
            .get_with("/userinfo", text(&tokens, "access_token"))
            .await
            .status,
        401
    );
    assert_eq!(
        visitor.refresh(text(&tokens, "refresh_token")).await.status,
        400
    );
    assert_eq!(count(&server, EventKind::CodeReused), 1);
}

#[tokio::test]
async fn a_code_needs_its_verifier_its_address_and_its_client() {
    let server = server(|_| ()).await;
    let visitor = Visitor::new(&server);
    let good = [
        ("grant_type", "authorization_code"),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", visitor::VERIFIER),
    ];
    for (name, value) in [
        (
            "code_verifier",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        ),
        ("code_verifier", ""),
        ("redirect_uri", "http://127.0.0.1:1/callback"),
        ("redirect_uri", ""),
    ] {
        let code = visitor.code(&[]).await;
        let mut fields = vec![("code", code.as_str())];
        fields.extend(good.map(|(own, usual)| (own, if own == name { value } else { usual })));
        let answer = visitor.call("/token", &fields).await;
        assert_eq!(answer.json()["error"], "invalid_grant", "{name}={value}");
        assert_eq!(
            visitor.redeem(&code).await.status,
            400,
            "the code is spent all the same"
        );
    }
    let code = visitor.code(&[]).await;
    let other = Visitor::new(&server).with_client("demo-post");
    assert_eq!(other.redeem(&code).await.json()["error"], "invalid_grant");
    assert_eq!(
        visitor.redeem(&code).await.status,
        200,
        "a stranger cannot spend it"
    );
}

#[tokio::test]
async fn a_rotated_refresh_token_that_comes_again_kills_its_family() {
    let server = server(|_| ()).await;
    let visitor = Visitor::new(&server);
    let first = visitor.tokens().await;
    let second = visitor.refresh(text(&first, "refresh_token")).await.json();
    let reuse = visitor.refresh(text(&first, "refresh_token")).await;
    assert_eq!(
        (reuse.status, reuse.json()["error"].as_str()),
        (400, Some("invalid_grant"))
    );
    assert_eq!(
        visitor.refresh(text(&second, "refresh_token")).await.status,
        400
    );
    assert_eq!(
        visitor
            .get_with("/resource", text(&second, "access_token"))
            .await
            .status,
        401
    );
    assert_eq!(count(&server, EventKind::RefreshTokenReused), 1);
}

#[tokio::test]
async fn without_rotation_the_refresh_token_stays() {
    let server = server(|config| config.rotate = false).await;
    let visitor = Visitor::new(&server);
    let tokens = visitor.tokens().await;
    for _ in 0..2 {
        let refreshed = visitor.refresh(text(&tokens, "refresh_token")).await.json();
        assert_eq!(refreshed["refresh_token"], Value::Null);
        assert_ne!(refreshed["access_token"], tokens["access_token"]);
    }
}

#[tokio::test]
async fn codes_and_tokens_expire() {
    let server = server(|config| {
        config.lifetimes.code = std::time::Duration::from_secs(1);
        config.lifetimes.access_token = std::time::Duration::from_secs(2);
    })
    .await;
    let visitor = Visitor::new(&server);
    let code = visitor.code(&[]).await;
    let own = visitor
        .call("/token", &[("grant_type", "client_credentials")])
        .await
        .json();
    let token = text(&own, "access_token").to_owned();
    while visitor
        .call("/introspect", &[("token", &token)])
        .await
        .json()["active"]
        == true
    {
        tokio::task::yield_now().await;
    }
    let answer = visitor.redeem(&code).await.json();
    assert_eq!(
        answer["error_description"],
        "the authorization code has expired"
    );
}

#[tokio::test]
async fn clients_authenticate_as_registered_and_in_no_other_way() {
    let secret = "p& %+=:/é";
    let server = server(|config| config.clients[0].secret = Some(Secret::new(secret))).await;
    let mut visitor = Visitor::new(&server);
    visitor.client.secret = Some(Secret::new(secret));
    let own = [("grant_type", "client_credentials")];
    let good = visitor.call("/token", &own).await;
    assert_eq!(
        (good.status, &good.json()["scope"]),
        (200, &json!("api")),
        "{good:?}"
    );
    let token = text(&good.json(), "access_token").to_owned();
    assert_eq!(visitor.get_with("/resource", &token).await.status, 200);
    assert_eq!(visitor.get_with("/userinfo", &token).await.status, 403);

    let refused = visitor
        .call_as("/token", &own, ClientAuth::ClientSecretBasic, "wrong")
        .await;
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (401, Some("invalid_client"))
    );
    assert!(refused.header("www-authenticate").starts_with("Basic "));
    for auth in [ClientAuth::ClientSecretPost, ClientAuth::None] {
        assert_eq!(
            visitor.call_as("/token", &own, auth, secret).await.status,
            401,
            "{auth:?}"
        );
    }
    let twice = [
        ("grant_type", "client_credentials"),
        ("client_secret", secret),
    ];
    assert_eq!(
        visitor.call("/token", &twice).await.json()["error"],
        "invalid_request"
    );

    // Not encoded before it was joined, as many clients do it: refused, for the rule is there for such secrets.
    let request = visitor
        .http
        .post(visitor.at("/token"))
        .basic_auth("demo-basic", Some(secret));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let answer = visitor
        .send(request.body("grant_type=client_credentials"))
        .await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn token_requests_are_read_strictly() {
    let server = server(|_| ()).await;
    let visitor = Visitor::new(&server);
    let check = async |fields: &[(&str, &str)], error: &str| {
        assert_eq!(
            visitor.call("/token", fields).await.json()["error"],
            error,
            "{fields:?}"
        );
    };
    check(&[], "invalid_request").await;
    check(&[("grant_type", "password")], "unsupported_grant_type").await;
    check(&[("grant_type", "authorization_code")], "invalid_request").await;
    check(
        &[("grant_type", "client_credentials"), ("scope", "openid")],
        "invalid_scope",
    )
    .await;
    check(
        &[
            ("grant_type", "refresh_token"),
            ("grant_type", "refresh_token"),
        ],
        "invalid_request",
    )
    .await;
    let tokens = visitor.tokens().await;
    let refresh = text(&tokens, "refresh_token");
    let more = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("scope", "openid api"),
    ];
    check(&more, "invalid_scope").await;
    let less = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("scope", "openid"),
    ];
    assert_eq!(
        visitor.call("/token", &less).await.json()["scope"],
        "openid"
    );
    let public = Visitor::new(&server).with_client("demo-public");
    let own = public
        .call("/token", &[("grant_type", "client_credentials")])
        .await;
    assert_eq!(own.json()["error"], "unauthorized_client");
    let json = visitor
        .http
        .post(visitor.at("/token"))
        .header("content-type", "application/json")
        .body("{}");
    assert_eq!(visitor.send(json).await.json()["error"], "invalid_request");
}

#[tokio::test]
async fn a_sign_in_belongs_to_the_browser_that_began_it() {
    let server = server(|_| ()).await;
    let visitor = Visitor::new(&server);
    let page = visitor.authorize(&[]).await;
    let stranger = Visitor::new(&server);
    let elsewhere = stranger.get(&page.url).await;
    assert_eq!(elsewhere.status, 400);
    assert!(elsewhere.body.contains("Session expired"));
    let path = page.attribute("action=\"").unwrap();
    let fields = [
        ("csrf", "guessed"),
        ("username", visitor.username()),
        ("password", visitor.password()),
    ];
    assert_eq!(visitor.post(&path, &fields).await.status, 403);
    assert_eq!(count(&server, EventKind::LoginAccepted), 0);
}

#[tokio::test]
async fn a_one_time_code_is_taken_once() {
    let server = server(|_| ()).await;
    let to_code = async |visitor: &Visitor| {
        let page = visitor.authorize(&[]).await;
        let fields = [
            ("username", visitor.username()),
            ("password", visitor.password()),
        ];
        visitor.submit(&page, &fields).await
    };
    let first = Visitor::new(&server).with_second_factor();
    let code = totp(0);
    let page = to_code(&first).await;
    assert!(
        first
            .submit(&page, &[("code", &code)])
            .await
            .url
            .contains("/consent/")
    );
    let second = Visitor::new(&server).with_second_factor();
    let page = to_code(&second).await;
    let refused = second.submit(&page, &[("code", &code)]).await;
    assert!(refused.body.contains("role=\"alert\""), "{refused:?}");
    assert!(
        second
            .submit(&refused, &[("code", &totp(1))])
            .await
            .url
            .contains("/consent/")
    );
}

#[tokio::test]
async fn an_account_is_locked_after_too_many_wrong_passwords() {
    let server = server(|config| config.lock_after = 3).await;
    let visitor = Visitor::new(&server);
    let mut page = visitor.authorize(&[]).await;
    for round in 1..=3 {
        page = visitor
            .submit(
                &page,
                &[("username", visitor.username()), ("password", "wrong")],
            )
            .await;
        assert_eq!(page.body.contains("locked"), round == 3, "round {round}");
    }
    let fields = [
        ("username", visitor.username()),
        ("password", visitor.password()),
    ];
    assert!(visitor.submit(&page, &fields).await.body.contains("locked"));
    let fields = [("username", "nobody@example.com"), ("password", "x")];
    assert!(
        visitor
            .submit(&page, &fields)
            .await
            .body
            .contains("Incorrect")
    );
    assert_eq!(count(&server, EventKind::LoginRefused), 3);
}

#[tokio::test]
async fn signing_out_asks_where_nothing_proves_who_wants_it() {
    let server = server(|_| ()).await;
    let visitor = Visitor::new(&server);
    let tokens = visitor.tokens().await;
    let page = visitor.get("/logout").await;
    assert!(page.body.contains("Do you want to sign out?"), "{page:?}");
    assert_eq!(count(&server, EventKind::LoggedOut), 0);
    let done = visitor.submit(&page, &[("decision", "sign_out")]).await;
    assert!(done.body.contains("You are signed out."), "{done:?}");
    assert_eq!(count(&server, EventKind::LoggedOut), 1);
    let hint = text(&tokens, "id_token");
    for query in [
        format!("id_token_hint={hint}&post_logout_redirect_uri=https://evil.example/"),
        format!("id_token_hint={hint}x"),
        "post_logout_redirect_uri=https://app.example.com/".to_owned(),
        format!("id_token_hint={hint}&client_id=demo-post"),
    ] {
        let answer = visitor.get(&format!("/logout?{query}")).await;
        assert_eq!((answer.status, answer.location()), (400, ""), "{query}");
    }
}

#[tokio::test]
async fn one_client_learns_nothing_of_the_tokens_of_another() {
    let server = server(|_| ()).await;
    let visitor = Visitor::new(&server);
    let tokens = visitor.tokens().await;
    let other = Visitor::new(&server).with_client("demo-post");
    for name in ["access_token", "refresh_token"] {
        let token = [("token", text(&tokens, name))];
        assert_eq!(
            other.call("/introspect", &token).await.json(),
            json!({"active": false})
        );
        assert_eq!(other.call("/revoke", &token).await.status, 200);
        assert_eq!(
            visitor.call("/introspect", &token).await.json()["active"],
            true
        );
    }
    assert_eq!(
        other.refresh(text(&tokens, "refresh_token")).await.status,
        400
    );
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    let mut config = authcanary::loopback::Config::demo();
    config.listen = "0.0.0.0:0".parse().unwrap();
    let error = authcanary::loopback::start(config).await.unwrap_err();
    assert_eq!(error.to_string(), "0.0.0.0 is no loopback address");
}

#[tokio::test]
async fn a_configuration_that_contradicts_itself_is_refused() {
    let check = async |change: fn(&mut authcanary::loopback::Config), problem: &str| {
        let mut config = authcanary::loopback::Config::demo();
        change(&mut config);
        assert_eq!(
            authcanary::loopback::start(config)
                .await
                .unwrap_err()
                .to_string(),
            problem
        );
    };
    check(
        |config| config.clients[1].id = "demo-basic".into(),
        "client demo-basic is there twice",
    )
    .await;
    check(
        |config| config.clients[0].secret = None,
        "client demo-basic needs a secret exactly when it authenticates with one",
    )
    .await;
    check(
        |config| config.accounts[1].totp = Some(Secret::new("short")),
        "TOTP secret of account totp@example.com is not base32 of at least 128 bits",
    )
    .await;
}

#[tokio::test]
async fn stopping_waits_for_nobody_and_frees_the_port() {
    let server = server(|config| config.clients[0].alg = SigningAlg::Es256).await;
    let address = server.address();
    let idle = tokio::net::TcpStream::connect(address).await.unwrap();
    server.stop().await;
    drop(idle);
    let mut config = authcanary::loopback::Config::demo();
    config.listen = address;
    authcanary::loopback::start(config)
        .await
        .unwrap()
        .stop()
        .await;
}
