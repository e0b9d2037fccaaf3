//! How the client proves who it is at the token endpoint and its like (OpenID Connect Core section 9).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use form_urlencoded::byte_serialize;

use super::form::Form;
use crate::probe::{Client, ClientAuth};
use crate::run::{Fault, Finding};
use crate::secret::Secret;
use crate::taxonomy::Class;

/// The client's id, with its secret where it has one: no method without what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    id: String,
    proof: Proof,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof {
    Basic(Secret),
    Post(Secret),
    None,
}

/// A form that is ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedForm {
    /// Value of the `Authorization` header.
    pub authorization: Option<Secret>,
    pub form: Form,
}

impl Credentials {
    /// Joins the client of the probe with its secret, read from where it is kept.
    pub fn new(client: &Client, secret: Option<Secret>) -> Result<Self, Fault> {
        let proof = match (client.auth, secret) {
            (ClientAuth::ClientSecretBasic, Some(secret)) => Proof::Basic(secret),
            (ClientAuth::ClientSecretPost, Some(secret)) => Proof::Post(secret),
            (ClientAuth::None, _) => Proof::None,
            (ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost, None) => {
                let detail = "the client authenticates with a secret, and the probe names none";
                return Err(Fault::Monitor(Finding::new(Class::ConfigInvalid, detail)));
            }
        };
        Ok(Self {
            id: client.id.clone(),
            proof,
        })
    }

    /// The client's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The client's secret, which is also the key of `HS256` signatures (OpenID Connect Core section 10.1).
    pub fn secret(&self) -> Option<&Secret> {
        match &self.proof {
            Proof::Basic(secret) | Proof::Post(secret) => Some(secret),
            Proof::None => None,
        }
    }

    /// Adds what proves the client to a form.
    pub fn sign(&self, form: Form) -> SignedForm {
        match &self.proof {
            Proof::Basic(secret) => SignedForm {
                authorization: Some(basic(&self.id, secret)),
                form,
            },
            Proof::Post(secret) => SignedForm {
                authorization: None,
                form: form
                    .with("client_id", &self.id)
                    .with("client_secret", secret.expose()),
            },
            Proof::None => SignedForm {
                authorization: None,
                form: form.with("client_id", &self.id),
            },
        }
    }
}

/// Id and secret are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn basic(id: &str, secret: &Secret) -> Secret {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Secret::new(format!("{}:{}", encoded(id), encoded(secret.expose())));
    Secret::new(format!("Basic {}", BASE64_STANDARD.encode(pair.expose())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(auth: ClientAuth, secret: Option<&str>, header: Option<&str>, body: &str) {
        let client = Client {
            id: "my client:1".to_owned(),
            auth,
            secret: None,
            id_token_alg: None,
        };
        let credentials = Credentials::new(&client, secret.map(Secret::new)).unwrap();
        let signed = credentials.sign(Form::grant("g"));
        assert_eq!(signed.form.encode().expose(), body);
        let authorization = signed.authorization.as_ref().map(|value| {
            let encoded = value.expose().strip_prefix("Basic ").unwrap();
            String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap()
        });
        assert_eq!(authorization.as_deref(), header);
        assert!(!format!("{credentials:?}{signed:?}").contains("p%"));
    }

    #[test]
    fn each_method_puts_its_proof_where_it_belongs() {
        check(
            ClientAuth::ClientSecretBasic,
            Some("p%s+w ü:"),
            Some("my+client%3A1:p%25s%2Bw+%C3%BC%3A"),
            "grant_type=g",
        );
        check(
            ClientAuth::ClientSecretPost,
            Some("p%s"),
            None,
            "grant_type=g&client_id=my+client%3A1&client_secret=p%25s",
        );
        check(
            ClientAuth::None,
            None,
            None,
            "grant_type=g&client_id=my+client%3A1",
        );
    }

    #[test]
    fn a_secret_that_is_not_there_is_our_fault() {
        let client = Client {
            id: "c".to_owned(),
            auth: ClientAuth::ClientSecretBasic,
            secret: None,
            id_token_alg: None,
        };
        assert!(matches!(
            Credentials::new(&client, None),
            Err(Fault::Monitor(_))
        ));
    }
}
