//! `sockaddr`: a pipeline of go-sockaddr over the addresses of the machine, such as
//! `GetAllInterfaces | include "type" "IPv4" | attr "address"`.

use super::{Arguments, Function, Param, many, regex};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::go::lexer::{Kind, Lexer, Token};
use crate::domain::template::go::literal;
use crate::domain::template::network::{Address, FORWARDING, Flags, Interface, networks_of};
use crate::domain::template::value::Value;

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[many(
    "sockaddr",
    &[Param::Text],
    "an address of the machine, by a pipeline of go-sockaddr such as GetPrivateIP",
    sockaddr,
)];

/// An address with the interface that has it.
#[derive(Clone, Copy)]
struct Place<'a> {
    interface: &'a Interface,
    address: Address,
}

/// What one command of the pipeline hands to the next.
enum Item<'a> {
    Places(Vec<Place<'a>>),
    Text(String),
}

/// A constant argument.
#[derive(Clone, Debug)]
enum Word {
    Number(i64),
    Text(String),
}

fn sockaddr<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let words: Vec<_> =
        (0..values.len()).map(|i| String::from_utf8_lossy(values.text_at(i))).collect();
    let text = format!("{{{{ {} }}}}", words.join(" "));
    // Only what the template itself spells out may stand in an error.
    let is_literal = eval.has_literal_arguments;
    let made = evaluated(eval, &text).map_err(|fault| {
        let blurred = "the computed pipeline is none that sockaddr takes";
        if is_literal { fault.unplaced() } else { Fault::new(blurred) }
    });
    eval.made(made?.into_bytes())
}

fn evaluated(eval: &mut Eval<'_>, text: &str) -> Result<String> {
    let mut item = None;
    for (name, words) in commands(text)? {
        item = Some(run(eval, &name, &words, item)?);
    }
    match item {
        Some(Item::Text(text)) => Ok(text),
        _ => Err(Fault::new(
            "the pipeline ends in a list of addresses, want attr \"address\" or join at its end",
        )),
    }
}

/// Names and constants between bars.
fn commands(text: &str) -> Result<Vec<(String, Vec<Word>)>> {
    let unfit = |token: &Token<'_>| {
        let text = token.text.to_owned();
        Fault::new(format!("{text:?} is more than a pipeline of names and constants"))
    };
    let mut lexer = Lexer::new(text, "", "");
    let mut commands: Vec<(String, Vec<Word>)> = Vec::new();
    let mut is_start = false;
    loop {
        let token = lexer.next()?;
        let word = match token.kind {
            Kind::Space => continue,
            Kind::LeftDelimiter if commands.is_empty() && !is_start => {
                is_start = true;
                continue;
            }
            Kind::Pipe if !is_start => {
                is_start = true;
                continue;
            }
            Kind::RightDelimiter if !is_start => break,
            Kind::Identifier | Kind::Dot if is_start => {
                commands.push((token.text.to_owned(), Vec::new()));
                is_start = false;
                continue;
            }
            Kind::String | Kind::RawString => {
                let text = literal::unquote(token.text).ok_or_else(|| unfit(&token))?;
                Word::Text(String::from_utf8_lossy(&text).into_owned())
            }
            Kind::Number => {
                let number = literal::parse_int_any_base(token.text);
                Word::Number(number.ok_or_else(|| unfit(&token))?)
            }
            _ => return Err(unfit(&token)),
        };
        match commands.last_mut().filter(|_| !is_start) {
            Some((_, words)) => words.push(word),
            None => return Err(unfit(&token)),
        }
    }
    if lexer.next()?.kind == Kind::Eof {
        Ok(commands)
    } else {
        Err(Fault::new("wants one pipeline, got more text after it"))
    }
}

/// One command.
fn run<'a>(
    eval: &mut Eval<'a>,
    name: &str,
    words: &[Word],
    input: Option<Item<'a>>,
) -> Result<Item<'a>> {
    let places = |input| match input {
        Some(Item::Places(places)) => Ok(places),
        Some(Item::Text(_)) => {
            Err(Fault::new(format!("{name} wants a list of addresses, got a text")))
        }
        None => Err(Fault::new(format!("{name} wants a list of addresses before it"))),
    };
    if let Some(source) = source(eval, name, words, input.is_some())? {
        return Ok(source);
    }
    Ok(match (name, words) {
        ("attr", [Word::Text(attribute)]) => match places(input)?.first() {
            Some(place) => Item::Text(place.attribute(attribute)?),
            None => Item::Text(String::new()),
        },
        ("exclude", [Word::Text(by), Word::Text(what)]) => {
            Item::Places(selected(eval, by, what, &places(input)?)?.1)
        }
        ("include", [Word::Text(by), Word::Text(what)]) => {
            Item::Places(selected(eval, by, what, &places(input)?)?.0)
        }
        ("join", [Word::Text(attribute), Word::Text(separator)]) => {
            Item::Text(joined(&places(input)?, attribute, separator)?)
        }
        ("limit", [Word::Number(count)]) if *count >= 0 => {
            let mut places = places(input)?;
            places.truncate(usize::try_from(*count).unwrap_or(usize::MAX));
            Item::Places(places)
        }
        ("math", [Word::Text(operation), Word::Text(value)]) => {
            let places = places(input)?;
            let moved = places.iter().map(|place| {
                Ok(Place { address: moved(&place.address, operation, value)?, ..*place })
            });
            Item::Places(moved.collect::<Result<_>>()?)
        }
        ("offset", [Word::Number(offset)]) => {
            let places = places(input)?;
            let size = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
            let from = if *offset < 0 { places.len().checked_sub(size) } else { Some(size) };
            let rest = from.and_then(|from| places.get(from..));
            let message = "offset goes beyond the end of the list";
            Item::Places(rest.ok_or_else(|| Fault::new(message))?.to_vec())
        }
        ("sort", [Word::Text(keys)]) => Item::Places(sorted(eval, places(input)?, keys)?),
        ("unique", [Word::Text(attribute)]) => {
            let attribute = attribute.to_lowercase();
            let of = |place: &Place<'_>| match attribute.as_str() {
                "address" => Ok(place.address.to_string()),
                "name" => Ok(place.interface.name.clone()),
                _ => Err(Fault::new("unique knows \"address\" and \"name\" only")),
            };
            let mut places = places(input)?;
            let keys = places.iter().map(of).collect::<Result<Vec<_>>>()?;
            let mut i = 0;
            places.retain(|_| {
                i += 1;
                i == 1 || keys.get(i - 1) != keys.get(i - 2)
            });
            Item::Places(places)
        }
        _ if FILTERS.contains(&name) => {
            return Err(Fault::new(format!("{name} of sockaddr got arguments it does not take")));
        }
        _ => {
            let known = [SOURCES, FILTERS].concat().join(", ");
            return Err(Fault::new(format!("sockaddr knows no {name:?}, there are {known}")));
        }
    })
}

const SOURCES: &[&str] = &[
    "GetAllInterfaces",
    "GetDefaultInterfaces",
    "GetInterfaceIP",
    "GetInterfaceIPs",
    "GetPrivateIP",
    "GetPrivateIPs",
    "GetPrivateInterfaces",
    "GetPublicIP",
    "GetPublicIPs",
    "GetPublicInterfaces",
];

#[rustfmt::skip]
const FILTERS: &[&str] =
    &["attr", "exclude", "include", "join", "limit", "math", "offset", "sort", "unique"];

/// The list or text that a function makes of the machine; nothing for what is no such function.
fn source<'a>(
    eval: &mut Eval<'a>,
    name: &str,
    words: &[Word],
    has_input: bool,
) -> Result<Option<Item<'a>>> {
    if name != "." && !SOURCES.contains(&name) {
        return Ok(None);
    }
    let of_name = match (name, words) {
        ("GetInterfaceIP" | "GetInterfaceIPs", [Word::Text(pattern)]) => Some(pattern.as_str()),
        ("GetInterfaceIP" | "GetInterfaceIPs", _) => {
            return Err(Fault::new(format!("{name} wants an expression for the interface's name")));
        }
        (_, []) if !has_input => None,
        _ => return Err(Fault::new(format!("{name} takes no arguments"))),
    };
    let all = all_places(eval)?;
    let is_private = name.starts_with("GetPrivate");
    let ips =
        |places: &[Place<'_>]| joined(places, "address", " ").map(|ips| Some(Item::Text(ips)));
    let first = |places: &[Place<'_>]| ips(places.get(..1).unwrap_or_default());
    match name {
        "GetInterfaceIP" | "GetInterfaceIPs" => {
            let mut places = selected(eval, "name", of_name.unwrap_or_default(), &all)?.0;
            if name == "GetInterfaceIP" {
                places = selected(eval, "flags", "forwardable", &places)?.0;
            }
            let places = sorted(eval, places, "type,size")?;
            if name == "GetInterfaceIP" { first(&places) } else { ips(&places) }
        }
        "GetPrivateIPs" | "GetPublicIPs" => {
            let places = sorted(eval, all, "type,size")?;
            let (inside, outside) = selected(eval, "rfc", "6890", &places)?;
            if is_private {
                ips(&selected(eval, "rfc", &FORWARDING.to_string(), &inside)?.1)
            } else {
                ips(&outside)
            }
        }
        "GetDefaultInterfaces" => {
            let places: Vec<_> =
                all.into_iter().filter(|place| place.interface.has_default_route).collect();
            if eval.snapshot.interfaces.iter().any(|interface| interface.has_default_route) {
                Ok(Some(Item::Places(places)))
            } else {
                Err(Fault::new("no interface has a default route"))
            }
        }
        "GetPrivateIP" | "GetPrivateInterfaces" | "GetPublicIP" | "GetPublicInterfaces" => {
            let places = selected(eval, "flags", "forwardable", &all)?.0;
            let places = selected(eval, "flags", "up", &places)?.0;
            let places = sorted(eval, places, "default,type,size")?;
            let (inside, outside) = selected(eval, "rfc", "6890", &places)?;
            let places = if is_private { inside } else { outside };
            if name.ends_with("IP") { first(&places) } else { Ok(Some(Item::Places(places))) }
        }
        _ => Ok(Some(Item::Places(all))),
    }
}

fn all_places<'a>(eval: &mut Eval<'a>) -> Result<Vec<Place<'a>>> {
    let snapshot = eval.snapshot;
    let places = snapshot.interfaces.iter().flat_map(|interface| {
        let addresses = interface.addresses.iter();
        addresses.map(move |(ip, prefix)| {
            let address = Address::new(*ip, *prefix).canonical();
            Place { interface, address }
        })
    });
    let places: Vec<_> = places.collect();
    eval.meter.elements(places.len())?;
    Ok(places)
}

fn joined(places: &[Place<'_>], attribute: &str, separator: &str) -> Result<String> {
    let texts = places.iter().map(|place| place.attribute(attribute));
    Ok(texts.collect::<Result<Vec<_>>>()?.join(separator))
}

impl Place<'_> {
    fn attribute(&self, name: &str) -> Result<String> {
        match name.to_lowercase().as_str() {
            "flags" => Ok(self.interface.flags.to_string()),
            "name" => Ok(self.interface.name.clone()),
            name => self.address.attribute(name).ok_or_else(|| {
                Fault::new(format!("an address of this type has no attribute {name:?}"))
            }),
        }
    }
}

/// What a selector takes, and what it leaves.
type Selected<'a> = (Vec<Place<'a>>, Vec<Place<'a>>);

/// Alternatives that are looked at one by one may take an address twice, as in go-sockaddr.
fn selected<'a>(
    eval: &mut Eval<'a>,
    by: &str,
    what: &str,
    places: &[Place<'a>],
) -> Result<Selected<'a>> {
    let mut found: Selected<'a> = (Vec::new(), Vec::new());
    let alternatives = what.split('|').count();
    eval.meter.elements(places.len().saturating_mul(alternatives))?;
    let mut put = |place: &Place<'a>, is_in: bool| {
        if is_in { found.0.push(*place) } else { found.1.push(*place) }
    };
    match by.to_lowercase().as_str() {
        by @ ("address" | "name" | "port") => {
            for place in places {
                let text = match by {
                    "address" => place.address.to_string(),
                    "name" => place.interface.name.clone(),
                    _ => "0".to_owned(),
                };
                put(place, regex::finds(eval, what, &text)?);
            }
        }
        "flag" | "flags" => {
            let (flags, traits) = wanted_flags(what)?;
            for place in places {
                let has_flags = flags.is_some_and(|flags| place.interface.flags.has(flags));
                put(place, has_flags || traits.iter().any(|name| has_trait(&place.address, name)));
            }
        }
        "network" => {
            for text in what.split('|') {
                let network = Address::parse(text)
                    .map(Address::canonical)
                    .ok_or_else(|| Fault::new(format!("{text:?} is no network")))?;
                places.iter().for_each(|place| put(place, network.contains(&place.address)));
            }
        }
        "rfc" | "rfcs" => {
            for text in what.split('|') {
                let networks = text.parse().ok().and_then(networks_of);
                let networks = networks.ok_or_else(|| {
                    Fault::new(format!("{text:?} is no RFC that sets networks apart"))
                })?;
                places.iter().for_each(|place| put(place, place.address.is_of(networks)));
            }
        }
        "size" => {
            for place in places {
                let size = what.parse::<u8>().ok().filter(|n| *n <= place.address.width());
                let size =
                    size.ok_or_else(|| Fault::new(format!("{what:?} is no size of a network")))?;
                put(place, place.address.prefix == size);
            }
        }
        "type" => {
            let what = what.to_lowercase();
            check_types(&what)?;
            for place in places {
                for wanted in what.split('|') {
                    let own = if place.address.is_v6 { "ipv6" } else { "ipv4" };
                    put(place, wanted == "ip" || wanted == own);
                }
            }
        }
        _ => {
            return Err(Fault::new(format!(
                "no selector is called {by:?}, want address, flags, name, network, port, rfc, size or type"
            )));
        }
    }
    Ok(found)
}

fn check_types(what: &str) -> Result<()> {
    let is_unknown = |name: &&str| !matches!(*name, "ip" | "ipv4" | "ipv6" | "unix");
    what.split('|').find(is_unknown).map_or(Ok(()), |name| {
        Err(Fault::new(format!(
            "no type of addresses is called {name:?}, want ip, ipv4, ipv6 or unix"
        )))
    })
}

/// Flags of the interface, if any are asked for, and traits of the address.
fn wanted_flags(text: &str) -> Result<(Option<Flags>, Vec<String>)> {
    let up = Flags::of_names(["up"]);
    let mut flags: Option<Flags> = None;
    let mut traits = Vec::new();
    for name in text.to_lowercase().split('|') {
        let so_far = flags.unwrap_or_default();
        match name {
            "broadcast" | "up" => flags = Some(so_far.and(Flags::of_names([name]))),
            "point-to-point" => flags = Some(so_far.and(Flags::of_names(["pointtopoint"]))),
            "down" => flags = Some(so_far.without(up)),
            "loopback" | "multicast" => {
                flags = Some(so_far.and(Flags::of_names([name])));
                traits.push(name.to_owned());
            }
            "forwardable"
            | "global unicast"
            | "interface-local multicast"
            | "link-local multicast"
            | "link-local unicast"
            | "unspecified" => traits.push(name.to_owned()),
            _ => return Err(Fault::new(format!("no flag is called {name:?}"))),
        }
    }
    Ok((flags, traits))
}

fn has_trait(address: &Address, name: &str) -> bool {
    let high = |bits: u32| address.bits >> (u32::from(address.width()) - bits);
    let is_v6 = address.is_v6;
    let is_local = if is_v6 { high(10) == 0x3fa } else { high(16) == 0xa9fe };
    let is_loopback = if is_v6 { address.bits == 1 } else { high(8) == 127 };
    let is_multicast = if is_v6 { high(8) == 0xff } else { high(4) == 0xe };
    let scope = high(16) & 0xf;
    match name {
        "forwardable" => !address.is_of(networks_of(FORWARDING).unwrap_or_default()),
        "global unicast" => {
            let is_broadcast = !is_v6 && address.bits == address.all();
            !(is_broadcast || address.bits == 0 || is_loopback || is_multicast || is_local)
        }
        "interface-local multicast" => is_v6 && is_multicast && scope == 1,
        "link-local multicast" if is_v6 => is_multicast && scope == 2,
        "link-local multicast" => high(24) == 0x00e0_0000,
        "link-local unicast" => is_local,
        "loopback" => is_loopback,
        "multicast" => is_multicast,
        _ => address.bits == 0,
    }
}

/// By insertion, as Go sorts lists of this size: orders of different types decide nothing, so that the
/// way of sorting shows.
fn sorted<'a>(
    eval: &mut Eval<'a>,
    mut places: Vec<Place<'a>>,
    keys: &str,
) -> Result<Vec<Place<'a>>> {
    let keys = keys.split(',').map(|key| {
        let key = key.trim().to_lowercase();
        let (name, is_down) = match key.strip_prefix('-') {
            Some(name) => (name, true),
            None => (key.strip_prefix('+').unwrap_or(&key), false),
        };
        let known = ["address", "default", "name", "port", "private", "size", "type"];
        let name = known.into_iter().find(|known| *known == name);
        name.map(|name| (name, is_down)).ok_or_else(|| {
            Fault::new(format!("sort knows no {key:?}, there are {}", known.join(", ")))
        })
    });
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let steps = places.len().saturating_mul(places.len()).saturating_mul(keys.len());
    eval.meter.steps(steps)?;
    let is_less = |a: &Place<'_>, b: &Place<'_>| {
        let orders = keys.iter().map(|(key, is_down)| {
            let order = order(a, b, key);
            if *is_down { order.reverse() } else { order }
        });
        orders.into_iter().find(|order| order.is_ne()).is_some_and(std::cmp::Ordering::is_lt)
    };
    for end in 1..places.len() {
        let mut at = end;
        while let (Some(before), Some(place)) = (places.get(at.wrapping_sub(1)), places.get(at))
            && is_less(place, before)
        {
            places.swap(at - 1, at);
            at -= 1;
        }
    }
    Ok(places)
}

fn order(a: &Place<'_>, b: &Place<'_>, key: &str) -> std::cmp::Ordering {
    use std::cmp::Ordering::{Equal, Less};
    let (here, there) = (&a.address, &b.address);
    let is_same_type = here.is_v6 == there.is_v6;
    let is_private = |address: &Address| address.is_of(networks_of(6890).unwrap_or_default());
    match key {
        "default" => b.interface.has_default_route.cmp(&a.interface.has_default_route),
        "name" => a.interface.name.cmp(&b.interface.name),
        "private" if is_same_type => is_private(there).cmp(&is_private(here)),
        "private" if is_private(here) => Less,
        "type" => here.is_v6.cmp(&there.is_v6),
        "address" if is_same_type => here.bits.cmp(&there.bits),
        "size" if is_same_type => here.mask().cmp(&there.mask()),
        _ => Equal,
    }
}

/// An address that lies elsewhere in its network, or in another one.
fn moved(address: &Address, operation: &str, value: &str) -> Result<Address> {
    let operation = operation.to_lowercase();
    let unfit = || Fault::new(format!("math {operation:?} does not take {value:?}"));
    let offset = || {
        let has_sign = value.starts_with(['+', '-']);
        let n = value.parse::<i64>().ok().filter(|_| has_sign).ok_or_else(unfit)?;
        let fits = address.is_v6 || (-(1 << 32)..1 << 32).contains(&n);
        if fits { Ok(n) } else { Err(unfit()) }
    };
    // Turns over at the end of the address space, as go-sockaddr does.
    let bits_of = |n: i64| u128::from_ne_bytes(i128::from(n).to_ne_bytes());
    let (all, mask) = (address.all(), address.mask());
    let host = all & !mask;
    match operation.as_str() {
        "address" => {
            Ok(Address { bits: address.bits.wrapping_add(bits_of(offset()?)) & all, ..*address })
        }
        "network" => {
            let n = offset()?;
            let at = if n > 0 || (n == 0 && !address.is_v6) {
                bits_of(n) & host
            } else {
                // The last address counts as -1.
                host.wrapping_sub(bits_of(n.wrapping_add(1).wrapping_neg()) & host) & host
            };
            Ok(Address { bits: address.first().wrapping_add(at) & all, ..*address })
        }
        "mask" => {
            let prefix = value.parse().ok().filter(|n| *n <= address.width()).ok_or_else(unfit)?;
            let masked = Address { prefix, ..*address };
            let prefix = prefix.min(address.prefix);
            Ok(Address { bits: masked.first(), prefix, ..*address })
        }
        _ => Err(Fault::new(format!(
            "math knows no {operation:?}, there are address, mask and network"
        ))),
    }
}
