"""The options of one search, each declared once: type, default, range, choices and description.

Settings, the command line, LangChain, the page and the README's table take them from `OPTIONS`, or
are tested against it.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from math import inf
from typing import Any

from twotower.retrieval.legs import LEGS
from twotower.retrieval.search.fusion import FUSIONS
from twotower.retrieval.search.rerank import RERANKERS
from twotower.retrieval.vocabulary.errors import ConfigurationError
from twotower.retrieval.vocabulary.filters import Filter

HYBRID = "hybrid"
NO_RERANKER = "none"
MIN_DEPTH = 100


def _option(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: Mapping[str, object] | None = None,
    extra: str = "",
) -> Any:
    """Declare one option; ``choices`` is a registry, ``extra`` a choice beside its names."""
    details = {"help": help, "least": least, "most": most, "choices": choices, "extra": extra}
    if callable(default):
        return field(default_factory=default, hash=False, metadata=details)
    return field(default=default, metadata=details)


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """The configuration of one search; `OPTIONS` describes each field.

    Raises
    ------
    ConfigurationError
        If a value is outside its range or choices; the message names the option and what it
        allows.
    """

    mode: str = _option(
        HYBRID, "Legs to search: hybrid for all of them, or the name of one.",
        choices=LEGS, extra=HYBRID,
    )  # fmt: skip
    limit: int = _option(10, "Maximum number of hits.", least=1, most=10_000)
    fusion: str = _option("convex", "Method that fuses the rankings of the legs.", choices=FUSIONS)
    weights: Mapping[str, float] = _option(
        dict,
        "Weights of the legs in the fusion, each from 0 to 1, by name; the legs without one share "
        "the rest equally.",
        least=0,
        most=1,
    )
    depth: int = _option(
        0,
        "Number of candidates that each leg returns; 0 uses 100, or the limit if that is more.",
        least=0,
        most=10_000,
    )
    where: Filter = _option(  # noqa: RUF009 - it returns a dataclass field
        Filter, "Conditions that every hit meets."
    )
    per_document: int = _option(
        0, "Maximum number of hits from one document; 0 sets no maximum.", least=0
    )
    expand: int = _option(
        0, "Number of neighbouring passages to return before and after each hit.", least=0
    )
    diversity: float = _option(
        0.0,
        "Weight of diversity in the choice of hits, from 0 (relevance only) to 1 (diversity only).",
        least=0,
        most=1,
    )
    rerank: str = _option(
        NO_RERANKER, "Method that reorders the best hits.", choices=RERANKERS, extra=NO_RERANKER
    )
    rerank_depth: int = _option(50, "Number of hits that are reranked.", least=1, most=1000)
    rerank_weight: float = _option(
        0.4,
        "Weight of the reranker's score in the final score, from 0 to 1; the fused score has the "
        "rest.",
        least=0,
        most=1,
    )
    budget_ms: int = _option(
        0,
        "Time in milliseconds, counted from the start of the search, after which reranking stops; "
        "0 sets no limit.",
        least=0,
    )
    feedback: int = _option(
        0,
        "Number of top hits that expand the query (pseudo-relevance feedback); 0 turns it off.",
        least=0,
        most=100,
    )
    feedback_weight: float = _option(
        0.25, "Weight of the feedback hits in the expanded query, from 0 to 1.", least=0, most=1
    )

    def __post_init__(self) -> None:
        """Check every value against its declaration."""
        for option in OPTIONS.values():
            option.check(getattr(self, option.name))
        if self.depth and self.depth < self.limit:
            raise ConfigurationError(
                f"the option depth is {self.depth}, but the option limit is {self.limit}: raise "
                "the depth (0 chooses it), or lower the limit"
            )

    @property
    def candidates(self) -> int:
        """Number of candidates that each leg returns."""
        return self.depth or max(MIN_DEPTH, self.limit)


@dataclass(frozen=True, slots=True)
class Option:
    """The declaration of one search option.

    Attributes
    ----------
    least, most
        Smallest and largest value; ``None`` where there is no bound. For ``weights``, of each
        weight.
    """

    name: str
    type: type
    default: Any
    help: str
    least: float | None
    most: float | None
    registry: Mapping[str, object] | None
    extra: str

    @property
    def choices(self) -> tuple[str, ...]:
        """Allowed values, read from the registry now; empty where any value is allowed."""
        if self.registry is None:
            return ()
        return (*((self.extra,) if self.extra else ()), *self.registry)

    def check(self, value: Any) -> None:
        """Check a value.

        Raises
        ------
        ConfigurationError
            If the value is outside the range or the choices.
        """
        if self.registry is not None and value not in self.choices:
            raise ConfigurationError(
                f"the option {self.name} is '{value}': choose one of {', '.join(self.choices)}"
            )
        numbers = value.values() if isinstance(value, Mapping) else (value,)
        for number in numbers if self.least is not None else ():
            if not self.least <= number <= (inf if self.most is None else self.most):  # nor NaN
                raise ConfigurationError(
                    f"the option {self.name} is {number}: it must be {self._range}"
                )

    @property
    def _range(self) -> str:
        if self.most is None:
            return f"{self.least} or more"
        return f"between {self.least} and {self.most:,}"


def _declared() -> Mapping[str, Option]:
    declared = {}
    for one in fields(SearchOptions):
        factory = one.default_factory
        default = one.default if factory is MISSING else factory()
        details = one.metadata
        declared[one.name] = Option(
            name=one.name,
            type=type(default),
            default=default,
            help=details["help"],
            least=details["least"],
            most=details["most"],
            registry=details["choices"],
            extra=details["extra"],
        )
    return declared


OPTIONS = _declared()
