//! The nearest of the names that would have been right.

/// Returns the candidate that `written` is most likely a misspelling of, if any is near.
///
/// Near means an edit distance (with transpositions) of at most a third of the longer name, but one is always
/// near enough unless it makes up a whole name.
pub(crate) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = |text: &str| text.to_lowercase().replace('-', "_");
    let name = folded(written);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != written)
        .map(|candidate| {
            let other = folded(candidate);
            let lengths = [name.chars().count(), other.chars().count()];
            let allowed =
                (lengths[0].max(lengths[1]) / 3).max(1).min(lengths[0].min(lengths[1]).saturating_sub(1));
            (strsim::damerau_levenshtein(&name, &other), allowed, candidate)
        })
        .filter(|(distance, allowed, _)| distance <= allowed)
        .min_by_key(|(distance, ..)| *distance)
        .map(|(.., candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        let keys = ["playbook", "layers", "tags", "tests", "from", "stop_signal"];
        for (written, meant) in [
            ("playbok", "playbook"),
            ("tag", "tags"),
            ("stop-signal", "stop_signal"),
            ("Form", "from"),
            ("layer", "layers"),
        ] {
            assert_eq!(nearest(written, keys), Some(meant), "{written}");
        }
        for written in ["", "x", "volumes", "image"] {
            assert_eq!(nearest(written, keys), None, "{written}");
        }
        assert_eq!(nearest("d", ["a", "b"]), None);
    }
}
