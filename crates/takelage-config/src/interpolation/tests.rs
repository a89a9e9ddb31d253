//! One row per rule, and the way back from every character.

use proptest::prelude::*;

use super::*;

/// `SET` has a value, `EMPTY` is set and empty, everything else is not set.
fn env(name: &str) -> Option<String> {
    match name {
        "SET" => Some("value".to_owned()),
        "EMPTY" => Some(String::new()),
        "QUOTES" => Some(r#"a"b'c\d"#.to_owned()),
        "LINES" => Some("one\ntwo: 2".to_owned()),
        "LIST" => Some("[a, b]".to_owned()),
        _ => None,
    }
}

fn done(text: &str) -> String {
    let (result, faults) = interpolate(text, &env);
    assert!(faults.is_empty(), "{text}: {faults:?}");
    result.text
}

fn faults(text: &str) -> Vec<String> {
    let (_, faults) = interpolate(text, &env);
    faults
        .into_iter()
        .map(|fault| format!("{} {}: {}", fault.at, fault.message, fault.hint.unwrap_or_default()))
        .collect()
}

#[test]
fn references_and_defaults_are_molecules() {
    for (text, result) in [
        ("a: $SET", "a: value"),
        ("a: ${SET}", "a: value"),
        ("a: $NOT", "a: "),
        ("a: ${NOT}", "a: "),
        ("a: ${NOT:-def}", "a: def"),
        ("a: ${EMPTY:-def}", "a: def"),
        ("a: ${SET:-def}", "a: value"),
        ("a: ${NOT-def}", "a: def"),
        ("a: ${EMPTY-def}", "a: "),
        ("a: ${NOT:-a-b:c}", "a: a-b:c"),
        ("a: ${NOT-debian:bookworm-slim}", "a: debian:bookworm-slim"),
        ("a: ${NOT:-$SET}", "a: value"),
        ("a: ${NOT:-$OTHER}", "a: "),
        ("a: $$SET", "a: $SET"),
        ("a: ${_x1:-y}", "a: y"),
        ("a: $LIST", "a: [a, b]"),
        ("$SET: $SET$SET", "value: valuevalue"),
    ] {
        assert_eq!(done(text), result, "{text}");
    }
}

#[test]
fn the_differences_to_molecule() {
    // The braced form in a default; Molecule leaves its brace behind.
    assert_eq!(done("a: ${NOT:-${SET}}"), "a: value");
    // The unbraced form ends with its name; Molecule swallows the rest of the file.
    assert_eq!(done("a: $SET-foo bar\nb: }"), "a: value-foo bar\nb: }");
    // Comments are left alone.
    assert_eq!(done("# cost $5 ${NOT\na: 1 # $SET"), "# cost $5 ${NOT\na: 1 # $SET");
    // A default ends on its line.
    assert_eq!(faults("a: ${NOT:-x\nb: }"), ["1:4 invalid placeholder: the closing `}` is missing"]);
}

#[test]
fn malformed_placeholders_are_reported_where_they_are() {
    for (text, place) in [
        ("a: ${V:-}", "1:4"),
        ("a: ${V-}", "1:4"),
        ("a: ${V:?e}", "1:4"),
        ("a: ${V:+x}", "1:4"),
        ("a: $(cmd)", "1:4"),
        ("a: cost $5", "1:9"),
        ("a: b\nc: $", "2:4"),
        ("a: ${}", "1:4"),
        ("a: ${V", "1:4"),
        ("a: ${V:-$}", "1:4"),
        ("a: ${V:-${X:-y}}", "1:4"),
        ("a: ä${1}", "1:5"),
    ] {
        let faults = faults(text);
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        assert!(faults[0].starts_with(&format!("{place} invalid placeholder: ")), "{text}: {faults:?}");
    }
    assert_eq!(faults("a: $5\nb: ${V:-}").len(), 2);
}

#[test]
fn values_stay_within_quotes() {
    assert_eq!(done(r#"a: "$QUOTES""#), r#"a: "a\"b'c\\d""#);
    assert_eq!(done("a: '$QUOTES'"), r#"a: 'a"b''c\d'"#);
    assert_eq!(done("a: $QUOTES"), r#"a: a"b'c\d"#);
    assert_eq!(done(r#"a: "$LINES""#), r#"a: "one\ntwo: 2""#);
    assert_eq!(done(r#"a: ["x", "\"$QUOTES"]"#), r#"a: ["x", "\"a\"b'c\\d"]"#);
    assert_eq!(done("a: 'it''s $QUOTES'"), r#"a: 'it''s a"b''c\d'"#);
    assert_eq!(
        faults("a: $LINES"),
        [
            "1:4 the value of variable `LINES` has more than one line: put the reference in double quotes, where line breaks can be written"
        ]
    );
}

#[test]
fn a_hash_begins_a_comment_only_where_yaml_says_so() {
    for (text, result) in [
        ("a: x#$SET", "a: x#value"),
        ("a: '# $SET'", "a: '# value'"),
        ("a: \"# $SET\"", "a: \"# value\""),
        ("a: |\n  # $SET\nb: 1 # $SET", "a: |\n  # value\nb: 1 # $SET"),
        ("a: >-  # $SET\n  # $SET\n\n  # $SET\n # $SET", "a: >-  # $SET\n  # value\n\n  # value\n # $SET"),
        ("- a: |2\n    # $SET", "- a: |2\n    # value"),
        ("a: !x |\n  # $SET", "a: !x |\n  # value"),
        ("a: don't # $SET", "a: don't # $SET"),
        ("a: 'it''s' # $SET", "a: 'it''s' # $SET"),
        ("a: \"\\\"\" # $SET", "a: \"\\\"\" # $SET"),
        ("a: {b: 'c', d: \"e\"} # $SET", "a: {b: 'c', d: \"e\"} # $SET"),
        ("- 'a' # $SET\n- b # $SET", "- 'a' # $SET\n- b # $SET"),
        ("a: x | y\n# $SET", "a: x | y\n# $SET"),
        ("a: 'x\n  # $SET'", "a: 'x\n  # value'"),
        ("a: 'b'\r\n# $SET\r\nc: $SET\r\n", "a: 'b'\r\n# $SET\r\nc: value\r\n"),
    ] {
        assert_eq!(done(text), result, "{text}");
    }
}

#[test]
fn the_way_back_leads_to_the_file_as_written() {
    let text = "ä: ${NOT:-x}y\nb: $SET z";
    let (result, _) = interpolate(text, &env);
    assert_eq!(result.text, "ä: xy\nb: value z");
    let back: Vec<_> =
        (0..result.text.chars().count()).map(|index| result.locate(index).to_string()).collect();
    let expected = [
        "1:1", "1:2", "1:3", "1:4", "1:13", "1:14", "2:1", "2:2", "2:3", "2:4", "2:4", "2:4", "2:4", "2:4",
        "2:8", "2:9",
    ];
    assert_eq!(back, expected);
}

proptest! {
    #[test]
    fn without_references_nothing_changes(text in "[^$]{0,200}") {
        let (result, faults) = interpolate(&text, &env);
        prop_assert!(faults.is_empty());
        prop_assert_eq!(result.text, text);
    }

    /// Markers that stand between references are found where they were written.
    #[test]
    fn positions_are_those_of_the_file(parts in proptest::collection::vec(("[a-z \n]{0,5}", 0..4_usize), 1..20)) {
        let references = ["$SET", "${NOT:-def}", "${EMPTY}", "$$"];
        let (mut text, mut places) = (String::new(), Vec::new());
        for (filler, reference) in &parts {
            text.push_str(filler);
            text.push_str(references[*reference]);
            let line = text.matches('\n').count() + 1;
            places.push(Position { line, column: text.chars().rev().take_while(|c| *c != '\n').count() + 1 });
            text.push('§');
        }
        let (result, faults) = interpolate(&text, &env);
        prop_assert!(faults.is_empty());
        let found: Vec<_> =
            result.text.chars().enumerate().filter(|(_, c)| *c == '§').map(|(index, _)| result.locate(index)).collect();
        prop_assert_eq!(found, places);
    }

    #[test]
    fn nothing_makes_it_panic(text in "[ -~\n\r]{0,100}|(\\$|\\{|\\}|:|-|\"|'|#|\\||>|&|!|[A-Z]|\n| ){0,80}|\\PC{0,50}") {
        let (result, _) = interpolate(&text, &env);
        for index in 0..=result.text.chars().count() + 1 {
            result.locate(index);
        }
    }
}
