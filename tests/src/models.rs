//! Models with known answers.

use picardy::{Form, Level, MAX_OUTPUTS, Mixture, Node, Noise, Plan, Prediction, Readout, Term};

/// Eight Gaussians on a circle of radius 1.3: a 2-D mixture of about unit variance with a known density.
pub struct Ring {
    means: Vec<f64>,
    weights: Vec<f64>,
}

impl Default for Ring {
    fn default() -> Self {
        let angle = |k: usize| k as f64 * std::f64::consts::TAU / 8.0;
        let means = (0..8).flat_map(|k| [1.3 * angle(k).cos(), 1.3 * angle(k).sin()]).collect();
        Self { means, weights: vec![1.0; 8] }
    }
}

impl Ring {
    /// Its exact denoiser.
    pub fn mixture(&self) -> Mixture<'_> {
        Mixture::new(&self.means, &self.weights, 0.15, 2).expect("a sound mixture")
    }
}

/// A plan that no solver makes: random coefficients, nodes that are not evaluated, terms that reach up to four
/// nodes back, scaled inputs. A sampler that runs it exactly runs any.
pub fn random_plan(seed: u64, steps: usize, form: Form, nodes: &mut Vec<Node>) -> Plan<'_> {
    let draw = |k: usize, i: usize| Noise::seeded(seed).block(i, k, 0);
    nodes.clear();
    for k in 0..=steps {
        let sigma = 1.0 - 0.95 * k as f64 / steps as f64;
        let level = Level { alpha: (1.0 - sigma * sigma).sqrt() + 0.01, sigma, t: k as f64 };
        let mut node = Node { level, ..Node::default() };
        if k < steps && (k < 2 || draw(k, 0)[0] > -0.7) {
            let mut read = Prediction::Epsilon.readout(&level, form).expect("alpha > 0");
            let input = 1.0 + 0.1 * draw(k, 0)[1].tanh();
            read = Readout { input, ..read };
            node.evaluate = Some(read);
        }
        if k > 0 {
            node.states[0] = Term::new(1, 0.7 + 0.05 * draw(k, 1)[0].tanh());
            if k > 2 && draw(k, 1)[1] > 0.0 {
                node.states[1] = Term::new(2 + (draw(k, 1)[2] > 0.0) as u8, 0.1);
            }
            let mut free = 0;
            for back in 1..=MAX_OUTPUTS.min(k) {
                if nodes[k - back].evaluate.is_some() && (back == 1 || draw(k, 2)[back - 1] > 0.0) {
                    node.outputs[free] = Term::new(back as u8, 0.2 * draw(k, 3)[free].tanh());
                    free += 1;
                }
            }
            node.noise = 0.05;
        }
        nodes.push(node);
    }
    Plan::new(nodes, form).expect("a sound plan")
}
