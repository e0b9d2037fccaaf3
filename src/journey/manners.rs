//! Treating a provider politely: so many sign-ins a minute, and none at all once the password is refused, because
//! trying on would lock the account.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::probe::Budget;
use crate::run::Finding;
use crate::secret::Secret;
use crate::taxonomy::Class;

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

/// What is remembered of each account, shared by all runs of this process.
#[derive(Debug, Default)]
pub(super) struct Manners {
    accounts: Mutex<HashMap<Account, History>>,
    hasher: RandomState,
}

/// User name and password at a provider. A new password is a new account: it gets its chances again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Account(u64);

#[derive(Debug, Default)]
struct History {
    logins: VecDeque<Timestamp>,
    refused_in_a_row: u32,
}

impl Manners {
    /// Names an account without keeping its password.
    pub(super) fn account(
        &self,
        server: &str,
        username: &str,
        password: Option<&Secret>,
    ) -> Account {
        Account(
            self.hasher
                .hash_one((server, username, password.map(Secret::expose))),
        )
    }

    /// Notes a sign-in that is about to happen, or says why it must not.
    pub(super) fn admit(
        &self,
        account: Account,
        budget: Budget,
        now: Timestamp,
    ) -> Result<(), Finding> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let history = accounts.entry(account).or_default();
        if history.refused_in_a_row >= budget.stop_after_refused_credentials {
            let times = history.refused_in_a_row;
            let detail = format!(
                "not tried: these credentials were refused {times} times in a row, and more would lock the account; \
                 change the password here, or restart to try again"
            );
            return Err(Finding::new(Class::BadUserCredentials, detail));
        }
        while history
            .logins
            .front()
            .is_some_and(|&then| now.duration_since(then) >= MINUTE)
        {
            history.logins.pop_front();
        }
        if history.logins.len() >= budget.logins_per_minute as usize {
            let detail = format!(
                "the budget of {} sign-ins a minute is spent",
                budget.logins_per_minute
            );
            return Err(Finding::new(Class::Overloaded, detail));
        }
        history.logins.push_back(now);
        Ok(())
    }

    /// Notes what became of a sign-in.
    pub(super) fn note(&self, account: Account, refused: bool) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let history = accounts.entry(account).or_default();
        history.refused_in_a_row = if refused {
            history.refused_in_a_row + 1
        } else {
            0
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget {
        logins_per_minute: 2,
        stop_after_refused_credentials: 2,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_minute_has_room_for_its_budget_and_no_more() {
        let manners = Manners::default();
        let account = manners.account("https://op", "eve", None);
        let admitted = [0, 10, 59, 60, 69, 70]
            .map(|second| manners.admit(account, BUDGET, at(second)).is_ok());
        assert_eq!(admitted, [true, true, false, true, false, true]);
    }

    #[test]
    fn refused_passwords_stop_the_account_until_the_password_changes() {
        let manners = Manners::default();
        let old = manners.account("https://op", "eve", Some(&Secret::new("old")));
        manners.note(old, true);
        manners.note(old, false);
        manners.note(old, true);
        assert_eq!(manners.admit(old, BUDGET, at(0)), Ok(()));
        manners.note(old, true);
        let finding = manners.admit(old, BUDGET, at(100)).unwrap_err();
        assert_eq!(finding.class, Class::BadUserCredentials);
        let new = manners.account("https://op", "eve", Some(&Secret::new("new")));
        assert_eq!(manners.admit(new, BUDGET, at(100)), Ok(()));
    }
}
