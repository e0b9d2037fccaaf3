//! Tests with a real browser, in one binary.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod canary;
mod certified;
mod faults;
mod journeys;
mod signin;
