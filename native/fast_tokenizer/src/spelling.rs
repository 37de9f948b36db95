//! What each token adds to a decoded text, by where it stands.
//!
//! Decoding is not concatenation: `WordPiece` puts a blank in front of all tokens but the first,
//! `BPEDecoder` behind all but the last, `CTC` says what is repeated once. Each of the reference's
//! decoders is known here by what it looks at besides the token itself; what it makes of a token
//! it is asked itself. What looks at more is refused by name.

use std::collections::HashMap;

use tokenizers::{Decoder, DecoderWrapper};

use crate::guard::guarded;
use crate::steps::Decoding;
use crate::{Error, Result, alphabet};

/// Most characters that a decoder takes from the start of a text.
const STRIPPED: usize = 16;
/// Most tokens where what a token adds depends on the one before it.
const REPEATED: usize = 1 << 10;

/// What tokens add to a text, by id; None for what no text is made of.
pub type Bytes = Vec<Option<Vec<u8>>>;

/// What tokens add where some others stand before them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// What each token adds.
    pub bytes: Bytes,
    /// What it adds where the text ends with it; None if the same.
    pub last: Option<Bytes>,
    /// The context behind each token.
    pub next: Vec<u32>,
}

impl Context {
    /// One that leads to itself.
    pub(crate) fn alone(bytes: Bytes) -> Self {
        Self { next: vec![0; bytes.len()], bytes, last: None }
    }
}

/// What the steps of a decoder look at besides the token.
#[derive(Debug, Default)]
struct Traits {
    /// Whether it is the first, or the last.
    first: bool,
    last: bool,
    /// Whether the one before is the same, which then is left out with all that come to nothing.
    repeated: bool,
    /// Bytes of characters come one by one.
    bytes: bool,
    /// All are one text from here on.
    fused: bool,
    /// A character that is taken from the start, at most so many times.
    stripped: Option<(char, usize)>,
}

impl Traits {
    fn of(steps: &[&Decoding]) -> Result<Self> {
        let mut seen = Self::default();
        for (i, step) in steps.iter().enumerate() {
            let refuse = |name: &str| {
                let problem = format!(
                    "{name} as step {} looks at more of a text than one token at a time",
                    i + 1
                );
                Err(Error::entry("decoder", problem))
            };
            let apart = !seen.fused && !seen.bytes;
            let Decoding::Other(step) = step else {
                if apart { continue } else { return refuse("Replace") }
            };
            match step {
                DecoderWrapper::Fuse(_) => seen.fused = true,
                DecoderWrapper::ByteLevel(_) if apart => seen.fused = true,
                DecoderWrapper::ByteFallback(_) if apart => seen.bytes = true,
                DecoderWrapper::CTC(_) if apart && i == 0 => seen.repeated = true,
                DecoderWrapper::WordPiece(_) if apart && !seen.repeated => seen.first = true,
                DecoderWrapper::Metaspace(_) if apart && !seen.repeated => seen.first = true,
                DecoderWrapper::BPE(_) if apart && !seen.repeated => seen.last = true,
                DecoderWrapper::Strip(_) if apart => {}
                DecoderWrapper::Strip(strip) if seen.fused => {
                    // A character of several bytes may come as these.
                    let whole = strip.content.is_ascii() || !seen.bytes;
                    let once = seen.stripped.is_none() && !seen.repeated;
                    if strip.stop > 0 || strip.start > STRIPPED || !whole || !once {
                        return refuse("Strip");
                    }
                    seen.stripped = (strip.start > 0).then_some((strip.content, strip.start));
                }
                other => {
                    let named = serde_json::to_value(other).unwrap_or_default();
                    return refuse(named["type"].as_str().unwrap_or("a decoder"));
                }
            }
        }
        Ok(seen)
    }
}

/// What each of the named tokens adds, by a decoder's steps; of no step: with blanks between them.
///
/// # Errors
/// A step looks at more than what is known here; the message names it.
pub(crate) fn contexts(
    names: &[Option<String>],
    decoder: Option<&Decoding>,
) -> Result<Vec<Context>> {
    let mut steps = Vec::new();
    if let Some(decoder) = decoder {
        decoder.flat(&mut steps);
    }
    let mut seen = Traits::of(&steps)?;
    seen.first |= decoder.is_none();
    let table = |first: bool, last: bool| -> Bytes {
        let spell = |name: &String| match decoder {
            None if first => Some(name.clone().into_bytes()),
            None => Some(format!(" {name}").into_bytes()),
            Some(_) => spelled(name, &steps, first, last),
        };
        names.iter().map(|name| name.as_ref().and_then(spell)).collect()
    };
    let both = |first: bool| (table(first, !seen.last), seen.last.then(|| table(first, true)));
    if seen.repeated {
        return repeated(names, &table(true, true));
    }
    let (count, mark) = match seen.stripped {
        Some((mark, count)) => (count, mark.to_string().into_bytes()),
        None => (0, Vec::new()),
    };
    let later = both(false);
    if !seen.first && count == 0 {
        return Ok(vec![Context { last: later.1, ..Context::alone(later.0) }]);
    }
    // The first token; then so many marks taken already; then nothing is taken any more.
    let mut found = vec![start(both(seen.first), &mark, count, 0)];
    found.extend((0..count).map(|taken| start(later.clone(), &mark, count, taken)));
    let end = count as u32 + 1;
    found.push(Context { next: vec![end; names.len()], bytes: later.0, last: later.1 });
    Ok(found)
}

/// What one token becomes on its own, or behind and in front of others; None if that fails.
fn spelled(name: &str, steps: &[&Decoding], first: bool, last: bool) -> Option<Vec<u8>> {
    let mut token = name.to_owned();
    for step in steps {
        token = match step {
            Decoding::Other(DecoderWrapper::ByteLevel(_)) => {
                return Some(alphabet::decoded(&token).into());
            }
            Decoding::Other(DecoderWrapper::ByteFallback(_)) => match byte(&token) {
                Some(byte) => return Some(vec![byte]),
                None => token,
            },
            Decoding::Other(DecoderWrapper::Fuse(_)) => return Some(token.into_bytes()),
            Decoding::Other(
                DecoderWrapper::WordPiece(_)
                | DecoderWrapper::Metaspace(_)
                | DecoderWrapper::BPE(_),
            ) => {
                let mut tokens = vec![token];
                if !first {
                    tokens.insert(0, String::new());
                }
                if !last {
                    tokens.push(String::new());
                }
                asked(step, tokens)?.into_iter().nth(usize::from(!first))?
            }
            _ => asked(step, vec![token])?.concat(),
        };
    }
    Some(token.into_bytes())
}

/// What a step makes of tokens; None if it gives up, as `Strip` does at tokens that are too short.
fn asked(step: &Decoding, tokens: Vec<String>) -> Option<Vec<String>> {
    guarded(|| step.decode_chain(tokens)).ok()?.ok()
}

/// The byte that a name such as `<0x0A>` stands for, read as the reference reads it.
fn byte(name: &str) -> Option<u8> {
    let digits = name.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// The context in which `taken` marks were taken from the start of a text, of at most `count`.
fn start(
    (bytes, last): (Bytes, Option<Bytes>),
    mark: &[u8],
    count: usize,
    taken: usize,
) -> Context {
    let marks = |bytes: &[u8]| {
        let most = count - taken;
        bytes.chunks(mark.len().max(1)).take(most).take_while(|part| *part == mark).count()
    };
    let after = |bytes: &Option<Vec<u8>>| {
        let bytes = bytes.as_deref().unwrap_or_default();
        let total = taken + marks(bytes);
        let all = bytes.len() == (total - taken) * mark.len();
        if all && total < count { total as u32 + 1 } else { count as u32 + 1 }
    };
    let next = bytes.iter().map(after).collect();
    let cut = |bytes: Bytes| -> Bytes {
        let rest = |bytes: Vec<u8>| bytes[marks(&bytes) * mark.len()..].to_vec();
        bytes.into_iter().map(|bytes| bytes.map(rest)).collect()
    };
    Context { next, bytes: cut(bytes), last: last.map(cut) }
}

/// Contexts by the token before: the same name again adds nothing.
fn repeated(names: &[Option<String>], bytes: &Bytes) -> Result<Vec<Context>> {
    let mut kinds: HashMap<&str, u32> = HashMap::new();
    let mut next = Vec::with_capacity(names.len());
    for name in names {
        let fresh = kinds.len() as u32 + 1;
        next.push(name.as_ref().map_or(0, |name| *kinds.entry(name).or_insert(fresh)));
    }
    if kinds.len() > REPEATED {
        let problem = format!("CTC of {} tokens; expected at most {REPEATED}", kinds.len());
        return Err(Error::entry("decoder", problem));
    }
    let behind = |kind: u32| {
        let mut bytes = bytes.clone();
        for (bytes, &own) in bytes.iter_mut().zip(&next) {
            if own == kind && own > 0 {
                *bytes = Some(Vec::new());
            }
        }
        Context { bytes, last: None, next: next.clone() }
    };
    Ok((0..=kinds.len() as u32).map(behind).collect())
}
