//! YAML: events of the parser to a JSON value and the marks of everything in it.
//!
//! The tree is built here and not by `saphyr`'s loader, because that one copies an anchor's whole content for
//! every alias before anyone can count. Here aliases share, and unfold under a limit.

use std::{collections::HashMap, rc::Rc};

use saphyr_parser::{Event, Parser, StrInput};
use serde_json::{Map, Value};

use crate::{
    Position,
    error::Fault,
    position::{Mark, Marks, join},
    scalar,
};

/// Deeper nesting than this is refused.
const DEPTH: usize = 64;
/// More values than this, aliases unfolded, are refused.
const VALUES: usize = 100_000;

/// What a key means that is in one map twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duplicates {
    /// A fault.
    Refused,
    /// The last one counts, as in `PyYAML`.
    LastWins,
}

/// What a text holds. There may be faults beside a value.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) value: Option<Value>,
    pub(crate) marks: Marks,
    pub(crate) faults: Vec<Fault>,
}

/// Reads one YAML document. `locate` turns a character's index in `text` into its position in the file.
pub(crate) fn read(text: &str, duplicates: Duplicates, locate: &dyn Fn(usize) -> Position) -> Document {
    let mut tree = Tree {
        locate,
        duplicates,
        anchors: HashMap::new(),
        open: Vec::new(),
        root: None,
        faults: Vec::new(),
    };
    if let Err(fault) = tree.grow(text) {
        tree.faults.push(fault);
        return Document { faults: tree.faults, ..Document::default() };
    }
    let Some(root) = tree.root else {
        return Document { value: Some(Value::Null), faults: tree.faults, ..Document::default() };
    };
    let mut unfolding = Unfolding { marks: Marks::default(), faults: tree.faults, left: VALUES };
    let value = unfolding.value(&root, String::new(), None, 0);
    let (value, overflow) = match value {
        Ok(value) => (Some(value), None),
        Err(fault) => (None, Some(fault)),
    };
    unfolding.faults.extend(overflow);
    Document { value, marks: unfolding.marks, faults: unfolding.faults }
}

struct Node {
    at: Position,
    content: Content,
}

enum Content {
    Scalar { value: Value, text: String },
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

struct Entry {
    key: Key,
    node: Rc<Node>,
}

#[derive(Clone)]
struct Key {
    at: Position,
    text: String,
    /// `<<`, written plain.
    merge: bool,
}

/// A list or map whose end was not yet seen.
struct Open {
    at: Position,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Rc<Node>>),
    Map { entries: Vec<Entry>, key: Option<Key>, seen: HashMap<String, Position> },
}

struct Tree<'a> {
    locate: &'a dyn Fn(usize) -> Position,
    duplicates: Duplicates,
    anchors: HashMap<usize, Rc<Node>>,
    open: Vec<Open>,
    root: Option<Rc<Node>>,
    faults: Vec<Fault>,
}

impl Tree<'_> {
    fn grow(&mut self, text: &str) -> Result<(), Fault> {
        let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                Fault::new(
                    (self.locate)(error.marker().index()),
                    format!("this is not valid YAML: {}", error.info()),
                )
            })?;
            let at = (self.locate)(span.start.index());
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Fault::new(
                            at,
                            "a second document begins here, but a project file is one document",
                        ));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let plain = style == saphyr::ScalarStyle::Plain;
                    let value = scalar::resolve(&text, style, tag.as_ref()).unwrap_or_else(|message| {
                        self.faults.push(Fault::new(at, message));
                        Value::Null
                    });
                    if self.takes_key() {
                        self.key(Key { at, merge: plain && text == "<<", text: text.into_owned() });
                    } else {
                        self.add(
                            Node { at, content: Content::Scalar { value, text: text.into_owned() } },
                            anchor,
                        );
                    }
                }
                Event::Alias(anchor) => {
                    let Some(node) = self.anchors.get(&anchor).map(Rc::clone) else {
                        return Err(Fault::new(at, "this alias stands inside of what it refers to"));
                    };
                    match (&node.content, self.takes_key()) {
                        (Content::Scalar { text, .. }, true) => {
                            self.key(Key { at, text: text.clone(), merge: false });
                        }
                        (_, true) => return Err(Fault::new(at, "a key must be a single word or string")),
                        (_, false) => self.place(node),
                    }
                }
                Event::SequenceStart(anchor, _) => self.open(at, anchor, Kind::List(Vec::new()))?,
                Event::MappingStart(anchor, _) => {
                    self.open(
                        at,
                        anchor,
                        Kind::Map { entries: Vec::new(), key: None, seen: HashMap::new() },
                    )?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(),
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    fn takes_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: Kind::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, new: Key) {
        let Some(Open { kind: Kind::Map { entries, key, seen }, .. }) = self.open.last_mut() else { return };
        match (seen.insert(new.text.clone(), new.at), self.duplicates) {
            (Some(first), Duplicates::Refused) => {
                let message = format!("key `{}` is here a second time, the first is at {first}", new.text);
                self.faults.push(Fault::new(new.at, message));
            }
            (Some(_), Duplicates::LastWins) => entries.retain(|entry| entry.key.text != new.text),
            (None, _) => {}
        }
        *key = Some(new);
    }

    fn open(&mut self, at: Position, anchor: usize, kind: Kind) -> Result<(), Fault> {
        if self.takes_key() {
            return Err(Fault::new(at, "a key must be a single word or string"));
        }
        if self.open.len() >= DEPTH {
            return Err(Fault::new(at, format!("this is nested more than {DEPTH} levels deep")));
        }
        self.open.push(Open { at, anchor, kind });
        Ok(())
    }

    fn close(&mut self) {
        let Some(Open { at, anchor, kind }) = self.open.pop() else { return };
        let content = match kind {
            Kind::List(items) => Content::List(items),
            Kind::Map { entries, .. } => Content::Map(entries),
        };
        self.add(Node { at, content }, anchor);
    }

    fn add(&mut self, node: Node, anchor: usize) {
        let node = Rc::new(node);
        // The parser counts anchors from 1; 0 stands for none.
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.place(node);
    }

    fn place(&mut self, node: Rc<Node>) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { kind: Kind::List(items), .. }) => items.push(node),
            Some(Open { kind: Kind::Map { entries, key, .. }, .. }) => {
                if let Some(key) = key.take() {
                    entries.push(Entry { key, node });
                }
            }
        }
    }
}

struct Unfolding {
    marks: Marks,
    faults: Vec<Fault>,
    /// How many more values there may be.
    left: usize,
}

impl Unfolding {
    fn value(
        &mut self,
        node: &Node,
        pointer: String,
        key: Option<Position>,
        depth: usize,
    ) -> Result<Value, Fault> {
        self.count(node, depth)?;
        let mut mark = Mark { key, value: node.at, text: None };
        let value = match &node.content {
            Content::Scalar { value, text } => {
                mark.text = Some(text.clone());
                value.clone()
            }
            Content::List(items) => {
                let items = items.iter().enumerate();
                let items = items
                    .map(|(index, item)| self.value(item, format!("{pointer}/{index}"), None, depth + 1));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Content::Map(entries) => {
                let mut flat = Vec::new();
                self.flatten(entries, &mut flat, depth)?;
                let mut map = Map::new();
                for (key, node) in flat {
                    if !map.contains_key(&key.text) {
                        let value = self.value(&node, join(&pointer, &key.text), Some(key.at), depth + 1)?;
                        map.insert(key.text, value);
                    }
                }
                Value::Object(map)
            }
        };
        self.marks.insert(pointer, mark);
        Ok(value)
    }

    /// Collects a map's own entries, and behind them those of the maps that `<<` merges into it.
    fn flatten(
        &mut self,
        entries: &[Entry],
        into: &mut Vec<(Key, Rc<Node>)>,
        depth: usize,
    ) -> Result<(), Fault> {
        let own = entries.iter().filter(|entry| !entry.key.merge);
        into.extend(own.map(|entry| (entry.key.clone(), Rc::clone(&entry.node))));
        for entry in entries.iter().filter(|entry| entry.key.merge) {
            let merged = match &entry.node.content {
                Content::List(items) => items.as_slice(),
                _ => std::slice::from_ref(&entry.node),
            };
            for node in merged {
                self.count(node, depth)?;
                if let Content::Map(entries) = &node.content {
                    self.flatten(entries, into, depth + 1)?;
                } else {
                    self.faults
                        .push(Fault::new(entry.key.at, "`<<` merges a map or a list of maps, nothing else"));
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, node: &Node, depth: usize) -> Result<(), Fault> {
        if depth > DEPTH {
            return Err(Fault::new(node.at, format!("this is nested more than {DEPTH} levels deep")));
        }
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            Fault::new(Position::START, format!("the file holds more than {VALUES} values, aliases unfolded"))
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
