//! The resolver of the VPC, over UDP and TCP. It answers from the private hosted zones and
//! remembers answers as long as they may be, also that a name does not exist. It knows no other
//! name.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use firecamp_vpc::{Lookup, Record as Known, RecordType};
use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType as Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::failure::Failure;
use crate::network::RESOLVER;
use crate::real_time_simulator::Driver;

/// The largest UDP message without EDNS (RFC 1035).
const DATAGRAM: usize = 512;

/// By name and type; without a type, that the name does not exist.
type Memory = BTreeMap<(String, Option<RecordType>), (Duration, Lookup)>;

/// The resolver with its memory.
pub(super) struct Resolver {
    driver: Arc<Driver>,
    /// Answers, and until when they are remembered.
    known: Mutex<Memory>,
}

/// Opens its sockets and serves them until the box ends.
pub(super) async fn start(driver: &Arc<Driver>) -> Result<(), Failure> {
    let at = format!("{RESOLVER}:53");
    let opened = |error| Failure::kernel("listen on", &at, error);
    let udp = Arc::new(UdpSocket::bind(&at).await.map_err(opened)?);
    let tcp = TcpListener::bind(&at).await.map_err(opened)?;
    let resolver = Arc::new(Resolver { driver: Arc::clone(driver), known: Mutex::default() });
    tokio::spawn(datagrams(Arc::clone(&resolver), udp));
    tokio::spawn(connections(resolver, tcp));
    Ok(())
}

async fn datagrams(resolver: Arc<Resolver>, socket: Arc<UdpSocket>) {
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::warn!(%error, "failed to receive a DNS question");
                tokio::task::yield_now().await;
                continue;
            }
        };
        let Some(question) = buffer.get(..length) else { continue };
        let Some(answer) = resolver.answer(question, DATAGRAM) else { continue };
        if let Err(error) = socket.send_to(&answer, from).await {
            tracing::debug!(%error, %from, "failed to send a DNS answer");
        }
    }
}

async fn connections(resolver: Arc<Resolver>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let resolver = Arc::clone(&resolver);
                tokio::spawn(async move {
                    if let Err(error) = connection(&resolver, stream).await {
                        tracing::debug!(%error, %from, "DNS connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a DNS connection");
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Each message follows its length.
async fn connection(resolver: &Resolver, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let length = match stream.read_u16().await {
            Ok(length) => length,
            Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await?;
        let Some(answer) = resolver.answer(&question, usize::from(u16::MAX)) else {
            return Ok(());
        };
        stream.write_u16(u16::try_from(answer.len()).unwrap_or(u16::MAX)).await?;
        stream.write_all(&answer).await?;
    }
}

impl Resolver {
    /// The answer to a message; none to what is no message.
    fn answer(&self, question: &[u8], most: usize) -> Option<Vec<u8>> {
        let question = Message::from_vec(question).ok()?;
        let answer = self.respond(&question);
        let bytes = answer.to_vec().ok()?;
        if bytes.len() <= most { Some(bytes) } else { answer.truncate().to_vec().ok() }
    }

    fn respond(&self, question: &Message) -> Message {
        let (id, code) = (question.metadata.id, question.metadata.op_code);
        let [query] = question.queries.as_slice() else {
            return Message::error_msg(id, code, ResponseCode::FormErr);
        };
        if code != OpCode::Query {
            return Message::error_msg(id, code, ResponseCode::NotImp);
        }
        let mut answer = Message::response(id, code);
        answer.metadata.recursion_desired = question.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.add_query(query.clone());
        let name = query.name().to_ascii();
        let Some(kind) = kind_of(query.query_type()) else { return answer };
        match self.look_up(&name, kind) {
            // A resolver would ask servers of the Internet, which has no other names here.
            Lookup::NotHere => answer.metadata.response_code = ResponseCode::NXDomain,
            Lookup::NoName(soa) => {
                answer.metadata.response_code = ResponseCode::NXDomain;
                answer.add_authorities(wire(&soa));
            }
            Lookup::NoData(soa) => {
                answer.add_authorities(wire(&soa));
            }
            Lookup::Records(all) => {
                answer.add_answers(all.iter().filter_map(wire));
            }
        }
        answer
    }

    fn look_up(&self, name: &str, kind: RecordType) -> Lookup {
        let name = name.to_ascii_lowercase();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.driver.clock.now();
        // That a name does not exist is remembered for all types (RFC 2308, section 5).
        for key in [(name.clone(), None), (name.clone(), Some(kind))] {
            if let Some((until, lookup)) = known.get(&key).filter(|(until, _)| now < *until) {
                return aged(lookup.clone(), until.saturating_sub(now));
            }
        }
        let lookup =
            self.driver.with_simulator(|simulator, now| simulator.resolve(now, &name, kind));
        if let Some(ttl) = ttl(&lookup) {
            let key = (name, Some(kind).filter(|_| !matches!(lookup, Lookup::NoName(_))));
            known.insert(key, (now + Duration::from_secs(u64::from(ttl)), lookup.clone()));
        }
        lookup
    }
}

/// How long an answer may be remembered.
fn ttl(lookup: &Lookup) -> Option<u32> {
    match lookup {
        Lookup::NotHere => None,
        Lookup::NoName(soa) | Lookup::NoData(soa) => Some(soa.ttl),
        Lookup::Records(all) => all.iter().map(|record| record.ttl).min(),
    }
}

/// A remembered answer may be remembered by others for the rest of the time.
fn aged(mut lookup: Lookup, rest: Duration) -> Lookup {
    let rest = u32::try_from(rest.as_secs()).unwrap_or(u32::MAX);
    match &mut lookup {
        Lookup::NotHere => {}
        Lookup::NoName(soa) | Lookup::NoData(soa) => soa.ttl = rest,
        Lookup::Records(all) => all.iter_mut().for_each(|record| record.ttl = rest),
    }
    lookup
}

fn kind_of(wire: Wire) -> Option<RecordType> {
    let kinds = [
        (Wire::A, RecordType::A),
        (Wire::AAAA, RecordType::Aaaa),
        (Wire::CNAME, RecordType::Cname),
        (Wire::NS, RecordType::Ns),
        (Wire::SOA, RecordType::Soa),
        (Wire::TXT, RecordType::Txt),
    ];
    kinds.into_iter().find(|(known, _)| *known == wire).map(|(_, kind)| kind)
}

fn wire(known: &Known) -> Option<Record> {
    let name = |text: &str| Name::from_ascii(text).ok();
    let value = known.value.as_str();
    let data = match known.kind {
        RecordType::A => RData::A(A(value.parse().ok()?)),
        RecordType::Aaaa => RData::AAAA(AAAA(value.parse().ok()?)),
        RecordType::Cname => RData::CNAME(CNAME(name(value)?)),
        RecordType::Ns => RData::NS(NS(name(value)?)),
        RecordType::Txt => RData::TXT(TXT::new(vec![value.trim_matches('"').to_owned()])),
        RecordType::Soa => RData::SOA(soa(value)?),
    };
    Some(Record::from_rdata(name(&known.name)?, known.ttl, data))
}

/// The fields as in a zone file.
fn soa(value: &str) -> Option<SOA> {
    let mut fields = value.split(' ');
    let (server, person) = (fields.next()?, fields.next()?);
    let mut number = || fields.next()?.parse::<i32>().ok();
    let (serial, refresh, retry, expire, last) =
        (number()?, number()?, number()?, number()?, number()?);
    let names = (Name::from_ascii(server).ok()?, Name::from_ascii(person).ok()?);
    let unsigned = |number: i32| u32::try_from(number).ok();
    let (serial, last) = (unsigned(serial)?, unsigned(last)?);
    Some(SOA::new(names.0, names.1, serial, refresh, retry, expire, last))
}
