//! The numbers that Python writes and JSON does not have.

use alloc::string::String;

/// What stands before the word in the string that takes its place: no configuration's own string begins so.
const MARK: &str = "\\u0001";

/// The text with `NaN`, `Infinity` and `-Infinity`, where they stand outside of strings, replaced by strings that
/// [`not_finite`] knows.
pub(super) fn with_strings_for_infinities(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(c) = rest.chars().next() {
        let word =
            ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| !quoted && rest.starts_with(word));
        let taken = match word {
            Some(word) => {
                clean.extend(["\"", MARK, word, "\""]);
                word.len()
            }
            None if quoted && c == '\\' => {
                // The escaped character, whichever it is, with its backslash.
                let taken = rest.chars().take(2).map(char::len_utf8).sum();
                clean.push_str(rest.get(..taken).unwrap_or(rest));
                taken
            }
            None => {
                quoted ^= c == '"';
                clean.push(c);
                c.len_utf8()
            }
        };
        rest = rest.get(taken..).unwrap_or("");
    }
    clean
}

/// The word, `NaN`, `Infinity` or `-Infinity`, that a string stands for.
pub(super) fn not_finite(text: &str) -> Option<&str> {
    text.strip_prefix('\u{1}')
}
