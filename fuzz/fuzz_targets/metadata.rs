//! Whatever stands where metadata and keys should be is read, or refused.
#![no_main]

use authcanary::oauth::metadata::{self, Endpoint};
use authcanary::oauth::{Kept, Reply, jwks};
use authcanary::probe::{Endpoints, Server};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let reply = Reply {
        status: 200,
        headers: &[],
        body,
        kept: Kept {
            headers: &[],
            body: "",
        },
    };
    let server = Server {
        issuer: Some("https://op.example".to_owned()),
        endpoints: Endpoints::default(),
    };
    let _ = metadata::read(&reply, &server, &Endpoint::ALL);
    let _ = jwks::read(&reply);
});
