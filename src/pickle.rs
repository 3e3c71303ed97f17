//! A look at a pickle's instructions, without carrying them out: what it refers to outside of itself, and whether it is
//! as small and flat as what the runner writes.
//!
//! A hundred bytes of pickle can describe gigabytes, by copies of copies, or values that are nested so deeply that
//! whoever drops them runs out of stack. So what is to be decoded is counted before.

use std::collections::HashMap;
use std::fmt;

/// The runner's envelope has about sixty instructions, however long the texts in it are.
const INSTRUCTIONS: usize = 1000;
/// And it is one dict; this leaves room for what a later version adds.
const CONTAINERS: usize = 100;
/// A number in digits that is longer than this is none of the runner's, and takes its square in time to read.
const DIGITS: usize = 30;

/// Why a pickle is not decoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Objection {
    /// It refers to this, outside of itself, such as `os.system`.
    Reference(String),
    /// It has more parts, or parts of parts, than an envelope can have.
    Excess,
    /// It does not come to its end.
    Unreadable,
}

impl fmt::Display for Objection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(name) => {
                write!(formatter, "it refers to {name}, and nothing that a job leaves may refer to code")
            }
            Self::Excess => write!(formatter, "it has more parts than a runner writes"),
            Self::Unreadable => write!(formatter, "it breaks off, or is no pickle"),
        }
    }
}

/// What speaks against decoding a pickle; `None` if it is a little plain data, read to its very end.
///
/// A pickle that takes pains to hide a name may get a wrong one here; that it refers to something is seen all the same.
#[must_use]
pub fn objection(pickle: &[u8]) -> Option<Objection> {
    walk(pickle).err()
}

fn walk(pickle: &[u8]) -> Result<(), Objection> {
    let mut rest = pickle;
    let mut containers = 0;
    let mut memo: HashMap<usize, Option<&[u8]>> = HashMap::new();
    // The two strings that were pushed last, which STACK_GLOBAL takes for module and name, and the one just pushed.
    let (mut module, mut name): (&[u8], &[u8]) = (b"?", b"?");
    let mut top: Option<&[u8]> = None;
    for _ in 0..INSTRUCTIONS {
        let opcode = take(&mut rest, 1)?[0];
        let pushed = match opcode {
            b'.' => return Ok(()),
            b'c' | b'i' => return Err(reference(line(&mut rest)?, line(&mut rest)?)), // GLOBAL, INST
            0x93 => return Err(reference(module, name)),                              // STACK_GLOBAL
            // PERSID, BINPERSID, EXT1, EXT2, EXT4
            b'P' | b'Q' | 0x82..=0x84 => {
                return Err(Objection::Reference("an object outside of the pickle".to_owned()));
            }
            b'2' => return Err(Objection::Excess), // DUP, which no pickler writes
            // SHORT_BINUNICODE, SHORT_BINSTRING, BINUNICODE, BINSTRING, BINUNICODE8
            0x8C | b'U' => Some(sized(&mut rest, 1)?),
            b'X' | b'T' => Some(sized(&mut rest, 4)?),
            0x8D => Some(sized(&mut rest, 8)?),
            b'V' | b'S' => Some(unquoted(line(&mut rest)?)), // UNICODE, STRING
            // BINGET, LONG_BINGET, GET
            b'h' | b'j' | b'g' => {
                let index = match opcode {
                    b'h' => number(take(&mut rest, 1)?),
                    b'j' => number(take(&mut rest, 4)?),
                    _ => decimal(line(&mut rest)?)?,
                };
                let found = memo.get(&index).ok_or(Objection::Unreadable)?;
                if found.is_none() {
                    return Err(Objection::Excess); // a container once more, with all that is in it
                }
                *found
            }
            // MEMOIZE, BINPUT, LONG_BINPUT, PUT
            0x94 | b'q' | b'r' | b'p' => {
                let index = match opcode {
                    0x94 => memo.len(),
                    b'q' => number(take(&mut rest, 1)?),
                    b'r' => number(take(&mut rest, 4)?),
                    _ => decimal(line(&mut rest)?)?,
                };
                memo.insert(index, top);
                continue;
            }
            // INT, LONG, FLOAT
            b'I' | b'L' | b'F' => {
                if line(&mut rest)?.len() > DIGITS {
                    return Err(Objection::Excess);
                }
                None
            }
            // MARK, EMPTY_LIST, EMPTY_DICT, EMPTY_TUPLE, EMPTY_SET, TUPLE1 to TUPLE3. LIST, DICT, TUPLE and FROZENSET
            // need a MARK each.
            b'(' | b']' | b'}' | b')' | 0x8F | 0x85..=0x87 => {
                containers += 1;
                if containers > CONTAINERS {
                    return Err(Objection::Excess);
                }
                None
            }
            _ => {
                skip_argument(opcode, &mut rest)?;
                None
            }
        };
        top = pushed;
        if let Some(pushed) = pushed {
            (module, name) = (name, pushed);
        }
    }
    Err(Objection::Excess)
}

/// Passes over the argument of an instruction that neither refers to something nor pushes a string.
fn skip_argument(opcode: u8, rest: &mut &[u8]) -> Result<(), Objection> {
    match opcode {
        b'K' | 0x80 => take(rest, 1)?,  // BININT1, PROTO
        b'M' => take(rest, 2)?,         // BININT2
        b'J' => take(rest, 4)?,         // BININT
        b'G' | 0x95 => take(rest, 8)?,  // BINFLOAT, FRAME
        b'C' | 0x8A => sized(rest, 1)?, // SHORT_BINBYTES, LONG1
        b'B' | 0x8B => sized(rest, 4)?, // BINBYTES, LONG4
        0x8E | 0x96 => sized(rest, 8)?, // BINBYTES8, BYTEARRAY8
        _ => return Ok(()),
    };
    Ok(())
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], Objection> {
    rest.split_off(..count).ok_or(Objection::Unreadable)
}

/// What follows its own length, which takes this many bytes.
fn sized<'a>(rest: &mut &'a [u8], width: usize) -> Result<&'a [u8], Objection> {
    let size = number(take(rest, width)?);
    take(rest, size)
}

fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Objection> {
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(Objection::Unreadable)?;
    let line = take(rest, end)?;
    take(rest, 1)?;
    Ok(line)
}

/// A little-endian number. What does not fit into memory does not occur in what is there.
fn number(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |number: usize, byte| number.saturating_mul(256).saturating_add((*byte).into()))
}

fn decimal(line: &[u8]) -> Result<usize, Objection> {
    str::from_utf8(line).ok().and_then(|line| line.trim().parse().ok()).ok_or(Objection::Unreadable)
}

fn unquoted(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    line.strip_prefix(b"'").and_then(|line| line.strip_suffix(b"'")).unwrap_or(line)
}

/// A name for people: short, and without characters that would disturb a log.
fn reference(module: &[u8], name: &[u8]) -> Objection {
    let name = format!("{}.{}", String::from_utf8_lossy(module), String::from_utf8_lossy(name));
    Objection::Reference(name.chars().take(100).flat_map(char::escape_debug).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(name: &str) -> Objection {
        Objection::Reference(name.to_owned())
    }

    #[test]
    fn a_reference_is_named_however_it_is_written() {
        let ways: [&[u8]; 6] = [
            b"cos\nsystem\n(S'true'\ntR.",
            b"(S'true'\nios\nsystem\n.",
            b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R.",
            // The names from the memo, and in the wrong order there.
            b"\x80\x04\x8c\x06system\x94\x8c\x02os\x94h\x01h\x00\x93.",
            b"\x80\x04S'system'\np7\nS'os'\np3\ng3\ng7\n\x93.",
            // Behind data of all kinds, some of which looks like instructions.
            b"\x80\x04}(\x8c\x01aC\x03cos\x8c\x01bK\x05\x8c\x01cM\x63\x63G@\x00\x00\x00\x00\x00\x00\x00Nucos\nsystem\n.",
        ];
        for pickle in ways {
            assert_eq!(objection(pickle), Some(to("os.system")), "{pickle:?}");
        }
    }

    #[test]
    fn what_lies_outside_is_seen() {
        for pickle in [&b"Pname\n."[..], b"\x80\x04\x8c\x01aQ.", b"\x82\x01.", b"\x84\x01\x00\x00\x00."] {
            assert_eq!(objection(pickle), Some(to("an object outside of the pickle")));
        }
    }

    #[test]
    fn a_little_plain_data_is_fine() {
        // {"stdout": "", "stderr": "", "later": [1, (2, None)]}, where the empty string is one object.
        let plain = b"\x80\x04}\x94(\x8c\x06stdout\x94\x8c\x00\x94\x8c\x06stderr\x94h\x02\x8c\x05later\x94]\x94(K\x01K\x02N\x86\x94eu.";
        assert_eq!(objection(plain), None);
        assert_eq!(objection(b"\x80\x04N."), None);
    }

    #[test]
    fn what_breaks_off_is_unreadable() {
        for pickle in
            [&b""[..], b"N", b"\x80\x04\x8c\xffshort", b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", b"cos", b"h\x01."]
        {
            assert_eq!(objection(pickle), Some(Objection::Unreadable), "{pickle:?}");
        }
    }

    #[test]
    fn what_would_grow_is_refused() {
        let doubling = [&b"]"[..], &b"2a".repeat(64), b"."].concat();
        let laughs = [&b"]\x94"[..], &b"]\x94(h\x00h\x00e".repeat(64), b"."].concat();
        let nested = [&b"]".repeat(200)[..], &b"a".repeat(199), b"."].concat();
        let wrapped = [&b"N"[..], &b"\x85".repeat(200), b"."].concat();
        let marks = [&b"(".repeat(200)[..], b"."].concat();
        let long = [&b"L"[..], &b"9".repeat(100), b"\n."].concat();
        let many = [&b"]("[..], &b"N".repeat(2000), b"e."].concat();
        for pickle in [doubling, laughs, nested, wrapped, marks, long, many] {
            assert_eq!(objection(&pickle), Some(Objection::Excess), "{pickle:?}");
        }
    }

    #[test]
    fn a_name_disturbs_no_log() {
        let long = format!("c{}\nx\n.", "\x1b".repeat(1000));
        let Some(Objection::Reference(name)) = objection(long.as_bytes()) else { panic!("no reference") };
        assert!(name.starts_with("\\u{1b}") && name.len() < 1000, "{name}");
    }
}
