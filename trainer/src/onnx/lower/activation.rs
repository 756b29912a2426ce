//! Elementwise functions.

use std::f32::consts::{PI, SQRT_2};

use picardy::nn::Activation;

use super::Lowering;

impl Lowering<'_> {
    pub(super) fn activation(&mut self, function: Activation, x: &str, kept: &mut Vec<String>) -> String {
        match function {
            Activation::Gelu => self.gelu(x, kept),
            Activation::Mish => self.mish(x, kept),
            Activation::Silu => {
                let part = self.node("Sigmoid", &[x], &[]);
                kept.push(part.clone());
                self.two("Mul", x, &part)
            }
        }
    }

    /// `u (1 + erf(u / sqrt 2)) / 2`, in the order of operations that ONNX Runtime knows and fuses into one kernel. (Opset 17
    /// has no Gelu.)
    fn gelu(&mut self, x: &str, kept: &mut Vec<String>) -> String {
        let [root, one, half] = [SQRT_2, 1.0, 0.5].map(|value| self.number(value));
        let scaled = self.two("Div", x, &root);
        let erf = self.node("Erf", &[&scaled], &[]);
        let shifted = self.two("Add", &erf, &one);
        kept.push(shifted.clone());
        let product = self.two("Mul", x, &shifted);
        self.two("Mul", &product, &half)
    }

    /// `x tanh(ln(1 + e^x))`, where the tanh is `n / (n + 2)` with `n = e^x (e^x + 2)`. (Opset 17 has no Mish, and ONNX Runtime's
    /// Softplus takes several times as long.)
    fn mish(&mut self, x: &str, kept: &mut Vec<String>) -> String {
        // Above 20 the tanh is 1 to the last place, and e^2x stays in range.
        let [limit, two] = [20.0, 2.0].map(|value| self.number(value));
        let bounded = self.node("Clip", &[x, "", &limit], &[]);
        let power = self.node("Exp", &[&bounded], &[]);
        let more = self.two("Add", &power, &two);
        let n = self.two("Mul", &power, &more);
        let whole = self.two("Add", &n, &two);
        let tanh = self.two("Div", &n, &whole);
        kept.push(tanh.clone());
        self.two("Mul", x, &tanh)
    }

    /// dy times the function's derivative.
    pub(super) fn activation_backward(
        &mut self,
        function: Activation,
        x: &str,
        kept: &[String],
        dy: &str,
    ) -> String {
        let Some(kept) = kept.first() else { return dy.to_owned() };
        let one = self.number(1.0);
        let slope = match function {
            // Phi + x phi, with 2 Phi kept.
            Activation::Gelu => {
                let [half, minus, density] =
                    [0.5, -0.5, 1.0 / (2.0 * PI).sqrt()].map(|value| self.number(value));
                let distribution = self.two("Mul", kept, &half);
                let square = self.two("Mul", x, x);
                let exponent = self.two("Mul", &square, &minus);
                let power = self.node("Exp", &[&exponent], &[]);
                let scaled = self.two("Mul", x, &density);
                let part = self.two("Mul", &scaled, &power);
                self.two("Add", &distribution, &part)
            }
            // tanh + x (1 - tanh^2) sigmoid(x).
            Activation::Mish => {
                let sigmoid = self.node("Sigmoid", &[x], &[]);
                let square = self.two("Mul", kept, kept);
                let rest = self.two("Sub", &one, &square);
                let rest = self.two("Mul", &rest, &sigmoid);
                let part = self.two("Mul", x, &rest);
                self.two("Add", kept, &part)
            }
            // s (1 + x (1 - s)).
            Activation::Silu => {
                let rest = self.two("Sub", &one, kept);
                let part = self.two("Mul", x, &rest);
                let whole = self.two("Add", &part, &one);
                self.two("Mul", kept, &whole)
            }
        };
        self.two("Mul", dy, &slope)
    }
}
