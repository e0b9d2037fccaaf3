use proptest::prelude::*;
use serde_json::json;

use super::*;

fn check(text: &str) -> (Option<Value>, Vec<String>) {
    let mut troubles = Vec::new();
    let document = read(text.as_bytes(), &mut troubles);
    let troubles = troubles
        .into_iter()
        .map(|trouble| {
            format!(
                "{}:{} {}",
                trouble.mark.line, trouble.mark.column, trouble.message
            )
        })
        .collect();
    (document.map(|document| document.value), troubles)
}

#[test]
fn scalars_are_read_by_the_core_schema() {
    let (value, troubles) =
        check("{a: yes, b: true, c: 2024-01-01, d: 010, e: 1e3, f: 'no', g: , h: .inf}");
    assert_eq!(
        value,
        Some(
            json!({"a": "yes", "b": true, "c": "2024-01-01", "d": 10, "e": 1000.0, "f": "no", "g": null, "h": ".inf"})
        )
    );
    assert_eq!(troubles, Vec::<String>::new());
}

#[test]
fn places_are_those_of_key_and_value() {
    let document = read(b"a:\n  - b: 1\n  - {c/d: 2}\n", &mut Vec::new()).unwrap();
    assert_eq!(document.key_mark("/a"), Mark { line: 1, column: 1 });
    assert_eq!(document.key_mark("/a/1/c~1d"), Mark { line: 3, column: 6 });
    assert_eq!(
        document.value_mark("/a/1/c~1d"),
        Mark {
            line: 3,
            column: 11
        }
    );
    assert_eq!(
        document.value_mark("/a/1/none/below"),
        Mark { line: 3, column: 5 }
    );
}

#[test]
fn what_cannot_be_read_has_a_place_and_a_reason() {
    let bomb = (1..9).fold(
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(),
        |text, n| {
            let alias = format!("*a{}", n - 1);
            format!("{text}a{n}: &a{n} [{}]\n", vec![alias; 10].join(", "))
        },
    );
    let deep = (1..9).fold("a0: &a0 [[[[x]]]]\n".to_owned(), |text, n| {
        format!("{text}a{n}: &a{n} [[[[*a{}]]]]\n", n - 1)
    });
    let cases = [
        ("", "1:1 the file is empty"),
        ("# nothing\n", "1:1 the file is empty"),
        (
            "a: 1\n---\nb: 2\n",
            "2:1 a second document starts here; a file holds one",
        ),
        (
            "a: 1\nb: 2\na: 3\n",
            "3:1 the key `a` stands here a second time",
        ),
        ("? [a]\n: 1\n", "1:3 a list or mapping cannot be a key"),
        (
            "a: &x [*x]\n",
            "1:8 this alias stands inside its own anchor",
        ),
        ("a: &x b\n*x : c\n", "2:1 an alias cannot be a key"),
        (&deep, "7:5 nested too deeply"),
        ("a: !vault x\n", "1:4 the tag `!vault` is not understood"),
        ("a: !!int x\n", "1:4 the value does not fit its tag"),
        (&bomb, "5:40 the aliases of this file unfold into too much"),
        (&"[".repeat(100), "1:33 nested too deeply"),
    ];
    for (text, expected) in cases {
        let troubles = check(text).1;
        assert_eq!(troubles, [expected], "{}", shorten(text));
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_at_their_place() {
    let mut troubles = Vec::new();
    assert!(read(b"a: 1\nb: \xff", &mut troubles).is_none());
    assert_eq!(troubles[0].mark, Mark { line: 2, column: 4 });
    let mut troubles = Vec::new();
    assert!(read(&vec![b' '; MAX_FILE_BYTES + 1], &mut troubles).is_none());
    assert_eq!(troubles[0].message, "the file is larger than 1 MiB");
}

#[test]
fn a_tab_is_named() {
    let mut troubles = Vec::new();
    assert!(read(b"a:\n\tb: 1\n", &mut troubles).is_none());
    assert!(
        troubles[0].help.as_deref().unwrap().contains("tabs"),
        "{troubles:?}"
    );
}

proptest! {
    #[test]
    fn any_bytes_give_a_document_or_a_trouble(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut troubles = Vec::new();
        prop_assert!(read(&bytes, &mut troubles).is_some() || !troubles.is_empty());
    }

    #[test]
    fn any_yaml_like_text_gives_a_document_or_a_trouble(text in "[-:?&*!|>%@`{}\\[\\], \n\t\"'#a-c0~<.]{0,120}") {
        let mut troubles = Vec::new();
        prop_assert!(read(text.as_bytes(), &mut troubles).is_some() || !troubles.is_empty());
    }
}
