//! The numbers of the fields, which are written by hand, against those that the compiler of protocol buffers took from
//! `onnx.proto3` for tract.

use forecastd_model::onnx::{
    Attribute, Dimension, DimensionValue, Graph, Model, Node, OperatorSetId, StringStringEntry, Tensor,
    TensorShape, TensorType, Type, ValueInfo,
};
use prost::Message;
use tract_onnx::pb;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Size;
use tract_onnx::pb::type_proto::Value as Kind;

/// What another program reads of it.
fn read<Theirs: Message + Default>(ours: &impl Message) -> Theirs {
    Theirs::decode(&*ours.encode_to_vec()).unwrap()
}

/// Every text says which field it is.
fn text(field: &str) -> String {
    field.to_owned()
}

fn pair(key: &str) -> StringStringEntry {
    StringStringEntry { key: text(key), value: text("value") }
}

#[test]
fn a_model_and_its_graph_have_the_numbers_of_the_format() {
    let named = |name: &str| ValueInfo { name: text(name), ..ValueInfo::default() };
    let graph = Graph {
        node: vec![Node { name: text("node"), ..Node::default() }],
        name: text("name"),
        initializer: vec![Tensor { name: text("initializer"), ..Tensor::default() }],
        doc_string: text("doc_string"),
        input: vec![named("input")],
        output: vec![named("output")],
        value_info: vec![named("value_info")],
        ..Graph::default()
    };
    let inner = || Graph { name: text("inner"), ..Graph::default() }.encode_to_vec();
    let model: pb::ModelProto = read(&Model {
        ir_version: 8,
        producer_name: text("producer_name"),
        producer_version: text("producer_version"),
        domain: text("domain"),
        model_version: 5,
        doc_string: text("doc_string"),
        graph: Some(graph),
        opset_import: vec![OperatorSetId { domain: text("operators"), version: 13 }],
        metadata_props: vec![pair("key")],
        // The first field of a function is its name.
        functions: vec![OperatorSetId { domain: text("function"), version: 0 }.encode_to_vec()],
        ..Model::default()
    });
    assert_eq!((model.ir_version, model.model_version), (8, 5));
    assert_eq!((&*model.producer_name, &*model.producer_version), ("producer_name", "producer_version"));
    assert_eq!((&*model.domain, &*model.doc_string), ("domain", "doc_string"));
    assert_eq!((&*model.opset_import[0].domain, model.opset_import[0].version), ("operators", 13));
    assert_eq!((&*model.metadata_props[0].key, &*model.metadata_props[0].value), ("key", "value"));
    assert_eq!(model.functions[0].name.as_deref(), Some("function"));
    let graph = model.graph.unwrap();
    assert_eq!((&*graph.name, &*graph.doc_string), ("name", "doc_string"));
    assert_eq!((&*graph.node[0].name, &*graph.initializer[0].name), ("node", "initializer"));
    assert_eq!((&*graph.input[0].name, &*graph.output[0].name), ("input", "output"));
    assert_eq!(graph.value_info[0].name, "value_info");

    let attribute: pb::AttributeProto = read(&Attribute {
        name: text("name"),
        f: 2.0,
        i: 3,
        s: b"s".to_vec(),
        t: Some(Tensor { name: text("t"), ..Tensor::default() }),
        g: Some(inner()),
        floats: vec![7.0, 7.5],
        ints: vec![8, -8],
        strings: vec![b"strings".to_vec()],
        tensors: vec![Tensor { name: text("tensors"), ..Tensor::default() }],
        graphs: vec![inner()],
        doc_string: text("doc_string"),
        kind: 5,
        ref_attr_name: text("ref_attr_name"),
        ..Attribute::default()
    });
    assert_eq!((&*attribute.name, attribute.f, attribute.i, &*attribute.s), ("name", 2.0, 3, &b"s"[..]));
    assert_eq!((attribute.floats, attribute.ints), (vec![7.0, 7.5], vec![8, -8]));
    assert_eq!((attribute.strings, attribute.r#type), (vec![b"strings".to_vec()], 5));
    assert_eq!((&*attribute.doc_string, &*attribute.ref_attr_name), ("doc_string", "ref_attr_name"));
    assert_eq!((attribute.t.unwrap().name, attribute.tensors[0].name.clone()), (text("t"), text("tensors")));
    // What is only carried along is what it was.
    assert_eq!((attribute.g.unwrap().name, attribute.graphs[0].name.clone()), (text("inner"), text("inner")));
}

#[test]
fn nodes_constants_and_shapes_have_the_numbers_of_the_format() {
    let node: pb::NodeProto = read(&Node {
        input: vec![text("input")],
        output: vec![text("output")],
        name: text("name"),
        op_type: text("op_type"),
        attribute: vec![Attribute { name: text("attribute"), ..Attribute::default() }],
        doc_string: text("doc_string"),
        domain: text("domain"),
        ..Node::default()
    });
    assert_eq!((&*node.input[0], &*node.output[0], &*node.name), ("input", "output", "name"));
    assert_eq!((&*node.op_type, &*node.doc_string, &*node.domain), ("op_type", "doc_string", "domain"));
    assert_eq!(node.attribute[0].name, "attribute");

    let tensor: pb::TensorProto = read(&Tensor {
        dims: vec![1, 300],
        data_type: 2,
        float_data: vec![4.0],
        int32_data: vec![5],
        string_data: vec![b"string_data".to_vec()],
        int64_data: vec![7],
        name: text("name"),
        raw_data: vec![9],
        double_data: vec![10.0],
        uint64_data: vec![11],
        doc_string: text("doc_string"),
        external_data: vec![pair("external_data")],
        data_location: 1,
        ..Tensor::default()
    });
    assert_eq!((tensor.dims, tensor.data_type, tensor.data_location), (vec![1, 300], 2, Some(1)));
    assert_eq!((tensor.float_data, tensor.int32_data, tensor.int64_data), (vec![4.0], vec![5], vec![7]));
    assert_eq!((tensor.double_data, tensor.uint64_data, tensor.raw_data), (vec![10.0], vec![11], vec![9]));
    assert_eq!((&*tensor.name, &*tensor.doc_string), ("name", "doc_string"));
    assert_eq!(
        (&*tensor.string_data[0], &*tensor.external_data[0].key),
        (&b"string_data"[..], "external_data")
    );

    let size = |value| Dimension { value: Some(value), denotation: text("denotation") };
    let shape =
        TensorShape { dim: vec![size(DimensionValue::Size(24)), size(DimensionValue::Name(text("batch")))] };
    let value: pb::ValueInfoProto = read(&ValueInfo {
        name: text("name"),
        r#type: Some(Type {
            tensor_type: Some(TensorType { elem_type: 1, shape: Some(shape) }),
            denotation: text("denotation"),
            ..Type::default()
        }),
        doc_string: text("doc_string"),
        ..ValueInfo::default()
    });
    assert_eq!((&*value.name, &*value.doc_string), ("name", "doc_string"));
    let kind = value.r#type.unwrap();
    assert_eq!(kind.denotation, "denotation");
    let Some(Kind::TensorType(tensor)) = kind.value else { panic!("{kind:?}") };
    assert_eq!(tensor.elem_type, 1);
    let sizes: Vec<_> =
        tensor.shape.unwrap().dim.into_iter().map(|dim| (dim.value, dim.denotation)).collect();
    assert_eq!(
        sizes,
        [
            (Some(Size::DimValue(24)), text("denotation")),
            (Some(Size::DimParam(text("batch"))), text("denotation"))
        ]
    );
}
