//! Hostile and healthy headers, one rule a row. (Whole files with real tensors are tested from the trainer.)

use super::{Aligned, Artifact, ArtifactError, Dtype};

/// A file of this header and `data` zero bytes.
fn file(header: &str, data: usize) -> (Aligned<[u8; 512]>, usize) {
    let mut bytes = Aligned([0u8; 512]);
    bytes.0[..8].copy_from_slice(&(header.len() as u64).to_le_bytes());
    bytes.0[8..8 + header.len()].copy_from_slice(header.as_bytes());
    (bytes, 8 + header.len() + data)
}

#[test]
fn reads_metadata_and_tensors() {
    let header = r#"{"__metadata__":{"a":"1","b":"β"}, "w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},
        "h":{"data_offsets":[8,12],"shape":[2],"dtype":"F16"},"s":{"dtype":"F32","shape":[],"data_offsets":[12,16]}} "#;
    let (bytes, len) = file(header, 16);
    let artifact = Artifact::parse(&bytes.0[..len]).unwrap();
    assert_eq!(
        (artifact.metadata("a"), artifact.metadata("b"), artifact.metadata("w")),
        (Some("1"), Some("β"), None)
    );
    assert_eq!(artifact.len(), 3);
    let w = artifact.tensor("w").unwrap();
    assert_eq!((w.dtype(), w.shape()), (Dtype::F32, &[2, 1][..]));
    assert_eq!(w.f16().err(), Some(ArtifactError::WrongDtype));
    assert_eq!(artifact.tensor("h").unwrap().shape(), [2]);
    assert!(artifact.tensor("s").unwrap().shape().is_empty());
    assert_eq!(artifact.tensor("x").err(), Some(ArtifactError::Missing));
}

#[test]
fn a_misaligned_tensor_is_an_error() {
    let (bytes, len) = file(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8);
    for shift in 0..4 {
        let mut moved = Aligned([0u8; 520]);
        moved.0[shift..shift + len].copy_from_slice(&bytes.0[..len]);
        let artifact = Artifact::parse(&moved.0[shift..shift + len]).unwrap();
        let read = artifact.tensor("w").unwrap().f32();
        let address = shift + len - 8;
        assert_eq!(read.is_ok(), address % 4 == 0, "{read:?}");
    }
}

#[test]
fn hostile_headers_are_refused() {
    use ArtifactError as E;
    let cases: &[(&str, usize, E)] = &[
        (r#""#, 0, E::Syntax { offset: 0 }),
        (r#"{} x"#, 0, E::Syntax { offset: 3 }),
        (r#"[[[[[["#, 0, E::Syntax { offset: 0 }),
        (r#"{"a":[[[["#, 0, E::Syntax { offset: 5 }),
        (r#"{"a\n":{}}"#, 0, E::Escape { offset: 3 }),
        (r#"{"a"#, 0, E::Syntax { offset: 3 }),
        (r#"{"__metadata__":{"a":"1","a":"2"}}"#, 0, E::Duplicate { entry: 1 }),
        (r#"{"__metadata__":{},"__metadata__":{}}"#, 0, E::Duplicate { entry: 0 }),
        (r#"{"__metadata__":{"a":1}}"#, 0, E::Syntax { offset: 21 }),
        (r#"{"a":{}}"#, 0, E::Incomplete { entry: 0 }),
        (r#"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#, 8, E::Dtype { entry: 0 }),
        (r#"{"a":{"dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[0,4]}}"#, 4, E::Rank { entry: 0 }),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#, 4, E::Incomplete { entry: 0 }),
        (
            r#"{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            4,
            E::Incomplete { entry: 0 },
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,
            4,
            E::Offsets { entry: 0, begin: 0, end: 4, data: 4 },
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}"#,
            8,
            E::Offsets { entry: 0, begin: 8, end: 4, data: 8 },
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
            4,
            E::Offsets { entry: 0, begin: 0, end: 8, data: 4 },
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,16],"data_offsets":[0,0]}}"#,
            0,
            E::Offsets { entry: 0, begin: 0, end: 0, data: 0 },
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}"#,
            4,
            E::Overflow { offset: 29 },
        ),
        (r#"{"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}"#, 4, E::Syntax { offset: 31 }),
        (r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, E::Syntax { offset: 29 }),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            8,
            E::Duplicate { entry: 1 },
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            8,
            E::Overlap { entry: 1 },
        ),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 7, E::Unused { bytes: 3 }),
    ];
    for (header, data, error) in cases {
        let (bytes, len) = file(header, *data);
        assert_eq!(Artifact::parse(&bytes.0[..len]).err(), Some(*error), "{header}");
    }
}

#[test]
fn wrong_lengths_are_refused() {
    assert_eq!(Artifact::parse(&[1, 0]).err(), Some(ArtifactError::Truncated { needed: 8, got: 2 }));
    let mut bytes = [b' '; 16];
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(Artifact::parse(&bytes).err(), Some(ArtifactError::HeaderTooLong { length: u64::MAX }));
    bytes[..8].copy_from_slice(&9u64.to_le_bytes());
    assert_eq!(Artifact::parse(&bytes).err(), Some(ArtifactError::Truncated { needed: 17, got: 16 }));
    bytes[..8].copy_from_slice(&2u64.to_le_bytes());
    bytes[8] = 0xff;
    assert_eq!(Artifact::parse(&bytes).err(), Some(ArtifactError::NotUtf8 { offset: 0 }));
}
