//! The thought behind `login: auto`: from what a page shows to the next act, or to a stop with its class. Structure
//! decides first (forms, fields, what comes back), words second. Nothing here touches a browser.

mod consent;
mod decide;
mod forms;
mod reading;
mod stops;
mod words;

pub use decide::{Act, Move, PASSWORD_IS_DUE, Past, What, decide, overdue};
pub use reading::{Button, ButtonKind, Field, Group, Reading};
pub use stops::Halt;
pub use words::{class_of, plain};

#[cfg(test)]
mod tests;
