//! Texts that many objects repeat.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Keeps one copy of each text: thousands of records name the same nodes, ENIs and subnets.
#[derive(Debug, Clone, Default)]
pub struct SharedTexts(BTreeSet<Arc<str>>);

impl SharedTexts {
    /// Replaces the text by the copy that is kept.
    pub(crate) fn share(&mut self, text: &mut Arc<str>) {
        match self.0.get(text) {
            Some(kept) => *text = kept.clone(),
            None => drop(self.0.insert(text.clone())),
        }
    }

    /// Drops the texts that nothing else has any more.
    pub fn drop_unused(&mut self) {
        self.0.retain(|text| Arc::strong_count(text) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Member, NodeName};

    #[test]
    fn equal_texts_are_one_copy_until_nothing_has_them() {
        let mut texts = SharedTexts::default();
        let mut nodes = ["node-1", "node-1", "node-2"].map(|name| NodeName::new(name).unwrap());
        for node in &mut nodes {
            node.share(&mut texts);
        }
        let [first, second, third] = &nodes;
        assert!(std::ptr::eq(first.as_str(), second.as_str()));
        assert_eq!((first.as_str(), third.as_str()), ("node-1", "node-2"));
        let mut member = Member::new("prod", "node-1").unwrap();
        member.share(&mut texts);
        assert!(std::ptr::eq(member.name(), first.as_str()));
        texts.drop_unused();
        assert_eq!(texts.0.len(), 3);
        drop((nodes, member));
        texts.drop_unused();
        assert!(texts.0.is_empty());
    }
}
