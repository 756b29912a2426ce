//! What a model is conditioned on besides x and t: inputs that are bound once, by name.
//!
//! An input has a batch axis where its first extent is free, or is the model's fixed batch. Of such an
//! input, one condition stands for all rows, or one for each item: a row then has its item's, at
//! whatever node it is. An input without a batch axis (a guidance scale, a shared table) is the same in
//! every run.

use crate::{
    array::{Array, Numbers},
    element::{Buffer, Element},
    error::OrtError,
    session::Port,
};

/// An input of the model besides x and t.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) name: String,
    element: Option<Element>,
    /// As the graph says; with the batch axis.
    shape: Vec<i64>,
    batched: bool,
    said: String,
    pub(crate) bound: Option<Bound>,
}

/// What is bound to it.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The shape of one row's, or of the whole where there is no batch axis.
    row: Vec<usize>,
    /// 1 where all rows share it.
    items: usize,
    given: Array,
    /// Of rows that are not conditional, and how many there are: 1 or as many as items.
    null: Option<(usize, Array)>,
}

/// One row of a call, as a condition sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) item: usize,
    pub(crate) t: f64,
    pub(crate) conditional: bool,
}

impl From<picardy::Row> for Asked {
    fn from(row: picardy::Row) -> Self {
        Self { item: row.item, t: row.level.t, conditional: row.conditional }
    }
}

/// The memory of one condition's rows, and what lies in it.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) buffer: Buffer,
    /// For each row, the item (0 where it is shared) and whether it is conditional.
    rows: Vec<Option<(usize, bool)>>,
}

impl Input {
    pub(crate) fn new(port: &Port, batch: Option<usize>) -> Self {
        let batched = match (port.shape.first(), batch) {
            (Some(..=-1), _) => true,
            (Some(&extent), Some(batch)) => extent == batch as i64,
            _ => false,
        };
        Self {
            name: port.name.clone(),
            element: port.element.and_then(Element::of),
            shape: port.shape.clone(),
            batched,
            said: port.to_string(),
            bound: None,
        }
    }

    /// Binds `given`, and `null` for rows that are not conditional.
    pub(crate) fn bind(&mut self, given: Array, null: Option<Array>) -> Result<(), OrtError> {
        let amiss = |what: String| OrtError::Condition { name: self.name.clone(), what };
        let Some(element) = self.element else {
            return Err(amiss(format!("`{}` is no tensor of numbers that can be bound", self.said)));
        };
        for array in std::iter::once(&given).chain(&null) {
            fits_type(array, element).map_err(amiss)?;
        }
        let (items, row) = self.split(&given).map_err(amiss)?;
        let mut null_items = 1;
        if let Some(null) = &null {
            if !self.batched {
                return Err(amiss(format!(
                    "`{}` has no batch axis, so rows without the condition cannot have another: leave its null out",
                    self.said
                )));
            }
            let (found, null_row) = self.split(null).map_err(amiss)?;
            null_items = found;
            if null_row != row || (found != 1 && found != items) {
                return Err(amiss(format!(
                    "its null has the shape {:?} and it has {:?}: give one null, or as many as there are items",
                    null.shape(),
                    given.shape()
                )));
            }
        }
        self.bound = Some(Bound { row, items, given, null: null.map(|null| (null_items, null)) });
        Ok(())
    }

    /// How many items an array has, and the shape of each.
    fn split(&self, array: &Array) -> Result<(usize, Vec<usize>), String> {
        let shape = array.shape();
        let fits = |own: &[i64], given: &[usize]| {
            own.len() == given.len()
                && own.iter().zip(given).all(|(&own, &given)| given > 0 && (own < 0 || own == given as i64))
        };
        match (self.batched, shape.split_first()) {
            (false, _) if fits(&self.shape, shape) => Ok((1, shape.to_vec())),
            (true, _) if fits(&self.shape[1..], shape) => Ok((1, shape.to_vec())),
            (true, Some((&items, row))) if items > 0 && fits(&self.shape[1..], row) => {
                Ok((items, row.to_vec()))
            }
            _ => Err(format!(
                "an array of shape {shape:?} is no `{}`: give {}",
                self.said,
                if self.batched {
                    "one row's for all rows, or as many rows' as there are items"
                } else {
                    "its own shape"
                }
            )),
        }
    }

    /// New memory for `rows` rows.
    pub(crate) fn memory(&self, rows: usize) -> Result<Filled, OrtError> {
        let (Some(bound), Some(element)) = (&self.bound, self.element) else {
            return Err(OrtError::Unbound { name: self.said.clone() });
        };
        if !self.batched {
            let mut buffer = Buffer::new(element, &bound.row)?;
            write(&mut buffer, 0, &bound.given, 0, count(&bound.row))?;
            return Ok(Filled { buffer, rows: Vec::new() });
        }
        let shape: Vec<usize> = std::iter::once(rows).chain(bound.row.iter().copied()).collect();
        Ok(Filled { buffer: Buffer::new(element, &shape)?, rows: vec![None; rows] })
    }

    /// Brings each row's condition into the memory where another lies there. Gives whether one did.
    pub(crate) fn fill(&self, filled: &mut Filled, asked: &[Asked]) -> Result<bool, OrtError> {
        let (Some(bound), true) = (&self.bound, self.batched) else { return Ok(false) };
        let count = count(&bound.row);
        let mut changed = false;
        // The rows past the last that is asked for repeat it: a fixed batch is padded.
        let Some(&last) = asked.last() else { return Ok(false) };
        for (row, has) in filled.rows.iter_mut().enumerate() {
            let Asked { item, conditional, .. } = asked.get(row).copied().unwrap_or(last);
            let item = if bound.items == 1 { 0 } else { item };
            if *has == Some((item, conditional)) {
                continue;
            }
            if item >= bound.items {
                let what = format!(
                    "item {item} is asked for and {} are bound: bind one for each item, or one for all",
                    bound.items
                );
                return Err(OrtError::Condition { name: self.name.clone(), what });
            }
            *has = None;
            let at = row * count;
            match (conditional, &bound.null) {
                (true, _) => write(&mut filled.buffer, at, &bound.given, item * count, count)?,
                (false, Some((items, null))) => {
                    let item = if *items == 1 { 0 } else { item };
                    write(&mut filled.buffer, at, null, item * count, count)?;
                }
                (false, None) if self.element.is_some_and(Element::is_float) => {
                    filled.buffer.write_zeros(at, count)?;
                }
                (false, None) => return Err(OrtError::NoNull { name: self.said.clone() }),
            }
            *has = Some((item, conditional));
            changed = true;
        }
        Ok(changed)
    }
}

fn count(row: &[usize]) -> usize {
    row.iter().product()
}

/// Whether the model's type holds the array's numbers.
fn fits_type(array: &Array, element: Element) -> Result<(), String> {
    let Some((first, last)) = element.whole_range() else { return Ok(()) };
    let bad = match &array.numbers {
        Numbers::Integers(values) => {
            values.iter().find(|value| !(first..=last).contains(value)).map(ToString::to_string)
        }
        Numbers::Floats(values) => values
            .iter()
            .find(|&&value| value.fract() != 0.0 || !(first as f64..=last as f64).contains(&f64::from(value)))
            .map(ToString::to_string),
    };
    bad.map_or(Ok(()), |value| {
        Err(format!("it takes {element} and the array has {value}: give whole numbers of its range"))
    })
}

/// Writes `count` of the array's numbers from `from` on.
fn write(buffer: &mut Buffer, at: usize, array: &Array, from: usize, count: usize) -> Result<(), OrtError> {
    match &array.numbers {
        Numbers::Floats(values) => buffer.write(at, &values[from..from + count]),
        Numbers::Integers(values) => buffer.write_whole(at, &values[from..from + count]),
    }
}
