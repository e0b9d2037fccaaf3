//! Which fields of a page are the sign-in's, and what sends them.

use super::reading::{Button, ButtonKind, Field, Reading};
use super::words::{List, plain, says};

/// What a field is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Username,
    Password,
    NewPassword,
    Code,
    /// One digit of a code.
    Digit,
    Captcha,
    Toggle,
    Other,
}

/// Tells what a field is for: by `autocomplete` first, then by type and names, then by its label.
pub(super) fn role(field: &Field) -> Role {
    let names = plain(&field.names);
    let label = plain(&field.label);
    let either = |list| says(list, &names) || says(list, &label);
    let auto = |word: &str| field.autocomplete.split(' ').any(|part| part == word);
    match field.kind.as_str() {
        "checkbox" | "radio" | "select" => return Role::Toggle,
        "search" | "textarea" | "date" | "range" | "color" | "file" => return Role::Other,
        _ => {}
    }
    if auto("one-time-code") {
        return if field.width == 1 {
            Role::Digit
        } else {
            Role::Code
        };
    }
    if field.kind == "password" {
        let code = either(List::Code) && !either(List::Password);
        return match () {
            () if code && field.width == 1 => Role::Digit,
            () if code => Role::Code,
            () if auto("new-password") => Role::NewPassword,
            () => Role::Password,
        };
    }
    if auto("username") || auto("webauthn") {
        return Role::Username;
    }
    if auto("current-password") {
        return Role::Password;
    }
    if either(List::Captcha) {
        return Role::Captcha;
    }
    if field.width == 1 && (field.numeric || field.kind == "text") {
        return Role::Digit;
    }
    if says(List::Search, &names) || (says(List::Search, &label) && !says(List::Username, &names)) {
        return Role::Other;
    }
    let not_code = either(List::NotCode);
    if says(List::Code, &names) && !not_code {
        return Role::Code;
    }
    // A password that the page shows in clear on demand.
    if says(List::Password, &names) && !says(List::Username, &names) {
        return Role::Password;
    }
    if field.kind == "email" || auto("email") || says(List::Username, &names) {
        return Role::Username;
    }
    if says(List::Code, &label) && !not_code && !says(List::Username, &label) {
        return Role::Code;
    }
    if says(List::Username, &label) {
        return Role::Username;
    }
    Role::Other
}

/// The fields of one sign-in step, and how they are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// Index of the field, and whether it still takes input.
    pub username: Option<(usize, bool)>,
    pub password: Option<(usize, bool)>,
    /// One field for the whole code, or one per digit.
    pub code: Vec<usize>,
    /// A text in an image has to be typed.
    pub captcha: bool,
    /// A field of this form is marked as wrong.
    pub invalid: bool,
    pub press: Option<usize>,
    /// What is pressed takes input by now.
    pub ready: bool,
}

/// The sign-in form of the page, where there is one.
pub(super) fn sign_in_form(page: &Reading) -> Option<Form> {
    let roles: Vec<(&Field, Role)> = page
        .fields
        .iter()
        .map(|field| (field, role(field)))
        .collect();
    let mut groups: Vec<Option<usize>> = roles.iter().map(|(field, _)| field.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let best = groups
        .into_iter()
        .map(|group| (score(page, &roles, group), group))
        .filter(|(score, _)| *score > 0)
        .max_by_key(|(score, group)| (*score, std::cmp::Reverse(*group)));
    Some(form_of(page, &roles, best?.1))
}

/// Whether the page wants a new password: two fields for one, or one that says so after the old one was taken.
pub(super) fn wants_new_password(page: &Reading) -> bool {
    let roles = page.fields.iter().map(role);
    let (mut any, mut new) = (0, 0);
    for role in roles {
        any += usize::from(matches!(role, Role::Password | Role::NewPassword));
        new += usize::from(role == Role::NewPassword);
    }
    any >= 2 || new >= 1
}

fn score(page: &Reading, roles: &[(&Field, Role)], group: Option<usize>) -> i32 {
    let own = || roles.iter().filter(|(field, _)| field.group == group);
    let count = |wanted: Role| own().filter(|(_, role)| *role == wanted).count();
    let passwords = count(Role::Password) + count(Role::NewPassword);
    let codes = count(Role::Code) + usize::from(count(Role::Digit) >= 4);
    let usernames = count(Role::Username);
    if passwords + codes + usernames == 0 {
        return 0;
    }
    let mut score = 10;
    match passwords {
        0 => {}
        1 => score += 40,
        _ => score -= 60,
    }
    score += if codes > 0 { 35 } else { 0 };
    let strong = own().any(|(field, _)| {
        field.autocomplete.contains("username") || field.autocomplete.contains("webauthn")
    });
    score += if strong { 20 } else { 0 };
    let texts = count(Role::Other);
    score -= if texts > 1 {
        15 * i32::try_from(texts).unwrap_or(9)
    } else {
        0
    };
    let about = group.and_then(|group| page.groups.get(group));
    let about = about.map_or_else(String::new, |about| {
        plain(&format!("{} {}", about.names, about.heading))
    });
    score += if says(List::Login, &about) { 12 } else { 0 };
    score -= if says(List::Elsewhere, &about) { 30 } else { 0 };
    score -= if says(List::Search, &about) { 40 } else { 0 };
    let submits = page
        .buttons
        .iter()
        .filter(|button| button.group == group && button.kind == ButtonKind::Submit);
    let captions: Vec<String> = submits.map(Button::says).collect();
    let lead_away =
        |caption: &String| says(List::Elsewhere, caption) || says(List::Search, caption);
    score -= if !captions.is_empty() && captions.iter().all(lead_away) {
        60
    } else {
        0
    };
    let main = submit_of(page, group).map(Button::says);
    score += if main.is_some_and(|caption| says(List::Login, &caption)) {
        12
    } else {
        0
    };
    score
}

fn form_of(page: &Reading, roles: &[(&Field, Role)], group: Option<usize>) -> Form {
    let own = || roles.iter().filter(|(field, _)| field.group == group);
    let find = |wanted: Role| {
        own()
            .find(|(_, role)| *role == wanted)
            .map(|(field, _)| *field)
    };
    let password = find(Role::Password).or_else(|| find(Role::NewPassword));
    let username = find(Role::Username)
        .or_else(|| password.and_then(|password| username_near(page, roles, password)));
    let digits: Vec<usize> = own()
        .filter(|(_, role)| *role == Role::Digit)
        .map(|(field, _)| field.index)
        .collect();
    let code = match find(Role::Code) {
        Some(field) => vec![field.index],
        None if digits.len() >= 4 => digits,
        None => Vec::new(),
    };
    let button = submit_of(page, group);
    Form {
        username: username.map(|field| (field.index, field.enabled)),
        password: password.map(|field| (field.index, field.enabled)),
        code,
        captcha: own().any(|(_, role)| *role == Role::Captcha),
        invalid: own().any(|(field, _)| field.invalid),
        press: button.map(|button| button.index),
        ready: button.is_none_or(|button| button.enabled),
    }
}

/// A user name field that does not call itself one: the last text before the password, in its group or in one that is
/// no form of its own.
fn username_near<'a>(
    page: &Reading,
    roles: &[(&'a Field, Role)],
    password: &Field,
) -> Option<&'a Field> {
    let loose = |group: Option<usize>| {
        group
            .and_then(|group| page.groups.get(group))
            .is_none_or(|group| !group.form)
    };
    let before = roles
        .iter()
        .filter(|(field, _)| field.index < password.index);
    let near = |wanted: Role, same: bool| {
        before.clone().rev().find(|(field, role)| {
            *role == wanted
                && if same {
                    field.group == password.group
                } else {
                    loose(field.group) && loose(password.group)
                }
                && matches!(
                    field.kind.as_str(),
                    "text" | "email" | "tel" | "number" | ""
                )
        })
    };
    near(Role::Username, true)
        .or_else(|| near(Role::Other, true))
        .or_else(|| near(Role::Username, false))
        .map(|(field, _)| *field)
}

/// What sends the fields of a group: the button that says so most clearly; `None` leaves the Enter key.
fn submit_of(page: &Reading, group: Option<usize>) -> Option<&Button> {
    let form = group
        .and_then(|group| page.groups.get(group))
        .is_some_and(|group| group.form);
    page.buttons
        .iter()
        .filter(|button| {
            !button.cookies && (button.group == group || (!form && loose(page, button)))
        })
        .map(|button| (worth(button, button.group == group), button))
        .filter(|(worth, _)| *worth > 5)
        // The first of equals: `max_by_key` would take the last.
        .rev()
        .max_by_key(|(worth, _)| *worth)
        .map(|(_, button)| button)
}

fn loose(page: &Reading, button: &Button) -> bool {
    button
        .group
        .and_then(|group| page.groups.get(group))
        .is_none_or(|group| !group.form)
}

fn worth(button: &Button, same_group: bool) -> i32 {
    let caption = button.says();
    let names = plain(&button.names);
    if says(List::Deny, &caption) {
        return -100;
    }
    let mut worth = match button.kind {
        ButtonKind::Submit => 30,
        ButtonKind::Button => 12,
        ButtonKind::Link => 0,
        ButtonKind::Other => -5,
    };
    worth += if same_group { 10 } else { 0 };
    worth += match () {
        () if says(List::Login, &caption) => 20,
        () if says(List::Next, &caption) || says(List::Accept, &caption) => 14,
        () if caption.is_empty() => -8,
        () if button.kind == ButtonKind::Submit => 0,
        () => -12,
    };
    worth += if says(List::Login, &names) || says(List::Next, &names) {
        5
    } else {
        0
    };
    worth -= if says(List::Elsewhere, &caption) {
        45
    } else {
        0
    };
    worth -= if says(List::Social, &caption) { 40 } else { 0 };
    worth
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(kind: &str, names: &str, label: &str) -> Field {
        Field {
            kind: kind.to_owned(),
            names: names.to_owned(),
            label: label.to_owned(),
            enabled: true,
            shown: true,
            ..Field::default()
        }
    }

    #[test]
    fn fields_are_told_by_what_they_say() {
        let check = |kind: &str, names: &str, label: &str, expected: Role| {
            assert_eq!(
                role(&field(kind, names, label)),
                expected,
                "{kind} {names} {label}"
            );
        };
        check("text", "username", "", Role::Username);
        check("text", "j_username", "", Role::Username);
        check("text", "pf.username", "", Role::Username);
        check("text", "callback_1", "User Name:", Role::Username);
        check(
            "email",
            "loginfmt i0116",
            "Email, phone or Skype",
            Role::Username,
        );
        check(
            "text",
            "f1",
            "Benutzername oder E-Mail-Adresse",
            Role::Username,
        );
        check("text", "f1", "用户名/邮箱", Role::Username);
        check("text", "id", "メールアドレス", Role::Username);
        check("password", "passwd", "", Role::Password);
        check(
            "password",
            "credentials.passcode",
            "Password",
            Role::Password,
        );
        check("text", "password-visible", "Password", Role::Password);
        check("password", "credentials.passcode", "Enter code", Role::Code);
        check("text", "otp", "One-time code", Role::Code);
        check("tel", "app_totp", "XXXXXX", Role::Code);
        check(
            "text",
            "code",
            "Enter the code we sent to your email",
            Role::Code,
        );
        check("text", "x", "Code de vérification", Role::Code);
        check("text", "x", "確認コード", Role::Code);
        check("text", "q", "Search the documentation", Role::Other);
        check("text", "user_search", "", Role::Other);
        check("text", "coupon_code", "Coupon code", Role::Other);
        check("text", "captcha", "Type the characters", Role::Captcha);
        check("checkbox", "remember", "Remember me", Role::Toggle);
    }
}
