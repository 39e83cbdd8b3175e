//! Measures what no single answer shows: moves, listings and deletion.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cloud::InterfacesBy;
use firecamp_core::contract::{tag, timing};
use firecamp_core::failure::CloudKind;
use firecamp_core::ids::EniId;
use tokio::time::Instant;

use super::fact::{Measure, Place, Side};
use super::judge::{self, Move, Outcome, ReadBy, Sample, Verdict, seconds};
use super::ports::{Ec2, Reassign};
use super::session::{Halt, PAGE, POLL, Session, VISIBLE_WITHIN};
use super::set_up::Scene;

/// How many moves are measured.
const MOVES: usize = 6;
/// After this many reads in a row that show a move, it counts as visible.
const FRESH: usize = 8;
/// How long an address of a deleted interface may stay in use.
const FREE_WITHIN: Duration = Duration::from_secs(10);

/// EC2's smallest page.
const SMALLEST_PAGE: i32 = 5;

const MOVING: [Measure; 4] = [Measure::Move, Measure::Gap, Measure::ReadLag, Measure::Filter];
const LISTING: [Measure; 3] = [Measure::Pages, Measure::UnknownId, Measure::ByTag];
const DELETION: [Measure; 2] = [Measure::DeleteFrees, Measure::Deleted];

impl<E: Ec2> Session<'_, E> {
    /// Moves an address several times, and reads meanwhile.
    pub(super) async fn try_moves(&mut self, scene: &Scene) -> Result<(), Halt> {
        let done = self.measure_moves(scene).await;
        self.close(&MOVING, done)
    }

    async fn measure_moves(&mut self, scene: &Scene) -> Result<(), Halt> {
        let [x, ..] = scene.addresses;
        self.have(x, &scene.a).await?.map_err(Halt::Failed)?;
        // Reads may still show where the steps before had the address.
        self.pause(timing::DESCRIBE_LAG).await?;
        self.shown(scene, Place::X, Side::A).await?;
        let (mut moves, mut refused) = (Vec::new(), None);
        for to in [&scene.b, &scene.a].into_iter().cycle().take(MOVES) {
            if let Err(why) = self.assign(to, &[x], Reassign::Allow).await? {
                refused = Some(why);
                break;
            }
            let samples = self.sample(scene, x, to).await?;
            moves.push(Move { to: to.clone(), samples });
        }
        let verdict = match refused {
            Some(why) if judge::says_nothing(why.kind) => Verdict::failed(&why),
            Some(why) => Verdict::new(Outcome::Differs, judge::refusal(&why)),
            None => judge::moved(&moves),
        };
        self.measured(Measure::Move, &verdict);
        if !moves.is_empty() {
            let lags: Vec<_> = moves.iter().map(Move::lag).collect();
            self.measured(Measure::Gap, &judge::without_gap(&moves));
            self.measured(Measure::ReadLag, &judge::lags(&lags, timing::DESCRIBE_LAG));
            self.measured(Measure::Filter, &judge::filter_agrees(&moves));
        }
        let skipped = Verdict::new(Outcome::FailedToTry, "no move succeeded");
        self.skip(&MOVING, &skipped);
        Ok(())
    }

    /// Reads by ID and by address in turn until several in a row show the move.
    async fn sample(
        &mut self,
        scene: &Scene,
        address: Ipv4Addr,
        to: &EniId,
    ) -> Result<Vec<Sample>, Halt> {
        let begun = Instant::now();
        let (mut samples, mut fresh) = (Vec::new(), 0);
        while fresh < FRESH && begun.elapsed() <= VISIBLE_WITHIN {
            for by in [ReadBy::Ids, ReadBy::Address] {
                let at = begun.elapsed();
                let filter = match by {
                    ReadBy::Ids => scene.both(),
                    ReadBy::Address => InterfacesBy::Address(address),
                };
                let listed = self.list(&filter).await?;
                let holders = listed.into_iter().filter(|one| one.has(address)).map(|one| one.id);
                let sample = Sample { at, by, holders: holders.collect() };
                let shows = sample.holders.iter().eq([to]);
                fresh = if shows { fresh + 1 } else { 0 };
                samples.push(sample);
            }
            self.pause(POLL).await?;
        }
        Ok(samples)
    }

    /// Lists in pages, by an unknown ID, and by tag.
    pub(super) async fn try_listings(&mut self, scene: &Scene) -> Result<(), Halt> {
        let done = self.measure_listings(scene).await;
        self.close(&LISTING, done)
    }

    async fn measure_listings(&mut self, scene: &Scene) -> Result<(), Halt> {
        let unknown = EniId::new("eni-00000000000000000");
        if let Ok(unknown) = unknown {
            let found = self.list(&InterfacesBy::Ids([unknown].into())).await?;
            let observed = format!("a list of {}", found.len());
            self.measured(Measure::UnknownId, &Verdict::holds_if(found.is_empty(), observed));
        }
        let all = self.list(&InterfacesBy::Subnet).await?;
        let large: Vec<EniId> = all.into_iter().map(|one| one.id).collect();
        // A few pages, however large the subnet is: EC2 accepts 5 to 1000.
        let size = i32::try_from(large.len() / 3).unwrap_or(PAGE).clamp(5, 1000);
        let pages = self.list_pages(&InterfacesBy::Subnet, size).await?;
        let small: Vec<Vec<EniId>> =
            pages.into_iter().map(|page| page.into_iter().map(|one| one.id).collect()).collect();
        let ours = [scene.a.clone(), scene.b.clone()];
        self.measured(Measure::Pages, &judge::pages(&small, &large, &ours));
        self.measure_by_tag(scene).await
    }

    /// Judges how long lists by tag lag: after the creation of the interfaces, after a move of an
    /// address to B, and after its move back to A.
    async fn measure_by_tag(&mut self, scene: &Scene) -> Result<(), Halt> {
        let mut lags = vec![scene.listed_by_tag.clone().map_err(Halt::Failed)?];
        let [x, ..] = scene.addresses;
        self.have(x, &scene.a).await?.map_err(Halt::Failed)?;
        for [from, to] in [[&scene.a, &scene.b], [&scene.b, &scene.a]] {
            self.have(x, to).await?.map_err(Halt::Failed)?;
            lags.push(self.lag_by_tag(Instant::now(), [to, from], x).await?);
        }
        self.measured(Measure::ByTag, &judge::lags(&lags, VISIBLE_WITHIN));
        Ok(())
    }

    /// Polls until a list by the run's tag has both interfaces once, and the address on the first
    /// one alone. Returns how long after `since` the last list without that was sent, so that the
    /// time before the first list is no lag; none if no list has it.
    pub(super) async fn lag_by_tag(
        &mut self,
        since: Instant,
        ours: [&EniId; 2],
        address: Ipv4Addr,
    ) -> Result<Option<Duration>, Halt> {
        let (key, value) = (tag::VERIFY_EC2_RUN.to_owned(), self.run.to_owned());
        let by = InterfacesBy::Tag { key, value };
        let (begun, mut lag) = (Instant::now(), Duration::ZERO);
        while begun.elapsed() <= VISIBLE_WITHIN {
            let sent = since.elapsed();
            let pages = self.list_pages(&by, SMALLEST_PAGE).await?;
            if judge::lists_both(&pages, ours, address) {
                return Ok(Some(lag));
            }
            lag = sent;
            self.pause(POLL).await?;
        }
        Ok(None)
    }

    /// Deletes interface B with an address on it.
    pub(super) async fn try_deletion(&mut self, scene: &Scene) -> Result<(), Halt> {
        let done = self.measure_deletion(scene).await;
        self.close(&DELETION, done)
    }

    async fn measure_deletion(&mut self, scene: &Scene) -> Result<(), Halt> {
        let [x, ..] = scene.addresses;
        self.have(x, &scene.b).await?.map_err(Halt::Failed)?;
        self.delete(&scene.b).await?.map_err(Halt::Failed)?;
        let begun = Instant::now();
        let verdict = loop {
            let answer = self.assign(&scene.a, &[x], Reassign::Refuse).await?;
            let late = begun.elapsed() > FREE_WITHIN;
            match answer {
                Ok(()) => {
                    let observed = format!("free after {}", seconds(begun.elapsed()));
                    break Verdict::holds_if(true, observed);
                }
                Err(why) if why.kind == CloudKind::HeldElsewhere && late => {
                    break Verdict::holds_if(false, judge::refusal(&why));
                }
                Err(why) if why.kind == CloudKind::HeldElsewhere => self.pause(POLL).await?,
                Err(why) => break Verdict::failed(&why),
            }
        };
        let verdict = self.unless_taken(verdict, &[x]).await?;
        self.measured(Measure::DeleteFrees, &verdict);
        let [_, _, z] = scene.addresses;
        let answers =
            [self.delete(&scene.b).await?, self.assign(&scene.b, &[z], Reassign::Refuse).await?];
        self.measured(Measure::Deleted, &judge::deleted(&answers));
        Ok(())
    }
}
