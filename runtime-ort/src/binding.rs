//! Memory bound to a session's inputs and output for one number of rows.
//!
//! A run over bound memory costs two copies of the rows, into the input and out of the output, and
//! spares the making of tensors and the look-up of their names in every call, which is more for a small
//! network than the network itself.

use ort::{
    AsPointer,
    memory::MemoryInfo,
    session::{IoBinding, RunOptions, Session},
};

use crate::{
    conditions::{Asked, Filled, Input},
    element::{Buffer, Element},
    error::OrtError,
    provider::Provider,
    session::Model,
    signature::{Channels, Layout, Times},
};

/// Bound memory for `rows` rows.
#[derive(Debug)]
pub(crate) struct Bound {
    binding: IoBinding,
    rows: usize,
    x: Buffer,
    t: Buffer,
    out: Buffer,
    /// The numbers in a row of the output: an item's, or twice as many.
    out_dim: usize,
    conditions: Vec<Filled>,
    /// Whether the session reads the very memory that is bound. Another device has a copy, made when it is bound.
    in_place: bool,
}

impl Bound {
    /// Memory for `rows` rows, which are the graph's where it fixes them. Where the graph does not say how many
    /// channels the answer has, one run over zeros does, and the layout then knows.
    pub(crate) fn new(
        model: &mut Model,
        layout: &mut Layout,
        conditions: &[Input],
        rows: usize,
    ) -> Result<Self, OrtError> {
        let shape: Vec<usize> = std::iter::once(rows).chain(layout.item.iter().copied()).collect();
        let x = Buffer::new(layout.x_element, &shape)?;
        let Told { t, conditions, .. } = Told::new(layout, conditions, rows)?;
        let in_place = model.provider() == Provider::Cpu;
        let output = model.outputs()[layout.out].name.clone();
        let mut binding = model.session_mut().create_binding()?;
        bind(&mut binding, model, layout.x, &x)?;
        bind(&mut binding, model, layout.t, &t)?;
        for (condition, &input) in conditions.iter().zip(&layout.conditions) {
            bind(&mut binding, model, input, &condition.buffer)?;
        }
        if layout.channels == Channels::Open {
            binding.bind_output_to_device(output.as_str(), &MemoryInfo::default())?;
            layout.channels = channels(model, &binding, &shape, layout.dim)?;
            binding.clear_outputs();
        }
        let mut out_shape = shape;
        if layout.channels == Channels::Twice {
            out_shape[1] *= 2;
        }
        let mut out = Buffer::new(layout.out_element, &out_shape)?;
        binding.bind_output(output, out.tensor_mut())?;
        let out_dim = out_shape[1..].iter().product();
        Ok(Self { binding, rows, x, t, out, out_dim, conditions, in_place })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Evaluates the model for `asked`, at most as many rows as there is memory for: `x` and `out` hold
    /// `asked.len()` rows. What is left of the memory repeats the last row.
    pub(crate) fn run(
        &mut self,
        model: &mut Model,
        layout: &Layout,
        inputs: &[Input],
        asked: &[Asked],
        x: &[f32],
        out: &mut [f32],
    ) -> Result<(), OrtError> {
        let (rows, dim) = (asked.len(), layout.dim);
        let Some(last) = asked.last() else { return Ok(()) };
        if rows > self.rows || x.len() != rows * dim || out.len() != x.len() {
            return Err(OrtError::Length { what: "x", got: x.len(), rows, dim });
        }
        self.x.write(0, x)?;
        for row in rows..self.rows {
            self.x.write(row * dim, &x[(rows - 1) * dim..])?;
        }
        write_times(&mut self.t, layout, asked, *last)?;
        for (i, input) in inputs.iter().enumerate() {
            if input.fill(&mut self.conditions[i], asked)? && !self.in_place {
                bind(&mut self.binding, model, layout.conditions[i], &self.conditions[i].buffer)?;
            }
        }
        if !self.in_place {
            bind(&mut self.binding, model, layout.x, &self.x)?;
            bind(&mut self.binding, model, layout.t, &self.t)?;
        }
        run_bound(model.session_mut(), &self.binding)?;
        if self.out_dim == dim {
            return self.out.read(0, out);
        }
        // The mean's channels come first: of a row, its first half.
        for (row, out) in out.chunks_mut(dim).enumerate() {
            self.out.read(row * self.out_dim, out)?;
        }
        Ok(())
    }
}

/// What the model is told beside x, in the processor's memory.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) rows: usize,
    pub(crate) t: Buffer,
    pub(crate) conditions: Vec<Filled>,
}

impl Told {
    /// Memory for `rows` rows.
    pub(crate) fn new(layout: &Layout, conditions: &[Input], rows: usize) -> Result<Self, OrtError> {
        let t_shape = match layout.times {
            Times::Shared(rank) => vec![1; rank],
            Times::Rows(rank) => [rows, 1][..rank].to_vec(),
        };
        let t = Buffer::new(layout.t_element, &t_shape)?;
        let conditions = conditions.iter().map(|input| input.memory(rows)).collect::<Result<_, _>>()?;
        Ok(Self { rows, t, conditions })
    }

    /// Writes what the rows asked for need, and binds all of it.
    pub(crate) fn bind(
        &mut self,
        binding: &mut IoBinding,
        model: &Model,
        layout: &Layout,
        inputs: &[Input],
        asked: &[Asked],
    ) -> Result<(), OrtError> {
        self.write(layout, inputs, asked)?;
        bind(binding, model, layout.t, &self.t)?;
        for (condition, &input) in self.conditions.iter().zip(&layout.conditions) {
            bind(binding, model, input, &condition.buffer)?;
        }
        Ok(())
    }

    /// Writes what the rows asked for need.
    pub(crate) fn write(
        &mut self,
        layout: &Layout,
        inputs: &[Input],
        asked: &[Asked],
    ) -> Result<(), OrtError> {
        let Some(last) = asked.last() else { return Ok(()) };
        write_times(&mut self.t, layout, asked, *last)?;
        for (input, condition) in inputs.iter().zip(&mut self.conditions) {
            input.fill(condition, asked)?;
        }
        Ok(())
    }
}

fn write_times(t: &mut Buffer, layout: &Layout, asked: &[Asked], last: Asked) -> Result<(), OrtError> {
    let times = asked.iter().chain(std::iter::repeat(&last)).map(|row| row.t);
    // Of integers, whole numbers within rounding: see `whole`.
    let is_float = layout.t_element.is_float();
    t.write_each(times.map(|t| if is_float { t } else { t.round() }))
}

/// Binds memory to an input, by its place.
fn bind(binding: &mut IoBinding, model: &Model, input: usize, buffer: &Buffer) -> Result<(), OrtError> {
    Ok(binding.bind_input(model.inputs()[input].name.as_str(), buffer.tensor())?)
}

/// The answer's channels beside x's of `shape` `[rows, channels, ...]`, by a run over what is bound.
fn channels(
    model: &mut Model,
    binding: &IoBinding,
    shape: &[usize],
    dim: usize,
) -> Result<Channels, OrtError> {
    let outputs = model.session_mut().run_binding(binding)?;
    let got =
        outputs.values().next().and_then(|answer| answer.dtype().tensor_shape().map(|shape| shape.to_vec()));
    let got = got.unwrap_or_default();
    let is = |factor: usize| {
        let want =
            shape.iter().enumerate().map(|(axis, &extent)| if axis == 1 { factor * extent } else { extent });
        got.iter().copied().eq(want.map(|extent| extent as i64))
    };
    match (is(1), is(2)) {
        (true, _) => Ok(Channels::Same),
        (_, true) => Ok(Channels::Twice),
        _ => Err(OrtError::OutputShape { got, rows: shape[0], dim }),
    }
}

/// Runs a session over bound memory. ort's own `run_binding` makes values of the outputs in every run, each with
/// an allocator and a description of its type; the output's memory is known here.
#[allow(unsafe_code)]
pub(crate) fn run_bound_with(
    session: &mut Session,
    binding: &IoBinding,
    options: Option<&RunOptions>,
) -> Result<(), ort::Error> {
    let options = options.map_or(std::ptr::null(), AsPointer::ptr);
    // SAFETY: the session, the binding and the options are alive, and the binding was made from this session and keeps it
    // alive with all values bound to it. `&mut` keeps other runs away, as RunWithBinding asks. A null pointer stands for the
    // default run options. The status is handed over at once and by nobody else.
    unsafe {
        let status = (ort::api().RunWithBinding)(session.ptr().cast_mut(), options, binding.ptr());
        ort::Error::result_from_status(status)
    }
}

/// The same with the default options.
pub(crate) fn run_bound(session: &mut Session, binding: &IoBinding) -> Result<(), ort::Error> {
    run_bound_with(session, binding, None)
}

/// Whether `t` is a whole number that the type holds, within a thousandth: timesteps pass through f32 and logarithms.
pub(crate) fn whole(row: usize, t: f64, element: Element) -> Result<(), OrtError> {
    let nearest = t.round();
    let (first, last) = element.whole_range().unwrap_or((i64::MIN, i64::MAX));
    if (t - nearest).abs() <= 1e-3 && nearest > first as f64 && nearest < last as f64 {
        Ok(())
    } else {
        Err(OrtError::FractionalTime { row, value: t })
    }
}

#[cfg(test)]
mod tests {
    use picardy_trainer::onnx::{Element as Type, Extent, GraphBuilder};

    use super::*;

    #[test]
    fn only_whole_times_are_whole() {
        whole(0, 999.0002, Element::I64).unwrap();
        whole(0, -1.0, Element::I32).unwrap();
        for t in [0.5, f64::NAN, f64::INFINITY, 1e19, 3e9] {
            let error = whole(3, t, Element::I32).unwrap_err();
            assert!(error.to_string().contains("row 3"), "{error}");
        }
    }

    #[test]
    fn binding_anew_keeps_each_input_in_its_place() {
        crate::ensure_runtime().unwrap();
        let n = Extent::Free("n");
        let mut graph = GraphBuilder::new("sum");
        graph.input("x", Type::F32, &[n, Extent::Fixed(1)]);
        graph.input("t", Type::F32, &[n, Extent::Fixed(1)]);
        graph.input("c", Type::F32, &[n, Extent::Fixed(1)]);
        graph.node("x_t", "Add", &["x", "t"], &[]);
        graph.node("y", "Add", &["x_t", "c"], &[]);
        graph.output("y", &[n, Extent::Fixed(1)]);
        let mut model = Model::from_bytes(&graph.finish().unwrap(), crate::Options::default()).unwrap();
        let mut layout = Layout::new(&model, &crate::Signature::default()).unwrap();
        let mut inputs = vec![Input::new(&model.inputs()[2], None)];
        inputs[0].bind(crate::Array::floats(&[2, 1], vec![0.1, 0.2]).unwrap(), None).unwrap();
        let mut bound = Bound::new(&mut model, &mut layout, &inputs, 2).unwrap();
        for in_place in [true, false] {
            bound.in_place = in_place;
            for (t, items) in [(10.0, [0, 1]), (20.0, [1, 0])] {
                let asked = items.map(|item| Asked { item, t, conditional: true });
                let mut out = [0.0; 2];
                bound.run(&mut model, &layout, &inputs, &asked, &[1.0, 2.0], &mut out).unwrap();
                let want = [1.0, 2.0].iter().zip(items).map(|(x, item)| x + t + [0.1, 0.2][item]);
                assert!(
                    out.iter().zip(want).all(|(&out, want)| (f64::from(out) - want).abs() < 1e-5),
                    "{out:?}"
                );
            }
        }
    }
}
