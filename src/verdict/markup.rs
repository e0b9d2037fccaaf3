//! HTML and XML, read only for what they say: texts, and which element holds which text. No tree is built, so
//! nothing nests too deep, and each byte is looked at once.

/// What a marked-up document says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Markup {
    /// Visible texts, one per element.
    pub(super) texts: Vec<String>,
    /// Elements without elements inside: name without namespace, and text.
    pub(super) leaves: Vec<(String, String)>,
}

/// Elements whose content is not text for readers.
const SILENT: [&str; 4] = ["script", "style", "noscript", "svg"];

/// Elements that only colour their text; the text runs on through them.
const INLINE: [&str; 7] = ["b", "strong", "em", "i", "span", "a", "font"];

/// Reads a document. Broken ones give what they have.
pub(super) fn read(document: &str) -> Markup {
    let mut markup = Markup::default();
    let mut text = String::new();
    let mut open = String::new();
    let mut rest = document;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        rest = &rest[start..];
        if let Some(section) = rest.strip_prefix("<![CDATA[") {
            let end = section.find("]]>").unwrap_or(section.len());
            text.push_str(&section[..end]);
            rest = section.get(end + 3..).unwrap_or_default();
            continue;
        }
        if let Some(comment) = rest.strip_prefix("<!--") {
            let end = comment.find("-->").unwrap_or(comment.len());
            rest = comment.get(end + 3..).unwrap_or_default();
            continue;
        }
        let Some(end) = rest.find('>') else { break };
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        let (closing, name) = name_of(tag);
        if INLINE.contains(&name.as_str()) {
            text.push(' ');
            continue;
        }
        markup.take(&mut text, if closing { &name } else { "" }, &open);
        open = if closing { String::new() } else { name.clone() };
        if !closing && SILENT.contains(&name.as_str()) {
            rest = after_end(rest, &name);
            open.clear();
        }
    }
    text.push_str(rest);
    markup.take(&mut text, "", "");
    markup
}

impl Markup {
    /// Takes the text since the last tag. It is a leaf's where the tag before opened what this one closes.
    fn take(&mut self, text: &mut String, closed: &str, open: &str) {
        let found = unescape(text.trim());
        text.clear();
        if found.is_empty() {
            return;
        }
        if !closed.is_empty() && closed == open {
            self.leaves.push((open.to_owned(), found.clone()));
        }
        self.texts.push(found);
    }
}

/// Whether the tag closes, and its name in lower case without namespace.
fn name_of(tag: &str) -> (bool, String) {
    let closing = tag.starts_with('/');
    let tag = tag.trim_start_matches('/');
    let end = tag
        .find(|c: char| c.is_whitespace() || c == '/')
        .unwrap_or(tag.len());
    let name = tag[..end].rsplit(':').next().unwrap_or_default();
    (closing, name.to_ascii_lowercase())
}

/// What follows the end of a silent element.
fn after_end<'a>(rest: &'a str, name: &str) -> &'a str {
    let mut from = rest;
    while let Some(at) = from.find("</") {
        let tag = &from[at + 2..];
        if tag
            .get(..name.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(name))
        {
            return tag.split_once('>').map_or("", |(_, after)| after);
        }
        from = tag;
    }
    ""
}

/// The entities that stand in error pages.
fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    text.replace("&nbsp;", " ")
        .replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&apos;", "'")
        .replace("&rsquo;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_a_reader_would_see() {
        let page = "<html><head><TITLE>a &amp; b</TITLE><script>no('<p>')</script></head><body>\
                    <!-- no --><h1>c <b>d</b> e</h1><br>f<p>g";
        let markup = read(page);
        assert_eq!(markup.texts, ["a & b", "c  d  e", "f", "g"]);
    }

    #[test]
    fn leaves_of_xml_have_their_names() {
        let xml = "<?xml version=\"1.0\"?><e:Error><Code>AccessDenied</Code><m><![CDATA[x < y]]></m></e:Error>";
        let found = read(xml).leaves;
        let expected = [("code", "AccessDenied"), ("m", "x < y")];
        assert_eq!(
            found,
            expected.map(|(name, text)| (name.to_owned(), text.to_owned()))
        );
    }

    #[test]
    fn broken_markup_ends() {
        for text in [
            "<",
            "<<<",
            "<script>",
            "<![CDATA[",
            "<!--",
            "</",
            "a<b",
            "<script></script",
        ] {
            read(text);
        }
    }
}
