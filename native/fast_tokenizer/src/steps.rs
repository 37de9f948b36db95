//! The steps of the reference's pipeline, those with patterns by bounded searches.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::tokenizer::pattern::{Invert, Pattern};
use tokenizers::{
    Decoder, DecoderWrapper, NormalizedString, Normalizer, PreTokenizedString, PreTokenizer,
    Result, SplitDelimiterBehavior,
};

use crate::bounded::{Bounded, TooMuch};

/// A text may become so many times as long, and [`SOME`] bytes longer. No character's normal form
/// is more than 18 times as long as it is.
const TIMES: usize = 32;
const SOME: usize = 1 << 10;

/// A normalizer.
#[derive(Debug, Deserialize)]
#[serde(try_from = "NormalizerWrapper")]
pub(crate) enum Normalizing {
    Steps(Vec<Self>),
    Replace(Replace),
    Other(NormalizerWrapper),
}

/// A pre-tokenizer.
#[derive(Debug, Deserialize)]
#[serde(try_from = "PreTokenizerWrapper")]
pub(crate) enum Cutting {
    Steps(Vec<Self>),
    Split { pattern: Bounded, behavior: SplitDelimiterBehavior, invert: bool },
    Other(PreTokenizerWrapper),
}

/// A decoder.
#[derive(Debug, Deserialize)]
#[serde(try_from = "DecoderWrapper")]
pub(crate) enum Decoding {
    Steps(Vec<Self>),
    Replace(Replace),
    Other(DecoderWrapper),
}

/// A pattern, and what comes in place of what it matches.
#[derive(Debug)]
pub(crate) struct Replace {
    pattern: Bounded,
    content: String,
}

impl TryFrom<NormalizerWrapper> for Normalizing {
    type Error = String;

    fn try_from(step: NormalizerWrapper) -> std::result::Result<Self, String> {
        Ok(match step {
            NormalizerWrapper::Sequence(steps) => Self::Steps(each(steps)?),
            NormalizerWrapper::Replace(step) => Self::Replace(Replace::new(&step)?),
            step => Self::Other(step),
        })
    }
}

impl TryFrom<PreTokenizerWrapper> for Cutting {
    type Error = String;

    fn try_from(step: PreTokenizerWrapper) -> std::result::Result<Self, String> {
        Ok(match step {
            PreTokenizerWrapper::Sequence(steps) => Self::Steps(each(steps)?),
            PreTokenizerWrapper::Split(split) => {
                let (behavior, invert) = (split.behavior, split.invert);
                Self::Split { pattern: bounded(&split.pattern)?, behavior, invert }
            }
            step => Self::Other(step),
        })
    }
}

impl TryFrom<DecoderWrapper> for Decoding {
    type Error = String;

    fn try_from(step: DecoderWrapper) -> std::result::Result<Self, String> {
        Ok(match step {
            DecoderWrapper::Sequence(steps) => Self::Steps(each(steps.get_decoders().to_vec())?),
            DecoderWrapper::Replace(step) => Self::Replace(Replace::new(&step)?),
            step => Self::Other(step),
        })
    }
}

fn each<T, S>(steps: impl IntoIterator<Item = T>) -> std::result::Result<Vec<S>, String>
where
    S: TryFrom<T, Error = String>,
{
    steps.into_iter().map(S::try_from).collect()
}

/// A pattern of the crate, whose two kinds of steps have each a type of its own for it.
fn bounded(pattern: &impl Serialize) -> std::result::Result<Bounded, String> {
    let value = serde_json::to_value(pattern).map_err(|error| error.to_string())?;
    match (value.get("Regex"), value.get("String")) {
        (Some(Value::String(pattern)), _) => Bounded::regex(pattern),
        (_, Some(Value::String(text))) => Bounded::literal(text),
        _ => Err(format!("pattern: {value} is neither Regex nor String")),
    }
}

impl Replace {
    fn new(step: &tokenizers::normalizers::Replace) -> std::result::Result<Self, String> {
        let value = serde_json::to_value(step).map_err(|error| error.to_string())?;
        Ok(Self { pattern: bounded(&value["pattern"])?, content: step.content.clone() })
    }

    /// What it matches, after a look at how long the text becomes.
    fn find(&self, text: &str, original: usize) -> Result<Vec<(tokenizers::Offsets, bool)>> {
        let found = (&self.pattern).find_matches(text)?;
        let times = found.iter().filter(|part| part.1).count();
        let size = text.len().saturating_add(times.saturating_mul(self.content.len()));
        if is_long(size, original) {
            let problem = format!("makes {original} bytes of text {size} bytes long");
            return Err(self.pattern.refuse(problem));
        }
        Ok(found)
    }
}

fn is_long(size: usize, original: usize) -> bool {
    size > original.saturating_mul(TIMES).saturating_add(SOME)
}

/// Matches that were found before.
struct Found(Vec<(tokenizers::Offsets, bool)>);

impl Pattern for Found {
    fn find_matches(&self, _: &str) -> Result<Vec<(tokenizers::Offsets, bool)>> {
        Ok(self.0.clone())
    }
}

impl Normalizer for Normalizing {
    fn normalize(&self, text: &mut NormalizedString) -> Result<()> {
        match self {
            Self::Steps(steps) => {
                for step in steps {
                    step.normalize(text)?;
                }
                Ok(())
            }
            Self::Replace(step) => {
                let found = Found(step.find(text.get(), text.len_original())?);
                text.replace(found, &step.content)
            }
            Self::Other(step) => {
                step.normalize(text)?;
                let (size, original) = (text.len(), text.len_original());
                if is_long(size, original) {
                    let problem = format!("makes {original} bytes of text {size} bytes long");
                    return Err(TooMuch::refuse("", problem));
                }
                Ok(())
            }
        }
    }
}

impl PreTokenizer for Cutting {
    fn pre_tokenize(&self, text: &mut PreTokenizedString) -> Result<()> {
        match self {
            Self::Steps(steps) => steps.iter().try_for_each(|step| step.pre_tokenize(text)),
            Self::Split { pattern, behavior, invert: false } => {
                text.split(|_, part| part.split(pattern, *behavior))
            }
            Self::Split { pattern, behavior, invert: true } => {
                text.split(|_, part| part.split(Invert(pattern), *behavior))
            }
            Self::Other(step) => step.pre_tokenize(text),
        }
    }
}

impl Decoding {
    /// Appends its steps, those of sequences each for itself.
    pub(crate) fn flat<'a>(&'a self, steps: &mut Vec<&'a Self>) {
        match self {
            Self::Steps(inner) => inner.iter().for_each(|step| step.flat(steps)),
            step => steps.push(step),
        }
    }
}

impl Decoder for Decoding {
    fn decode_chain(&self, tokens: Vec<String>) -> Result<Vec<String>> {
        match self {
            Self::Steps(steps) => steps.iter().try_fold(tokens, |t, step| step.decode_chain(t)),
            Self::Replace(step) => tokens.iter().map(|token| step.decoded(token)).collect(),
            Self::Other(step) => step.decode_chain(tokens),
        }
    }
}

impl Replace {
    fn decoded(&self, token: &str) -> Result<String> {
        let parts = self.find(token, token.len())?.into_iter();
        let text =
            |((start, end), matched)| if matched { &self.content[..] } else { &token[start..end] };
        Ok(parts.map(text).collect())
    }
}
