//! Bytes from the bucket as valid text.

use std::fmt::Write;

/// Characters of a name, a version or a status that are kept.
const MAX_SHORT_CHARS: usize = 200;

/// Decodes UTF-8 and escapes invalid bytes: a lone surrogate, which Python can write, as `\udce9`, any other byte as
/// `\xe9`.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        match str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                break;
            }
            Err(error) => {
                let (valid, invalid) = rest.split_at(error.valid_up_to());
                text.push_str(str::from_utf8(valid).unwrap_or_default());
                rest = match invalid {
                    [0xED, second @ 0xA0..=0xBF, third @ 0x80..=0xBF, rest @ ..] => {
                        let code = 0xD000 | u32::from(second & 0x3F) << 6 | u32::from(third & 0x3F);
                        let _ = write!(text, "\\u{code:04x}");
                        rest
                    }
                    [byte, rest @ ..] => {
                        let _ = write!(text, "\\x{byte:02x}");
                        rest
                    }
                    [] => &[],
                };
            }
        }
    }
    text
}

/// The beginning of a text, with control characters escaped, for names and versions.
#[must_use]
pub fn short(text: &str) -> String {
    text.chars()
        .take(MAX_SHORT_CHARS)
        .flat_map(|character| {
            let escaped = character.is_control().then(|| character.escape_default());
            let plain = (!character.is_control()).then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_utf8_is_escaped() {
        assert_eq!(text("Grüße 🐍\n".as_bytes()), "Grüße 🐍\n");
        assert_eq!(text(b"caf\xed\xb3\xa9.csv"), "caf\\udce9.csv");
        assert_eq!(text(b"\xed\xa0\x80\xed\xbf\xbf"), "\\ud800\\udfff");
        assert_eq!(text(b"a\xe9b\xf0\x9f"), "a\\xe9b\\xf0\\x9f");
        assert_eq!(text(b"\xed\xa0"), "\\xed\\xa0");
    }

    #[test]
    fn a_short_text_is_short_and_plain() {
        assert_eq!(short("a\x1b[2J\n"), "a\\u{1b}[2J\\n");
        assert_eq!(short(&"é".repeat(1000)).chars().count(), MAX_SHORT_CHARS);
    }
}
