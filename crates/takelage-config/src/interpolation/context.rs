//! Where in YAML a character stands: in a comment, in quotes, in a block of text, or outside of them.
//!
//! This is less than YAML's lexer: interpolation comes first and must find its way through text that is not
//! YAML yet. It knows exactly as much as it takes to leave comments alone and to keep values within quotes.

/// Follows a text character by character.
#[derive(Debug)]
pub(super) struct Context {
    place: Place,
    token: Token,
    /// The character before was white space, or this is the beginning of a line.
    blank: bool,
    /// Brackets and braces around.
    flow: usize,
    /// The indentation of the current line, which is over when `indenting` is not set.
    indent: usize,
    indenting: bool,
    /// A block of text begins with the next line.
    announced: Option<Announced>,
}

/// Whether a token may begin here, so that a quote opens a quoted scalar and `|` a block of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// One may.
    Fresh,
    /// One may after the anchor or tag that this is.
    Property,
    /// One has begun.
    Begun,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Plain,
    Comment,
    Single,
    /// In single quotes, before the second of two quotes that stand for one.
    Twin,
    Double,
    /// In double quotes, behind a backslash.
    Escape,
    /// In a block of text whose lines are indented at least so far.
    Block(usize),
}

/// A block of text that was announced by `|` or `>`.
#[derive(Debug, Clone, Copy)]
struct Announced {
    /// The indentation of the announcing line.
    parent: usize,
    /// The indentation that it demands on top of that, if any.
    explicit: Option<usize>,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            place: Place::Plain,
            token: Token::Fresh,
            blank: true,
            flow: 0,
            indent: 0,
            indenting: true,
            announced: None,
        }
    }
}

impl Context {
    pub(super) fn in_comment(&self) -> bool {
        self.place == Place::Comment
    }

    /// How a value must be written here.
    pub(super) fn quoting(&self) -> Quoting {
        match self.place {
            Place::Single | Place::Twin => Quoting::Single,
            Place::Double | Place::Escape => Quoting::Double,
            Place::Plain | Place::Comment | Place::Block(_) => Quoting::None,
        }
    }

    /// Passes a reference, whose value does not open or close anything.
    pub(super) fn substituted(&mut self) {
        if self.indenting {
            self.begin_line_content();
        }
        (self.token, self.blank) = (Token::Begun, false);
        if self.place == Place::Escape {
            self.place = Place::Double;
        }
    }

    /// Passes one character.
    pub(super) fn step(&mut self, chars: &[char], index: usize) {
        let c = chars[index];
        if c == '\n' {
            return self.end_line();
        }
        if self.indenting {
            if c == ' ' {
                self.indent += 1;
                return;
            }
            if c == '\r' {
                return;
            }
            self.begin_line_content();
        }
        match self.place {
            Place::Single if c == '\'' && chars.get(index + 1) == Some(&'\'') => self.place = Place::Twin,
            Place::Twin => self.place = Place::Single,
            Place::Double if c == '\\' => self.place = Place::Escape,
            Place::Escape => self.place = Place::Double,
            Place::Single | Place::Double if Some(c) == self.closing() => self.place = Place::Plain,
            Place::Plain => self.plain(chars, index),
            Place::Comment | Place::Block(_) | Place::Single | Place::Double => {}
        }
    }

    /// The character that closes the quotes around, if there are any.
    fn closing(&self) -> Option<char> {
        match self.quoting() {
            Quoting::Single => Some('\''),
            Quoting::Double => Some('"'),
            Quoting::None => None,
        }
    }

    fn end_line(&mut self) {
        if self.place == Place::Comment {
            self.place = Place::Plain;
        }
        (self.token, self.blank) = (Token::Fresh, true);
        (self.indent, self.indenting) = (0, true);
    }

    /// Decides, at the first character of a line that is not a space, whether a block of text begins or ends.
    fn begin_line_content(&mut self) {
        self.indenting = false;
        if let Some(Announced { parent, explicit }) = self.announced.take() {
            // Without an explicit indentation, the block's first line sets it.
            let least = explicit.map_or(self.indent, |more| parent + more);
            if self.indent > parent || explicit.is_some() {
                self.place = Place::Block(least);
            }
        }
        if let Place::Block(least) = self.place
            && self.indent < least
        {
            self.place = Place::Plain;
        }
    }

    fn plain(&mut self, chars: &[char], index: usize) {
        let c = chars[index];
        let next_is_blank = chars.get(index + 1).is_none_or(|next| next.is_whitespace());
        let was_blank = std::mem::replace(&mut self.blank, c.is_whitespace());
        let fresh = self.token == Token::Fresh;
        let after_quote = index > 0 && matches!(chars[index - 1], '"' | '\'');
        let next = match c {
            '#' if was_blank => {
                self.place = Place::Comment;
                Token::Begun
            }
            _ if c.is_whitespace() => match self.token {
                Token::Property => Token::Fresh,
                other => other,
            },
            '"' | '\'' if fresh => {
                self.place = if c == '"' { Place::Double } else { Place::Single };
                Token::Begun
            }
            '[' | '{' if fresh || self.flow > 0 => {
                self.flow += 1;
                Token::Fresh
            }
            ']' | '}' if self.flow > 0 => {
                self.flow -= 1;
                Token::Begun
            }
            ',' if self.flow > 0 => Token::Fresh,
            ':' if next_is_blank || (self.flow > 0 && after_quote) => Token::Fresh,
            '-' | '?' if fresh && next_is_blank => Token::Fresh,
            '|' | '>' if fresh && self.flow == 0 => {
                self.announced = header(self.indent, &chars[index + 1..]);
                Token::Begun
            }
            '&' | '!' if fresh => Token::Property,
            _ if self.token == Token::Property => Token::Property,
            _ => Token::Begun,
        };
        self.token = next;
    }
}

/// Reads the rest of a line that announces a block of text: `+`, `-`, a digit, then nothing but a comment.
/// `None` if it is something else. `parent` is the line's own indentation.
fn header(parent: usize, rest: &[char]) -> Option<Announced> {
    let mut explicit = None;
    let mut blank = false;
    for c in rest {
        match c {
            '\n' => break,
            '#' if blank => break,
            '+' | '-' if !blank => {}
            '1'..='9' if !blank && explicit.is_none() => explicit = c.to_digit(10),
            _ if c.is_whitespace() => blank = true,
            _ => return None,
        }
    }
    Some(Announced { parent, explicit: explicit.map(|digit| digit as usize) })
}

/// How a value must be written to stay one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    None,
    Single,
    Double,
}

impl Quoting {
    /// Returns the value as it is to be written, or `None` if it cannot be written here.
    pub(super) fn escape(self, value: &str) -> Option<String> {
        match self {
            Self::Double => {
                let mut escaped = String::with_capacity(value.len());
                for c in value.chars() {
                    match c {
                        '"' | '\\' => escaped.extend(['\\', c]),
                        '\n' => escaped.push_str("\\n"),
                        '\r' => escaped.push_str("\\r"),
                        '\t' => escaped.push_str("\\t"),
                        _ => escaped.push(c),
                    }
                }
                Some(escaped)
            }
            _ if value.contains(['\n', '\r']) => None,
            Self::Single => Some(value.replace('\'', "''")),
            Self::None => Some(value.to_owned()),
        }
    }
}
