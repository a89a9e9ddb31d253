//! Names in requests that Ansible draws at random, anew in every run.
//!
//! In keys and records each is a number: that of its first appearance in the requests of the chain. Only names that
//! whoever drew them has told are taken for such, so no text of a user is ever masked. Two requests are equal behind their
//! masks if one becomes the other when names are exchanged one for one, and such names mean nothing but themselves.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use regex::bytes::Regex;

/// What drawn names look like; each match is looked up among those that were told.
static SHAPES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?-u)ansible-tmp-[0-9.]+-[0-9]+-[0-9]+|BECOME-SUCCESS-[a-z]{32}|ansible-local-[0-9a-z_]+|tmp[a-z0-9_]{8}|\.[a-z0-9_]{8}",
    )
    .expect("the pattern is a constant")
});

/// How the names of Ansible's directories in containers begin, and how it removes them.
const DIRECTORY: &[u8] = b"ansible-tmp-";
const REMOVE: &[u8] = b"rm -f -r ";

/// The drawn names of one run.
#[derive(Debug, Default)]
pub(super) struct Mask {
    known: HashMap<Vec<u8>, Option<usize>>,
    numbered: Vec<Vec<u8>>,
    /// Directories of this run that are in the container.
    directories: HashSet<usize>,
}

/// Bytes with masks in place of drawn names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Masked(pub(super) Vec<Piece>);

/// A part of masked bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Itself.
    Plain(Vec<u8>),
    /// The drawn name of this number.
    Drawn(usize),
}

impl Mask {
    /// Takes notice of drawn names.
    pub(super) fn learn(&mut self, names: &[String]) {
        for name in names.iter().filter(|name| !name.is_empty()) {
            self.known.entry(name.clone().into_bytes()).or_default();
        }
    }

    /// Masks a part of a request.
    pub(super) fn request(&mut self, bytes: &[u8]) -> Masked {
        let Self { known, numbered, directories } = self;
        masked(bytes, |name| {
            let number = known.get_mut(name)?;
            Some(*number.get_or_insert_with(|| {
                if name.starts_with(DIRECTORY) {
                    directories.insert(numbered.len());
                }
                numbered.push(name.to_vec());
                numbered.len() - 1
            }))
        })
    }

    /// Takes notice that a command was asked for, in case it removes a directory of this run.
    pub(super) fn asked(&mut self, command: &Masked) {
        let removes = |piece: &Piece| match piece {
            Piece::Plain(plain) => plain.windows(REMOVE.len()).any(|window| window == REMOVE),
            Piece::Drawn(_) => false,
        };
        if command.0.iter().any(removes) {
            for piece in &command.0 {
                if let Piece::Drawn(number) = piece {
                    self.directories.remove(number);
                }
            }
        }
    }

    /// Whether a directory is in the container whose name this run has drawn: another run would look for another one.
    pub(super) fn has_left_directories(&self) -> bool {
        !self.directories.is_empty()
    }

    /// Masks a part of an answer: those names that a request had before.
    pub(super) fn answer(&self, bytes: &[u8]) -> Masked {
        masked(bytes, |name| *self.known.get(name)?)
    }

    /// Puts this run's names back. `None`: there are not as many.
    pub(super) fn unmask(&self, masked: &Masked) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for piece in &masked.0 {
            match piece {
                Piece::Plain(plain) => bytes.extend_from_slice(plain),
                Piece::Drawn(number) => bytes.extend_from_slice(self.numbered.get(*number)?),
            }
        }
        Some(bytes)
    }
}

impl Masked {
    /// Returns what two masked values have in common exactly if they are equal.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(plain) => {
                    bytes.push(0);
                    bytes.extend_from_slice(&(plain.len() as u64).to_le_bytes());
                    bytes.extend_from_slice(plain);
                }
                Piece::Drawn(number) => {
                    bytes.push(1);
                    bytes.extend_from_slice(&(*number as u64).to_le_bytes());
                }
            }
        }
        bytes
    }
}

fn masked(bytes: &[u8], mut number: impl FnMut(&[u8]) -> Option<usize>) -> Masked {
    let (mut pieces, mut plain) = (Vec::new(), 0);
    for found in SHAPES.find_iter(bytes) {
        if let Some(number) = number(found.as_bytes()) {
            if plain < found.start() {
                pieces.push(Piece::Plain(bytes[plain..found.start()].to_vec()));
            }
            pieces.push(Piece::Drawn(number));
            plain = found.end();
        }
    }
    if plain < bytes.len() {
        pieces.push(Piece::Plain(bytes[plain..].to_vec()));
    }
    Masked(pieces)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: [&str; 2] = ["ansible-tmp-1.5-2-3", ".abcdefgh"];
    const SECOND: [&str; 2] = ["ansible-tmp-77.25-8-99", ".zyxwvuts"];

    fn mask(names: [&str; 2]) -> Mask {
        let mut mask = Mask::default();
        mask.learn(&names.map(str::to_owned));
        mask
    }

    #[test]
    fn a_drawn_name_is_the_number_of_its_first_appearance() {
        let (mut one, mut two) = (mask(FIRST), mask(SECOND));
        let masks = |mask: &mut Mask, names: [&str; 2]| {
            [
                mask.request(format!("mkdir /tmp/{}/x", names[0]).as_bytes()),
                mask.request(format!("cp {1} {0}", names[0], names[1]).as_bytes()),
            ]
        };
        assert_eq!(masks(&mut one, FIRST), masks(&mut two, SECOND));
        let answer = one.answer(b"made ansible-tmp-1.5-2-3");
        assert_eq!(two.unmask(&answer).unwrap(), b"made ansible-tmp-77.25-8-99");
    }

    #[test]
    fn what_nobody_drew_stays() {
        let mut mask = mask(FIRST);
        let text = b"ansible-tmp-9.9-9-9 BECOME-SUCCESS-abcdefghijklmnopqrstuvwxyzabcdef .abcdefgi";
        assert_eq!(mask.request(text), Masked(vec![Piece::Plain(text.to_vec())]));
    }

    #[test]
    fn other_places_of_the_same_names_are_other_requests() {
        let text = |one: &str, two: &str| format!("cp {one} {two} && rm {one}");
        let mut first = mask(FIRST);
        let ahead = first.request(text(FIRST[0], FIRST[1]).as_bytes());
        let mut second = mask(FIRST);
        let back = second.request(text(FIRST[0], FIRST[0]).as_bytes());
        assert_ne!(ahead, back);
    }

    #[test]
    fn a_directory_is_there_until_it_is_removed() {
        let mut mask = mask(FIRST);
        assert!(!mask.has_left_directories());
        for (command, left) in [
            ("mkdir /tmp/ansible-tmp-1.5-2-3", true),
            ("ls /tmp/ansible-tmp-1.5-2-3 .abcdefgh", true),
            ("rm -f -r /tmp/ansible-tmp-1.5-2-3/ > /dev/null", false),
            ("ls /tmp/ansible-tmp-1.5-2-3", false),
        ] {
            let masked = mask.request(command.as_bytes());
            mask.asked(&masked);
            assert_eq!(mask.has_left_directories(), left, "{command}");
        }
    }

    #[test]
    fn more_names_than_there_are_cannot_be_put_back() {
        assert_eq!(Mask::default().unmask(&Masked(vec![Piece::Drawn(0)])), None);
    }

    /// Texts in which drawn names stand between others.
    fn pieces() -> impl Strategy<Value = Vec<Result<Vec<u8>, usize>>> {
        let plain = prop::collection::vec(any::<u8>(), 0..6).prop_map(Ok);
        prop::collection::vec(prop_oneof![plain, (0_usize..2).prop_map(Err)], 0..8)
    }

    fn text(pieces: &[Result<Vec<u8>, usize>], names: [&str; 2]) -> Vec<u8> {
        let piece = |piece: &Result<Vec<u8>, usize>| match piece {
            Ok(plain) => plain.clone(),
            Err(name) => format!(" {} ", names[*name]).into_bytes(),
        };
        pieces.iter().flat_map(piece).collect()
    }

    proptest! {
        #[test]
        fn masks_come_off_again(pieces in pieces()) {
            let mut mask = mask(FIRST);
            let text = text(&pieces, FIRST);
            let masked = mask.request(&text);
            prop_assert_eq!(mask.unmask(&masked).unwrap(), text);
        }

        #[test]
        fn exchanged_names_do_not_matter(pieces in pieces()) {
            let [one, two] = [FIRST, SECOND].map(|names| mask(names).request(&text(&pieces, names)));
            prop_assert_eq!(one.bytes(), two.bytes());
        }

        #[test]
        fn equal_masks_mean_equal_texts_but_for_the_names(one in pieces(), two in pieces()) {
            let [first, second] = [&one, &two].map(|pieces| mask(FIRST).request(&text(pieces, FIRST)));
            let swapped = [FIRST[1], FIRST[0]];
            let equal = text(&one, FIRST) == text(&two, FIRST) || text(&one, FIRST) == text(&two, swapped);
            prop_assert_eq!(first.bytes() == second.bytes(), equal);
        }
    }
}
