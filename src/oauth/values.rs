//! Values that look alike and must not mix: each has a type of its own, a masked `Debug`, and one way out.

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::form::Form;
use crate::secret::Secret;

macro_rules! value {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, PartialEq, Eq)]
        pub struct $name(Secret);

        impl $name {
            /// Takes a value as it came.
            pub fn new(value: impl Into<String>) -> Self {
                Self(Secret::new(value))
            }

            /// The value itself, for sending it or for telling a redactor about it.
            pub fn expose(&self) -> &str {
                self.0.expose()
            }
        }
    )*};
}

value! {
    /// Binds the authorization response to this run (RFC 6749 section 10.12).
    State;
    /// Binds the ID token to this run (OpenID Connect Core section 3.1.2.1).
    Nonce;
    /// The PKCE secret of this run (RFC 7636 section 4.1).
    Verifier;
    /// An access token.
    AccessToken;
    /// A refresh token.
    RefreshToken;
    /// An ID token as it came, not yet checked.
    RawIdToken;
    /// An authorization code that has not been exchanged. It has no copy; exchanging it consumes it.
    Code;
    /// A code that has been exchanged. It can only be replayed, which the provider must refuse.
    SpentCode;
}

impl State {
    /// From 256 bits of randomness.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self::new(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl Nonce {
    /// From 256 bits of randomness.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self::new(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl Verifier {
    /// From 256 bits of randomness: 43 characters, the recommended length (RFC 7636 section 4.1).
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self::new(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What the authorization request shows of it, by the method `S256` (RFC 7636 section 4.2).
    pub fn challenge(&self) -> Challenge {
        let hash = digest::digest(&digest::SHA256, self.expose().as_bytes());
        Challenge(BASE64_URL_SAFE_NO_PAD.encode(hash))
    }
}

/// A PKCE challenge by the method `S256`. No secret: the browser carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(String);

impl Challenge {
    /// The value to send.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Code {
    /// The form that exchanges the code (RFC 6749 section 4.1.3, RFC 7636 section 4.5), and what is left of the code.
    pub fn exchange(self, redirect_uri: &str, verifier: &Verifier) -> (Form, SpentCode) {
        let form = code_grant(&self.0, redirect_uri, verifier);
        (form, SpentCode(self.0))
    }
}

impl SpentCode {
    /// The form that tries the code once more, which the provider must refuse (RFC 6749 section 4.1.2).
    pub fn replay(&self, redirect_uri: &str, verifier: &Verifier) -> Form {
        code_grant(&self.0, redirect_uri, verifier)
    }
}

fn code_grant(code: &Secret, redirect_uri: &str, verifier: &Verifier) -> Form {
    Form::grant("authorization_code")
        .with("code", code.expose())
        .with("redirect_uri", redirect_uri)
        .with("code_verifier", verifier.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = Verifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let expected = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(verifier.challenge().as_str(), expected);
    }

    #[test]
    fn random_values_have_43_characters_and_never_show() {
        let verifier = Verifier::from_random([7; 32]);
        assert_eq!(verifier.expose().len(), 43);
        let all = format!(
            "{verifier:?} {:?} {:?}",
            State::from_random([1; 32]),
            Nonce::from_random([2; 32])
        );
        assert_eq!(
            all,
            "Verifier(Secret(***)) State(Secret(***)) Nonce(Secret(***))"
        );
    }

    #[test]
    fn a_spent_code_makes_the_same_form_again() {
        let verifier = Verifier::new("v");
        let (form, spent) = Code::new("c").exchange("https://app/cb", &verifier);
        let again = spent.replay("https://app/cb", &verifier);
        assert_eq!(form.encode(), again.encode());
        assert_eq!(
            form.encode().expose(),
            "grant_type=authorization_code&code=c&redirect_uri=https%3A%2F%2Fapp%2Fcb&code_verifier=v"
        );
    }
}
