//! Creates the two interfaces of a run, takes its addresses, and observes both.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cloud::{InterfacesBy, ListedInterface};
use firecamp_core::contract::tag;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::EniId;
use firecamp_core::managed_interface::NewInterface;
use tokio::time::Instant;

use super::choose_addresses;
use super::fact::{Measure, Place, Side};
use super::judge::{self, Answer, Outcome, Verdict, seconds};
use super::on_node::NodeInterface;
use super::ports::{Ec2, Reassign};
use super::session::{Halt, POLL, Session, VISIBLE_WITHIN, passes};

/// Addresses that are tried until the run has its three.
const CANDIDATES: usize = 8;
/// Addresses that the run takes at most, with the primary ones.
const NEEDED: u32 = 5;
/// What the creation of the interfaces shows.
const CREATION: [Measure; 3] = [Measure::Tags, Measure::Token, Measure::NewInterface];

/// The interfaces and addresses of a run.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) a: EniId,
    pub(super) b: EniId,
    /// X, Y and Z.
    pub(super) addresses: [Ipv4Addr; 3],
    /// How long lists by tag lagged after the creation of B (see `lag_by_tag`), or why one failed.
    pub(super) listed_by_tag: Result<Option<Duration>, CloudFailure>,
    primary_of_b: Ipv4Addr,
    router: Ipv4Addr,
    outside: Ipv4Addr,
}

impl Scene {
    pub(super) fn eni(&self, side: Side) -> &EniId {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }

    pub(super) fn address(&self, place: Place) -> Ipv4Addr {
        let [x, y, z] = self.addresses;
        match place {
            Place::X => x,
            Place::Y => y,
            Place::Z => z,
            Place::PrimaryOfB => self.primary_of_b,
            Place::Router => self.router,
            Place::Outside => self.outside,
        }
    }

    pub(super) fn both(&self) -> InterfacesBy {
        InterfacesBy::Ids([self.a.clone(), self.b.clone()].into())
    }
}

impl<E: Ec2> Session<'_, E> {
    /// Creates the interfaces and takes three free addresses.
    pub(super) async fn set_up(&mut self, node: Option<&NodeInterface>) -> Result<Scene, Halt> {
        let subnet = self.ec2.subnet(self.subnet).await.map_err(Halt::Failed)?;
        if subnet.available < NEEDED {
            return Err(shortage(&format!(
                "{} has {} free addresses; {NEEDED} are needed",
                self.subnet, subnet.available
            )));
        }
        let present = self.list(&InterfacesBy::Subnet).await?;
        let candidates = choose_addresses::free(&subnet, &present, CANDIDATES);
        let a = self.create_a().await?;
        let addresses = self.take(&a, candidates).await?;
        let [x, ..] = addresses;
        let own = node.map(|node| (tag::VERIFY_EC2_ON_NODE, format!("{} {x}", node.eni)));
        let b = self.create(&self.request("b", own)).await?;
        let created = Instant::now();
        let done = self.measure_new_interface(&b, addresses).await;
        self.close(&CREATION, done)?;
        let listed_by_tag = match self.lag_by_tag(created, [&a, &b], x).await {
            Ok(lag) => Ok(lag),
            // No other fact needs this list.
            Err(Halt::Failed(why)) => Err(why),
            Err(Halt::Interrupted) => return Err(Halt::Interrupted),
        };
        let listed = self.first_listing(&b).await?;
        let primary_of_b = listed.primary.ok_or_else(|| shortage("a new interface has no IPv4"))?;
        let (router, outside) =
            (choose_addresses::router(&subnet), choose_addresses::outside(&subnet));
        Ok(Scene { a, b, addresses, listed_by_tag, primary_of_b, router, outside })
    }

    fn request(&self, name: &str, more: Option<(&str, String)>) -> NewInterface {
        let fixed = [
            (tag::VERIFY_EC2, "true"),
            (tag::VERIFY_EC2_RUN, self.run),
            (tag::CNI_NO_MANAGE, "true"),
        ];
        let fixed = fixed.map(|(key, value)| (key, value.to_owned()));
        let tags = fixed.into_iter().chain(more).map(|(key, value)| (key.to_owned(), value));
        NewInterface {
            subnet: self.subnet.clone(),
            groups: [].into(),
            description: format!("firecamp verify-ec2, run {}: may be deleted", self.run),
            tags: tags.collect(),
            token: format!("{}-{name}", self.run),
        }
    }

    /// One creation; if its answer is lost, the same again, which returns the same interface.
    async fn create(&mut self, request: &NewInterface) -> Result<EniId, Halt> {
        let mut answer = self.create_once(request).await?;
        if answer.as_ref().is_err_and(|why| why.effect == Effect::Unknown) {
            self.holdings.unknown_creation = true;
            answer = self.create_once(request).await?;
        }
        answer.map_err(Halt::Failed)
    }

    async fn create_once(
        &mut self,
        request: &NewInterface,
    ) -> Result<Result<EniId, CloudFailure>, Halt> {
        self.pause(POLL).await?;
        let sent = Instant::now();
        let answer = self.ec2.create(request).await;
        self.count(sent, &answer);
        if let Ok(eni) = &answer
            && self.holdings.created.insert(eni.clone(), sent).is_none()
        {
            (self.progress)(&format!("created {eni}"));
        }
        Ok(answer)
    }

    /// Creates interface A, and observes its tags and a repetition of the call.
    async fn create_a(&mut self) -> Result<EniId, Halt> {
        let request = self.request("a", None);
        let a = self.create(&request).await?;
        let listed = self.first_listing(&a).await?;
        self.measured(Measure::Tags, &judge::tags(&request.tags, &listed.tags));
        let verdict = match self.create_once(&request).await? {
            Ok(again) => Verdict::holds_if(again == a, format!("returns {again}, first {a}")),
            Err(why) if judge::says_nothing(why.kind) => Verdict::failed(&why),
            Err(why) => Verdict::new(Outcome::Differs, judge::refusal(&why)),
        };
        self.measured(Measure::Token, &verdict);
        Ok(a)
    }

    /// The first listing with the interface.
    async fn first_listing(&mut self, eni: &EniId) -> Result<ListedInterface, Halt> {
        let begun = Instant::now();
        loop {
            let listed = self.list(&InterfacesBy::Ids([eni.clone()].into())).await?;
            if let Some(found) = listed.into_iter().find(|one| one.id == *eni) {
                return Ok(found);
            }
            if begun.elapsed() > VISIBLE_WITHIN {
                let detail = format!("DescribeNetworkInterfaces: no {eni} in {VISIBLE_WITHIN:?}");
                return Err(failed(CloudKind::NotFound, detail));
            }
            self.pause(POLL).await?;
        }
    }

    /// Takes three of the candidates. A refused one is in use, whatever the listing showed.
    async fn take(
        &mut self,
        eni: &EniId,
        candidates: Vec<Ipv4Addr>,
    ) -> Result<[Ipv4Addr; 3], Halt> {
        let mut taken = Vec::new();
        for address in candidates {
            if taken.len() == 3 {
                break;
            }
            match self.assign_when_found(eni, address, Reassign::Refuse).await?.0 {
                Ok(()) => taken.push(address),
                Err(why) if why.kind == CloudKind::HeldElsewhere => {}
                Err(why) => return Err(Halt::Failed(why)),
            }
        }
        let taken: Result<[Ipv4Addr; 3], _> = taken.try_into();
        taken.map_err(|found| shortage(&format!("only {} addresses could be taken", found.len())))
    }

    /// Repeats an Assign while EC2 does not know the interface or is busy. Returns the last answer,
    /// and for how long the interface was not found.
    async fn assign_when_found(
        &mut self,
        eni: &EniId,
        address: Ipv4Addr,
        reassign: Reassign,
    ) -> Result<(Answer, Duration), Halt> {
        let (begun, mut unknown) = (Instant::now(), Duration::ZERO);
        loop {
            let answer = self.assign(eni, &[address], reassign).await?;
            let kind = answer.as_ref().err().map(|why| why.kind);
            let retry = kind.is_some_and(|kind| kind == CloudKind::NotFound || passes(kind));
            if !retry || begun.elapsed() > VISIBLE_WITHIN {
                return Ok((answer, unknown));
            }
            if kind == Some(CloudKind::NotFound) {
                unknown = begun.elapsed();
            }
            self.pause(POLL).await?;
        }
    }

    /// How long interface B is not found: the last of the addresses is moved to it.
    async fn measure_new_interface(
        &mut self,
        b: &EniId,
        [_, _, z]: [Ipv4Addr; 3],
    ) -> Result<(), Halt> {
        let (answer, unknown) = self.assign_when_found(b, z, Reassign::Allow).await?;
        let observed = format!("refused as NotFound for {}", seconds(unknown));
        let verdict = match answer {
            Ok(()) => Verdict::holds_if(unknown <= VISIBLE_WITHIN, observed),
            Err(why) if why.kind == CloudKind::NotFound => Verdict::holds_if(false, observed),
            Err(why) => Verdict::failed(&why),
        };
        self.measured(Measure::NewInterface, &verdict);
        Ok(())
    }
}

fn failed(kind: CloudKind, detail: String) -> Halt {
    Halt::Failed(CloudFailure { kind, effect: Effect::None, detail })
}

fn shortage(detail: &str) -> Halt {
    failed(CloudKind::SubnetExhausted, detail.to_owned())
}
