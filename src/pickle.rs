//! A look at a pickle's instructions, without carrying them out: what it refers to outside of itself.

use std::collections::HashMap;

/// The first thing that a pickle refers to outside of itself, such as `os.system`; `None` if it is plain data, as far as
/// it can be read.
///
/// A pickle that takes pains to hide a name may get a wrong one here; that it refers to something is seen all the same.
#[must_use]
pub fn reference(pickle: &[u8]) -> Option<String> {
    let mut rest = pickle;
    let mut memo: HashMap<usize, Option<&[u8]>> = HashMap::new();
    // The two strings that were pushed last, which STACK_GLOBAL takes for module and name, and the one just pushed.
    let (mut module, mut name): (&[u8], &[u8]) = (b"?", b"?");
    let mut top: Option<&[u8]> = None;
    loop {
        let opcode = take(&mut rest, 1)?[0];
        let pushed = match opcode {
            b'.' => return None,
            b'c' | b'i' => return Some(dotted(line(&mut rest)?, line(&mut rest)?)), // GLOBAL, INST
            0x93 => return Some(dotted(module, name)),                              // STACK_GLOBAL
            // PERSID, BINPERSID, EXT1, EXT2, EXT4
            b'P' | b'Q' | 0x82..=0x84 => return Some("an object outside of the pickle".to_owned()),
            // SHORT_BINUNICODE, SHORT_BINSTRING, BINUNICODE, BINSTRING, BINUNICODE8
            0x8C | b'U' => Some(sized(&mut rest, 1)?),
            b'X' | b'T' => Some(sized(&mut rest, 4)?),
            0x8D => Some(sized(&mut rest, 8)?),
            b'V' | b'S' => Some(unquoted(line(&mut rest)?)), // UNICODE, STRING
            // BINGET, LONG_BINGET, GET
            b'h' => memo.get(&number(take(&mut rest, 1)?)).copied().flatten(),
            b'j' => memo.get(&number(take(&mut rest, 4)?)).copied().flatten(),
            b'g' => memo.get(&decimal(line(&mut rest)?)?).copied().flatten(),
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
}

/// Passes over the argument of an instruction that neither refers to something nor pushes a string.
fn skip_argument(opcode: u8, rest: &mut &[u8]) -> Option<()> {
    match opcode {
        b'I' | b'L' | b'F' => line(rest)?, // INT, LONG, FLOAT
        b'K' | 0x80 => take(rest, 1)?,     // BININT1, PROTO
        b'M' => take(rest, 2)?,            // BININT2
        b'J' => take(rest, 4)?,            // BININT
        b'G' | 0x95 => take(rest, 8)?,     // BINFLOAT, FRAME
        b'C' | 0x8A => sized(rest, 1)?,    // SHORT_BINBYTES, LONG1
        b'B' | 0x8B => sized(rest, 4)?,    // BINBYTES, LONG4
        0x8E | 0x96 => sized(rest, 8)?,    // BINBYTES8, BYTEARRAY8
        _ => return Some(()),
    };
    Some(())
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    rest.split_off(..count)
}

/// What follows its own length, which takes this many bytes.
fn sized<'a>(rest: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let size = number(take(rest, width)?);
    take(rest, size)
}

fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    take(rest, end + 1)?.split_last().map(|(_, line)| line)
}

/// A little-endian number. What does not fit into memory does not occur in what is there.
fn number(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |number: usize, byte| number.saturating_mul(256).saturating_add((*byte).into()))
}

fn decimal(line: &[u8]) -> Option<usize> {
    str::from_utf8(line).ok()?.trim().parse().ok()
}

fn unquoted(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    line.strip_prefix(b"'").and_then(|line| line.strip_suffix(b"'")).unwrap_or(line)
}

/// A name for people: short, and without characters that would disturb a log.
fn dotted(module: &[u8], name: &[u8]) -> String {
    let name = format!("{}.{}", String::from_utf8_lossy(module), String::from_utf8_lossy(name));
    name.chars().take(100).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(reference(pickle).as_deref(), Some("os.system"), "{pickle:?}");
        }
    }

    #[test]
    fn what_lies_outside_is_seen() {
        for pickle in [&b"Pname\n."[..], b"\x80\x04\x8c\x01aQ.", b"\x82\x01.", b"\x84\x01\x00\x00\x00."] {
            assert_eq!(reference(pickle).as_deref(), Some("an object outside of the pickle"));
        }
    }

    #[test]
    fn plain_or_unreadable_data_refers_to_nothing() {
        for pickle in
            [&b""[..], b"\x80\x04N.", b"\x80\x04\x8c\xffshort", b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", b"cos"]
        {
            assert_eq!(reference(pickle), None, "{pickle:?}");
        }
    }

    #[test]
    fn a_name_disturbs_no_log() {
        let long = format!("c{}\nx\n.", "\x1b".repeat(1000));
        let name = reference(long.as_bytes()).unwrap();
        assert!(name.starts_with("\\u{1b}") && name.len() < 1000, "{name}");
    }
}
