//! In which order do inodes come?

use super::tree::{Content, NodeId, Tree};

/// All inodes that have a name, in the order of the inode table: what is in a folder stands right
/// before it, its subfolders and what is in them before that.
pub(crate) struct Walk {
    order: Vec<NodeId>,
    /// Place in the order from one on, by node; zero for an inode without a name.
    numbers: Vec<u32>,
    /// How many names each inode has, by node.
    links: Vec<u32>,
}

enum Step {
    Enter(NodeId),
    Leave(NodeId),
}

impl Walk {
    pub(crate) fn of(tree: &Tree) -> Self {
        let mut walk = Self {
            order: Vec::new(),
            numbers: vec![0; tree.len()],
            links: vec![0; tree.len()],
        };
        let mut steps = vec![Step::Enter(NodeId::ROOT)];
        while let Some(step) = steps.pop() {
            match step {
                Step::Enter(id) => {
                    steps.push(Step::Leave(id));
                    let folders = children(tree, id).filter(|child| tree.is_directory(*child));
                    steps.extend(folders.map(Step::Enter));
                }
                Step::Leave(id) => walk.leave(tree, id),
            }
        }
        walk
    }

    pub(crate) fn order(&self) -> &[NodeId] {
        &self.order
    }

    pub(super) fn number(&self, id: NodeId) -> u32 {
        self.numbers[id.index()]
    }

    pub(super) fn links(&self, id: NodeId) -> u32 {
        self.links[id.index()]
    }

    fn leave(&mut self, tree: &Tree, id: NodeId) {
        let mut folders = 0;
        for child in children(tree, id) {
            if tree.is_directory(child) {
                folders += 1;
                continue;
            }
            self.links[child.index()] += 1;
            if self.numbers[child.index()] == 0 {
                self.append(child);
            }
        }
        self.links[id.index()] = 2 + folders; // its name, its `.` and a `..` in each subfolder
        self.append(id);
    }

    fn append(&mut self, id: NodeId) {
        self.order.push(id);
        self.numbers[id.index()] = u32::try_from(self.order.len()).unwrap_or(u32::MAX);
    }
}

fn children(tree: &Tree, id: NodeId) -> impl DoubleEndedIterator<Item = NodeId> {
    let entries = match &tree.node(id).content {
        Content::Directory(directory) => Some(&directory.entries),
        _ => None,
    };
    entries
        .into_iter()
        .flat_map(|entries| entries.values().copied())
}
