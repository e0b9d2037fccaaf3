use super::*;
use crate::oauth::testing::{class_of, reply};

const ISSUER: &str = "https://op.example/realms/main";

fn server(issuer: &str) -> Server {
    Server {
        issuer: Some(issuer.to_owned()),
        endpoints: Endpoints::default(),
    }
}

fn document(change: impl FnOnce(&mut Map<String, Value>)) -> String {
    let mut document = serde_json::json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://op.example/authorize",
        "token_endpoint": "https://op.example/token",
        "jwks_uri": "https://op.example/jwks",
        "something_new": {"a": [1, 2]},
    });
    change(document.as_object_mut().unwrap());
    document.to_string()
}

const NEEDED: [Endpoint; 3] = [Endpoint::Authorization, Endpoint::Token, Endpoint::Jwks];

#[test]
fn documents_are_looked_for_where_the_specifications_put_them() {
    let check = |issuer: &str, expected: &[&str]| {
        let found: Vec<String> = candidates(issuer)
            .unwrap()
            .iter()
            .map(Url::to_string)
            .collect();
        assert_eq!(found, expected, "{issuer}");
    };
    for issuer in [ISSUER.to_owned(), format!("{ISSUER}/")] {
        check(
            &issuer,
            &[
                "https://op.example/realms/main/.well-known/openid-configuration",
                "https://op.example/.well-known/oauth-authorization-server/realms/main",
                "https://op.example/.well-known/openid-configuration/realms/main",
            ],
        );
    }
    for issuer in ["http://127.0.0.1:8080", "http://127.0.0.1:8080/"] {
        check(
            issuer,
            &[
                "http://127.0.0.1:8080/.well-known/openid-configuration",
                "http://127.0.0.1:8080/.well-known/oauth-authorization-server",
            ],
        );
    }
    for nonsense in [
        "",
        "op.example",
        "mailto:a@b",
        "ftp://op.example",
        "{tenant}",
    ] {
        let fault = candidates(nonsense).unwrap_err();
        assert_eq!(class_of(&fault), Some(Class::ConfigInvalid), "{nonsense}");
    }
}

#[test]
fn a_document_that_does_not_hold_up_is_named() {
    let check = |body: &str, expected: Class| {
        let fault = read(&reply(200, &[], body), &server(ISSUER), &NEEDED).unwrap_err();
        assert_eq!(class_of(&fault), Some(expected), "{body} {fault:?}");
    };
    let without = |name: &str| document(|all| drop(all.shift_remove(name)));
    let with =
        |name: &str, value: &str| document(|all| drop(all.insert(name.into(), value.into())));
    check("", Class::MetadataInvalid);
    check("<html>", Class::MetadataInvalid);
    check("[]", Class::MetadataInvalid);
    check("{}", Class::MetadataInvalid);
    check(&without("issuer"), Class::MetadataInvalid);
    check(&without("jwks_uri"), Class::MetadataInvalid);
    check(&without("token_endpoint"), Class::MetadataInvalid);
    check(&with("token_endpoint", "/token"), Class::MetadataInvalid);
    check(
        &with("token_endpoint", "http://op.example/token"),
        Class::MetadataInvalid,
    );
    check(
        &with("jwks_uri", "file:///etc/passwd"),
        Class::MetadataInvalid,
    );
    check(
        &with("issuer", "https://op.example/realms/main/"),
        Class::IssuerMismatch,
    );
    check(
        &with("issuer", "https://OP.example/realms/main"),
        Class::IssuerMismatch,
    );
    check(
        &with("issuer", "https://op.example/{tenantid}"),
        Class::IssuerMismatch,
    );
    let numbers = document(|all| drop(all.insert("token_endpoint".into(), 5.into())));
    check(&numbers, Class::MetadataInvalid);
}

#[test]
fn a_good_document_gives_endpoints_and_switches() {
    let body = document(|all| {
        all.insert("userinfo_endpoint".into(), "not an address".into());
        all.insert(
            "authorization_response_iss_parameter_supported".into(),
            true.into(),
        );
        all.insert(
            "id_token_signing_alg_values_supported".into(),
            serde_json::json!(["RS256", 7, "ES512"]),
        );
    });
    let metadata = read(&reply(200, &[], &body), &server(ISSUER), &NEEDED).unwrap();
    assert!(metadata.iss_in_callback);
    assert_eq!(metadata.id_token_algs, ["RS256", "ES512"]);
    assert_eq!(metadata.endpoints.userinfo, None);
    let token = metadata.endpoint(Endpoint::Token).unwrap();
    assert_eq!(token.as_str(), "https://op.example/token");
    let fault = metadata.endpoint(Endpoint::Revocation).unwrap_err();
    assert_eq!(class_of(&fault), Some(Class::MetadataInvalid));
}

#[test]
fn endpoints_of_the_probe_win_over_those_of_the_document() {
    let mut server = server(ISSUER);
    let own: Url = "http://proxy.internal/token".parse().unwrap();
    server.endpoints.token = Some(own.clone());
    let body = document(|all| drop(all.shift_remove("token_endpoint")));
    let metadata = read(&reply(200, &[], &body), &server, &NEEDED).unwrap();
    assert_eq!(metadata.endpoints.token, Some(own.clone()));
    assert_eq!(Metadata::given(&server).endpoint(Endpoint::Token), Ok(&own));
}

#[test]
fn plain_http_is_for_this_machine_and_for_those_who_chose_it() {
    let check = |issuer: &str, endpoint: &str, expected: bool| {
        let url = endpoint.parse().unwrap();
        assert_eq!(is_protected(&url, &server(issuer)), expected, "{endpoint}");
    };
    check(ISSUER, "https://op.example/t", true);
    check(ISSUER, "http://op.example/t", false);
    check(ISSUER, "http://127.9.9.9/t", true);
    check(ISSUER, "http://[::1]:80/t", true);
    check(ISSUER, "http://localhost/t", true);
    check(ISSUER, "http://localhost.evil.example/t", false);
    check("http://keycloak:8080", "http://keycloak:8080/t", true);
    check("http://keycloak:8080", "ftp://keycloak/t", false);
}

#[test]
fn another_place_is_tried_only_where_there_is_nothing() {
    let check = |status: u16, body: &str, expected: bool| {
        assert_eq!(
            worth_another(&reply(status, &[], body)),
            expected,
            "{status} {body}"
        );
    };
    check(404, "", true);
    check(403, "", true);
    check(200, " <!doctype html>", true);
    check(200, "{}", false);
    check(429, "", false);
    check(500, "", false);
}
