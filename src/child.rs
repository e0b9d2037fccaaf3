//! Programs that we start, and all that they start in turn.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;

/// The process group of a command that has not been reaped: killed when this is dropped.
#[derive(Debug)]
pub struct Group(Option<Pid>);

impl Group {
    /// That of a child which was started with a group of its own.
    pub fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.map(Pid::from_raw))
    }

    /// Leaves it alone: after the leader is reaped its number may belong to somebody else.
    pub fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody left to kill is no fault.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}
