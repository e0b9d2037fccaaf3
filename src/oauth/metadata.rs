//! Where the provider's endpoints are: from its metadata document, from the probe file, or from both.

use serde_json::{Map, Value};
use strum::IntoStaticStr;
use url::{Host, Url};

use super::{Reply, quoted, refuse, text, texts};
use crate::probe::{Endpoints, Flow, Probe, Server, Step};
use crate::run::Fault;
use crate::taxonomy::Class;

/// What a journey needs to know of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Exactly as written in the probe; unknown where only endpoints are given.
    pub issuer: Option<String>,
    /// Those of the probe first, then the discovered ones.
    pub endpoints: Endpoints,
    /// `id_token_signing_alg_values_supported`; empty where nothing is known.
    pub id_token_algs: Vec<String>,
    /// Whether the callback must carry `iss` (RFC 9207 section 3).
    pub iss_in_callback: bool,
}

/// An endpoint, by its name in the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
pub enum Endpoint {
    #[strum(serialize = "authorization_endpoint")]
    Authorization,
    #[strum(serialize = "token_endpoint")]
    Token,
    #[strum(serialize = "jwks_uri")]
    Jwks,
    #[strum(serialize = "userinfo_endpoint")]
    Userinfo,
    #[strum(serialize = "introspection_endpoint")]
    Introspection,
    #[strum(serialize = "revocation_endpoint")]
    Revocation,
    #[strum(serialize = "end_session_endpoint")]
    EndSession,
}

impl Endpoint {
    /// Every one of them.
    pub const ALL: [Self; 7] = [
        Self::Authorization,
        Self::Token,
        Self::Jwks,
        Self::Userinfo,
        Self::Introspection,
        Self::Revocation,
        Self::EndSession,
    ];

    /// What this probe cannot do without.
    pub fn needed_by(probe: &Probe) -> Vec<Self> {
        let mut needed = vec![Self::Token];
        if probe.flow == Flow::AuthorizationCode {
            needed.push(Self::Authorization);
            if probe.scopes.iter().any(|scope| scope == "openid") {
                needed.push(Self::Jwks);
            }
        }
        for step in &probe.steps {
            needed.extend(match step {
                Step::Userinfo { .. } => Some(Self::Userinfo),
                Step::Introspect { .. } => Some(Self::Introspection),
                Step::Revoke { .. } => Some(Self::Revocation),
                Step::Logout { .. } => Some(Self::EndSession),
                Step::Resource { .. } | Step::Refresh { .. } => None,
            });
        }
        needed
    }

    fn name(self) -> &'static str {
        self.into()
    }

    fn of(self, endpoints: &Endpoints) -> &Option<Url> {
        match self {
            Self::Authorization => &endpoints.authorization,
            Self::Token => &endpoints.token,
            Self::Jwks => &endpoints.jwks,
            Self::Userinfo => &endpoints.userinfo,
            Self::Introspection => &endpoints.introspection,
            Self::Revocation => &endpoints.revocation,
            Self::EndSession => &endpoints.end_session,
        }
    }

    fn of_mut(self, endpoints: &mut Endpoints) -> &mut Option<Url> {
        match self {
            Self::Authorization => &mut endpoints.authorization,
            Self::Token => &mut endpoints.token,
            Self::Jwks => &mut endpoints.jwks,
            Self::Userinfo => &mut endpoints.userinfo,
            Self::Introspection => &mut endpoints.introspection,
            Self::Revocation => &mut endpoints.revocation,
            Self::EndSession => &mut endpoints.end_session,
        }
    }
}

impl Metadata {
    /// Only what the probe file says, for a provider without discovery.
    pub fn given(server: &Server) -> Self {
        Self {
            issuer: server.issuer.clone(),
            endpoints: server.endpoints.clone(),
            ..Self::default()
        }
    }

    /// The address of an endpoint that a step needs.
    pub fn endpoint(&self, endpoint: Endpoint) -> Result<&Url, Fault> {
        endpoint.of(&self.endpoints).as_ref().ok_or_else(|| {
            let detail = format!(
                "neither the metadata nor the probe file has a {}",
                endpoint.name()
            );
            refuse(Class::MetadataInvalid, detail)
        })
    }

    fn demand(&self, needed: &[Endpoint]) -> Result<(), Fault> {
        needed
            .iter()
            .try_for_each(|&endpoint| self.endpoint(endpoint).map(drop))
    }
}

/// Where the metadata of an issuer may be, the likeliest first: OpenID Connect Discovery section 4, RFC 8414 section
/// 3.1, and the OpenID document at the place that RFC 8414 section 5 would have it.
pub fn candidates(issuer: &str) -> Result<Vec<Url>, Fault> {
    let parsed = Url::parse(issuer)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "https" | "http"));
    let Some(url) = parsed else {
        let detail = format!("the issuer {} is not a web address", quoted(issuer));
        return Err(Fault::Monitor(crate::run::Finding::new(
            Class::ConfigInvalid,
            detail,
        )));
    };
    let path = url.path().trim_end_matches('/').to_owned();
    let at = |path: String| {
        let mut candidate = url.clone();
        candidate.set_path(&path);
        candidate.set_query(None);
        candidate.set_fragment(None);
        candidate
    };
    let mut all = vec![
        at(format!("{path}/.well-known/openid-configuration")),
        at(format!("/.well-known/oauth-authorization-server{path}")),
        at(format!("/.well-known/openid-configuration{path}")),
    ];
    all.dedup();
    if path.is_empty() {
        all.truncate(2);
    }
    Ok(all)
}

/// Whether the next candidate is worth a try: this one says that it has nothing, or shows a page in place of a
/// document. A server that is in trouble is not asked elsewhere, because that would hide the trouble.
pub fn worth_another(reply: &Reply<'_>) -> bool {
    let absent = matches!(reply.status, 400 | 401 | 403 | 404 | 405 | 406 | 410);
    absent || (reply.is_success() && reply.body.trim_ascii_start().starts_with(b"<"))
}

/// The metadata document as it came, whatever it says.
pub fn document(reply: &Reply<'_>) -> Result<Map<String, Value>, Fault> {
    match reply.status {
        200 => reply.document("the metadata document"),
        _ => Err(reply.fault()),
    }
}

/// Reads and checks a metadata document (OpenID Connect Discovery section 4.3, RFC 8414 section 3.3). Endpoints of the
/// probe file win. Members that are not needed are not judged.
pub fn read(reply: &Reply<'_>, server: &Server, needed: &[Endpoint]) -> Result<Metadata, Fault> {
    let document = document(reply)?;
    if let Some(issuer) = &server.issuer {
        same_issuer(&document, issuer)?;
    }
    let mut metadata = Metadata::given(server);
    metadata.id_token_algs = texts(&document, "id_token_signing_alg_values_supported");
    metadata.iss_in_callback = document
        .get("authorization_response_iss_parameter_supported")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    for endpoint in Endpoint::ALL {
        let place = endpoint.of_mut(&mut metadata.endpoints);
        if place.is_none() {
            *place = address(&document, endpoint, server, needed)?;
        }
    }
    metadata.demand(needed)?;
    Ok(metadata)
}

/// Exact strings, no normal form (RFC 8414 section 3.3).
pub fn same_issuer(document: &Map<String, Value>, expected: &str) -> Result<(), Fault> {
    let Some(found) = text(document, "issuer") else {
        let detail = "the metadata document names no issuer";
        return Err(refuse(Class::MetadataInvalid, detail));
    };
    if found == expected {
        return Ok(());
    }
    let hint = if found.contains('{') {
        "; this is the document of many tenants: name one tenant in the issuer"
    } else if found.trim_end_matches('/') == expected.trim_end_matches('/') {
        "; they differ in the slash at the end"
    } else {
        ""
    };
    let detail = format!(
        "the metadata is of issuer {}, expected {}{hint}",
        quoted(found),
        quoted(expected)
    );
    Err(refuse(Class::IssuerMismatch, detail))
}

/// An endpoint of the document. A broken one is refused where it is needed, and left out where it is not.
fn address(
    document: &Map<String, Value>,
    endpoint: Endpoint,
    server: &Server,
    needed: &[Endpoint],
) -> Result<Option<Url>, Fault> {
    let Some(found) = text(document, endpoint.name()) else {
        return Ok(None);
    };
    let complaint = match Url::parse(found) {
        Ok(url) if !url.has_host() => "is not a web address",
        Ok(url) if is_protected(&url, server) => return Ok(Some(url)),
        Ok(_) => "must be https",
        Err(_) => "is not an absolute address",
    };
    if !needed.contains(&endpoint) {
        return Ok(None);
    }
    let detail = format!("{} {} {complaint}", endpoint.name(), quoted(found));
    Err(refuse(Class::MetadataInvalid, detail))
}

/// Https everywhere (RFC 8414 section 2), except on this machine, and except where the probe file itself says that the
/// issuer is plain http: what an operator chose is not the provider's fault, a step down from https is.
fn is_protected(url: &Url, server: &Server) -> bool {
    let chosen = server
        .issuer
        .as_deref()
        .is_some_and(|issuer| issuer.starts_with("http://"));
    match url.scheme() {
        "https" => true,
        "http" => chosen || is_loopback(url),
        _ => false,
    }
}

/// Whether an address stays on this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests;
