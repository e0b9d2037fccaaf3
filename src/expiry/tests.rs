use std::path::PathBuf;

use jiff::SignedDuration;
use uuid::Uuid;

use super::*;
use crate::probe::{
    Account, Alerts, Budget, Cadence, Client, ClientAuth, Endpoints, Expires, Flow, Login, ProbeId,
    RefreshLimits, Server,
};
use crate::run::{Certificate, Peer, RUN_VERSION, Raw, RunId, Timings};

fn at(text: &str) -> Timestamp {
    let whole = if text.len() == 10 {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    whole.parse().unwrap()
}

fn probe(expires: Expires) -> Probe {
    Probe {
        id: ProbeId::new("acme", "prod", None),
        provider: "acme".to_owned(),
        environment: "prod".to_owned(),
        flow: Flow::AuthorizationCode,
        cadence: Cadence::Every(Duration::from_secs(300)),
        timeout: Duration::from_secs(60),
        step_timeout: Duration::from_secs(30),
        scopes: vec![],
        server: Server {
            issuer: None,
            endpoints: Endpoints::default(),
        },
        client: Client {
            id: "canary".to_owned(),
            auth: ClientAuth::None,
            secret: None,
            id_token_alg: None,
        },
        redirect_uri: None,
        response_mode: None,
        account: Some(Account {
            username: "kim@example.com".to_owned(),
            password: None,
            totp: None,
        }),
        authorize_params: BTreeMap::new(),
        token_params: BTreeMap::new(),
        headers: BTreeMap::new(),
        traceparent: false,
        login: Login::Auto,
        steps: vec![],
        guards: vec![],
        errors: vec![],
        budget: Budget::default(),
        expires,
        alerts: Alerts::default(),
        maintenance: Vec::new(),
        source: PathBuf::new(),
    }
}

/// A run that passed at `started_at` and learned these facts.
fn run(started_at: &str, facts: &[(&str, &str)]) -> Run {
    let facts = facts
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Run {
        version: RUN_VERSION,
        id: RunId(Uuid::nil()),
        probe: ProbeId::new("acme", "prod", None),
        provider: "acme".to_owned(),
        environment: "prod".to_owned(),
        location: "here".to_owned(),
        scheduled_at: None,
        started_at: at(started_at),
        duration_ms: 1000,
        outcome: Outcome::Ok,
        verdict: None,
        steps: vec![],
        warnings: vec![],
        evidence: Some(Evidence {
            facts: facts.collect(),
            ..Evidence::default()
        }),
    }
}

fn asked(mut run: Run, host: &str, not_after: &str) -> Run {
    let certificate = |subject: &str, not_after| Certificate {
        subject: subject.to_owned(),
        issuer: "CN=somebody".to_owned(),
        not_before: at("2020-01-01"),
        not_after,
        sha256: String::new(),
    };
    let exchange = Exchange {
        stage: Stage::Discovery,
        span_id: None,
        started_at: run.started_at,
        method: "GET".to_owned(),
        url: format!("https://{host}/x"),
        request_headers: vec![],
        request_body: String::new(),
        protocol: None,
        status: Some(200),
        response_headers: vec![],
        response_body: String::new(),
        response_size_bytes: 0,
        timings: Timings::default(),
        peer: Some(Peer {
            address: None,
            certificates: vec![
                certificate(&format!("CN={host}"), at(not_after)),
                certificate("CN=an old authority", at("2021-09-30")),
            ],
        }),
        error: None,
    };
    run.evidence.as_mut().unwrap().exchanges.push(exchange);
    run
}

fn failed(mut run: Run, stage: Stage, class: Class, said: &str) -> Run {
    run.outcome = class.outcome();
    run.verdict = Some(Verdict {
        stage,
        class,
        cause: class.cause(),
        action: class.action(),
        detail: "refused".to_owned(),
        rule: None,
        raw: Some(Raw {
            status: Some(400),
            headers: vec![],
            body: String::new(),
            error: None,
            error_description: Some(said.to_owned()),
        }),
    });
    run
}

/// `kind at: what`, one a line.
#[track_caller]
fn check(expires: Expires, runs: &[Run], now: &str, expected: &[&str]) {
    let mut seen = Seen::default();
    for run in runs {
        seen.learn(run);
    }
    let found = expiries(&probe(expires), &seen, at(now));
    let lines = found
        .iter()
        .map(|Expiry { kind, at, what, .. }| format!("{} {at}: {what}", kind.as_str()));
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}

const NOTHING: Expires = Expires {
    client_secret: None,
    client_key: None,
    client_certificate: None,
    account_password: None,
    refresh_token: RefreshLimits {
        lifetime: None,
        idle: None,
    },
};

#[test]
fn what_is_declared_is_known_before_the_first_run() {
    let expires = Expires {
        client_secret: Some(at("2027-03-01")),
        client_key: Some(at("2027-01-01")),
        client_certificate: Some(at("2027-02-01")),
        account_password: Some(at("2026-12-01")),
        ..NOTHING
    };
    let expected = [
        "account_password 2026-12-01T00:00:00Z: password of kim@example.com (as declared)",
        "client_key 2027-01-01T00:00:00Z: key of client canary (as declared)",
        "client_certificate 2027-02-01T00:00:00Z: certificate of client canary (as declared)",
        "client_secret 2027-03-01T00:00:00Z: secret of client canary (as declared)",
    ];
    check(expires, &[], "2026-06-01", &expected);
    check(NOTHING, &[], "2026-06-01", &[]);
}

#[test]
fn certificates_are_kept_by_host_and_only_the_first_of_a_chain_counts() {
    let first = asked(run("2026-06-01", &[]), "sso.example.com", "2026-09-01");
    let first = asked(first, "api.example.com", "2026-08-01");
    let api =
        "tls_certificate 2026-08-01T00:00:00Z: certificate of api.example.com (CN=api.example.com)";
    let sso =
        "tls_certificate 2026-09-01T00:00:00Z: certificate of sso.example.com (CN=sso.example.com)";
    check(
        NOTHING,
        std::slice::from_ref(&first),
        "2026-06-01",
        &[api, sso],
    );

    // A run that stopped early asked one of them; the certificate was renewed meanwhile.
    let early = asked(run("2026-06-02", &[]), "sso.example.com", "2027-09-01");
    let early = failed(early, Stage::Discovery, Class::HttpServerError, "");
    let renewed =
        "tls_certificate 2027-09-01T00:00:00Z: certificate of sso.example.com (CN=sso.example.com)";
    check(
        NOTHING,
        &[first.clone(), early],
        "2026-06-02",
        &[api, renewed],
    );

    // A run that passed asked everybody: a host that is no longer in use is forgotten.
    let whole = asked(run("2026-06-03", &[]), "sso.example.com", "2027-09-01");
    check(NOTHING, &[first, whole], "2026-06-03", &[renewed]);
}

#[test]
fn a_refresh_token_ends_by_its_life_or_by_lying_unused() {
    let granted = [("refresh_token.granted_at", "2026-06-01T00:00:00Z")];
    let limits = |lifetime: u64, idle: u64| Expires {
        refresh_token: RefreshLimits {
            lifetime: (lifetime > 0).then(|| Duration::from_secs(lifetime * 86_400)),
            idle: (idle > 0).then(|| Duration::from_secs(idle * 86_400)),
        },
        ..NOTHING
    };
    let one = |facts: &[(&str, &str)]| vec![run("2026-06-01", facts)];
    check(NOTHING, &one(&granted), "2026-06-01", &[]);
    check(limits(30, 0), &one(&[]), "2026-06-01", &[]);
    let declared =
        "refresh_token 2026-07-01T00:00:00Z: the newest refresh token, by its declared lifetime";
    check(limits(30, 60), &one(&granted), "2026-06-01", &[declared]);
    let idle = "refresh_token 2026-06-08T00:00:00Z: the newest refresh token, by the declared limit, if it lies unused";
    check(limits(30, 7), &one(&granted), "2026-06-01", &[idle]);
    let told = [granted[0], ("refresh_token.expires_in_s", "86400")];
    let says =
        "refresh_token 2026-06-02T00:00:00Z: the newest refresh token, by what the provider says";
    check(limits(30, 7), &one(&told), "2026-06-01", &[says]);
    // Used, and not rotated: its life goes on from its grant, its idle time begins anew.
    let runs = [
        run("2026-06-01", &granted),
        run(
            "2026-06-05",
            &[("refresh_token.used_at", "2026-06-05T00:00:00Z")],
        ),
    ];
    let used = "refresh_token 2026-06-12T00:00:00Z: the newest refresh token, by the declared limit, if it lies unused";
    check(limits(30, 7), &runs, "2026-06-05", &[used]);
}

#[test]
fn a_key_that_vanished_too_early_is_told_for_a_day() {
    let first = run(
        "2026-06-01",
        &[
            ("jwks.kids", "k1 k2"),
            ("id_token.kid", "k1"),
            ("id_token.expires_at", "2026-06-01T01:00:00Z"),
        ],
    );
    let without = |started_at| run(started_at, &[("jwks.kids", "k2"), ("id_token.kid", "k2")]);
    let gone = "signing_key 2026-06-01T00:10:00Z: signing key k1 left the key set while tokens it signed are good until 2026-06-01T01:00:00Z";
    let runs = [first.clone(), without("2026-06-01T00:10:00Z")];
    check(NOTHING, &runs, "2026-06-01T00:10:00Z", &[gone]);
    check(NOTHING, &runs, "2026-06-02T00:09:00Z", &[gone]);
    check(NOTHING, &runs, "2026-06-02T00:11:00Z", &[]);
    // Once only, from the run that saw it first.
    let runs = [
        first.clone(),
        without("2026-06-01T00:10:00Z"),
        without("2026-06-01T00:20:00Z"),
    ];
    check(NOTHING, &runs, "2026-06-01T00:20:00Z", &[gone]);
    // Its tokens are over: that is how a key should go. And a key that signed nothing may go at any time.
    check(
        NOTHING,
        &[first.clone(), without("2026-06-01T01:10:00Z")],
        "2026-06-01T01:10:00Z",
        &[],
    );
    check(
        NOTHING,
        &[first, run("2026-06-01T00:10:00Z", &[("jwks.kids", "k1")])],
        "2026-06-01T00:10:00Z",
        &[],
    );
}

#[test]
fn a_key_that_signs_before_others_can_know_it_is_told() {
    let before = |max_age| {
        run(
            "2026-06-01",
            &[
                ("jwks.kids", "k1"),
                ("id_token.kid", "k1"),
                ("jwks.max_age_s", max_age),
            ],
        )
    };
    let after = run(
        "2026-06-01T00:10:00Z",
        &[("jwks.kids", "k1 k2"), ("id_token.kid", "k2")],
    );
    let early = "signing_key 2026-06-01T00:10:00Z: signing key k2 is in use, while the key set of 2026-06-01T00:00:00Z without it may be kept until 2026-06-01T01:00:00Z";
    check(
        NOTHING,
        &[before("3600"), after.clone()],
        "2026-06-01T00:10:00Z",
        &[early],
    );
    check(
        NOTHING,
        &[before("60"), after.clone()],
        "2026-06-01T00:10:00Z",
        &[],
    );
    check(
        NOTHING,
        &[before("nonsense"), after.clone()],
        "2026-06-01T00:10:00Z",
        &[],
    );
    check(NOTHING, &[after], "2026-06-01T00:10:00Z", &[]);
}

#[test]
fn an_error_says_what_is_over_until_a_run_passes() {
    let expired = |stage, class, said: &str| failed(run("2026-06-01", &[]), stage, class, said);
    let secret = expired(
        Stage::TokenExchange,
        Class::ClientSecretExpired,
        "The provided client secret keys are expired.",
    );
    let first_seen = "client_secret 2026-06-01T00:00:00Z: client secret: refused as expired, since then or longer";
    check(
        NOTHING,
        std::slice::from_ref(&secret),
        "2026-06-02",
        &[first_seen],
    );
    // It wins over what was declared, and goes when a run passes.
    let declared = Expires {
        client_secret: Some(at("2027-03-01")),
        ..NOTHING
    };
    check(
        declared.clone(),
        std::slice::from_ref(&secret),
        "2026-06-02",
        &[first_seen],
    );
    let good = run("2026-06-03", &[]);
    check(
        declared,
        &[secret.clone(), good],
        "2026-06-03",
        &["client_secret 2027-03-01T00:00:00Z: secret of client canary (as declared)"],
    );

    // Each further refusal tells nothing new, and a declared end that has come explains it.
    let again = failed(
        run("2026-06-02", &[]),
        Stage::TokenExchange,
        Class::ClientSecretExpired,
        "expired",
    );
    check(
        NOTHING,
        &[secret.clone(), again],
        "2026-06-02",
        &[first_seen],
    );
    let past = Expires {
        client_secret: Some(at("2026-05-31")),
        ..NOTHING
    };
    let as_declared = "client_secret 2026-05-31T00:00:00Z: secret of client canary (as declared)";
    check(past, &[secret], "2026-06-02", &[as_declared]);

    let cases = [
        (
            Stage::TokenExchange,
            Class::ClientSecretExpired,
            "The certificate used to sign the assertion is expired. Found key 'Start=01/01/2024 00:00:00, End=01/31/2026 00:00:00'",
            "client_certificate 2026-01-31T00:00:00Z: client certificate: refused as expired, as the answer says",
        ),
        (
            Stage::Refresh,
            Class::RefreshTokenExpired,
            "The token was issued on 2026-01-01T00:00:00Z and was inactive for 90.00:00:00.",
            "refresh_token 2026-04-01T00:00:00Z: refresh token: refused as expired, as the answer says",
        ),
        (
            Stage::Login,
            Class::AccountLocked,
            "The password is expired.",
            "account_password 2026-06-01T00:00:00Z: account password: refused as expired, since then or longer",
        ),
    ];
    for (stage, class, said, expected) in cases {
        check(
            NOTHING,
            &[expired(stage, class, said)],
            "2026-06-01",
            &[expected],
        );
    }
    // A page that asks for a new one says so in any language.
    let mut due = expired(Stage::Login, Class::AccountLocked, "");
    if let Some(verdict) = &mut due.verdict {
        verdict.detail = format!("{PASSWORD_IS_DUE}: Neues Passwort (status 200)");
    }
    let over = "account_password 2026-06-01T00:00:00Z: account password: refused as expired, since then or longer";
    check(NOTHING, &[due], "2026-06-01", &[over]);
    check(
        NOTHING,
        &[expired(
            Stage::Login,
            Class::AccountLocked,
            "too many attempts",
        )],
        "2026-06-01",
        &[],
    );
}

#[test]
fn the_first_of_each_kind_is_the_figure() {
    let expiry = |kind, text| Expiry {
        kind,
        at: at(text),
        what: String::new(),
        is_refusal: false,
    };
    let all = [
        expiry(Kind::TlsCertificate, "2026-09-01"),
        expiry(Kind::TlsCertificate, "2026-08-01"),
        expiry(Kind::ClientSecret, "2027-01-01"),
    ];
    let first = BTreeMap::from([
        ("tls_certificate", at("2026-08-01")),
        ("client_secret", at("2027-01-01")),
    ]);
    assert_eq!(first_of_each(&all), first);
}

#[test]
fn a_hostile_key_set_stays_bounded() {
    let names: Vec<String> = (0..10_000).map(|n| format!("k{n}")).collect();
    let mut seen = Seen::default();
    for n in 0..1000 {
        let signer = format!("s{n}");
        let facts = [
            ("jwks.kids", names.join(" ")),
            ("id_token.kid", signer),
            ("id_token.expires_at", "2099-01-01T00:00:00Z".to_owned()),
            ("jwks.max_age_s", "9223372036854775807".to_owned()),
        ];
        let facts: Vec<_> = facts
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let mut run = run("2026-06-01", &facts);
        run.started_at += SignedDuration::from_secs(n);
        seen.learn(&run);
    }
    assert!(expiries(&probe(NOTHING), &seen, at("2026-06-01")).len() <= 1);
}
