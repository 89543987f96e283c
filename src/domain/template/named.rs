//! Values of Go types that print themselves: times, versions and what belongs to them.

use std::rc::Rc;

use super::go::{duration, layout};
use super::live::Counted;
use super::moment::{self, Moment, Zone};
use super::semver::Version;
use super::value::Value;

/// A value of a Go type with a `String` method.
#[derive(Clone)]
pub(crate) enum Named {
    /// `time.Duration`, in nanoseconds.
    Duration(i64),
    /// `*time.Location`
    Location(Zone),
    /// `time.Month`, from 1.
    Month(i64),
    /// `time.Time`
    Time(Rc<Moment>),
    /// `semver.Version`, or a pointer to one.
    Version(Rc<Counted<Version>>, Holding),
    /// `time.Weekday`; Sunday is 0.
    Weekday(i64),
}

/// Whether a struct is held itself or by a pointer. Some methods are of pointers only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holding {
    Itself,
    Pointer,
}

impl Named {
    /// What the `String` method gives.
    pub(crate) fn string(&self) -> String {
        match self {
            Self::Duration(n) => duration::string(*n),
            Self::Location(zone) => zone.name().to_owned(),
            Self::Month(n) => name_or(moment::month_name(*n), "Month", *n),
            Self::Time(moment) => layout::string(moment),
            Self::Version(version, _) => version.to_string(),
            Self::Weekday(n) => name_or(moment::weekday_name(*n), "Weekday", *n),
        }
    }

    /// The number behind it, if its kind is a number.
    pub(crate) fn number(&self) -> Option<i64> {
        match self {
            Self::Duration(n) | Self::Month(n) | Self::Weekday(n) => Some(*n),
            Self::Location(_) | Self::Time(_) | Self::Version(..) => None,
        }
    }

    /// The same type with another number.
    pub(crate) fn with_number(&self, n: i64) -> Self {
        match self {
            Self::Duration(_) => Self::Duration(n),
            Self::Month(_) => Self::Month(n),
            Self::Weekday(_) => Self::Weekday(n),
            other => other.clone(),
        }
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Duration(_) => "time.Duration",
            Self::Location(_) => "*time.Location",
            Self::Month(_) => "time.Month",
            Self::Time(_) => "time.Time",
            Self::Version(_, Holding::Itself) => "semver.Version",
            Self::Version(_, Holding::Pointer) => "*semver.Version",
            Self::Weekday(_) => "time.Weekday",
        }
    }

    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            Self::Duration(_) => "int64",
            Self::Location(_) | Self::Version(_, Holding::Pointer) => "ptr",
            Self::Month(_) | Self::Weekday(_) => "int",
            Self::Time(_) | Self::Version(_, Holding::Itself) => "struct",
        }
    }

    /// The fields of a struct, which Go does not export; verbs that ask for no text print them.
    pub(crate) fn hidden_fields<'a>(&self) -> Vec<(&'static str, Value<'a>)> {
        match self {
            Self::Time(time) => {
                let since_1 = time.minus_whole(&Moment::ZERO);
                let zone = match &time.zone {
                    Zone::Utc => Value::NilPointer("*time.Location"),
                    zone => Value::Named(Self::Location(zone.clone())),
                };
                vec![
                    ("wall", Value::Uint64(time.nanos.into())),
                    ("ext", Value::Int64(since_1)),
                    ("loc", zone),
                ]
            }
            Self::Version(version, _) => vec![
                ("major", Value::Uint64(version.major)),
                ("minor", Value::Uint64(version.minor)),
                ("patch", Value::Uint64(version.patch)),
                ("pre", Value::text(version.prerelease.as_bytes())),
                ("metadata", Value::text(version.metadata.as_bytes())),
                ("original", Value::text(version.original.as_bytes())),
            ],
            Self::Duration(_) | Self::Location(_) | Self::Month(_) | Self::Weekday(_) => Vec::new(),
        }
    }

    /// `reflect.DeepEqual` of two values of the same type.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        let zones_are_alike = |a: &Zone, b: &Zone| a.name() == b.name() && a.offset() == b.offset();
        match (self, other) {
            (Self::Time(a), Self::Time(b)) => {
                a.order(b).is_eq() && zones_are_alike(&a.zone, &b.zone)
            }
            (Self::Location(a), Self::Location(b)) => zones_are_alike(a, b),
            (Self::Version(a, _), Self::Version(b, _)) => a == b,
            _ => self.is_same(other),
        }
    }

    /// Go's `==`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Time(a), Self::Time(b)) => a.order(b).is_eq() && a.zone.is_same(&b.zone),
            (Self::Location(a), Self::Location(b)) => a.is_same(b),
            (Self::Version(a, Holding::Pointer), Self::Version(b, Holding::Pointer)) => {
                Rc::ptr_eq(a, b)
            }
            (Self::Version(a, Holding::Itself), Self::Version(b, Holding::Itself)) => a == b,
            _ => self.number().is_some() && self.number() == other.number(),
        }
    }
}

fn name_or(name: Option<&str>, of: &str, n: i64) -> String {
    name.map_or_else(|| format!("%!{of}({n})"), str::to_owned)
}

impl Value<'_> {
    /// A number of a named type as one of the type that it is made of; anything else as it is.
    pub(crate) fn unnamed(&self) -> Self {
        match self {
            Self::Named(Named::Duration(n)) => Self::Int64(*n),
            Self::Named(Named::Month(n) | Named::Weekday(n)) => Self::Int(*n),
            other => other.clone(),
        }
    }

    pub(crate) fn time(moment: Moment) -> Self {
        Self::Named(Named::Time(Rc::new(moment)))
    }
}
