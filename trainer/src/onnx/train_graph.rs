//! One step of training as an ONNX graph.

use super::adam::{NUMBERS, STATES};
use super::lower::Lowering;
use super::{Element, Extent, OnnxError};
use crate::model::Network;
use crate::optimiser::AdamConfig;

/// What a graph of training does. P is the number of parameters, n that of a batch's rows, which is fixed.
///
/// All are 32-bit floats. Parameters and what lies beside them are one vector `[P]` each; convolutions' weights lie in it as ONNX
/// has them. Items are `[n, item...]`, channels last; with `condition` where the network takes one.
///
/// | pass | inputs | outputs |
/// |---|---|---|
/// | `Squares` | `parameters`, `mean`, `square`, `average`, `x`, `t`, `condition`, `target`, `weight` `[n]`, `rates` | each of the first four with `.next`, `told` `[3]`: the loss, the norms of the gradient and of the new parameters |
/// | `Forward` | `parameters`, `x`, `t`, `condition` | `out` |
/// | `Backward` | `parameters`, `gradient`, `x`, `t`, `condition`, `dout`, `keep` `[1]` | `gradient.next`: keep times `gradient`, and that of `sum(out dout)` |
/// | `BackwardInput` | the same | also `dx`, the gradient with respect to x |
/// | `Update` | `parameters`, `mean`, `square`, `average`, `gradient`, `rates` | the first four with `.next`, `told` `[2]`: the norms |
///
/// `Squares` is a whole step for any loss `sum_r weight_r |out_r - target_r|^2`; the others are the same in parts, for a
/// loss of any form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Forward, backward and Adam for weighted squares.
    Squares,
    /// The output alone.
    Forward,
    /// A gradient, added to others.
    Backward,
    /// That, and the gradient with respect to x.
    BackwardInput,
    /// Adam.
    Update,
}

/// The graph of a pass for batches of `rows` rows, as the bytes of an ONNX file. The weights are not in it.
///
/// # Errors
/// [`OnnxError`]: no rows, an operation without a lowering, or a graph past 2 GiB.
///
/// # Examples
///
/// ```
/// use picardy_trainer::model::{MlpConfig, Network};
/// use picardy_trainer::onnx::{Pass, train_graph};
/// use picardy_trainer::optimiser::AdamConfig;
/// let model = Network::<f32>::new(MlpConfig::new(2), 64, 7)?;
/// let graph = train_graph(&model, 64, Pass::Squares, AdamConfig::default())?;
/// assert!(graph.len() < model.parameters().len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn train_graph(
    network: &Network<f32>,
    rows: usize,
    pass: Pass,
    config: AdamConfig,
) -> Result<Vec<u8>, OnnxError> {
    if rows == 0 {
        return Err(OnnxError::Size { what: "the batch", got: rows, mend: "it must be at least 1" });
    }
    let len = [Extent::Fixed(network.parameters().len())];
    let mut lowering = match pass {
        Pass::Update => Lowering::new(network),
        _ => Lowering::training(network, rows, "parameters"),
    };
    let batch = [Extent::Fixed(rows)];
    let input = |lowering: &mut Lowering<'_>, name: &str, shape: &[Extent<'_>]| {
        lowering.graph.input(name, Element::F32, shape);
    };
    let states: &[&str] = match pass {
        Pass::Squares => &STATES,
        Pass::Forward => &["parameters"],
        Pass::Backward | Pass::BackwardInput => &["parameters", "gradient"],
        Pass::Update => &["parameters", "mean", "square", "average", "gradient"],
    };
    states.iter().for_each(|name| input(&mut lowering, name, &len));
    if pass != Pass::Update {
        lowering.inputs();
        lowering.forward("out")?;
    }
    let items = lowering.items();
    if matches!(pass, Pass::Squares | Pass::Update) {
        input(&mut lowering, "rates", &[Extent::Fixed(NUMBERS)]);
    }
    match pass {
        Pass::Forward => lowering.graph.output("out", &items),
        Pass::Squares => {
            input(&mut lowering, "target", &items);
            input(&mut lowering, "weight", &batch);
            let (loss, dout) = lowering.squares();
            let gradient = lowering.backward(&dout, None)?;
            let [norm, new] = lowering.adam(config, &gradient);
            let axis = [("axis", super::Attribute::Int(0))];
            lowering.graph.node("told", "Concat", &[&loss, &norm, &new], &axis);
            lowering.graph.output("told", &[Extent::Fixed(3)]);
        }
        Pass::Backward | Pass::BackwardInput => {
            input(&mut lowering, "dout", &items);
            input(&mut lowering, "keep", &[Extent::Fixed(1)]);
            let dx = (pass == Pass::BackwardInput).then_some("dx");
            let gradient = lowering.backward("dout", dx)?;
            let kept = lowering.two("Mul", "gradient", "keep");
            lowering.graph.node("gradient.next", "Add", &[&kept, &gradient], &[]);
            lowering.graph.output("gradient.next", &len);
            if let Some(dx) = dx {
                lowering.graph.output(dx, &items);
            }
        }
        Pass::Update => {
            let [norm, new] = lowering.adam(config, "gradient");
            lowering.graph.node("told", "Concat", &[&norm, &new], &[("axis", super::Attribute::Int(0))]);
            lowering.graph.output("told", &[Extent::Fixed(2)]);
        }
    }
    if matches!(pass, Pass::Squares | Pass::Update) {
        for name in STATES {
            lowering.graph.output(&format!("{name}.next"), &len);
        }
    }
    Ok(lowering.graph.finish()?)
}

impl Lowering<'_> {
    /// `sum_r weight_r |out_r - target_r|^2` `[1]`, and its gradient with respect to out.
    fn squares(&mut self) -> (String, String) {
        let apart = self.two("Sub", "out", "target");
        let squares = self.two("Mul", &apart, &apart);
        let rank = self.network().config().shape.len();
        let rows = match rank {
            0 => squares,
            _ => self.sum(&squares, &(1..=rank as i64).collect::<Vec<_>>()),
        };
        let weighted = self.two("Mul", &rows, "weight");
        let axis = self.integers(&[0]);
        let loss = self.node("ReduceSum", &[&weighted, &axis], &[]);
        let two = self.number(2.0);
        let slopes = self.two("Mul", "weight", &two);
        let mut extents = vec![1; rank + 1];
        extents[0] = -1;
        let slopes = self.reshape(&slopes, &extents);
        (loss, self.two("Mul", &apart, &slopes))
    }
}
