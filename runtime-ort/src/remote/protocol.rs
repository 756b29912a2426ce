//! The Open Inference Protocol's messages, as far as a denoiser needs them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use super::error::RemoteError;

/// The element type of the model's timesteps, by the protocol's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    F32,
    F64,
    I64,
    I32,
}

impl Time {
    pub(super) fn of(datatype: &str) -> Option<Self> {
        Some(match datatype {
            "FP32" => Self::F32,
            "FP64" => Self::F64,
            "INT64" => Self::I64,
            "INT32" => Self::I32,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "FP32",
            Self::F64 => "FP64",
            Self::I64 => "INT64",
            Self::I32 => "INT32",
        }
    }

    /// The number as the model takes it. Timesteps pass through f32 and logarithms: whole is within a thousandth.
    pub(super) fn take(self, row: usize, t: f64) -> Result<f64, RemoteError> {
        let most = match self {
            Self::F32 | Self::F64 if t.is_finite() => return Ok(t),
            Self::I32 => f64::from(i32::MAX),
            _ => i64::MAX as f64,
        };
        let nearest = t.round();
        if (t - nearest).abs() <= 1e-3 && nearest.abs() < most {
            Ok(nearest)
        } else {
            Err(RemoteError::FractionalTime { row, value: t })
        }
    }

    fn json(self, t: f64) -> serde_json::Value {
        match self {
            Self::F32 | Self::F64 => t.into(),
            Self::I64 | Self::I32 => (t as i64).into(),
        }
    }

    fn bytes(self, t: f64, to: &mut Vec<u8>) {
        match self {
            Self::F32 => to.extend((t as f32).to_le_bytes()),
            Self::F64 => to.extend(t.to_le_bytes()),
            Self::I64 => to.extend((t as i64).to_le_bytes()),
            Self::I32 => to.extend((t as i32).to_le_bytes()),
        }
    }
}

/// What a server says of itself.
#[derive(Debug, Deserialize)]
pub(super) struct ServerMetadata {
    #[serde(default)]
    pub(super) extensions: Vec<String>,
}

/// What a server says of a model.
#[derive(Debug, Deserialize)]
pub(super) struct ModelMetadata {
    #[serde(default)]
    pub(super) inputs: Vec<Port>,
    #[serde(default)]
    pub(super) outputs: Vec<Port>,
}

/// An input or output.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) datatype: String,
    pub(super) shape: Vec<i64>,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {:?}", self.name, self.datatype, self.shape)
    }
}

/// The model as it is asked: names, the shape of an item, the type of timesteps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) x: String,
    pub(super) t: String,
    pub(super) out: String,
    pub(super) time: Time,
    pub(super) item: Vec<usize>,
    pub(super) dim: usize,
}

impl Form {
    /// What the metadata say, completed by the shape of an item where they leave extents free.
    pub(super) fn of(metadata: &ModelMetadata, given: Option<&[usize]>) -> Result<Self, String> {
        let list = |ports: &[Port]| ports.iter().map(Port::to_string).collect::<Vec<_>>().join("; ");
        let ModelMetadata { inputs, outputs } = metadata;
        let [x, t] = &inputs[..] else {
            return Err(format!("it has {} inputs ({})", inputs.len(), list(inputs)));
        };
        let Some(out) = outputs.first() else { return Err("it has no output".to_owned()) };
        for port in [x, out] {
            if port.datatype != "FP32" || port.shape.len() < 2 {
                return Err(format!("`{port}` is not FP32 of rank 2 or more"));
            }
        }
        let (Some(time), [_]) = (Time::of(&t.datatype), &t.shape[..]) else {
            return Err(format!("`{t}` is no vector of timesteps"));
        };
        if let Some(port) = [x, t, out].into_iter().find(|port| port.shape[0] >= 0) {
            return Err(format!("the batch of `{port}` is fixed: serve the model with a free batch, -1"));
        }
        let own = &x.shape[1..];
        let item: Option<Vec<usize>> = match given {
            None => own.iter().map(|&d| usize::try_from(d).ok().filter(|&d| d > 0)).collect(),
            Some(given) => {
                let fits = own.len() == given.len()
                    && own.iter().zip(given).all(|(&own, &d)| d > 0 && (own < 0 || own as usize == d));
                if !fits {
                    return Err(format!("an item of `{x}` cannot have the shape {given:?}"));
                }
                Some(given.to_vec())
            }
        };
        let item = item.ok_or_else(|| format!("the shape of an item of `{x}` is not known: give it"))?;
        let agrees = out.shape.len() == x.shape.len()
            && out.shape[1..].iter().zip(&item).all(|(&have, &want)| have < 0 || have as usize == want);
        if !agrees {
            return Err(format!("the output `{out}` has another shape than the input `{x}`"));
        }
        // An item that no memory holds could not be asked for: sizes below do not overflow.
        let dim = item.iter().try_fold(1usize, |product, &d| product.checked_mul(d));
        let dim = dim
            .filter(|&dim| dim < 1 << 40)
            .ok_or_else(|| format!("an item of shape {item:?} is too large"))?;
        let name = |port: &Port| port.name.clone();
        Ok(Self { x: name(x), t: name(t), out: name(out), time, item, dim })
    }

    fn shape(&self, rows: usize) -> Vec<usize> {
        std::iter::once(rows).chain(self.item.iter().copied()).collect()
    }

    /// The body of a request in JSON.
    pub(super) fn json(&self, x: &[f32], t: &[f64]) -> Result<Vec<u8>, RemoteError> {
        if let Some(index) = x.iter().position(|x| !x.is_finite()) {
            return Err(RemoteError::NotFinite { index, value: x[index] });
        }
        let t: Vec<serde_json::Value> = t.iter().map(|&t| self.time.json(t)).collect();
        let head = serde_json::json!({
            "inputs": [
                { "name": self.x, "datatype": "FP32", "shape": self.shape(t.len()), "data": [] },
                { "name": self.t, "datatype": self.time.name(), "shape": [t.len()], "data": t },
            ],
            "outputs": [{ "name": self.out }],
        });
        // serde_json's value keeps f64 alone: 0.1f32 would be written with seventeen digits.
        #[derive(serde::Serialize)]
        struct Body<'a> {
            inputs: (Input<'a>, &'a serde_json::Value),
            outputs: &'a serde_json::Value,
        }
        #[derive(serde::Serialize)]
        struct Input<'a> {
            name: &'a str,
            datatype: &'a str,
            shape: Vec<usize>,
            data: &'a [f32],
        }
        let first = Input { name: &self.x, datatype: "FP32", shape: self.shape(t.len()), data: x };
        let body = Body { inputs: (first, &head["inputs"][1]), outputs: &head["outputs"] };
        Ok(serde_json::to_vec(&body).unwrap_or_default())
    }

    /// The body of a request with binary tensors, and the length of its JSON.
    pub(super) fn binary(&self, x: &[f32], t: &[f64]) -> (Vec<u8>, usize) {
        let mut times = Vec::with_capacity(8 * t.len());
        t.iter().for_each(|&t| self.time.bytes(t, &mut times));
        let head = serde_json::json!({
            "inputs": [
                { "name": self.x, "datatype": "FP32", "shape": self.shape(t.len()),
                  "parameters": { "binary_data_size": 4 * x.len() } },
                { "name": self.t, "datatype": self.time.name(), "shape": [t.len()],
                  "parameters": { "binary_data_size": times.len() } },
            ],
            "outputs": [{ "name": self.out, "parameters": { "binary_data": true } }],
        });
        let mut body = head.to_string().into_bytes();
        let length = body.len();
        body.reserve(4 * x.len() + times.len());
        x.iter().for_each(|x| body.extend(x.to_le_bytes()));
        body.extend(times);
        (body, length)
    }

    /// The most bytes that an answer of so many rows has: shortest JSON numbers take up to 25, and there are spaces and nesting.
    pub(super) fn most_bytes(&self, rows: usize) -> u64 {
        (64 * rows as u64).saturating_mul(self.dim as u64).saturating_add(1 << 16)
    }

    /// Reads an answer's body into `out`; `header` is the length of its JSON where tensors are binary.
    pub(super) fn read(&self, body: &[u8], header: Option<usize>, out: &mut [f32]) -> Result<(), String> {
        let rows = out.len() / self.dim;
        let (json, binary) = match header {
            None => (body, None),
            Some(length) => {
                let parts = body.split_at_checked(length);
                let (json, binary) = parts.ok_or_else(|| {
                    format!("its header is said to have {length} bytes, the body has {}", body.len())
                })?;
                (json, Some(binary))
            }
        };
        let answer: Answer = serde_json::from_slice(json).map_err(|error| {
            let text = String::from_utf8_lossy(json);
            if text.contains("NaN") || text.contains("Infinity") {
                "it has NaN or Infinity, which is no JSON: the model's outputs are not finite".to_owned()
            } else {
                format!("its JSON cannot be read ({error})")
            }
        })?;
        // Binary data lie one behind the other, in the order of the outputs that have any.
        let mut at = 0usize;
        let mut found = None;
        for output in answer.outputs {
            let size = output.parameters.as_ref().and_then(|parameters| parameters.binary_data_size);
            let begin = at;
            at = at.checked_add(size.unwrap_or(0)).ok_or("its binary data have an impossible size")?;
            if output.name == self.out {
                found = Some((output, size.map(|_| begin..at)));
                break;
            }
        }
        let (output, place) = found.ok_or_else(|| format!("it has no output `{}`", self.out))?;
        if output.datatype != "FP32" {
            return Err(format!("output `{}` is {}, not FP32", self.out, output.datatype));
        }
        let want = self.shape(rows);
        if output.shape.len() != want.len()
            || output.shape.iter().zip(&want).any(|(&got, &want)| got != want as i64)
        {
            return Err(format!("output `{}` has the shape {:?}, not {want:?}", self.out, output.shape));
        }
        let count = |got: usize| format!("output `{}` has {got} numbers, not {}", self.out, out.len());
        match place {
            Some(place) => {
                let bytes = binary.and_then(|binary| binary.get(place.clone()));
                let bytes = bytes.ok_or_else(|| {
                    let have = binary.map_or(0, <[u8]>::len);
                    format!("its binary data end at byte {have}, not {}", place.end)
                })?;
                if bytes.len() != 4 * out.len() {
                    return Err(format!(
                        "output `{}` has {} bytes, not {}",
                        self.out,
                        bytes.len(),
                        4 * out.len()
                    ));
                }
                for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *out = f32::from_le_bytes(*bytes);
                }
            }
            None => {
                let Numbers(data) =
                    output.data.ok_or_else(|| format!("output `{}` has no data", self.out))?;
                if data.len() != out.len() {
                    return Err(count(data.len()));
                }
                out.copy_from_slice(&data);
            }
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
struct Answer {
    outputs: Vec<Output>,
}

#[derive(Debug, Deserialize)]
struct Output {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    data: Option<Numbers>,
    parameters: Option<OutputParameters>,
}

#[derive(Debug, Deserialize)]
struct OutputParameters {
    binary_data_size: Option<usize>,
}

/// Numbers, flat or nested. A null is a NaN: some servers write it so, and the sampler then names the row.
#[derive(Debug, Default)]
struct Numbers(Vec<f32>);

/// A number or numbers.
enum Nested {
    One(f32),
    Many(Numbers),
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Nested::deserialize(deserializer)? {
            Nested::One(number) => Ok(Self(vec![number])),
            Nested::Many(numbers) => Ok(numbers),
        }
    }
}

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Nested;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or an array of numbers")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Nested, E> {
                Ok(Nested::One(value as f32))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Nested, E> {
                Ok(Nested::One(value as f32))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Nested, E> {
                Ok(Nested::One(value as f32))
            }

            fn visit_unit<E>(self) -> Result<Nested, E> {
                Ok(Nested::One(f32::NAN))
            }

            // serde_json limits how deep arrays lie in each other.
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Nested, A::Error> {
                let mut numbers = Vec::new();
                while let Some(next) = list.next_element()? {
                    match next {
                        Nested::One(number) => numbers.push(number),
                        Nested::Many(Numbers(more)) => numbers.extend(more),
                    }
                }
                Ok(Nested::Many(Numbers(numbers)))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

/// The error that a body tells, short enough for a line.
pub(super) fn error_of(body: &[u8]) -> String {
    const MOST: usize = 300;
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let told = value.as_ref().and_then(|value| {
        let field = value.get("error").or_else(|| value.get("detail"))?;
        Some(field.as_str().map_or_else(|| field.to_string(), str::to_owned))
    });
    let text = told.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    // Control characters would be the terminal's where the error is shown.
    let text: String = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    match text.char_indices().nth(MOST) {
        _ if text.is_empty() => "no reason given".to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
