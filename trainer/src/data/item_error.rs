//! What can be wrong with images, shapes and conditions.

use std::path::PathBuf;

/// What is wrong with images, shapes and conditions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// Two images of different sizes.
    #[error("{} is {} and {} is {}: all images must have one size and as many channels; rescale them",
             first.display(), size(first_size), other.display(), size(other_size))]
    Sizes {
        /// The first image, in the order of names.
        first: PathBuf,
        /// Its height, width and channels.
        first_size: [usize; 3],
        /// The one that differs.
        other: PathBuf,
        /// Its height, width and channels.
        other_size: [usize; 3],
    },
    /// An image that cannot be read.
    #[error("{}: not a readable PNG image: {reason}; write it anew or take it out of the folder", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// The decoder's words.
        reason: String,
    },
    /// A folder without images.
    #[error("{}: there are {images} .png files in this folder, and a data set takes at least 2", path.display())]
    Images {
        /// The folder.
        path: PathBuf,
        /// The images in it.
        images: usize,
    },
    /// A shape that does not hold an item's numbers.
    #[error(
        "`data.shape` is {shape:?}, and an item of {name} has {dim} numbers: give extents whose product is {dim}, or none"
    )]
    Shape {
        /// The data's name.
        name: String,
        /// The shape asked for.
        shape: Vec<usize>,
        /// An item's numbers.
        dim: usize,
    },
    /// Images were asked to be mirrored and items are none.
    #[error(
        "`data.flip` mirrors images of [height, width, channels], and an item of {name} has the shape {shape:?}: set `data.shape`, or `data.flip` to false"
    )]
    Flip {
        /// The data's name.
        name: String,
        /// An item's shape.
        shape: Vec<usize>,
    },
    /// A label that is none of the classes.
    #[error("{name}: item {item} has the label {label}, and there are {classes} classes: labels are whole numbers from 0 to {}; correct it, or set `data.classes`",
             classes.saturating_sub(1))]
    Label {
        /// The labels' file.
        name: String,
        /// The item, from 0.
        item: usize,
        /// Its label as it stands there.
        label: f64,
        /// How many classes there are.
        classes: usize,
    },
    /// An observation's number that single precision does not hold.
    #[error(
        "{name}: row {row}, column {column} (from 1, without a header) is {value:e}, beyond single precision, whose largest is 3.4e38: give observations in larger units"
    )]
    Observation {
        /// The observations' file.
        name: String,
        /// The row, from 1.
        row: usize,
        /// Its column, from 1.
        column: usize,
        /// The number as it stands there.
        value: f64,
    },
    /// More classes than a network is told one by one.
    #[error("`data.classes` is {classes}: it must be 1 to {limit}, or 0 for the largest label and one")]
    Classes {
        /// The classes asked for.
        classes: usize,
        /// The most there may be.
        limit: usize,
    },
    /// Conditions for another number of items.
    #[error("{name}: {found} conditions for {items} items of {data}: give one a row, in the items' order")]
    Count {
        /// The conditions' file.
        name: String,
        /// The conditions in it.
        found: usize,
        /// The data's name.
        data: String,
        /// Its items.
        items: usize,
    },
    /// A column of labels that a file does not have, or its only one.
    #[error(
        "`data.label-column` is {column}, and {name} has {columns} column(s): name one from 1 and leave another for the data, or 0 for none"
    )]
    Column {
        /// The data's name.
        name: String,
        /// The column asked for.
        column: usize,
        /// The columns there are.
        columns: usize,
    },
    /// A set without labels of its own.
    #[error(
        "`data.labels` is \"own\", and {name} has no labels of its own (digits has): name a .csv, .tsv or .npy file of one label a row, or \"\""
    )]
    NoLabels {
        /// The data's name.
        name: String,
    },
    /// A map to the network's coordinates that is none.
    #[error(
        "{name}: items are to be (p - mean)/scale with the mean {mean:e} and the scale {scale:e}: give finite ones, the scale positive, \
         with which all items stay within single precision"
    )]
    Affine {
        /// The data's name.
        name: String,
        /// What is subtracted.
        mean: f64,
        /// What is divided by.
        scale: f64,
    },
    /// Two ways to give conditions at once.
    #[error(
        "`data.{first}` and `data.{second}` are both set: a condition is a label or an observation; leave one"
    )]
    Both {
        /// One key.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
}

fn size([height, width, channels]: &[usize; 3]) -> String {
    format!("{height} x {width} pixels of {channels} channel(s)")
}
