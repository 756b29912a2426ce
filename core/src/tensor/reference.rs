//! A borrowed tensor is one.

use super::{Foreseen, Link, Tensor};
use crate::Noise;
use core::ops::Range;

impl<T: Tensor> Tensor for &mut T {
    type Scalar = T::Scalar;

    fn rows(&self) -> usize {
        (**self).rows()
    }

    fn dim(&self) -> usize {
        (**self).dim()
    }

    fn begin(&mut self) {
        (**self).begin();
    }

    fn load(&mut self, row: usize, values: &[Self::Scalar]) {
        (**self).load(row, values);
    }

    fn store(&mut self, row: usize, values: &mut [Self::Scalar]) {
        (**self).store(row, values);
    }

    fn combine(&mut self, dst: usize, terms: &[(f64, usize)]) {
        (**self).combine(dst, terms);
    }

    fn extrapolate(&mut self, dst: usize, base: usize, weight: f64, a: usize, b: usize) {
        (**self).extrapolate(dst, base, weight, a, b);
    }

    fn add_noise(&mut self, dst: usize, weight: f64, noise: &Noise<'_>, item: usize, node: usize) {
        (**self).add_noise(dst, weight, noise, item, node);
    }

    fn dot(&mut self, a: (usize, usize), b: (usize, usize)) -> f64 {
        (**self).dot(a, b)
    }

    fn secant(&mut self, x: (usize, usize), m: (usize, usize)) -> [f64; 3] {
        (**self).secant(x, m)
    }

    fn is_finite(&mut self, row: usize) -> bool {
        (**self).is_finite(row)
    }

    fn dots(&mut self, asks: impl Iterator<Item = [(usize, usize); 2]>, answer: impl FnMut(usize, f64)) {
        (**self).dots(asks, answer);
    }

    fn squares(&mut self, asks: impl Iterator<Item = (usize, usize)>, answer: impl FnMut(usize, f64)) {
        (**self).squares(asks, answer);
    }

    fn secants(
        &mut self,
        finite: Range<usize>,
        asks: impl Iterator<Item = [(usize, usize); 2]>,
        answer: impl FnMut(usize, [f64; 3]),
    ) -> Option<usize> {
        (**self).secants(finite, asks, answer)
    }

    fn has_chains(&self) -> bool {
        (**self).has_chains()
    }

    fn chain(&mut self, links: impl Iterator<Item = Link>) {
        (**self).chain(links);
    }

    fn foresee(&mut self, answers: impl Iterator<Item = Foreseen>) {
        (**self).foresee(answers);
    }
}
