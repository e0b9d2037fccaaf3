//! A browser and a client in one, by plain HTTP: keeps cookies, fills forms, follows redirects by hand.

use std::collections::BTreeMap;
use std::sync::Mutex;

use authcanary::loopback::{Account, Client, Config, DEMO_TOTP, Loopback, start};
use authcanary::probe::ClientAuth;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::header;
use serde_json::Value;

pub(super) const REDIRECT_URI: &str = "https://app.example.com/callback";
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(super) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(super) struct Visitor {
    pub(super) http: reqwest::Client,
    cookies: Mutex<BTreeMap<String, String>>,
    pub(super) issuer: String,
    pub(super) client: Client,
    pub(super) account: Account,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: header::HeaderMap,
    pub(super) body: String,
    /// Where the last request went.
    pub(super) url: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn location(&self) -> &str {
        self.header("location")
    }

    /// The value of the first `name="value"` of the page.
    pub(super) fn attribute(&self, start: &str) -> Option<String> {
        let (_, rest) = self.body.split_once(start)?;
        let (value, _) = rest.split_once('"')?;
        Some(value.replace("&amp;", "&").replace("&#38;", "&"))
    }

    pub(super) fn csrf(&self) -> String {
        self.attribute("name=\"csrf\" value=\"").unwrap_or_default()
    }
}

/// Parameters of an address, from its query or its fragment.
pub(super) fn parameters(address: &str) -> BTreeMap<String, String> {
    let (_, text) = address.split_once(['?', '#']).unwrap_or_default();
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

/// A server of the test's own.
pub(super) async fn server(change: impl FnOnce(&mut Config)) -> Loopback {
    let mut config = Config::demo();
    change(&mut config);
    start(config).await.unwrap()
}

impl Visitor {
    /// A fresh browser, for client `demo-basic` and the account without a second factor.
    pub(super) fn new(server: &Loopback) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let config = Config::demo();
        Self {
            http,
            cookies: Mutex::default(),
            issuer: server.issuer().to_owned(),
            client: config.clients[0].clone(),
            account: config.accounts[0].clone(),
        }
    }

    pub(super) fn with_client(mut self, id: &str) -> Self {
        let mut clients = Config::demo().clients.into_iter();
        self.client = clients.find(|client| client.id == id).unwrap();
        self
    }

    pub(super) fn with_second_factor(mut self) -> Self {
        self.account = Config::demo().accounts.remove(1);
        self
    }

    /// An address of the server.
    pub(super) fn at(&self, path: &str) -> String {
        match path.strip_prefix('/') {
            Some(_) => format!("{}{path}", self.issuer),
            None => path.to_owned(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(self.http.get(self.at(path))).await
    }

    pub(super) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = self.http.post(self.at(path)).body(body);
        let kind = "application/x-www-form-urlencoded";
        self.send(request.header(header::CONTENT_TYPE, kind)).await
    }

    pub(super) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.try_send(request).await.unwrap()
    }

    pub(super) async fn try_send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> reqwest::Result<Answer> {
        let cookies: Vec<String> = self
            .cookies
            .lock()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = match cookies.is_empty() {
            true => request,
            false => request.header(header::COOKIE, cookies.join("; ")),
        };
        let response = request.send().await?;
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies
                .lock()
                .unwrap()
                .insert(name.to_owned(), value.to_owned());
        }
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            url: response.url().to_string(),
            body: String::from_utf8_lossy(&response.bytes().await?).into_owned(),
        })
    }

    /// Follows redirects within the server.
    pub(super) async fn follow(&self, mut answer: Answer) -> Answer {
        for _ in 0..10 {
            let location = answer.location().to_owned();
            if answer.status != 303 || !location.starts_with('/') {
                return answer;
            }
            answer = self.get(&location).await;
        }
        panic!("redirects without end: {answer:?}");
    }

    /// Address of an authorization request; extra parameters win over the usual ones.
    pub(super) fn authorize_path(&self, extra: &[(&str, &str)]) -> String {
        let usual = [
            ("client_id", self.client.id.as_str()),
            ("redirect_uri", REDIRECT_URI),
            ("response_type", "code"),
            ("scope", "openid profile email offline_access"),
            ("prompt", "consent"),
            ("state", "the state"),
            ("nonce", "the nonce"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let usual = usual
            .iter()
            .filter(|(name, _)| extra.iter().all(|(other, _)| other != name));
        let all = usual.chain(extra).filter(|(_, value)| !value.is_empty());
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(all)
            .finish();
        format!("/authorize?{query}")
    }

    pub(super) async fn authorize(&self, extra: &[(&str, &str)]) -> Answer {
        let answer = self.get(&self.authorize_path(extra)).await;
        self.follow(answer).await
    }

    /// Sends the form of a page back with these fields.
    pub(super) async fn submit(&self, page: &Answer, fields: &[(&str, &str)]) -> Answer {
        let action = page
            .attribute("method=\"post\" action=\"")
            .unwrap_or_else(|| panic!("no form: {page:?}"));
        let csrf = page.csrf();
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend_from_slice(fields);
        let answer = self.post(&action, &all).await;
        self.follow(answer).await
    }

    /// Sends a form back with a code that may be wrong; any other page stays as it is.
    pub(super) async fn submit_if_form(&self, page: Answer) -> Answer {
        match page.body.contains("method=\"post\"") {
            true => self.submit(&page, &[("code", "000000")]).await,
            false => page,
        }
    }

    /// Passes whatever pages come until the browser leaves the server or stands still.
    pub(super) async fn pass_pages(&self, mut page: Answer) -> Answer {
        for _ in 0..6 {
            let has = |text: &str| page.body.contains(text);
            page = if has("name=\"password\"") && has("name=\"username\"") {
                let fields = [("username", self.username()), ("password", self.password())];
                self.submit(&page, &fields).await
            } else if has("name=\"password\"") {
                self.submit(&page, &[("password", self.password())]).await
            } else if has("name=\"username\"") {
                self.submit(&page, &[("username", self.username())]).await
            } else if has("name=\"code\"") && page.url.contains("/mfa/") {
                self.submit(&page, &[("code", &totp(0))]).await
            } else if has("name=\"stay\"") {
                self.submit(&page, &[("stay", "yes")]).await
            } else if has("name=\"decision\"") {
                self.submit(&page, &[("decision", "allow")]).await
            } else {
                return page;
            };
            if page.body.contains("role=\"alert\"") {
                return page;
            }
        }
        page
    }

    /// From the authorization request to the address of the callback.
    pub(super) async fn sign_in(&self, extra: &[(&str, &str)]) -> String {
        let page = self.authorize(extra).await;
        let end = self.pass_pages(page).await;
        assert!(end.location().starts_with(REDIRECT_URI), "{end:?}");
        end.location().to_owned()
    }

    pub(super) async fn code(&self, extra: &[(&str, &str)]) -> String {
        parameters(&self.sign_in(extra).await)
            .remove("code")
            .unwrap()
    }

    /// A form to an endpoint of the back channel, with the client's own authentication.
    pub(super) async fn call(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let secret = self
            .client
            .secret
            .as_ref()
            .map(|secret| secret.expose().to_owned());
        self.call_as(
            path,
            fields,
            self.client.auth,
            secret.as_deref().unwrap_or_default(),
        )
        .await
    }

    pub(super) async fn call_as(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        auth: ClientAuth,
        secret: &str,
    ) -> Answer {
        let id = self.client.id.as_str();
        let mut fields = fields.to_vec();
        let mut request = self.http.post(self.at(path));
        match auth {
            ClientAuth::ClientSecretBasic => {
                request = request.header(header::AUTHORIZATION, basic(id, secret));
            }
            ClientAuth::ClientSecretPost => {
                fields.extend([("client_id", id), ("client_secret", secret)]);
            }
            ClientAuth::None => fields.push(("client_id", id)),
        }
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let kind = "application/x-www-form-urlencoded";
        self.send(request.header(header::CONTENT_TYPE, kind).body(body))
            .await
    }

    pub(super) async fn redeem(&self, code: &str) -> Answer {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", VERIFIER),
        ];
        self.call("/token", &fields).await
    }

    pub(super) async fn refresh(&self, token: &str) -> Answer {
        self.call(
            "/token",
            &[("grant_type", "refresh_token"), ("refresh_token", token)],
        )
        .await
    }

    /// Signs in and redeems.
    pub(super) async fn tokens(&self) -> Value {
        let code = self.code(&[]).await;
        let answer = self.redeem(&code).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub(super) async fn get_with(&self, path: &str, access_token: &str) -> Answer {
        self.send(self.http.get(self.at(path)).bearer_auth(access_token))
            .await
    }

    pub(super) fn username(&self) -> &str {
        &self.account.username
    }

    pub(super) fn password(&self) -> &str {
        self.account.password.expose()
    }
}

/// Id and secret form-encoded, then joined and encoded (RFC 6749 section 2.3.1).
pub(super) fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!(
        "Basic {}",
        STANDARD.encode(format!("{}:{}", encode(id), encode(secret)))
    )
}

/// The code of the demo account, so many time steps from now.
pub(super) fn totp(steps: i64) -> String {
    let secret = totp_rs::Secret::try_from_base32(DEMO_TOTP).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    let now = authcanary::clock::now().as_second() + 30 * steps;
    totp.generate(now.try_into().unwrap()).to_string()
}

/// One part of a JWT, unverified.
pub(super) fn jwt_part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap_or_default();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Text of a JSON member.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}
