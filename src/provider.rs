//! What is known of single providers: their error codes and telling phrases, as data. One file each, one line each in
//! [`ALL`]. How rules are held against an answer is the business of `verdict`.

use crate::taxonomy::{Action, Cause, Class, Stage};

macro_rules! providers {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*
        /// Every provider with rules of its own.
        pub static ALL: &[&Provider] = &[$(&$module::PROVIDER),*];
    };
}

providers![
    adfs,
    amazon_lwa,
    apigee,
    apple,
    arcgis,
    atlassian,
    auth0,
    authentik,
    aws_cognito,
    azure_ad_b2c,
    box_com,
    dex,
    dropbox,
    facebook,
    fitbit,
    freshdesk,
    github,
    gitlab,
    google,
    hubspot,
    kakao,
    keycloak,
    kong,
    linkedin,
    microsoft_account,
    microsoft_entra,
    netsuite,
    node_oidc_provider,
    okta,
    openiddict,
    ory_hydra,
    paypal,
    salesforce,
    servicenow,
    slack,
    strava,
    stripe,
    tiktok,
    truelayer,
    twitch,
    wechat,
    withings,
    x_twitter,
    yahoo,
    zoho,
    zoom,
];

/// A provider, by what its errors look like.
#[derive(Debug)]
pub struct Provider {
    /// As probe files name it.
    pub name: &'static str,
    /// Other names that people use for it.
    pub aliases: &'static [&'static str],
    /// Patterns of issuers and authorization endpoints that only this provider has; `*` stands for anything.
    pub addresses: &'static [&'static str],
    /// In order; the first that fits wins.
    pub rules: &'static [Rule],
    /// Beginning of codes that only this provider uses. Its rules with such codes hold wherever they show up, because
    /// providers pass on each other's errors.
    pub prefix: Option<&'static str>,
    /// Days after which an unused refresh token is dead, where the provider has such a limit.
    pub refresh_token_days: Option<u32>,
}

impl Provider {
    /// A provider without any of the rest.
    const fn named(name: &'static str, aliases: &'static [&'static str]) -> Self {
        Self {
            name,
            aliases,
            addresses: &[],
            rules: &[],
            prefix: None,
            refresh_token_days: None,
        }
    }
}

/// One row of a provider's table. Every column that is filled must fit; an empty one always does.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// One of these codes. Letter case and separators do not matter. A number is written with the member that holds
    /// it: `error_subcode=460`.
    pub codes: &'static [&'static str],
    /// One of these phrases, in lower case without punctuation, at the start of a word. `*` stands for anything between.
    pub says: &'static [&'static str],
    /// At one of these steps.
    pub at: &'static [Stage],
    /// With one of these grant types.
    pub grants: &'static [&'static str],
    /// With one of these statuses.
    pub status: &'static [u16],
    /// And this is so.
    pub fact: Option<Fact>,
    pub class: Class,
    /// Where the evidence says more than the class.
    pub cause: Option<Cause>,
    /// Where the evidence says more than the class.
    pub action: Option<Action>,
}

/// Something that the probe knows, or that an answer has beside its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// No header of this name came.
    NoHeader(&'static str),
    /// A header of this name came.
    Header(&'static str),
    /// The refresh token is at least so many days old.
    RefreshTokenDays(u32),
    /// The app is published as this.
    Published(&'static str),
    /// No text explains the code.
    Bare,
}

/// The provider of this name.
pub fn find(name: &str) -> Option<&'static Provider> {
    let name = name.trim().to_ascii_lowercase().replace(['_', ' '], "-");
    ALL.iter()
        .copied()
        .find(|provider| provider.name == name || provider.aliases.contains(&name.as_str()))
}

/// The provider that one of these addresses, of issuer or authorization endpoint, gives away.
pub fn recognise(addresses: &[&str]) -> Option<&'static Provider> {
    let fits = |pattern: &&str| {
        let pattern = glob::Pattern::new(pattern).expect("a test reads every pattern");
        addresses.iter().any(|address| pattern.matches(address))
    };
    ALL.iter()
        .copied()
        .find(|provider| provider.addresses.iter().any(fits))
}

/// The steps at which a refresh token is at stake.
const REFRESH: &[Stage] = &[Stage::Refresh];
/// The steps at which a code, or another grant, is at stake.
const TOKEN: &[Stage] = &[Stage::TokenExchange, Stage::IdToken];
/// The steps at which any grant is at stake.
const GRANT: &[Stage] = &[Stage::TokenExchange, Stage::IdToken, Stage::Refresh];
/// The steps at which the access token is at stake.
const BEARER: &[Stage] = &[Stage::Userinfo, Stage::Resource];
/// The steps in the browser.
const BROWSER: &[Stage] = &[
    Stage::Authorize,
    Stage::Login,
    Stage::Mfa,
    Stage::Consent,
    Stage::Callback,
];

const ANY: Rule = Rule {
    codes: &[],
    says: &[],
    at: &[],
    grants: &[],
    status: &[],
    fact: None,
    class: Class::InvalidRequest,
    cause: None,
    action: None,
};

/// A row that goes by code.
const fn codes(class: Class, codes: &'static [&'static str]) -> Rule {
    Rule {
        codes,
        class,
        ..ANY
    }
}

/// A row that goes by phrase.
const fn says(class: Class, says: &'static [&'static str]) -> Rule {
    Rule { says, class, ..ANY }
}

impl Rule {
    const fn says(mut self, says: &'static [&'static str]) -> Self {
        self.says = says;
        self
    }

    const fn at(mut self, at: &'static [Stage]) -> Self {
        self.at = at;
        self
    }

    const fn grants(mut self, grants: &'static [&'static str]) -> Self {
        self.grants = grants;
        self
    }

    const fn status(mut self, status: &'static [u16]) -> Self {
        self.status = status;
        self
    }

    const fn when(mut self, fact: Fact) -> Self {
        self.fact = Some(fact);
        self
    }

    const fn blame(mut self, cause: Cause, action: Action) -> Self {
        self.cause = Some(cause);
        self.action = Some(action);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gives_a_provider_away() {
        let name = |address: &str| recognise(&[address]).map(|provider| provider.name);
        for (address, provider) in [
            ("https://accounts.google.com", Some("google")),
            (
                "https://login.microsoftonline.com/8a0f/v2.0",
                Some("microsoft-entra"),
            ),
            ("https://dev-1.okta.com/oauth2/default", Some("okta")),
            ("https://tenant.eu.auth0.com/", Some("auth0")),
            (
                "https://sso.example.com/realms/main/protocol/openid-connect/auth",
                Some("keycloak"),
            ),
            ("https://acme.my.salesforce.com", Some("salesforce")),
            ("https://slack.com", Some("slack")),
            ("https://gitlab.com", Some("gitlab")),
            ("https://sso.example.com", None),
            ("http://127.0.0.1:1", None),
        ] {
            assert_eq!(name(address), provider, "{address}");
        }
    }

    #[test]
    fn every_pattern_can_be_read() {
        for provider in ALL {
            for pattern in provider.addresses {
                assert!(glob::Pattern::new(pattern).is_ok(), "{pattern}");
            }
        }
    }
}
