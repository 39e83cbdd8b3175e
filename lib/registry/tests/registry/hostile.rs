//! Malicious YAML: the parser rejects each quickly.

use std::time::Duration;

use firecamp_registry::api::{InvalidYaml, MAX_BYTES, StaticIPSpec, parse};

const HEAD: &str = "apiVersion: firecamp.io/v1alpha1\nkind: StaticIP\n";

/// Parses the text, which must fail within a second, and returns the error.
fn refused(text: &[u8]) -> InvalidYaml {
    let before = tokio::time::Instant::now();
    let wrong = parse::<StaticIPSpec>(text).expect_err("it is refused");
    assert!(before.elapsed() < Duration::from_secs(1), "{wrong} took {:?}", before.elapsed());
    assert!(wrong.to_string().len() < 1000, "{wrong}");
    wrong
}

fn rejected(body: &str) -> String {
    refused(format!("{HEAD}{body}\n...\n").as_bytes()).to_string()
}

#[test]
fn an_empty_object_is_rejected() {
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
fn an_object_above_the_size_limit_is_rejected_without_parsing() {
    let text = vec![b'a'; MAX_BYTES + 1];
    assert_eq!(refused(&text), InvalidYaml::TooLong(1_048_577));
}

#[test]
fn text_of_the_maximum_size_is_rejected_quickly() {
    for unit in
        ["a", "[", "{", "- ", "a: ", "&a ", "\"", "'", "# x\n", "- - \n", "? ", "\n", "|\n", "!a "]
    {
        let text = format!("{}\n...\n", unit.repeat((MAX_BYTES - 8) / unit.len()));
        refused(text.as_bytes());
    }
}

#[test]
fn text_that_is_not_utf_8_is_rejected_with_its_line() {
    assert_eq!(refused(b"a: b\nc: \xff\n...\n"), InvalidYaml::NotText { line: 2 });
    refused(b"\xff\xfea\0:\0 \0b\0\n...\n");
}

#[test]
fn aliases_and_anchors_are_rejected() {
    let laughs = "a: &a [lol,lol,lol]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c]";
    for body in [laughs, "metadata: &m {name: x}", "metadata: &m {name: x}\nspec: *m", "spec: *x"] {
        let error = rejected(body);
        assert!(!error.is_empty());
    }
    // The same object with one unused anchor.
    let error = rejected("metadata:\n  name: &n 10.1.0.20\nspec: {}");
    assert!(error.contains("nchor"), "{error}");
}

#[test]
fn merge_keys_are_rejected() {
    let error = rejected("metadata:\n  <<: {name: x}\n  name: y\nspec: {}");
    assert!(error.contains("line 4") && error.to_lowercase().contains("merge"), "{error}");
}

#[test]
fn custom_tags_are_rejected() {
    for tag in ["!!python/object:os.system", "!include /etc/passwd", "!env HOME"] {
        rejected(&format!("metadata:\n  name: {tag} x\nspec: {{}}"));
    }
}

#[test]
fn a_second_document_is_rejected() {
    let object = "metadata: {name: 10.1.0.20}\nspec: {}";
    rejected(&format!("{object}\n---\n{HEAD}{object}"));
    rejected(&format!("{object}\n...\n---\n{HEAD}{object}"));
    rejected(&format!("{object}\n...\nmore: text"));
}

#[test]
fn a_duplicate_key_is_rejected_with_its_line() {
    let error = rejected("metadata:\n  name: x\n  name: y\nspec: {}");
    assert!(error.contains("line 5"), "{error}");
}

#[test]
fn deep_nesting_is_rejected() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let body = format!("spec: {}{}", open.repeat(5000), close.repeat(5000));
        rejected(&body);
    }
    let steps: Vec<String> = (0..500).map(|depth| " ".repeat(depth) + "a:").collect();
    rejected(&format!("spec:\n{}", steps.join("\n")));
}
