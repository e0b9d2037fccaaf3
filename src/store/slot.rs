//! The place of the open database. Readers share it; whoever moves things from one part to another, or opens the
//! database again, has it alone.

use std::sync::{PoisonError, RwLock};

use super::Error;
use super::parts::Trees;

pub(super) struct Slot(RwLock<State>);

enum State {
    Open(Trees),
    /// It failed, and could not be opened again yet.
    Down,
    Closed,
}

impl Slot {
    pub(super) fn new(trees: Trees) -> Self {
        Self(RwLock::new(State::Open(trees)))
    }

    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Trees) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        work(state.trees()?)
    }

    pub(super) fn alone<T>(
        &self,
        work: impl FnOnce(&Trees) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        work(state.trees()?)
    }

    /// Closes the database and opens it again.
    pub(super) fn reopen(&self, open: impl FnOnce() -> Result<Trees, Error>) -> Result<(), Error> {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *state = State::Down;
        *state = State::Open(open()?);
        Ok(())
    }

    pub(super) fn is_down(&self) -> bool {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        matches!(*state, State::Down)
    }

    pub(super) fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = State::Closed;
    }
}

impl State {
    fn trees(&self) -> Result<&Trees, Error> {
        match self {
            Self::Open(trees) => Ok(trees),
            Self::Down => Err(Error::Down),
            Self::Closed => Err(Error::Closed),
        }
    }
}
