//! Log groups, their streams and events.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::messages::{
    CreateLogGroup, CreateLogStream, DeleteLogGroup, DescribeLogGroups, DescribeLogStreams,
    GetLogEvents, InputLogEvent, PutLogEvents, PutRetentionPolicy, TagResource, arn, exists,
    invalid, missing,
};
use crate::ec2::ApiError;

/// The days that PutRetentionPolicy accepts.
const RETENTION: [u32; 23] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653, 9999,
];
/// The longest name of a group or a stream.
const NAME: usize = 512;
/// What PutLogEvents accepts at once: events, and bytes with [`OVERHEAD`] for each event.
const EVENTS: usize = 10_000;
const BYTES: usize = 1_048_576;
const OVERHEAD: usize = 26;
const DAY: Duration = Duration::from_hours(24);
/// Events from the future and from the past beyond these are rejected.
const FUTURE: Duration = Duration::from_hours(2);
const PAST: Duration = Duration::from_hours(14 * 24);
/// Entries of a page of groups or streams.
const PAGE: usize = 50;

/// Nothing, or the body of the answer.
type Answered = Result<Option<Value>, ApiError>;

/// All log groups of the account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Groups(BTreeMap<String, Group>);

#[derive(Debug, Clone)]
struct Group {
    created: u64,
    retention: Option<u32>,
    tags: BTreeMap<String, String>,
    streams: BTreeMap<String, Stream>,
}

#[derive(Debug, Clone)]
struct Stream {
    created: u64,
    events: Vec<Event>,
}

#[derive(Debug, Clone)]
struct Event {
    event: InputLogEvent,
    ingested: u64,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A group's name: letters, digits and `_-/.#`.
fn check_group(name: &str) -> Result<(), ApiError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-/.#".contains(c);
    if (1..=NAME).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    Err(invalid(format!("Value '{name}' at 'logGroupName' failed to satisfy constraint")))
}

/// A stream's name: anything without colon and asterisk.
fn check_stream(name: &str) -> Result<(), ApiError> {
    if (1..=NAME).contains(&name.len()) && !name.contains([':', '*']) {
        return Ok(());
    }
    Err(invalid(format!("Value '{name}' at 'logStreamName' failed to satisfy constraint")))
}

/// What PutLogEvents refuses as a whole.
fn check_batch(events: &[InputLogEvent]) -> Result<(), ApiError> {
    let bytes: usize = events.iter().map(|event| event.message.len() + OVERHEAD).sum();
    let ordered = events.is_sorted_by_key(|event| event.timestamp);
    let span = match events {
        [first, .., last] => last.timestamp.saturating_sub(first.timestamp),
        _ => 0,
    };
    Err(invalid(if events.is_empty() || events.len() > EVENTS {
        format!("{} log events: not between 1 and {EVENTS}", events.len())
    } else if events.iter().any(|event| event.message.is_empty()) {
        "Log event message cannot be empty".to_owned()
    } else if bytes > BYTES {
        format!("Upload too large: {bytes} bytes exceeds limit of {BYTES}")
    } else if !ordered {
        "Log events in a single PutLogEvents request must be in chronological order.".to_owned()
    } else if span > millis(DAY) {
        "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
            .to_owned()
    } else {
        return Ok(());
    }))
}

type Page<'a, T> = (Vec<(&'a String, T)>, Option<String>);

/// A page of a list, and the token of the next one: the last name of the page.
fn page<'a, T>(
    all: impl Iterator<Item = (&'a String, T)>,
    (prefix, limit, after): (&str, Option<usize>, Option<&String>),
) -> Result<Page<'a, T>, ApiError> {
    let limit = limit.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&limit) {
        return Err(invalid(format!("Value '{limit}' at 'limit' failed to satisfy constraint")));
    }
    let wanted = |(name, _): &(&String, T)| {
        name.starts_with(prefix) && after.is_none_or(|after| *name > after)
    };
    let mut rest = all.filter(wanted);
    let page: Vec<_> = rest.by_ref().take(limit).collect();
    let next = rest.next().and_then(|_| page.last().map(|(name, _)| (*name).clone()));
    Ok((page, next))
}

impl Groups {
    fn group(&self, name: &str) -> Result<&Group, ApiError> {
        self.0.get(name).ok_or_else(|| missing("group"))
    }

    fn group_mut(&mut self, name: &str) -> Result<&mut Group, ApiError> {
        self.0.get_mut(name).ok_or_else(|| missing("group"))
    }

    pub(super) fn create(&mut self, request: CreateLogGroup, now: Duration) -> Answered {
        check_group(&request.log_group_name)?;
        if self.0.contains_key(&request.log_group_name) {
            return Err(exists("group"));
        }
        let (created, tags) = (millis(now), request.tags);
        let group = Group { created, retention: None, tags, streams: BTreeMap::new() };
        self.0.insert(request.log_group_name, group);
        Ok(None)
    }

    pub(super) fn delete(&mut self, request: &DeleteLogGroup) -> Answered {
        self.0.remove(&request.log_group_name).ok_or_else(|| missing("group"))?;
        Ok(None)
    }

    pub(super) fn retain(&mut self, request: &PutRetentionPolicy) -> Answered {
        let days = request.retention_in_days;
        let group = self.group_mut(&request.log_group_name)?;
        if !RETENTION.contains(&days) {
            return Err(invalid(format!("Invalid value for retentionInDays: {days}")));
        }
        group.retention = Some(days);
        Ok(None)
    }

    pub(super) fn tag(&mut self, request: TagResource, region: &str) -> Answered {
        let own = arn(region, "");
        let name = request.resource_arn.strip_prefix(&own).unwrap_or_default();
        let group = self.group_mut(name.strip_suffix(":*").unwrap_or(name))?;
        group.tags.extend(request.tags);
        Ok(None)
    }

    pub(super) fn create_stream(&mut self, request: CreateLogStream, now: Duration) -> Answered {
        check_stream(&request.log_stream_name)?;
        let group = self.group_mut(&request.log_group_name)?;
        if group.streams.contains_key(&request.log_stream_name) {
            return Err(exists("stream"));
        }
        let stream = Stream { created: millis(now), events: Vec::new() };
        group.streams.insert(request.log_stream_name, stream);
        Ok(None)
    }

    /// Events outside of the accepted times are rejected one by one, and the answer says which.
    pub(super) fn put(&mut self, request: PutLogEvents, now: Duration) -> Answered {
        let group = self.group_mut(&request.log_group_name)?;
        let retention = group.retention.map_or(PAST, |days| DAY.saturating_mul(days).min(PAST));
        let stream = group.streams.get_mut(&request.log_stream_name);
        let stream = stream.ok_or_else(|| missing("stream"))?;
        check_batch(&request.log_events)?;
        let (oldest, newest) = (millis(now.saturating_sub(retention)), millis(now + FUTURE));
        let old = request.log_events.partition_point(|event| event.timestamp < oldest);
        let good = request.log_events.partition_point(|event| event.timestamp <= newest);
        let rejected = match (old, good < request.log_events.len()) {
            (0, false) => None,
            (0, true) => Some(json!({ "tooNewLogEventStartIndex": good })),
            (_, false) => Some(json!({ "tooOldLogEventEndIndex": old })),
            (_, true) => Some(json!({
                "tooOldLogEventEndIndex": old, "tooNewLogEventStartIndex": good,
            })),
        };
        let ingested = millis(now);
        let accepted = request.log_events.into_iter().take(good).skip(old);
        stream.events.extend(accepted.map(|event| Event { event, ingested }));
        // A read returns the events in the order of their times.
        stream.events.sort_by_key(|event| event.event.timestamp);
        let mut answer = json!({ "nextSequenceToken": format!("{:056}", stream.events.len()) });
        if let (Some(rejected), Some(answer)) = (rejected, answer.as_object_mut()) {
            answer.insert("rejectedLogEventsInfo".to_owned(), rejected);
        }
        Ok(Some(answer))
    }

    pub(super) fn described(&self, request: &DescribeLogGroups, region: &str) -> Answered {
        let (prefix, token) = (&request.log_group_name_prefix, request.next_token.as_ref());
        let (page, next) = page(self.0.iter(), (prefix, request.limit, token))?;
        let one = |(name, group): &(&String, &Group)| {
            let mut shown = json!({
                "logGroupName": name,
                "creationTime": group.created,
                "arn": format!("{}:*", arn(region, name)),
                "storedBytes": 0,
            });
            if let (Some(days), Some(shown)) = (group.retention, shown.as_object_mut()) {
                shown.insert("retentionInDays".to_owned(), days.into());
            }
            shown
        };
        let all: Vec<Value> = page.iter().map(one).collect();
        Ok(Some(with_token(json!({ "logGroups": all }), next)))
    }

    pub(super) fn streams(&self, request: &DescribeLogStreams, region: &str) -> Answered {
        let group = self.group(&request.log_group_name)?;
        let (prefix, token) = (&request.log_stream_name_prefix, request.next_token.as_ref());
        let (page, next) = page(group.streams.iter(), (prefix, request.limit, token))?;
        let own = arn(region, &request.log_group_name);
        let one = |(name, stream): &(&String, &Stream)| {
            let mut shown = json!({
                "logStreamName": name,
                "creationTime": stream.created,
                "arn": format!("{own}:log-stream:{name}"),
            });
            let ends = (stream.events.first(), stream.events.last());
            if let ((Some(first), Some(last)), Some(shown)) = (ends, shown.as_object_mut()) {
                shown.insert("firstEventTimestamp".to_owned(), first.event.timestamp.into());
                shown.insert("lastEventTimestamp".to_owned(), last.event.timestamp.into());
            }
            shown
        };
        let all: Vec<Value> = page.iter().map(one).collect();
        Ok(Some(with_token(json!({ "logStreams": all }), next)))
    }

    /// A page of events. Its token is the place in the stream, so the end returns its own token.
    pub(super) fn events(&self, request: &GetLogEvents) -> Answered {
        let group = self.group(&request.log_group_name)?;
        let stream = group.streams.get(&request.log_stream_name);
        let events = &stream.ok_or_else(|| missing("stream"))?.events;
        let limit = request.limit.unwrap_or(EVENTS);
        if !(1..=EVENTS).contains(&limit) {
            return Err(invalid(format!(
                "Value '{limit}' at 'limit' failed to satisfy constraint"
            )));
        }
        let latest = events.len().saturating_sub(limit);
        let start = match &request.next_token {
            Some(token) => {
                place(token).ok_or_else(|| invalid("The specified nextToken is invalid."))?
            }
            None if request.start_from_head => 0,
            None => latest,
        };
        let mut left = BYTES;
        let fits = |event: &&Event| {
            let taken = left.checked_sub(event.event.message.len() + OVERHEAD);
            left = taken.unwrap_or_default();
            taken.is_some()
        };
        let page: Vec<Value> =
            events.iter().skip(start).take(limit).take_while(fits).map(shown).collect();
        let end = start.min(events.len()) + page.len();
        Ok(Some(json!({
            "events": page,
            "nextForwardToken": format!("f/{end}"),
            "nextBackwardToken": format!("b/{}", start.saturating_sub(limit)),
        })))
    }
}

fn place(token: &str) -> Option<usize> {
    token.strip_prefix("f/").or_else(|| token.strip_prefix("b/"))?.parse().ok()
}

fn shown(Event { event, ingested }: &Event) -> Value {
    json!({ "timestamp": event.timestamp, "message": event.message, "ingestionTime": ingested })
}

fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let (Some(next), Some(answer)) = (next, answer.as_object_mut()) {
        answer.insert("nextToken".to_owned(), next.into());
    }
    answer
}
