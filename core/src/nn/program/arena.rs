//! Where the steps' outputs lie in a scratch that is used again.

use super::{Step, Value};

/// Gives every step's output a place in which nothing lies that is still needed, and the length of it all for one item.
///
/// A step's output is needed until the last step that reads it; the program's own until the end. Each takes the first
/// gap that it fits in.
pub(super) fn plan<P>(steps: &mut [Step<P>]) -> usize {
    let mut length = 0;
    for i in 0..steps.len() {
        let (before, rest) = steps.split_at_mut(i);
        let Some((step, later)) = rest.split_first_mut() else { break };
        let size = step.shape.len();
        let inputs = step.inputs;
        let needed = |j: usize| {
            let value = Value::of_step(j);
            inputs.contains(&value) || later.iter().any(|step| step.inputs.contains(&value))
        };
        let mut place = 0usize;
        let mut moved = true;
        while moved {
            moved = false;
            for (j, other) in before.iter().enumerate() {
                let end = other.place.saturating_add(other.shape.len());
                if other.place < place.saturating_add(size) && place < end && needed(j) {
                    (place, moved) = (end, true);
                }
            }
        }
        step.place = place;
        length = length.max(place.saturating_add(size));
    }
    length
}
