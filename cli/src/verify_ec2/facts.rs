//! The facts of EC2 on which the protocol rests, and how each of them is tried.

use firecamp_core::failure::CloudKind;

use super::fact::{By, Call, Expect, Fact, Measure, Place, Side, Step};
use By::{Measured, NotObservable, Steps};
use Call::{Assign, Force, Unassign};
use Expect::{Done, DoneOrRefused, Refused};
use Place::{Outside, PrimaryOfB, Router, X, Y, Z};
use Side::{A, B};
use Step::{Free, Have, Shown, Try};

const HELD: &[CloudKind] = &[CloudKind::HeldElsewhere];
const BAD: &[CloudKind] = &[CloudKind::BadAddress];
const HELD_OR_BAD: &[CloudKind] = &[CloudKind::HeldElsewhere, CloudKind::BadAddress];
const ABSENT: &[CloudKind] = &[CloudKind::NotOnInterface];

const ASSIGN: &str = "API reference, AssignPrivateIpAddresses";
const UNASSIGN: &str = "API reference, UnassignPrivateIpAddresses";
const MULTIPLE: &str = "EC2 user guide, Multiple IP addresses";
const FIELD: &str = "messages quoted in public issues";
const CONSISTENCY: &str = "EC2 developer guide, Eventual consistency";
const METADATA: &str = "EC2 user guide, Instance metadata";
const INTERFACES: &str = "EC2 user guide, Elastic network interfaces";

const NO_ATTACH: &str =
    "it gives a running instance another network device, which a crash would leave there";

const fn fact(
    id: &'static str,
    what: &'static str,
    expected: &'static str,
    source: &'static str,
    by: By,
) -> Fact {
    Fact { id, what, expected, source, by }
}

/// All facts, in the order in which they are tried.
pub(super) const FACTS: &[Fact] = &[
    fact(
        "tags-at-creation",
        "CreateNetworkInterface with tags",
        "the first Describe that lists the interface lists all its tags",
        "API reference, CreateNetworkInterface",
        Measured(Measure::Tags),
    ),
    fact(
        "client-token",
        "the same CreateNetworkInterface with the same client token again",
        "returns the same interface",
        "EC2 developer guide, Ensuring idempotency",
        Measured(Measure::Token),
    ),
    fact(
        "new-interface",
        "Assign to an interface right after its creation",
        "finds it within 60 s; until then it is refused as NotFound",
        CONSISTENCY,
        Measured(Measure::NewInterface),
    ),
    fact(
        "assign-free",
        "Assign of a free address that the caller chooses, to an interface without instance",
        "succeeds, and reads show the address there",
        ASSIGN,
        Steps(&[Free(X), Try(Assign(A, &[X]), Done), Shown(X, A)]),
    ),
    fact(
        "assign-again",
        "Assign of an address that the interface has already",
        "succeeds or is refused as HeldElsewhere, and changes nothing",
        "unverified",
        Steps(&[Have(X, A), Try(Assign(A, &[X]), DoneOrRefused(HELD)), Shown(X, A)]),
    ),
    fact(
        "force-again",
        "Assign with AllowReassignment of an address that the interface has already",
        "succeeds or is refused as HeldElsewhere, and changes nothing",
        "unverified",
        Steps(&[Have(X, A), Try(Force(A, &[X]), DoneOrRefused(HELD)), Shown(X, A)]),
    ),
    fact(
        "assign-held",
        "Assign without AllowReassignment of an address that another interface has",
        "is refused as HeldElsewhere; the address stays",
        FIELD,
        Steps(&[Have(X, A), Try(Assign(B, &[X]), Refused(HELD)), Shown(X, A)]),
    ),
    fact(
        "assign-several",
        "Assign of three free addresses in one call",
        "assigns all of them",
        MULTIPLE,
        Steps(&[
            Free(X),
            Free(Y),
            Free(Z),
            Try(Assign(A, &[X, Y, Z]), Done),
            Shown(X, A),
            Shown(Y, A),
            Shown(Z, A),
        ]),
    ),
    fact(
        "force-several",
        "Assign with AllowReassignment of two addresses of another interface in one call",
        "moves both",
        MULTIPLE,
        Steps(&[Have(X, A), Have(Y, A), Try(Force(B, &[X, Y]), Done), Shown(X, B), Shown(Y, B)]),
    ),
    fact(
        "none-if-one-is-held",
        "Assign of a free address and one that another interface has, in one call",
        "is refused as HeldElsewhere, and the free address stays free: another Assign gets it",
        MULTIPLE,
        Steps(&[
            Have(X, B),
            Free(Y),
            Try(Assign(A, &[Y, X]), Refused(HELD)),
            Try(Assign(B, &[Y]), Done),
        ]),
    ),
    fact(
        "none-if-one-is-invalid",
        "Assign of a free address and one outside of the subnet, in one call",
        "is refused as BadAddress, and the free address stays free: another Assign gets it",
        MULTIPLE,
        Steps(&[Free(Y), Try(Assign(A, &[Y, Outside]), Refused(BAD)), Try(Assign(B, &[Y]), Done)]),
    ),
    fact(
        "assign-outside-subnet",
        "Assign of an address outside of the subnet",
        "is refused as BadAddress",
        FIELD,
        Steps(&[Try(Assign(A, &[Outside]), Refused(BAD))]),
    ),
    fact(
        "assign-reserved",
        "Assign of the address of the subnet's router",
        "is refused as BadAddress",
        "VPC user guide, Subnet sizing; the text is unverified",
        Steps(&[Try(Assign(A, &[Router]), Refused(BAD))]),
    ),
    fact(
        "assign-primary",
        "Assign of the primary address of another interface",
        "is refused as HeldElsewhere or BadAddress",
        "unverified",
        Steps(&[Try(Assign(A, &[PrimaryOfB]), Refused(HELD_OR_BAD)), Shown(PrimaryOfB, B)]),
    ),
    fact(
        "force-primary",
        "Assign with AllowReassignment of the primary address of another interface",
        "is refused as HeldElsewhere or BadAddress; the address stays",
        "messages quoted in public issues; the cause is unverified",
        Steps(&[Try(Force(A, &[PrimaryOfB]), Refused(HELD_OR_BAD)), Shown(PrimaryOfB, B)]),
    ),
    fact(
        "unassign",
        "Unassign of an address, and Assign of it to another interface",
        "both succeed at once",
        UNASSIGN,
        Steps(&[Have(X, A), Try(Unassign(A, X), Done), Try(Assign(B, &[X]), Done)]),
    ),
    fact(
        "unassign-absent",
        "Unassign of a free address",
        "is refused as NotOnInterface",
        FIELD,
        Steps(&[Free(X), Try(Unassign(A, X), Refused(ABSENT))]),
    ),
    fact(
        "unassign-elsewhere",
        "Unassign of an address that another interface has",
        "is refused as NotOnInterface, and the other interface keeps the address",
        FIELD,
        Steps(&[Have(X, B), Try(Unassign(A, X), Refused(ABSENT)), Try(Unassign(B, X), Done)]),
    ),
    fact(
        "unassign-primary",
        "Unassign of a primary address",
        "is refused as BadAddress",
        "the text is unverified",
        Steps(&[Try(Unassign(B, PrimaryOfB), Refused(BAD)), Shown(PrimaryOfB, B)]),
    ),
    fact(
        "move",
        "Assign with AllowReassignment of an address that another interface has, several times",
        "succeeds in one call; then the address is on exactly one interface, the new one",
        ASSIGN,
        Measured(Measure::Move),
    ),
    fact(
        "move-without-gap",
        "reads of both interfaces during these moves",
        "no read shows the address on both interfaces or on neither",
        "unverified",
        Measured(Measure::Gap),
    ),
    fact(
        "read-lag",
        "how long DescribeNetworkInterfaces shows the address where it was",
        "at most 10 s",
        CONSISTENCY,
        Measured(Measure::ReadLag),
    ),
    fact(
        "filter-by-address",
        "DescribeNetworkInterfaces with the filter addresses.private-ip-address",
        "finds the interface that has the address as a secondary one, and no other",
        "API reference, DescribeNetworkInterfaces",
        Measured(Measure::Filter),
    ),
    fact(
        "list-pages",
        "a listing with filters in small pages (MaxResults)",
        "lists each of our interfaces once, as in one page, and ends",
        "API reference, DescribeNetworkInterfaces",
        Measured(Measure::Pages),
    ),
    fact(
        "list-by-tag",
        "a list by the filter tag:KEY alone, after the creation of the interfaces and after moves",
        "within 60 s lists each of them once, and a moved address on the new one alone",
        CONSISTENCY,
        Measured(Measure::ByTag),
    ),
    fact(
        "filter-unknown-id",
        "DescribeNetworkInterfaces with a filter by an unknown ID",
        "returns an empty list, not an error",
        "API reference, DescribeNetworkInterfaces",
        Measured(Measure::UnknownId),
    ),
    fact(
        "imds-identity",
        "the interface of the node in the metadata service and in DescribeNetworkInterfaces",
        "both list the same primary and secondary addresses",
        METADATA,
        Measured(Measure::Identity),
    ),
    fact(
        "imds-lists",
        "the metadata service after a move to the node",
        "lists the address within 60 s",
        "EC2 user guide, Multiple IP addresses; no time is documented",
        Measured(Measure::Lists),
    ),
    fact(
        "imds-drops",
        "the metadata service after a move away from the node",
        "no longer lists the address after 60 s",
        "no time is documented",
        Measured(Measure::Drops),
    ),
    fact(
        "delete-frees",
        "DeleteNetworkInterface of an interface with a secondary address",
        "succeeds, and another Assign gets the address within 10 s",
        "API reference, DeleteNetworkInterface",
        Measured(Measure::DeleteFrees),
    ),
    fact(
        "deleted-interface",
        "Delete of, and Assign to, a deleted interface",
        "both are refused as NotFound",
        FIELD,
        Measured(Measure::Deleted),
    ),
    fact(
        "call-bound",
        "when a call takes effect (assumption A1)",
        "within 5 s after it was sent, or never",
        "unverified",
        NotObservable("no number of tries shows that no call ever takes effect later"),
    ),
    fact(
        "request-rate",
        "the request limits of the account",
        "100 mutating calls of each kind at once, then 5 a second",
        "EC2 developer guide, Request throttling",
        NotObservable("a try would throttle all other users of the account"),
    ),
    fact(
        "address-limit",
        "how many addresses an interface can have",
        "ipv4AddressesPerInterface of the instance type; more are refused as CapacityExceeded",
        "API reference, DescribeInstanceTypes",
        NotObservable("if EC2 accepted the extra addresses, they would fill the node's interface"),
    ),
    fact(
        "attach-keeps",
        "DeleteOnTermination of an interface that AttachNetworkInterface has attached",
        "is false, without a further call",
        INTERFACES,
        NotObservable(NO_ATTACH),
    ),
    fact(
        "attach-index-in-use",
        "Attach at a device index that is in use",
        "is refused as DeviceIndexTaken, and the interface stays free",
        FIELD,
        NotObservable(NO_ATTACH),
    ),
    fact(
        "attach-limit",
        "Attach of one interface more than the instance type allows",
        "is refused as AttachmentLimitExceeded, and the interface stays free",
        FIELD,
        NotObservable("it needs an instance on which nobody else can attach an interface"),
    ),
    fact(
        "detach-takes-time",
        "Detach of an interface",
        "returns at once; Describe shows the attachment, and Delete is refused, until it has ended",
        "API reference, DetachNetworkInterface; no time is documented",
        NotObservable(NO_ATTACH),
    ),
    fact(
        "instance-termination",
        "the interfaces of a terminated instance without DeleteOnTermination",
        "stay, with all their addresses",
        INTERFACES,
        NotObservable("it needs an instance that is terminated"),
    ),
    fact(
        "data-path",
        "where packets arrive once the metadata service lists an address",
        "at the new interface",
        ASSIGN,
        NotObservable(
            "it needs packets from another host, and the address in the kernel of the node",
        ),
    ),
];

/// Facts that somebody has observed on AWS, by ID, with region and date. Add an entry when a report
/// of a real run is in an issue.
const OBSERVED_ON_AWS: &[(&str, &str)] = &[];

/// Region and date of the observation of a fact on AWS.
pub(super) fn observed_on_aws(id: &str) -> Option<&'static str> {
    OBSERVED_ON_AWS.iter().find(|(known, _)| *known == id).map(|(_, when)| *when)
}
