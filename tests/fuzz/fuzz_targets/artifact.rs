//! Any bytes as an artifact: the reader, the card, the network over it, and one evaluation; and the network of the C border.
#![cfg_attr(fuzzing, no_main)]

use core::{mem, ptr};
use picardy::nn::{Artifact, ModelCard, ResidualMlp};
use picardy::{Ddim, Level, Node, Solver};
use picardy_c::{PICARDY_NETWORK_BYTES, picardy_network_dim, picardy_network_open, picardy_network_scratch};
use picardy_fuzz::{Memory, explain};

/// Longer inputs find nothing that shorter ones do not.
const MOST: usize = 1 << 16;
const SCRATCH: usize = 1 << 14;

picardy_fuzz::target!(one);

fn one(input: &[u8]) {
    // The first byte moves the others off their alignment.
    let Some((&shift, input)) = input.split_first() else { return };
    let (start, input) = (usize::from(shift & 3), &input[..input.len().min(MOST)]);
    let mut memory = vec![0u128; input.len() / 16 + 2];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
    bytes[start..start + input.len()].copy_from_slice(input);
    let bytes = &bytes[start..start + input.len()];

    let mut room = Memory([0xA5; PICARDY_NETWORK_BYTES]);
    // SAFETY: plain data.
    let (mut network, mut detail) = (ptr::null(), unsafe { mem::zeroed() });
    // SAFETY: all pointers are to what they say.
    let code = unsafe {
        let (at, room) = (bytes.as_ptr().cast(), room.0.as_mut_ptr().cast());
        picardy_network_open(at, bytes.len(), room, PICARDY_NETWORK_BYTES, &mut network, &mut detail)
    };
    explain(code, &detail);
    assert_eq!(code == 0, !network.is_null());

    let Ok(artifact) = Artifact::parse(bytes) else {
        assert_ne!(code, 0);
        return;
    };
    let mut names = 0;
    artifact.names(|name| {
        names += 1;
        let tensor = artifact.tensor(name).expect("a name that the header has");
        let numbers: usize = tensor.shape().iter().product();
        // An axis of 0 beside others makes no number.
        if let Ok(values) = tensor.f32() {
            assert_eq!(values.len(), numbers);
        }
        if let Ok(values) = tensor.f16() {
            assert_eq!(values.len(), numbers);
        }
        if let Ok(values) = tensor.i8() {
            assert_eq!(values.len(), numbers);
        }
    });
    assert_eq!(names, artifact.len());
    if let Ok(card) = ModelCard::from_lookup(|key| artifact.metadata(key)) {
        assert!(card.dim() > 0 && card.data_mean.len() == card.dim());
        let mut x = [0.5f32; 4];
        card.restore(&mut x);
        card.entries(|key, _| assert!(!key.is_empty()));
        // A schedule that a card has is one, though not every solver and prediction goes with it.
        let (mut levels, mut nodes) = ([Level::EMPTY; 3], [Node::EMPTY; 3]);
        if let Ok(grid) = card.schedule.trailing(2usize.min(card.schedule.most_steps()), &mut levels) {
            let _ = Ddim::default().plan(&grid, card.prediction, &mut nodes);
        }
    }
    let Ok(model) = ResidualMlp::from_artifact(&artifact) else { return };
    let card = model.card(&artifact);
    let (dim, needed) = (model.dim(), model.scratch_len(1));
    if dim > 1 << 10 || needed > SCRATCH {
        return;
    }
    let (x, mut out) = (vec![0.25f32; 2 * dim], vec![0.0f32; 2 * dim]);
    // A number too few is an error, as many as it says are enough.
    let mut scratch = vec![0.0f32; needed];
    assert!(model.forward(&x, [3.0, 3.0], &mut out, &mut scratch[1..]).is_err());
    model.forward(&x, [3.0, 3.0], &mut out, &mut scratch).expect("as much scratch as it says");

    // Without a card the caller says what it would: that is no error.
    assert!(code == 0 || card.is_err());
    if code == 0 {
        let mut numbers = 0;
        // SAFETY: all pointers are to what they say.
        assert_eq!(unsafe { picardy_network_scratch(network, 1, &mut numbers, ptr::null_mut()) }, 0);
        assert_eq!(numbers, needed);
        // SAFETY: the same.
        assert_eq!(unsafe { picardy_network_dim(network, &mut numbers, ptr::null_mut()) }, 0);
        assert_eq!(numbers, dim);
    }
}
