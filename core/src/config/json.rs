//! The numbers that Python writes and JSON does not have.

use alloc::string::String;

/// The text with `NaN`, `Infinity` and `-Infinity`, where they stand outside of strings, replaced by `null`.
pub(super) fn without_infinities(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(c) = rest.chars().next() {
        let word =
            ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| !quoted && rest.starts_with(word));
        let taken = match word {
            Some(word) => {
                clean.push_str("null");
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
