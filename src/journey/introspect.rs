//! Introspection of the access token: right after it was issued it must be active.

use super::grant::Grant;
use super::{Journey, Known};
use crate::oauth::form::Form;
use crate::oauth::introspection;
use crate::oauth::metadata::Endpoint;
use crate::probe::Expectation;
use crate::run::Stop;
use crate::taxonomy::Stage;

impl Journey<'_> {
    pub(super) async fn introspect(
        &mut self,
        known: &Known,
        grant: &Grant,
        expect: Option<&Expectation>,
    ) -> Result<(), Stop> {
        self.enter(Stage::Introspection);
        let form = Form::introspect(&grant.tokens.access);
        let answer = self.post(known, Endpoint::Introspection, form).await?;
        self.held(introspection::read(&answer.view(), true))?;
        self.expect(&answer, grant, expect)?;
        self.pass();
        Ok(())
    }
}
