"""The settings that decide where documents are cut."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Strategy = Literal["structure", "heading", "element", "tokens"]


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """How documents are cut; the collection's card stores these settings.

    Attributes
    ----------
    chunk_tokens
        Maximum number of tokens of one chunk as encoded: prefix, text and the encoder's special
        tokens.
    overlap_tokens
        Maximum number of tokens, in whole sentences, that two neighbouring chunks of one section
        share.
    least_tokens
        A section with fewer tokens is joined with the next one if both fit and are on the same
        page.
    strategy
        ``structure`` cuts at headings and joins small sections. ``heading`` cuts at headings and
        joins nothing. ``element`` makes a section of each paragraph, table or list item.
        ``tokens`` fills each chunk with as many tokens as fit, whatever the structure.
    """

    chunk_tokens: int
    overlap_tokens: int = 32
    least_tokens: int = 24
    strategy: Strategy = "structure"

    def to_card(self) -> Mapping[str, Any]:
        """Return the settings as a JSON object."""
        return asdict(self)
