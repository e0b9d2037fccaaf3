//! What the service manager is told. Where none listens (`NOTIFY_SOCKET` is not set) nothing happens.

use sd_notify::NotifyState;

/// The daemon serves and runs its probes.
pub(super) fn ready(probes: usize) {
    let status = format!("{probes} probes at work");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// A new configuration is being put in force; `ready` ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The daemon takes no more work.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The scheduling loop goes round. Said by the loop itself, so that one that stands still is noticed.
pub(super) fn alive() {
    if sd_notify::watchdog_enabled().is_some() {
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
