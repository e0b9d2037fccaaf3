//! A client of a daemon's API, for the commands that ask one.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use futures::{Stream, TryStreamExt};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::reference;
use crate::secret::{Secret, SecretRef};
use crate::vault;

/// Which daemon, and by which right.
#[derive(Debug, clap::Args)]
pub(crate) struct Server {
    /// Address of the daemon
    #[arg(
        long,
        value_name = "URL",
        env = "AUTHCANARY_URL",
        default_value = "http://127.0.0.1:8420"
    )]
    url: Url,
    /// Where the token is kept: env:NAME, file:PATH or credential:NAME [default: env:AUTHCANARY_TOKEN, where it is set]
    #[arg(long, value_name = "REFERENCE", value_parser = reference)]
    token: Option<SecretRef>,
}

/// The variable that is looked at where no token is named.
const TOKEN: &str = "AUTHCANARY_TOKEN";

/// Whoever asks whether a daemon is alive wants to know it soon.
const HEALTH: Duration = Duration::from_secs(5);

fn reference(text: &str) -> Result<SecretRef, String> {
    match reference::parse(text) {
        Some(reference) if !matches!(reference, SecretRef::Command(_)) => Ok(reference),
        _ => Err(
            "a token is never an argument; say where it is kept: env:NAME, file:PATH or credential:NAME"
                .to_owned(),
        ),
    }
}

/// Form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Pretty,
    /// As the API gave it.
    Json,
}

/// Parameters of a request.
pub(crate) type Pairs = [(&'static str, String)];

/// The client.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
}

impl Client {
    /// Fetches the token; nothing is contacted yet.
    pub(crate) async fn new(server: &Server) -> anyhow::Result<Self> {
        let named = server.token.clone();
        let usual = || std::env::var_os(TOKEN).map(|_| SecretRef::Env(TOKEN.to_owned()));
        let token = match named.or_else(usual) {
            Some(reference) => Some(
                vault::resolve(&reference)
                    .await
                    .context("no token for the API")?,
            ),
            None => None,
        };
        Self::with(server.url.clone(), token)
    }

    /// One of a daemon that wants no token.
    pub(crate) fn at(url: &str) -> anyhow::Result<Self> {
        Self::with(url.parse()?, None)
    }

    fn with(mut base: Url, token: Option<Secret>) -> anyhow::Result<Self> {
        // Without it, joining would drop the last part of a path that a proxy wants.
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("authcanary/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot set up HTTP")?;
        Ok(Self { http, base, token })
    }

    /// Whether the daemon is there and answers.
    pub(crate) async fn health(&self) -> anyhow::Result<()> {
        let request = self.http.get(self.base.join("healthz")?).timeout(HEALTH);
        self.answer(request).await.map(drop)
    }

    /// Address of the daemon.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// What is at a path below `/api/v1/`.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Pairs,
    ) -> anyhow::Result<T> {
        let answer = self.send(Method::GET, path, query, None::<&()>).await?;
        read(answer).await
    }

    /// Sends something to a path below `/api/v1/`.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let answer = self.send(Method::POST, path, &[], Some(body)).await?;
        read(answer).await
    }

    /// Takes away what is at a path below `/api/v1/`.
    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.send(Method::DELETE, path, &[], None::<&()>).await?;
        Ok(())
    }

    /// An answer piece by piece, as it comes.
    pub(crate) async fn stream(
        &self,
        path: &str,
        query: &Pairs,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<bytes::Bytes>> + use<>> {
        let answer = self.send(Method::GET, path, query, None::<&()>).await?;
        let broken = |error| anyhow::Error::new(error).context("the answer broke off");
        Ok(answer.bytes_stream().map_err(broken))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &Pairs,
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<Response> {
        let mut url = self.base.join(&format!("api/v1/{path}"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(serde_json::to_vec(body)?);
        }
        self.answer(request).await
    }

    /// The answer, when it is a good one.
    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let answer = request.send().await.map_err(reqwest::Error::without_url);
        let answer = answer.with_context(|| {
            format!("no answer from {}: is the daemon there? (--url)", self.base)
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.bytes().await.unwrap_or_default();
        bail!("{}", refusal(status, &body))
    }
}

async fn read<T: DeserializeOwned>(answer: Response) -> anyhow::Result<T> {
    let body = answer.bytes().await.context("the answer broke off")?;
    serde_json::from_slice(&body)
        .context("the answer is not what the API of this version gives: is the address right?")
}

/// What the API says about a refusal (RFC 9457), and what helps.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Problem {
        detail: String,
    }
    let detail = serde_json::from_slice::<Problem>(body)
        .map_or_else(|_| status.to_string(), |problem| problem.detail);
    match status {
        StatusCode::UNAUTHORIZED => format!("{detail} (--token, or {TOKEN} in the environment)"),
        _ => detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_named_and_never_given() {
        assert_eq!(reference("env:A"), Ok(SecretRef::Env("A".to_owned())));
        assert_eq!(reference("file:/a:b"), Ok(SecretRef::File("/a:b".into())));
        let credential = SecretRef::Credential("api".to_owned());
        assert_eq!(reference("credential:api"), Ok(credential));
        for bad in ["", "s3cret", "env:", "command:x"] {
            let error = reference(bad).unwrap_err();
            assert!(
                !error.contains("s3cret") && !error.contains(":x"),
                "{error}"
            );
        }
    }
}
