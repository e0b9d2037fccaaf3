//! A sign-in on its way: what the client asked for, how far the person has come, and which page is next.

use super::state::Session;

/// A checked authorization request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AuthorizationRequest {
    pub(super) client: String,
    pub(super) target: Target,
    /// Only scopes that the server knows.
    pub(super) scope: Vec<String>,
    pub(super) nonce: Option<String>,
    /// S256 challenge.
    pub(super) challenge: String,
    pub(super) prompt: Prompt,
    /// Seconds since the sign-in that are still good.
    pub(super) max_age: Option<i64>,
    pub(super) login_hint: Option<String>,
}

/// Where the authorization response goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) redirect_uri: String,
    pub(super) mode: ResponseMode,
    pub(super) state: Option<String>,
}

/// How the authorization response travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseMode {
    Query,
    Fragment,
    FormPost,
}

/// `prompt` of the request (OpenID Connect Core section 3.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Prompt {
    pub(super) none: bool,
    /// `login`, and `select_account`, for which the login page serves.
    pub(super) login: bool,
    pub(super) consent: bool,
}

/// A sign-in on its way.
#[derive(Debug, Clone)]
pub(super) struct Interaction {
    pub(super) request: AuthorizationRequest,
    /// Hash of the cookie of the browser that began it.
    pub(super) browser: String,
    /// Must come back with each form.
    pub(super) csrf: String,
    /// The user name of the first page, where it has a page of its own.
    pub(super) identifier: Option<String>,
    /// The account whose password was right.
    pub(super) username: Option<String>,
    pub(super) second_factor_done: bool,
    /// Whether to stay signed in, once that was asked.
    pub(super) stay: Option<bool>,
    /// Key of the session, once there is one that satisfies the request.
    pub(super) session: Option<String>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Login,
    Mfa,
    Stay,
    /// Everything is there to begin a session.
    StartSession,
    /// Questions that need the session are open.
    Signed,
}

impl Interaction {
    /// The next step, as far as it does not depend on the session.
    pub(super) fn step(&self, has_second_factor: bool, asks_to_stay: bool) -> Step {
        if self.session.is_some() {
            return Step::Signed;
        }
        if self.username.is_none() {
            return Step::Login;
        }
        if has_second_factor && !self.second_factor_done {
            return Step::Mfa;
        }
        if asks_to_stay && self.stay.is_none() {
            return Step::Stay;
        }
        Step::StartSession
    }
}

impl AuthorizationRequest {
    /// Whether somebody who is signed in already need not sign in again.
    pub(super) fn accepts(&self, session: &Session, now: i64) -> bool {
        let fresh = self
            .max_age
            .is_none_or(|max_age| now - session.auth_time <= max_age);
        fresh && !self.prompt.login
    }

    /// Whether the person has to agree to something.
    pub(super) fn needs_consent(&self, session: &Session) -> bool {
        let Some(agreed) = session.consents.get(&self.client) else {
            return true;
        };
        self.prompt.consent || !self.scope.iter().all(|scope| agreed.contains(scope))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn request() -> AuthorizationRequest {
        AuthorizationRequest {
            client: "demo".into(),
            target: Target {
                redirect_uri: "https://app.example.com/callback".into(),
                mode: ResponseMode::Query,
                state: Some("a state".into()),
            },
            scope: vec!["openid".into(), "email".into()],
            nonce: None,
            challenge: String::new(),
            prompt: Prompt::default(),
            max_age: None,
            login_hint: None,
        }
    }

    fn session(consents: &[&str]) -> Session {
        let scopes = consents.iter().map(|&scope| scope.to_owned()).collect();
        Session {
            username: "demo".into(),
            auth_time: 100,
            consents: [("demo".to_owned(), scopes)].into(),
        }
    }

    #[test]
    fn the_pages_come_in_order() {
        let mut interaction = Interaction {
            request: request(),
            browser: String::new(),
            csrf: String::new(),
            identifier: None,
            username: None,
            second_factor_done: false,
            stay: None,
            session: None,
        };
        assert_eq!(interaction.step(true, true), Step::Login);
        interaction.username = Some("demo".into());
        assert_eq!(interaction.step(true, true), Step::Mfa);
        assert_eq!(interaction.step(false, true), Step::Stay);
        assert_eq!(interaction.step(false, false), Step::StartSession);
        interaction.second_factor_done = true;
        assert_eq!(interaction.step(true, true), Step::Stay);
        interaction.stay = Some(false);
        assert_eq!(interaction.step(true, true), Step::StartSession);
        interaction.session = Some("key".into());
        assert_eq!(interaction.step(true, true), Step::Signed);
    }

    #[test]
    fn a_session_serves_until_it_is_too_old_or_login_is_asked_for() {
        let mut request = request();
        assert!(request.accepts(&session(&[]), 1_000));
        request.max_age = Some(60);
        assert!(request.accepts(&session(&[]), 160));
        assert!(!request.accepts(&session(&[]), 161));
        request.max_age = None;
        request.prompt.login = true;
        assert!(!request.accepts(&session(&[]), 100));
    }

    #[test]
    fn consent_is_asked_for_new_scopes_and_on_demand() {
        let mut request = request();
        assert!(request.needs_consent(&session(&["openid"])));
        assert!(!request.needs_consent(&session(&["email", "openid", "profile"])));
        request.prompt.consent = true;
        assert!(request.needs_consent(&session(&["email", "openid"])));
    }
}
