//! Values and positions.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Reads without interpolation, so that an index is counted off in the text itself.
fn read_plain(text: &str) -> Document {
    read(text, Duplicates::Refused, &|index| place(text, index))
}

fn place(text: &str, index: usize) -> Position {
    let before: String = text.chars().take(index).collect();
    let line = before.matches('\n').count() + 1;
    Position { line, column: before.chars().rev().take_while(|c| *c != '\n').count() + 1 }
}

#[test]
fn every_way_to_write_a_value() {
    let text = "plain: word\nlist:\n  - 1\n  - [2, {deep: 3}]\nfolded: >-\n  a\n  b\nliteral: |\n  a\n  b\n'quoted': \"\\u00e4\"\nnothing:\n";
    let document = read_plain(text);
    assert_eq!(document.faults, []);
    assert_eq!(
        document.value,
        Some(
            json!({"plain": "word", "list": [1, [2, {"deep": 3}]], "folded": "a b", "literal": "a\nb\n", "quoted": "ä", "nothing": null})
        )
    );
    let mark = |pointer: &str| {
        let mark = document.marks.get(pointer).unwrap();
        format!("{} {}", mark.key.map_or_else(String::new, |key| key.to_string()), mark.value)
    };
    assert_eq!(mark(""), " 1:1");
    assert_eq!(mark("/plain"), "1:1 1:8");
    assert_eq!(mark("/list/0"), " 3:5");
    assert_eq!(mark("/list/1"), " 4:5");
    assert_eq!(mark("/list/1/1/deep"), "4:10 4:16");
    assert_eq!(mark("/quoted"), "11:1 11:11");
}

#[test]
fn merged_keys_come_behind_own_ones_and_lose_against_them() {
    let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 3}\nd: {'<<': 1}\n";
    let document = read_plain(text);
    assert_eq!(document.faults, []);
    let value = document.value.unwrap();
    assert_eq!(value["c"], json!({"x": 3, "y": 1, "z": 2}));
    assert_eq!(value["d"], json!({"<<": 1}));
}

#[test]
fn pointers_are_escaped() {
    let document = read_plain("a/b: {c~d: 1}");
    assert_eq!(document.marks.value("/a~1b/c~0d").to_string(), "1:12");
    assert_eq!(document.value.unwrap().pointer("/a~1b/c~0d"), Some(&json!(1)));
}

/// Something that can be nested; every scalar is unique.
#[derive(Debug, Clone)]
enum Shape {
    Scalar(u8),
    List(Vec<Shape>),
    Map(Vec<Shape>),
}

fn shapes() -> impl Strategy<Value = Shape> {
    any::<u8>().prop_map(Shape::Scalar).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Shape::List),
            prop::collection::vec(inner, 1..4).prop_map(Shape::Map),
        ]
    })
}

/// Writes block style with all kinds of scalars, comments and line ends in between.
struct Writer {
    text: String,
    count: usize,
    /// Pointer, and where its key (if any) and its scalar (if any) were written.
    places: Vec<(String, Option<usize>, Option<usize>)>,
}

impl Writer {
    fn here(&self) -> usize {
        self.text.chars().count()
    }

    fn write(&mut self, shape: &Shape, indent: usize, pointer: &str, key: Option<usize>) {
        self.count += 1;
        let end = if self.count.is_multiple_of(3) { "\r\n" } else { "\n" };
        match shape {
            Shape::Scalar(kind) => {
                self.text.push(' ');
                self.places.push((pointer.to_owned(), key, Some(self.here())));
                let n = self.count;
                let scalar = match kind % 5 {
                    0 => format!("plain{n}"),
                    1 => format!("'ein ''ö'' {n}' # Ä"),
                    2 => format!("\"\\t {n} \u{1f40b}\""),
                    3 => format!("{n}"),
                    _ => format!("wörd {n} möre"),
                };
                self.text += &scalar;
                self.text += end;
            }
            Shape::List(items) => {
                self.places.push((pointer.to_owned(), key, None));
                self.text += end;
                for (index, item) in items.iter().enumerate() {
                    self.text += &" ".repeat(indent);
                    self.text.push('-');
                    self.write(item, indent + 2, &format!("{pointer}/{index}"), None);
                }
            }
            Shape::Map(items) => {
                self.places.push((pointer.to_owned(), key, None));
                self.text += end;
                for item in items {
                    self.text += &" ".repeat(indent);
                    let key = self.here();
                    let name = format!("kéy{}", self.count);
                    self.text += &name;
                    self.text.push(':');
                    self.write(item, indent + 2, &format!("{pointer}/{name}"), Some(key));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn keys_and_scalars_are_where_they_were_written(shape in shapes()) {
        let mut writer = Writer { text: "# ü\n---".to_owned(), count: 0, places: Vec::new() };
        writer.write(&shape, 0, "", None);
        let document = read_plain(&writer.text);
        prop_assert_eq!(&document.faults, &[], "{}", writer.text);
        for (pointer, key, value) in writer.places {
            let mark = document.marks.get(&pointer).unwrap();
            prop_assert_eq!(mark.key, key.map(|index| place(&writer.text, index)), "{} in\n{}", pointer, writer.text);
            if let Some(index) = value {
                prop_assert_eq!(mark.value, place(&writer.text, index), "{} in\n{}", pointer, writer.text);
            }
        }
    }

    #[test]
    fn nothing_makes_it_panic(text in "\\PC{0,60}|([a-c&*!|>:,'\"#%@{}\\[\\]<~ \n\t-]|: |- |\n  ){0,60}") {
        read_plain(&text);
    }
}
