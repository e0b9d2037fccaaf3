//! The browser's part: authorization request, pages, and the callback that is caught before it leaves the browser.

use aws_lc_rs::rand;
use tokio::time::Instant;
use url::Url;

use super::manners::Account;
use super::{Journey, Known};
use crate::browser::signin::{self, Person};
use crate::browser::{Arrival, Tab};
use crate::clock;
use crate::oauth::authorization::AuthorizationRequest;
use crate::oauth::callback::{self, Expected};
use crate::oauth::metadata::Endpoint;
use crate::oauth::values::{Code, Nonce, State, Verifier};
use crate::probe::RedirectUri;
use crate::run::{Fault, Finding, Hop, Stop};
use crate::secret::{Secret, SecretRef};
use crate::taxonomy::{Class, Family, Stage};
use crate::totp::Totp;

/// What the browser came back with, and what the tokens must be held against.
pub(super) struct Authorized {
    pub(super) code: Code,
    pub(super) redirect_uri: String,
    pub(super) verifier: Verifier,
    pub(super) nonce: Nonce,
    /// When the callback was there; a code is as old as this at least.
    pub(super) arrived: Instant,
}

/// Characters of a detail that quotes a page.
const DETAIL_LIMIT: usize = 300;

/// The account with its secrets at hand.
struct User {
    username: String,
    password: Option<Secret>,
    totp: Option<Totp>,
    key: Account,
}

impl Journey<'_> {
    /// Signs in as a user would (RFC 6749 section 4.1.1, RFC 7636, OpenID Connect Core section 3.1.2).
    pub(super) async fn authorize(&mut self, known: &Known) -> Result<Authorized, Stop> {
        self.enter(Stage::Authorize);
        let redirect_uri = self.redirect_uri()?;
        let user = self.user().await?;
        let (state, nonce, verifier) = (
            State::from_random(random()),
            Nonce::from_random(random()),
            Verifier::from_random(random()),
        );
        self.redactor.learn(state.expose());
        self.redactor.learn(verifier.expose());
        let request = AuthorizationRequest {
            endpoint: self.held(known.metadata.endpoint(Endpoint::Authorization))?,
            client_id: &self.probe.client.id,
            redirect_uri: redirect_uri.as_str(),
            scopes: &self.probe.scopes,
            state: &state,
            nonce: &nonce,
            challenge: &verifier.challenge(),
            response_mode: self.probe.response_mode,
            extra: &self.probe.authorize_params,
        };
        let url = request.url();
        self.know_request(known, &url);
        let parameters = self.browse(&url, &redirect_uri, &user).await?;
        let arrived = Instant::now();

        self.enter(Stage::Callback);
        let kept = self.redactor.body(
            Some("application/x-www-form-urlencoded"),
            parameters.as_bytes(),
        );
        let expected = Expected {
            state: &state,
            issuer: known.metadata.issuer.as_deref(),
            iss_promised: known.metadata.iss_in_callback,
        };
        let code = self.held(callback::read(&parameters, &kept, &expected))?;
        self.redactor.learn(code.expose());
        self.pass();
        Ok(Authorized {
            code,
            redirect_uri: redirect_uri.as_str().to_owned(),
            verifier,
            nonce,
            arrived,
        })
    }

    /// What was asked for, and what must come back. The issuer goes through redaction as the answer does, so that both
    /// still compare.
    fn know_request(&mut self, known: &Known, url: &Url) {
        let asked = [
            ("prompt", "prompt"),
            ("response_mode", "response_mode"),
            ("scope", "requested_scope"),
        ];
        for (parameter, fact) in asked {
            if let Some((_, value)) = url.query_pairs().find(|(name, _)| name == parameter) {
                self.know(fact, value.into_owned());
            }
        }
        if let Some(issuer) = &known.metadata.issuer {
            self.know("expected_issuer", self.redactor.url(issuer));
        }
        self.know("expected_audience", known.credentials.id());
        self.know(
            "authorization_response_iss_parameter_supported",
            known.metadata.iss_in_callback,
        );
    }
}

impl Journey<'_> {
    fn redirect_uri(&self) -> Result<RedirectUri, Stop> {
        let configured = self.probe.redirect_uri.clone();
        configured.ok_or_else(|| self.misconfigured("there is no redirect_uri"))
    }

    pub(super) fn misconfigured(&self, detail: &str) -> Stop {
        self.stop(Fault::Monitor(Finding::new(Class::ConfigInvalid, detail)))
    }

    /// The account and its secrets, if it may sign in now.
    async fn user(&mut self) -> Result<User, Stop> {
        let Some(account) = &self.probe.account else {
            return Err(self.misconfigured("there is no account to sign in with"));
        };
        let password = match &account.password {
            Some(reference) => Some(self.secret(reference).await?),
            None => None,
        };
        let totp = match &account.totp {
            Some(reference) => Some(self.totp(reference).await?),
            None => None,
        };
        let server = self
            .probe
            .server
            .issuer
            .as_deref()
            .unwrap_or(&self.probe.provider);
        let key = self
            .tools
            .manners
            .account(server, &account.username, password.as_ref());
        if let Err(finding) = self
            .tools
            .manners
            .admit(key, self.probe.budget, clock::now())
        {
            return Err(if finding.class == Class::Overloaded {
                self.stop(Fault::Monitor(finding))
            } else {
                Stop {
                    stage: Stage::Login,
                    fault: Fault::Page(finding),
                }
            });
        }
        Ok(User {
            username: account.username.clone(),
            password,
            totp,
            key,
        })
    }

    async fn totp(&mut self, reference: &SecretRef) -> Result<Totp, Stop> {
        let secret = self.secret(reference).await?;
        Totp::parse(&secret).map_err(|error| {
            let detail = format!("{reference}: {error}");
            self.stop(Fault::Monitor(Finding::new(
                Class::SecretUnavailable,
                detail,
            )))
        })
    }

    /// Passes the pages, up to the parameters of the callback.
    async fn browse(
        &mut self,
        url: &Url,
        redirect_uri: &RedirectUri,
        user: &User,
    ) -> Result<String, Stop> {
        let tab = self.tools.browsers.acquire(self.deadline).await;
        let mut tab = tab.map_err(|finding| self.stop(Fault::Monitor(finding)))?;
        self.walk.evidence.browser = Some(tab.version());
        self.walk.evidence.browser_started_at = Some(tab.began_at());
        let deadline = self.step_deadline();
        let opened = tab
            .open(url, redirect_uri, self.probe.response_mode, deadline)
            .await;
        let passed = match opened {
            Ok(()) => self.pass_pages(&tab, user).await,
            Err(finding) => Err(self.stop(fault_of(finding))),
        };
        self.tab = Some(tab);
        passed
    }

    async fn pass_pages(&mut self, tab: &Tab, user: &User) -> Result<String, Stop> {
        let person = Person {
            username: &user.username,
            password: user.password.as_ref(),
            totp: user.totp.as_ref(),
        };
        let arrived = Box::pin(tab.arrived());
        let limits = (self.probe.step_timeout, self.deadline);
        let sign_in = signin::walk(
            tab,
            &self.probe.login,
            &person,
            limits.0,
            limits.1,
            &self.redactor,
            arrived,
        )
        .await;
        for typed in &sign_in.filled {
            self.redactor.learn(typed.expose());
        }
        self.walk.steps.extend(sign_in.steps);
        self.walk.evidence.page = sign_in.page;
        let stop = match (sign_in.arrived, sign_in.stop) {
            (Some(Arrival::Callback(callback)), _) => {
                self.tools.manners.note(user.key, false);
                return Ok(callback.parameters.expose().to_owned());
            }
            (Some(Arrival::Failed(finding) | Arrival::Lost(finding)), _) => {
                self.stop(fault_of(finding))
            }
            (None, Some(stop)) => weighed(stop, tab.hops(&self.redactor).last()),
            (None, None) => self.stop(Fault::Monitor(Finding::new(
                Class::Internal,
                "the walk ended without a word",
            ))),
        };
        let stop = self.cleaned(stop);
        if let Fault::Page(finding) = &stop.fault {
            self.tools
                .manners
                .note(user.key, finding.class == Class::BadUserCredentials);
        }
        Err(stop)
    }

    /// What pages said is quoted without secrets, and to the length of a line.
    fn cleaned(&self, mut stop: Stop) -> Stop {
        if let Fault::Page(finding) | Fault::Transport(finding) | Fault::Monitor(finding) =
            &mut stop.fault
        {
            let clean = self.redactor.text(&finding.detail);
            finding.detail = clean.chars().take(DETAIL_LIMIT).collect();
            if finding.detail.len() < clean.len() {
                finding.detail.push('…');
            }
        }
        stop
    }

    /// Keeps what the browser saw, and gives its context back.
    pub(super) async fn leave(&mut self, tab: Tab) {
        self.walk.evidence.hops = tab.hops(&self.redactor);
        if let Some(page) = &mut self.walk.evidence.page {
            page.console = tab.console_errors(&self.redactor);
        }
        tab.close().await;
    }
}

/// A page that only says that something went wrong is judged by the status it came with: the words on it are those of
/// the gateway in front as often as the provider's.
fn weighed(stop: Stop, last: Option<&Hop>) -> Stop {
    let (Fault::Page(finding), Some(status)) = (&stop.fault, last.and_then(|hop| hop.status))
    else {
        return stop;
    };
    let class = match (finding.class, status) {
        (Class::ServerError | Class::UnexpectedPage, 502 | 504 | 520..=530) => {
            Class::HttpServerError
        }
        (Class::UnexpectedPage, 500..) => Class::HttpServerError,
        (Class::UnexpectedPage, 400..500) => Class::HttpClientError,
        (class, _) => class,
    };
    let detail = format!("{} (status {status})", finding.detail);
    Stop {
        fault: Fault::Page(Finding { class, detail }),
        ..stop
    }
}

/// The browser's findings are ours where they are about the browser itself.
pub(super) fn fault_of(finding: Finding) -> Fault {
    match finding.class.family() {
        Family::Monitor => Fault::Monitor(finding),
        Family::Transport => Fault::Transport(finding),
        _ => Fault::Page(finding),
    }
}

/// 256 bits that nobody can guess.
pub(super) fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}
