//! The pages: small models of how sign-in products build theirs.

mod forms;
mod stops;
mod ways;

/// Status and document of a page.
pub(super) fn find(name: &str) -> Option<(u16, String)> {
    let all = forms::PAGES.iter().chain(ways::PAGES).chain(stops::PAGES);
    let (_, status, body) = all.into_iter().find(|(known, _, _)| *known == name)?;
    let html = if body.contains("<html") {
        (*body).to_owned()
    } else {
        format!(
            "<!doctype html><html><head><meta charset=utf-8><title>Sign in</title></head><body>{body}</body></html>"
        )
    };
    Some((*status, html))
}
