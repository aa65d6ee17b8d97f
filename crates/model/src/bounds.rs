//! What a file would take in memory, told from its bytes before any message is built of them.
//!
//! Protocol buffers are terse: an empty node is two bytes in the file and several hundred in memory. The file is
//! therefore walked by its tags first, along the messages that [`crate::onnx`] declares.

use crate::onnx;

/// What decoding a file will make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Nodes of the graph; those of subgraphs, which are only carried along, do not count.
    pub nodes: usize,
    /// Bytes of memory, estimated from above.
    pub bytes: usize,
}

/// The messages that are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    OperatorSetId,
    Entry,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    TensorShape,
    Dimension,
}

/// A vector doubles its room when it is full.
const GROWTH: usize = 2;

/// What a text or an array of bytes takes beside its contents.
const VECTOR: usize = size_of::<Vec<u8>>();

impl Message {
    /// The message in the field of this number.
    fn child(self, field: u64) -> Option<Message> {
        Some(match (self, field) {
            (Message::Model, 7) => Message::Graph,
            (Message::Model, 8) => Message::OperatorSetId,
            (Message::Model, 14)
            | (Message::Graph, 16)
            | (Message::Node, 9)
            | (Message::Tensor, 13 | 16)
            | (Message::ValueInfo, 4) => Message::Entry,
            (Message::Graph, 1) => Message::Node,
            (Message::Graph, 5) | (Message::Attribute, 5 | 10) => Message::Tensor,
            (Message::Graph, 11..=13) => Message::ValueInfo,
            (Message::Node, 5) => Message::Attribute,
            (Message::ValueInfo, 2) => Message::Type,
            (Message::Type, 1) => Message::TensorType,
            (Message::TensorType, 2) => Message::TensorShape,
            (Message::TensorShape, 1) => Message::Dimension,
            _ => return None,
        })
    }

    /// The most bytes that one byte of this field becomes: a number of variable length is one byte at least.
    fn expansion(self, field: u64) -> usize {
        match (self, field) {
            (Message::Tensor, 1 | 7 | 11) | (Message::Attribute, 8) => size_of::<i64>() * GROWTH,
            (Message::Tensor, 5) => size_of::<i32>() * GROWTH,
            (Message::Tensor, 4 | 10) | (Message::Attribute, 7) => GROWTH,
            _ => 1,
        }
    }

    fn size(self) -> usize {
        match self {
            Message::Model => size_of::<onnx::Model>(),
            Message::OperatorSetId => size_of::<onnx::OperatorSetId>(),
            Message::Entry => size_of::<onnx::StringStringEntry>(),
            Message::Graph => size_of::<onnx::Graph>(),
            Message::Node => size_of::<onnx::Node>(),
            Message::Attribute => size_of::<onnx::Attribute>(),
            Message::Tensor => size_of::<onnx::Tensor>(),
            Message::ValueInfo => size_of::<onnx::ValueInfo>(),
            Message::Type => size_of::<onnx::Type>(),
            Message::TensorType => size_of::<onnx::TensorType>(),
            Message::TensorShape => size_of::<onnx::TensorShape>(),
            Message::Dimension => size_of::<onnx::Dimension>(),
        }
    }
}

/// Weighs the bytes of a model. `None` when they are no protocol buffer; decoding then says where.
pub(crate) fn weigh(bytes: &[u8]) -> Option<Weight> {
    let mut weight = Weight::default();
    walk(bytes, Message::Model, &mut weight)?;
    Some(weight)
}

/// The depth of the calls is that of the messages, which do not contain themselves.
fn walk(mut bytes: &[u8], message: Message, weight: &mut Weight) -> Option<()> {
    weight.bytes = weight.bytes.saturating_add(message.size() * GROWTH);
    weight.nodes += usize::from(message == Message::Node);
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        match (tag >> 3, tag & 7) {
            (_, 0) => {
                varint(&mut bytes)?;
                // It may be one of a list of numbers.
                weight.bytes = weight.bytes.saturating_add(size_of::<u64>() * GROWTH);
            }
            (_, 1) => {
                take(&mut bytes, 8)?;
                weight.bytes = weight.bytes.saturating_add(size_of::<u64>() * GROWTH);
            }
            (field, 2) => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let contents = take(&mut bytes, length)?;
                match message.child(field) {
                    Some(child) => walk(contents, child, weight)?,
                    None => {
                        let own = length.saturating_mul(message.expansion(field));
                        weight.bytes = weight.bytes.saturating_add(own).saturating_add(VECTOR * GROWTH);
                    }
                }
            }
            (_, 5) => {
                take(&mut bytes, 4)?;
                weight.bytes = weight.bytes.saturating_add(size_of::<u64>() * GROWTH);
            }
            // Groups, which ONNX has none of.
            _ => return None,
        }
    }
    Some(())
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn model(graph: onnx::Graph) -> Vec<u8> {
        onnx::Model { graph: Some(graph), ..onnx::Model::default() }.encode_to_vec()
    }

    #[test]
    fn empty_nodes_of_two_bytes_weigh_what_they_take_in_memory() {
        let nodes = vec![onnx::Node::default(); 1000];
        let bytes = model(onnx::Graph { node: nodes, ..onnx::Graph::default() });
        assert!(bytes.len() < 2100);
        let weight = weigh(&bytes).unwrap();
        assert_eq!(weight.nodes, 1000);
        assert!(weight.bytes > 1000 * size_of::<onnx::Node>());
    }

    #[test]
    fn numbers_of_one_byte_weigh_as_the_eight_that_they_become() {
        let tensor = onnx::Tensor { int64_data: vec![0; 100_000], ..onnx::Tensor::default() };
        let bytes = model(onnx::Graph { initializer: vec![tensor], ..onnx::Graph::default() });
        assert!(bytes.len() < 101_000);
        assert!(weigh(&bytes).unwrap().bytes > 800_000);
    }

    #[test]
    fn weights_of_a_network_weigh_little_more_than_in_the_file() {
        let tensor = onnx::Tensor::float("weight", &[100_000], &vec![0.5; 100_000]);
        let bytes = model(onnx::Graph { initializer: vec![tensor], ..onnx::Graph::default() });
        assert!(weigh(&bytes).unwrap().bytes < bytes.len() + 10_000);
    }

    #[test]
    fn what_is_cut_off_is_not_weighed() {
        let bytes = model(onnx::Graph { name: "graph".to_owned(), ..onnx::Graph::default() });
        assert_eq!(weigh(&bytes[..bytes.len() - 1]), None);
        assert_eq!(weigh(&[0xff; 20]), None);
    }
}
