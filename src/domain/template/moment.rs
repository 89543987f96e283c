//! Points in time as Go's `time.Time` has them: seconds, nanoseconds and a zone.
//!
//! There is no database of time zones: the local zone is UTC, as in a container without one, and every
//! other zone comes out of a text that names its offset.

use std::cmp::Ordering;
use std::rc::Rc;

/// Where a time is.
#[derive(Clone)]
pub(crate) enum Zone {
    Utc,
    /// The zone of the machine, which is taken for UTC.
    Local,
    /// An offset from UTC in seconds, with the abbreviation it came with, if any.
    Fixed(Rc<str>, i32),
}

impl Zone {
    /// Seconds east of UTC.
    pub(crate) fn offset(&self) -> i32 {
        if let Self::Fixed(_, offset) = self { *offset } else { 0 }
    }

    /// The abbreviation; empty when there is none.
    pub(crate) fn abbreviation(&self) -> &str {
        if let Self::Fixed(name, _) = self { name } else { "UTC" }
    }

    /// What Go calls the location.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Utc => "UTC",
            Self::Local => "Local",
            Self::Fixed(name, _) => name,
        }
    }

    /// Whether Go holds both in the same place of its memory, which `eq` looks at: it makes one zone of
    /// each nameless offset of whole hours, and a new one for every other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Utc, Self::Utc) | (Self::Local, Self::Local) => true,
            (Self::Fixed(a, offset), Self::Fixed(b, of_other)) => {
                let is_shared =
                    offset % 3600 == 0 && (-12..=14).contains(&(offset / 3600)) && a.is_empty();
                Rc::ptr_eq(a, b) || (is_shared && b.is_empty() && offset == of_other)
            }
            _ => false,
        }
    }
}

/// A point in time.
#[derive(Clone)]
pub(crate) struct Moment {
    /// Since 1970, in UTC.
    pub(crate) seconds: i64,
    /// Below 1,000,000,000.
    pub(crate) nanos: u32,
    pub(crate) zone: Zone,
}

/// A point in time as a calendar and a clock show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: u8,
    /// From 1.
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
}

const SECONDS_PER_DAY: i64 = 86_400;
const NANOS: i128 = 1_000_000_000;

/// From the first of January of the year 1 to that of 1970.
const SECONDS_BEFORE_1970: i64 = 62_135_596_800;

#[rustfmt::skip]
const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
];

const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The English name of month `n`, from 1.
pub(crate) fn month_name(n: i64) -> Option<&'static str> {
    MONTHS.get(usize::try_from(n).ok()?.checked_sub(1)?).copied()
}

/// The English name of weekday `n`, from Sunday, which is 0.
pub(crate) fn weekday_name(n: i64) -> Option<&'static str> {
    WEEKDAYS.get(usize::try_from(n).ok()?).copied()
}

pub(crate) const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub(crate) const fn days_in(month: i64, year: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. Years count from March here, so that the leap
/// day is the last of its year and the days before a month follow one formula.
fn days_of(year: i128, month: i128, day: i128) -> i128 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

impl Moment {
    /// Go's zero time: the start of the year 1.
    pub(crate) const ZERO: Self = Self { seconds: -SECONDS_BEFORE_1970, nanos: 0, zone: Zone::Utc };

    pub(crate) fn of_nanos(nanos: i128, zone: Zone) -> Self {
        // Go's clock turns over at such times.
        let seconds = i64::try_from(nanos.div_euclid(NANOS)).unwrap_or(i64::MAX);
        Self { seconds, nanos: u32::try_from(nanos.rem_euclid(NANOS)).unwrap_or(0), zone }
    }

    /// Nanoseconds since 1970.
    pub(crate) fn since_1970(&self) -> i128 {
        i128::from(self.seconds) * NANOS + i128::from(self.nanos)
    }

    /// The moment at which a clock of `zone` shows this; months and all that is smaller may lie outside
    /// of their range and carry over.
    pub(crate) fn of_civil(date: [i64; 3], clock: [i64; 3], nanos: i64, zone: Zone) -> Self {
        let [year, month, day] = date.map(i128::from);
        let [hour, minute, second] = clock.map(i128::from);
        let months = year * 12 + month - 1;
        let days = days_of(months.div_euclid(12), months.rem_euclid(12) + 1, 1) + day - 1;
        let seconds = days * i128::from(SECONDS_PER_DAY) + hour * 3600 + minute * 60 + second;
        let seconds = seconds - i128::from(zone.offset());
        Self::of_nanos(seconds * NANOS + i128::from(nanos), zone)
    }

    /// Seconds since 1970 as a clock of the zone would count them.
    fn local_seconds(&self) -> i64 {
        self.seconds.saturating_add(self.zone.offset().into())
    }

    fn days(&self) -> i64 {
        self.local_seconds().div_euclid(SECONDS_PER_DAY)
    }

    pub(crate) fn civil(&self) -> Civil {
        let days = self.days() + 719_468;
        let of_era = days.rem_euclid(146_097);
        let year_of_era =
            (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096).div_euclid(365);
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = (from_march + 2) % 12 + 1;
        let year = year_of_era + days.div_euclid(146_097) * 400 + i64::from(month <= 2);
        let second = self.local_seconds().rem_euclid(SECONDS_PER_DAY);
        let small = |n: i64| u8::try_from(n).unwrap_or(0);
        Civil {
            year,
            month: small(month),
            day: small(of_year - (153 * from_march + 2) / 5 + 1),
            hour: small(second / 3600),
            minute: small(second / 60 % 60),
            second: small(second % 60),
        }
    }

    /// 0 is Sunday.
    pub(crate) fn weekday(&self) -> i64 {
        (self.days() + 4).rem_euclid(7)
    }

    /// From 1.
    pub(crate) fn day_of_year(&self) -> i64 {
        let start = days_of(self.civil().year.into(), 1, 1);
        i64::try_from(i128::from(self.days()) - start).unwrap_or(0) + 1
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.seconds == -SECONDS_BEFORE_1970 && self.nanos == 0
    }

    pub(crate) fn at(&self, zone: Zone) -> Self {
        Self { zone, ..*self }
    }

    /// Later by a duration in nanoseconds.
    pub(crate) fn plus(&self, duration: i64) -> Self {
        Self::of_nanos(self.since_1970() + i128::from(duration), self.zone.clone())
    }

    pub(crate) fn plus_date(&self, years: i64, months: i64, days: i64) -> Self {
        let now = self.civil();
        let date = [
            now.year.saturating_add(years),
            i64::from(now.month).saturating_add(months),
            i64::from(now.day).saturating_add(days),
        ];
        let clock = [now.hour, now.minute, now.second].map(i64::from);
        Self::of_civil(date, clock, self.nanos.into(), self.zone.clone())
    }

    /// The duration since `earlier`, as long as it can be.
    pub(crate) fn minus(&self, earlier: &Self) -> i64 {
        let nanos = self.since_1970() - earlier.since_1970();
        i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }

    /// Whole seconds since `earlier`.
    pub(crate) fn minus_whole(&self, earlier: &Self) -> i64 {
        self.seconds.saturating_sub(earlier.seconds)
    }

    pub(crate) fn order(&self, other: &Self) -> Ordering {
        (self.seconds, self.nanos).cmp(&(other.seconds, other.nanos))
    }

    /// Nanoseconds after the last multiple of `unit` since the year 1, and whether it has one at all.
    fn past(&self, unit: i64) -> i64 {
        let since_1 = self.since_1970() + i128::from(SECONDS_BEFORE_1970) * NANOS;
        i64::try_from(since_1.rem_euclid(i128::from(unit))).unwrap_or(0)
    }

    pub(crate) fn truncated(&self, unit: i64) -> Self {
        if unit <= 0 { self.clone() } else { self.plus(-self.past(unit)) }
    }

    /// To the nearest multiple of `unit`, halves up.
    pub(crate) fn rounded(&self, unit: i64) -> Self {
        if unit <= 0 {
            return self.clone();
        }
        let past = self.past(unit);
        let is_down = i128::from(past) * 2 < i128::from(unit);
        self.plus(if is_down { -past } else { unit - past })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_inverse() {
        let day = |seconds| Moment { seconds, nanos: 0, zone: Zone::Utc };
        for step in -2000..2000_i64 {
            let moment = day(step * 86_400 * 367 + 3_723);
            let Civil { year, month, day, hour, minute, second } = moment.civil();
            assert_eq!([hour, minute, second], [1, 2, 3]);
            let again = Moment::of_civil([year, month.into(), day.into()], [1, 2, 3], 0, Zone::Utc);
            assert_eq!(again.seconds, moment.seconds);
        }
        assert_eq!(Moment::ZERO.civil().year, 1);
        assert_eq!((day(0).weekday(), day(0).day_of_year()), (4, 1));
        let carried = Moment::of_civil([2020, 14, 31], [25, -1, 0], -1, Zone::Utc);
        let Civil { year, month, day, hour, minute, second } = carried.civil();
        assert_eq!((year, month, day, hour, minute, second), (2021, 3, 4, 0, 58, 59));
        assert_eq!(carried.nanos, 999_999_999);
    }
}
