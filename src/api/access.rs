//! Who may do what. Denied unless allowed:
//!
//! - With tokens, every request needs one that may do it. A browser may give one as the password of HTTP Basic, to read
//!   only, so that a foreign page cannot make it act.
//! - Without tokens, only a daemon that listens on loopback answers, and only under a loopback name, so that a name of
//!   somebody else's that points here does not get through.
//! - What changes something is refused when another site's page asked for it.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::problem::Problem;

/// What a token may do. `admin` may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// See runs, figures and pages.
    Read,
    /// Run a probe now.
    Run,
    /// Everything.
    Admin,
}

/// A token, known by its hash only.
#[derive(Debug, Clone)]
pub struct Token {
    name: String,
    sha256: [u8; 32],
    may: Vec<Right>,
}

impl Token {
    /// `hash` is the SHA-256 of the token in hexadecimal, with or without `sha256:` before it; `None` when it is not.
    pub fn new(name: impl Into<String>, hash: &str, may: Vec<Right>) -> Option<Self> {
        let hex = hash.strip_prefix("sha256:").unwrap_or(hash);
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        let mut sha256 = [0; 32];
        for (byte, digits) in sha256.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self {
            name: name.into(),
            sha256,
            may,
        })
    }

    fn may(&self, right: Right) -> bool {
        self.may.contains(&right) || self.may.contains(&Right::Admin)
    }
}

/// Who may do what on a daemon.
#[derive(Debug, Clone, Default)]
pub struct Access {
    tokens: Vec<Token>,
    loopback: bool,
}

impl Access {
    /// With these tokens, or open on loopback when there are none.
    pub fn new(tokens: Vec<Token>) -> Self {
        Self {
            tokens,
            loopback: false,
        }
    }

    /// Takes note of the address that the daemon listens on.
    pub fn bound_to(self, ip: IpAddr) -> Self {
        Self {
            loopback: ip.is_loopback(),
            ..self
        }
    }

    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
        if ["/healthz", "/readyz", "/style.css"].contains(&path) {
            return Ok(());
        }
        let reads = method == Method::GET || method == Method::HEAD;
        if !reads && came_from_another_site(headers) {
            return Err(Problem::forbidden("a page of another site asked for this"));
        }
        if !self.tokens.is_empty() {
            return self.check_token(if reads { Right::Read } else { Right::Run }, headers);
        }
        if !self.loopback {
            return Err(Problem::forbidden(
                "no tokens are configured, and the daemon does not listen on loopback only",
            ));
        }
        if !host_of(headers).is_some_and(|host| is_loopback(&host)) {
            return Err(Problem::forbidden(
                "no tokens are configured: use a loopback name, such as localhost",
            ));
        }
        Ok(())
    }

    fn check_token(&self, right: Right, headers: &HeaderMap) -> Result<(), Problem> {
        let given = token_in(headers, right == Right::Read);
        let given = given.ok_or_else(|| Problem::unauthorized("a bearer token is needed"))?;
        let hash = digest(&SHA256, given.as_bytes());
        // All are compared, in constant time each, so that the time tells nothing.
        let mut found = None;
        for token in &self.tokens {
            if verify_slices_are_equal(&token.sha256, hash.as_ref()).is_ok() {
                found = Some(token);
            }
        }
        let token = found.ok_or_else(|| Problem::unauthorized("this token is not known"))?;
        if token.may(right) {
            return Ok(());
        }
        Err(Problem::forbidden(format!(
            "token {} may not do this",
            token.name
        )))
    }
}

/// Lets a request through, or answers it with a problem.
pub(super) async fn guard(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    match access.check(request.method(), request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn token_in(headers: &HeaderMap, reads: bool) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") || !reads {
        return None;
    }
    let pair = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
    pair.split_once(':')
        .map(|(_, password)| password.to_owned())
}

/// Browsers name the page that asks; programs do not.
fn came_from_another_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return true;
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"));
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    authority.map(|(_, authority)| authority) != host
}

fn host_of(headers: &HeaderMap) -> Option<Host> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    Url::parse(&format!("http://{host}/"))
        .ok()?
        .host()
        .map(|host| host.to_owned())
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => *ip == Ipv6Addr::LOCALHOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `secret`.
    const HASH: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    fn access(may: Option<&[Right]>, ip: &str) -> Access {
        let tokens = may.map(|may| Token::new("ci", HASH, may.to_vec()).unwrap());
        Access::new(tokens.into_iter().collect()).bound_to(ip.parse().unwrap())
    }

    fn check(access: &Access, method: &Method, headers: &[(&str, &str)]) -> u16 {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        match access.check(method, "/api/v1/runs", &headers) {
            Ok(()) => 200,
            Err(problem) => problem.into_response().status().as_u16(),
        }
    }

    #[test]
    fn without_tokens_only_loopback_under_its_own_name_is_open() {
        let open = access(None, "127.0.0.1");
        for host in [
            "localhost",
            "localhost:8420",
            "127.0.0.1:8420",
            "[::1]:1",
            "app.localhost",
        ] {
            assert_eq!(check(&open, &Method::GET, &[("host", host)]), 200, "{host}");
            assert_eq!(
                check(&open, &Method::POST, &[("host", host)]),
                200,
                "{host}"
            );
        }
        for host in [
            "rebound.example:8420",
            "192.0.2.1",
            "127.0.0.1.example",
            "a b",
            "",
        ] {
            assert_eq!(check(&open, &Method::GET, &[("host", host)]), 403, "{host}");
        }
        assert_eq!(check(&open, &Method::GET, &[]), 403);
        assert_eq!(
            check(
                &access(None, "0.0.0.0"),
                &Method::GET,
                &[("host", "localhost")]
            ),
            403
        );
    }

    #[test]
    fn a_foreign_page_cannot_make_a_browser_act() {
        let open = access(None, "127.0.0.1");
        let host = ("host", "localhost:8420");
        let cases = [
            (("origin", "http://localhost:8420"), 200),
            (("origin", "http://localhost:9999"), 403),
            (("origin", "https://evil.example"), 403),
            (("origin", "null"), 403),
            (("sec-fetch-site", "same-origin"), 200),
            (("sec-fetch-site", "cross-site"), 403),
            (("sec-fetch-site", "same-site"), 403),
        ];
        for (header, expected) in cases {
            assert_eq!(
                check(&open, &Method::POST, &[host, header]),
                expected,
                "{header:?}"
            );
            assert_eq!(
                check(&open, &Method::GET, &[host, header]),
                200,
                "{header:?}"
            );
        }
    }

    #[test]
    fn a_token_may_what_it_may() {
        let bearer = ("authorization", "Bearer secret");
        let cases = [
            (vec![Right::Read], 200, 403),
            (vec![Right::Run], 403, 200),
            (vec![Right::Admin], 200, 200),
        ];
        for (may, get, post) in cases {
            let access = access(Some(&may), "0.0.0.0");
            assert_eq!(check(&access, &Method::GET, &[bearer]), get, "{may:?}");
            assert_eq!(check(&access, &Method::POST, &[bearer]), post, "{may:?}");
            assert_eq!(
                check(&access, &Method::GET, &[("authorization", "Bearer other")]),
                401
            );
            assert_eq!(check(&access, &Method::GET, &[("host", "localhost")]), 401);
        }
    }

    #[test]
    fn basic_with_a_token_reads_only() {
        let access = access(Some(&[Right::Admin]), "0.0.0.0");
        let basic = ("authorization", "Basic YW55Om9uZTpzZWNyZXQ=");
        assert_eq!(
            check(&access, &Method::GET, &[basic]),
            401,
            "the password is what follows the first colon"
        );
        let basic = ("authorization", "Basic YW55OnNlY3JldA==");
        assert_eq!(check(&access, &Method::GET, &[basic]), 200);
        assert_eq!(check(&access, &Method::POST, &[basic]), 401);
    }

    #[test]
    fn a_hash_is_64_hexadecimal_digits() {
        assert!(Token::new("a", HASH, vec![]).is_some());
        assert!(Token::new("a", &format!("sha256:{HASH}"), vec![]).is_some());
        for bad in [
            "",
            "secret",
            &HASH[1..],
            &HASH.replace('2', "g"),
            &"é".repeat(32),
        ] {
            assert!(Token::new("a", bad, vec![]).is_none(), "{bad}");
        }
    }
}
