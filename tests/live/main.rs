//! Tests with a real browser, in one binary.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod browser;
mod isolation;
mod signin;
mod support;
