//! EC2's XML responses.

use std::fmt::Display;

use quick_xml::escape::escape;

use super::VERSION;

/// A response that is being written.
#[derive(Debug)]
pub(crate) struct Xml {
    text: String,
}

impl Xml {
    /// Starts the response of an action, up to its request ID.
    pub(crate) fn answer(action: &str, request_id: &str) -> Self {
        Self {
            text: format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response \
                 xmlns=\"http://ec2.amazonaws.com/doc/{VERSION}/\">\
                 <requestId>{request_id}</requestId>"
            ),
        }
    }

    /// Finishes the response of this action.
    pub(crate) fn finish(mut self, action: &str) -> Vec<u8> {
        self.text.push_str("</");
        self.text.push_str(action);
        self.text.push_str("Response>");
        self.text.into_bytes()
    }

    /// The response of an action that returns only success.
    pub(crate) fn done(action: &str, request_id: &str) -> Vec<u8> {
        let mut xml = Self::answer(action, request_id);
        xml.leaf("return", "true");
        xml.finish(action)
    }

    /// An element with text.
    pub(crate) fn leaf(&mut self, name: &str, value: impl Display) -> &mut Self {
        let value = value.to_string();
        self.node(name, |xml| xml.text.push_str(&escape(&value)))
    }

    /// An element with child elements.
    pub(crate) fn node(&mut self, name: &str, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.text.extend(["<", name, ">"]);
        inside(self);
        self.text.extend(["</", name, ">"]);
        self
    }

    /// A list: `<name><item>..</item>..</name>`, also if empty.
    pub(crate) fn set<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        each: impl Fn(&mut Self, T),
    ) -> &mut Self {
        self.node(name, |xml| {
            for item in items {
                xml.node("item", |xml| each(xml, item));
            }
        })
    }

    /// A tag set.
    pub(crate) fn tags<'a>(
        &mut self,
        tags: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> &mut Self {
        self.set("tagSet", tags, |xml, (key, value)| {
            xml.leaf("key", key).leaf("value", value);
        })
    }
}
