"""The settings, in groups: each setting is declared once, with its type, range, default and help.

A group is a section of ``twotower.toml``. `Settings` inherits from every group, so that all code
reads ``settings.qdrant_url``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from twotower.retrieval.legs import LEGS


def _setting(default: Any, description: str, *, key: str = "", **limits: float) -> Any:
    """Declare a setting.

    Parameters
    ----------
    key
        Name in the section of ``twotower.toml``; by default the name of the field without the name
        of the section.
    limits
        Range of a number: ``ge``, ``gt``, ``le``.
    """
    bounds: dict[str, Any] = limits
    return Field(
        default, description=description, json_schema_extra={"key": key} if key else None, **bounds
    )


class Group(BaseModel):
    """Base of the groups. The first line of a group's docstring describes its section."""

    # Only Settings is ever validated, so pydantic need not compile a validator for each group.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    section: ClassVar[str] = ""


class StorageSettings(Group):
    """Directories of the data and of the cache, and the collection to use."""

    section: ClassVar[str] = "storage"

    data_dir: Path = _setting(Path(".twotower"), "Directory that holds the collections.")
    cache_dir: Path | None = _setting(
        None,
        "Directory for compiled models, shared by all data directories; empty uses the cache "
        "directory of the system.",
    )
    collection: str = _setting("documents", "Name of the collection that commands use.")


class QdrantSettings(Group):
    """Connection to a Qdrant server."""

    section: ClassVar[str] = "qdrant"

    qdrant_url: str = _setting(
        "",
        "URL of a Qdrant server or cluster, such as `http://HOST:6333`; empty keeps collections in "
        "the data directory.",
    )
    qdrant_api_key: SecretStr = _setting(SecretStr(""), "API key of the Qdrant server.")
    qdrant_grpc: bool = _setting(
        False, "Transfer of points by gRPC (port 6334), if the server offers it."
    )
    qdrant_timeout: int = _setting(
        30, "Maximum duration of one call to the server, in seconds.", ge=1, le=3600
    )
    qdrant_ca_file: Path | None = _setting(
        None,
        "File with the certificates that verify the server; empty uses the certificates of the "
        "system.",
    )


class IndexSettings(Group):
    """Layout of a new collection."""

    section: ClassVar[str] = "index"

    legs: tuple[str, ...] = _setting(
        ("dense", "bm25"), "Names of the legs of a new collection; `dense` must be one of them."
    )
    language: str = _setting(
        "auto",
        "Language of the stemmer and the stop words of BM25 in a new collection; `auto` is the "
        "language of each passage.",
    )
    quantization: Literal["none", "int8", "turbo"] = _setting(
        "none",
        "Quantization of the dense vectors that a new collection searches: `int8` stores one byte "
        "for each dimension, `turbo` half a byte. The best candidates are scored again with the "
        "original vectors.",
    )
    prefix_dimension: int = _setting(
        0,
        "Number of dimensions of the vectors of the leg `short`; 0 is a quarter of those of the "
        "leg `dense`.",
        ge=0,
    )
    on_disk: bool = _setting(
        False, "Storage of the original vectors of a new collection on disk instead of in memory."
    )
    shards: int = _setting(
        0, "Number of shards of a new server collection; 0 uses the server's default.", ge=0
    )
    replicas: int = _setting(
        0,
        "Number of copies of each shard of a new server collection; 0 uses the server's default.",
        ge=0,
    )
    write_consistency: int = _setting(
        0, "Number of copies that must confirm a write; 0 uses the server's default.", ge=0
    )
    index_threshold: int = _setting(
        50_000,
        "Number of chunks from which `ingest` builds a vector index of an embedded collection at "
        "the end of a run; 0 never builds one.",
        ge=0,
    )

    @field_validator("legs", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """Split a comma-separated list, as environment variables have it."""
        if isinstance(value, str):
            return [name.strip() for name in value.split(",") if name.strip()]
        return value

    @field_validator("legs")
    @classmethod
    def _known(cls, legs: tuple[str, ...]) -> tuple[str, ...]:
        if "dense" not in legs or len(set(legs)) < len(legs) or not LEGS.keys() >= set(legs):
            raise ValueError(f"legs are {', '.join(LEGS)}")
        return legs


class EncoderSettings(Group):
    """Encoder of the passages and the questions, and the runtime of all models."""

    section: ClassVar[str] = "encoder"

    encoder: str = _setting(
        "all-MiniLM-L6-v2",
        "Encoder of new collections: the name of a packaged model, a folder, or a name on a model "
        "hub.",
        key="model",
    )
    question_prompt: str | None = _setting(
        None, "Prompt before every question; empty uses the prompt that the model configures."
    )
    passage_prompt: str | None = _setting(
        None, "Prompt before every passage; empty uses the prompt that the model configures."
    )
    colbert: str = _setting(
        "",
        "Model of the leg `colbert`: a folder that `twotower train colbert` wrote, or a name on a "
        "model hub.",
    )
    splade: str = _setting(
        "",
        "Model of the leg `splade`: a folder that `twotower train splade` wrote, or a name on a "
        "model hub.",
    )
    trust_remote_code: bool = _setting(
        False, "Permission to run Python code from the model's folder."
    )
    runtime: Literal["auto", "openvino", "torch"] = _setting(
        "auto",
        "Runtime of the models; `auto` uses OpenVINO, but torch on a GPU and for models that "
        "cannot be compiled.",
    )
    precision: Literal["auto", "fp32", "bf16"] = _setting(
        "auto",
        "Precision in which passages are encoded; `auto` uses bf16 if the processor computes in "
        "bf16 and the model gives the same results.",
    )
    batch_tokens: int = _setting(
        4096, "Number of tokens in one forward pass of the encoder or the cross-encoder.", ge=1
    )
    threads: int = _setting(
        0,
        "Number of threads of each native library; 0 uses all cores that the process may use.",
        ge=0,
    )


class ChunkingSettings(Group):
    """Division of documents into chunks."""

    section: ClassVar[str] = "chunking"

    chunking: Literal["structure", "heading", "element", "tokens"] = _setting(
        "structure",
        "Strategy that divides a document: `structure` cuts along headings and joins small "
        "sections, `heading` cuts along headings, `element` cuts at each element, `tokens` cuts "
        "after a number of tokens.",
        key="strategy",
    )
    chunk_tokens: int = _setting(
        0,
        "Maximum number of tokens in a chunk; 0 uses the maximum length of the encoder's input.",
        key="tokens",
        ge=0,
    )
    overlap_tokens: int = _setting(
        32, "Maximum number of tokens that two neighbouring chunks of a section share.", ge=0
    )


class SearchSettings(Group):
    """Defaults of the search options; where one is not set, `twotower tune` may choose it."""

    section: ClassVar[str] = "search"

    search: Mapping[str, Any] = Field(
        {}, description="Search options that are set explicitly, by name, converted and checked."
    )
    cross_encoder: str = _setting(
        "cross-encoder/ms-marco-MiniLM-L6-v2",
        "Model of the `cross-encoder` reranker: a folder, or a name on a model hub.",
    )
    max_question_chars: int = _setting(
        10_000, "Maximum number of characters in a question; a longer question is refused.", ge=1
    )
    click_log: bool = _setting(
        False,
        "Recording of questions and opened hits in a file in the data directory, from which "
        "`twotower train` learns.",
    )


class LlmSettings(Group):
    """Language model of `twotower ask`."""

    section: ClassVar[str] = "llm"

    llm: str = _setting(
        "",
        "Language model as `PROVIDER:MODEL`, where the provider is `openai`, `ollama`, `vllm`, "
        "`llamacpp` or `lmstudio`; empty quotes sentences of the passages instead.",
        key="model",
    )
    llm_url: str = _setting(
        "", "URL of the language model's server; empty uses the usual URL of the provider."
    )
    llm_api_key: SecretStr = _setting(SecretStr(""), "API key of the language model's server.")
    llm_seconds: float = _setting(120.0, "Maximum duration of one answer, in seconds.", gt=0)
    llm_context: int = _setting(
        2000,
        "Maximum number of tokens in the passages that the language model receives.",
        ge=100,
    )


class UiSettings(Group):
    """Web page of `twotower ui`."""

    section: ClassVar[str] = "ui"

    ui_host: str = _setting(
        "127.0.0.1",
        "Address on which the page listens; an address that other machines can reach requires a "
        "password or a login.",
    )
    ui_port: int = _setting(8501, "Port on which the page listens.", ge=1, le=65535)
    ui_hosts: str = _setting(
        "",
        "Additional host names, separated by commas, under which browsers may open the page.",
    )
    ui_password: SecretStr = _setting(SecretStr(""), "Password that visitors must enter.")
    ui_folder: Path | None = _setting(
        None,
        "Folder from which visitors may ingest; empty allows any folder if the page listens only "
        "on this machine, and no folder if other machines can reach it.",
    )


class FileSettings(Group):
    """Selection of the files to ingest, and limits while they are read."""

    section: ClassVar[str] = "files"

    max_file_mb: int = _setting(
        200, "Maximum size of a file in megabytes; a larger file is not read.", ge=1
    )
    hidden: bool = _setting(False, "Inclusion of hidden files and folders.")
    gitignore: bool = _setting(True, "Exclusion of the files that a `.gitignore` names.")
    max_pages: int = _setting(
        5000, "Maximum number of pages of a PDF; a longer one is not read.", ge=1
    )
    max_expanded_mb: int = _setting(
        1000,
        "Maximum unpacked size of an archive (docx, xlsx, epub...) in megabytes; a larger one is "
        "not read.",
        ge=1,
    )
    max_expansion: int = _setting(
        200,
        "Maximum ratio of an archive's unpacked size to its size; an archive with a higher ratio "
        "is not read.",
        ge=2,
    )
    ocr: Literal["auto", "rapidocr", "tesseract", "none"] = _setting(
        "auto",
        "Engine for OCR of scanned pages and pictures; auto uses rapidocr, and tesseract for "
        "letters that rapidocr does not know, and none turns OCR off.",
    )
    ocr_languages: str = _setting(
        "",
        "Languages that tesseract reads, such as eng+rus; empty uses those that are installed.",
    )
    parse_workers: int = _setting(
        0, "Number of processes that read files; 0 uses one for each core.", ge=0
    )
    parse_seconds: float = _setting(120.0, "Maximum time for reading one file, in seconds.", gt=0)
    parse_memory_mb: int = _setting(
        4096,
        "Maximum address space for reading one file, in megabytes.",
        ge=512,
        le=2**20,
    )


class Settings(
    StorageSettings,
    QdrantSettings,
    IndexSettings,
    EncoderSettings,
    ChunkingSettings,
    SearchSettings,
    LlmSettings,
    UiSettings,
    FileSettings,
):
    """Every setting; `twotower.app.settings.load_settings` makes it."""


GROUPS = tuple(base for base in Settings.__bases__ if issubclass(base, Group))
