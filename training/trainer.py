"""One stage of training with the trainers of sentence-transformers."""

import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("TQDM_DISABLE", "1")  # one progress bar is enough, and it is ours

import torch
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback
from transformers.utils import logging

from twotower.retrieval.models.runtime.torch_runtime import has_bf16
from twotower.retrieval.vocabulary.errors import ConfigurationError, ServiceError
from twotower.training.batches import PASSAGE, QUESTION
from twotower.training.curve import Outcome, Step
from twotower.training.objective import BatchLoss, make_loss
from twotower.training.recipe import ModelTable, Stage

_STATE = "objective.pt"
_METRIC = "ndcg@10"
_CHECKPOINTS = 2  # that are kept: the best and the newest
_SPARE_BYTES = 200 * 2**20
_TIMED_STEPS = 2

Rows = Callable[[Sequence[int]], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Validation:
    """Questions that early stopping is measured on.

    Attributes
    ----------
    questions, passages
        Texts by id.
    relevant
        Ids of the relevant passages of each question.
    candidates
        Ids of the passages that a reranker orders for each question.
    """

    questions: Mapping[str, str]
    passages: Mapping[str, str]
    relevant: Mapping[str, set[str]]
    candidates: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Job:
    """Everything that one stage of training needs.

    Attributes
    ----------
    rows
        Function from numbers of drawn pairs to their texts, as columns in order.
    drawn
        Number of pairs that are drawn in all.
    relevant, passages
        See `BatchLoss`.
    folder
        Where checkpoints are written.
    extra_state
        Function that returns what `rows` needs to be resumed, and one that takes it up.
    """

    network: Any
    model: ModelTable
    stage: Stage
    rows: Rows
    drawn: int
    relevant: Sequence[frozenset[int]]
    passages: int
    validation: Validation
    folder: Path
    extra_state: tuple[Callable[[], Any], Callable[[Any], None]] = field(
        default=(lambda: None, lambda _: None)
    )


class _Numbers(torch.utils.data.Sampler[list[int]]):
    """Batches of the drawn pairs, in their order."""

    def __init__(self, count: int, size: int) -> None:
        self.batch_size = size
        self.drop_last = True
        self._count = count

    def __iter__(self) -> Any:
        return (
            list(range(first, first + self.batch_size))
            for first in range(0, self._count - self.batch_size + 1, self.batch_size)
        )

    def __len__(self) -> int:
        return self._count // self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Keep the order: there is one epoch."""


class _Collator:
    """Looks the texts of a batch up, which mined negatives change, and prepares them."""

    def __init__(self, collate: Callable[..., Any], rows: Rows) -> None:
        self._collate = collate
        self._rows = rows
        self.valid_label_columns = getattr(collate, "valid_label_columns", ["label"])

    def __call__(self, features: Sequence[Mapping[str, int]]) -> Any:
        return self._collate(self._rows([feature["number"] for feature in features]))


class _Watch(TrainerCallback):
    """Reports progress, writes the state of the loss, and stops where something is wrong."""

    def __init__(self, job: Job, loss: Any, progress: Callable[[Step, int], None]) -> None:
        self._job = job
        self._loss = loss
        self._progress = progress
        self._checkpoint_bytes = 0
        self.curve: list[Step] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Add a point to the curve."""
        del args, control
        if logs and "loss" in logs:
            self.curve.append(Step(state.global_step, float(logs["loss"])))
            self._progress(self.curve[-1], state.max_steps)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any
    ) -> None:
        """Add what was measured to the last point."""
        del args, control
        value = _metric(metrics or {})
        last = self.curve[-1] if self.curve else Step(state.global_step, math.nan)
        point = Step(state.global_step, last.loss, value)
        if self.curve and last.number == state.global_step:
            self.curve[-1] = point
        else:
            self.curve.append(point)
        self._progress(point, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Refuse to write a checkpoint that the disk has no room for."""
        del control
        if state.global_step % args.save_steps == 0:
            folder = self._job.folder
            needed = self._checkpoint_bytes or _estimated_bytes(self._job.network)
            free = shutil.disk_usage(folder).free
            if free < needed + _SPARE_BYTES:
                raise ServiceError(
                    f"the disk of {folder} has {free // 2**20} MB free, but a checkpoint takes "
                    f"{needed // 2**20} MB: make room, and run the same command again to go on"
                )

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write what a resumed training needs beside network, optimiser and random numbers."""
        del control
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        own = self._loss.state() if isinstance(self._loss, BatchLoss) else None
        torch.save({"loss": own, "rows": self._job.extra_state[0]()}, folder / _STATE)
        self._checkpoint_bytes = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def run_stage(
    job: Job,
    progress: Callable[[Step, int], None],
    announce: Callable[[float], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train one stage from its newest checkpoint, if any; the network gets the best weights.

    Parameters
    ----------
    announce
        Called with the estimated seconds of the whole stage, before it starts.

    Raises
    ------
    ConfigurationError
        If the loss is not a number.
    ServiceError
        If the disk is too full for a checkpoint.
    """
    reads = getattr(job.network, "max_seq_length", None)
    if job.model.kind == "reranker" and job.model.window:
        job.network.max_seq_length = min(job.model.window, reads or job.model.window)
    loss = make_loss(job.network, job.model, job.stage, job.relevant, job.passages)
    watch = _Watch(job, loss, progress)
    trainer = _trainer(job, loss, [watch, _StopWhen(should_stop)])
    start = time.monotonic()
    checkpoint = _newest_checkpoint(job.folder)
    before = math.nan
    if checkpoint is None:
        before = _metric(trainer.evaluate())
        watch.curve.clear()
        measured = time.monotonic() - start
        announce(_estimated_seconds(job, trainer, loss, measured))
    else:
        # The file was written by `_Watch.on_save` into the run folder of this machine.
        state = torch.load(checkpoint / _STATE, weights_only=False)
        if isinstance(loss, BatchLoss) and state["loss"]:
            loss.restore(state["loss"])
        job.extra_state[1](state["rows"])
    trainer.train(resume_from_checkpoint=os.fspath(checkpoint) if checkpoint else None)
    if job.model.kind == "reranker":
        job.network.max_seq_length = reads
    best = trainer.state.best_metric
    best_step = trainer.state.best_global_step or 0
    curve = tuple(
        Step(entry["step"], entry.get("loss", math.nan), _metric(entry))
        for entry in trainer.state.log_history
    )
    return Outcome(
        trainer.state.global_step,
        time.monotonic() - start,
        before,
        math.nan if best is None else float(best),
        best_step,
        trainer.state.global_step < trainer.state.max_steps,
        curve,
    )


class _StopWhen(TrainerCallback):
    """Ends training after a step when it is asked to; the last checkpoint is kept."""

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask."""
        del args, state
        if self._should_stop():
            control.should_save = True
            control.should_training_stop = True


def _trainer(job: Job, loss: Any, callbacks: Sequence[TrainerCallback]) -> Any:
    from datasets import Dataset, disable_progress_bars  # noqa: PLC0415 - takes a second

    disable_progress_bars()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    trainer_class, arguments_class = _classes(job.model.kind)
    training = job.stage.training
    bf16 = training.precision == "bf16" or (training.precision == "auto" and has_bf16())
    evaluator = _evaluator(job)
    arguments = arguments_class(
        output_dir=os.fspath(job.folder),
        per_device_train_batch_size=training.batch,
        gradient_accumulation_steps=training.accumulate,
        max_steps=training.steps,
        learning_rate=training.learning_rate,
        warmup_steps=training.warmup,
        lr_scheduler_type="linear",
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        seed=training.seed,
        data_seed=training.seed,
        eval_strategy="steps",
        eval_steps=training.validate_every,
        save_strategy="steps",
        save_steps=training.validate_every,
        save_total_limit=_CHECKPOINTS,
        load_best_model_at_end=True,
        metric_for_best_model=_metric_name(job),
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        logging_steps=max(1, training.validate_every // 5),
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=[],
        dataloader_drop_last=True,
        **_prompts(job),
    )

    class Trainer(trainer_class):  # type: ignore[misc,valid-type]
        """A trainer that keeps the order of the pairs, and stops when the loss is not a number."""

        def add_model_card_callback(self, default_args_dict: Any) -> None:
            """Write no card: the numbers of pairs tell nothing, and the run folder has one."""

        def get_batch_sampler(self, dataset: Any, batch_size: int, *_: Any, **__: Any) -> Any:
            return _Numbers(len(dataset), batch_size)

        def compute_loss(self, *args: Any, **keywords: Any) -> Any:
            found = super().compute_loss(*args, **keywords)
            value = (found[0] if isinstance(found, tuple) else found).detach()
            if not torch.isfinite(value):
                batch = self.state.global_step * training.accumulate + 1
                raise ConfigurationError(
                    f"the loss is {value.item()} at step {self.state.global_step + 1} (batch "
                    f"{batch}): lower training.learning_rate or loss.scale, or set "
                    "training.precision to fp32"
                )
            return found

    more: list[TrainerCallback] = [*callbacks, EarlyStoppingCallback(training.patience)]
    if job.model.kind == "splade":
        from sentence_transformers.sparse_encoder.callbacks import (  # noqa: PLC0415 - as above
            SpladeRegularizerWeightSchedulerCallback,
        )

        more.append(SpladeRegularizerWeightSchedulerCallback(loss=loss))
    trainer = Trainer(
        model=job.network,
        args=arguments,
        train_dataset=Dataset.from_dict({"number": list(range(job.drawn))}),
        loss=loss,
        evaluator=evaluator,
        callbacks=more,
    )
    trainer.remove_callback(PrinterCallback)
    if job.model.window:
        trainer.data_collator.max_length = job.model.window
    trainer.data_collator = _Collator(trainer.data_collator, job.rows)
    return trainer


def _prompts(job: Job) -> dict[str, Any]:
    """Tell the collator the prompts and the towers of the columns."""
    if job.model.kind == "reranker":
        return {}
    columns = [PASSAGE, *(f"{PASSAGE}_{n}" for n in range(32))]
    prompts = {QUESTION: job.network.prompts.get("query") or ""}
    prompts |= dict.fromkeys(columns, job.network.prompts.get("document") or "")
    routes = {QUESTION: "query", **dict.fromkeys(columns, "document")}
    more: dict[str, Any] = {"router_mapping": routes}
    if any(prompts.values()):
        more["prompts"] = prompts
    return more


def _classes(kind: str) -> tuple[Any, Any]:
    import sentence_transformers as theirs  # noqa: PLC0415 - takes 5 to 10 s

    return {
        "dense": (
            theirs.SentenceTransformerTrainer,
            theirs.SentenceTransformerTrainingArguments,
        ),
        "colbert": (
            theirs.MultiVectorEncoderTrainer,
            theirs.MultiVectorEncoderTrainingArguments,
        ),
        "splade": (theirs.SparseEncoderTrainer, theirs.SparseEncoderTrainingArguments),
        "reranker": (theirs.CrossEncoderTrainer, theirs.CrossEncoderTrainingArguments),
    }[kind]


def _evaluator(job: Job) -> Any:
    validation = job.validation
    common: dict[str, Any] = {"write_csv": False, "show_progress_bar": False, "batch_size": 32}
    if job.model.kind == "reranker":
        from sentence_transformers.cross_encoder.evaluation import (  # noqa: PLC0415 - as above
            CrossEncoderRerankingEvaluator,
        )

        samples: list[Any] = [
            {
                "query": text,
                "positive": [validation.passages[p] for p in sorted(validation.relevant[id])],
                "documents": [validation.passages[p] for p in validation.candidates[id]],
            }
            for id, text in validation.questions.items()
        ]
        return CrossEncoderRerankingEvaluator(samples, at_k=10, **common)
    from sentence_transformers.multi_vector_encoder.evaluation import (  # noqa: PLC0415 - as above
        MultiVectorInformationRetrievalEvaluator,
    )
    from sentence_transformers.sentence_transformer.evaluation import (  # noqa: PLC0415 - as above
        InformationRetrievalEvaluator,
    )
    from sentence_transformers.sparse_encoder.evaluation import (  # noqa: PLC0415 - as above
        SparseInformationRetrievalEvaluator,
    )

    evaluator_class: Any = {
        "colbert": MultiVectorInformationRetrievalEvaluator,
        "splade": SparseInformationRetrievalEvaluator,
        "dense": InformationRetrievalEvaluator,
    }[job.model.kind]
    given = dict(validation.questions), dict(validation.passages), dict(validation.relevant)
    return evaluator_class(*given, **common)


def _metric_name(job: Job) -> str:
    if job.model.kind == "reranker":
        return f"eval_{_METRIC}"
    return f"eval_{job.network.similarity_fn_name}_{_METRIC}"


def _metric(metrics: Mapping[str, Any]) -> float:
    """Find nDCG@10 among what an evaluator returned; NaN where it is not."""
    found = [value for name, value in metrics.items() if name.endswith(_METRIC)]
    return float(found[0]) if found else math.nan


def _estimated_seconds(job: Job, trainer: Any, loss: Any, validation: float) -> float:
    """Estimate the time of a stage: a few steps that change nothing, and the validations."""
    training = job.stage.training
    numbers = list(range(min(training.batch, job.drawn)))
    job.network.train()
    start = time.monotonic()
    for _ in range(_TIMED_STEPS):
        batch = trainer.data_collator([{"number": number} for number in numbers])
        inputs = trainer._prepare_inputs(batch)  # noqa: SLF001 - moves a batch to the device
        with trainer.compute_loss_context_manager():
            value = trainer.compute_loss(trainer.model, inputs)
        value.backward()
    trainer.model.zero_grad()
    each = (time.monotonic() - start) / _TIMED_STEPS
    if isinstance(loss, BatchLoss):
        loss.restore(BatchLoss(job.network, job.stage, job.relevant, job.passages).state())
    times = math.ceil(training.steps / training.validate_every)
    return each * training.steps * training.accumulate + validation * times


def _estimated_bytes(network: Any) -> int:
    """Size of a checkpoint: weights, and two moments of each for the optimiser, in fp32."""
    return 12 * sum(int(parameter.numel()) for parameter in network.parameters())


def _newest_checkpoint(folder: Path) -> Path | None:
    """Find the last complete checkpoint; what a kill left half written is removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for path in reversed(found):
        if (path / _STATE).is_file() and (path / "trainer_state.json").is_file():
            return path
        shutil.rmtree(path)
    return None
