//! A tree in memory, with transactions and faults that tests ask for.

use std::collections::BTreeMap;

use scomo_syncml::message::Format;
use scomo_syncml::{
    Code, Content, Executed, Execution, Listed, Node, NodeUri, Object, Property, Refusal, Selection, Tnds,
    TndsNode, Tree, Value,
};

type Nodes = BTreeMap<NodeUri, (Format, Vec<u8>)>;

#[derive(Debug, Default)]
pub struct MemTree {
    pub nodes: Nodes,
    /// Operations on these nodes fail.
    pub faults: BTreeMap<NodeUri, Code>,
    /// What `commit` and `roll_back` say.
    pub commit: Option<Code>,
    pub roll_back: Option<Code>,
    /// What was executed.
    pub executed: Vec<(String, Execution)>,
    /// What Exec answers.
    pub exec: Option<Executed>,
    pub transactions: bool,
    saved: Option<Nodes>,
    object: Option<(NodeUri, Object, Vec<u8>)>,
    pub objects_dropped: usize,
}

pub fn uri(text: &str) -> NodeUri {
    NodeUri::parse(text).unwrap()
}

impl MemTree {
    pub fn new() -> Self {
        let mut tree = Self { transactions: true, ..Self::default() };
        tree.nodes.insert(NodeUri::root(), (Format::Node, Vec::new()));
        for (node, value) in [("A/B", "b"), ("A/C", "c"), ("A/Long/X", "x")] {
            tree.put(node, Format::Chr, value.as_bytes());
        }
        tree
    }

    pub fn put(&mut self, node: &str, format: Format, value: &[u8]) {
        let node = uri(node);
        self.nodes.insert(node.clone(), (format, value.to_vec()));
        let mut parent = node.parent();
        while let Some(node) = parent {
            parent = node.parent();
            self.nodes.entry(node).or_insert((Format::Node, Vec::new()));
        }
    }

    pub fn text(&self, node: &str) -> Option<&str> {
        self.nodes.get(&uri(node)).map(|(_, value)| std::str::from_utf8(value).unwrap())
    }

    pub fn in_transaction(&self) -> bool {
        self.saved.is_some()
    }

    pub fn has_open_object(&self) -> bool {
        self.object.is_some()
    }

    fn fault(&self, node: &NodeUri) -> Result<(), Code> {
        self.faults.get(node).map_or(Ok(()), |code| Err(*code))
    }

    fn find(&self, node: &NodeUri) -> Result<&(Format, Vec<u8>), Code> {
        self.fault(node)?;
        self.nodes.get(node).ok_or(Code::NOT_FOUND)
    }

    fn children(&self, node: &NodeUri) -> Vec<String> {
        let children = self.nodes.keys().filter(|child| child.parent().as_ref() == Some(node));
        children.map(|child| child.name().to_owned()).collect()
    }

    fn tnds(&self, node: &NodeUri, selection: &Selection) -> TndsNode {
        let (format, value) = &self.nodes[node];
        let children = self.children(node);
        TndsNode {
            name: node.name().to_owned(),
            format: Some(format.clone()).filter(|_| selection.has(Property::Format)),
            value: Some(value.clone()).filter(|_| *format != Format::Node && selection.has(Property::Value)),
            children: children.iter().map(|name| self.tnds(&node.child(name).unwrap(), selection)).collect(),
            ..TndsNode::default()
        }
    }

    fn graft(&mut self, at: &NodeUri, node: &TndsNode) -> Result<(), Refusal> {
        let format = node.format.clone().unwrap_or(Format::Node);
        self.nodes.insert(at.clone(), (format, node.value.clone().unwrap_or_default()));
        for child in &node.children {
            self.graft(&at.child(&child.name)?, child)?;
        }
        Ok(())
    }
}

impl Tree for MemTree {
    fn get(&mut self, node: &NodeUri) -> Result<Node, Code> {
        let (format, value) = self.find(node)?.clone();
        let content = match format {
            Format::Node => Content::Interior(self.children(node)),
            format => Content::Leaf(format, value),
        };
        Ok(Node { mime: None, content })
    }

    fn property(&mut self, node: &NodeUri, property: Property) -> Result<String, Code> {
        let (format, _) = self.find(node)?;
        match property {
            Property::Name => Ok(node.name().to_owned()),
            Property::Format => Ok(format.name().to_owned()),
            _ => Err(Code::UNSUPPORTED),
        }
    }

    fn list(&mut self, node: &NodeUri, data: bool) -> Result<Vec<Listed>, Code> {
        self.find(node)?;
        let below = self.nodes.iter().filter(|(uri, _)| uri.is_within(node));
        let listed = |(uri, (format, value)): (&NodeUri, &(Format, Vec<u8>))| {
            let value = data.then(|| value.clone());
            Listed { uri: uri.clone(), mime: None, format: format.clone(), value }
        };
        Ok(below.map(listed).collect())
    }

    fn export(&mut self, node: &NodeUri, selection: &Selection) -> Result<Tnds, Code> {
        self.find(node)?;
        Ok(Tnds { nodes: vec![self.tnds(node, selection)], ..Tnds::default() })
    }

    fn add(&mut self, node: &NodeUri, value: Value) -> Result<(), Refusal> {
        self.fault(node)?;
        if self.nodes.contains_key(node) {
            return Err(Code::ALREADY_EXISTS.into());
        }
        let parent = node.parent().ok_or(Code::NOT_ALLOWED)?;
        match self.nodes.get(&parent) {
            Some((Format::Node, _)) => {}
            Some(_) => return Err(Code::NOT_ALLOWED.into()),
            None => return Err(Refusal { code: Code::NOT_FOUND, at: Some(parent) }),
        }
        let format = value.format.unwrap_or(Format::Chr);
        self.nodes.insert(node.clone(), (format, value.data.unwrap_or_default()));
        Ok(())
    }

    fn replace(&mut self, node: &NodeUri, value: Value) -> Result<(), Refusal> {
        if self.find(node)?.0 == Format::Node {
            return Err(Code::NOT_ALLOWED.into());
        }
        let format = value.format.unwrap_or(Format::Chr);
        self.nodes.insert(node.clone(), (format, value.data.unwrap_or_default()));
        Ok(())
    }

    fn set_property(&mut self, node: &NodeUri, property: Property, value: &str) -> Result<(), Code> {
        let old = self.find(node)?.clone();
        if property != Property::Name {
            return Err(Code::UNSUPPORTED);
        }
        self.nodes.remove(node);
        self.nodes.insert(node.parent().ok_or(Code::NOT_ALLOWED)?.child(value)?, old);
        Ok(())
    }

    fn add_tree(&mut self, node: &NodeUri, tree: Tnds) -> Result<(), Refusal> {
        if self.nodes.contains_key(node) {
            return Err(Code::ALREADY_EXISTS.into());
        }
        self.graft(node, tree.nodes.first().ok_or(Code::INCOMPLETE)?)
    }

    fn replace_tree(&mut self, node: &NodeUri, tree: Tnds) -> Result<(), Refusal> {
        self.delete(node)?;
        self.graft(node, tree.nodes.first().ok_or(Code::INCOMPLETE)?)
    }

    fn delete(&mut self, node: &NodeUri) -> Result<(), Code> {
        self.find(node)?;
        node.parent().ok_or(Code::NOT_ALLOWED)?;
        self.nodes.retain(|uri, _| !uri.is_within(node));
        Ok(())
    }

    fn copy(&mut self, source: &NodeUri, target: &NodeUri) -> Result<(), Refusal> {
        let value = self.find(source)?.clone();
        if value.0 == Format::Node {
            return Err(Code::FORBIDDEN.into());
        }
        self.fault(target)?;
        self.nodes.insert(target.clone(), value);
        Ok(())
    }

    fn exec(&mut self, node: &NodeUri, execution: Execution) -> Result<Executed, Code> {
        self.find(node)?;
        self.executed.push((node.to_string(), execution));
        self.exec.clone().ok_or(Code::NOT_ALLOWED)
    }

    fn begin(&mut self) -> Result<(), Code> {
        if !self.transactions {
            return Err(Code::UNSUPPORTED);
        }
        assert!(self.saved.is_none(), "transactions do not nest");
        self.saved = Some(self.nodes.clone());
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Code> {
        if let Some(code) = self.commit {
            return Err(code);
        }
        self.saved.take().expect("a transaction");
        Ok(())
    }

    fn roll_back(&mut self) -> Result<(), Code> {
        self.nodes = self.saved.take().expect("a transaction");
        self.roll_back.map_or(Ok(()), Err)
    }

    fn open_object(&mut self, node: &NodeUri, object: &Object) -> Result<(), Refusal> {
        assert!(self.object.is_none(), "one object at a time");
        self.fault(node)?;
        if !object.add {
            self.find(node)?;
        }
        self.object = Some((node.clone(), object.clone(), Vec::new()));
        Ok(())
    }

    fn write_object(&mut self, piece: &[u8]) -> Result<(), Code> {
        let (_, _, data) = self.object.as_mut().expect("an open object");
        data.extend(piece);
        if data.ends_with(b"full!") { Err(Code::DEVICE_FULL) } else { Ok(()) }
    }

    fn close_object(&mut self, whole: bool) -> Result<(), Refusal> {
        let (node, object, data) = self.object.take().expect("an open object");
        if whole {
            self.nodes.insert(node, (object.format.unwrap_or(Format::Chr), data));
        } else {
            self.objects_dropped += 1;
        }
        Ok(())
    }
}
