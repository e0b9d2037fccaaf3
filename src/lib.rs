//! A canary for sign-in: walks the whole OAuth 2.0 and OpenID Connect journey as a user would, on a schedule.
//!
//! The modules below stand in dependency order: each imports only from those above it, and a test holds that.

// Words: what everything else speaks in.
pub mod phrase;
pub mod secret;
pub mod taxonomy;

pub mod probe;
pub mod run;

// Thought: pure decisions over values.
pub mod runbook;

pub mod redact;

pub mod correlation;

pub mod oauth;

pub mod expression;

pub mod signin;

pub mod provider;
pub mod verdict;

pub mod bundle;

pub mod expiry;

pub mod alert;

pub mod control;

pub mod schedule;

// Edges: the only places that touch clock, network, browser and disk.
pub mod child;
pub mod clock;

pub mod http;
pub mod loopback;
pub mod machine;
pub mod totp;
pub mod vault;

pub mod browser;

pub mod egress;

pub mod evidence;
pub mod store;
pub mod telemetry;

pub mod notify;

// Doing: edges and words put to work.
pub mod desk;
pub mod duty;

pub mod journey;

pub mod pipeline;

pub mod board;
pub mod export;

pub mod api;

pub mod config;

pub mod audit;

pub mod doctor;

pub mod init;

// Root: what runs it all.
pub mod daemon;

pub mod cli;
