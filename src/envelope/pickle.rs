//! Parses a pickle of one flat dict of plain values, as Python writes it from protocol 2 on.
//!
//! A hundred bytes of pickle can describe gigabytes, or call any function. This parser refuses every instruction that
//! such a dict does not need. It copies no value, and no value is larger than the pickle itself.

use std::collections::HashMap;
use std::fmt;

/// The runner's envelope has about sixty instructions, however long its texts are.
const MAX_INSTRUCTIONS: usize = 1000;
/// Total bytes of texts that are used more than once; in the runner's envelopes those are empty.
const MAX_REPEATED_BYTES: usize = 64 * 1024;

/// Why a pickle is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PickleError {
    /// It refers to a global, such as `os.system`.
    Reference(String),
    /// It has instructions that an envelope does not need, or too many.
    Unsupported,
    /// It is truncated, or not a pickle.
    Unreadable,
}

impl fmt::Display for PickleError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(name) => {
                write!(formatter, "it refers to {name}, and nothing that a job leaves may refer to code")
            }
            Self::Unsupported => write!(formatter, "it has other parts than a runner writes, or more of them"),
            Self::Unreadable => write!(formatter, "it breaks off, or is no pickle"),
        }
    }
}

/// A value of the dict; texts and bytes are slices of the pickle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    None,
    Bool(bool),
    Integer(i64),
    Float(f64),
    /// UTF-8, perhaps with lone surrogates.
    Text(&'a [u8]),
    Bytes(&'a [u8]),
}

#[derive(Clone, Copy)]
enum Item<'a> {
    Mark,
    Dict,
    Value(Value<'a>),
}

/// Parses the dict; entries keep their order.
///
/// A crafted pickle may make the error name a wrong global, but every reference is detected.
pub fn dict(pickle: &[u8]) -> Result<Vec<(&[u8], Value<'_>)>, PickleError> {
    let mut machine = Machine::default();
    let mut rest = pickle;
    for _ in 0..MAX_INSTRUCTIONS {
        if machine.step(&mut rest)? {
            return match machine.stack[..] {
                [Item::Dict] => Ok(machine.entries),
                _ => Err(PickleError::Unsupported),
            };
        }
    }
    Err(PickleError::Unsupported)
}

#[derive(Default)]
struct Machine<'a> {
    stack: Vec<Item<'a>>,
    entries: Vec<(&'a [u8], Value<'a>)>,
    memo: HashMap<usize, Item<'a>>,
    has_dict: bool,
    repeated: usize,
}

impl<'a> Machine<'a> {
    /// Executes one instruction; returns whether it was the last.
    fn step(&mut self, rest: &mut &'a [u8]) -> Result<bool, PickleError> {
        let value = match take(rest, 1)?[0] {
            b'.' => return Ok(true),
            // PROTO, FRAME
            0x80 => return take(rest, 1).map(|_| false),
            0x95 => return take(rest, 8).map(|_| false),
            b'}' => return self.begin_dict(),
            b'(' => {
                self.stack.push(Item::Mark);
                return Ok(false);
            }
            b's' => return self.set_item(),  // SETITEM
            b'u' => return self.set_items(), // SETITEMS
            // MEMOIZE, BINPUT, LONG_BINPUT
            0x94 => return self.memoize(self.memo.len()),
            b'q' => return self.memoize(number(take(rest, 1)?)),
            b'r' => return self.memoize(number(take(rest, 4)?)),
            // BINGET, LONG_BINGET
            b'h' => self.recall(number(take(rest, 1)?))?,
            b'j' => self.recall(number(take(rest, 4)?))?,
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Integer(take(rest, 1)?[0].into()),
            b'M' => Value::Integer(signed(&[take(rest, 2)?, &[0]].concat())),
            b'J' => Value::Integer(signed(take(rest, 4)?)),
            0x8A => Value::Integer(long(sized(rest, 1)?)?),
            b'G' => Value::Float(f64::from_be_bytes(take(rest, 8)?.try_into().unwrap_or_default())),
            // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8
            0x8C => Value::Text(sized(rest, 1)?),
            b'X' => Value::Text(sized(rest, 4)?),
            0x8D => Value::Text(sized(rest, 8)?),
            // SHORT_BINBYTES, BINBYTES, BINBYTES8
            b'C' => Value::Bytes(sized(rest, 1)?),
            b'B' => Value::Bytes(sized(rest, 4)?),
            0x8E => Value::Bytes(sized(rest, 8)?),
            // GLOBAL, INST
            b'c' | b'i' => return Err(reference(line(rest)?, line(rest)?)),
            // STACK_GLOBAL
            0x93 => return Err(self.stack_global()),
            // PERSID, BINPERSID, EXT1, EXT2, EXT4
            b'P' | b'Q' | 0x82..=0x84 => {
                return Err(PickleError::Reference("an object outside of the pickle".to_owned()));
            }
            _ => return Err(PickleError::Unsupported),
        };
        self.stack.push(Item::Value(value));
        Ok(false)
    }

    fn begin_dict(&mut self) -> Result<bool, PickleError> {
        if std::mem::replace(&mut self.has_dict, true) {
            return Err(PickleError::Unsupported);
        }
        self.stack.push(Item::Dict);
        Ok(false)
    }

    fn set_item(&mut self) -> Result<bool, PickleError> {
        let (Some(value), Some(key)) = (self.stack.pop(), self.stack.pop()) else {
            return Err(PickleError::Unreadable);
        };
        self.insert(key, value)?;
        match self.stack.last() {
            Some(Item::Dict) => Ok(false),
            _ => Err(PickleError::Unsupported),
        }
    }

    fn set_items(&mut self) -> Result<bool, PickleError> {
        let mark = self.stack.iter().rposition(|item| matches!(item, Item::Mark)).ok_or(PickleError::Unreadable)?;
        let items = self.stack.split_off(mark);
        for pair in items[1..].chunks(2) {
            let [key, value] = *pair else { return Err(PickleError::Unreadable) };
            self.insert(key, value)?;
        }
        match self.stack.last() {
            Some(Item::Dict) => Ok(false),
            _ => Err(PickleError::Unsupported),
        }
    }

    fn insert(&mut self, key: Item<'a>, value: Item<'a>) -> Result<(), PickleError> {
        let (Item::Value(Value::Text(key)), Item::Value(value)) = (key, value) else {
            return Err(PickleError::Unsupported);
        };
        self.entries.push((key, value));
        Ok(())
    }

    fn memoize(&mut self, index: usize) -> Result<bool, PickleError> {
        let top = *self.stack.last().ok_or(PickleError::Unreadable)?;
        self.memo.insert(index, top);
        Ok(false)
    }

    fn recall(&mut self, index: usize) -> Result<Value<'a>, PickleError> {
        let Item::Value(value) = *self.memo.get(&index).ok_or(PickleError::Unreadable)? else {
            return Err(PickleError::Unsupported); // the dict once more
        };
        if let Value::Text(text) | Value::Bytes(text) = value {
            self.repeated += text.len();
        }
        if self.repeated > MAX_REPEATED_BYTES { Err(PickleError::Unsupported) } else { Ok(value) }
    }

    fn stack_global(&mut self) -> PickleError {
        let mut name = || match self.stack.pop() {
            Some(Item::Value(Value::Text(name))) => name,
            _ => b"?",
        };
        let (name, module) = (name(), name());
        reference(module, name)
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], PickleError> {
    rest.split_off(..count).ok_or(PickleError::Unreadable)
}

/// A value that follows its own length of `width` bytes.
fn sized<'a>(rest: &mut &'a [u8], width: usize) -> Result<&'a [u8], PickleError> {
    let size = number(take(rest, width)?);
    take(rest, size)
}

fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], PickleError> {
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(PickleError::Unreadable)?;
    let line = take(rest, end)?;
    take(rest, 1)?;
    Ok(line)
}

/// A little-endian number, saturating: a length that does not fit exceeds the input anyway.
fn number(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |number: usize, byte| number.saturating_mul(256).saturating_add((*byte).into()))
}

/// A little-endian number of at most eight bytes, in two's complement.
fn signed(bytes: &[u8]) -> i64 {
    let fill = if bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xFF } else { 0 };
    let mut wide = [fill; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(wide)
}

fn long(bytes: &[u8]) -> Result<i64, PickleError> {
    if bytes.len() > 8 { Err(PickleError::Unsupported) } else { Ok(signed(bytes)) }
}

/// The name of a global, shortened and escaped for logs.
fn reference(module: &[u8], name: &[u8]) -> PickleError {
    let beginning = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    let name = format!("{}.{}", beginning(module), beginning(name));
    PickleError::Reference(name.chars().take(100).flat_map(char::escape_debug).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(pickle: &[u8]) -> Option<PickleError> {
        dict(pickle).err()
    }

    #[test]
    fn a_reference_is_named_however_it_is_written() {
        let ways: [&[u8]; 5] = [
            b"cos\nsystem\n(S'true'\ntR.",
            b"(ios\nsystem\n.",
            b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R.",
            // The names from the memo, and in the wrong order there.
            b"\x80\x04\x8c\x06system\x94\x8c\x02os\x94h\x01h\x00\x93.",
            // Behind data of all kinds, some of which looks like instructions.
            b"\x80\x04}(\x8c\x01aC\x03cos\x8c\x01bK\x05\x8c\x01cM\x63\x63\x8c\x01dG@\x00\x00\x00\x00\x00\x00\x00\x8c\x01eNucos\nsystem\n.",
        ];
        for pickle in ways {
            assert_eq!(error(pickle), Some(PickleError::Reference("os.system".to_owned())), "{pickle:?}");
        }
    }

    #[test]
    fn what_lies_outside_is_seen() {
        for pickle in [&b"Pname\n."[..], b"\x80\x04\x8c\x01aQ.", b"\x82\x01.", b"\x84\x01\x00\x00\x00."] {
            let outside = PickleError::Reference("an object outside of the pickle".to_owned());
            assert_eq!(error(pickle), Some(outside));
        }
    }

    #[test]
    fn a_flat_dict_is_read() {
        // {"a": "", "b": "", "c": -2, "d": 300, "e": 6000000000, "f": 0.5, "g": None, "h": True, "i": b"\x00"}
        let pickle = b"\x80\x04}\x94(\x8c\x01a\x94\x8c\x00\x94\x8c\x01b\x94h\x02\x8c\x01c\x94J\xfe\xff\xff\xff\
            \x8c\x01d\x94M\x2c\x01\x8c\x01e\x94\x8a\x05\x00\xbc\xa0\x65\x01\x8c\x01f\x94G?\xe0\x00\x00\x00\x00\x00\x00\
            \x8c\x01g\x94N\x8c\x01h\x94\x88\x8c\x01i\x94C\x01\x00\x94u.";
        let expected: [(&[u8], Value<'_>); 9] = [
            (b"a", Value::Text(b"")),
            (b"b", Value::Text(b"")),
            (b"c", Value::Integer(-2)),
            (b"d", Value::Integer(300)),
            (b"e", Value::Integer(6_000_000_000)),
            (b"f", Value::Float(0.5)),
            (b"g", Value::None),
            (b"h", Value::Bool(true)),
            (b"i", Value::Bytes(b"\x00")),
        ];
        assert_eq!(dict(pickle).unwrap(), expected);
        assert_eq!(dict(b"\x80\x02}X\x01\x00\x00\x00aK\x07s.").unwrap(), [(&b"a"[..], Value::Integer(7))]);
    }

    #[test]
    fn what_breaks_off_is_unreadable() {
        for pickle in [
            &b""[..],
            b"N",
            b"\x80\x04\x8c\xffshort",
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
            b"cos",
            b"h\x01.",
            b"\x94.",
            b"}s.",
            b"}(\x8c\x01au.",
            b"}u.",
        ] {
            assert_eq!(error(pickle), Some(PickleError::Unreadable), "{pickle:?}");
        }
    }

    #[test]
    fn what_an_envelope_does_not_need_is_refused() {
        let doubling = [&b"]"[..], &b"2a".repeat(64), b"."].concat();
        let laughs = [&b"]\x94"[..], &b"]\x94(h\x00h\x00e".repeat(64), b"."].concat();
        let nested = [&b"}\x8c\x01a".repeat(200)[..], &b"s".repeat(200), b"."].concat();
        let wrapped = [&b"N"[..], &b"\x85".repeat(200), b"."].concat();
        let digits = [&b"L"[..], &b"9".repeat(100), b"\n."].concat();
        let long = [&b"\x8b\x00\x00\x10\x00"[..], &vec![9; 0x10_0000], b"."].concat();
        let many = [&b"}("[..], &b"N".repeat(2000), b"u."].concat();
        let again = b"}\x94\x8c\x01ah\x00s.".to_vec();
        let no_dict = b"N.".to_vec();
        let two = b"}N.".to_vec();
        let repeated =
            [&b"}(X\x00\x00\x01\x00"[..], &vec![b'a'; 0x1_0000], b"\x94", &b"h\x00".repeat(330), b"u."].concat();
        for pickle in [doubling, laughs, nested, wrapped, digits, long, many, again, no_dict, two, repeated] {
            assert_eq!(error(&pickle), Some(PickleError::Unsupported), "{:?}", &pickle[..pickle.len().min(30)]);
        }
    }

    #[test]
    fn a_name_disturbs_no_log() {
        let long = format!("c{}\nx\n.", "\x1b".repeat(1_000_000));
        let Some(PickleError::Reference(name)) = error(long.as_bytes()) else { panic!("no reference") };
        assert!(name.starts_with("\\u{1b}") && name.len() < 1000, "{name}");
    }
}
