//! The files people write: one daemon file, and probe files beside it. Reads YAML, checks everything, and gives ready
//! values. Never takes half a configuration, never resolves a secret, never puts environment variables into texts.
//!
//! A file passes three gates: `yaml` (text to values with places), `explain` (shape, by the JSON Schema that editors
//! use as well), then the checks of `daemon` and `probe` (what a schema cannot say). Faults of all gates and all files
//! are collected and given at once.

mod address;
mod checks;
mod daemon;
mod explain;
mod fault;
mod layers;
mod places;
mod probe;
mod read;
mod report;
mod scalar;
mod schema;
mod script;
mod sections;
mod watch;
mod words;
mod yaml;

pub use address::is_loopback;
pub use daemon::{Daemon, default_store_path};
pub use fault::{Fault, Faults, rule};
pub use places::{Place, Places};
pub use read::{Reading, default_file, load, read};
pub use schema::{FileKind, schema};
pub use sections::{Keep, Store};
pub use watch::Stamp;
