//! CEL validation rules: constraints between fields and on updates, which a schema cannot express.

use serde_json::{Value, json};

/// A rule, the field that it validates, and the field that its failure names.
pub(crate) struct Rule {
    pub(crate) at: &'static str,
    cel: String,
    message: &'static str,
    field: Option<&'static str>,
    reason: &'static str,
}

impl Rule {
    fn new(at: &'static str, cel: impl Into<String>, message: &'static str) -> Self {
        Self { at, cel: cel.into(), message, field: None, reason: "FieldValueInvalid" }
    }

    /// Makes the failure name a field below the one that the rule validates.
    fn shown_at(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }

    fn forbidden(self) -> Self {
        Self { reason: "FieldValueForbidden", ..self }
    }

    /// The entry in `x-kubernetes-validations`.
    pub(crate) fn value(&self) -> Value {
        let mut value = json!({ "rule": self.cel, "message": self.message, "reason": self.reason });
        if let (Some(field), Value::Object(map)) = (self.field, &mut value) {
            map.insert("fieldPath".to_owned(), json!(field));
        }
        value
    }
}

fn immutable(at: &'static str) -> Rule {
    Rule::new(at, "self == oldSelf", "must not change").forbidden()
}

const WHOLE: &str = "the host bits are not zero: write the block as EC2 shows it";

/// Compares texts, because Kubernetes 1.31 takes the equality of two blocks for too expensive. The
/// pattern admits one text for each block.
fn whole_block(at: &'static str) -> Rule {
    Rule::new(at, "string(cidr(self).masked()) == self", WHOLE)
}

/// The last two bytes of an address as a number: the only ones that differ in a block of /16 or
/// smaller.
fn low(address: &str) -> String {
    format!("int({address}.split('.')[2]) * 256 + int({address}.split('.')[3])")
}

/// The sizes of blocks from /16 to /28.
const SIZES: &str = "[65536, 32768, 16384, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16]";

/// True unless the address is one of the first four of its block, or the last one.
fn not_reserved_by_aws() -> String {
    let low = low("self.address");
    format!("({low} + 1) % {SIZES}[cidr(self.cidr).prefixLength() - 16] > 4")
}

pub(crate) fn static_ip() -> Vec<Rule> {
    let mut rules: Vec<Rule> =
        ["spec.address", "spec.pool", "spec.subnet", "spec.cidr", "spec.zone", "spec.claimRef"]
            .map(immutable)
            .into();
    rules.extend([
        Rule::new(
            "",
            "self.metadata.name == self.spec.address",
            "is not the name of the object: a StaticIP is named after its address",
        )
        .shown_at(".spec.address"),
        whole_block("spec.cidr"),
        Rule::new(
            "spec",
            "cidr(self.cidr).containsIP(self.address)",
            "is outside of spec.cidr, the CIDR block of its subnet",
        )
        .shown_at(".address"),
        Rule::new(
            "spec",
            not_reserved_by_aws(),
            "is reserved by AWS: the first four addresses of a subnet and the last",
        )
        .shown_at(".address"),
        Rule::new("spec.epoch", "self >= oldSelf", "must not decrease").forbidden(),
        Rule::new(
            "spec",
            "!has(self.attachment) || self.epoch > 0",
            "is 0 with an attachment: the first attachment has epoch 1",
        )
        .shown_at(".epoch"),
        Rule::new(
            "spec.attachment",
            "has(self.eni) == (self.state in ['Attaching', 'Attached', 'Parked'])",
            "must be set in the states Attaching, Attached and Parked, and in no other",
        )
        .shown_at(".eni"),
    ]);
    rules
}

/// The agents may set the capacity of these resources alone (`deploy/policies/agents.yaml`).
const RESOURCE: &str = "self == 'firecamp.io/static-ip' || \
                        self.startsWith('firecamp.io/static-ip-')";

pub(crate) fn static_ip_pool() -> Vec<Rule> {
    let inside = "self.ranges.all(r, cidr(self.cidr).containsIP(r.start) && \
                  cidr(self.cidr).containsIP(r.end))";
    vec![
        Rule::new(
            "spec.allowedNamespaces",
            "(self.from == 'Selector') == has(self.selector)",
            "must be set if from is Selector, and only then",
        )
        .shown_at(".selector"),
        Rule::new(
            "spec.resource",
            RESOURCE,
            "is neither firecamp.io/static-ip nor does it begin with firecamp.io/static-ip-",
        ),
        whole_block("spec.subnets[].cidr"),
        Rule::new("spec.subnets[]", inside, "a range is not inside the CIDR block of its subnet")
            .shown_at(".ranges"),
        Rule::new(
            "spec.subnets[].ranges[]",
            format!("{} <= {}", low("self.start"), low("self.end")),
            "start is after end: swap them",
        ),
        Rule::new(
            "spec.subnets",
            "self.all(a, self.filter(b, cidr(a.cidr).containsCIDR(b.cidr)).size() == 1)",
            "the CIDR blocks of two subnets overlap",
        ),
    ]
}

/// A requested address may change until an address is bound; afterwards it may only stay or be
/// removed.
const REQUEST_UNBOUND: &str = "!has(self.requestedAddress) || !has(self.address) || \
                              self.requestedAddress == self.address || \
                              (has(oldSelf.requestedAddress) && \
                              self.requestedAddress == oldSelf.requestedAddress)";

/// Phases only go forward: Creating, Attached, Draining, Deleting. Spelled out, because the API
/// server estimates the cost of `indexOf` as far above its budget.
const PHASE_FORWARD: &str = "self == oldSelf || oldSelf == 'Creating' || \
                            (oldSelf == 'Attached' && self != 'Creating') || \
                            (oldSelf == 'Draining' && self == 'Deleting')";

pub(crate) fn node_interface() -> Vec<Rule> {
    let mut rules: Vec<Rule> =
        ["spec.nodeName", "spec.instance", "spec.subnet", "spec.securityGroups"]
            .map(immutable)
            .into();
    rules.extend([
        Rule::new("spec.phase", PHASE_FORWARD, "an interface that is removed does not come back")
            .forbidden(),
        Rule::new(
            "spec",
            "!has(oldSelf.eni) || has(self.eni) && self.eni == oldSelf.eni",
            "must not change once it is set",
        )
        .shown_at(".eni")
        .forbidden(),
        Rule::new(
            "spec",
            "has(self.eni) || self.phase != 'Attached'",
            "must be set in the phase Attached",
        )
        .shown_at(".eni"),
    ]);
    rules
}

pub(crate) fn static_ip_claim() -> Vec<Rule> {
    vec![
        immutable("spec.pool"),
        Rule::new("spec", REQUEST_UNBOUND, "cannot change: the claim already has an address")
            .shown_at(".requestedAddress")
            .forbidden(),
    ]
}
