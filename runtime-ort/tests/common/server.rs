//! A model server for tests: HTTP by hand, so that it can misbehave.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// What was asked.
pub(crate) struct Asked {
    pub(crate) path: String,
    /// The length of the JSON before binary tensors.
    pub(crate) header: Option<usize>,
    pub(crate) body: Vec<u8>,
}

/// What is answered.
pub(crate) enum Reply {
    /// A status, the length of the JSON before binary tensors, a body.
    Body(u16, Option<String>, Vec<u8>),
    /// A body shorter than it is said to be.
    Truncated(usize, Vec<u8>),
    /// A body without an end.
    Endless,
    /// Nothing, for so long.
    Silence(Duration),
    /// The connection is closed.
    Close,
}

pub(crate) fn json(text: impl ToString) -> Reply {
    Reply::Body(200, None, text.to_string().into_bytes())
}

/// A server on a port of its own, until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    pub(crate) inferences: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", handler)
    }

    pub(crate) fn at(address: &str, handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, inferences) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let server = Self { address, stop: Arc::clone(&stop), inferences: Arc::clone(&inferences) };
        let handler = Arc::new(handler);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let (handler, stop, inferences) =
                    (Arc::clone(&handler), Arc::clone(&stop), Arc::clone(&inferences));
                thread::spawn(move || serve(stream.unwrap(), &*handler, &stop, &inferences));
            }
        });
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/toy", self.address)
    }

    pub(crate) fn count(&self) -> usize {
        self.inferences.load(Ordering::SeqCst)
    }

    /// From now on nobody listens, and open connections are closed at the next request.
    pub(crate) fn kill(&self) {
        if !self.stop.swap(true, Ordering::SeqCst) {
            drop(TcpStream::connect(self.address));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(
    stream: TcpStream,
    handler: &(dyn Fn(&Asked) -> Reply + Send + Sync),
    stop: &AtomicBool,
    inferences: &AtomicUsize,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        let (mut length, mut header) = (0, None);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "inference-header-content-length" => header = Some(value.trim().parse().ok()?),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        if stop.load(Ordering::SeqCst) {
            return None;
        }
        if path.ends_with("/infer") {
            inferences.fetch_add(1, Ordering::SeqCst);
        }
        match handler(&Asked { path, header, body }) {
            Reply::Body(status, header, body) => {
                let header =
                    header.map_or(String::new(), |h| format!("inference-header-content-length: {h}\r\n"));
                let head = format!("HTTP/1.1 {status} X\r\n{header}content-length: {}\r\n\r\n", body.len());
                stream.write_all(&[head.as_bytes(), &body].concat()).ok()?;
            }
            Reply::Truncated(said, body) => {
                let head = format!("HTTP/1.1 200 X\r\ncontent-length: {said}\r\n\r\n");
                stream.write_all(&[head.as_bytes(), &body].concat()).ok()?;
                return None;
            }
            Reply::Endless => {
                stream.write_all(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n").ok()?;
                let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
                loop {
                    stream.write_all(&chunk).ok()?;
                }
            }
            Reply::Silence(time) => thread::sleep(time),
            Reply::Close => return None,
        }
    }
}

/// The toy model's metadata, and `x (1 + t)` for its outputs.
pub(crate) fn toy(asked: &Asked, time: &str, extensions: &[&str]) -> Reply {
    let path = asked.path.as_str();
    match path {
        "/v2/health/ready" | "/v2/models/toy/ready" => json("{}"),
        "/v2" => json(serde_json::json!({ "name": "fake", "version": "1", "extensions": extensions })),
        "/v2/models/toy" => json(serde_json::json!({
            "name": "toy", "platform": "",
            "inputs": [{ "name": "x", "datatype": "FP32", "shape": [-1, 2] },
                       { "name": "t", "datatype": time, "shape": [-1] }],
            "outputs": [{ "name": "out", "datatype": "FP32", "shape": [-1, 2] }],
        })),
        "/v2/models/toy/infer" => infer(asked, time),
        _ => Reply::Body(404, None, br#"{"error": "no such path"}"#.to_vec()),
    }
}

fn infer(asked: &Asked, time: &str) -> Reply {
    let json = &asked.body[..asked.header.unwrap_or(asked.body.len())];
    let request: serde_json::Value = serde_json::from_slice(json).unwrap();
    let rows = request["inputs"][0]["shape"][0].as_u64().unwrap() as usize;
    assert_eq!(request["inputs"][1]["datatype"], time);
    let (x, t): (Vec<f32>, Vec<f32>) = match asked.header {
        None => {
            let numbers = |i: usize| {
                let data = request["inputs"][i]["data"].as_array().unwrap();
                data.iter().map(|x| x.as_f64().unwrap() as f32).collect::<Vec<f32>>()
            };
            assert_eq!(request["inputs"][1]["data"][0].is_i64(), time.starts_with("INT"));
            (numbers(0), numbers(1))
        }
        Some(header) => {
            let (x, t) = asked.body[header..].split_at(8 * rows);
            let x = x.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            let t = match time {
                "INT64" => t.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f32).collect(),
                "INT32" => t.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b) as f32).collect(),
                "FP64" => t.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
                _ => t.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            };
            (x, t)
        }
    };
    assert_eq!((x.len(), t.len()), (2 * rows, rows));
    let out: Vec<f32> = x.iter().enumerate().map(|(i, x)| x * (1.0 + t[i / 2])).collect();
    match asked.header {
        None => {
            // Nested, as some servers write it.
            let data: Vec<&[f32]> = out.chunks(2).collect();
            self::json(serde_json::json!({ "model_name": "toy", "outputs": [
                { "name": "other", "datatype": "INT64", "shape": [1], "data": [7] },
                { "name": "out", "datatype": "FP32", "shape": [rows, 2], "data": data },
            ] }))
        }
        Some(_) => {
            let head = serde_json::json!({ "model_name": "toy", "outputs": [
                { "name": "other", "datatype": "INT64", "shape": [1], "parameters": { "binary_data_size": 8 } },
                { "name": "out", "datatype": "FP32", "shape": [rows, 2],
                  "parameters": { "binary_data_size": 8 * rows } },
            ] });
            let mut body = head.to_string().into_bytes();
            let length = body.len().to_string();
            body.extend([7; 8]);
            out.iter().for_each(|x| body.extend(x.to_le_bytes()));
            Reply::Body(200, Some(length), body)
        }
    }
}
