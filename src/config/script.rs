//! The scripted parts of a probe: the way through the login pages, and the steps after the code exchange.

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::probe::{
    Account, Expectation, Login, LoginAct, LoginStep, RedirectUri, Rotation, Step, Target,
    TokenKind, Value,
};

use super::address::{SafeUrl, WebUrl};
use super::fault::rule;
use super::report::Report;
use super::scalar::Text;
use super::words::nearest;
use super::yaml::shorten;

/// How the login pages are passed.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum LoginSettings {
    Auto(#[expect(dead_code, reason = "the schema holds it to `auto`")] String),
    /// An item that is badly shaped is `None`.
    Steps(Vec<Option<LoginStepSettings>>),
}

impl JsonSchema for LoginSettings {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Login".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let step = generator.subschema_for::<LoginStepSettings>();
        json_schema!({"anyOf": [
            {"const": "auto"},
            {"type": "array", "items": step, "minItems": 1},
        ]})
    }
}

/// One line of a login script: exactly one act, on an element given as CSS, XPath (`//…`, `xpath=…`) or visible text
/// (`text=…`).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend(
    "oneOf" = [
        {"required": ["fill"]}, {"required": ["click"]}, {"required": ["press"]}, {"required": ["select"]},
        {"required": ["wait"]}, {"required": ["goto"]}, {"required": ["expect"]}, {"required": ["frame"]},
    ],
    "dependentRequired" = {"fill": ["with"], "select": ["option"]},
))]
#[schemars(rename = "LoginStep")]
pub(super) struct LoginStepSettings {
    /// Do this step only where this element is on the page; never wait for it.
    #[serde(rename = "if")]
    #[schemars(length(min = 1))]
    only_if: Option<String>,
    /// The field to fill; `with` says what with.
    #[schemars(length(min = 1))]
    fill: Option<String>,
    /// What to fill in: `account.username`, `account.password`, `account.totp`, or a text that is no secret.
    with: Option<String>,
    /// The element to click.
    #[schemars(length(min = 1))]
    click: Option<String>,
    /// The key to press, by its WebDriver name.
    press: Option<KeyName>,
    /// The list to choose from; `option` says what.
    #[schemars(length(min = 1))]
    select: Option<String>,
    /// Value or visible text of the option to choose.
    option: Option<String>,
    /// Wait until this element is visible.
    #[schemars(length(min = 1))]
    wait: Option<String>,
    /// Address to open.
    goto: Option<Text<WebUrl>>,
    /// Stop unless this element is visible.
    #[schemars(length(min = 1))]
    expect: Option<String>,
    /// The frame that later steps act in; `top` is the page itself again.
    #[schemars(length(min = 1))]
    frame: Option<String>,
    /// Limit of this step; the probe's `step_timeout` when left out.
    within: Option<Text<Duration>>,
}

/// A key without a character of its own, by its WebDriver name.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema, strum::IntoStaticStr)]
#[schemars(inline)]
enum KeyName {
    Enter,
    Tab,
    Escape,
    Space,
    Backspace,
    Delete,
    ArrowUp,
    ArrowDown,
    ArrowLeft,
    ArrowRight,
    Home,
    End,
    PageUp,
    PageDown,
}

/// A step after the code exchange: exactly one kind.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Step")]
pub(super) enum StepSettings {
    /// UserInfo request; its `sub` must be that of the ID token.
    Userinfo(UserinfoSettings),
    /// A request to a protected resource with the access token.
    Resource(ResourceSettings),
    /// Introspection of the access token; it must be active.
    Introspect(IntrospectSettings),
    /// A refresh with the refresh token of this run.
    Refresh(RefreshSettings),
    /// Revocation of a token.
    Revoke(RevokeSettings),
    /// Logout in the browser that signed in.
    Logout(LogoutSettings),
}

/// UserInfo request.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Userinfo")]
pub(super) struct UserinfoSettings {
    /// Condition in CEL that must hold, such as `body.email == account.username`.
    expect: Option<Text<Expectation>>,
}

/// A request to a protected resource.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Resource")]
pub(super) struct ResourceSettings {
    /// Address to request.
    get: Text<SafeUrl>,
    /// Condition in CEL that must hold, such as `status == 200`; any 2xx status when left out.
    #[serde(default)]
    expect: Option<Text<Expectation>>,
    /// The answer must be there in this time.
    #[serde(default)]
    within: Option<Text<Duration>>,
}

/// Introspection of the access token.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Introspect")]
pub(super) struct IntrospectSettings {
    /// Condition in CEL that must hold besides `active`.
    expect: Option<Text<Expectation>>,
}

/// A refresh with the refresh token of this run.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Refresh")]
pub(super) struct RefreshSettings {
    /// What is expected of the refresh token. `any` by default.
    rotation: Rotation,
}

/// Revocation of a token.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Revoke")]
pub(super) struct RevokeSettings {
    /// Which token. `auto` by default.
    token: TokenKind,
    /// Whether the token must be refused afterwards. False by default.
    verify: bool,
}

/// Logout in the browser that signed in.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Logout")]
pub(super) struct LogoutSettings {
    /// Where the provider sends the browser afterwards, as registered.
    post_logout_redirect_uri: Option<Text<RedirectUri>>,
}

impl StepSettings {
    /// Its key in the file.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Userinfo(_) => "userinfo",
            Self::Resource(_) => "resource",
            Self::Introspect(_) => "introspect",
            Self::Refresh(_) => "refresh",
            Self::Revoke(_) => "revoke",
            Self::Logout(_) => "logout",
        }
    }

    /// Its own limit, where it has one.
    pub(super) fn within(&self) -> Option<Duration> {
        match self {
            Self::Resource(resource) => resource.within.as_ref().map(|Text(within)| *within),
            Self::Userinfo(_)
            | Self::Introspect(_)
            | Self::Refresh(_)
            | Self::Revoke(_)
            | Self::Logout(_) => None,
        }
    }

    /// Ready to walk.
    pub(super) fn ready(&self) -> Step {
        let expectation = |text: &Option<Text<Expectation>>| text.clone().map(|Text(it)| it);
        match self {
            Self::Userinfo(step) => Step::Userinfo {
                expect: expectation(&step.expect),
            },
            Self::Resource(step) => Step::Resource {
                get: step.get.0.0.clone(),
                expect: expectation(&step.expect),
                within: self.within(),
            },
            Self::Introspect(step) => Step::Introspect {
                expect: expectation(&step.expect),
            },
            Self::Refresh(step) => Step::Refresh {
                rotation: step.rotation,
            },
            Self::Revoke(step) => Step::Revoke {
                token: step.token,
                verify: step.verify,
            },
            Self::Logout(step) => Step::Logout {
                post_logout_redirect_uri: step
                    .post_logout_redirect_uri
                    .as_ref()
                    .map(|Text(uri)| uri.url().clone()),
            },
        }
    }
}

/// The login of a probe, ready to walk; what is wrong with it goes to `report`.
pub(super) fn login(
    settings: Option<&LoginSettings>,
    place: &str,
    account: Option<&Account>,
    timeout: Duration,
    report: &mut Report<'_>,
) -> Login {
    let Some(LoginSettings::Steps(steps)) = settings else {
        return Login::Auto;
    };
    let ready = steps.iter().enumerate().filter_map(|(index, step)| {
        let place = format!("{place}/{index}");
        step.as_ref()?.ready(&place, account, timeout, report)
    });
    Login::Steps(ready.collect())
}

impl LoginStepSettings {
    fn ready(
        &self,
        place: &str,
        account: Option<&Account>,
        timeout: Duration,
        report: &mut Report<'_>,
    ) -> Option<LoginStep> {
        if self.with.is_some() && self.fill.is_none() {
            report.key(&format!("{place}/with"), "`with` goes with `fill` only", "");
        }
        if self.option.is_some() && self.select.is_none() {
            report.key(
                &format!("{place}/option"),
                "`option` goes with `select` only",
                "",
            );
        }
        let within = self.within.as_ref().map(|Text(within)| *within);
        if within.is_some_and(|within| within > timeout) {
            let message = "longer than the whole run may take";
            report.value(
                &format!("{place}/within"),
                message,
                "raise `timeout`, or lower this",
            );
        }
        Some(LoginStep {
            only_if: self.only_if.as_deref().map(Target::parse),
            act: self.act(place, account, report)?,
            within,
            line: report.line(place),
        })
    }

    fn act(
        &self,
        place: &str,
        account: Option<&Account>,
        report: &mut Report<'_>,
    ) -> Option<LoginAct> {
        let target = |text: &String| Target::parse(text);
        if let Some(field) = &self.fill {
            let with = self.with.as_deref()?;
            let place = format!("{place}/with");
            return Some(LoginAct::Fill {
                target: target(field),
                with: filling(field, with, &place, account, report),
            });
        }
        if let Some(list) = &self.select {
            return Some(LoginAct::Select {
                target: target(list),
                option: Value::Literal(self.option.clone()?),
            });
        }
        if let Some(frame) = &self.frame {
            return Some(LoginAct::Frame((frame != "top").then(|| target(frame))));
        }
        let click = self
            .click
            .as_ref()
            .map(|text| LoginAct::Click(target(text)));
        let press = || Some(LoginAct::Press(<&str>::from(self.press?).to_owned()));
        let wait = || self.wait.as_ref().map(|text| LoginAct::Wait(target(text)));
        let goto = || {
            self.goto
                .as_ref()
                .map(|Text(WebUrl(url))| LoginAct::Goto(url.clone()))
        };
        let expect = || {
            self.expect
                .as_ref()
                .map(|text| LoginAct::Expect(target(text)))
        };
        click
            .or_else(press)
            .or_else(wait)
            .or_else(goto)
            .or_else(expect)
    }
}

/// What `with` means, with a fault where the account does not have it or a secret stands there.
fn filling(
    field: &str,
    with: &str,
    place: &str,
    account: Option<&Account>,
    report: &mut Report<'_>,
) -> Value {
    const KNOWN: [&str; 3] = ["account.username", "account.password", "account.totp"];
    let missing = |value: &str| format!("the probe has no `{value}`");
    match with {
        "account.username" => {
            if account.is_none() {
                report.value(place, missing(with), "add `account`");
            }
            Value::Username
        }
        "account.password" => {
            if account.is_none_or(|account| account.password.is_none()) {
                report.value(place, missing(with), "add it to `account`");
            }
            Value::Password
        }
        "account.totp" => {
            if account.is_none_or(|account| account.totp.is_none()) {
                report.value(place, missing(with), "add it to `account`");
            }
            Value::Totp
        }
        other if other.starts_with("account.") => {
            let help = match nearest(other, KNOWN) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known are {}", KNOWN.join(", ")),
            };
            report.value(
                place,
                format!("an account has no `{}`", shorten(other)),
                &help,
            );
            Value::Literal(String::new())
        }
        literal => {
            let field = field.to_lowercase();
            if ["passw", "pwd", "secret"]
                .iter()
                .any(|word| field.contains(word))
            {
                report.by(rule::LITERAL_SECRET).value(
                    place,
                    "a secret must not stand in the file",
                    "write `with: account.password`, and in `account` where the password is kept",
                );
            }
            Value::Literal(literal.to_owned())
        }
    }
}
