//! Times and durations.

use std::rc::Rc;

use super::{Arguments, Function, Param, call, many};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::go::{duration, layout};
use crate::domain::template::moment::{Moment, Zone};
use crate::domain::template::named::Named;
use crate::domain::template::value::Value;

use Param::{Any, Int, Text as Words, Time};

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call("sprig_ago", &[Any], "how long a time ago, or seconds since 1970, was", ago),
    call("sprig_duration", &[Any], "seconds as text such as 1m35s", seconds),
    call(
        "sprig_durationRound",
        &[Any],
        "the largest unit of a duration, or of how long a time is ago: 2mo, 3d, 4h",
        duration_round,
    ),
    call("sprig_mustDateModify", &[Words, Time], "the time and a duration such as -1.5h", modify),
    call("sprig_mustToDate", &[Words, Words], "the time of a text by a Go layout", |e, v| {
        to_date(e, v)
    }),
    call("sprig_must_date_modify", &[Words, Time], "the time and a duration such as -1.5h", modify),
    call(
        "sprig_toDate",
        &[Words, Words],
        "the time of a text by a Go layout, the year 1 when it does not fit",
        |e, v| to_date(e, v).or(Ok(Value::time(Moment::ZERO))),
    ),
    call("sprig_unixEpoch", &[Time], "the seconds since 1970 of a time as text", |_, v| {
        Ok(Value::text(moment(v, 0)?.seconds.to_string()))
    }),
    many(
        "timestamp",
        &[Words],
        "the time in UTC as RFC 3339, by a Go layout, or as seconds with \"unix\"",
        timestamp,
    ),
];

/// Of a time. Sorted by name.
pub(super) const TIME_METHODS: &[Function] = &[
    call("Add", &[Param::Duration], "later by a duration", |_, v| {
        Ok(Value::time(moment(v, 0)?.plus(nanos(v, 1))))
    }),
    call("AddDate", &[Int, Int, Int], "later by years, months and days", |_, v| {
        Ok(Value::time(moment(v, 0)?.plus_date(v.int_at(1), v.int_at(2), v.int_at(3))))
    }),
    call("After", &[Time], "whether it is later", |_, v| {
        Ok(Value::Bool(moment(v, 0)?.order(moment(v, 1)?).is_gt()))
    }),
    call("Before", &[Time], "whether it is earlier", |_, v| {
        Ok(Value::Bool(moment(v, 0)?.order(moment(v, 1)?).is_lt()))
    }),
    call("Compare", &[Time], "-1, 0 or 1: earlier, equal, later", |_, v| {
        Ok(Value::Int(moment(v, 0)?.order(moment(v, 1)?) as i64))
    }),
    call("Day", &[], "the day of the month", |_, v| {
        Ok(Value::Int(moment(v, 0)?.civil().day.into()))
    }),
    call("Equal", &[Time], "whether it is the same moment", |_, v| {
        Ok(Value::Bool(moment(v, 0)?.order(moment(v, 1)?).is_eq()))
    }),
    call("Format", &[Words], "the time by a Go layout", |e, v| {
        let layout = String::from_utf8_lossy(v.text_at(1));
        e.meter.text(layout.len().saturating_mul(4))?;
        e.made(layout::format(moment(v, 0)?, &layout).into_bytes())
    }),
    call("GoString", &[], "the time as Go writes it", |_, v| {
        Ok(Value::text(layout::go_syntax(moment(v, 0)?)))
    }),
    call("Hour", &[], "the hour", |_, v| Ok(Value::Int(moment(v, 0)?.civil().hour.into()))),
    call("In", &[Param::Location], "the same moment in a zone", |_, v| match v.get(1) {
        Some(Value::Named(Named::Location(zone))) => {
            Ok(Value::time(moment(v, 0)?.at(zone.clone())))
        }
        _ => Err(Fault::new("wants the location of another time, got nil")),
    }),
    call("IsDST", &[], "whether daylight saving time is known to apply", |_, _| {
        Ok(Value::Bool(false))
    }),
    call("IsZero", &[], "whether it is the start of the year 1", |_, v| {
        Ok(Value::Bool(moment(v, 0)?.is_zero()))
    }),
    call("Local", &[], "the same moment in the local zone, which is UTC", |_, v| {
        Ok(Value::time(moment(v, 0)?.at(Zone::Local)))
    }),
    call("Location", &[], "the zone", |_, v| {
        Ok(Value::Named(Named::Location(moment(v, 0)?.zone.clone())))
    }),
    call("Minute", &[], "the minute", |_, v| Ok(Value::Int(moment(v, 0)?.civil().minute.into()))),
    call("Month", &[], "the month, which prints its name", |_, v| {
        Ok(Value::Named(Named::Month(moment(v, 0)?.civil().month.into())))
    }),
    call("Nanosecond", &[], "the nanoseconds after the second", |_, v| {
        Ok(Value::Int(moment(v, 0)?.nanos.into()))
    }),
    call("Round", &[Param::Duration], "the nearest multiple of a duration", |_, v| {
        Ok(Value::time(moment(v, 0)?.rounded(nanos(v, 1))))
    }),
    call("Second", &[], "the second", |_, v| Ok(Value::Int(moment(v, 0)?.civil().second.into()))),
    call("String", &[], "the time as it prints", |_, v| {
        Ok(Value::text(layout::string(moment(v, 0)?)))
    }),
    call("Sub", &[Time], "the duration since another time", |_, v| {
        Ok(Value::Named(Named::Duration(moment(v, 0)?.minus(moment(v, 1)?))))
    }),
    call("Truncate", &[Param::Duration], "the multiple of a duration before it", |_, v| {
        Ok(Value::time(moment(v, 0)?.truncated(nanos(v, 1))))
    }),
    call("UTC", &[], "the same moment in UTC", |_, v| Ok(Value::time(moment(v, 0)?.at(Zone::Utc)))),
    call("Unix", &[], "seconds since 1970", |_, v| since_1970(v, 1_000_000_000)),
    call("UnixMicro", &[], "microseconds since 1970", |_, v| since_1970(v, 1_000)),
    call("UnixMilli", &[], "milliseconds since 1970", |_, v| since_1970(v, 1_000_000)),
    call("UnixNano", &[], "nanoseconds since 1970", |_, v| since_1970(v, 1)),
    call("Weekday", &[], "the day of the week, which prints its name", |_, v| {
        Ok(Value::Named(Named::Weekday(moment(v, 0)?.weekday())))
    }),
    call("Year", &[], "the year", |_, v| Ok(Value::Int(moment(v, 0)?.civil().year))),
    call("YearDay", &[], "the day of the year", |_, v| Ok(Value::Int(moment(v, 0)?.day_of_year()))),
];

/// Of a duration. Sorted by name.
pub(super) const DURATION_METHODS: &[Function] = &[
    call("Abs", &[], "the duration without its sign", |_, v| {
        Ok(Value::Named(Named::Duration(nanos(v, 0).saturating_abs())))
    }),
    call("Hours", &[], "hours as a float", |_, v| Ok(units(v, duration::HOUR))),
    call("Microseconds", &[], "whole microseconds", |_, v| Ok(Value::Int64(nanos(v, 0) / 1_000))),
    call("Milliseconds", &[], "whole milliseconds", |_, v| {
        Ok(Value::Int64(nanos(v, 0) / 1_000_000))
    }),
    call("Minutes", &[], "minutes as a float", |_, v| Ok(units(v, duration::MINUTE))),
    call("Nanoseconds", &[], "nanoseconds", |_, v| Ok(Value::Int64(nanos(v, 0)))),
    call("Round", &[Param::Duration], "the nearest multiple of a duration", |_, v| {
        Ok(Value::Named(Named::Duration(duration::rounded(nanos(v, 0), nanos(v, 1)))))
    }),
    call("Seconds", &[], "seconds as a float", |_, v| Ok(units(v, duration::SECOND))),
    call("String", &[], "the duration as it prints", string),
    call("Truncate", &[Param::Duration], "the multiple of a duration towards zero", |_, v| {
        let (duration, unit) = (nanos(v, 0), nanos(v, 1));
        let past = if unit <= 0 { 0 } else { duration % unit };
        Ok(Value::Named(Named::Duration(duration - past)))
    }),
];

/// Of a month, a weekday or a location.
pub(super) const NAME_METHODS: &[Function] = &[call("String", &[], "the name", string)];

fn string<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    match values.first() {
        Some(Value::Named(named)) => Ok(Value::text(named.string())),
        _ => Ok(Value::EMPTY),
    }
}

/// An argument that the evaluator has checked to be a time.
fn moment<'v>(values: &'v [Value<'_>], i: usize) -> Result<&'v Rc<Moment>> {
    match values.get(i) {
        Some(Value::Named(Named::Time(moment))) => Ok(moment),
        _ => Err(Fault::new("wants a time")),
    }
}

fn nanos(values: &[Value<'_>], i: usize) -> i64 {
    match values.get(i) {
        Some(Value::Named(Named::Duration(nanos))) => *nanos,
        _ => 0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "Go's Duration.Hours and its kin")]
fn units<'a>(values: &[Value<'a>], unit: i64) -> Value<'a> {
    let nanos = nanos(values, 0);
    Value::Float((nanos / unit) as f64 + (nanos % unit) as f64 / unit as f64)
}

/// Go's counters of small units turn over.
#[expect(clippy::cast_possible_truncation, reason = "as in Go")]
fn since_1970<'a>(values: &[Value<'a>], unit: i64) -> Result<Value<'a>> {
    let nanos = moment(values, 0)?.since_1970();
    Ok(Value::Int64(nanos.div_euclid(unit.into()) as i64))
}

impl Eval<'_> {
    /// The time of this render; the epoch when nothing is known of it.
    fn now(&self) -> Moment {
        let milliseconds = self.snapshot.now.map_or(0, |now| now.0);
        Moment::of_nanos(i128::from(milliseconds) * 1_000_000, Zone::Utc)
    }
}

fn timestamp<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let layout = match values {
        [] => layout::RFC3339.into(),
        [_] => String::from_utf8_lossy(values.text_at(0)),
        _ => return Err(Fault::new("wrong number of arguments, want at most a layout")),
    };
    let now = eval.now();
    if layout == "unix" {
        return eval.made(now.seconds.to_string().into_bytes());
    }
    // Every piece of the reference time is looked for at every place.
    eval.meter.read(layout.len().saturating_mul(40))?;
    eval.meter.text(layout.len().saturating_mul(4))?;
    eval.made(layout::format(&now, &layout).into_bytes())
}

fn to_date<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let layout = String::from_utf8_lossy(values.text_at(0));
    eval.meter.read(layout.len())?;
    layout::parse(&layout, values.text_at(1)).map(Value::time).map_err(Fault::new)
}

fn modify<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let text = values.text_at(0);
    let duration = duration::parse(str::from_utf8(text).unwrap_or_default());
    let duration = duration
        .map_err(|error| Fault::new(format!("the duration{}: {error}", eval.literal(text))))?;
    Ok(Value::time(moment(values, 1)?.plus(duration)))
}

/// A time, or whole seconds since 1970; anything else is now.
fn ago<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let now = eval.now();
    let then = match values.first() {
        Some(Value::Named(Named::Time(time))) => (**time).clone(),
        Some(Value::Int(n) | Value::Int64(n)) => Moment { seconds: *n, nanos: 0, zone: Zone::Utc },
        _ => now.clone(),
    };
    let duration = duration::rounded(now.minus(&then), duration::SECOND);
    Ok(Value::text(duration::string(duration)))
}

/// Of a text or an `int64`; of anything else, constants included, it is no time at all.
fn seconds<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let seconds = match values.first() {
        Some(Value::Int64(n)) => *n,
        Some(Value::Text(text)) => integer(text),
        _ => 0,
    };
    // Go multiplies without looking, too.
    Ok(Value::text(duration::string(seconds.wrapping_mul(duration::SECOND))))
}

/// `strconv.ParseInt` with its error ignored: 0 for no number, the last one for one that is too large.
fn integer(text: &[u8]) -> i64 {
    match str::from_utf8(text).unwrap_or_default().parse::<i64>() {
        Ok(n) => n,
        Err(error) => match error.kind() {
            std::num::IntErrorKind::PosOverflow => i64::MAX,
            std::num::IntErrorKind::NegOverflow => i64::MIN,
            _ => 0,
        },
    }
}

fn duration_round<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let duration = match values.first() {
        Some(Value::Text(text)) => {
            str::from_utf8(text).ok().and_then(|text| duration::parse(text).ok()).unwrap_or(0)
        }
        Some(Value::Int64(n)) => *n,
        Some(Value::Named(Named::Time(time))) => eval.now().minus(time),
        _ => 0,
    };
    const DAY: i64 = 24 * duration::HOUR;
    let units = [
        (365 * DAY, "y"),
        (30 * DAY, "mo"),
        (DAY, "d"),
        (duration::HOUR, "h"),
        (duration::MINUTE, "m"),
        (duration::SECOND, "s"),
    ];
    let size = duration.unsigned_abs();
    let unit = units.iter().find(|(unit, _)| size > unit.unsigned_abs());
    let text = unit.map(|(unit, name)| format!("{}{name}", size / unit.unsigned_abs()));
    Ok(Value::text(text.unwrap_or_else(|| "0s".to_owned())))
}
