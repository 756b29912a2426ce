//! TensorBoard's event files.
//!
//! A file is records, each of them a length, its checksum, a Protobuf message and that one's checksum; the checksums are
//! CRC-32C, rotated and shifted. The messages are `tensorflow.Event` and `tensorflow.Summary`, with the fields that are used.

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

/// `tensorflow.SessionLog`; its status START makes TensorBoard drop what earlier files hold of its event's step and later ones.
#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

const START: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "4")]
    image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded_image_string: Vec<u8>,
}

/// What a record says of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The step.
    pub step: i64,
    /// What it is of.
    pub tag: String,
    /// The number; `None` for a picture.
    pub value: Option<f32>,
    /// The picture, a PNG file; empty for a number.
    pub picture: Vec<u8>,
    /// Whether a session starts there: what earlier files hold of this step and later ones is done again. It has no tag.
    pub start: bool,
}

/// An event file that is written to.
#[derive(Debug)]
pub struct Events {
    file: File,
}

impl Events {
    /// A new file `events.out.tfevents.*` in a folder, for a run that has taken `steps` steps. Earlier files stay, and TensorBoard
    /// shows them as one run, without what they hold of later steps, which are done again.
    ///
    /// # Errors
    /// The file system's.
    pub fn create(folder: &Path, steps: u64) -> io::Result<Self> {
        let now = now();
        // TensorBoard reads files in the order of their names: a resumed run's is the last, within a second too.
        let last = std::fs::read_dir(folder)?.flatten();
        let last = last.filter_map(|entry| events_time(entry.file_name().to_str()?)).max();
        let mut time = last.map_or(0, |last| last.saturating_add(1)).max(now as u64);
        let file = loop {
            let name = format!("{PREFIX}{time:010}{OWN}{}", std::process::id());
            match File::create_new(folder.join(name)) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && time < u64::MAX => time += 1,
                made => break made?,
            }
        };
        let mut events = Self { file };
        let file_version = Some("brain.Event:2".to_owned());
        events.write(&Event { wall_time: now, file_version, ..Event::default() })?;
        if last.is_some() {
            let step = i64::try_from(steps).unwrap_or(i64::MAX).saturating_add(1);
            let session_log = Some(SessionLog { status: START });
            events.write(&Event { wall_time: now, step, session_log, ..Event::default() })?;
        }
        Ok(events)
    }

    /// Writes the numbers of a step by their tags.
    ///
    /// # Errors
    /// The file system's.
    pub fn numbers(&mut self, step: u64, numbers: &[(&str, f64)]) -> io::Result<()> {
        let value = numbers.iter().map(|(tag, value)| SummaryValue {
            tag: (*tag).to_owned(),
            simple_value: Some(*value as f32),
            image: None,
        });
        self.summary(step, value.collect())
    }

    /// Writes a picture of [width, height] pixels, a PNG file of three channels.
    ///
    /// # Errors
    /// The file system's.
    pub fn picture(
        &mut self,
        step: u64,
        tag: &str,
        [width, height]: [usize; 2],
        png: &[u8],
    ) -> io::Result<()> {
        let image = Image {
            height: height as i32,
            width: width as i32,
            colorspace: 3,
            encoded_image_string: png.to_vec(),
        };
        self.summary(step, vec![SummaryValue { tag: tag.to_owned(), simple_value: None, image: Some(image) }])
    }

    fn summary(&mut self, step: u64, value: Vec<SummaryValue>) -> io::Result<()> {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        self.write(&Event { wall_time: now(), step, summary: Some(Summary { value }), ..Event::default() })
    }

    /// A record in one call, so that a process that dies leaves whole ones.
    fn write(&mut self, event: &Event) -> io::Result<()> {
        let message = event.encode_to_vec();
        let length = (message.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked(&length).to_le_bytes());
        record.extend(&message);
        record.extend(masked(&message).to_le_bytes());
        self.file.write_all(&record)
    }
}

/// How the files' names begin, and what stands between their time and the process.
const PREFIX: &str = "events.out.tfevents.";
const OWN: &str = ".picardy.";

/// The time in the name of an event file that this library wrote.
pub(super) fn events_time(name: &str) -> Option<u64> {
    let (time, process) = name.strip_prefix(PREFIX)?.split_once(OWN)?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(time) && digits(process) { time.parse().ok() } else { None }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The checksum as records have it.
fn masked(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// All that an event file says, its checksums checked.
///
/// # Errors
/// The file system's, or [`ErrorKind::InvalidData`] for a file that is cut off or damaged.
pub fn read_events(path: &Path) -> io::Result<Vec<Record>> {
    let bytes = std::fs::read(path)?;
    let bad = |at: usize, reason: &str| {
        let said = format!("{}: the record at byte {at} {reason}", path.display());
        io::Error::new(ErrorKind::InvalidData, said)
    };
    let mut records = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let (Some(length), Some(sum)) = (rest.first_chunk::<8>(), rest.get(8..12)) else {
            return Err(bad(at, "is cut off"));
        };
        if masked(length).to_le_bytes() != sum {
            return Err(bad(at, "has a wrong checksum of its length"));
        }
        let end = usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|length| length.checked_add(12));
        let message =
            end.and_then(|end| Some((end, rest.get(12..end)?, rest.get(end..end.checked_add(4)?)?)));
        let Some((end, message, sum)) = message else { return Err(bad(at, "is cut off")) };
        if masked(message).to_le_bytes() != sum {
            return Err(bad(at, "has a wrong checksum"));
        }
        let event = Event::decode(message).map_err(|_| bad(at, "is no event"))?;
        let Event { step, summary, session_log, .. } = event;
        if session_log.is_some_and(|log| log.status == START) {
            let (tag, picture) = (String::new(), Vec::new());
            records.push(Record { step, tag, value: None, picture, start: true });
        }
        for SummaryValue { tag, simple_value: value, image } in summary.unwrap_or_default().value {
            let picture = image.map_or_else(Vec::new, |image| image.encoded_image_string);
            records.push(Record { step, tag, value, picture, start: false });
        }
        rest = &rest[end + 4..];
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_and_damage_is_found() {
        // RFC 3720, appendix B.4: 32 bytes of zeros.
        assert_eq!(CRC.checksum(&[0; 32]), 0x8A91_36AA);
        let folder = tempfile::tempdir().unwrap();
        let mut events = Events::create(folder.path(), 0).unwrap();
        events.numbers(7, &[("loss", 0.5), ("rate", 1e-3)]).unwrap();
        events.picture(8, "samples", [2, 1], b"png").unwrap();
        let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        assert!(path.file_name().unwrap().to_str().unwrap().contains("tfevents"));
        let records = read_events(&path).unwrap();
        let number = |tag: &str, value| Record {
            step: 7,
            tag: tag.into(),
            value: Some(value),
            picture: Vec::new(),
            start: false,
        };
        let picture =
            Record { step: 8, tag: "samples".into(), value: None, picture: b"png".to_vec(), start: false };
        assert_eq!(records, [number("loss", 0.5), number("rate", 1e-3), picture]);
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 4;
            std::fs::write(&path, &bytes).unwrap();
            assert!(read_events(&path).is_err(), "byte {at}");
        }
        std::fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(read_events(&path).unwrap_err().to_string().contains("cut off"));
    }

    #[test]
    fn files_of_one_second_are_several_in_order_and_later_ones_start_a_session() {
        let folder = tempfile::tempdir().unwrap();
        for steps in [0, 7, 3] {
            Events::create(folder.path(), steps).unwrap().numbers(steps + 1, &[("loss", 0.5)]).unwrap();
        }
        // Not ours: its time is not looked at.
        std::fs::write(folder.path().join("events.out.tfevents.9999999999.theirs"), "").unwrap();
        let mut paths: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let starts: Vec<_> = paths[..3]
            .iter()
            .map(|path| read_events(path).unwrap().iter().map(|r| (r.step, r.start)).collect::<Vec<_>>())
            .collect();
        assert_eq!(starts, [vec![(1, false)], vec![(8, true), (8, false)], vec![(4, true), (4, false)]]);
    }
}
