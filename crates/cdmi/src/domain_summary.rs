//! Summaries of domains (clause 10.3): one of all the time since a domain was made, and one of each
//! day, month and year of it.
//!
//! Nothing is counted for them. A summary says which time it is of; one whose time has not ended
//! says what the domain holds now, too, under names that are this server's own. The least that a
//! domain held is known of the time that it was made in: it began with nothing.

use crate::call::Call;
use crate::fault::{Answered, Fault};
use crate::made::{MadeContainer, MadeObject};
use crate::media::Kind;
use crate::path::Names;
use crate::route::not_allowed;
use crate::time;
use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use trestle_core::{AccountId, Timestamp};
use trestle_store::{Account, AccountUsage};

/// The name of a domain's summaries among its children.
pub(crate) const NAME: &str = "cdmi_domain_summary";
/// Most summaries of one kind.
const PERIODS_MAX: usize = 10_000;

/// How long summaries are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Day,
    Month,
    Year,
}

/// The containers of summaries.
pub(crate) const PERIODS: [&str; 3] = ["daily", "monthly", "yearly"];

impl Length {
    fn of(name: &str) -> Option<Self> {
        match name {
            "daily" => Some(Length::Day),
            "monthly" => Some(Length::Month),
            "yearly" => Some(Length::Year),
            _ => None,
        }
    }

    /// The first day of the period that a day is in.
    fn first(self, day: Date) -> Date {
        match self {
            Length::Day => day,
            Length::Month => day.first_of_month(),
            Length::Year => day.first_of_year(),
        }
    }

    /// The first day after the period that a day is in.
    fn next(self, day: Date) -> Option<Date> {
        match self {
            Length::Day => day.tomorrow().ok(),
            Length::Month => day.last_of_month().tomorrow().ok(),
            Length::Year => day.last_of_year().tomorrow().ok(),
        }
    }

    fn name(self, day: Date) -> String {
        match self {
            Length::Day => format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day()),
            Length::Month => format!("{:04}-{:02}", day.year(), day.month()),
            Length::Year => format!("{:04}", day.year()),
        }
    }

    /// All periods from one time to another, by their names.
    fn periods(self, from: Timestamp, to: Timestamp) -> Vec<(String, Date)> {
        let mut periods = Vec::new();
        let last = day_of(to);
        let mut day = self.first(day_of(from));
        while day <= last && periods.len() < PERIODS_MAX {
            periods.push((self.name(day), day));
            match self.next(day) {
                Some(next) => day = next,
                None => break,
            }
        }
        periods
    }
}

fn day_of(time: Timestamp) -> Date {
    let micros = i64::try_from(time.0).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    time.to_zoned(TimeZone::UTC).date()
}

fn start_of(day: Date) -> Timestamp {
    let start = day.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    let micros = start.map_or(0, |start| start.as_microsecond());
    Timestamp(u64::try_from(micros).unwrap_or(0))
}

impl Call<'_> {
    /// Answers at a path below a domain's summaries.
    pub(crate) async fn domain_summary(&self, id: &AccountId, below: &Names) -> Answered {
        self.check_unmade()?;
        if !matches!(self.method, Method::GET | Method::HEAD) {
            return Ok(not_allowed("GET, HEAD"));
        }
        let found = self.domain_usage(id).await?;
        let account = &found.0;
        let (from, now) = (account.created, self.cdmi.store.now());
        let top = format!("{}{NAME}/", self.domain_path(id));
        let names: Vec<&str> = below.names.iter().map(String::as_str).collect();
        let missing = || Fault::missing(&format!("{top}{}", names.join("/")));
        match names.as_slice() {
            [] => {
                let children = ["cumulative", "daily/", "monthly/", "yearly/"];
                let children = children.iter().map(|name| (*name).to_owned());
                self.summaries((id, &top), self.domain_path(id), children.collect())
                    .await
            }
            ["cumulative"] => {
                let parent = (top.as_str(), "cumulative");
                self.summary(&found, parent, ((from, now), true)).await
            }
            [length] => {
                let length_of = Length::of(length).ok_or_else(missing)?;
                let path = format!("{top}{length}/");
                let periods = length_of.periods(from, now);
                let children = periods.into_iter().map(|(name, _)| name);
                self.summaries((id, &path), top, children.collect()).await
            }
            [length, name] => {
                let length_of = Length::of(length).ok_or_else(missing)?;
                let mut periods = length_of.periods(from, now).into_iter();
                let (_, day) = periods
                    .find(|(other, _)| other == name)
                    .ok_or_else(missing)?;
                let end = length_of.next(day).map_or(now, start_of);
                let span = (start_of(day).max(from), end.min(now));
                let parent = format!("{top}{length}/");
                self.summary(&found, (&parent, name), (span, end >= now))
                    .await
            }
            _ => Err(missing()),
        }
    }

    async fn summaries(
        &self,
        (id, path): (&AccountId, &str),
        parent: String,
        children: Vec<String>,
    ) -> Answered {
        self.made_container(&MadeContainer {
            path: path.to_owned(),
            parent,
            domain: self.domain_path(id),
            profile: "/cdmi_capabilities/container/summaries/",
            kind: Kind::Container,
            children,
        })
        .await
    }

    async fn summary(
        &self,
        (account, usage): &(Account, AccountUsage),
        (parent, name): (&str, &str),
        ((start, end), goes_on): ((Timestamp, Timestamp), bool),
    ) -> Answered {
        let id = &account.id;
        let mut content = Map::new();
        let mut say = |name: &str, text: String| content.insert(name.to_owned(), text.into());
        say("cdmi_domainURI", self.domain_path(id));
        say("cdmi_summary_start", time::text(start));
        say("cdmi_summary_end", time::text(end));
        if start == account.created {
            say("cdmi_summary_objectsmin", "0".to_owned());
            say("cdmi_summary_bytesmin", "0".to_owned());
        }
        if goes_on {
            say("objects", usage.objects.to_string());
            say("bytes", usage.bytes.to_string());
        }
        let bytes = Bytes::from(Value::Object(content).to_string());
        let made = MadeObject {
            id,
            parent,
            name,
            profile: "/cdmi_capabilities/dataobject/summary/",
            metadata: Map::new(),
            bytes,
        };
        self.made_object(made, StatusCode::OK).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_cover_the_time_since_a_domain_was_made() {
        let at = |text: &str| time::parse(text).unwrap();
        let (from, to) = (at("2024-12-30T12:00:00Z"), at("2025-01-02T00:00:01Z"));
        let names = |length: Length| -> Vec<String> {
            let periods = length.periods(from, to).into_iter();
            periods.map(|(name, _)| name).collect()
        };
        let days = ["2024-12-30", "2024-12-31", "2025-01-01", "2025-01-02"];
        assert_eq!(names(Length::Day), days);
        assert_eq!(names(Length::Month), ["2024-12", "2025-01"]);
        assert_eq!(names(Length::Year), ["2024", "2025"]);
        let (_, day) = Length::Month.periods(from, to).remove(0);
        assert_eq!(start_of(day), at("2024-12-01T00:00:00Z"));
        let next = Length::Month.next(day).map(start_of);
        assert_eq!(next, Some(at("2025-01-01T00:00:00Z")));
    }
}
