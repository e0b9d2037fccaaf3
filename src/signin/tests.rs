//! Pages as tables: what is read, what was done before, and what comes next.

use std::time::Duration;

use super::reading::{Button, ButtonKind, Field, Group, Reading};
use super::{Move, Past, What, decide, overdue};
use crate::taxonomy::{Class, Stage};

/// A whole page at rest with one form; fields as `kind names`, buttons as `caption` (the first submits).
fn page(text: &str, fields: &[&str], buttons: &[&str]) -> Reading {
    let field = |(index, spec): (usize, &&str)| {
        let (kind, names) = spec.split_once(' ').unwrap_or((spec, ""));
        Field {
            index,
            group: Some(0),
            kind: kind.into(),
            names: names.into(),
            enabled: true,
            shown: true,
            ..Field::default()
        }
    };
    let button = |(index, caption): (usize, &&str)| Button {
        index: 100 + index,
        group: Some(0),
        caption: (*caption).into(),
        kind: if index == 0 {
            ButtonKind::Submit
        } else {
            ButtonKind::Button
        },
        enabled: true,
        ..Button::default()
    };
    Reading {
        url: "https://as.example/page?x=1".into(),
        text: text.into(),
        fields: fields.iter().enumerate().map(field).collect(),
        buttons: buttons.iter().enumerate().map(button).collect(),
        groups: vec![Group {
            form: true,
            ..Group::default()
        }],
        loaded: true,
        parsed: true,
        fresh: true,
        changed: true,
        quiet_ms: 9000,
        ..Reading::default()
    }
}

fn start() -> Past {
    Past {
        username: "canary@example.com".into(),
        has_password: true,
        has_totp: true,
        waited: Duration::from_secs(6),
        ..Past::default()
    }
}

fn after_login() -> Past {
    Past {
        username_sent: Some("https://as.example".into()),
        password_sent: true,
        ..start()
    }
}

fn summary(next: Move) -> String {
    match next {
        Move::Wait => "wait".into(),
        Move::Again => "again".into(),
        Move::Stop(halt) => format!(
            "stop {} {}",
            <&str>::from(halt.stage),
            <&str>::from(halt.class)
        ),
        Move::Act(act) => {
            let stage = act.stage.map_or("", <&str>::from);
            let fills: Vec<String> = act
                .fills
                .iter()
                .map(|(index, what)| format!("{index}={what:?}"))
                .collect();
            let press = act
                .press
                .map_or_else(|| "enter".into(), |index| index.to_string());
            format!("{stage} {} press {press}", fills.join(","))
        }
    }
}

#[track_caller]
fn check(page: &Reading, past: &Past, expected: &str) {
    assert_eq!(summary(decide(page, past)), expected, "{page:#?}");
}

#[test]
fn forms_are_filled() {
    let user_and_password = page(
        "",
        &["text username", "password password"],
        &["Sign in", "Sign in with Google"],
    );
    check(
        &user_and_password,
        &start(),
        "login 0=Username,1=Password press 100",
    );
    check(
        &page("", &["email identifier"], &["Next"]),
        &start(),
        "login 0=Username press 100",
    );
    check(
        &page("", &["password p"], &["Weiter"]),
        &start(),
        "login 0=Password press 100",
    );
    check(
        &page("", &["text a", "password b"], &[]),
        &start(),
        "login 0=Username,1=Password press enter",
    );
    check(
        &page("", &["text username", "password p", "text otp"], &["Go"]),
        &start(),
        "login 0=Username,1=Password,2=Code press 100",
    );
    check(
        &page("", &["text otp"], &["Verify", "Cancel"]),
        &after_login(),
        "mfa 0=Code press 100",
    );
    let boxes = Reading {
        fields: page(
            "",
            &["text a", "text b", "text c", "text d", "text e", "text f"],
            &[],
        )
        .fields
        .into_iter()
        .map(|field| Field { width: 1, ..field })
        .collect(),
        ..page("", &[], &["Verify"])
    };
    let Move::Act(act) = decide(&boxes, &after_login()) else {
        panic!("boxes are a code")
    };
    assert_eq!(act.fills[5], (5, What::Digit(5)));
}

#[test]
fn what_is_no_sign_in_form_is_left_alone() {
    let unknown = "stop login unexpected_page";
    check(&page("", &["search q"], &["Search"]), &start(), unknown);
    check(
        &page("", &["email email"], &["Subscribe"]),
        &start(),
        unknown,
    );
    check(
        &page("", &["email email"], &["Reset password"]),
        &start(),
        unknown,
    );
    check(
        &page(
            "",
            &["text name", "email email", "password a", "password b"],
            &["Sign up"],
        ),
        &start(),
        unknown,
    );
    check(
        &page("", &[], &["Go to portal", "Delete account"]),
        &start(),
        unknown,
    );
}

#[test]
fn nothing_is_sent_twice() {
    let login = page(
        "Sign in",
        &["text username", "password password"],
        &["Sign in"],
    );
    check(&login, &after_login(), "stop login bad_user_credentials");
    let same = Reading {
        fresh: false,
        sent: true,
        ..login.clone()
    };
    check(
        &same,
        &Past {
            known_lines: ["Sign in".to_owned()].into(),
            ..after_login()
        },
        "wait",
    );
    let told = Reading {
        text: "Sign in\nNope.".into(),
        ..same
    };
    check(
        &told,
        &Past {
            known_lines: ["Sign in".to_owned()].into(),
            ..after_login()
        },
        "stop login bad_user_credentials",
    );
    check(
        &Reading {
            busy: true,
            ..told.clone()
        },
        &after_login(),
        "wait",
    );
    check(
        &Reading {
            sent: false,
            ..told
        },
        &after_login(),
        "again",
    );
    let locked = Reading {
        alerts: vec!["Votre compte est verrouillé".into()],
        ..login
    };
    check(&locked, &after_login(), "stop login account_locked");
    let code = page("", &["text otp"], &["Verify"]);
    check(
        &code,
        &Past {
            code_sent: true,
            ..after_login()
        },
        "stop mfa bad_user_credentials",
    );
    check(
        &page("", &["email identifier"], &["Next"]),
        &Past {
            password_sent: false,
            ..after_login()
        },
        "stop login bad_user_credentials",
    );
    let elsewhere = Reading {
        url: "https://other.example/".into(),
        ..page("", &["email identifier"], &["Next"])
    };
    check(
        &elsewhere,
        &Past {
            password_sent: false,
            ..after_login()
        },
        "login 0=Username press 100",
    );
}

#[test]
fn second_factors_that_cannot_be_given_are_named() {
    let code = page("Enter your code", &["text otp"], &["Verify"]);
    check(
        &code,
        &Past {
            has_totp: false,
            ..after_login()
        },
        "stop mfa mfa_required",
    );
    check(
        &page("We sent a code to your phone", &["text otp"], &["Verify"]),
        &after_login(),
        "stop mfa mfa_required",
    );
    check(
        &page("Approve sign in request", &[], &[]),
        &after_login(),
        "stop mfa mfa_required",
    );
    let ways = page(
        "Two-step verification",
        &[],
        &["Text message", "Use a code from my authenticator app"],
    );
    check(&ways, &after_login(), "  press 101");
}

#[test]
fn consent_is_given_and_never_refused() {
    for (text, buttons, press) in [
        (
            "Canary wants to access your account",
            ["Deny", "Allow"],
            101,
        ),
        ("Canary möchte zugreifen", ["Ablehnen", "Zulassen"], 101),
        ("Canary souhaite accéder", ["Autoriser", "Refuser"], 100),
        ("Canary quiere acceder", ["Permitir", "No permitir"], 100),
        ("Canary richiede", ["Annulla", "Consenti"], 101),
        ("Canary deseja", ["Autorizar", "Cancelar"], 100),
        ("Canary wil toegang", ["Niet toestaan", "Toestaan"], 101),
        ("Canary", ["Neka", "Godkänn"], 101),
        ("Canary", ["Afvis", "Tillad"], 101),
        ("Canary", ["Avslå", "Godta"], 101),
        ("Canary", ["Peruuta", "Hyväksy"], 101),
        ("Canary", ["Odmów", "Zezwól"], 101),
        ("Canary", ["Zamítnout", "Povolit"], 101),
        ("Canary", ["İptal", "İzin ver"], 101),
        ("Canary", ["Запретить", "Разрешить"], 101),
        ("Canary", ["Скасувати", "Дозволити"], 101),
        ("Canary", ["許可しない", "許可する"], 101),
        ("Canary", ["拒绝", "同意并继续"], 101),
        ("Canary", ["허용 안 함", "허용"], 101),
        ("Canary", ["رفض", "السماح"], 101),
        ("Canary", ["סירוב", "לאפשר"], 101),
        ("Authorize Canary: scopes", ["Continue", "[ Cancel ]"], 100),
    ] {
        check(
            &page(text, &[], &buttons),
            &after_login(),
            &format!("consent  press {press}"),
        );
    }
    let cookies = page("We use cookies", &[], &["Accept all"]);
    let buttons = cookies
        .buttons
        .iter()
        .map(|button| Button {
            cookies: true,
            ..button.clone()
        })
        .collect();
    check(
        &Reading { buttons, ..cookies },
        &start(),
        "stop login unexpected_page",
    );
}

#[test]
fn pages_in_between_are_passed() {
    check(
        &page("Stay signed in?", &[], &["Yes", "No"]),
        &after_login(),
        "  press 100",
    );
    check(
        &page("Add a passkey", &[], &["Create a passkey", "Not now"]),
        &after_login(),
        "  press 101",
    );
    check(
        &page(
            "Pick an account",
            &[],
            &["other@example.com", "Canary canary@example.com"],
        ),
        &start(),
        "login  press 101",
    );
    check(
        &page(
            "Pick an account",
            &[],
            &["other@example.com", "Use another account"],
        ),
        &start(),
        "login  press 101",
    );
    check(
        &page("", &[], &["Continue as canary@example.com"]),
        &after_login(),
        "login  press 100",
    );
}

#[test]
fn errors_are_named_by_words_where_pages_put_them() {
    let error = |status, title: &str, text: &str| Reading {
        status: Some(status),
        title: title.into(),
        ..page(text, &[], &[])
    };
    check(
        &error(400, "We are sorry", "Invalid parameter: redirect_uri"),
        &start(),
        "stop authorize redirect_uri_mismatch",
    );
    check(
        &error(400, "Error", "Client not found."),
        &after_login(),
        "stop authorize invalid_client",
    );
    check(
        &error(200, "Error", "AADSTS50053: the account is locked"),
        &after_login(),
        "stop login account_locked",
    );
    check(
        &error(503, "x", "y"),
        &start(),
        "stop authorize temporarily_unavailable",
    );
    check(
        &error(404, "x", "y"),
        &start(),
        "stop authorize http_client_error",
    );
    let by_address = Reading {
        url: "https://as.example/error?error=invalid_scope".into(),
        ..error(400, "Error", "An error occurred")
    };
    check(&by_address, &start(), "stop authorize invalid_scope");
    let lost = Reading {
        net_error: Some("ERR_NAME_NOT_RESOLVED".into()),
        ..page("", &[], &[])
    };
    check(&lost, &start(), "stop authorize dns_failure");
    let long = page(
        &format!(
            "Welcome\n{}\nSession expired? Too many requests?",
            "help ".repeat(200)
        ),
        &[],
        &["Help"],
    );
    check(&long, &start(), "stop login unexpected_page");
}

#[test]
fn time_that_runs_out_is_named_by_what_was_reached() {
    let halt = |page: Option<&Reading>, past: &Past| overdue(page, past);
    assert_eq!(halt(None, &start()).class, Class::NavigationTimeout);
    let consented = Past {
        consents: 1,
        ..after_login()
    };
    assert_eq!(
        (halt(None, &consented).stage, halt(None, &consented).class),
        (Stage::Callback, Class::CallbackNotReached)
    );
    let stuck = Reading {
        fresh: false,
        changed: false,
        sent: true,
        ..page("x", &["text username", "password p"], &["Sign in"])
    };
    assert_eq!(
        halt(Some(&stuck), &after_login()).class,
        Class::NavigationTimeout
    );
    assert_eq!(
        halt(Some(&page("Loading...", &[], &[])), &start()).class,
        Class::NavigationTimeout
    );
}
