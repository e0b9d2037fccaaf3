//! Whatever comes back at the redirect URI is read, and has a judgement.
#![no_main]

use authcanary::oauth::callback::{Expected, read};
use authcanary::oauth::values::State;
use authcanary::taxonomy::Stage;
use authcanary::verdict::{Answer, Case, Context, classify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parameters: &str| {
    let expected = Expected {
        state: &State::new("state"),
        issuer: Some("https://op.example"),
        iss_promised: true,
    };
    let _ = read(parameters, parameters, &expected);
    classify(&Case {
        provider: "generic".to_owned(),
        stage: Stage::Callback,
        status: None,
        headers: Vec::new(),
        answer: Answer::Callback(parameters.to_owned()),
        context: Context::default(),
    });
});
