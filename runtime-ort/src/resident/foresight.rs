//! What was foreseen of a call's answer, and the products that came with it.
//!
//! They hold for rows that were made as was said and not otherwise. Whatever is recorded after the call is compared with that, so that a
//! denoiser or a guard that changes an answer costs a run, not a wrong number.

use std::{collections::HashMap, ops::Range};

use picardy::Foreseen;

/// Of one row: `<dx, dx>`, `<dx, dm>`, `<dm, dm>` and `<m, m>`.
pub(super) type Products = [f32; 4];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The row that holds m.
    Made,
    /// What m is made of, before it is.
    Answer,
    /// What the products are made of.
    Known,
}

/// A call's answer.
#[derive(Debug)]
pub(super) struct Foresight {
    foreseen: Vec<Foreseen>,
    products: Vec<Products>,
    made: Vec<bool>,
    parts: HashMap<usize, (usize, Part)>,
    holds: bool,
}

impl Foresight {
    pub(super) fn new(foreseen: Vec<Foreseen>, products: Vec<Products>) -> Self {
        let mut parts = HashMap::new();
        // A row in two parts could not be told by its number.
        let mut holds = true;
        for (i, of) in foreseen.iter().enumerate() {
            let (base, said) = of.since.unzip();
            let rows = [
                (Some(of.m), Part::Made),
                ((of.out != of.m).then_some(of.out), Part::Answer),
                (Some(of.x), Part::Known),
                (base, Part::Known),
                (said, Part::Known),
            ];
            for (row, part) in rows {
                holds &= row.is_none_or(|row| parts.insert(row, (i, part)).is_none());
            }
        }
        let made = foreseen.iter().map(|of| of.out == of.m).collect();
        Self { foreseen, products, made, parts, holds }
    }

    /// A row is written, with this sum of others or with anything else.
    pub(super) fn note(&mut self, row: usize, terms: Option<&[(f64, usize)]>) {
        let Some(&(i, part)) = self.parts.get(&row) else { return };
        let of = self.foreseen[i];
        let as_foreseen = [(of.state, of.x), (of.output, of.out)];
        match part {
            Part::Made if !self.made[i] && terms == Some(&as_foreseen[..]) => self.made[i] = true,
            Part::Answer if self.made[i] => {}
            _ => self.holds = false,
        }
    }

    /// The products, where these rows and these differences are asked for.
    pub(super) fn answer(&self, finite: &Range<usize>, asks: &[[(usize, usize); 2]]) -> Option<&[Products]> {
        let n = self.foreseen.len();
        let whole = self.products.len() == n && self.made.iter().all(|made| *made);
        let rows = finite.len() == n && finite.clone().eq(self.foreseen.iter().map(|of| of.m));
        let asked = asks.is_empty()
            || asks
                .iter()
                .map(|ask| Some(*ask))
                .eq(self.foreseen.iter().map(|of| of.since.map(|(base, said)| [(of.x, base), (of.m, said)])));
        (self.holds && whole && rows && asked).then_some(&self.products)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows of a call: x in 0 and 1, before in 2 to 5, the answer in 8 and 9, m in 6 and 7.
    fn foresight() -> Foresight {
        let of =
            |i| Foreseen { x: i, out: 8 + i, m: 6 + i, state: 2.0, output: 3.0, since: Some((2 + i, 4 + i)) };
        Foresight::new(vec![of(0), of(1)], vec![[1.0; 4], [2.0; 4]])
    }

    fn asks() -> [[(usize, usize); 2]; 2] {
        [[(0, 2), (6, 4)], [(1, 3), (7, 5)]]
    }

    fn make(foresight: &mut Foresight) {
        for i in 0..2 {
            foresight.note(6 + i, Some(&[(2.0, i), (3.0, 8 + i)]));
        }
    }

    #[test]
    fn what_was_made_as_foreseen_is_answered() {
        let mut foresight = foresight();
        assert!(foresight.answer(&(6..8), &asks()).is_none());
        make(&mut foresight);
        // The answer itself is of no more use, other rows are not looked at.
        foresight.note(8, None);
        foresight.note(77, None);
        assert_eq!(foresight.answer(&(6..8), &asks()).unwrap(), [[1.0; 4], [2.0; 4]]);
        assert!(foresight.answer(&(6..8), &[]).is_some());
        assert!(foresight.answer(&(6..7), &asks()).is_none());
        assert!(foresight.answer(&(6..8), &asks()[..1]).is_none());
    }

    #[test]
    fn any_other_write_is_seen() {
        // An answer changed before it is read, as guidance does; another sum; a row of the products.
        for row in [8, 9] {
            let mut foresight = foresight();
            foresight.note(row, Some(&[(1.0, row), (0.5, 50)]));
            make(&mut foresight);
            assert!(foresight.answer(&(6..8), &asks()).is_none(), "{row}");
        }
        for row in 0..8 {
            let mut foresight = foresight();
            make(&mut foresight);
            foresight.note(row, None);
            assert!(foresight.answer(&(6..8), &asks()).is_none(), "{row}");
        }
        let mut foresight = foresight();
        foresight.note(6, Some(&[(2.0, 0), (3.5, 8)]));
        foresight.note(7, Some(&[(2.0, 1), (3.0, 9)]));
        assert!(foresight.answer(&(6..8), &asks()).is_none());
    }
}
