//! Whatever a provider answers has a judgement. The first byte picks the step, the second the status.
#![no_main]

use authcanary::taxonomy::Stage;
use authcanary::verdict::{Answer, Case, Context, classify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [stage, status, body @ ..] = data else {
        return;
    };
    let stages: Vec<Stage> = Stage::all().collect();
    classify(&Case {
        provider: "generic".to_owned(),
        stage: stages[usize::from(*stage) % stages.len()],
        status: Some([200, 302, 400, 401, 403, 404, 429, 500, 503][usize::from(*status) % 9]),
        headers: Vec::new(),
        answer: Answer::Body(String::from_utf8_lossy(body).into_owned()),
        context: Context::default(),
    });
});
