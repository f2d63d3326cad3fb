"""The input of DSSM's tower: a text as the letter trigrams of its words.

Huang et al., 'Learning Deep Structured Semantic Models for Web Search using Clickthrough Data'
(CIKM 2013). The trigrams are hashed into buckets, so that no vocabulary has to be counted first.
"""

import json
import re
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from sentence_transformers.base.modules import InputModule
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

_WORD = re.compile(r"\w+")
_TOKENIZER = "tokenizer.json"
_LENGTHS = "sentence_bert_config.json"


class LetterTrigrams(InputModule):
    """Mean of the vectors of a text's letter trigrams.

    Parameters
    ----------
    buckets
        Number of vectors; trigrams that fall into the same bucket share one.
    dimension
        Length of a vector.
    max_seq_length
        Number of words that are read of a text.
    """

    config_keys = ["buckets", "dimension", "max_seq_length"]  # noqa: RUF012 - as the base class has it
    save_in_root = True

    def __init__(
        self, buckets: int = 1 << 15, dimension: int = 300, max_seq_length: int = 256
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.buckets = buckets
        self.dimension = dimension
        self.max_seq_length = max_seq_length
        self.embedding = torch.nn.Embedding(buckets, dimension, padding_idx=0)
        torch.nn.init.normal_(self.embedding.weight, std=dimension**-0.5)
        with torch.no_grad():
            self.embedding.weight[0] = 0

    def preprocess(  # type: ignore[override]  # texts alone
        self, inputs: list[str], prompt: str | None = None, **_: Any
    ) -> dict[str, torch.Tensor]:
        """Hash the trigrams of texts: ``input_ids`` and ``attention_mask``, (n, trigrams) each."""
        rows = []
        for text in inputs:
            words = _WORD.findall(f"{prompt or ''}{text}".lower())[: self.max_seq_length]
            rows.append([id for word in words for id in _hashed(word, self.buckets)] or [0])
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
        return {"input_ids": ids, "attention_mask": (ids > 0).long()}

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Add ``sentence_embedding``, (n, dimension)."""
        mask = features["attention_mask"].unsqueeze(-1).float()
        vectors = self.embedding(features["input_ids"]) * mask
        features["sentence_embedding"] = vectors.sum(1) / mask.sum(1).clamp(min=1)
        return features

    def get_embedding_dimension(self) -> int:
        """Length of a vector."""
        return self.dimension

    def save(self, output_path: str, *_: Any, safe_serialization: bool = True, **__: Any) -> None:
        """Write the module, with a tokenizer that counts words for the size of chunks."""
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=safe_serialization)
        folder = Path(output_path)
        counter = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106 - no secret
        counter.normalizer = normalizers.Lowercase()
        counter.pre_tokenizer = pre_tokenizers.Whitespace()
        counter.save(str(folder / _TOKENIZER))
        (folder / _LENGTHS).write_text(json.dumps({"max_seq_length": self.max_seq_length}))

    @classmethod
    def load(  # type: ignore[override]
        cls, model_name_or_path: str, **keywords: Any
    ) -> "LetterTrigrams":
        """Read a module that `save` wrote."""
        own = {k: v for k, v in keywords.items() if k in ("subfolder", "local_files_only")}
        module = cls(**cls.load_config(model_name_or_path, **own))
        cls.load_torch_weights(model_name_or_path, model=module, **own)
        return module


@lru_cache(maxsize=1 << 17)
def _hashed(word: str, buckets: int) -> tuple[int, ...]:
    """Return the buckets of a word's trigrams, from 1; `#` marks its ends."""
    marked = f"#{word}#"
    return tuple(
        1 + zlib.crc32(marked[n : n + 3].encode()) % (buckets - 1) for n in range(len(marked) - 2)
    )
