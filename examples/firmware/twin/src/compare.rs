//! The host's lines beside the image's.

use std::fmt;

/// How far two targets' samples may be apart.
const TOLERANCE: f64 = 1e-5;

/// What two outputs have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Agreement {
    /// Lines that are the same.
    same: usize,
    /// Numbers of samples.
    numbers: usize,
    /// The largest difference of two.
    largest: f64,
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { same, numbers, largest } = self;
        write!(
            f,
            "{same} digests and counts are the same, {numbers} numbers of samples differ by {largest:e} at most"
        )
    }
}

/// Compares all lines of the host with the image's of the same names. Other lines of the image are its own.
///
/// # Errors
/// The first line that is missing or differs.
pub(crate) fn compare(host: &str, image: &str) -> Result<Agreement, String> {
    let mut agreement = Agreement { same: 0, numbers: 0, largest: 0.0 };
    for line in host.lines() {
        let (name, values) = split(line);
        let other = image.lines().map(split).find(|(other, _)| *other == name);
        let Some((_, others)) = other else { return Err(format!("the image has no line `{name}`")) };
        if !name.starts_with("sample ") {
            if values != others {
                return Err(format!("`{name}`: {values} on the host, {others} in the image"));
            }
            agreement.same += 1;
            continue;
        }
        let (a, b) = (numbers(values)?, numbers(others)?);
        if a.len() != b.len() {
            return Err(format!("`{name}`: {} numbers on the host, {} in the image", a.len(), b.len()));
        }
        for (a, b) in a.into_iter().zip(b) {
            let difference = (a - b).abs();
            if difference > TOLERANCE || difference.is_nan() {
                return Err(format!("`{name}`: {a} on the host, {b} in the image"));
            }
            agreement.numbers += 1;
            agreement.largest = agreement.largest.max(difference);
        }
    }
    if agreement.same == 0 || agreement.numbers == 0 {
        return Err("there is nothing to compare".into());
    }
    Ok(agreement)
}

/// A line's name (`hash NAME`, `run NAME`, `sample NAME ITEM`) and its values.
fn split(line: &str) -> (&str, &str) {
    let words = if line.starts_with("sample ") { 3 } else { 2 };
    let end = line.match_indices(' ').nth(words - 1).map_or(line.len(), |(at, _)| at);
    let (name, values) = line.split_at(end);
    (name, values.trim())
}

fn numbers(values: &str) -> Result<Vec<f64>, String> {
    values.split(' ').map(|word| word.parse().map_err(|_| format!("`{word}` is no number"))).collect()
}

#[cfg(test)]
mod tests {
    use super::compare;

    const HOST: &str = "hash noise 4 00ff\nrun ddim 10 40\nsample ddim 0 1.5 -0.25\n";

    #[test]
    fn the_same_lines_agree() {
        let image = format!("stack ddim 1234\n{HOST}");
        let agreement = compare(HOST, &image).unwrap();
        assert_eq!((agreement.same, agreement.numbers, agreement.largest), (2, 2, 0.0));
        assert!(compare(HOST, &image.replace("1.5", "1.500005")).unwrap().largest > 4e-6);
    }

    #[test]
    fn other_lines_do_not() {
        for (from, to) in
            [("00ff", "00fe"), ("10 40", "10 39"), ("1.5", "1.50002"), ("1.5", "NaN"), ("-0.25", "")]
        {
            assert!(compare(HOST, &HOST.replace(from, to)).is_err(), "{from}");
        }
        assert!(compare(HOST, "hash noise 4 00ff\n").is_err());
        assert!(compare("", HOST).is_err());
    }
}
