//! Tests without a browser, in one binary.

mod architecture;
