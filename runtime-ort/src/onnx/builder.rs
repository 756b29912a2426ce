//! Builds an ONNX graph node by node.

use prost::Message;

use crate::element::Element;

use super::{
    GraphError,
    proto::{
        self, AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
        StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
    },
};

/// The operator set: the first with LayerNormalization.
pub const OPSET: i64 = 17;

/// The file format's version that goes with [`OPSET`].
const IR_VERSION: i64 = 8;

/// Protobuf's limit for one message.
const LIMIT: usize = i32::MAX as usize;

/// A graph in the making. Values are known by their names; a node's outputs are named after it.
#[derive(Debug, Clone, Default)]
pub struct GraphBuilder {
    graph: GraphProto,
    metadata: Vec<(String, String)>,
}

impl Element {
    /// The specification's number for it, which attributes of `Cast` take too.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::F32 => proto::FLOAT,
            Self::F16 => proto::FLOAT16,
            Self::Bf16 => proto::BFLOAT16,
            Self::F64 => proto::DOUBLE,
            Self::I64 => proto::INT64,
            Self::I32 => proto::INT32,
            Self::U8 => proto::UINT8,
            Self::Bool => proto::BOOL,
        }
    }
}

/// An extent of an input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent<'a> {
    /// This many.
    Fixed(usize),
    /// Any number, the same wherever the name stands.
    Free(&'a str),
}

impl GraphBuilder {
    /// An empty graph of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            graph: GraphProto { name: Some(name.to_owned()), ..GraphProto::default() },
            metadata: Vec::new(),
        }
    }

    /// Declares an input.
    pub fn input(&mut self, name: &str, element: Element, shape: &[Extent<'_>]) {
        self.graph.input.push(value_info(name, element, shape));
    }

    /// Declares that the value `name` is an output, of 32-bit floats.
    pub fn output(&mut self, name: &str, shape: &[Extent<'_>]) {
        self.output_of(name, Element::F32, shape);
    }

    /// Declares that the value `name` is an output.
    pub fn output_of(&mut self, name: &str, element: Element, shape: &[Extent<'_>]) {
        self.graph.output.push(value_info(name, element, shape));
    }

    /// Adds a constant of 32-bit floats, row-major.
    ///
    /// # Errors
    /// [`GraphError::Length`] where `values` are not as many as `shape` says, and
    /// [`GraphError::NotFinite`] where one is NaN or infinite.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<(), GraphError> {
        if shape.iter().product::<usize>() != values.len() {
            return Err(GraphError::Length {
                name: name.to_owned(),
                shape: shape.to_vec(),
                got: values.len(),
            });
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(GraphError::NotFinite {
                name: name.to_owned(),
                index,
                value: values[index].to_string(),
            });
        }
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, shape, Element::F32, raw);
        Ok(())
    }

    /// Adds a constant vector of 64-bit integers: axes and shapes.
    pub fn integers(&mut self, name: &str, values: &[i64]) {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, &[values.len()], Element::I64, raw);
    }

    /// Adds a constant of 32-bit floats whose bytes lie in the file `location` beside the model's, `offset` bytes into
    /// it: little-endian and row-major. Constants past 2 GiB lie so.
    pub fn external_floats(&mut self, name: &str, shape: &[usize], location: &str, offset: u64) {
        let length = shape.iter().product::<usize>() as u64 * 4;
        let entries = [
            ("location", location.to_owned()),
            ("offset", offset.to_string()),
            ("length", length.to_string()),
        ];
        self.graph.initializer.push(TensorProto {
            dims: shape.iter().map(|&extent| extent as i64).collect(),
            data_type: Some(Element::F32.code()),
            name: Some(name.to_owned()),
            raw_data: None,
            external_data: entries
                .map(|(key, value)| StringStringEntryProto { key: Some(key.to_owned()), value: Some(value) })
                .to_vec(),
            data_location: Some(proto::EXTERNAL),
        });
    }

    fn constant(&mut self, name: &str, shape: &[usize], element: Element, raw: Vec<u8>) {
        self.graph.initializer.push(TensorProto {
            dims: shape.iter().map(|&extent| extent as i64).collect(),
            data_type: Some(element.code()),
            name: Some(name.to_owned()),
            raw_data: Some(raw),
            external_data: Vec::new(),
            data_location: None,
        });
    }

    /// Adds a node with one output, called `name` like the node, and gives that name.
    pub fn node(
        &mut self,
        name: &str,
        op: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) -> String {
        self.node_of(name, op, inputs, name, attributes);
        name.to_owned()
    }

    /// The same with an output of another name.
    pub(crate) fn node_of(
        &mut self,
        name: &str,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, Attribute<'_>)],
    ) {
        self.node_with(name, op, inputs, &[output], attributes);
    }

    /// The same with any number of outputs, which have names of their own.
    pub fn node_with(
        &mut self,
        name: &str,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: outputs.iter().map(|&output| output.to_owned()).collect(),
            name: Some(name.to_owned()),
            op_type: Some(op.to_owned()),
            attribute: attributes.iter().map(|(name, value)| value.proto(name)).collect(),
        });
    }

    /// Calls the last node, and its first output, by another name, as an output of the graph has to be.
    pub fn rename_last(&mut self, name: &str) {
        if let Some(node) = self.graph.node.last_mut() {
            node.name = Some(name.to_owned());
            if let Some(output) = node.output.first_mut() {
                *output = name.to_owned();
            }
        }
    }

    /// Adds an entry of the model's metadata.
    ///
    /// # Errors
    /// [`GraphError::DuplicateKey`].
    pub fn metadata(&mut self, key: &str, value: &str) -> Result<(), GraphError> {
        if self.metadata.iter().any(|(known, _)| known == key) {
            return Err(GraphError::DuplicateKey { key: key.to_owned() });
        }
        self.metadata.push((key.to_owned(), value.to_owned()));
        Ok(())
    }

    /// The graph's fields alone, to be more of another graph.
    pub(crate) fn into_fields(self) -> Vec<u8> {
        self.graph.encode_to_vec()
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// [`GraphError::TooLarge`] past protobuf's limit of 2 GiB.
    pub fn finish(self) -> Result<Vec<u8>, GraphError> {
        let model = ModelProto {
            ir_version: Some(IR_VERSION),
            producer_name: "picardy".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(self.graph),
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
            metadata_props: self
                .metadata
                .into_iter()
                .map(|(key, value)| StringStringEntryProto { key: Some(key), value: Some(value) })
                .collect(),
        };
        let bytes = model.encoded_len();
        if bytes > LIMIT {
            return Err(GraphError::TooLarge { bytes, limit: LIMIT });
        }
        Ok(model.encode_to_vec())
    }
}

/// The value of a node's attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Attribute<'a> {
    /// A float.
    Float(f32),
    /// An integer.
    Int(i64),
    /// Integers.
    Ints(&'a [i64]),
}

impl Attribute<'_> {
    fn proto(self, name: &str) -> AttributeProto {
        let mut proto = AttributeProto { name: Some(name.to_owned()), ..AttributeProto::default() };
        proto.r#type = Some(match self {
            Self::Float(f) => {
                proto.f = Some(f);
                proto::ATTRIBUTE_FLOAT
            }
            Self::Int(i) => {
                proto.i = Some(i);
                proto::ATTRIBUTE_INT
            }
            Self::Ints(ints) => {
                proto.ints = ints.to_vec();
                proto::ATTRIBUTE_INTS
            }
        });
        proto
    }
}

fn value_info(name: &str, element: Element, shape: &[Extent<'_>]) -> ValueInfoProto {
    let dim = shape
        .iter()
        .map(|extent| match extent {
            Extent::Fixed(extent) => DimensionProto { dim_value: Some(*extent as i64), dim_param: None },
            Extent::Free(name) => DimensionProto { dim_value: None, dim_param: Some((*name).to_owned()) },
        })
        .collect();
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: Some(element.code()),
                shape: Some(TensorShapeProto { dim }),
            }),
        }),
    }
}
