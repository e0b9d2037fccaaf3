//! `login: auto` and login scripts on pages built as the products of the field build theirs.

mod driver;
mod pages;
mod site;

use std::time::Duration;

use authcanary::browser::signin::{Person, SignIn, walk};
use authcanary::probe::{Login, LoginAct, LoginStep, Target, Value};
use authcanary::run::Fault;
use authcanary::secret::Secret;
use authcanary::taxonomy::{Class, Stage};
use authcanary::totp::Totp;
use fantoccini::Client;
use tokio::time::Instant;

use driver::Driver;
use site::{PASSWORD, Site, USER};

/// A TOTP secret of its own for each walk, so that no walk has to wait for another's time step.
fn totp(seed: usize) -> Totp {
    let letters: String = format!("{seed:06}")
        .bytes()
        .map(|digit| char::from(digit - b'0' + b'A'))
        .collect();
    Totp::parse(&Secret::new(format!(
        "otpauth://totp/x?secret=ORSXG5DPNZSQ{letters}{letters}&period=3600"
    )))
    .unwrap()
}

async fn go(
    client: &Client,
    site: &Site,
    page: &str,
    login: &Login,
    totp: Option<&Totp>,
) -> SignIn<()> {
    client.goto(&site.url(page)).await.unwrap();
    let password = Secret::new(PASSWORD);
    let person = Person {
        username: USER,
        password: Some(&password),
        totp,
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    walk(
        client,
        login,
        &person,
        Duration::from_secs(8),
        deadline,
        std::pin::pin!(site.arrived()),
    )
    .await
}

fn verdict(sign_in: &SignIn<()>) -> Option<(Stage, Class, String)> {
    let stop = sign_in.stop.as_ref()?;
    match &stop.fault {
        Fault::Page(finding) | Fault::Transport(finding) | Fault::Monitor(finding) => {
            Some((stop.stage, finding.class, finding.detail.clone()))
        }
        other => panic!("{other:?}"),
    }
}

/// Walks every page of `cases`, each on a site of its own, in one session; reports all that went wrong at once.
async fn check_all(cases: &[(&str, Option<(Stage, Class)>)]) {
    let driver = Driver::start();
    let only = std::env::var("PAGE").unwrap_or_default();
    for strategy in ["none", "normal"] {
        let client = driver.session(strategy).await;
        let mut wrong = Vec::new();
        for (place, (page, expected)) in cases.iter().enumerate() {
            if !only.is_empty() && !only.split(',').any(|only| only == *page) {
                continue;
            }
            let site = Site::start().await;
            let totp = totp(place + if strategy == "none" { 0 } else { 1000 });
            let started = Instant::now();
            let sign_in = go(&client, &site, page, &Login::Auto, Some(&totp)).await;
            let verdict = verdict(&sign_in);
            eprintln!("{strategy} {page}: {:?} {verdict:?}", started.elapsed());
            let seen = site.seen();
            if verdict.as_ref().map(|(stage, class, _)| (*stage, *class)) != *expected {
                wrong.push(format!(
                    "{page}: {verdict:?}, site: {:?} {:?}",
                    seen.wrong,
                    sign_in.page.map(|page| page.text)
                ));
            }
            if seen.passwords > 1 || seen.codes.len() > 1 || !seen.wrong.is_empty() {
                wrong.push(format!(
                    "{page}: passwords {}, codes {:?}, wrong {:?}",
                    seen.passwords, seen.codes, seen.wrong
                ));
            }
        }
        client.close().await.unwrap();
        assert!(wrong.is_empty(), "{strategy}\n{}", wrong.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_every_make_are_filled_and_sent_once() {
    let pages = [
        "classic",
        "table",
        "identifier-first",
        "identifier-spa",
        "controlled",
        "late-handler",
        "trusted-only",
        "enter-only",
        "enter-key-handler",
        "nested-shadow",
        "shadow-buttons",
        "iframe",
        "iframe-elsewhere",
        "social-first",
        "search-first",
        "sign-up-beside",
        "both-cognito",
        "honeypots",
        "shown-password",
        "terms",
        "cookie-wall",
        "by-script",
        "formless",
        "late-page",
        "refresh",
        "slow",
        "auto-post",
        "disabled-user",
        "help-texts",
        "old-alert",
        "badge-captcha",
    ];
    check_all(&pages.map(|page| (page, None))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_consents_pickers_and_offers_are_passed() {
    let pages = [
        "login-code",
        "login-boxes",
        "login-sent",
        "login-consent",
        "dev-login",
        "consent-div",
        "consent-link",
        "consent-boxes",
        "consent-cookies",
        "consent-confirm",
        "login-stay",
        "login-offer",
        "picker",
        "picker-other",
        "connectors",
        "passkey-first",
        "as-who",
        "all-in-one",
    ];
    check_all(&pages.map(|page| (page, None))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_a_sign_in_is_named() {
    use Stage::{Authorize, Callback, Login, Mfa};
    check_all(&[
        ("refused", Some((Login, Class::BadUserCredentials))),
        ("refused-silent", Some((Login, Class::BadUserCredentials))),
        ("refused-spa", Some((Login, Class::BadUserCredentials))),
        ("refused-user", Some((Login, Class::BadUserCredentials))),
        ("refused-dialog", Some((Login, Class::BadUserCredentials))),
        ("locked", Some((Login, Class::AccountLocked))),
        ("must-change", Some((Login, Class::AccountLocked))),
        ("wrong-code", Some((Mfa, Class::BadUserCredentials))),
        ("push", Some((Mfa, Class::MfaRequired))),
        ("enrol", Some((Mfa, Class::MfaRequired))),
        ("image-captcha", Some((Authorize, Class::BotChallenge))),
        ("box-captcha", Some((Authorize, Class::BotChallenge))),
        ("interstitial", Some((Authorize, Class::BotChallenge))),
        (
            "bad-redirect",
            Some((Authorize, Class::RedirectUriMismatch)),
        ),
        ("bad-client", Some((Authorize, Class::InvalidClient))),
        ("server-error", Some((Authorize, Class::ServerError))),
        ("teapot", Some((Authorize, Class::HttpClientError))),
        (
            "maintenance",
            Some((Authorize, Class::TemporarilyUnavailable)),
        ),
        ("limited", Some((Authorize, Class::RateLimited))),
        ("expired", Some((Authorize, Class::SessionExpired))),
        ("denied", Some((Login, Class::AccessDenied))),
        ("unknown", Some((Authorize, Class::UnexpectedPage))),
        ("login-unknown", Some((Login, Class::UnexpectedPage))),
        ("login-nothing", Some((Callback, Class::CallbackNotReached))),
        (
            "consent-nothing",
            Some((Callback, Class::CallbackNotReached)),
        ),
        ("profile", Some((Login, Class::UnexpectedPage))),
    ])
    .await;
}
