//! Cuts texts to what a vendor takes, so that the important part stays and nothing is cut in the middle of a
//! character or an escape.

/// Stands for what was cut.
const MORE: &str = "…";

/// At most `limit` UTF-16 units, which is never more than `limit` characters by any way of counting.
pub(super) fn units(text: &str, limit: usize) -> String {
    cut(text, limit, |c| c.len_utf16(), |c, out| out.push(c))
}

/// At most `limit` bytes of UTF-8.
pub(super) fn bytes(text: &str, limit: usize) -> String {
    cut(text, limit, |c| c.len_utf8(), |c, out| out.push(c))
}

/// With each character escaped, at most `limit` UTF-16 units; no escape is cut.
pub(super) fn escaped(text: &str, limit: usize, escape: fn(char, &mut String)) -> String {
    let size = |c: char| {
        let mut one = String::new();
        escape(c, &mut one);
        one.encode_utf16().count()
    };
    cut(text, limit, size, escape)
}

fn cut(
    text: &str,
    limit: usize,
    size: impl Fn(char) -> usize,
    write: impl Fn(char, &mut String),
) -> String {
    let more: usize = MORE.chars().map(&size).sum();
    let mut out = String::with_capacity(text.len().min(limit));
    let mut used = 0;
    // As far as there is still room for the mark of a cut.
    let mut safe = 0;
    for c in text.chars() {
        used += size(c);
        if used > limit {
            out.truncate(safe);
            if limit >= more {
                out.push_str(MORE);
            }
            return out;
        }
        write(c, &mut out);
        if used + more <= limit {
            safe = out.len();
        }
    }
    out
}

/// The first of ever shorter versions that fits: `make` gets the length at which long texts are to be cut. The shortest
/// one when none does.
pub(super) fn shrink<T>(make: impl Fn(usize) -> T, fits: impl Fn(&T) -> bool) -> T {
    for length in [2000, 1000, 500, 250, 120] {
        let made = make(length);
        if fits(&made) {
            return made;
        }
    }
    make(40)
}

/// `a, b, c and 197 more`
pub(super) fn list<T: AsRef<str>>(items: &[T], most: usize) -> String {
    let shown: Vec<&str> = items.iter().take(most).map(AsRef::as_ref).collect();
    let shown = shown.join(", ");
    match items.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn html(c: char, out: &mut String) {
        match c {
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }

    #[test]
    fn a_text_is_cut_only_where_it_has_to_be() {
        assert_eq!(units("abc", 3), "abc");
        assert_eq!(units("abcd", 3), "ab…");
        assert_eq!(units("a😀b", 3), "a…");
        assert_eq!(units("a😀b", 4), "a😀b");
        assert_eq!(bytes("ééé", 6), "ééé");
        assert_eq!(bytes("éééé", 6), "é…");
        assert_eq!(bytes("abc", 0), "");
        assert_eq!(escaped("a&b", 7, html), "a&amp;b");
        assert_eq!(escaped("a&b", 6, html), "a…");
        assert_eq!(escaped("&&", 5, html), "…");
    }

    #[test]
    fn a_long_list_says_how_much_more_there_is() {
        assert_eq!(list(&["a", "b"], 2), "a, b");
        assert_eq!(list(&["a", "b", "c"], 2), "a, b and 1 more");
        assert_eq!(list::<&str>(&[], 2), "");
    }

    proptest! {
        #[test]
        fn no_limit_is_passed(text in "(\\PC|[&😀é\n]){0,40}", limit in 0_usize..50) {
            prop_assert!(units(&text, limit).encode_utf16().count() <= limit);
            prop_assert!(bytes(&text, limit).len() <= limit);
            let cut = escaped(&text, limit, html);
            prop_assert!(cut.encode_utf16().count() <= limit);
            prop_assert!(!cut.replace("&amp;", "").contains('&'));
        }
    }
}
