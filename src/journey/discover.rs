//! Discovery and the key set: where the provider's endpoints are, and what its tokens are signed with.

use jiff::SignedDuration;
use url::Url;

use super::{Answer, Journey};
use crate::http::{Request, clock_offset_ms};
use crate::oauth::jwks::{self, KeySet};
use crate::oauth::metadata::{self, Endpoint, Metadata};
use crate::run::{Fault, Stop};
use crate::taxonomy::{Class, Stage};

/// Clocks further apart than this make tokens fail at the edges of their lifetime.
const CLOCK_LIMIT: SignedDuration = SignedDuration::from_secs(30);

/// Names of keys that are kept, and characters of each.
const KEYS: usize = 64;
const KEY_NAME: usize = 80;

impl Journey<'_> {
    /// Finds the endpoints: from the probe file where it names all that are needed, otherwise from the metadata.
    pub(super) async fn discover(&mut self) -> Result<Metadata, Stop> {
        let given = Metadata::given(&self.probe.server);
        let needed = Endpoint::needed_by(self.probe);
        let is_complete = needed
            .iter()
            .all(|&endpoint| given.endpoint(endpoint).is_ok());
        match &self.probe.server.issuer {
            Some(issuer) if !is_complete => self.fetch_metadata(issuer, &needed).await,
            _ => Ok(given),
        }
    }

    /// The first of the well-known places that has a document. When none has, the likeliest one's answer tells why.
    async fn fetch_metadata(
        &mut self,
        issuer: &str,
        needed: &[Endpoint],
    ) -> Result<Metadata, Stop> {
        self.enter(Stage::Discovery);
        let mut refusal = None;
        for url in self.held(metadata::candidates(issuer))? {
            let answer = self.document(url).await?;
            self.note_clock(&answer);
            if metadata::worth_another(&answer.view()) {
                refusal.get_or_insert(answer);
                continue;
            }
            let metadata = self.held(metadata::read(&answer.view(), &self.probe.server, needed))?;
            self.pass();
            return Ok(metadata);
        }
        let answer = refusal.expect("there is at least one well-known place");
        Err(self.stop(answer.view().fault()))
    }

    /// The key set, as a step of its own.
    pub(super) async fn keys(&mut self, metadata: &Metadata) -> Result<KeySet, Stop> {
        self.enter(Stage::Jwks);
        let keys = self.newer_keys(metadata).await?;
        self.pass();
        Ok(keys)
    }

    /// The key set within the step under way, for a token that names a key which was not there.
    pub(super) async fn newer_keys(&mut self, metadata: &Metadata) -> Result<KeySet, Stop> {
        let url = self.held(metadata.endpoint(Endpoint::Jwks))?.clone();
        let answer = self.document(url).await?;
        let keys = self.held(jwks::read(&answer.view()))?;
        self.note_keys(&keys, answer.reply.header("cache-control"));
        Ok(keys)
    }

    /// Keeps what tells later that keys were changed: their names, and how long others may keep this key set.
    fn note_keys(&mut self, keys: &KeySet, cache_control: Option<&str>) {
        let names: Vec<String> = keys
            .kids()
            .take(KEYS)
            .filter_map(|kid| self.key_name(kid))
            .collect();
        self.learn("jwks.kids", names.join(" "));
        let directives = cache_control.into_iter().flat_map(|text| text.split(','));
        let max_age = directives.filter_map(|part| part.trim().strip_prefix("max-age="));
        if let Some(seconds) = max_age.filter_map(|text| text.parse::<u32>().ok()).next() {
            self.learn("jwks.max_age_s", seconds.to_string());
        }
    }

    /// The name of a key as it may be kept: in one word, of a bearable length. None for one that holds a secret of this
    /// run, whose mark would be another one in the next process.
    pub(super) fn key_name(&self, kid: &str) -> Option<String> {
        let name: String = kid.split_whitespace().collect::<Vec<_>>().join("_");
        let name: String = name.chars().take(KEY_NAME).collect();
        (self.redactor.identifier(&name) == name).then_some(name)
    }

    async fn document(&mut self, url: Url) -> Result<Answer, Stop> {
        let request = self
            .with_own_headers(Request::get(self.stage, url).header("accept", "application/json"));
        let deadline = self.step_deadline();
        let reply = self.session.send_following(request, deadline).await;
        self.answer(reply)
    }

    fn note_clock(&mut self, answer: &Answer) {
        let Some(offset_ms) = clock_offset_ms(&answer.reply) else {
            return;
        };
        let is_first = self
            .walk
            .evidence
            .clock_offset_ms
            .replace(offset_ms)
            .is_none();
        if is_first && SignedDuration::from_millis(offset_ms).abs() > CLOCK_LIMIT {
            let way = if offset_ms > 0 { "ahead of" } else { "behind" };
            let seconds = offset_ms.unsigned_abs() / 1000;
            self.warn(
                Class::ClockSkew,
                format!("the provider's clock is {seconds} s {way} ours"),
            );
        }
    }

    /// The fault of a check, placed in the step under way.
    pub(super) fn held<T>(&self, result: Result<T, Fault>) -> Result<T, Stop> {
        result.map_err(|fault| self.stop(fault))
    }
}
