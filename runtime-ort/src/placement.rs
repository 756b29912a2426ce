//! What each node of a model runs on, as ONNX Runtime recorded it when it loaded the model.

use std::{
    collections::BTreeMap,
    ffi::{CStr, c_char},
    fmt, slice,
};

use ort::{AsPointer, session::Session};

/// The session's setting that has ONNX Runtime keep the record.
pub(crate) const RECORD: &str = "session.record_ep_graph_assignment_info";

/// What one node runs on. Nodes are those of the optimised graph: some are fused from several of the
/// file's, and constants are folded away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The node's name, empty where it has none.
    pub node: String,
    /// Its operator, such as `MatMul`.
    pub operator: String,
    /// The operator's domain, empty for ONNX's own.
    pub domain: String,
    /// ONNX Runtime's name of the provider, such as `CUDAExecutionProvider`.
    pub provider: String,
}

impl fmt::Display for Placement {
    /// As in `fc1 Gemm: CPUExecutionProvider`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.domain.is_empty() { "" } else { "." };
        write!(f, "{} {}{separator}{}: {}", self.node, self.domain, self.operator, self.provider)
    }
}

/// How many nodes each provider runs, by its name.
#[must_use]
pub fn counts(placements: &[Placement]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for placement in placements {
        *counts.entry(placement.provider.as_str()).or_insert(0) += 1;
    }
    counts
}

/// The record of a session that was made with [`RECORD`].
#[allow(unsafe_code)]
pub(crate) fn placements(session: &Session) -> ort::Result<Vec<Placement>> {
    let api = ort::api();
    let (mut groups, mut count) = (std::ptr::null(), 0);
    // SAFETY: the session is alive, both places are ours. The array and what it points to belong to
    // the session and are read while it is borrowed. The same holds for the calls below.
    let groups = unsafe {
        ort::Error::result_from_status((api.Session_GetEpGraphAssignmentInfo)(
            session.ptr(),
            &mut groups,
            &mut count,
        ))?;
        array(groups, count)
    };
    let mut placements = Vec::new();
    for &group in groups {
        let mut name = std::ptr::null();
        let (mut nodes, mut count) = (std::ptr::null(), 0);
        // SAFETY: as above; `group` is one of the session's.
        let (provider, nodes) = unsafe {
            ort::Error::result_from_status((api.EpAssignedSubgraph_GetEpName)(group, &mut name))?;
            ort::Error::result_from_status((api.EpAssignedSubgraph_GetNodes)(group, &mut nodes, &mut count))?;
            (text(name), array(nodes, count))
        };
        for &node in nodes {
            let (mut name, mut domain, mut operator) = (std::ptr::null(), std::ptr::null(), std::ptr::null());
            // SAFETY: as above; `node` is one of the group's.
            let placement = unsafe {
                ort::Error::result_from_status((api.EpAssignedNode_GetName)(node, &mut name))?;
                ort::Error::result_from_status((api.EpAssignedNode_GetDomain)(node, &mut domain))?;
                ort::Error::result_from_status((api.EpAssignedNode_GetOperatorType)(node, &mut operator))?;
                Placement {
                    node: text(name),
                    operator: text(operator),
                    domain: text(domain),
                    provider: provider.clone(),
                }
            };
            placements.push(placement);
        }
    }
    Ok(placements)
}

/// # Safety
/// `first` is null or the first of `count` elements that outlive `'a`.
#[allow(unsafe_code)]
unsafe fn array<'a, T>(first: *const T, count: usize) -> &'a [T] {
    if first.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(first, count) }
}

/// # Safety
/// `text` is null or a string that ends with a zero byte. A file's names may be any bytes.
#[allow(unsafe_code)]
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
