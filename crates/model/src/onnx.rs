//! The ONNX file format: the protobuf messages of `onnx.proto3` (ONNX IR specification), as far as a model is
//! read, changed or written here.
//!
//! Parts that are only carried along (subgraphs, functions, sparse tensors) are declared as bytes, which have the
//! same encoding as a message, so that reading and writing a file again loses nothing of them.

use prost::{Message, Oneof};

/// The number of the element type `FLOAT` in ONNX' `TensorProto.DataType`.
pub const FLOAT: i32 = 1;
/// The number of the element type `INT64` in ONNX' `TensorProto.DataType`.
pub const INT64: i32 = 7;

/// `ModelProto`: a whole file, with its graph and metadata.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    /// Version of the intermediate representation.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// What made the file.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// The version of what made the file.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// Reverse-DNS domain of the model.
    #[prost(string, tag = "4")]
    pub domain: String,
    /// Version of the model.
    #[prost(int64, tag = "5")]
    pub model_version: i64,
    /// A description for people; nothing reads it.
    #[prost(string, tag = "6")]
    pub doc_string: String,
    /// The network; absent only where the file holds none.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    /// The operator sets that the graph uses.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetId>,
    /// Key and value pairs.
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntry>,
    /// `TrainingInfoProto`, carried along.
    #[prost(bytes = "vec", repeated, tag = "20")]
    pub training_info: Vec<Vec<u8>>,
    /// `FunctionProto`, carried along.
    #[prost(bytes = "vec", repeated, tag = "25")]
    pub functions: Vec<Vec<u8>>,
}

/// `OperatorSetIdProto`: a set of operators and its version.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetId {
    /// Empty for the standard operators.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// The version of the operator set.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// `StringStringEntryProto`: an entry of metadata.
#[derive(Clone, PartialEq, Message)]
pub struct StringStringEntry {
    /// The name of the entry.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The text of the entry.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `GraphProto`: operations, their constants, inputs and outputs.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    /// The operations, in topological order.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    /// The graph's name, which no value depends on.
    #[prost(string, tag = "2")]
    pub name: String,
    /// The constants, among them the weights of the network.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    /// A description for people; nothing reads it.
    #[prost(string, tag = "10")]
    pub doc_string: String,
    /// The inputs, with the shapes that they take.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    /// The outputs, with their shapes.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
    /// Types of intermediate values.
    #[prost(message, repeated, tag = "13")]
    pub value_info: Vec<ValueInfo>,
    /// `TensorAnnotation`, carried along.
    #[prost(bytes = "vec", repeated, tag = "14")]
    pub quantization_annotation: Vec<Vec<u8>>,
    /// `SparseTensorProto`, carried along.
    #[prost(bytes = "vec", repeated, tag = "15")]
    pub sparse_initializer: Vec<Vec<u8>>,
    /// Key and value pairs.
    #[prost(message, repeated, tag = "16")]
    pub metadata_props: Vec<StringStringEntry>,
}

/// `NodeProto`: one operation of a graph.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    /// Names of the inputs; an empty name is an input left out.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of the outputs; an empty name is an output left out.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// The name of the operation in messages; may be empty.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The name of the operator, such as `MatMul`.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// The attributes that the operator is run with.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    /// A description for people; nothing reads it.
    #[prost(string, tag = "6")]
    pub doc_string: String,
    /// The operator set of the operator; empty for the standard one.
    #[prost(string, tag = "7")]
    pub domain: String,
    /// Overload of a function.
    #[prost(string, tag = "8")]
    pub overload: String,
    /// Key and value pairs.
    #[prost(message, repeated, tag = "9")]
    pub metadata_props: Vec<StringStringEntry>,
}

/// `AttributeProto`: a named constant of an operation; `kind` says which field holds it.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// The attribute's name, as the operator knows it.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The value where it is a number.
    #[prost(float, tag = "2")]
    pub f: f32,
    /// The value where it is an integer.
    #[prost(int64, tag = "3")]
    pub i: i64,
    /// The value where it is a text, in UTF-8.
    #[prost(bytes = "vec", tag = "4")]
    pub s: Vec<u8>,
    /// The value where it is a tensor.
    #[prost(message, optional, tag = "5")]
    pub t: Option<Tensor>,
    /// `GraphProto`, carried along.
    #[prost(bytes = "vec", optional, tag = "6")]
    pub g: Option<Vec<u8>>,
    /// The value where it is a list of numbers.
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub floats: Vec<f32>,
    /// The value where it is a list of integers.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// The value where it is a list of texts, in UTF-8.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    /// The value where it is a list of tensors.
    #[prost(message, repeated, tag = "10")]
    pub tensors: Vec<Tensor>,
    /// `GraphProto`, carried along.
    #[prost(bytes = "vec", repeated, tag = "11")]
    pub graphs: Vec<Vec<u8>>,
    /// A description for people; nothing reads it.
    #[prost(string, tag = "13")]
    pub doc_string: String,
    /// `TypeProto`, carried along.
    #[prost(bytes = "vec", optional, tag = "14")]
    pub tp: Option<Vec<u8>>,
    /// `TypeProto`, carried along.
    #[prost(bytes = "vec", repeated, tag = "15")]
    pub type_protos: Vec<Vec<u8>>,
    /// Which of the fields holds the value (`AttributeType`).
    #[prost(int32, tag = "20")]
    pub kind: i32,
    /// Name of a function's attribute.
    #[prost(string, tag = "21")]
    pub ref_attr_name: String,
    /// `SparseTensorProto`, carried along.
    #[prost(bytes = "vec", optional, tag = "22")]
    pub sparse_tensor: Option<Vec<u8>>,
    /// `SparseTensorProto`, carried along.
    #[prost(bytes = "vec", repeated, tag = "23")]
    pub sparse_tensors: Vec<Vec<u8>>,
}

/// `TensorProto`: a constant; `data_type` and `data_location` say where its values are.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    /// The size of each dimension, the outermost first.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// Element type (`DataType`).
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// `TensorProto.Segment`, carried along.
    #[prost(bytes = "vec", optional, tag = "3")]
    pub segment: Option<Vec<u8>>,
    /// The values of a `FLOAT` tensor without `raw_data`.
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    /// The values of an `INT32` tensor, or one of shorter elements, without `raw_data`.
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    /// The values of a `STRING` tensor.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub string_data: Vec<Vec<u8>>,
    /// The values of an `INT64` tensor without `raw_data`.
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    /// The name by which operations use the constant.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Values, little endian.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
    /// The values of a `DOUBLE` tensor without `raw_data`.
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    /// The values of a `UINT32` or `UINT64` tensor without `raw_data`.
    #[prost(uint64, repeated, tag = "11")]
    pub uint64_data: Vec<u64>,
    /// A description for people; nothing reads it.
    #[prost(string, tag = "12")]
    pub doc_string: String,
    /// Where values lie that are not in the file.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringStringEntry>,
    /// 1 when values are not in the file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
    /// Key and value pairs.
    #[prost(message, repeated, tag = "16")]
    pub metadata_props: Vec<StringStringEntry>,
}

/// `ValueInfoProto`: the name and type of an input, an output or an intermediate value.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    /// The name by which operations use the value.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The element type and shape; absent where they are not stated.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<Type>,
    /// A description for people; nothing reads it.
    #[prost(string, tag = "3")]
    pub doc_string: String,
    /// Key and value pairs.
    #[prost(message, repeated, tag = "4")]
    pub metadata_props: Vec<StringStringEntry>,
}

/// `TypeProto`: the type of a value, of which only that of tensors is decoded.
#[derive(Clone, PartialEq, Message)]
pub struct Type {
    /// A tensor's type.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
    /// `TypeProto.Sequence`, carried along.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub sequence_type: Option<Vec<u8>>,
    /// `TypeProto.Map`, carried along.
    #[prost(bytes = "vec", optional, tag = "5")]
    pub map_type: Option<Vec<u8>>,
    /// What the value is, from a list of the standard; nothing reads it.
    #[prost(string, tag = "6")]
    pub denotation: String,
    /// `TypeProto.SparseTensor`, carried along.
    #[prost(bytes = "vec", optional, tag = "8")]
    pub sparse_tensor_type: Option<Vec<u8>>,
    /// `TypeProto.Optional`, carried along.
    #[prost(bytes = "vec", optional, tag = "9")]
    pub optional_type: Option<Vec<u8>>,
}

/// `TypeProto.Tensor`: the element type and shape of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    /// Element type (`DataType`).
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// The sizes of the dimensions; absent where even their number is open.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShape>,
}

/// `TensorShapeProto`: the dimensions of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShape {
    /// The dimensions, the outermost first.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension`: one dimension of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    /// Size or name.
    #[prost(oneof = "DimensionValue", tags = "1, 2")]
    pub value: Option<DimensionValue>,
    /// What the dimension is, from a list of the standard; nothing reads it.
    #[prost(string, tag = "3")]
    pub denotation: String,
}

/// A dimension's size, or the name of one that is not fixed.
#[derive(Clone, PartialEq, Eq, Oneof)]
pub enum DimensionValue {
    /// The fixed size.
    #[prost(int64, tag = "1")]
    Size(i64),
    /// The name of a size that is known when the network runs, such as that of the batch.
    #[prost(string, tag = "2")]
    Name(String),
}

impl ValueInfo {
    /// A float tensor of the given dimensions; one with an empty name is of any size.
    pub fn float(name: &str, dimensions: impl IntoIterator<Item = DimensionValue>) -> ValueInfo {
        let known = |value: &DimensionValue| !matches!(value, DimensionValue::Name(name) if name.is_empty());
        let dim = dimensions
            .into_iter()
            .map(|value| Dimension { value: Some(value).filter(known), denotation: String::new() })
            .collect();
        let tensor_type = TensorType { elem_type: FLOAT, shape: Some(TensorShape { dim }) };
        ValueInfo {
            name: name.to_owned(),
            r#type: Some(Type { tensor_type: Some(tensor_type), ..Type::default() }),
            ..ValueInfo::default()
        }
    }

    /// The dimensions of a float tensor; `None` for another type or an unknown shape. A dimension without size
    /// and name has an empty name.
    pub fn float_dimensions(&self) -> Option<Vec<DimensionValue>> {
        let tensor_type = self.r#type.as_ref()?.tensor_type.as_ref()?;
        if tensor_type.elem_type != FLOAT {
            return None;
        }
        let unnamed = || DimensionValue::Name(String::new());
        let dimensions = &tensor_type.shape.as_ref()?.dim;
        Some(dimensions.iter().map(|dimension| dimension.value.clone().unwrap_or_else(unnamed)).collect())
    }
}

impl Tensor {
    /// A constant of floats.
    ///
    /// # Panics
    /// If the shape does not fit the number of values.
    pub fn float(name: &str, dims: &[usize], values: &[f32]) -> Tensor {
        assert_eq!(dims.iter().product::<usize>(), values.len(), "shape of {name}");
        Tensor {
            name: name.to_owned(),
            dims: dims.iter().map(|&size| size as i64).collect(),
            data_type: FLOAT,
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Tensor::default()
        }
    }

    /// Its numbers, if they are floats that stand in the file; else `None`.
    pub fn floats(&self) -> Option<Vec<f32>> {
        let (whole, rest) = self.raw_data.as_chunks::<4>();
        match (self.data_type, self.float_data.is_empty()) {
            (FLOAT, false) => Some(self.float_data.clone()),
            (FLOAT, true) if rest.is_empty() => {
                Some(whole.iter().map(|own| f32::from_le_bytes(*own)).collect())
            }
            _ => None,
        }
    }

    /// A constant vector of integers.
    pub fn int64(name: &str, values: &[i64]) -> Tensor {
        Tensor {
            name: name.to_owned(),
            dims: vec![values.len() as i64],
            data_type: INT64,
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Tensor::default()
        }
    }
}

impl Model {
    /// What tract reads over in the graph's recurrent operations (0.23: it takes every one for the usual one), in words.
    pub fn ignored_by_tract(&self) -> Option<String> {
        let nodes = self.graph.as_ref().map_or(&[][..], |graph| &graph.node);
        nodes.iter().find_map(|node| {
            let usual: &[&str] = match node.op_type.as_str() {
                "GRU" => &["sigmoid", "tanh"],
                "LSTM" => &["sigmoid", "tanh", "tanh"],
                "RNN" => &["tanh"],
                _ => return None,
            };
            let is_unusual = |attribute: &&Attribute| match attribute.name.as_str() {
                "activations" => attribute
                    .strings
                    .iter()
                    .zip(usual.iter().cycle())
                    .any(|(found, usual)| !found.eq_ignore_ascii_case(usual.as_bytes())),
                "clip" => true,
                "direction" => attribute.s.eq_ignore_ascii_case(b"reverse"),
                "input_forget" => attribute.i != 0,
                _ => false,
            };
            let attribute = node.attribute.iter().find(is_unusual)?;
            Some(format!("attribute {} of {}", attribute.name, node.op_type))
        })
    }
}

impl Node {
    /// An operation of the standard operator set, named after its first output.
    pub fn new(op_type: &str, input: &[&str], output: &[&str], attribute: Vec<Attribute>) -> Node {
        Node {
            op_type: op_type.to_owned(),
            name: output.iter().find(|name| !name.is_empty()).unwrap_or(&op_type).to_string(),
            input: input.iter().map(|name| name.to_string()).collect(),
            output: output.iter().map(|name| name.to_string()).collect(),
            attribute,
            ..Node::default()
        }
    }
}

impl Attribute {
    /// An attribute that is a number.
    pub fn float(name: &str, f: f32) -> Attribute {
        Attribute { name: name.to_owned(), f, kind: 1, ..Attribute::default() }
    }

    /// An attribute that is an integer.
    pub fn int(name: &str, i: i64) -> Attribute {
        Attribute { name: name.to_owned(), i, kind: 2, ..Attribute::default() }
    }

    /// An attribute that is a list of integers.
    pub fn ints(name: &str, ints: &[i64]) -> Attribute {
        Attribute { name: name.to_owned(), ints: ints.to_vec(), kind: 7, ..Attribute::default() }
    }

    /// An attribute that is a text.
    pub fn string(name: &str, text: &str) -> Attribute {
        Attribute { name: name.to_owned(), s: text.as_bytes().to_vec(), kind: 3, ..Attribute::default() }
    }

    /// A graph, such as the body of a loop.
    pub fn graph(name: &str, graph: &Graph) -> Attribute {
        Attribute { name: name.to_owned(), g: Some(graph.encode_to_vec()), kind: 5, ..Attribute::default() }
    }

    /// An attribute that is a list of texts.
    pub fn strings(name: &str, texts: &[&str]) -> Attribute {
        let strings = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        Attribute { name: name.to_owned(), strings, kind: 8, ..Attribute::default() }
    }
}

impl Model {
    /// Fixes the dimension called `name` to `size` in every input and output, and forgets the types of
    /// intermediate values, for engines that want every dimension known.
    pub fn fix_dimension(&mut self, name: &str, size: i64) {
        let Some(graph) = &mut self.graph else { return };
        graph.value_info.clear();
        let shapes = graph
            .input
            .iter_mut()
            .chain(&mut graph.output)
            .filter_map(|value| value.r#type.as_mut()?.tensor_type.as_mut()?.shape.as_mut());
        for dimension in shapes.flat_map(|shape| &mut shape.dim) {
            let is_named = match &dimension.value {
                Some(DimensionValue::Name(dimension_name)) => dimension_name == name,
                Some(DimensionValue::Size(_)) => false,
                None => name.is_empty(),
            };
            if is_named {
                dimension.value = Some(DimensionValue::Size(size));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_dimension_is_fixed_wherever_it_stands() {
        let batch = || DimensionValue::Name("batch".to_owned());
        let mut model = Model {
            graph: Some(Graph {
                input: vec![ValueInfo::float("window", [batch(), DimensionValue::Size(3)])],
                output: vec![ValueInfo::float("temperature", [batch(), DimensionValue::Size(24)])],
                ..Graph::default()
            }),
            ..Model::default()
        };
        model.fix_dimension("batch", 1);
        let graph = model.graph.unwrap();
        assert_eq!(
            graph.input[0].float_dimensions(),
            Some(vec![DimensionValue::Size(1), DimensionValue::Size(3)])
        );
        assert_eq!(
            graph.output[0].float_dimensions(),
            Some(vec![DimensionValue::Size(1), DimensionValue::Size(24)])
        );
    }
}
