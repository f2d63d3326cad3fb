"""Filters in the words of a Qdrant library: the two of them differ in names only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from retrieval.filters import Condition, Filter


@dataclass(frozen=True, slots=True)
class Dialect:
    """One library's classes."""

    filter: Callable[..., Any]
    field: Callable[..., Any]
    value: Callable[..., Any]
    prefix: Callable[..., Any]
    phrase: Callable[..., Any]
    numbers: Callable[..., Any]
    dates: Callable[..., Any]
    ids: Callable[[list[UUID]], Any]

    def translate(self, where: Filter) -> Any:
        """Say a filter in this library's classes."""
        conditions = [(self._condition(c), c.negated) for c in where.conditions]
        must = [condition for condition, negated in conditions if not negated]
        if where.ids is not None:
            must.append(self.ids(list(where.ids)))
        return self.filter(must=must, must_not=[c for c, negated in conditions if negated])

    def _condition(self, condition: Condition) -> Any:
        key = condition.key
        alternatives = [self.field(key=key, match=self.value(value=v)) for v in condition.values]
        alternatives += [
            self.field(key=key, match=self.prefix(prefix=prefix)) for prefix in condition.prefixes
        ]
        if condition.range:
            dates = isinstance(condition.range[0][1], str)
            bounds = (self.dates if dates else self.numbers)(**dict(condition.range))
            alternatives.append(self.field(key=key, range=bounds))
        if condition.phrase:
            alternatives.append(self.field(key=key, match=self.phrase(phrase=condition.phrase)))
        return alternatives[0] if len(alternatives) == 1 else self.filter(should=alternatives)
