//! Exported exact denoisers against the formula in double precision, and as models to sample.

use picardy::nn::Architecture;
use picardy::{
    Betas, Ddpm, Level, Mixture, Node, Noise, Sampler, Sequential, SliceFrames, Solver, Workspace,
};
use picardy_ort::{Model, Options, OrtDenoiser, ensure_runtime};
use picardy_trainer::data::{Dataset, digits, dino_points};
use picardy_trainer::exact::exact_onnx;
use picardy_trainer::onnx::export_exact;

const BETAS: Betas = Betas::linear(1000, 1e-4, 2e-2);

fn load(data: &Dataset, std: f64) -> OrtDenoiser {
    ensure_runtime().unwrap();
    let bytes = exact_onnx(data, std, BETAS).unwrap();
    OrtDenoiser::new(Model::from_bytes(&bytes, Options::default()).unwrap()).unwrap()
}

/// Points on the way from the data to noise at timestep t, and outside of it.
fn states(data: &Dataset, std: f64, level: &Level, count: usize) -> Vec<f32> {
    let noise = Noise::seeded(level.t as u64);
    let mut z = vec![0.0f64; count * data.dim()];
    for (item, z) in z.chunks_mut(data.dim()).enumerate() {
        let point = data.row(item * 37 % data.len()).unwrap();
        // Every fourth far out, where a run never is.
        let spread =
            if item % 4 == 3 { 3.0 } else { (level.sigma.powi(2) + (level.alpha * std).powi(2)).sqrt() };
        noise.fill(spread, item, 0, z);
        z.iter_mut().zip(point.iter()).for_each(|(z, &x)| *z += level.alpha * f64::from(x));
    }
    z.iter().map(|&z| z as f32).collect()
}

/// The largest and the mean error of eps over states at a timestep, relative where eps is greater than 1.
fn errors(denoiser: &mut OrtDenoiser, data: &Dataset, std: f64, t: usize) -> (f64, f64) {
    let level = Level::vp(BETAS.alpha_bars().nth(t).unwrap(), t as f64);
    let means: Vec<f64> = data.data().iter().map(|&x| f64::from(x)).collect();
    let weights = vec![1.0; data.len()];
    let mixture = Mixture::new(&means, &weights, std, data.dim()).unwrap();
    let x = states(data, std, &level, 64);
    let mut eps = vec![f32::NAN; x.len()];
    denoiser.run(&x, std::iter::repeat_n(t as f64, 64), &mut eps).unwrap();
    let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let mut x0 = vec![0.0; data.dim()];
    let (mut largest, mut sum) = (0.0f64, 0.0);
    for (x, eps) in x.chunks(data.dim()).zip(eps.chunks(data.dim())) {
        mixture.denoise(x, &level, &mut x0);
        for ((x, x0), &eps) in x.iter().zip(&x0).zip(eps) {
            let want = (x - level.alpha * x0) / level.sigma;
            let error = (want - f64::from(eps)).abs() / want.abs().max(1.0);
            largest = largest.max(error);
            sum += error;
        }
    }
    (largest, sum / x.len() as f64)
}

#[test]
fn onnx_runtime_gives_the_mixtures_value() {
    for (data, std) in [(dino_points(), 0.0), (digits().unwrap(), 0.1)] {
        let mut denoiser = load(&data, std);
        for t in [0, 1, 2, 5, 10, 20, 50, 100, 200, 400, 600, 800, 999] {
            let (largest, mean) = errors(&mut denoiser, &data, std, t);
            // Found: 2.7e-4 and 5.5e-6, near ties between two points. A wrong factor is an error of its size.
            assert!(largest < 2e-3 && mean < 2e-5, "{} at {t}: {largest:.2e}, {mean:.2e}", data.name());
        }
    }
}

#[test]
fn rows_have_timesteps_of_their_own() {
    let data = dino_points();
    let mut denoiser = load(&data, 0.05);
    let x = [0.3, -0.7, 0.3, -0.7, 0.3, -0.7];
    let (mut together, mut alone) = ([0.0; 6], [0.0; 2]);
    let times = [999.0, 0.0, 400.2];
    denoiser.run(&x, times.into_iter(), &mut together).unwrap();
    for (&t, together) in times.iter().zip(together.chunks(2)) {
        denoiser.run(&x[..2], [t.round()].into_iter(), &mut alone).unwrap();
        assert!(together.iter().zip(alone).all(|(a, b)| (a - b).abs() < 1e-5), "{t}: {together:?} {alone:?}");
    }
    for past in [1000.0, 1e9] {
        assert!(denoiser.run(&x[..2], [past].into_iter(), &mut alone).is_err(), "{past}");
    }
}

#[test]
fn its_card_is_enough_to_sample_the_points() {
    let data = dino_points();
    let mut denoiser = load(&data, 0.0);
    let (mut levels, mut nodes) = (vec![Level::default(); 1001], vec![Node::default(); 1001]);
    let card = denoiser.card().unwrap().unwrap();
    let points = Architecture::ExactPoints { points: 142 };
    assert_eq!((card.architecture, card.dim(), card.schedule), (points, 2, BETAS.into()));
    assert!((card.data_variance - 1.0).abs() < 1e-3);
    let grid = card.schedule.trailing(1000, &mut levels).unwrap();
    let plan = Ddpm::default().plan(&grid, card.prediction, &mut nodes).unwrap();
    let (noise, mut x, mut frames) = (Noise::seeded(7), [0.0f32; 32], [0.0; 64]);
    plan.start(&noise, 2, &mut x);
    let mut workspace = Workspace::new(SliceFrames::new(&mut frames, 2), &mut []);
    Sequential.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace).unwrap();
    let distance = |x: &[f32], d: &[f32]| f64::from((x[0] - d[0]).hypot(x[1] - d[1]));
    for x in x.chunks(2) {
        let nearest = data.rows().map(|d| distance(x, &d)).fold(f64::MAX, f64::min);
        assert!(nearest < 0.02, "{x:?} is {nearest} from the nearest point");
    }
}

#[test]
fn what_is_no_data_set_is_refused() {
    let say = |points: &[f32], dim, std, levels: &[f64]| {
        export_exact(points, dim, std, levels, &[]).expect_err("bad input").to_string()
    };
    assert!(say(&[1.0, 2.0, 3.0], 2, 0.0, &[0.5]).contains("3 numbers are no points of dimension 2"));
    assert!(say(&[], 2, 0.0, &[0.5]).contains("0 numbers"));
    assert!(say(&[1.0], 0, 0.0, &[0.5]).contains("dimension 0"));
    assert!(say(&[1.0, f32::NAN], 2, 0.0, &[0.5]).contains("NaN at index 1"));
    assert!(say(&[1.0], 1, -0.1, &[0.5]).contains("-0.1: it must be finite and not negative"));
    assert!(say(&[1.0], 1, f64::NAN, &[0.5]).contains("NaN"));
    for bad in [1.0, -0.5, f64::NAN] {
        assert!(say(&[1.0], 1, 0.0, &[0.5, bad]).contains(&bad.to_string()), "{bad}");
    }
    assert!(say(&[1.0], 1, 0.0, &[]).contains("timesteps"));
    // Finite, and infinite as a square.
    assert!(say(&[1e30], 1, 0.0, &[0.5]).contains("`squares`"));
}
