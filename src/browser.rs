//! The browser.

pub mod page;
pub mod script;
pub mod signin;
