//! A call of a protected resource, and the conditions of the probe file.

use std::time::Duration;

use url::Url;

use super::grant::Grant;
use super::{Answer, Journey};
use crate::expression::{self, Facts};
use crate::http::Request;
use crate::probe::Expectation;
use crate::run::{Fault, Finding, Stop};
use crate::taxonomy::{Class, Stage};

impl Journey<'_> {
    pub(super) async fn resource(
        &mut self,
        grant: &Grant,
        url: &Url,
        expect: Option<&Expectation>,
        within: Option<Duration>,
    ) -> Result<(), Stop> {
        self.enter(Stage::Resource);
        let request = self.bearer(Request::get(self.stage, url.clone()), grant);
        let answer = self.send(request).await?;
        let is_good = answer.view().is_success() && !answer.view().hides_an_error();
        if expect.is_none() && !is_good {
            return Err(self.stop(answer.view().fault()));
        }
        self.expect(&answer, grant, expect)?;
        let took = Duration::from_micros(answer.kept.timings.total_us);
        if let Some(limit) = within.filter(|&limit| took > limit) {
            let detail = format!(
                "took {} ms, the probe wants {} ms",
                took.as_millis(),
                limit.as_millis()
            );
            self.warn(Class::RequestTimeout, detail);
        }
        self.pass();
        Ok(())
    }

    /// A request with the access token (RFC 6750 section 2.1).
    pub(super) fn bearer(&mut self, request: Request, grant: &Grant) -> Request {
        self.know("access_token_age_s", grant.came.elapsed().as_secs_f64());
        if let Some(lifetime) = grant.tokens.expires_in {
            self.know("access_token_expires_in_s", lifetime.as_secs());
        }
        request.header(
            "authorization",
            format!("Bearer {}", grant.tokens.access.expose()),
        )
    }

    /// Holds an answer against a condition. An answer that is an error in itself is judged as that; one that is good and
    /// not as wished is malformed in the eyes of the probe.
    pub(super) fn expect(
        &self,
        answer: &Answer,
        grant: &Grant,
        expect: Option<&Expectation>,
    ) -> Result<(), Stop> {
        let Some(Expectation(text)) = expect else {
            return Ok(());
        };
        let token = grant.facts();
        let facts = Facts {
            status: answer.reply.status,
            headers: &answer.reply.headers,
            body: &answer.reply.body,
            username: self
                .probe
                .account
                .as_ref()
                .map(|account| account.username.as_str()),
            token: &token,
        };
        let condition = expression::compile(text).map_err(|error| {
            let detail = format!("the condition `{text}` does not compile: {error}");
            self.stop(Fault::Monitor(Finding::new(Class::ConfigInvalid, detail)))
        })?;
        match condition.holds(&facts) {
            Ok(true) => Ok(()),
            _ if !answer.view().is_success() => Err(self.stop(answer.view().fault())),
            Ok(false) => Err(self.refuse(
                Class::MalformedResponse,
                format!(
                    "the answer (status {}) does not meet `{text}`",
                    answer.reply.status
                ),
            )),
            Err(error) => Err(self.refuse(
                Class::MalformedResponse,
                format!("`{text}` cannot be decided on the answer: {error}"),
            )),
        }
    }
}
