//! What a metadata document lets a probe do (OpenID Connect Discovery section 3, RFC 8414 section 2).

use serde_json::{Map, Value};

use crate::oauth::{self, metadata};
use crate::probe::{ClientAuth, Flow};
use crate::provider;
use crate::run::Fault;

/// Scopes that are worth asking for, each where it is offered: least of all that lets a whole journey be walked.
const SCOPES: [&str; 3] = ["openid", "email", "offline_access"];

/// What can be probed at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// As the provider writes it.
    pub issuer: String,
    /// Whose it is, where that can be seen; `generic` otherwise.
    pub provider: &'static str,
    /// The flow of a user where there is one.
    pub flow: Flow,
    /// Ways of the client to authenticate that a probe can take, the best first.
    pub auth: Vec<ClientAuth>,
    /// What to ask for.
    pub scopes: Vec<String>,
    pub has_userinfo: bool,
    pub has_revocation: bool,
    pub has_logout: bool,
}

/// Why nothing here can be probed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unfit {
    #[error("{0}")]
    Issuer(String),
    #[error("the metadata has no token_endpoint, so there is nothing to sign in for")]
    NoTokenEndpoint,
    #[error("the token endpoint takes only {0}, and a probe has none of them yet")]
    NoAuth(String),
}

/// Reads a document that was published for `issuer`. An issuer that differs only by its slash at the end is taken as the
/// provider writes it: people type it either way, and a probe compares exact strings.
pub fn offer(issuer: &str, document: &Map<String, Value>) -> Result<Offer, Unfit> {
    let issuer = match oauth::text(document, "issuer") {
        Some(own) if own.trim_end_matches('/') == issuer.trim_end_matches('/') => own.to_owned(),
        _ => {
            same(issuer, document)?;
            issuer.to_owned()
        }
    };
    if oauth::text(document, "token_endpoint").is_none() {
        return Err(Unfit::NoTokenEndpoint);
    }
    let authorization = oauth::text(document, "authorization_endpoint");
    let grants = oauth::texts(document, "grant_types_supported");
    let flow = match authorization {
        Some(_) => Flow::AuthorizationCode,
        None => Flow::ClientCredentials,
    };
    let known = provider::recognise(&[issuer.as_str(), authorization.unwrap_or_default()]);
    Ok(Offer {
        provider: known.map_or("generic", |provider| provider.name),
        flow,
        auth: auth(document)?,
        scopes: scopes(document, flow, &grants),
        has_userinfo: oauth::text(document, "userinfo_endpoint").is_some(),
        has_revocation: oauth::text(document, "revocation_endpoint").is_some(),
        has_logout: oauth::text(document, "end_session_endpoint").is_some(),
        issuer,
    })
}

fn same(issuer: &str, document: &Map<String, Value>) -> Result<(), Unfit> {
    metadata::same_issuer(document, issuer).map_err(|fault| match fault {
        Fault::Check(finding) => Unfit::Issuer(finding.detail),
        _ => Unfit::Issuer("the metadata is of another issuer".to_owned()),
    })
}

/// A document that is silent means `client_secret_basic` (OpenID Connect Discovery section 3).
fn auth(document: &Map<String, Value>) -> Result<Vec<ClientAuth>, Unfit> {
    const KNOWN: [(&str, ClientAuth); 3] = [
        ("client_secret_basic", ClientAuth::ClientSecretBasic),
        ("client_secret_post", ClientAuth::ClientSecretPost),
        ("none", ClientAuth::None),
    ];
    let named = oauth::texts(document, "token_endpoint_auth_methods_supported");
    if named.is_empty() {
        return Ok(vec![ClientAuth::ClientSecretBasic]);
    }
    let offered =
        |(name, auth): (&str, ClientAuth)| named.iter().any(|n| n == name).then_some(auth);
    let auth: Vec<ClientAuth> = KNOWN.into_iter().filter_map(offered).collect();
    match auth.is_empty() {
        true => Err(Unfit::NoAuth(named.join(", "))),
        false => Ok(auth),
    }
}

fn scopes(document: &Map<String, Value>, flow: Flow, grants: &[String]) -> Vec<String> {
    if flow == Flow::ClientCredentials {
        return Vec::new();
    }
    let named = oauth::texts(document, "scopes_supported");
    let refreshes = grants.is_empty() || grants.iter().any(|grant| grant == "refresh_token");
    let is_wanted = |scope: &str| match scope {
        // A provider without key set signs nothing.
        "openid" => {
            oauth::text(document, "jwks_uri").is_some() && (named.is_empty() || has(&named, scope))
        }
        "offline_access" => refreshes && has(&named, scope),
        _ => has(&named, scope),
    };
    SCOPES
        .iter()
        .filter(|scope| is_wanted(scope))
        .map(|&scope| scope.to_owned())
        .collect()
}

fn has(named: &[String], scope: &str) -> bool {
    named.iter().any(|other| other == scope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ISSUER: &str = "https://sso.example.com/realms/main";

    fn document(more: Value) -> Map<String, Value> {
        let mut document = json!({
            "issuer": ISSUER,
            "authorization_endpoint": format!("{ISSUER}/auth"),
            "token_endpoint": format!("{ISSUER}/token"),
            "jwks_uri": format!("{ISSUER}/keys"),
        });
        let (Value::Object(mut own), Value::Object(more)) = (document.take(), more) else {
            panic!("both are objects");
        };
        for (name, value) in more {
            match value {
                Value::Null => own.remove(&name),
                value => own.insert(name, value),
            };
        }
        own
    }

    fn check(more: Value, judge: impl Fn(&Offer)) {
        judge(&offer(ISSUER, &document(more)).unwrap());
    }

    fn refused(more: Value) -> String {
        offer(ISSUER, &document(more)).unwrap_err().to_string()
    }

    #[test]
    fn a_silent_document_offers_what_the_standard_says() {
        check(json!({}), |offer| {
            assert_eq!(offer.auth, [ClientAuth::ClientSecretBasic]);
            assert_eq!(offer.scopes, ["openid"]);
            assert_eq!(offer.provider, "generic");
            assert!(!offer.has_userinfo && !offer.has_revocation && !offer.has_logout);
        });
    }

    #[test]
    fn only_what_a_probe_can_do_is_taken() {
        let methods = json!(["private_key_jwt", "client_secret_post", "none"]);
        check(
            json!({"token_endpoint_auth_methods_supported": methods}),
            |offer| {
                assert_eq!(offer.auth, [ClientAuth::ClientSecretPost, ClientAuth::None]);
            },
        );
        let said = refused(
            json!({"token_endpoint_auth_methods_supported": ["private_key_jwt", "tls_client_auth"]}),
        );
        assert!(said.contains("private_key_jwt, tls_client_auth"), "{said}");
        assert!(refused(json!({"token_endpoint": null})).contains("token_endpoint"));
    }

    #[test]
    fn scopes_are_the_least_that_walk_everything() {
        let named = json!(["openid", "profile", "email", "phone", "offline_access"]);
        check(json!({"scopes_supported": named}), |offer| {
            assert_eq!(offer.scopes, ["openid", "email", "offline_access"]);
        });
        check(
            json!({"scopes_supported": named, "grant_types_supported": ["authorization_code"]}),
            |offer| assert_eq!(offer.scopes, ["openid", "email"]),
        );
        check(json!({"jwks_uri": null}), |offer| {
            assert!(offer.scopes.is_empty());
        });
    }

    #[test]
    fn where_nobody_signs_in_a_machine_does() {
        check(json!({"authorization_endpoint": null}), |offer| {
            assert_eq!(offer.flow, Flow::ClientCredentials);
            assert!(offer.scopes.is_empty());
        });
    }

    #[test]
    fn the_issuer_is_the_providers_own_but_for_a_slash() {
        check(json!({"issuer": format!("{ISSUER}/")}), |offer| {
            assert_eq!(offer.issuer, format!("{ISSUER}/"));
        });
        let said = refused(json!({"issuer": "https://other.example.com"}));
        assert!(said.contains("https://other.example.com"), "{said}");
        let said = refused(json!({"issuer": "https://login.example.com/{tenantid}/v2.0"}));
        assert!(said.contains("name one tenant"), "{said}");
        assert!(refused(json!({"issuer": null})).contains("names no issuer"));
    }

    #[test]
    fn a_provider_is_recognised_by_its_addresses() {
        let authorization = format!("{ISSUER}/protocol/openid-connect/auth");
        check(json!({"authorization_endpoint": authorization}), |offer| {
            assert_eq!(offer.provider, "keycloak");
        });
    }
}
