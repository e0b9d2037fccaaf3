//! `login: auto` and login scripts on pages built as the products of the field build theirs.

mod pages;
mod site;

use std::time::Duration;

use authcanary::browser::signin::{Person, SignIn, walk};
use authcanary::probe::{Login, LoginAct, LoginStep, Target, Value};
use authcanary::redact::Redactor;
use authcanary::run::Fault;
use authcanary::secret::Secret;
use authcanary::taxonomy::{Class, Stage};
use authcanary::totp::Totp;
use tokio::time::Instant;

use authcanary::browser::Tab;
use site::{PASSWORD, Site, USER};

use super::support::{Pack, deadline, settings};

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

async fn go(tab: &Tab, site: &Site, page: &str, login: &Login, totp: Option<&Totp>) -> SignIn<()> {
    tab.client().goto(&site.url(page)).await.unwrap();
    let password = Secret::new(PASSWORD);
    let person = Person {
        username: USER,
        password: Some(&password),
        totp,
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    walk(
        tab,
        login,
        &person,
        Duration::from_secs(8),
        deadline,
        &Redactor::default(),
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

/// Walks every page of `cases`, each on a site of its own, in one window; reports all that went wrong at once.
async fn check_all(cases: &[(&str, Option<(Stage, Class)>)]) {
    let pack = Pack::new(settings());
    let tab = pack.browsers.acquire(deadline()).await.unwrap();
    let mut wrong = Vec::new();
    for (place, (page, expected)) in cases.iter().enumerate() {
        let site = Site::start().await;
        let totp = totp(place);
        let started = Instant::now();
        let sign_in = go(&tab, &site, page, &Login::Auto, Some(&totp)).await;
        let verdict = verdict(&sign_in);
        eprintln!("{page}: {:?} {verdict:?}", started.elapsed());
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
    tab.close().await;
    pack.browsers.shutdown().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
        "asks-first",
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
        ("image-captcha", Some((Login, Class::BotChallenge))),
        ("box-captcha", Some((Login, Class::BotChallenge))),
        ("interstitial", Some((Login, Class::BotChallenge))),
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
        ("expired", Some((Login, Class::SessionExpired))),
        ("denied", Some((Login, Class::AccessDenied))),
        ("unknown", Some((Login, Class::UnexpectedPage))),
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

fn step(act: LoginAct) -> LoginStep {
    LoginStep {
        only_if: None,
        act,
        within: Some(Duration::from_secs(3)),
        line: 7,
    }
}

fn fill(target: &str, with: Value) -> LoginStep {
    step(LoginAct::Fill {
        target: Target::parse(target),
        with,
    })
}

fn click(target: &str) -> LoginStep {
    step(LoginAct::Click(Target::parse(target)))
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_walk_and_name_the_line_that_no_longer_fits() {
    let sign_in = || {
        vec![
            fill("[name=username]", Value::Username),
            fill("[name=password]", Value::Password),
        ]
    };
    let with = |more: Vec<LoginStep>| Login::Steps([sign_in(), more].concat());
    let only_if = |target: &str, step: LoginStep| LoginStep {
        only_if: Some(Target::parse(target)),
        ..step
    };
    let stages = |sign_in: &SignIn<()>| {
        sign_in
            .steps
            .iter()
            .map(|step| step.stage)
            .collect::<Vec<_>>()
    };
    let pack = Pack::new(settings());
    let tab = pack.browsers.acquire(deadline()).await.unwrap();
    use Stage::{Authorize, Consent, Login as LogIn, Mfa};

    let site = Site::start().await;
    let login = with(vec![
        click("text=Sign in"),
        fill("#otp", Value::Totp),
        step(LoginAct::Press("Enter".into())),
    ]);
    let walked = go(&tab, &site, "login-code", &login, Some(&totp(501))).await;
    assert_eq!(verdict(&walked), None);
    assert_eq!(stages(&walked), [Authorize, LogIn, Mfa]);
    assert_eq!(site.seen().codes.len(), 1);

    let site = Site::start().await;
    let otp = only_if("#otp", fill("#otp", Value::Totp));
    let login = with(vec![
        click("//button"),
        otp,
        step(LoginAct::Expect(Target::parse("h1"))),
        click("[name=yes]"),
    ]);
    let walked = go(&tab, &site, "login-consent", &login, Some(&totp(502))).await;
    assert_eq!(verdict(&walked), None);
    assert_eq!(stages(&walked), [Authorize, LogIn, Consent]);

    let site = Site::start().await;
    let login = Login::Steps(vec![
        fill("input[name=uidField]", Value::Username),
        fill("input[name=password]", Value::Password),
        click("button[type=submit]"),
    ]);
    let walked = go(&tab, &site, "nested-shadow", &login, None).await;
    assert_eq!(
        verdict(&walked),
        None,
        "CSS finds its way into open shadow roots"
    );

    let site = Site::start().await;
    let framed = vec![
        step(LoginAct::Frame(Some(Target::parse("iframe")))),
        fill("text=User ID", Value::Username),
        fill("[name=b]", Value::Password),
        click("button"),
    ];
    let walked = go(&tab, &site, "iframe-elsewhere", &Login::Steps(framed), None).await;
    assert_eq!(verdict(&walked), None);

    let site = Site::start().await;
    let login = Login::Steps(vec![
        fill("[name=username]", Value::Username),
        fill("[name=password]", Value::Password),
        step(LoginAct::Select {
            target: Target::parse("select"),
            option: Value::Literal("Deutsch".into()),
        }),
        click("[name=t]"),
        click("button"),
    ]);
    let walked = go(&tab, &site, "terms", &login, None).await;
    assert_eq!(verdict(&walked), None);

    let check = async |page: &str, login: Login, stage: Stage, class: Class, said: &str| {
        let site = Site::start().await;
        let walked = go(&tab, &site, page, &login, None).await;
        let (at, what, detail) = verdict(&walked).expect(page);
        assert_eq!((at, what), (stage, class), "{page}: {detail}");
        assert!(detail.contains(said), "{page}: {detail}");
    };
    let moved = Login::Steps(vec![fill("#moved", Value::Username)]);
    check(
        "classic",
        moved,
        LogIn,
        Class::ElementNotFound,
        "line 7: `#moved` is not on the page",
    )
    .await;
    let hidden = Login::Steps(vec![fill("div [name=trap]", Value::Username)]);
    check(
        "honeypots",
        hidden,
        LogIn,
        Class::ElementNotFound,
        "not visible",
    )
    .await;
    check(
        "refused",
        with(vec![click("button")]),
        LogIn,
        Class::BadUserCredentials,
        "Invalid username",
    )
    .await;
    let refused = with(vec![click("button"), click("#consent")]);
    check(
        "refused",
        refused,
        LogIn,
        Class::BadUserCredentials,
        "Invalid username",
    )
    .await;
    let locked = with(vec![
        click("button"),
        step(LoginAct::Wait(Target::parse("#next"))),
    ]);
    check("locked", locked, LogIn, Class::AccountLocked, "gesperrt").await;
    let wrong = Login::Steps(vec![click("a[[")]);
    check("classic", wrong, LogIn, Class::ConfigInvalid, "line 7").await;
    tab.close().await;
    pack.browsers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_shows_the_page_and_nothing_that_was_typed() {
    let pack = Pack::new(settings());
    let tab = pack.browsers.acquire(deadline()).await.unwrap();
    let site = Site::start().await;
    let walked = go(&tab, &site, "echo", &Login::Auto, None).await;
    assert!(walked.stop.is_some());
    let evidence = walked.page.unwrap();
    let kept = serde_json::to_string(&evidence).unwrap();
    assert!(
        !kept.contains(USER) && !kept.contains("correct horse"),
        "{kept}"
    );
    assert!(kept.contains("could not be signed in"), "{kept}");
    assert!(
        evidence.url.ends_with("/check/login/echo-again"),
        "{}",
        evidence.url
    );
    assert!(
        evidence
            .screenshot
            .is_some_and(|picture| picture.starts_with(b"\x89PNG"))
    );
    // The page itself is what the picture was taken of.
    let script = "const t = []; const go = (r) => { for (const e of r.querySelectorAll('*')) { if (e.value) t.push(e.value); if (e.shadowRoot) go(e.shadowRoot); \
                  t.push(...[...e.childNodes].filter((n) => n.nodeType === 3 && !/script/i.test(e.localName)).map((n) => n.data)); } }; go(document); return t.join('|');";
    let shown = tab
        .client()
        .execute(script, Vec::new())
        .await
        .unwrap()
        .to_string();
    assert!(
        !shown.contains("canary@example") && !shown.contains("correct horse"),
        "{shown}"
    );
    tab.close().await;
    pack.browsers.shutdown().await;
}
