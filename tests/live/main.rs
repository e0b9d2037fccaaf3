//! Tests with a real browser, in one binary.

mod signin;
