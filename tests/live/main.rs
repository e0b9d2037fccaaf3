//! Tests with a real browser, in one binary.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod alertmanager;
mod audit;
mod browser;
mod canary;
mod certified;
mod collector;
mod container;
mod control;
mod dashboards;
mod demo;
mod doctor;
mod evidence;
mod exhaustion;
mod expiry;
mod faults;
mod firefox;
mod init;
mod isolation;
mod journeys;
mod mail;
mod service;
mod signin;
mod support;
mod sweep;
mod telemetry;
mod unit;
