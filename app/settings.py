"""The settings, and the only place that reads the environment."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from retrieval.errors import ConfigurationError

PREFIX = "TWOTOWER_"
_FOR_TESTS = "TWOTOWER_TEST_"  # read by the test suite, never by the program


class Settings(BaseModel):
    """Every setting: an environment variable of this name in capitals after ``TWOTOWER_``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(Path(".twotower"), description="Where collections are kept.")
    cache_dir: Path | None = Field(
        None,
        description="Where compiled models are kept, for all data directories; empty takes the "
        "place that the system has for caches.",
    )
    qdrant_url: str = Field(
        "",
        description="A Qdrant server or cluster, as `http://HOST:6333`; empty keeps collections in "
        "the data directory.",
    )
    qdrant_api_key: SecretStr = Field(SecretStr(""), description="Of the server.")
    qdrant_grpc: bool = Field(
        False, description="Whether points travel by gRPC (port 6334), where the server offers it."
    )
    qdrant_timeout: int = Field(30, ge=1, le=3600, description="Seconds that one call may take.")
    qdrant_ca_file: Path | None = Field(
        None, description="Certificates to check the server's with; empty takes the system's."
    )
    shards: int = Field(0, ge=0, description="Of a new collection on a server; 0: the server's.")
    replicas: int = Field(
        0, ge=0, description="Copies of each shard of a new collection; 0: the server's."
    )
    write_consistency: int = Field(
        0, ge=0, description="How many copies have to confirm a write; 0: the server's."
    )
    quantization: Literal["none", "int8", "turbo"] = Field(
        "none",
        description="Of the dense vectors that a new collection searches, at 1 byte or half a byte "
        "a dimension; the best are scored again by the originals.",
    )
    on_disk: bool = Field(
        False, description="Whether a new collection reads original vectors from disk."
    )
    index_threshold: int = Field(
        50_000,
        ge=0,
        description="Chunks from which on `ingest` builds an index of an embedded collection at "
        "its end; 0: never.",
    )
    collection: str = Field("documents", description="The collection that commands work on.")
    encoder: str = Field(
        "all-MiniLM-L6-v2",
        description="The bi-encoder: a packaged model, a folder, or a model hub's name.",
    )
    question_prompt: str | None = Field(
        None, description="Put before every question; empty takes what the model configures."
    )
    passage_prompt: str | None = Field(
        None, description="Put before every passage; empty takes what the model configures."
    )
    trust_remote_code: bool = Field(
        False, description="Whether Python code in the model's folder may run."
    )
    runtime: Literal["auto", "openvino", "torch"] = Field(
        "auto",
        description="What runs the networks; `auto` is OpenVINO, and torch on a GPU or where a "
        "model cannot be compiled.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="Of passages; `auto` is bf16 where the processor computes in it and the model "
        "gives the same in it.",
    )
    batch_tokens: int = Field(
        4096, ge=1, description="Tokens in one forward pass of encoder or cross-encoder."
    )
    threads: int = Field(
        0, ge=0, description="Of each native library; 0 takes what this process may use."
    )
    chunking: Literal["structure", "heading", "element", "tokens"] = Field(
        "structure",
        description="Where documents are cut: along headings with small sections joined; along "
        "headings; at each element; after so many tokens.",
    )
    chunk_tokens: int = Field(
        0, ge=0, description="The most tokens of a chunk; 0 takes what the encoder reads."
    )
    overlap_tokens: int = Field(
        32, ge=0, description="Tokens that adjoining chunks of a section share at the most."
    )
    language: str = Field("english", description="Of the stemmer and stop words of BM25.")
    fusion: Literal["convex", "minmax", "rrf", "dbsf"] = Field(
        "convex", description="How the two legs become one ranking."
    )
    dense_weight: float = Field(
        0.5, ge=0, le=1, description="Weight of the dense leg in the fusion; BM25 has the rest."
    )
    depth: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Candidates of each leg; 0 takes 100, or the limit where that is more.",
    )
    rerank: Literal["none", "late-interaction", "cross-encoder"] = Field(
        "none", description="What reorders the first hits."
    )
    rerank_depth: int = Field(50, ge=1, le=1000, description="How many hits are reranked.")
    rerank_weight: float = Field(
        0.4, ge=0, le=1, description="The reranker's share of the final score."
    )
    budget_ms: int = Field(
        0, ge=0, description="When reranking ends, counted from the question; 0: never."
    )
    cross_encoder: str = Field(
        "cross-encoder/ms-marco-MiniLM-L6-v2",
        description="For `cross-encoder` reranking: a folder, or a model hub's name.",
    )
    feedback: int = Field(
        0, ge=0, le=100, description="Hits of a first pass that move the question; 0: none."
    )
    feedback_weight: float = Field(
        0.25, ge=0, le=1, description="Their share of the question that is then asked."
    )
    llm: str = Field(
        "",
        description="The language model of `twotower ask`, as `PROVIDER:MODEL`; `openai`, "
        "`ollama`, `vllm`, `llamacpp` or `lmstudio`; empty quotes instead of writing.",
    )
    llm_url: str = Field("", description="Of its server; empty takes the provider's usual one.")
    llm_api_key: SecretStr = Field(SecretStr(""), description="Of its server.")
    llm_seconds: float = Field(120.0, gt=0, description="The most that an answer may take.")
    llm_context: int = Field(
        2000, ge=100, description="Tokens of the passages that a language model is given."
    )
    ui_host: str = Field(
        "127.0.0.1",
        description="Where `twotower ui` listens; beyond this machine, with a password or login.",
    )
    ui_port: int = Field(8501, ge=1, le=65535, description="Its port.")
    ui_hosts: str = Field(
        "",
        description="Names under which a browser may ask for it, besides this machine's own; with "
        "commas between them.",
    )
    ui_password: SecretStr = Field(SecretStr(""), description="That its visitors are asked for.")
    ui_folder: Path | None = Field(
        None,
        description="Folders below it may be ingested from the page; empty: any folder where it "
        "listens on this machine alone, else none.",
    )
    max_question_chars: int = Field(10_000, ge=1, description="A longer question is refused.")
    max_file_mb: int = Field(200, ge=1, description="A larger file is not read.")
    hidden: bool = Field(False, description="Whether hidden files and folders are read.")
    gitignore: bool = Field(True, description="Whether what a `.gitignore` names is left out.")
    max_pages: int = Field(5000, ge=1, description="A PDF with more pages is not read.")
    max_expanded_mb: int = Field(
        1000, ge=1, description="An archive (docx, xlsx, epub...) that unpacks to more is not read."
    )
    max_expansion: int = Field(
        200, ge=2, description="An archive that unpacks to more times its size is not read."
    )
    parse_workers: int = Field(
        0, ge=0, description="Processes that read files; 0 takes one for each core."
    )
    parse_seconds: float = Field(120.0, gt=0, description="The most that reading a file may take.")
    parse_memory_mb: int = Field(
        4096, ge=512, le=2**20, description="The most address space that reading a file may take."
    )


def load_settings(environment: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """Read the settings from the environment; ``overrides`` that are not None win.

    Raises
    ------
    ConfigurationError
        For an unknown variable with the prefix (the nearest name is proposed) or a bad value.
    """
    values = _read(os.environ if environment is None else environment)
    values |= {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(
            f"setting {name} is {first['input']!r}: {first['msg'].lower()}; see the README's table "
            "of settings"
        ) from error


def _read(environment: Mapping[str, str]) -> dict[str, object]:
    """Find the settings in the environment; an empty variable is as good as none."""
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    values: dict[str, object] = {}
    for variable, value in sorted(environment.items()):
        name = variable.upper()
        if name in known and value:
            values[known[name]] = value
        elif name.startswith(PREFIX) and name not in known and not name.startswith(_FOR_TESTS):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "see the README's table of settings"
            raise ConfigurationError(f"unknown setting {variable} in the environment: {hint}")
    return values
