//! Which address leads where.

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::get;

use super::faults::Endpoint;
use super::shape::{self, Shaping};
use super::state::Server;
use super::wire::Stopped;
use super::{authorize, bearer, control, factors, inspect, logout, metadata, pages, reply, token};

/// All of the server.
pub(super) fn router(server: Arc<Server>, stopped: Stopped) -> Router {
    let shaping = Shaping {
        server: Arc::clone(&server),
        stopped,
    };
    Router::new()
        .route("/", get(control::home))
        .route("/app", get(control::app))
        .route(
            "/app/callback",
            get(control::app_callback).post(control::app_callback),
        )
        .route(
            "/.well-known/openid-configuration",
            get(metadata::discovery),
        )
        .route(
            "/.well-known/oauth-authorization-server",
            get(metadata::discovery),
        )
        .route("/jwks", get(metadata::jwks))
        .route(
            "/authorize",
            get(authorize::authorize).post(authorize::authorize),
        )
        .route(
            "/login/{id}",
            get(factors::login).post(factors::submit_login),
        )
        .route("/mfa/{id}", get(factors::mfa).post(factors::submit_mfa))
        .route("/stay/{id}", get(pages::stay).post(pages::submit_stay))
        .route(
            "/consent/{id}",
            get(pages::consent).post(pages::submit_consent),
        )
        .route("/token", axum::routing::post(token::token))
        .route("/userinfo", get(bearer::userinfo).post(bearer::userinfo))
        .route("/resource", get(bearer::resource))
        .route("/introspect", axum::routing::post(inspect::introspect))
        .route("/revoke", axum::routing::post(inspect::revoke))
        .route("/logout", get(logout::logout).post(logout::logout))
        .route(
            "/_faults",
            get(control::faults)
                .put(control::put_faults)
                .delete(control::delete_faults),
        )
        .route("/_events", get(control::events))
        .route("/_sizes", get(control::sizes))
        .fallback(control::not_found)
        .layer(middleware::from_fn_with_state(shaping, shape::shape))
        .layer(middleware::from_fn(reply::named))
        .with_state(server)
}

/// The endpoint that an address belongs to; the switches themselves belong to none, so no fault can lock them away.
pub(super) fn endpoint(path: &str) -> Option<Endpoint> {
    Some(match path.split('/').nth(1)? {
        ".well-known" => Endpoint::Discovery,
        "jwks" => Endpoint::Jwks,
        "authorize" => Endpoint::Authorize,
        "login" => Endpoint::Login,
        "mfa" => Endpoint::Mfa,
        "consent" => Endpoint::Consent,
        "token" => Endpoint::Token,
        "userinfo" => Endpoint::Userinfo,
        "resource" => Endpoint::Resource,
        "introspect" => Endpoint::Introspection,
        "revoke" => Endpoint::Revocation,
        "logout" => Endpoint::Logout,
        _ => return None,
    })
}
