//! Tests without a browser, in one binary.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

// The targets of `fuzz` take their macro from here, see `fuzz.rs`.
extern crate self as libfuzzer_sys;

mod alerts;
mod api;
mod architecture;
mod audit;
mod classify;
mod common;
mod config;
mod control;
mod crash;
mod daemon;
mod dashboards;
mod dist;
mod docs;
mod doctor;
mod expiry;
mod faults;
mod full;
mod fuzz;
mod gap;
mod init;
mod loopback;
mod notify;
mod oncall;
mod otlp;
mod own_faults;
mod records;
mod reload;
mod replay;
mod serving;
mod store;
mod systemd;
mod telemetry;
