//! Reproducible random mutations of inputs, without libFuzzer and its coverage feedback.

/// A generator of mutated inputs.
#[derive(Debug)]
pub struct Changes {
    inputs: Vec<Vec<u8>>,
    state: u64,
}

impl Changes {
    /// Mutates these inputs; there must be at least one.
    pub fn new(inputs: Vec<Vec<u8>>) -> Self {
        Self { inputs, state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// A number below `bound`, or zero (xorshift).
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let bound = u64::try_from(bound.max(1)).expect("inputs are short");
        usize::try_from((self.state >> 11) % bound).expect("the number fits into a usize")
    }

    fn pick(&mut self) -> Vec<u8> {
        let index = self.below(self.inputs.len());
        self.inputs.get(index).cloned().unwrap_or_default()
    }

    /// A random range within these bytes.
    fn range(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len() + 1);
        start..start + self.below((bytes.len() - start).min(24) + 1)
    }

    /// The next input, with one to eight changes.
    #[expect(clippy::should_implement_trait, reason = "the generator never ends")]
    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.pick();
        for _change in 0..=self.below(8) {
            let range = self.range(&input);
            match self.below(6) {
                0 => {
                    let byte = u8::try_from(self.below(256)).expect("the number is below 256");
                    input.splice(range, [byte]);
                }
                1 => drop(input.drain(range)),
                2 => {
                    let piece = input.get(range).unwrap_or_default().to_vec();
                    let at = self.below(input.len() + 1);
                    input.splice(at..at, piece);
                }
                3 => {
                    let other = self.pick();
                    let piece = self.range(&other);
                    input.splice(range, other.get(piece).unwrap_or_default().to_vec());
                }
                4 => {
                    let bit = self.below(8);
                    if let Some(byte) = input.get_mut(range.start) {
                        *byte ^= 1 << bit;
                    }
                }
                _ => {
                    let other = self.pick();
                    let keep = self.below(other.len() + 1);
                    input.truncate(range.start);
                    input.extend(other.get(keep..).unwrap_or_default());
                }
            }
        }
        input
    }
}
