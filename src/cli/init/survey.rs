//! Asks the provider what it offers, and says it.

use std::path::Path;

use super::http_settings;
use crate::audit::ask::{self, Refusal};
use crate::http::Http;
use crate::init::{self as files, Offer};
use crate::oauth::metadata;
use crate::probe::ClientAuth;

/// The offer, or what to tell whoever gave this issuer.
pub(super) async fn survey(
    issuer: &str,
    ca_file: Option<&Path>,
) -> anyhow::Result<Result<Offer, String>> {
    let http = Http::new(&http_settings(ca_file))?;
    let provider = ask::one(&http, issuer).await;
    Ok(match provider.document {
        Err(refusal) => Err(refused(issuer, &refusal)),
        Ok(document) => files::offer(issuer, &document)
            .map_err(|unfit| format!("authcanary: {issuer}: {unfit}")),
    })
}

fn refused(issuer: &str, refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoAnswer(detail) => format!(
            "authcanary: {issuer} cannot be reached: {detail}\n  \
             Is the address right? A proxy is taken from HTTPS_PROXY; `authcanary doctor` looks at this machine's network."
        ),
        Refusal::Certificate(detail) => format!(
            "authcanary: the certificate of {issuer} is refused: {detail}\n  \
             Where a certificate authority of your own signed it, name that one: --ca-file FILE. One that has expired or \
             belongs to another host has to be renewed at the provider."
        ),
        Refusal::NoDocument(detail) => {
            let tried: Vec<String> = metadata::candidates(issuer)
                .unwrap_or_default()
                .iter()
                .map(|url| format!("\n  tried  {url}"))
                .collect();
            format!(
                "authcanary: {issuer} publishes no metadata: {detail}{}\n  \
                 An issuer is often longer than its host: https://HOST/realms/NAME at Keycloak, \
                 https://login.microsoftonline.com/TENANT/v2.0 at Entra, https://ORG.okta.com/oauth2/default at Okta.\n  \
                 A provider that publishes none is probed with `endpoints`; probes/github.yaml shows how.",
                tried.concat()
            )
        }
    }
}

/// What was found, before anybody is asked.
pub(super) fn tell(typed: &str, offer: &Offer) {
    let yes = |there: bool, what: &'static str| there.then_some(what);
    let steps: Vec<&str> = [
        yes(offer.has_userinfo, "userinfo"),
        yes(
            offer.scopes.iter().any(|scope| scope == "offline_access"),
            "refresh",
        ),
        yes(offer.has_revocation, "revocation"),
        yes(offer.has_logout, "logout"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let auth: Vec<&str> = offer.auth.iter().map(|auth| auth_name(*auth)).collect();
    eprintln!("{} ({})", offer.issuer, offer.provider);
    if typed != offer.issuer {
        eprintln!(
            "  the provider writes its issuer with the other slash at the end, and so does the file"
        );
    }
    eprintln!("  clients authenticate by {}", auth.join(", "));
    if !steps.is_empty() {
        eprintln!("  offers {}", steps.join(", "));
    }
    eprintln!();
}

pub(super) fn auth_name(auth: ClientAuth) -> &'static str {
    match auth {
        ClientAuth::ClientSecretBasic => "client_secret_basic",
        ClientAuth::ClientSecretPost => "client_secret_post",
        ClientAuth::None => "none (a public client)",
    }
}
