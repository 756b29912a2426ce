//! Every data set's promises, and every bad input's error.

use std::fs;
use std::path::PathBuf;

use npyz::WriterBuilder;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// A file of these bytes in a folder of its own.
fn file(name: &str, bytes: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// What reading such a file gives.
fn read(name: &str, bytes: impl AsRef<[u8]>) -> Result<Dataset, DataError> {
    let (_folder, path) = file(name, bytes);
    read_file(path)
}

/// The error's words, with every expected part in them.
fn assert_error(result: Result<Dataset, DataError>, parts: &[&str]) {
    let message = result.expect_err("this is bad input").to_string();
    for part in parts {
        assert!(message.contains(part), "\"{message}\" does not say \"{part}\"");
    }
}

/// Bytes of a .npy file, as npyz writes it.
fn npy<T: npyz::AutoSerialize + Copy>(values: &[T], shape: &[u64], order: npyz::Order) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape).order(order);
    let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
    bytes
}

/// Bytes of a .npy file of version 1 with this header text.
fn npy_with_header(text: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn builtins_are_standardised_finite_and_seeded() {
    let n = 40_000;
    for builtin in Builtin::ALL {
        let set = builtin.sample(n, 11).unwrap();
        assert_eq!((set.len(), set.dim(), set.name()), (n, builtin.dim(), builtin.name()));
        assert_eq!(set.data().len(), n * builtin.dim());
        assert!(set.data().iter().all(|x| x.is_finite()), "{builtin}");
        for axis in 0..set.dim() {
            let column = || set.rows().map(|row| f64::from(row[axis]));
            let mean = column().sum::<f64>() / n as f64;
            let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            // Five standard errors of a mean; the variance's is smaller than a Gaussian's for all of these sets.
            assert!(mean.abs() < 5.0 / (n as f64).sqrt(), "{builtin} axis {axis}: mean {mean}");
            assert!((variance - 1.0).abs() < 0.035, "{builtin} axis {axis}: variance {variance}");
        }
        assert_eq!(set, builtin.sample(n, 11).unwrap());
        let fresh = builtin.sample(n, 12).unwrap();
        assert_ne!(set.data(), fresh.data());
        assert_eq!((set.mean(), set.scale()), (fresh.mean(), fresh.scale()));
        let short = builtin.sample(7, 11).unwrap();
        assert_eq!(short.data()[..], set.data()[..7 * builtin.dim()]);
    }
}

#[test]
fn an_overall_scale_keeps_proportions_and_constant_columns() {
    // Variances 1, 0, 9 and about the means 1, 4, 4.
    let (_folder, path) = file("pixels.csv", "0,4,1\n2,4,7\n");
    let set = read_file_scaled(&path, Scaling::Overall).unwrap();
    let scale = (10f64 / 3.0).sqrt();
    assert_eq!((set.mean(), set.scale()), (&[1.0, 4.0, 4.0][..], &[scale; 3][..]));
    assert_eq!(
        set.data()[..],
        [-1.0 / scale, 0.0, -3.0 / scale, 1.0 / scale, 0.0, 3.0 / scale].map(|x| x as f32)
    );
    assert_error(read_file(&path), &["column 2 is 4 in every row", "--scaling overall"]);

    let overall = |text: &str| {
        let (_folder, path) = file("a.csv", text);
        read_file_scaled(path, Scaling::Overall)
    };
    assert_error(overall("1,2\n1,2\n"), &["a.csv", "all rows are equal", "give rows that differ"]);
    assert_error(overall("-1e308,2\n1e308,2\n"), &["column 1 runs from -1e308", "rescale"]);
    // The second column would be lost in single precision, which the first one's size decides.
    assert_error(overall("0,1e12\n1,1e12\n"), &["column 2", "single"]);
    // Squares neither overflow nor vanish.
    for size in [1e-30, 1e30] {
        let set = overall(&format!("{size},0\n{},0\n", 3.0 * size)).unwrap();
        assert!((set.scale()[1] / size - 0.5f64.sqrt()).abs() < 1e-12, "{size}: {:?}", set.scale());
    }

    let swiss = |scaling| Builtin::SwissRoll.sample_scaled(100, 1, scaling).unwrap();
    let (column, overall) = (swiss(Scaling::PerColumn), swiss(Scaling::Overall));
    let mean_variance = column.scale().iter().map(|s| s * s).sum::<f64>() / 2.0;
    assert!((overall.scale()[0] - mean_variance.sqrt()).abs() < 1e-12);
    assert_eq!((column.mean(), overall.scale()[0]), (overall.mean(), overall.scale()[1]));
    assert!("colunm".parse::<Scaling>().unwrap_err().to_string().contains("per-column or overall"));
}

#[test]
fn mixture_is_the_two_modes_law() {
    let mixture = Builtin::TwoModes.mixture().unwrap();
    let set = Builtin::TwoModes.sample(40_000, 3).unwrap();
    let upper: Vec<f64> = set.data().iter().map(|&x| f64::from(x)).filter(|x| *x > 0.0).collect();
    let mean = upper.iter().sum::<f64>() / upper.len() as f64;
    let std = (upper.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / upper.len() as f64).sqrt();
    assert!((mean - mixture.means[1]).abs() < 0.01 && (std - mixture.stds[1]).abs() < 0.01);
    assert!((upper.len() as f64 / 40_000.0 - mixture.weights[1]).abs() < 0.02);
    assert_eq!(Builtin::Dino.mixture(), None);
}

#[test]
fn checkerboard_stays_on_black() {
    let set = Builtin::Checkerboard.sample(2000, 1).unwrap();
    for point in set.restore(&set.data()).chunks_exact(2) {
        let square = point[0].floor() + point[1].floor();
        // Rounding to f32 may carry a point onto an edge, not beyond it.
        let edge = point.iter().any(|p| (p - p.round()).abs() < 1e-6);
        assert!(edge || square.rem_euclid(2.0) == 0.0, "{point:?}");
    }
}

#[test]
fn names_round_trip_and_unknown_ones_list_the_right_ones() {
    for builtin in Builtin::ALL {
        assert_eq!(builtin.to_string().parse::<Builtin>().unwrap(), builtin);
    }
    assert_eq!("Swiss_Roll".parse::<Builtin>().unwrap(), Builtin::SwissRoll);
    let message = "moon".parse::<Source>().unwrap_err().to_string();
    assert!(message.contains("\"moon\"") && message.contains("two-moons") && message.contains("dino"));
    assert_eq!("a/b.npy".parse::<Source>().unwrap().to_string(), "a/b.npy");
}

#[test]
fn impossible_counts_and_splits_are_refused() {
    assert_error(Builtin::Dino.sample(0, 1), &["cannot draw 0 points"]);
    assert_error(Builtin::Dino.sample(usize::MAX, 1), &["cannot draw 18446744073709551615 points"]);
    let set = Builtin::Dino.sample(10, 1).unwrap();
    for fraction in [0.0, 0.1, 0.9, 1.0, -1.0, 1e300, f64::NAN, f64::INFINITY] {
        assert_error(set.split(fraction, 1).map(|parts| parts.0), &["cannot hold out", "of 10 rows"]);
    }
}

#[test]
fn a_split_shares_out_every_row() {
    let set = Builtin::SwissRoll.sample(50, 1).unwrap();
    let (rest, held) = set.split(0.2, 4).unwrap();
    assert_eq!((rest.len(), held.len()), (40, 10));
    assert_eq!((rest.mean(), held.scale()), (set.mean(), set.scale()));
    let sorted = |sets: &[&Dataset]| {
        let mut rows: Vec<Vec<u32>> = sets
            .iter()
            .flat_map(|s| s.rows())
            .map(|r: std::borrow::Cow<'_, [f32]>| r.iter().map(|x| x.to_bits()).collect())
            .collect();
        rows.sort();
        rows
    };
    assert_eq!(sorted(&[&rest, &held]), sorted(&[&set]));
    assert_eq!(set.split(0.2, 4).unwrap().1, held);
    assert_ne!(set.split(0.2, 5).unwrap().1, held);
    assert_eq!(set.row(49), set.rows().last());
    assert_eq!(set.row(50), None);
}

#[test]
fn text_files_in_their_dialects() {
    let expected = read("a.csv", "1,10\n3,30\n").unwrap();
    assert_eq!(expected.data()[..], [-1.0, -1.0, 1.0, 1.0]);
    assert_eq!(expected.restore(&expected.data()), [1.0, 10.0, 3.0, 30.0]);
    for (name, text) in [
        ("a.csv", "x,y\n1,10\n3,30\n"),
        ("a.csv", "\u{feff}x,y\r\n1,10\r\n3,30"),
        ("a.CSV", "# from numpy.savetxt\n\n 1 , 1e1\n   \n+3.0,\"30\"\n\n"),
        ("a.tsv", "first one\tsecond, too\n1\t10\n3\t30\n"),
    ] {
        let set = read(name, text).unwrap();
        assert_eq!(
            (set.data(), set.mean(), set.scale()),
            (expected.data(), expected.mean(), expected.scale())
        );
    }
    assert_eq!(read("one.csv", "1\n2\n3\n").unwrap().dim(), 1);
}

#[test]
fn bad_text_is_named() {
    assert_error(read("a.csv", ""), &["a.csv", "empty"]);
    assert_error(read("a.csv", "\n \n# no data\n"), &["empty"]);
    assert_error(read("a.csv", "x,y\n"), &["0 row(s)"]);
    assert_error(read("a.csv", "x,y\n1,2\n"), &["1 row(s)", "at least 2"]);
    assert_error(read("a.csv", "1,2\n3\n"), &["line 2 has 1 cell(s)", "has 2"]);
    assert_error(read("a.tsv", "a\tb\n1\t2\n3\t4\t5\n"), &["line 3 has 3 cell(s)", "tab"]);
    assert_error(read("a.csv", "1,2\n3,oak\n"), &["line 2, column 2", "\"oak\""]);
    assert_error(read("a.csv", "1,oak\n3,4\n"), &["line 1, column 2", "\"oak\"", "header"]);
    assert_error(read("a.csv", "1,2\n\n,4\n"), &["line 3, column 1", "\"\""]);
    assert_error(read("a.csv", "x,y\r\n1,2\r\n3,?\r\n"), &["line 3, column 2"]);
    assert_error(read("a.csv", "# x\n\n \n1,2\n# y\n\n3,?"), &["line 7, column 2"]);
    assert_error(read("a.tsv", "1\t2\n\t\n3\t4\n"), &["line 2, column 1 is \"\""]);
    assert_error(read("a.csv", "1;2\n3;4\n"), &["line 2, column 1", "\"3;4\"", "split at \",\""]);
    assert_error(read("a.csv", b"1,2\n3,\xff\xfe\n"), &["line 2, column 2"]);
    assert_error(read("a.csv", format!("1\n{}\n", "w".repeat(9999))), &["www...\""]);
    assert_error(read("a.csv", "1,2\nNaN,4\n"), &["line 2, column 1 is NaN"]);
    assert_error(read("a.csv", "inf,2\n3,4\n"), &["line 1, column 1 is inf"]);
    assert_error(read("a.csv", "1,2\n3,-1e999\n"), &["line 2, column 2 is -1e999"]);
    assert_error(read("a.csv", "1,7\n3,7\n"), &["column 2 is 7 in every row"]);
    assert_error(read("a.csv", "0\n5e-324\n"), &["column 1 is 0 in every row"]);
    assert_error(read("a.csv", "1e308\n-1e308\n"), &["column 1", "-1e308 to 1e308"]);
}

#[test]
fn extreme_but_sound_columns_are_standardised() {
    for text in ["1e-37\n3e-37\n", "1e38\n3e38\n", "1000001\n1000003\n"] {
        let set = read("a.csv", text).unwrap();
        assert_eq!(set.data()[..], [-1.0, 1.0]);
        // Samples are the network's numbers in the data's units and in f32: finite, and not all equal.
        let back: Vec<f32> = set.restore(&set.data()).iter().map(|&p| p as f32).collect();
        assert!(back.iter().all(|p| p.is_finite()) && back[0] < back[1], "{back:?}");
    }
}

#[test]
fn columns_that_f32_cannot_hold_are_refused() {
    for text in ["1e300\n3e300\n", "1\n1e39\n", "-4e38\n1\n"] {
        assert_error(read("a.csv", text), &["a.csv", "column 1", "3.4e38", "rescale"]);
    }
    for text in ["1e-300\n3e-300\n", "1000000000001\n1000000000003\n", "1\n1.00000001\n"] {
        assert_error(read("a.csv", text), &["a.csv", "column 1", "single precision", "subtract its mean"]);
    }
    // Far outliers crush the rest of their column, but nothing overflows.
    let set = read("a.csv", format!("1e38\n{}", "1\n2\n".repeat(500))).unwrap();
    assert!(set.data().iter().all(|x| x.is_finite()));
}

#[test]
fn bad_paths_are_named() {
    let folder = tempfile::tempdir().unwrap();
    assert_error(read_file(folder.path().join("none.csv")), &["none.csv", "no such file"]);
    assert_error(read_file(folder.path()), &["is a directory"]);
    assert_error(read_file(""), &["no such file"]);
    assert_error(read("a.parquet", "1"), &["\"parquet\"", ".csv, .tsv or .npy"]);
    assert_error(read("points", "1"), &["extension \"\""]);
    #[cfg(unix)]
    assert_error(read_file("/dev/zero"), &["a device"]);
}

#[test]
fn arrays_of_every_type_and_order() {
    use npyz::Order::{C, Fortran};
    let expected = read("a.csv", "1,10\n3,30\n5,20\n").unwrap();
    let same = |bytes: Vec<u8>| {
        let set = read("a.npy", bytes).unwrap();
        assert_eq!(
            (set.data(), set.mean(), set.scale()),
            (expected.data(), expected.mean(), expected.scale())
        );
    };
    same(npy(&[1f32, 10., 3., 30., 5., 20.], &[3, 2], C));
    same(npy(&[1f64, 3., 5., 10., 30., 20.], &[3, 2], Fortran));
    same(npy(&[1i8, 10, 3, 30, 5, 20], &[3, 2], C));
    same(npy(&[1i16, 10, 3, 30, 5, 20], &[3, 2], C));
    same(npy(&[1i32, 3, 5, 10, 30, 20], &[3, 2], Fortran));
    same(npy(&[1i64, 10, 3, 30, 5, 20], &[3, 2], C));
    same(npy(&[1u8, 10, 3, 30, 5, 20], &[3, 2], C));
    same(npy(&[1u16, 10, 3, 30, 5, 20], &[3, 2], C));
    same(npy(&[1u32, 10, 3, 30, 5, 20], &[3, 2], C));
    same(npy(&[1u64, 10, 3, 30, 5, 20], &[3, 2], C));
    let big_endian: Vec<u8> = [1i16, 10, 3, 30, 5, 20].iter().flat_map(|v| v.to_be_bytes()).collect();
    same(npy_with_header("{'descr': '>i2', 'fortran_order': False, 'shape': (3, 2), }\n", &big_endian));
    let line = read("a.npy", npy(&[1f32, 3.], &[2], C)).unwrap();
    assert_eq!((line.dim(), &line.data()[..]), (1, &[-1f32, 1.][..]));
}

#[test]
fn arrays_of_any_rank_and_order_are_row_major() {
    let array = |order, values: &[f32]| {
        let bytes = npy(values, &[2, 1, 3], order);
        read_npy("a".as_ref(), &bytes[..], bytes.len() as u64).unwrap()
    };
    let rows = array(npyz::Order::C, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!((&rows.shape, &rows.values), (&vec![2, 1, 3], &vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    assert_eq!(array(npyz::Order::Fortran, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]), rows);
}

#[test]
fn bad_arrays_are_named() {
    use npyz::Order::{C, Fortran};
    assert_error(read("a.npy", ""), &["a.npy", "empty"]);
    assert_error(read("a.npy", "1,2\n3,4\n"), &["magic"]);
    assert_error(read("a.npy", "\u{93}NUM"), &["magic"]);
    let cube = read("a.npy", npy(&[1f32, 2., 3., 4., 5., 6., 7., 9.], &[2, 2, 2], C)).unwrap();
    assert_eq!((cube.len(), cube.dim(), cube.shape()), (2, 4, &[2, 2][..]));
    assert_error(read("a.npy", npy(&[1f32], &[], C)), &["shape []"]);
    assert_error(read("a.npy", npy::<f32>(&[], &[0, 2], C)), &["empty"]);
    assert_error(read("a.npy", npy::<f32>(&[], &[2, 0], Fortran)), &["empty"]);
    assert_error(read("a.npy", npy(&[1f32, 2.], &[1, 2], C)), &["1 row(s)"]);
    assert_error(read("a.npy", npy(&[1f32, 2., f32::NAN, 4.], &[2, 2], C)), &["element [1, 0] is NaN"]);
    assert_error(
        read("a.npy", npy(&[1f64, 2., f64::INFINITY, 4.], &[2, 2], Fortran)),
        &["element [0, 1] is inf"],
    );
    assert_error(read("a.npy", npy(&[1f32, 2., 1., 4.], &[2, 2], C)), &["column 1 is 1 in every row"]);
    assert_error(read("a.npy", npy(&[true, false], &[2], C)), &["elements of type '|b1'", "float32"]);
    let mut short = npy(&[1f32, 2., 3., 4.], &[2, 2], C);
    short.truncate(short.len() - 3);
    assert_error(read("a.npy", short), &["[2, 2], 16 bytes, but 13 bytes"]);
}

#[test]
fn hostile_headers_are_refused_without_allocating() {
    let header = |descr: &str, shape: &str| {
        let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
        read("a.npy", npy_with_header(&text, &[0; 16]))
    };
    assert_error(header("'<f4'", "(1000000000000, 2)"), &["8000000000000 bytes, but 16"]);
    assert_error(header("'<f4'", "(4294967296, 4294967296)"), &["overflows"]);
    assert_error(header("'<f4'", "(0, 18446744073709551615, 3)"), &["overflows"]);
    assert_error(header("'<f4'", "(99999999999999999999999, 1)"), &["overflows"]);
    assert_error(header("'<f4'", "(-2, 2)"), &["negative"]);
    assert_error(header("'<f4'", "(2.5, 2)"), &["integer"]);
    assert_error(header("'<f4'", "7"), &["list or tuple"]);
    assert_error(header("'<f16'", "(1, 1)"), &["elements of type '<f16'"]);
    assert_error(header("'|O'", "(1, 1)"), &["elements of type '|O'"]);
    assert_error(header("[('a', '<f4'), ('b', '<f4')]", "(2,)"), &["elements of type"]);
    assert_error(header("3", "(1, 1)"), &["string or list"]);
    assert_error(header(&"(".repeat(5000), "(1, 1)"), &["nests deeper"]);
    assert_error(read("a.npy", npy_with_header("{}", &[])), &["missing key"]);
    assert_error(read("a.npy", npy_with_header("", &[])), &["not a readable .npy"]);
    assert_error(read("a.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"), &["claims 4294967295 bytes"]);
    assert_error(read("a.npy", b"\x93NUMPY\x01\x00\x50\x00{'descr'"), &["claims 80 bytes, 8 are there"]);
    assert_error(read("a.npy", b"\x93NUMPY\x01\x00"), &["not a readable .npy"]);
    assert_error(read("a.npy", b"\x93NUMPY\x09\x00\x02\x00\x00\x00{}"), &["unsupported version"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for name in ["a.csv", "a.tsv", "a.npy"] {
            let _ = read(name, &bytes);
        }
        let _ = read("a.npy", [b"\x93NUMPY\x01\x00\x40\x00".as_slice(), &bytes].concat());
    }

    #[test]
    fn any_header_text_is_read_or_refused(text in "[{}()\\[\\]'\"\\\\,: <>|a-fiuOUSM0-9TrueFalse.-]{0,120}") {
        let _ = read("a.npy", npy_with_header(&text, &[0; 64]));
        let _ = read("a.npy", npy_with_header(&format!("{{'descr': '<f4', 'fortran_order': True, 'shape': {text}}}"), &[1; 64]));
        let _ = read("a.npy", npy_with_header(&format!("{{'descr': {text}, 'fortran_order': True, 'shape': (2, 2)}}"), &[1; 64]));
    }

    #[test]
    fn a_mutated_array_is_read_or_refused(at in 0usize..100, to in any::<u8>()) {
        let mut bytes = npy(&[1f32, 2., 3., 5.], &[2, 2], npyz::Order::C);
        let at = at % bytes.len();
        bytes[at] = to;
        let _ = read("a.npy", bytes);
    }

    #[test]
    fn any_table_comes_back(rows in proptest::collection::vec((-1e6f64..1e6, -1e-3f64..1e-3), 2..40)) {
        let text: String = rows.iter().map(|(a, b)| format!("{a},{b}\n")).collect();
        if let Ok(set) = read("a.csv", text) {
            let back = set.restore(&set.data());
            for (row, (a, b)) in back.chunks_exact(2).zip(&rows) {
                prop_assert!((row[0] - a).abs() <= 1e-6 * set.scale()[0] * 7.0);
                prop_assert!((row[1] - b).abs() <= 1e-6 * set.scale()[1] * 7.0);
            }
        }
    }
}

#[test]
fn an_observation_beyond_single_precision_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (points, seen) = (folder.path().join("points.csv"), folder.path().join("seen.csv"));
    fs::write(&points, "0,1\n2,5\n3,3\n").unwrap();
    let name = |path: &PathBuf| path.display().to_string();
    let config = DataConfig { source: name(&points), observations: name(&seen), ..DataConfig::default() };
    fs::write(&seen, "u,v\n1,2\n3,1e300\n5,6\n").unwrap();
    let said = config.load(0).unwrap_err().to_string();
    assert!(said.contains("seen.csv: row 2, column 2") && said.contains("1e300"), "{said}");
    // The largest one is a number still.
    fs::write(&seen, "1,2\n3,-3.4028234e38\n5,6\n").unwrap();
    let Conditions::Observations { values, .. } = config.load(0).unwrap().conditions().clone() else {
        panic!()
    };
    assert!(values.iter().all(|value| value.is_finite()));
}
