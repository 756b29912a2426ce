//! Which of a model's inputs and outputs are what.

use crate::{
    element::Element,
    error::OrtError,
    session::{Model, Port},
};

/// Names that exporters give to x.
const X_NAMES: [&str; 8] =
    ["sample", "x", "x_t", "latent", "latents", "latent_sample", "noisy_sample", "hidden_states"];
/// Names that exporters give to t.
const T_NAMES: [&str; 7] = ["timestep", "timesteps", "t", "time", "sigma", "noise_level", "t_cond"];

/// The metadata's keys for the names of x, t and the answer.
pub const KEYS: [&str; 3] = ["picardy.input", "picardy.time", "picardy.output"];

/// What the caller says about a model's inputs and outputs. All of it may be left out:
///
/// | | named here | else in the metadata | else by its name | else by its place |
/// |---|---|---|---|---|
/// | x | `input` | `picardy.input` | `sample`, `x`, `x_t`, `latent`, `latents`, `latent_sample`, `noisy_sample`, `hidden_states` | the first float input of the answer's shape, or else of rank 2 or more |
/// | t | `time` | `picardy.time` | `timestep`, `timesteps`, `t`, `time`, `sigma`, `noise_level`, `t_cond` | the first input after x, or else before it, that could be a timestep |
/// | answer | `output`, by name or number from 0 | `picardy.output` | | the first output |
///
/// All other inputs are conditions: [`OrtDenoiser::bind`](crate::OrtDenoiser::bind).
///
/// ```
/// use picardy_ort::Signature;
/// // Stable diffusion's latents, of a model that leaves the extents free.
/// let signature = Signature { item: Some(vec![4, 64, 64]), ..Signature::default() };
/// # let _ = signature;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// The name of x.
    pub input: Option<String>,
    /// The name of t.
    pub time: Option<String>,
    /// The name of the output that is the answer, or its number from 0.
    pub output: Option<String>,
    /// The shape of one item, where the graph leaves extents of it free.
    pub item: Option<Vec<usize>>,
}

/// How t is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// A scalar, or one number for all rows: of this rank.
    Shared(usize),
    /// One for each row: `[n]` or `[n, 1]`, by the rank.
    Rows(usize),
}

/// How the answer's channels lie to x's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channels {
    /// As many.
    Same,
    /// Twice as many: the second half is a learned variance.
    Twice,
    /// The graph does not say: the first call does.
    Open,
}

/// A model's inputs and outputs in their parts.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) x: usize,
    pub(crate) t: usize,
    pub(crate) out: usize,
    pub(crate) conditions: Vec<usize>,
    pub(crate) item: Vec<usize>,
    pub(crate) dim: usize,
    /// The rows of every run, where the graph fixes them.
    pub(crate) batch: Option<usize>,
    pub(crate) x_element: Element,
    pub(crate) t_element: Element,
    pub(crate) out_element: Element,
    pub(crate) times: Times,
    pub(crate) channels: Channels,
}

impl Layout {
    pub(crate) fn new(model: &Model, signature: &Signature) -> Result<Self, OrtError> {
        Self::find(model, signature).map_err(|what| OrtError::NotADenoiser { what })
    }

    fn find(model: &Model, signature: &Signature) -> Result<Self, String> {
        let (inputs, outputs) = (model.inputs(), model.outputs());
        if inputs.len() < 2 {
            return Err(format!("the model has {} inputs ({})", inputs.len(), list(inputs)));
        }
        let said = |given: &Option<String>, key: usize| {
            given.clone().or_else(|| model.metadata().get(KEYS[key]).cloned())
        };
        let named = |name: &str, ports: &[Port], what: &str| {
            ports.iter().position(|port| port.name == name).ok_or_else(|| {
                format!("the model has no {what} `{name}`, it has {}: name one of them", list(ports))
            })
        };
        let x = said(&signature.input, 0).map(|name| named(&name, inputs, "input")).transpose()?;
        let t = said(&signature.time, 1).map(|name| named(&name, inputs, "input")).transpose()?;
        let out = match said(&signature.output, 2) {
            None if outputs.is_empty() => return Err("the model has no output".to_owned()),
            None => 0,
            Some(name) => match (named(&name, outputs, "output"), name.parse::<usize>()) {
                (Err(_), Ok(number)) if number < outputs.len() => number,
                (found, _) => found?,
            },
        };
        let (x, t) = inputs_of(inputs, x, t, &outputs[out])?;
        let conditions = (0..inputs.len()).filter(|&i| i != x && i != t).collect();
        let (x_port, t_port, out_port) = (&inputs[x], &inputs[t], &outputs[out]);
        let x_element = states(x_port)?;
        let out_element = states(out_port)?;
        let batch = batch(x_port, out_port)?;
        let (t_element, times) = times(t_port, batch)?;
        let item = item(x_port, signature.item.as_deref(), model)?;
        let channels = channels(x_port, out_port, &item)?;
        // Twice an item must have a size too: the answer's, with a variance.
        let dim = item
            .iter()
            .try_fold(2usize, |product, &extent| product.checked_mul(extent))
            .ok_or_else(|| format!("an item of shape {item:?} is too large"))?
            / 2;
        Ok(Self {
            x,
            t,
            out,
            conditions,
            item,
            dim,
            batch,
            x_element,
            t_element,
            out_element,
            times,
            channels,
        })
    }
}

/// x and t among the inputs: as they are named, else by known names, else by place.
fn inputs_of(
    inputs: &[Port],
    x: Option<usize>,
    t: Option<usize>,
    out: &Port,
) -> Result<(usize, usize), String> {
    let known = |names: &[&str], other: Option<usize>| {
        let find = |name: &&str| {
            inputs.iter().position(|port| port.name == **name).filter(|&place| Some(place) != other)
        };
        names.iter().find_map(find)
    };
    let x = x.or_else(|| known(&X_NAMES, t));
    let t = t.or_else(|| known(&T_NAMES, x));
    // An x by its place is of floats and of the answer's shape, or of rank 2 at least; where there is none, the
    // first input's fault is told.
    let is_state = |port: &Port| {
        port.shape.len() >= 2 && port.element.and_then(Element::of).is_some_and(Element::is_float)
    };
    let like_answer = |port: &Port, channels: i64| {
        let alike = |(axis, (&x, &out)): (usize, (&i64, &i64))| {
            (x < 0 && out < 0) || out == if axis == 1 { channels.saturating_mul(x) } else { x }
        };
        port.shape.len() == out.shape.len() && port.shape.iter().zip(&out.shape).enumerate().all(alike)
    };
    let first = |fits: &dyn Fn(&Port) -> bool| {
        (0..inputs.len()).find(|&place| Some(place) != t && fits(&inputs[place]))
    };
    let x = x.or_else(|| first(&|port| is_state(port) && like_answer(port, 1)));
    let x = x.or_else(|| first(&|port| is_state(port) && like_answer(port, 2)));
    let x = x.or_else(|| first(&is_state)).or_else(|| first(&|_| true)).unwrap_or(0);
    let t = t.unwrap_or_else(|| {
        let mut others = (x + 1..inputs.len()).chain(0..x);
        let next = others.clone().next().unwrap_or(x);
        others.find(|&place| is_time(&inputs[place])).unwrap_or(next)
    });
    if x == t {
        return Err(format!("x and t are both `{}`: name two inputs of {}", inputs[x], list(inputs)));
    }
    Ok((x, t))
}

/// Whether an input could be a timestep.
fn is_time(port: &Port) -> bool {
    let element = port.element.and_then(Element::of);
    let is_number = element.is_some_and(|element| !matches!(element, Element::U8 | Element::Bool));
    is_number && matches!(port.shape[..], [] | [_] | [_, 1 | ..=-1])
}

/// The type of states: x or the answer.
fn states(port: &Port) -> Result<Element, String> {
    let element = port.element.and_then(Element::of).filter(|element| element.is_float());
    match element {
        Some(element) if !port.shape.is_empty() => Ok(element),
        _ => Err(format!("`{port}` is not f32, f16, bf16 or f64 of shape [n, d...]")),
    }
}

/// The rows of every run, where the graph says.
fn batch(x: &Port, out: &Port) -> Result<Option<usize>, String> {
    let fixed = |port: &Port| usize::try_from(port.shape[0]).ok();
    match (fixed(x), fixed(out)) {
        (Some(0), _) | (_, Some(0)) => Err(format!("the batch of `{x}` or `{out}` is 0")),
        (Some(x_rows), Some(rows)) if x_rows != rows => Err(format!("`{x}` and `{out}` have other batches")),
        (x, out) => Ok(x.or(out)),
    }
}

fn times(t: &Port, batch: Option<usize>) -> Result<(Element, Times), String> {
    let no_times = || format!("`{t}` is no timestep, which is {TIME_TYPES} of shape [], [n] or [n, 1]");
    let element = t.element.and_then(Element::of).filter(|_| is_time(t)).ok_or_else(no_times)?;
    let rank = t.shape.len();
    let times = match t.shape[..] {
        [] => Times::Shared(0),
        [rows] | [rows, 1 | ..=-1] => match (rows, batch) {
            (..=-1, _) => Times::Rows(rank),
            (rows, Some(batch)) if rows == batch as i64 => Times::Rows(rank),
            (1, _) => Times::Shared(rank),
            (_, None) => {
                return Err(format!(
                    "the batch of `{t}` is fixed at {rows}, and x has any: export the model with one or the other for both"
                ));
            }
            (_, Some(batch)) => return Err(format!("`{t}` has another batch than x, which has {batch}")),
        },
        _ => return Err(no_times()),
    };
    Ok((element, times))
}

/// What a timestep's type may be.
pub(crate) const TIME_TYPES: &str = "f32, f64, f16, bf16, i64 or i32";

/// The extents of an item: the graph's, completed by the caller's or the metadata's.
fn item(x: &Port, given: Option<&[usize]>, model: &Model) -> Result<Vec<usize>, String> {
    let own = &x.shape[1..];
    let agrees = |given: &[usize]| {
        given.len() == own.len()
            && own.iter().zip(given).all(|(&own, &given)| given > 0 && (own < 0 || own == given as i64))
    };
    if let Some(given) = given {
        return if agrees(given) {
            Ok(given.to_vec())
        } else {
            Err(format!("an item of `{x}` cannot have the shape {given:?}"))
        };
    }
    let graph = own.iter().map(|&extent| usize::try_from(extent).ok().filter(|&extent| extent > 0)).collect();
    // A card that is damaged, or disagrees, is told of when it is asked for.
    let card = || {
        let card = model.card().ok().flatten()?;
        let shape: Vec<usize> = card.shape.iter().map(|extent| extent as usize).collect();
        agrees(&shape).then_some(shape)
    };
    Option::<Vec<usize>>::or_else(graph, card)
        .ok_or_else(|| format!("the shape of an item of `{x}` is not known: give it, such as --shape 4,8,8"))
}

/// The answer has the input's shape, as far as the graph says it, or twice its channels.
fn channels(x: &Port, out: &Port, item: &[usize]) -> Result<Channels, String> {
    let other = || format!("the output `{out}` has another shape than the input `{x}`");
    if out.shape.len() != x.shape.len() {
        return Err(other());
    }
    let mut channels = Channels::Same;
    for (axis, &want) in item.iter().enumerate() {
        let have = out.shape[axis + 1];
        if have < 0 {
            let same = x.symbol(axis + 1).is_some() && x.symbol(axis + 1) == out.symbol(axis + 1);
            if axis == 0 && !same {
                channels = Channels::Open;
            }
        } else if axis == 0 && have == 2 * want as i64 {
            channels = Channels::Twice;
        } else if have != want as i64 {
            return Err(other());
        }
    }
    Ok(channels)
}

/// The ports in words.
pub(crate) fn list(ports: &[Port]) -> String {
    let names: Vec<String> = ports.iter().map(Port::to_string).collect();
    names.join("; ")
}
