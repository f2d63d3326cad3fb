"""The networks that recipes train, made from a model that exists or from nothing."""

import copy
import logging
import os
import shutil
from pathlib import Path
from typing import Any

from torch.nn import Identity

from twotower.retrieval.models.runtime.torch_runtime import load_network
from twotower.training.recipe import Kind, ModelTable

_THRESHOLD = -6.0  # leaves about 30 words of a question, and 300 of a passage
_NEVER = -1000.0  # for tokens that are no words


def build(table: ModelTable, base: Path | None) -> Any:
    """Make the network of a recipe.

    Parameters
    ----------
    base
        Folder of the model that training starts from; ``None`` for a new DSSM tower.

    Returns
    -------
    Any
        A `SentenceTransformer`, `MultiVectorEncoder`, `SparseEncoder` or `CrossEncoder`.
    """
    from transformers.utils import logging as theirs  # noqa: PLC0415 - takes 2 s

    theirs.disable_progress_bar()  # type: ignore[no-untyped-call]
    theirs.set_verbosity_error()  # type: ignore[no-untyped-call]
    # The library notes what it chose by itself, such as a new head for a cross-encoder.
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    if base is None:
        return _dssm()
    network = {"dense": _dense, "colbert": _colbert, "splade": _splade, "reranker": _reranker}[
        table.kind
    ](table, base)
    if table.kind != "reranker" and (table.question_prompt or table.passage_prompt):
        network.prompts = {"query": table.question_prompt, "document": table.passage_prompt}
    return network


def _dssm(hidden: int = 300, dimension: int = 128) -> Any:
    """Make an untrained tower of letter trigrams, shared by questions and passages."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - takes 5 to 10 s
    from sentence_transformers.base.modules import Dense, Normalize  # noqa: PLC0415 - as above

    from twotower.retrieval.models.letter_trigrams import LetterTrigrams  # noqa: PLC0415 - as above

    layers = [Dense(hidden, hidden), Dense(hidden, dimension), Normalize()]
    return SentenceTransformer(modules=[LetterTrigrams(dimension=hidden), *layers], device="cpu")


def _dense(table: ModelTable, base: Path) -> Any:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - takes 5 to 10 s

    network = load_network(SentenceTransformer, "encoder", base.name, base, False)
    modules = list(network)
    if table.projection:
        from sentence_transformers.base.modules import Dense, Normalize  # noqa: PLC0415 - as above

        width = network.get_embedding_dimension()
        head = Dense(width, table.projection, bias=False, activation_function=Identity())
        modules = [m for m in modules if not isinstance(m, Normalize)] + [head, Normalize()]
    if table.towers == "separate":
        from sentence_transformers.base.modules import Router  # noqa: PLC0415 - as above

        copied = copy.deepcopy(modules)
        modules = [Router.for_query_document(query_modules=modules, document_modules=copied)]
    if modules == list(network):
        return network
    return SentenceTransformer(modules=modules, prompts=network.prompts, device=network.device.type)


def _colbert(table: ModelTable, base: Path) -> Any:
    from sentence_transformers import MultiVectorEncoder  # noqa: PLC0415 - takes 5 to 10 s
    from sentence_transformers.base.modules import Dense, Normalize  # noqa: PLC0415 - as above
    from sentence_transformers.multi_vector_encoder.modules import (  # noqa: PLC0415 - as above
        MultiVectorMask,
    )

    transformer = _transformer(base)
    head = Dense(
        transformer.get_embedding_dimension(),
        table.projection,
        bias=False,
        activation_function=Identity(),
        module_input_name="token_embeddings",
    )
    _start_orthogonal(head)
    modules = [
        transformer,
        head,
        MultiVectorMask(),
        Normalize(module_input_name="token_embeddings"),
    ]
    return MultiVectorEncoder(modules=modules)


def _start_orthogonal(head: Any) -> None:
    """Start from a projection that keeps angles as well as it can, as training is short."""
    import torch  # noqa: PLC0415 - takes 2 s

    torch.nn.init.orthogonal_(head.linear.weight)


def _splade(table: ModelTable, base: Path) -> Any:
    del table
    from sentence_transformers import SparseEncoder  # noqa: PLC0415 - takes 5 to 10 s
    from sentence_transformers.sparse_encoder.modules import (  # noqa: PLC0415 - as above
        SpladePooling,
    )

    transformer = _transformer(base, "fill-mask")
    _start_with_words(transformer.auto_model, transformer.tokenizer.all_special_ids)
    return SparseEncoder(modules=[transformer, SpladePooling("max")])


def _start_with_words(network: Any, special: list[int]) -> None:
    """Give a model without a head for words one that starts near its own word vectors.

    An encoder has no such head. With a layer that changes nothing, each token stands for the words
    whose vectors are like its own.
    """
    import torch  # noqa: PLC0415 - takes 2 s

    head = getattr(getattr(network, "cls", None), "predictions", None)
    if head is None:
        return
    with torch.no_grad():
        head.transform.dense.weight.copy_(torch.eye(len(head.transform.dense.weight)))
        head.transform.dense.bias.zero_()
        head.bias.fill_(_THRESHOLD)
        head.bias[special] = _NEVER


def _reranker(table: ModelTable, base: Path) -> Any:
    del table
    from sentence_transformers import CrossEncoder  # noqa: PLC0415 - takes 5 to 10 s

    return CrossEncoder(os.fspath(base), num_labels=1, local_files_only=True)


def _transformer(base: Path, task: str = "feature-extraction") -> Any:
    """Load the transformer of an encoder, without its pooling."""
    from sentence_transformers.base.modules import Transformer  # noqa: PLC0415 - takes 5 to 10 s

    return Transformer(
        os.fspath(base),
        transformer_task=task,
        model_kwargs={"local_files_only": True},
        config_kwargs={"local_files_only": True},
        processor_kwargs={"local_files_only": True},
    )


def save(network: Any, folder: Path, base: Path | None) -> None:
    """Write a trained network so that the program can load it.

    Two towers keep their files in folders of their own; the tokenizer and the window, which the
    program reads without loading a network, are copied beside them.
    """
    network.save_pretrained(os.fspath(folder))
    if base is not None and not (folder / "tokenizer.json").is_file():
        for name in ("tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json"):
            if (base / name).is_file():
                shutil.copy(base / name, folder / name)


def load(kind: Kind, folder: Path) -> Any:
    """Load a network that `save` wrote, to train it further."""
    import sentence_transformers as theirs  # noqa: PLC0415 - takes 5 to 10 s

    network_class = {
        "dense": theirs.SentenceTransformer,
        "colbert": theirs.MultiVectorEncoder,
        "splade": theirs.SparseEncoder,
        "reranker": theirs.CrossEncoder,
    }[kind]
    return load_network(network_class, kind, folder.name, folder, trust_remote_code=False)
