//! What a page looks like, as the script in the browser reports it. Values that were typed are never in it.

use serde::Deserialize;

use super::words::plain;

/// One reading of a page with its open shadow roots and frames of the same origin.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Reading {
    pub url: String,
    pub title: String,
    /// Visible text, one line per block.
    pub text: String,
    /// Texts that stand where pages put errors.
    pub alerts: Vec<String>,
    pub headings: Vec<String>,
    pub fields: Vec<Field>,
    pub buttons: Vec<Button>,
    pub groups: Vec<Group>,
    /// CAPTCHA boxes that a person would have to solve.
    pub challenges: Vec<String>,
    /// HTTP status of the document, where the browser tells.
    pub status: Option<u16>,
    /// The document and what it loads are there.
    pub loaded: bool,
    /// The document itself is there.
    pub parsed: bool,
    /// The page says that it will move on by itself.
    pub refreshes: bool,
    /// The browser's own error page stands in place of the document.
    pub net_error: Option<String>,
    /// Another document than the one last acted on.
    pub fresh: bool,
    /// Differs from what was there when it was last acted on.
    pub changed: bool,
    /// Since the last act, the page has sent something.
    pub sent: bool,
    /// An answer is still awaited.
    pub busy: bool,
    /// A form was held back that would have put the password into the address.
    pub withheld: bool,
    /// Since the page last changed by itself.
    pub quiet_ms: u64,
    /// Stands for all of the above that a person sees.
    pub signature: String,
    /// Stands for the address, the fields and the buttons alone.
    pub shape: String,
}

impl Reading {
    /// Scheme, host and port of the page.
    pub fn origin(&self) -> String {
        url::Url::parse(&self.url)
            .map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
    }

    /// Address without query and fragment.
    pub fn place(&self) -> &str {
        self.url.split(['?', '#']).next().unwrap_or_default()
    }
}

/// An input of any kind.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Field {
    pub index: usize,
    pub group: Option<usize>,
    /// `type` of an input, or `select`, `textarea`.
    pub kind: String,
    pub autocomplete: String,
    /// Name and id.
    pub names: String,
    /// What the page says that it is for.
    pub label: String,
    pub filled: bool,
    /// `maxlength`, zero where there is none.
    pub width: u32,
    /// Takes digits by its own word.
    pub numeric: bool,
    pub enabled: bool,
    pub required: bool,
    pub invalid: bool,
    pub shown: bool,
}

/// Something to press.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Button {
    pub index: usize,
    pub group: Option<usize>,
    pub caption: String,
    /// Name, id and value.
    pub names: String,
    pub kind: ButtonKind,
    /// `href` of a link.
    pub target: String,
    pub enabled: bool,
    /// Belongs to a box about cookies.
    pub cookies: bool,
}

impl Button {
    /// The caption in the form in which texts are compared; empty where it is too long for a button.
    pub fn says(&self) -> String {
        if self.caption.chars().count() > 70 {
            return String::new();
        }
        plain(&self.caption)
    }
}

/// What kind of control a button is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonKind {
    /// Submits its form.
    Submit,
    Button,
    Link,
    #[default]
    Other,
}

/// A form, or what stands in for one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Group {
    pub names: String,
    pub heading: String,
    /// A real form.
    pub form: bool,
}
