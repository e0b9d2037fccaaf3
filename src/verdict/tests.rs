mod corpus;
mod strangers;

use proptest::prelude::*;

use super::*;
use crate::taxonomy::{Action, Cause, Outcome};

fn raw(status: Option<u16>, error: Option<&str>) -> Raw {
    Raw {
        status,
        headers: Vec::new(),
        body: String::new(),
        error: error.map(str::to_owned),
        error_description: None,
    }
}

fn judged(stage: Stage, fault: Fault) -> Verdict {
    judge(&Stop { stage, fault }, &Known::default())
}

#[test]
fn answers_are_named_by_error_then_by_status() {
    let check = |stage: Stage, status: u16, error: &str, expected: Class| {
        let error = Some(error).filter(|error| !error.is_empty());
        let verdict = judged(stage, Fault::Answer(raw(Some(status), error)));
        assert_eq!(verdict.class, expected, "{stage} {status} {error:?}");
        assert_eq!(verdict.cause, expected.cause());
        assert_eq!(verdict.action, expected.action());
    };
    use Class::*;
    let token = Stage::TokenExchange;
    check(token, 400, "invalid_request", InvalidRequest);
    check(token, 401, "invalid_client", InvalidClient);
    check(token, 400, "invalid_grant", InvalidGrant);
    check(token, 500, "invalid_grant", InvalidGrant);
    check(token, 200, "invalid_grant", InvalidGrant);
    check(token, 400, "unauthorized_client", UnauthorizedClient);
    check(token, 400, "unsupported_grant_type", UnsupportedGrantType);
    check(token, 400, "invalid_scope", InvalidScope);
    check(token, 400, "invalid_target", InvalidTarget);
    check(token, 400, "invalid_dpop_proof", InvalidDpopProof);
    check(token, 400, "use_dpop_nonce", InvalidDpopProof);
    check(token, 400, "slow_down", RateLimited);
    check(token, 400, "expired_token", DeviceCodeExpired);
    check(
        token,
        503,
        "temporarily_unavailable",
        TemporarilyUnavailable,
    );
    check(token, 200, "quux", ErrorHiddenInSuccess);
    check(token, 200, "", MalformedResponse);
    check(token, 400, "quux", HttpClientError);
    check(token, 404, "Not Found", HttpClientError);
    check(token, 500, "Internal Server Error", HttpServerError);
    check(token, 400, "token_missing", InvalidRequest);
    check(token, 400, "browser_crashed", HttpClientError);
    check(token, 401, "", InvalidClient);
    check(token, 407, "", ProxyError);
    check(token, 408, "", RequestTimeout);
    check(token, 429, "", RateLimited);
    check(token, 502, "", HttpServerError);
    check(token, 530, "", HttpServerError);
    check(token, 302, "", MalformedResponse);
    check(token, 100, "", MalformedResponse);
    check(Stage::Par, 413, "", InvalidRequest);
    check(Stage::Discovery, 404, "", HttpClientError);
    check(Stage::Userinfo, 401, "", InvalidToken);
    check(Stage::Resource, 401, "expired_token", InvalidToken);
    check(
        Stage::Resource,
        403,
        "insufficient_scope",
        InsufficientScope,
    );
    check(
        Stage::Revocation,
        400,
        "unsupported_token_type",
        UnsupportedTokenType,
    );
    check(Stage::Introspection, 401, "", InvalidClient);
}

#[test]
fn errors_at_the_redirect_uri_are_named() {
    let check = |error: &str, expected: Class| {
        let verdict = judged(Stage::Callback, Fault::Callback(raw(None, Some(error))));
        assert_eq!(
            (verdict.class, verdict.stage),
            (expected, Stage::Callback),
            "{error}"
        );
    };
    check("access_denied", Class::AccessDenied);
    check("access-denied", Class::AccessDenied);
    check("login_required", Class::LoginRequired);
    check("consent_required", Class::ConsentRequired);
    check("interaction_required", Class::InteractionRequired);
    check("account_selection_required", Class::InteractionRequired);
    check("unsupported_response_type", Class::UnsupportedResponseType);
    check("unsupported_response_mode", Class::UnsupportedResponseType);
    check("unmet_authentication_requirements", Class::MfaRequired);
    check("invalid_request_object", Class::InvalidRequest);
    check("request_uri_not_supported", Class::InvalidRequest);
    check("redirect_uri_mismatch", Class::RedirectUriMismatch);
    check("server_error", Class::ServerError);
    check("temporarily_unavailable", Class::TemporarilyUnavailable);
    check("quux", Class::ServerError);
}

#[test]
fn maintenance_is_told_from_a_broken_server() {
    let mut answer = raw(Some(503), None);
    assert_eq!(
        judged(Stage::TokenExchange, Fault::Answer(answer.clone())).class,
        Class::HttpServerError
    );
    answer.headers = vec![("retry-after".to_owned(), "3600".to_owned())];
    let verdict = judged(Stage::TokenExchange, Fault::Answer(answer));
    assert_eq!(verdict.class, Class::TemporarilyUnavailable);
    assert_eq!(
        verdict.detail,
        "token endpoint answered 503 (retry after 3600)"
    );
}

#[test]
fn the_detail_is_one_line_that_says_who_answered_what() {
    let check = |stage: Stage, status: Option<u16>, description: &str, expected: &str| {
        let mut answer = raw(status, Some("invalid_client"));
        answer.error_description = Some(description.to_owned());
        let verdict = judged(stage, Fault::Answer(answer.clone()));
        assert_eq!(verdict.detail, expected);
        assert_eq!(verdict.raw, Some(answer));
    };
    check(
        Stage::TokenExchange,
        Some(401),
        "client authentication\r\n failed",
        "token endpoint answered 401 invalid_client: client authentication failed",
    );
    check(
        Stage::Callback,
        None,
        "no",
        "the provider came back to the redirect URI with invalid_client: no",
    );
    let long = "é".repeat(400);
    let cut = format!("resource answered 400 invalid_client: {}…", "é".repeat(300));
    check(Stage::Resource, Some(400), &long, &cut);
}

#[test]
fn some_classes_say_where_it_broke() {
    let check = |class: Class, expected: Stage| {
        let finding = Finding::new(class, "x");
        let fault = match class.family() {
            Family::Monitor => Fault::Monitor(finding),
            Family::Browser => Fault::Page(finding),
            Family::Transport => Fault::Transport(finding),
            Family::Protocol | Family::Response | Family::Security => Fault::Check(finding),
        };
        let verdict = judged(Stage::Jwks, fault);
        assert_eq!((verdict.stage, verdict.class), (expected, class));
    };
    check(Class::DnsFailure, Stage::Dns);
    check(Class::ConnectRefused, Stage::Connect);
    check(Class::ProxyError, Stage::Connect);
    check(Class::TlsExpired, Stage::Tls);
    check(Class::ConnectionReset, Stage::Jwks);
    check(Class::RequestTimeout, Stage::Jwks);
    check(Class::BrowserCrashed, Stage::Browser);
    check(Class::WebdriverUnavailable, Stage::Monitor);
    check(Class::Overloaded, Stage::Monitor);
    check(Class::ConfigInvalid, Stage::Config);
    check(Class::BotChallenge, Stage::Jwks);
    check(Class::NonceMismatch, Stage::Jwks);
}

#[test]
fn a_fault_of_ours_is_never_the_provider_s() {
    for class in Class::all() {
        let verdict = judged(
            Stage::TokenExchange,
            Fault::Monitor(Finding::new(class, "x")),
        );
        assert_eq!(verdict.class.outcome(), Outcome::Unknown, "{class}");
        assert_eq!(
            (verdict.cause, verdict.action),
            (Cause::Monitor, Action::FixMonitor)
        );
    }
}

proptest! {
    #[test]
    fn every_answer_has_a_verdict_that_blames_no_monitor(
        stage in prop::sample::select(Stage::all().collect::<Vec<_>>()),
        status in prop::option::of(any::<u16>()),
        error in prop::option::of("\\PC{0,20}"),
        description in prop::option::of("\\PC{0,400}"),
    ) {
        let mut answer = raw(status, error.as_deref());
        answer.error_description = description;
        let verdict = judged(stage, Fault::Answer(answer));
        prop_assert_eq!(verdict.class.outcome(), Outcome::Failed);
        prop_assert!(!verdict.detail.contains('\n'));
    }
}

proptest! {
    /// Also with the tables of providers, and whatever the probe claims to know.
    #[test]
    fn any_case_has_a_judgement_of_the_taxonomy(
        provider in prop::sample::select(crate::provider::ALL.iter().map(|one| one.name).collect::<Vec<_>>()),
        stage in prop::sample::select(Stage::all().collect::<Vec<_>>()),
        status in prop::option::of(any::<u16>()),
        start in prop::sample::select(vec![
            "", "<", "<html><title>", "{\"error\":\"", "[{\"errorCode\":\"", "error=", "AADSTS", "<a><![CDATA[", ")]}'",
        ]),
        rest in "\\PC{0,300}",
        fact in prop::sample::select(vec!["negative_check", "expected_state", "grant_type", "now", "jwks_kids"]),
        known in "\\PC{0,20}",
        kind in 0_u8..3,
    ) {
        let text = format!("{start}{rest}");
        let answer = match kind {
            0 => Answer::Body(text),
            1 => Answer::Callback(text),
            _ => Answer::Page(Page { url: text.clone(), title: text.clone(), text }),
        };
        let case = Case {
            provider: provider.to_owned(),
            stage,
            status,
            headers: vec![("www-authenticate".to_owned(), rest)],
            answer,
            context: Context(Map::from_iter([(fact.to_owned(), known.into())])),
        };
        let judgement = classify(&case);
        prop_assert_eq!(judgement.class.is_none(), judgement.outcome == Outcome::Ok);
        prop_assert_ne!(judgement.outcome, Outcome::Unknown);
        prop_assert!(!judgement.rule.is_empty());
    }
}

#[test]
fn rules_of_the_probe_file_are_asked_first() {
    let rule = |when: &str, class: Class| ErrorRule {
        when: crate::probe::Expectation(when.to_owned()),
        class,
        cause: None,
        action: Some(Action::Escalate),
    };
    let errors = [
        rule("body.code == 7", Class::Internal),
        rule(
            "status == 400 && body.error == 'quux'",
            Class::EntitlementMissing,
        ),
        rule("headers['x-quota'] == 'spent'", Class::RateLimited),
    ];
    let known = Known {
        errors: &errors,
        ..Known::default()
    };
    let check = |body: &str, headers: &[(String, String)], class: Class, action: Action| {
        let mut answer = raw(Some(400), None);
        body.clone_into(&mut answer.body);
        answer.headers = headers.to_vec();
        let stop = Stop {
            stage: Stage::TokenExchange,
            fault: Fault::Answer(answer),
        };
        let verdict = judge(&stop, &known);
        assert_eq!((verdict.class, verdict.action), (class, action), "{body}");
        assert_eq!(verdict.cause, class.cause());
    };
    let quux = r#"{"error":"quux"}"#;
    let spent = [("x-quota".to_owned(), "spent".to_owned())];
    check(quux, &[], Class::EntitlementMissing, Action::Escalate);
    check("no", &spent, Class::RateLimited, Action::Escalate);
    check(
        r#"{"error":"invalid_scope"}"#,
        &[],
        Class::InvalidScope,
        Action::FixConfig,
    );
}

/// A running probe judges by what it knows, as `classify` does by the `context` of a line.
#[test]
fn what_the_probe_knows_decides_where_the_answer_does_not_say() {
    let check = |provider: &str, stage: Stage, context: Value, class: Class, rule: &str| {
        let known = Known {
            provider,
            context: context.as_object(),
            ..Known::default()
        };
        let stop = Stop {
            stage,
            fault: Fault::Answer(raw(Some(400), Some("invalid_grant"))),
        };
        let verdict = judge(&stop, &known);
        assert_eq!(verdict.class, class, "{context}");
        assert_eq!(verdict.rule.as_deref(), Some(rule), "{context}");
    };
    use serde_json::json;
    let (token, refresh) = (Stage::TokenExchange, Stage::Refresh);
    let plain = (Class::InvalidGrant, "code/invalid_grant");
    check("generic", token, json!({}), plain.0, plain.1);
    check(
        "generic",
        token,
        json!({"code_age_s": 59.5}),
        plain.0,
        plain.1,
    );
    let expired = (Class::CodeExpired, "known/code_expired");
    check(
        "generic",
        token,
        json!({"code_age_s": 601.0}),
        expired.0,
        expired.1,
    );
    let other = json!({"code_age_s": 601.0, "grant_type": "password"});
    check("generic", token, other, plain.0, plain.1);
    let young = json!({"grant_type": "refresh_token", "refresh_token_age_days": 0.01});
    check("zoom", refresh, young, plain.0, plain.1);
    let old = json!({"grant_type": "refresh_token", "refresh_token_age_days": 91.0});
    let dead = (Class::RefreshTokenExpired, "known/refresh_token_expired");
    check("zoom", refresh, old, dead.0, dead.1);
}

/// Work grows with the size of an answer, and not with what is in it.
#[test]
fn the_largest_answers_are_judged_as_well() {
    for part in [
        "<",
        "<a>",
        "[",
        "{\"error\":",
        "invalid_grant ",
        "AADSTS50011: ",
        "error=a&",
        "refresh token expired. ",
    ] {
        let case = Case {
            provider: "generic".to_owned(),
            stage: Stage::TokenExchange,
            status: Some(400),
            headers: Vec::new(),
            answer: Answer::Body(part.repeat((1 << 20) / part.len())),
            context: Context::default(),
        };
        assert_eq!(classify(&case).outcome, Outcome::Failed, "{part}");
    }
}
