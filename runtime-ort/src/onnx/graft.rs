//! Nodes before and behind a model that is there already, without reading its weights.
//!
//! An ONNX file is a protobuf message, whose repeated fields may stand in any order: nodes of a graph are more fields beside
//! those that it has. One input goes, since a node makes that value now; all else is copied as it is.

use prost::{
    Message,
    bytes::Buf,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field},
};

use super::{GraphBuilder, proto::ValueInfoProto};

/// The field of a model that is its graph, and the one of a graph that is an input.
const GRAPH: u32 = 7;
const INPUT: u32 = 11;

/// The model with the nodes, inputs and outputs of `before` and `behind` around it; `before` makes the value `input`, which is an
/// input no longer. `None` where the bytes are no ONNX model with such an input.
pub(crate) fn graft(
    model: &[u8],
    input: &str,
    before: GraphBuilder,
    behind: GraphBuilder,
) -> Option<Vec<u8>> {
    let (before, behind) = (before.into_fields(), behind.into_fields());
    let is_input = |field: &Field<'_>| {
        let name = || ValueInfoProto::decode(field.content).ok()?.name;
        field.tag == INPUT && name().as_deref() == Some(input)
    };
    // How long the graph becomes stands before it.
    let (mut graphs, mut found, mut kept) = (0, false, 0);
    for field in Fields(model) {
        let field = field?;
        if field.tag != GRAPH {
            continue;
        }
        graphs += 1;
        for field in Fields(field.content) {
            let field = field?;
            if is_input(&field) {
                found = true;
            } else {
                kept += field.all.len();
            }
        }
    }
    if graphs != 1 || !found {
        return None;
    }
    let len = before.len() + kept + behind.len();
    let mut grafted = Vec::with_capacity(model.len() + before.len() + behind.len() + 16);
    for field in Fields(model).flatten() {
        if field.tag != GRAPH {
            grafted.extend_from_slice(field.all);
            continue;
        }
        encode_key(GRAPH, WireType::LengthDelimited, &mut grafted);
        encode_varint(len as u64, &mut grafted);
        grafted.extend_from_slice(&before);
        for field in Fields(field.content).flatten().filter(|field| !is_input(field)) {
            grafted.extend_from_slice(field.all);
        }
        grafted.extend_from_slice(&behind);
    }
    Some(grafted)
}

/// A field of a message: all of it, and what is in it where it has a length.
struct Field<'a> {
    tag: u32,
    all: &'a [u8],
    content: &'a [u8],
}

/// The fields of a message; `None` in place of one that is broken, and no more after it.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<Field<'a>> {
        let start = self.0;
        let mut rest = start;
        let (tag, kind) = decode_key(&mut rest).ok()?;
        let mut content: &[u8] = &[];
        if kind == WireType::LengthDelimited {
            let len = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
            content = rest.get(..len)?;
            rest.advance(len);
        } else {
            skip_field(kind, tag, &mut rest, DecodeContext::default()).ok()?;
        }
        self.0 = rest;
        Some(Field { tag, all: &start[..start.len() - rest.len()], content })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Element, Extent, ModelProto},
        *,
    };

    /// y = x + t.
    fn sum() -> Vec<u8> {
        let mut graph = GraphBuilder::new("sum");
        graph.input("x", Element::F32, &[Extent::Free("n")]);
        graph.input("t", Element::F32, &[Extent::Free("n")]);
        graph.node("y", "Add", &["x", "t"], &[]);
        graph.output("y", &[Extent::Free("n")]);
        graph.metadata("who", "me").unwrap();
        graph.finish().unwrap()
    }

    fn around() -> (GraphBuilder, GraphBuilder) {
        let (mut before, mut behind) = (GraphBuilder::default(), GraphBuilder::default());
        before.input("z", Element::F32, &[Extent::Free("n")]);
        before.node("x", "Neg", &["z"], &[]);
        behind.node("square", "Mul", &["y", "y"], &[]);
        behind.output("square", &[Extent::Free("n")]);
        (before, behind)
    }

    #[test]
    fn nodes_stand_in_the_order_in_which_they_run() {
        let (before, behind) = around();
        let grafted = graft(&sum(), "x", before, behind).unwrap();
        let model = ModelProto::decode(&grafted[..]).unwrap();
        let graph = model.graph.unwrap();
        let nodes: Vec<_> = graph.node.iter().map(|node| node.op_type.as_deref().unwrap()).collect();
        assert_eq!(nodes, ["Neg", "Add", "Mul"]);
        let names = |ports: &[ValueInfoProto]| {
            ports.iter().map(|port| port.name.clone().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(
            (names(&graph.input), names(&graph.output)),
            (vec!["z".to_owned(), "t".to_owned()], vec!["y".to_owned(), "square".to_owned()])
        );
        assert_eq!((graph.name.as_deref(), model.metadata_props.len()), (Some("sum"), 1));
    }

    #[test]
    fn what_is_no_such_model_is_left_alone() {
        let whole = sum();
        let graft = |model: &[u8], input: &str| {
            let (before, behind) = around();
            graft(model, input, before, behind)
        };
        assert!(graft(&whole, "w").is_none());
        assert!(graft(&[], "x").is_none());
        assert!(graft(b"ORTM and what follows", "x").is_none());
        // Cut anywhere, it is no model, or one that has lost fields behind its graph.
        for len in 0..whole.len() {
            if let Some(grafted) = graft(&whole[..len], "x") {
                assert!(ModelProto::decode(&grafted[..]).is_ok(), "{len}");
            }
        }
    }
}
