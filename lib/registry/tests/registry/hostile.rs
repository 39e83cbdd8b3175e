//! YAML made to hurt: each ends in an error, soon.

use std::time::Duration;

use firecamp_registry::api::{InvalidYaml, MAX_BYTES, StaticIPSpec, parse};

const HEAD: &str = "apiVersion: firecamp.io/v1alpha1\nkind: StaticIP\n";

/// Parses, which must fail within a second, and returns what is said.
fn refused(text: &[u8]) -> InvalidYaml {
    let before = tokio::time::Instant::now();
    let wrong = parse::<StaticIPSpec>(text).expect_err("it is refused");
    assert!(before.elapsed() < Duration::from_secs(1), "{wrong} took {:?}", before.elapsed());
    assert!(wrong.to_string().len() < 1000, "{wrong}");
    wrong
}

fn said(body: &str) -> String {
    refused(format!("{HEAD}{body}\n...\n").as_bytes()).to_string()
}

#[test]
fn an_empty_object_is_refused() {
    for text in ["", "\n", "  \n\n", "\t"] {
        assert_eq!(refused(text.as_bytes()), InvalidYaml::Empty);
    }
    refused(b"...\n");
    refused(b"---\n...\n");
    refused(b"# nothing\n...\n");
    refused(b"null\n...\n");
    refused(b"[]\n...\n");
    refused(b"{}\n...\n");
    refused(b"text\n...\n");
}

#[test]
fn an_object_longer_than_any_is_refused_unread() {
    let text = vec![b'a'; MAX_BYTES + 1];
    assert_eq!(refused(&text), InvalidYaml::TooLong(1_048_577));
}

#[test]
fn the_largest_text_that_is_looked_at_is_refused_soon() {
    for unit in
        ["a", "[", "{", "- ", "a: ", "&a ", "\"", "'", "# x\n", "- - \n", "? ", "\n", "|\n", "!a "]
    {
        let text = format!("{}\n...\n", unit.repeat((MAX_BYTES - 8) / unit.len()));
        refused(text.as_bytes());
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused_with_its_line() {
    assert_eq!(refused(b"a: b\nc: \xff\n...\n"), InvalidYaml::NotText { line: 2 });
    refused(b"\xff\xfea\0:\0 \0b\0\n...\n");
}

#[test]
fn aliases_and_anchors_are_refused() {
    let laughs = "a: &a [lol,lol,lol]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c]";
    for body in [laughs, "metadata: &m {name: x}", "metadata: &m {name: x}\nspec: *m", "spec: *x"] {
        let said = said(body);
        assert!(!said.is_empty());
    }
    // The same object with one anchor that nobody uses.
    let said = said("metadata:\n  name: &n 10.1.0.20\nspec: {}");
    assert!(said.contains("nchor"), "{said}");
}

#[test]
fn merge_keys_are_refused() {
    let said = said("metadata:\n  <<: {name: x}\n  name: y\nspec: {}");
    assert!(said.contains("line 4") && said.to_lowercase().contains("merge"), "{said}");
}

#[test]
fn tags_of_others_are_refused() {
    for tag in ["!!python/object:os.system", "!include /etc/passwd", "!env HOME"] {
        said(&format!("metadata:\n  name: {tag} x\nspec: {{}}"));
    }
}

#[test]
fn a_second_document_is_refused() {
    let object = "metadata: {name: 10.1.0.20}\nspec: {}";
    said(&format!("{object}\n---\n{HEAD}{object}"));
    said(&format!("{object}\n...\n---\n{HEAD}{object}"));
    said(&format!("{object}\n...\nmore: text"));
}

#[test]
fn a_key_that_comes_twice_is_refused_with_its_line() {
    let said = said("metadata:\n  name: x\n  name: y\nspec: {}");
    assert!(said.contains("line 5"), "{said}");
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let body = format!("spec: {}{}", open.repeat(5000), close.repeat(5000));
        said(&body);
    }
    let steps: Vec<String> = (0..500).map(|depth| " ".repeat(depth) + "a:").collect();
    said(&format!("spec:\n{}", steps.join("\n")));
}
