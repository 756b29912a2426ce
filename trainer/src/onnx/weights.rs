//! The order of a parameter's numbers: the network's, and the graph's.
//!
//! A convolution's weight is `[outputs, taps, inputs]` in the network, so that a patch is one row, and `[outputs, inputs, taps]`
//! in ONNX, where channels come before places. All else is the same in both.

use crate::model::Parameter;

/// A convolution's outputs, taps and inputs; none of what is no convolution's weight, or of a kernel of one place.
fn kernel(parameter: &Parameter) -> Option<[usize; 3]> {
    match parameter.shape[..] {
        [outputs, ref taps @ .., inputs] if !taps.is_empty() => {
            Some([outputs, taps.iter().product(), inputs])
        }
        _ => None,
    }
}

/// `[rows, from, to]` with the last two axes exchanged.
fn exchange([rows, from, to]: [usize; 3], values: &[f32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for row in 0..rows {
        for j in 0..to {
            out.extend((0..from).map(|i| values[(row * from + i) * to + j]));
        }
    }
    out
}

/// One parameter's numbers in the graph's order.
pub(super) fn to_graph(parameter: &Parameter, values: &[f32]) -> Vec<f32> {
    match kernel(parameter) {
        Some(axes) if values.len() == parameter.range.len() => exchange(axes, values),
        _ => values.to_vec(),
    }
}

/// All parameters, or what is laid out as they are, in the graph's order.
pub(super) fn all_to_graph(layout: &[Parameter], values: &[f32]) -> Vec<f32> {
    let mut all = values.to_vec();
    for parameter in layout {
        all[parameter.range.clone()].copy_from_slice(&to_graph(parameter, &values[parameter.range.clone()]));
    }
    all
}

/// The way back.
pub(super) fn all_from_graph(layout: &[Parameter], values: &[f32]) -> Vec<f32> {
    let mut all = values.to_vec();
    for parameter in layout {
        if let Some([outputs, taps, inputs]) = kernel(parameter) {
            let range = parameter.range.clone();
            let own = exchange([outputs, inputs, taps], &values[range.clone()]);
            all[range].copy_from_slice(&own);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let parameter = |shape: &[usize], start: usize| {
            let range = start..start + shape.iter().product::<usize>();
            Parameter { name: String::new(), shape: shape.to_vec(), range }
        };
        let layout = [parameter(&[2, 3, 2], 0), parameter(&[2, 4], 12), parameter(&[1, 2, 2, 2], 20)];
        let values: Vec<f32> = (0..28).map(|i| i as f32).collect();
        let there = all_to_graph(&layout, &values);
        assert_eq!(there[..6], [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
        assert_eq!(there[12..20], values[12..20]);
        assert_eq!(there[20..], [20.0, 22.0, 24.0, 26.0, 21.0, 23.0, 25.0, 27.0]);
        assert_eq!(all_from_graph(&layout, &there), values);
    }
}
