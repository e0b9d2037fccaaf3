//! Which scopes were granted, held against those asked for.

use super::token::Tokens;

/// Scopes that were asked for and not granted. Order, separators and letter case do not matter, nor do short and long
/// names of one scope. An answer without `scope` grants what was asked (RFC 6749 section 5.1).
pub fn missing(asked: &[String], tokens: &Tokens) -> Vec<String> {
    let Some(granted) = tokens
        .scope
        .as_deref()
        .filter(|scope| !scope.trim().is_empty())
    else {
        return Vec::new();
    };
    let granted: Vec<&str> = granted
        .split(|c: char| c.is_whitespace() || c == ',')
        .collect();
    asked
        .iter()
        .filter(|asked| !is_shown_otherwise(asked, tokens))
        .filter(|asked| granted.iter().all(|granted| !is_same(asked, granted)))
        .cloned()
        .collect()
}

/// Providers leave these two out of the list at times; the token that comes with them says it as well.
fn is_shown_otherwise(scope: &str, tokens: &Tokens) -> bool {
    match scope {
        "openid" => tokens.id_token.is_some(),
        "offline_access" => tokens.refresh.is_some(),
        // At Microsoft: whatever was consented to at that resource. The answer lists what that is.
        _ => scope.ends_with("/.default"),
    }
}

/// Equal, or one is the other with its place in front: `email` and `https://host/auth/userinfo.email`.
fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
    one == other || is_short_for(&one, &other) || is_short_for(&other, &one)
}

fn is_short_for(short: &str, long: &str) -> bool {
    !short.is_empty()
        && long.contains("://")
        && long
            .strip_suffix(short)
            .is_some_and(|place| place.ends_with(['/', '.', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::values::{AccessToken, RawIdToken, RefreshToken};

    fn check(asked: &str, granted: Option<&str>, expected: &str) {
        let tokens = Tokens {
            access: AccessToken::new("a"),
            token_type: None,
            expires_in: None,
            refresh: Some(RefreshToken::new("r")),
            refresh_expires_in: None,
            id_token: Some(RawIdToken::new("i")),
            scope: granted.map(str::to_owned),
        };
        let asked: Vec<String> = asked.split(' ').map(str::to_owned).collect();
        assert_eq!(missing(&asked, &tokens).join(" "), expected, "{granted:?}");
    }

    #[test]
    fn only_what_is_really_missing_is_missing() {
        check("a b", None, "");
        check("a b", Some(""), "");
        check("a b", Some("b a c"), "");
        check("a b", Some("b,a"), "");
        check("repo read:org", Some("read:org,repo"), "");
        check("a b", Some("A"), "b");
        check("openid offline_access api", Some("api"), "");
        check("profile", Some("openid"), "profile");
        let google = "openid https://www.googleapis.com/auth/userinfo.email";
        check("openid email", Some(google), "");
        check(
            "https://graph.microsoft.com/User.Read",
            Some("User.Read"),
            "",
        );
        check(
            "User.Read",
            Some("https://graph.microsoft.com/User.ReadWrite"),
            "User.Read",
        );
        check(
            "https://graph.microsoft.com/.default",
            Some("https://graph.microsoft.com/User.Read"),
            "",
        );
        check("read", Some("https://api/auth/thread"), "read");
        check("mail", Some("my.mail"), "mail");
    }
}
