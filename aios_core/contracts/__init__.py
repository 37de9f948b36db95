"""What a plugin must write: one file a kind.

A component is a frozen attrs class that *is* its own configuration: its fields are what a config
file may set, its validators are the error messages, its docstring is the help text, its methods do
the work. Nothing here imports torch or numpy when it is imported.
"""

from aios_core.contracts.automaton import Automaton
from aios_core.contracts.backbone import (
    Backbone,
    Cache,
    Caching,
    CachingModule,
    Condition,
    Injection,
)
from aios_core.contracts.checker import Checker
from aios_core.contracts.command import Command
from aios_core.contracts.conditioner import Conditioner, Cues, CueSource
from aios_core.contracts.constraint import Constraint, PatternExample
from aios_core.contracts.corruption import Corruption
from aios_core.contracts.dataset import Dataset, Split
from aios_core.contracts.denoising import Denoising, Question
from aios_core.contracts.embedding import EmbeddingProvider, Side
from aios_core.contracts.executor import Executor, Outcome
from aios_core.contracts.head import ProjectionHead
from aios_core.contracts.history import History, TrainedRun
from aios_core.contracts.level import (
    Adaptation,
    Budget,
    EvolutionLevel,
    Experience,
    Windows,
)
from aios_core.contracts.lr_schedule import LrSchedule
from aios_core.contracts.metric import Estimate, Evidence, Metric, Samples
from aios_core.contracts.modality import Codec, Modality, Shown, Sound
from aios_core.contracts.model import (
    AnyNetwork,
    Denoiser,
    HeldOutTokens,
    Network,
)
from aios_core.contracts.noise import Curve, NoiseScheduler, Spacing
from aios_core.contracts.objective import Noisy, Objective, Prediction, TrainingContext
from aios_core.contracts.optimizer import Optimizer, Stepper, Weight
from aios_core.contracts.padding import Padding
from aios_core.contracts.policy import EvolutionPolicy
from aios_core.contracts.process import Draws, Process, TokenProcess
from aios_core.contracts.quantizer import QuantizedTensor, Quantizer, Statistics
from aios_core.contracts.randomness import Randomness
from aios_core.contracts.reader import FileReader, TextSettings
from aios_core.contracts.records import Id, Rows, store_schema
from aios_core.contracts.report import AblationResults, Report
from aios_core.contracts.rows import (
    Completion,
    Control,
    Role,
    Row,
    Segment,
    Source,
    Task,
    TextContent,
    content_of,
)
from aios_core.contracts.sampler import (
    AdaptiveSampler,
    Controls,
    Sampler,
    SamplingContext,
    StepSampler,
)
from aios_core.contracts.sequences import Sequences
from aios_core.contracts.space import Continuous, Space, Vocabulary
from aios_core.contracts.spelling import Spelling, SpellingContext
from aios_core.contracts.storage import Capability, Stats, StorageBackend
from aios_core.contracts.store import VectorStore
from aios_core.contracts.tensor_format import TensorFormat, TensorSource
from aios_core.contracts.tokenizer import (
    Texts,
    Tokenizer,
    TrainedTokenizer,
    tokenizer_errors,
)
from aios_core.contracts.tracker import Tracker
from aios_core.contracts.uncertainty import MaskLevel, UncertaintyEstimator

__all__ = [
    "AblationResults",
    "Adaptation",
    "AdaptiveSampler",
    "AnyNetwork",
    "Automaton",
    "Backbone",
    "Budget",
    "Cache",
    "Caching",
    "CachingModule",
    "Capability",
    "Checker",
    "Codec",
    "Command",
    "Completion",
    "Condition",
    "Conditioner",
    "Constraint",
    "Continuous",
    "Control",
    "Controls",
    "Corruption",
    "CueSource",
    "Cues",
    "Curve",
    "Dataset",
    "Denoiser",
    "Denoising",
    "Draws",
    "EmbeddingProvider",
    "Estimate",
    "Evidence",
    "EvolutionLevel",
    "EvolutionPolicy",
    "Executor",
    "Experience",
    "FileReader",
    "HeldOutTokens",
    "History",
    "Id",
    "Injection",
    "LrSchedule",
    "MaskLevel",
    "Metric",
    "Modality",
    "Network",
    "NoiseScheduler",
    "Noisy",
    "Objective",
    "Optimizer",
    "Outcome",
    "Padding",
    "PatternExample",
    "Prediction",
    "Process",
    "ProjectionHead",
    "QuantizedTensor",
    "Quantizer",
    "Question",
    "Randomness",
    "Report",
    "Role",
    "Row",
    "Rows",
    "Sampler",
    "Samples",
    "SamplingContext",
    "Segment",
    "Sequences",
    "Shown",
    "Side",
    "Sound",
    "Source",
    "Space",
    "Spacing",
    "Spelling",
    "SpellingContext",
    "Split",
    "Statistics",
    "Stats",
    "StepSampler",
    "Stepper",
    "StorageBackend",
    "Task",
    "TensorFormat",
    "TensorSource",
    "TextContent",
    "TextSettings",
    "Texts",
    "TokenProcess",
    "Tokenizer",
    "Tracker",
    "TrainedRun",
    "TrainedTokenizer",
    "TrainingContext",
    "UncertaintyEstimator",
    "VectorStore",
    "Vocabulary",
    "Weight",
    "Windows",
    "content_of",
    "store_schema",
    "tokenizer_errors",
]
