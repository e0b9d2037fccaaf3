//! The metadata document (OpenID Connect Discovery 1.0 section 3, RFC 8414) and the key set.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::authorize::SCOPES;
use super::faults::{Drawn, Kind};
use super::reply;
use super::state::Server;

/// `GET /.well-known/openid-configuration` and `GET /.well-known/oauth-authorization-server`
pub(super) async fn discovery(
    State(server): State<Arc<Server>>,
    Extension(drawn): Extension<Drawn>,
) -> Response {
    let mut document = document(&server.issuer);
    if drawn.has(&Kind::WrongIss) {
        document["issuer"] = "https://another-issuer.example".into();
    }
    if drawn.has(&Kind::Broken)
        && let Some(members) = document.as_object_mut()
    {
        members.remove("token_endpoint");
        members.insert("jwks_uri".into(), "not an address".into());
    }
    reply::json(StatusCode::OK, &document)
}

/// `GET /jwks`
pub(super) async fn jwks(
    State(server): State<Arc<Server>>,
    Extension(drawn): Extension<Drawn>,
) -> Response {
    let keys = if drawn.has(&Kind::Broken) {
        json!({"keys": "there should be a list here"})
    } else {
        json!(server.keys().set())
    };
    reply::json(StatusCode::OK, &keys)
}

fn document(issuer: &str) -> Value {
    let at = |path: &str| format!("{issuer}{path}");
    json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "introspection_endpoint": at("/introspect"),
        "revocation_endpoint": at("/revoke"),
        "end_session_endpoint": at("/logout"),
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "name",
            "preferred_username", "email", "email_verified"],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "claims_parameter_supported": false,
    })
}
