//! Warm starts: from data that are near the sample.

use super::error::{HorizonError, check};
use crate::{Form, Level, Noise, Plan, Real};

/// The state of data at a noise level, `x = alpha data + sigma z` with each item's `z` of node 0, over `[batch, dim]`: where a
/// sequential run starts partway ([`Grid::tail`](crate::Grid::tail); SDEdit, arXiv 2108.01073). A tape has noise for the nodes after
/// the start alone: record the start's own and add it.
///
/// # Errors
/// [`HorizonError::Length`] for no whole items or two lengths, [`HorizonError::NotFinite`] for data that are not.
pub fn renoise<T: Real>(
    level: &Level,
    data: &[T],
    noise: &Noise<'_>,
    dim: usize,
    x: &mut [T],
) -> Result<(), HorizonError> {
    check(data, dim)?;
    if x.len() != data.len() {
        return Err(HorizonError::Length { needed: data.len(), given: x.len() });
    }
    let alpha = T::from_f64(level.alpha);
    for (item, (x, data)) in x.chunks_exact_mut(dim).zip(data.chunks_exact(dim)).enumerate() {
        noise.fill(level.sigma, item, 0, x);
        x.iter_mut().zip(data).for_each(|(x, data)| *x += alpha * *data);
    }
    Ok(())
}

/// The whole path of a plan whose every estimate of the data is `data` `[batch, dim]`, from the start `x`: the guess that
/// [`Picard::begin_from`](crate::Picard::begin_from) takes, `[batch, last + 1, dim]`. The noise of a stochastic solver is in it.
///
/// # Errors
/// [`HorizonError::Length`] for no whole items or a guess of another size, [`HorizonError::NotFinite`] for data or a start
/// that are not.
///
/// ```
/// use picardy::{Betas, Ddpm, Level, Mixture, Node, Noise, Picard, Prediction, Run, SliceFrames, Solver, Workspace};
/// use picardy::{Mark, Sampler, Span, horizon::follow};
/// let mut model = Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.1, 1)?.predicting(Prediction::Epsilon);
/// let (mut levels, mut nodes) = ([Level::default(); 51], [Node::default(); 51]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(50, &mut levels)?;
/// let plan = Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// let (noise, mut x, mut guess) = (Noise::seeded(7), [0.0f32], [0.0; 51]);
/// plan.start(&noise, 1, &mut x);
/// follow(&plan, &noise, 1, &[0.98], &x, &mut guess)?; // the last cycle's answer, shifted
/// let picard = Picard::default();
/// let (mut memory, mut spans, mut marks) = ([0.0; 512], [Span::default(); 2], [Mark::default(); 51]);
/// let mut workspace = Workspace::new(SliceFrames::new(&mut memory, 1), &mut spans).with_marks(&mut marks);
/// let mut run = picard.begin_from(&plan, &noise, &x, &guess, &mut workspace)?;
/// while run.round(&mut model)?.is_some() {}
/// let report = run.finish(&mut x);
/// assert!(report.finished && report.rounds < 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn follow<T: Real>(
    plan: &Plan<'_>,
    noise: &Noise<'_>,
    dim: usize,
    data: &[T],
    x: &[T],
    guess: &mut [T],
) -> Result<(), HorizonError> {
    let states = plan.last() + 1;
    check(data, dim)?;
    check(x, dim)?;
    let needed = data.len().saturating_mul(states);
    if x.len() != data.len() {
        return Err(HorizonError::Length { needed: data.len(), given: x.len() });
    }
    if guess.len() != needed {
        return Err(HorizonError::Length { needed, given: guess.len() });
    }
    let items = data.chunks_exact(dim).zip(x.chunks_exact(dim));
    for (item, (path, (data, x))) in guess.chunks_exact_mut(states * dim).zip(items).enumerate() {
        let (start, _) = path.split_at_mut(dim);
        start.copy_from_slice(x);
        for (k, node) in plan.nodes().iter().enumerate().skip(1) {
            let (before, rest) = path.split_at_mut(k * dim);
            let (state, _) = rest.split_at_mut(dim);
            noise.fill(node.noise, item, k, state);
            // A plan reaches no further back than its first node.
            let of = |back: u8| before.chunks_exact(dim).rev().nth(usize::from(back).saturating_sub(1));
            for term in node.state_terms() {
                add(state, T::from_f64(term.weight), of(term.back).unwrap_or_default());
            }
            for term in node.output_terms() {
                let made = k.checked_sub(term.back.into()).and_then(|j| plan.nodes().get(j));
                let (of_state, of_data) =
                    estimate(plan.form(), made.map_or(&Level::DATA, |node| &node.level));
                add(state, T::from_f64(term.weight * of_state), of(term.back).unwrap_or_default());
                add(state, T::from_f64(term.weight * of_data), data);
            }
        }
    }
    Ok(())
}

fn add<T: Real>(state: &mut [T], weight: T, x: &[T]) {
    state.iter_mut().zip(x).for_each(|(state, x)| *state += weight * *x);
}

/// m of a state and data, in the plan's form: `(x - alpha data)/sigma`, or the data.
fn estimate(form: Form, level: &Level) -> (f64, f64) {
    match form {
        Form::Data => (0.0, 1.0),
        Form::Noise if level.sigma > 0.0 => (1.0 / level.sigma, -level.alpha / level.sigma),
        Form::Noise => (0.0, 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Betas, Ddim, Ddpm, Deis, DpmSolverPp, Node, Prediction, Sampler, Sequential};
    use crate::{SliceFrames, Solver, Workspace, denoiser};

    /// A path that follows the data ends there, whatever the solver and its noise.
    #[test]
    fn paths_end_at_the_data() {
        let (data, noise) = ([0.3f64, -0.7, 1.5, 0.2], Noise::seeded(4));
        let (mut levels, mut nodes) = ([Level::default(); 13], [Node::default(); 16]);
        let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(12, &mut levels).unwrap();
        for which in 0..4 {
            let plan = match which {
                0 => Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes),
                1 => Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes),
                // Of noises, where the others are of data.
                2 => Deis::default().plan(&grid, Prediction::Epsilon, &mut nodes),
                _ => DpmSolverPp::default().plan(&grid, Prediction::Epsilon, &mut nodes),
            };
            let plan = plan.unwrap();
            let last = plan.last();
            let (mut x, mut guess) = ([0.0; 4], [0.0; 64]);
            plan.start(&noise, 2, &mut x);
            let guess = &mut guess[..4 * (last + 1)];
            follow(&plan, &noise, 2, &data, &x, guess).unwrap();
            for (item, path) in guess.chunks(2 * (last + 1)).enumerate() {
                assert_eq!(path[..2], x[2 * item..2 * item + 2]);
                for (end, data) in path[2 * last..].iter().zip(&data[2 * item..]) {
                    assert!((end - data).abs() < 1e-9, "{which}: {end} {data}");
                }
            }
        }
    }

    /// The path is the one that a run takes whose network says the data at every node, noise included.
    #[test]
    fn paths_are_those_of_a_run_that_sees_the_data() {
        const DATA: [f64; 4] = [0.3, -0.7, 1.5, 0.2];
        let noise = Noise::seeded(4);
        let (mut levels, mut nodes) = ([Level::default(); 13], [Node::default(); 13]);
        let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(12, &mut levels).unwrap();
        let plan = Ddpm::default().plan(&grid, Prediction::Sample, &mut nodes).unwrap();
        let (mut x, mut guess) = ([0.0; 4], [0.0; 52]);
        plan.start(&noise, 2, &mut x);
        follow(&plan, &noise, 2, &DATA, &x, &mut guess).unwrap();
        let mut compared = 0;
        let mut model = denoiser::from_fn(|batch: &Batch<'_>, x: &[f64], out: &mut [f64]| {
            for (row, x) in batch.iter().zip(x.chunks_exact(2)) {
                for (x, want) in x.iter().zip(&guess[26 * row.item + 2 * row.node..]) {
                    assert!((x - want).abs() < 1e-9, "{row:?}: {x} {want}");
                }
                compared += 1;
            }
            out.copy_from_slice(&DATA);
            Ok::<(), core::convert::Infallible>(())
        });
        let mut memory = [0.0; 16];
        let mut workspace = Workspace::new(SliceFrames::new(&mut memory, 2), &mut []);
        Sequential.run(&plan, &mut model, &noise, &mut x, &mut workspace).unwrap();
        assert_eq!(compared, 2 * 12);
    }

    /// `alpha data + sigma z`, with the z that a run of the same seed starts from, each item's own.
    #[test]
    fn data_are_noised_as_a_run_starts() {
        let (data, noise) = ([0.3f64, -0.7, 1.5, 0.2], Noise::seeded(4));
        let level = Level { alpha: 0.6, sigma: 0.8, t: 40.0 };
        let mut x = [0.0; 4];
        renoise(&level, &data, &noise, 2, &mut x).unwrap();
        for (item, (x, data)) in x.chunks(2).zip(data.chunks(2)).enumerate() {
            let mut z = [0.0; 2];
            noise.fill(1.0, item, 0, &mut z);
            for ((x, data), z) in x.iter().zip(data).zip(z) {
                assert!((x - (0.6 * data + 0.8 * z)).abs() < 1e-12, "{item}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (mut levels, mut nodes) = ([Level::default(); 5], [Node::default(); 5]);
        let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(4, &mut levels).unwrap();
        let plan = Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
        let noise = Noise::seeded(1);
        let mut guess = [0.0; 20];
        let mut run = |data: &[f64], x: &[f64]| follow(&plan, &noise, 2, data, x, &mut guess);
        assert_eq!(run(&[1.0; 4], &[1.0; 4]), Ok(()));
        assert_eq!(run(&[f64::NAN; 4], &[1.0; 4]), Err(HorizonError::NotFinite { index: 0 }));
        assert_eq!(run(&[1.0; 4], &[f64::INFINITY; 4]), Err(HorizonError::NotFinite { index: 0 }));
        assert!(
            run(&[1.0; 3], &[1.0; 3]).is_err()
                && run(&[], &[]).is_err()
                && run(&[1.0; 4], &[1.0; 8]).is_err()
        );
        let length = HorizonError::Length { needed: 20, given: 18 };
        assert_eq!(follow(&plan, &noise, 2, &[1.0; 4], &[1.0; 4], &mut guess[..18]), Err(length));
        let length = HorizonError::Length { needed: 10, given: 20 };
        assert_eq!(follow(&plan, &noise, 2, &[1.0; 2], &[1.0; 2], &mut guess), Err(length));
        let mut x = [0.0; 4];
        let length = HorizonError::Length { needed: 4, given: 2 };
        assert_eq!(renoise(&Level::DATA, &[1.0; 4], &noise, 2, &mut x[..2]), Err(length));
        assert!(renoise(&Level::DATA, &[1.0; 3], &noise, 2, &mut x).is_err());
        assert!(renoise(&Level::DATA, &[f64::NAN; 4], &noise, 2, &mut x).is_err());
        assert!(renoise(&Level::DATA, &[2.0; 4], &noise, 2, &mut x).is_ok() && x == [2.0; 4]);
    }
}
