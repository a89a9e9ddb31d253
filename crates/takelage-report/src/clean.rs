//! Makes text of containers, modules and checks safe to show.
//!
//! What a task prints is chosen by whatever runs in the container. Sent to a terminal as it is, it could move
//! the cursor, retitle the window or hide a line, so everything but text goes or becomes visible.

use anstream::adapter::strip_str;

/// Returns `text` with its line ends and tabs and without anything else that a terminal would act upon.
///
/// Escape sequences and control characters are removed. A carriage return, which progress bars use to begin
/// their line again, begins a new line. What else could mislead, such as characters that reverse the direction
/// of writing, is written as `\u{…}`.
pub(crate) fn block(text: &str) -> String {
    let text = strip_str(text).to_string().replace("\r\n", "\n").replace('\r', "\n");
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        if acts(letter) { clean.extend(letter.escape_unicode()) } else { clean.push(letter) }
    }
    clean
}

/// Returns `text` as one line: like [`block`], with `\n` and `\t` visible too.
pub(crate) fn line(text: &str) -> String {
    block(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// Whether a terminal would act upon `letter` rather than show it.
fn acts(letter: char) -> bool {
    let direction = matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let separator = matches!(letter, '\u{2028}' | '\u{2029}');
    direction || separator || (letter.is_control() && !matches!(letter, '\n' | '\t'))
}

/// Returns every line of [`block`] behind `indent`; blank lines stay empty, those at the end go.
pub(crate) fn indented(text: &str, indent: &str) -> String {
    let mut out = String::new();
    for line in block(text).trim_end().lines() {
        if !line.trim_end().is_empty() {
            out.push_str(indent);
            out.push_str(line.trim_end());
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_go_and_misleading_letters_show() {
        assert_eq!(block("\x1b[31mred\x1b[0m \x07bell"), "red bell");
        assert_eq!(block("\x1b]0;title\x07text"), "text");
        assert_eq!(block("10%\r20%\r\ndone\tyes"), "10%\n20%\ndone\tyes");
        assert_eq!(block("a\u{202e}b\u{9b}31m"), "a\\u{202e}b\\u{9b}31m");
        assert_eq!(line("name\nerror: forged"), "name\\nerror: forged");
        assert_eq!(indented("a\n\n  b  \n\n", "> "), "> a\n\n>   b\n");
    }

    proptest! {
        #[test]
        fn nothing_a_terminal_acts_upon_is_left(text in any::<String>()) {
            prop_assert!(!block(&text).chars().any(acts));
            prop_assert!(!line(&text).chars().any(char::is_control));
        }

        #[test]
        fn ordinary_text_stays(text in "[ -~\\n\\täöü€🦀]*") {
            prop_assert_eq!(block(&text), text);
        }
    }
}
