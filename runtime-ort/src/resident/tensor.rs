//! The rows as core's samplers see them.

use std::ops::Range;

use picardy::{Foreseen, Link, Noise, Tensor};

use super::{
    frames::{ResidentFrames, STAGED},
    program::Program,
    run::{Answer, Question},
};

impl Tensor for ResidentFrames {
    type Scalar = f32;

    fn rows(&self) -> usize {
        self.rows
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn begin(&mut self) {
        self.lost = None;
        self.program = Program::default();
        (self.zeroed, self.staged) = (None, 0);
        (self.foreseen, self.foresight) = (Vec::new(), None);
    }

    fn load(&mut self, row: usize, values: &[f32]) {
        self.settle();
        self.note(row, None);
        if row < self.rows && values.len() == self.dim {
            self.program.load(row, values.to_vec());
        }
    }

    fn store(&mut self, row: usize, values: &mut [f32]) {
        match self.ask(&Question::Stored(vec![self.source(row) as i64])) {
            Answer::Numbers(numbers) if numbers.len() == values.len() => values.copy_from_slice(&numbers),
            // Old numbers would pass for the row's.
            _ => values.fill(f32::NAN),
        }
    }

    fn combine(&mut self, dst: usize, terms: &[(f64, usize)]) {
        self.settle();
        self.note(dst, Some(terms));
        let dst = self.target(dst);
        if terms.is_empty() {
            self.zeroed = Some(dst);
        } else {
            let terms = terms.iter().map(|&(weight, row)| (weight as f32, self.source(row))).collect();
            self.program.affine(dst, terms);
        }
    }

    fn extrapolate(&mut self, dst: usize, base: usize, weight: f64, a: usize, b: usize) {
        self.combine(dst, &[(1.0, base), (weight, a), (-weight, b)]);
    }

    fn add_noise(&mut self, dst: usize, weight: f64, noise: &Noise<'_>, item: usize, node: usize) {
        self.note(dst, None);
        let mut values = vec![0.0; self.dim];
        noise.fill(weight, item, node, &mut values);
        let dst = self.target(dst);
        if self.zeroed == Some(dst) {
            self.zeroed = None;
            self.program.load(dst, values);
            return;
        }
        self.settle();
        if self.staged == STAGED {
            self.ask(&Question::None);
        }
        let staged = self.rows + 2 + self.staged;
        self.staged += 1;
        self.program.load(staged, values);
        self.program.affine(dst, vec![(1.0, dst), (1.0, staged)]);
    }

    fn dot(&mut self, a: (usize, usize), b: (usize, usize)) -> f64 {
        self.products(std::iter::once([a.0, a.1, b.0, b.1])).first().map_or(f64::NAN, |dot| f64::from(*dot))
    }

    fn is_finite(&mut self, row: usize) -> bool {
        let zero = self.zero();
        self.products(std::iter::once([row, zero, row, zero]))
            .first()
            .is_some_and(|square| square.is_finite())
    }

    fn secant(&mut self, x: (usize, usize), m: (usize, usize)) -> [f64; 3] {
        let mut products = [f64::NAN; 3];
        self.dots([[x, x], [x, m], [m, m]].into_iter(), |place, product| products[place] = product);
        products
    }

    fn dots(&mut self, asks: impl Iterator<Item = [(usize, usize); 2]>, mut answer: impl FnMut(usize, f64)) {
        let products = self.products(asks.map(|[a, b]| [a.0, a.1, b.0, b.1]));
        for (place, product) in products.into_iter().enumerate() {
            answer(place, f64::from(product));
        }
    }

    fn squares(&mut self, asks: impl Iterator<Item = (usize, usize)>, mut answer: impl FnMut(usize, f64)) {
        let products = self.products(asks.map(|(a, b)| [a, b, a, b]));
        for (place, square) in products.into_iter().enumerate() {
            answer(place, f64::from(square));
        }
    }

    fn secants(
        &mut self,
        finite: Range<usize>,
        asks: impl Iterator<Item = [(usize, usize); 2]>,
        mut answer: impl FnMut(usize, [f64; 3]),
    ) -> Option<usize> {
        let asks: Vec<_> = asks.collect();
        let foretold = self.foresight.as_ref().filter(|_| self.lost.is_none());
        if let Some(told) = foretold.and_then(|foresight| foresight.answer(&finite, &asks)) {
            if let Some(place) = told.iter().position(|products| !products[3].is_finite()) {
                return Some(finite.start + place);
            }
            for (place, products) in told.iter().enumerate().take(asks.len()) {
                answer(place, [0, 1, 2].map(|i| f64::from(products[i])));
            }
            return None;
        }
        let zero = self.zero();
        let secants = asks
            .into_iter()
            .flat_map(|[x, m]| [[x.0, x.1, x.0, x.1], [x.0, x.1, m.0, m.1], [m.0, m.1, m.0, m.1]]);
        let squares = finite.clone().map(|row| [row, zero, row, zero]);
        let products = self.products(squares.chain(secants));
        let (squares, secants) = products.split_at(finite.len().min(products.len()));
        // After a failure nothing is finite; the next call of the network says why.
        if self.lost.is_none()
            && let Some(place) = squares.iter().position(|square| !square.is_finite())
        {
            return Some(finite.start + place);
        }
        for (place, products) in secants.chunks_exact(3).enumerate() {
            answer(place, [0, 1, 2].map(|i| f64::from(products[i])));
        }
        None
    }

    fn has_chains(&self) -> bool {
        true
    }

    fn foresee(&mut self, answers: impl Iterator<Item = Foreseen>) {
        self.foreseen = answers.collect();
    }

    fn chain(&mut self, links: impl Iterator<Item = Link>) {
        self.settle();
        let links: Vec<Link> = links.collect();
        links.iter().for_each(|link| self.note(link.row, None));
        let there = (self.rows, self.zero(), self.waste());
        self.program.chain(links.into_iter(), there);
    }
}
