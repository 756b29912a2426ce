//! The model's captured runs: for each number of rows, what it is told lies at fixed addresses, and each place of the rows and of the
//! answer has its graph.

use ort::{AsPointer, session::Session, value::DynTensor};

use super::{
    ResidentFrames,
    capture::{CAPTURES, Captured, Outputs},
    over_rows::{OF_ROW, name},
    repeat::too_many,
};
use crate::{
    binding::Told,
    conditions::{Asked, Input},
    device::{self, DeviceTensor},
    element::{Buffer, Element},
    error::OrtError,
    provider::Exclusively,
    session::Model,
    signature::Layout,
};

/// The most numbers of rows that have memory.
const SIZES: usize = 8;

/// The model's captured runs.
#[derive(Debug, Default)]
pub(super) struct ModelRuns {
    /// How often a number of rows came.
    seen: Vec<(usize, u32)>,
    sizes: Vec<OfRows>,
    /// Graphs that the session holds.
    made: usize,
}

/// What the model is told of so many rows.
#[derive(Debug)]
struct OfRows {
    n: usize,
    told: DeviceTensor<f32>,
    t: Exclusively<DynTensor>,
    conditions: Vec<Exclusively<DynTensor>>,
    /// Of which rows the conditions are.
    filled: Vec<(usize, bool)>,
    products: DeviceTensor<f32>,
    captured: Vec<([usize; 2], Captured)>,
}

/// A run's rows, and where its answer goes.
pub(super) struct Wanted<'a> {
    pub(super) model: &'a Model,
    pub(super) layout: &'a Layout,
    pub(super) inputs: &'a [Input],
    pub(super) asked: &'a [Asked],
    pub(super) told: &'a [f32],
    pub(super) n: usize,
    pub(super) answer: &'a mut Exclusively<DynTensor>,
}

/// What the model writes.
struct Written<'a> {
    answer: &'a mut DynTensor,
    element: Element,
    products: &'a mut DeviceTensor<f32>,
}

impl Written<'_> {
    fn host(&self) -> Result<Buffer, OrtError> {
        let shape: Vec<usize> = self.answer.shape().iter().map(|extent| *extent as usize).collect();
        Buffer::new(self.element, &shape)
    }
}

impl Outputs for Written<'_> {
    fn numbers(&self) -> Result<Vec<f32>, OrtError> {
        let mut host = self.host()?;
        device::move_to(self.answer, host.tensor_mut())?;
        let mut all = vec![0.0; self.answer.shape().num_elements()];
        host.read(0, &mut all)?;
        let begin = all.len();
        all.resize(begin + self.products.shape().num_elements(), 0.0);
        device::download(self.products, &mut all[begin..])?;
        Ok(all)
    }

    fn spoil(&mut self) -> Result<(), OrtError> {
        let mut host = self.host()?;
        host.write(0, &vec![f32::NAN; self.answer.shape().num_elements()])?;
        device::move_to(host.tensor(), self.answer)?;
        device::upload(&vec![f32::NAN; self.products.shape().num_elements()], self.products)
    }
}

impl ModelRuns {
    /// Forgets what is on the device of conditions: others were bound.
    pub(super) fn forget(&mut self) {
        self.sizes.clear();
    }

    /// A run as a captured graph, or on the way to one: whether it was the graph's alone, and the products `[n, 3, 3]`. `None` where
    /// this number of rows has not come `after` times.
    ///
    /// # Errors
    /// ONNX Runtime's, those of conditions, and [`OrtError::Device`] where the graph cannot be trusted.
    pub(super) fn run(
        &mut self,
        session: &mut Session,
        frames: &ResidentFrames,
        host: &mut Told,
        after: u32,
        wanted: &mut Wanted<'_>,
    ) -> Result<Option<(bool, Vec<f32>)>, OrtError> {
        let Wanted { layout, inputs, asked, told, n, .. } = *wanted;
        let seen = match self.seen.iter().position(|(of, _)| *of == n) {
            Some(place) => &mut self.seen[place].1,
            None => {
                // Of many numbers of rows each comes seldom.
                if self.seen.len() == 8 * SIZES {
                    self.seen.remove(0);
                }
                self.seen.push((n, 0));
                &mut self.seen.last_mut().ok_or_else(gone)?.1
            }
        };
        if *seen < after {
            *seen += 1;
            return Ok(None);
        }
        host.write(layout, inputs, asked)?;
        let place = match self.sizes.iter().position(|of| of.n == n) {
            Some(place) => place,
            None => {
                if self.sizes.len() == SIZES {
                    self.sizes.remove(0);
                }
                self.sizes.push(OfRows::new(frames, host, n)?);
                self.sizes.len() - 1
            }
        };
        let of = &mut self.sizes[place];
        of.tell(host, asked, told)?;
        let rows = [frames.current.ptr().addr(), frames.spare.ptr().addr()];
        // Graphs of rows that are gone would keep their memory.
        of.captured.retain(|([frames, _], _)| rows.contains(frames));
        let addresses = [rows[0], wanted.answer.ptr().addr()];
        let place = match of.captured.iter().position(|(of, _)| *of == addresses) {
            Some(place) => place,
            None => {
                if self.made == CAPTURES {
                    return Err(OrtError::Device { said: too_many() });
                }
                self.made += 1;
                let captured = of.captured(session, frames, wanted, self.made)?;
                of.captured.push((addresses, captured));
                of.captured.len() - 1
            }
        };
        let mut written =
            Written { answer: &mut *wanted.answer, element: layout.out_element, products: &mut of.products };
        let alone = of.captured[place].1.run(session, &mut written)?;
        let mut numbers = vec![0.0; of.products.shape().num_elements()];
        device::download(&of.products, &mut numbers)?;
        Ok(Some((alone, numbers)))
    }
}

fn gone() -> OrtError {
    OrtError::Device { said: "a captured run is gone".to_owned() }
}

impl OfRows {
    fn new(frames: &ResidentFrames, host: &Told, n: usize) -> Result<Self, OrtError> {
        let memory = frames.memory();
        let like = |buffer: &Buffer| {
            let shape: Vec<usize> = buffer.tensor().shape().iter().map(|extent| *extent as usize).collect();
            memory.dyn_tensor(buffer.element().ort(), &shape)
        };
        Ok(Self {
            n,
            told: memory.tensor(&[n, OF_ROW.len()])?,
            t: like(&host.t)?,
            conditions: host
                .conditions
                .iter()
                .map(|condition| like(&condition.buffer))
                .collect::<Result<_, _>>()?,
            filled: Vec::new(),
            products: memory.tensor(&[n, 3, 3])?,
            captured: Vec::new(),
        })
    }

    /// Brings to the device what the rows need.
    fn tell(&mut self, host: &Told, asked: &[Asked], told: &[f32]) -> Result<(), OrtError> {
        device::upload(told, &mut self.told)?;
        device::move_to(host.t.tensor(), &mut self.t)?;
        let rows = || asked.iter().map(|row| (row.item, row.conditional));
        if self.conditions.is_empty() || self.filled.iter().copied().eq(rows()) {
            return Ok(());
        }
        self.filled.clear();
        for (condition, on_device) in host.conditions.iter().zip(&mut self.conditions) {
            device::move_to(condition.buffer.tensor(), on_device)?;
        }
        self.filled.extend(rows());
        Ok(())
    }

    /// Bound memory for a graph.
    fn captured(
        &mut self,
        session: &mut Session,
        frames: &ResidentFrames,
        wanted: &mut Wanted<'_>,
        graph: usize,
    ) -> Result<Captured, OrtError> {
        let Wanted { model, layout, .. } = *wanted;
        let input = |at: usize| model.inputs().get(at).map(|port| port.name.as_str()).ok_or_else(gone);
        let mut binding = Exclusively::new(session.create_binding()?, model.provider());
        binding.bind_input(name("frames"), &frames.current)?;
        binding.bind_input(name("told"), &self.told)?;
        binding.bind_input(input(layout.t)?, &self.t)?;
        for (condition, &at) in self.conditions.iter().zip(&layout.conditions) {
            binding.bind_input(input(at)?, condition)?;
        }
        let out = model.outputs().get(layout.out).ok_or_else(gone)?;
        binding.bind_output(out.name.as_str(), &mut **wanted.answer)?;
        binding.bind_output(name("products"), &mut *self.products)?;
        Captured::new(binding, graph)
    }
}
