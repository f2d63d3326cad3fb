"""Small models with random weights."""

from twotower.retrieval.models.model_folder import ModelFolder


def transformer(folder, tokenizer, seed=0):
    """Two random layers over the default encoder's vocabulary."""
    import torch
    from sentence_transformers.base.modules import Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(seed)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape["initializer_range"] = 0.3  # or all texts have nearly the same vector
    BertModel(BertConfig(vocab_size=30522, intermediate_size=64, **shape)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer, model_max_length=64).save_pretrained(folder)
    return Transformer(str(folder), max_seq_length=64)


def saved(modules, folder, **options) -> ModelFolder:
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(modules=modules, device="cpu", **options).save(str(folder))
    return ModelFolder(folder.name, folder)


def tiny_encoder(folder, tokenizer) -> ModelFolder:
    """A bi-encoder of two random layers, with a vector of 32 numbers."""
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    network = transformer(folder / "network", tokenizer)
    return saved([network, Pooling(32, "mean"), Normalize()], folder / "tiny")
