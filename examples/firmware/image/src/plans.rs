//! Plans that the build has computed on the host: they lie in flash, and no solver is in the image.

use picardy::{Level, Node, Readout, Term};

include!(concat!(env!("OUT_DIR"), "/plans.rs"));
