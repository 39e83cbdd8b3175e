//! The functions, traits and string literals of a Rust file, from its tokens alone.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// What a block belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A function with a body.
    Function,
    /// A trait; its methods are counted.
    Trait,
}

/// A function or a trait.
#[derive(Debug)]
pub struct Block {
    /// Which of the two.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The line of its `fn` or `trait`.
    pub line: usize,
    /// From there to its closing brace, both included.
    pub lines: usize,
    /// The functions directly inside.
    pub methods: usize,
}

/// A string literal outside attributes and documentation.
#[derive(Debug)]
pub struct Literal {
    /// Between its quotes.
    pub text: String,
    /// Its line.
    pub line: usize,
    /// It stands in test code.
    pub test: bool,
    /// The constant that it is the value of.
    pub constant: bool,
}

/// What a file contains.
#[derive(Debug, Default)]
pub struct Scan {
    /// Functions and traits.
    pub blocks: Vec<Block>,
    /// String literals.
    pub literals: Vec<Literal>,
    /// Attributes: their line, and their text without spaces.
    pub attributes: Vec<(usize, String)>,
}

impl Scan {
    /// Scans a file.
    pub fn of(tokens: TokenStream) -> Self {
        let mut scan = Self::default();
        scan.walk(tokens, false);
        scan
    }

    fn walk(&mut self, tokens: TokenStream, mut test: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        // An attribute speaks for the item that follows it, up to its body or semicolon.
        let mut item_test = false;
        let mut index = 0;
        while let Some(token) = tokens.get(index) {
            let rest = tokens.get(index + 1..).unwrap_or_default();
            index += 1;
            match token {
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    let inner = usize::from(is(rest.first(), '!'));
                    let Some(TokenTree::Group(group)) = rest.get(inner) else { continue };
                    index += inner + 1;
                    if self.attribute(group) {
                        item_test = true;
                        test |= inner == 1;
                    }
                }
                TokenTree::Punct(mark) if mark.as_char() == ';' => item_test = false,
                TokenTree::Punct(_) => {}
                TokenTree::Ident(word) => self.block(&word.to_string(), token, rest),
                TokenTree::Literal(_) => {
                    let constant = is(index.checked_sub(2).and_then(|i| tokens.get(i)), '=')
                        && is(rest.first(), ';');
                    self.literal(token, test || item_test, constant);
                }
                TokenTree::Group(group) => {
                    self.walk(group.stream(), test || item_test);
                    item_test &= group.delimiter() != Delimiter::Brace;
                }
            }
        }
    }

    /// Notes an attribute. True if it makes its item test code.
    fn attribute(&mut self, group: &Group) -> bool {
        let mut text = group.stream().to_string();
        text.retain(|c| !c.is_whitespace());
        let of_tests = text == "cfg(test)" || text == "test" || text.starts_with("tokio::test");
        self.attributes.push((group.span_open().start().line, text));
        of_tests
    }

    fn block(&mut self, word: &str, start: &TokenTree, rest: &[TokenTree]) {
        let kind = match word {
            "fn" => Kind::Function,
            "trait" => Kind::Trait,
            _ => return,
        };
        // `fn(u8)` is a type, and a method without a body has no size.
        let Some(TokenTree::Ident(name)) = rest.first() else { return };
        let body = rest.iter().take_while(|t| !is(Some(t), ';')).find_map(|t| match t {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
            TokenTree::Group(_)
            | TokenTree::Ident(_)
            | TokenTree::Punct(_)
            | TokenTree::Literal(_) => None,
        });
        let Some(body) = body else { return };
        let line = start.span().start().line;
        let methods = body.stream().into_iter().filter(|t| t.to_string() == "fn").count();
        let lines = body.span_close().end().line.saturating_sub(line) + 1;
        self.blocks.push(Block { kind, name: name.to_string(), line, lines, methods });
    }

    fn literal(&mut self, token: &TokenTree, of_tests: bool, constant: bool) {
        let written = token.to_string();
        let Some((_, quoted)) = written.split_once('"') else { return };
        let value = quoted.rsplit_once('"').map_or(quoted, |(inside, _)| inside);
        let text = value.to_owned();
        self.literals.push(Literal {
            text,
            line: token.span().start().line,
            test: of_tests,
            constant,
        });
    }
}

fn is(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}
