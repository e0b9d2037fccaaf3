//! The targets of `fuzz`, compiled with every change, and fed here with whatever a generator makes of recorded answers.

use proptest::prelude::*;

#[expect(unused_attributes, reason = "it is a program of its own elsewhere")]
#[path = "../../fuzz/fuzz_targets/bodies.rs"]
mod bodies;
#[expect(unused_attributes, reason = "it is a program of its own elsewhere")]
#[path = "../../fuzz/fuzz_targets/callbacks.rs"]
mod callbacks;
#[expect(unused_attributes, reason = "it is a program of its own elsewhere")]
#[path = "../../fuzz/fuzz_targets/jwts.rs"]
mod jwts;
#[expect(unused_attributes, reason = "it is a program of its own elsewhere")]
#[path = "../../fuzz/fuzz_targets/metadata.rs"]
mod metadata;

// Below the modules, so that they get it by the name that they ask for.
/// In place of the macro of libfuzzer: a target becomes a function.
#[macro_export]
macro_rules! fuzz_target {
    (|$data:ident: &[u8]| $body:block) => {
        pub(super) fn feed($data: &[u8]) $body
    };
    (|$text:ident: &str| $body:block) => {
        pub(super) fn feed(bytes: &[u8]) {
            if let Ok($text) = std::str::from_utf8(bytes) $body
        }
    };
}

fn feed_all(bytes: &[u8]) {
    bodies::feed(bytes);
    callbacks::feed(bytes);
    jwts::feed(bytes);
    metadata::feed(bytes);
}

#[test]
fn recorded_answers_go_through_every_target() {
    for line in include_str!("../corpus/provider-errors.jsonl").lines() {
        feed_all(line.as_bytes());
    }
}

proptest! {
    #[test]
    fn any_bytes_go_through_every_target(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        feed_all(&bytes);
    }

    /// A recorded answer, cut anywhere, with anything put in.
    #[test]
    fn broken_answers_go_through_every_target(
        line in prop::sample::select(include_str!("../corpus/provider-errors.jsonl").lines().collect::<Vec<_>>()),
        at in any::<prop::sample::Index>(),
        put in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = line.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes.splice(at..at, put);
        feed_all(&bytes);
        feed_all(&bytes[at..]);
        feed_all(&bytes[..at]);
    }
}
