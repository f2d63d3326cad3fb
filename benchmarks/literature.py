"""Results of the two-tower literature, in shape: published beside observed here.

    .venv/bin/python -m benchmarks.literature             # all rows
    .venv/bin/python -m benchmarks.literature sampling    # one of them

`sampling` trains towers on a synthetic click log whose items are as frequent as a power law says,
with four samplers of negatives, and prints recall by popularity. `estimator` prints the error of
the frequencies over time. `negatives` trains one small tower with the negatives of DPR, ANCE and
mixed negative sampling. `matryoshka` prints quality by dimension, `cost` what a question costs with
late interaction and with a cross-encoder. `trigrams` counts DSSM's letter trigrams. `pairs` times a
cross-encoder's pairs against a bi-encoder's texts. docs/training.md has the recipes, which take
longer.
"""

import argparse
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import ablation, matryoshka
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.evaluation.measure import bootstrap_interval
from twotower.training import losses
from twotower.training.frequency import StreamingFrequency

ROOT = Path(__file__).resolve().parents[1]
_WORD = re.compile(r"[a-z]+")

USERS, ITEMS, INTERESTS = 2000, 2000, 16
CLICKS, TESTED = 300_000, 20_000
STEPS, BATCH, UNIFORM, BANK, WARM_UP = 2500, 256, 256, 1024, 1000
DIMENSION, RATE, TOP = 32, 3e-3, 50
DECILES = 10

Ints = NDArray[np.int64]


class Log:
    """A synthetic click log: P(item | user) is proportional to popularity * exp(affinity).

    Popularity falls with the rank as 1 / rank (Zipf). A twentieth of the items is never clicked in
    training, as if they were new; they are clicked in the test.
    """

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        popularity = 1 / np.arange(1, ITEMS + 1)
        users = random.normal(size=(USERS, INTERESTS))
        items = random.normal(size=(ITEMS, INTERESTS))
        odds = np.exp(1.5 * users @ items.T / np.sqrt(INTERESTS)) * popularity
        self.items = torch.tensor(items, dtype=torch.float32)
        self.new = random.random(ITEMS) < 1 / 20
        seen = np.where(self.new, 0, odds)
        self.train = _draw(seen, CLICKS, random)
        self.test = _draw(odds, TESTED, random)
        counts = np.bincount(self.train[1], minlength=ITEMS)
        self.share = counts / counts.sum()
        self.decile = np.empty(ITEMS, np.int64)
        self.decile[np.argsort(-counts, kind="stable")] = np.arange(ITEMS) * DECILES // ITEMS


def _draw(odds: NDArray[np.float64], count: int, random: np.random.Generator) -> tuple[Ints, Ints]:
    users = random.integers(0, len(odds), count)
    sums = np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)
    chosen = [
        np.searchsorted(sums[user], level)
        for user, level in zip(users, random.random(count), strict=True)
    ]
    return users, np.minimum(np.array(chosen), odds.shape[1] - 1)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of training: the vectors of the users, and the items that they clicked."""

    number: int
    users: torch.Tensor
    clicked: Ints
    tower: torch.nn.Module
    frequency: StreamingFrequency
    bank: losses.VectorBank
    random: np.random.Generator

    def chances(self, items: Ints) -> NDArray[np.float64]:
        """Return the estimated probability that a batch has each item."""
        return self.frequency.probabilities(items.tolist())


def in_batch(step: Step) -> torch.Tensor:
    """In-batch negatives, as they come."""
    columns = torch.tensor(step.clicked)
    return losses.without_accidental_hits(step.users @ step.tower(columns).T, columns)


def with_log_q(step: Step) -> torch.Tensor:
    """In-batch negatives with the logQ correction; the frequencies are estimated on the way."""
    chances = torch.tensor(step.chances(step.clicked), dtype=torch.float32)
    return losses.corrected(in_batch(step), chances)


def mixed(step: Step) -> torch.Tensor:
    """In-batch and uniform negatives, with the logQ of their mixture."""
    columns = np.concatenate([step.clicked, step.random.integers(0, ITEMS, UNIFORM)])
    ids = torch.tensor(columns)
    scores = losses.without_accidental_hits(step.users @ step.tower(ids).T, ids)
    chances = torch.tensor(step.chances(columns) / BATCH, dtype=torch.float32)
    return scores - losses.log_mixed(chances, BATCH, 1 / ITEMS, UNIFORM)


def banked(step: Step) -> torch.Tensor:
    """In-batch negatives and, after a warm-up, those of the last batches, with logQ."""
    own = torch.tensor(step.clicked)
    fresh = step.tower(own)
    vectors, ids = fresh, own
    if step.number >= WARM_UP:
        vectors, ids = step.bank.extended(fresh, own)
    step.bank.add(fresh, own)
    scores = losses.without_accidental_hits(step.users @ vectors.T, ids)
    chances = torch.tensor(step.chances(ids.numpy()), dtype=torch.float32)
    return losses.corrected(scores, chances)


SAMPLERS: dict[str, Callable[[Step], torch.Tensor]] = {
    "in-batch": in_batch,
    "in-batch, logQ": with_log_q,
    "mixed, logQ": mixed,
    "bank, logQ": banked,
}


def trained(
    log: Log, sampler: Callable[[Step], torch.Tensor]
) -> tuple[NDArray[np.float32], StreamingFrequency]:
    """Train a tower of users (by id) and one of items (by id and interests); return all scores."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    users = torch.nn.Embedding(USERS, DIMENSION)
    ids = torch.nn.Embedding(ITEMS, DIMENSION)
    interests = torch.nn.Linear(INTERESTS, DIMENSION)
    for table in (users, ids):
        torch.nn.init.normal_(table.weight, std=0.1)

    class Items(torch.nn.Module):
        def forward(self, chosen: torch.Tensor) -> torch.Tensor:
            both: torch.Tensor = ids(chosen) + interests(log.items[chosen])
            return both

    tower = Items()
    parameters = [*users.parameters(), *ids.parameters(), *interests.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=RATE)
    frequency = StreamingFrequency(buckets=1 << 16, rate=0.01)
    bank = losses.VectorBank(BANK)
    for number in range(STEPS):
        rows = random.integers(0, CLICKS, BATCH)
        chosen = log.train[1][rows]
        frequency.update(chosen.tolist())
        asked = users(torch.tensor(log.train[0][rows]))
        step = Step(number, asked, chosen, tower, frequency, bank, random)
        loss = losses.sampled_softmax(sampler(step))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        scores = users.weight @ tower(torch.arange(ITEMS)).T
    return scores.numpy(), frequency


def sampling() -> None:
    """Recall by popularity for each sampler, and the error of the estimated frequencies."""
    log = Log(seed=1)
    hits: dict[str, NDArray[np.float64]] = {}
    users, items = log.test
    print(f"\nrecall@{TOP} by decile of items, the most clicked first; new items last")
    print(f"{'':16} all   " + " ".join(f"{d + 1:>5}" for d in range(DECILES)) + "   new  seconds")
    for name, sampler in SAMPLERS.items():
        start = time.perf_counter()
        scores, frequency = trained(log, sampler)
        ranks = (scores[users] > scores[users, items][:, None]).sum(axis=1)
        hits[name] = (ranks < TOP).astype(np.float64)
        old = ~log.new[items]
        by_decile = [hits[name][old & (log.decile[items] == d)].mean() for d in range(DECILES)]
        cells = " ".join(f"{value:5.3f}" for value in by_decile)
        new = hits[name][log.new[items]].mean()
        seconds = time.perf_counter() - start
        print(f"{name:16} {hits[name].mean():.3f} {cells} {new:5.3f}  {seconds:.0f}", flush=True)
    rare = (log.decile[items] >= DECILES // 2) & ~log.new[items]
    for label, chosen in (("all items", np.ones(len(items), bool)), ("rarer half", rare)):
        change = (hits["in-batch, logQ"] - hits["in-batch"])[chosen]
        low, high = bootstrap_interval(change)
        print(f"logQ, {label}: {change.mean():+.3f} (95% {low:+.3f} to {high:+.3f})")
    frequent = np.flatnonzero(log.share * CLICKS > 200)  # noqa: PLR2004 - enough to converge
    truth = 1 - (1 - log.share[frequent]) ** BATCH
    error = np.abs(frequency.probabilities(frequent.tolist()) / truth - 1)
    print(f"estimated frequencies: median error {np.median(error):.1%}, of {len(frequent)} items")


def estimator() -> None:
    """Print the error of the estimated frequencies over time, on a stream with a power law."""
    random = np.random.default_rng(3)
    share = 1 / np.arange(1, ITEMS + 1)
    share /= share.sum()
    frequent = np.arange(50)  # of which a batch has enough
    truth = 1 - (1 - share[frequent]) ** BATCH
    print("\nmedian error of the estimated frequencies of the 50 most frequent items, by step")
    marks = (100, 300, 1000, 3000, 10_000)
    print(f"{'rate':>8} " + " ".join(f"{mark:>7}" for mark in marks) + "  published: converges")
    for rate in (0.1, 0.01, 0.001):
        frequency = StreamingFrequency(buckets=1 << 16, rate=rate)
        errors = []
        for step in range(1, marks[-1] + 1):
            frequency.update(random.choice(ITEMS, BATCH, p=share).tolist())
            if step in marks:
                found = frequency.probabilities(frequent.tolist())
                errors.append(float(np.median(np.abs(found / truth - 1))))
        print(f"{rate:>8} " + " ".join(f"{error:>7.1%}" for error in errors), flush=True)


def trigrams() -> None:
    """DSSM's letter trigrams: size of the vocabulary, and words that have the same trigrams."""
    words: set[str] = set()
    folders = [ROOT / "examples" / "handbook", ROOT.parent / "shared" / "data"]
    for folder in folders:
        for path in folder.rglob("*"):
            if path.suffix in (".md", ".txt", ".jsonl", ".rst", ".html"):
                words |= set(_WORD.findall(path.read_text("utf-8", "replace").lower()))
    counted: Counter[frozenset[tuple[str, int]]] = Counter()
    vocabulary: set[str] = set()
    for word in words:
        parts = [f"#{word}#"[n : n + 3] for n in range(len(word))]
        vocabulary |= set(parts)
        counted[frozenset(Counter(parts).items())] += 1
    colliding = sum(count for count in counted.values() if count > 1)
    print(f"\n{len(words):,} words, {len(vocabulary):,} letter trigrams: ", end="")
    print(f"{len(words) / len(vocabulary):.1f} times fewer; {colliding} words collide")
    print("published (500,000 words): 16 times fewer (30,621), 22 words collide (0.0044%)")


def pairs() -> None:
    """SBERT's cost: n(n-1)/2 pairs through one tower, against n texts through two."""
    encoder = Application(load_settings()).encoder()
    texts = [
        f"Boat {n} lies at berth {n % 40} until the ice has gone in spring." for n in range(512)
    ]
    encoder.encode_passages(texts[:64])
    start = time.perf_counter()
    encoder.encode_passages(texts)
    one = (time.perf_counter() - start) / len(texts)
    both = [f"{first} {second}" for first, second in zip(texts, texts[::-1], strict=True)]
    start = time.perf_counter()
    encoder.encode_passages(both)
    pair = (time.perf_counter() - start) / len(both)
    count = 10_000
    all_pairs, all_texts = pair * count * (count - 1) / 2, one * count
    print(f"\nthe most similar of {count:,} sentences, on this machine with all-MiniLM-L6-v2:")
    print(f"pairs {all_pairs / 3600:.0f} hours, texts {all_texts:.0f} s: ", end="")
    print(f"{all_pairs / all_texts:,.0f} times as long")
    print("published (BERT on a V100): 65 hours and 5 s, 46,800 times as long")


def cost() -> None:
    """Late interaction and a cross-encoder: milliseconds a question, by the number of passages."""
    application = Application(load_settings())
    encoder = application.encoder()
    passages = [f"Boat {n} lies at berth {n % 40} until the ice has gone. " * 8 for n in range(100)]
    question = "which boat lies at berth seven"
    tokens = encoder.passage_tokens(passages)
    rounds = iter(range(1000))  # the encoder keeps its last answer, so each round has other texts

    def dense() -> None:
        encoder.encode_questions([question])

    def late() -> None:
        asked = encoder.question_tokens(question)
        for rows in tokens:
            (asked @ rows.T).max(axis=1).sum()

    def cross() -> None:
        number = next(rounds)
        encoder.encode_passages([f"{number} {question} {passage}" for passage in passages])

    print("\na question over 100 candidates, the same small network for all, median milliseconds")
    once = {"dense": dense, "late interaction": late, "cross-encoder": cross}
    times: dict[str, list[float]] = {name: [] for name in once}
    for _ in range(9):  # by turns, as the machine is shared
        for name, run in once.items():
            start = time.perf_counter()
            run()
            times[name].append(1000 * (time.perf_counter() - start))
    base = statistics.median(times["dense"])
    for name, taken in times.items():
        middle = statistics.median(taken)
        print(f"  {name:18} {middle:8.1f} ms, {middle / base:6.1f} times the dense question")
    print(
        "published (ColBERT, table 1): BERT over 1,000 passages 10,700 ms, ColBERT 61 ms, 170 times"
    )


def negatives() -> None:
    """DPR's, ANCE's and mixed negatives, on one small tower."""
    print(
        "\npublished: DPR +3.8 points of top-20 from one BM25 negative (table 3); ANCE beats BM25"
    )
    print("negatives by 3 to 6 points of MRR; mixed negatives help items that no batch has")
    ablation.main([str(DATA / "cranfield")])


def prefixes() -> None:
    """Matryoshka: quality by dimension, and adaptive search."""
    print("\npublished: the same accuracy at up to 14 times fewer dimensions (ImageNet)")
    for name in ("cranfield", "xquad-en"):
        matryoshka.main([str(DATA / name)])


DATA = ROOT.parent / "shared" / "data"
ROWS = {
    "sampling": sampling,
    "estimator": estimator,
    "negatives": negatives,
    "matryoshka": prefixes,
    "cost": cost,
    "trigrams": trigrams,
    "pairs": pairs,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], default=[])
    options = parser.parse_args(arguments)
    for name in options.rows or ROWS:
        ROWS[name]()


if __name__ == "__main__":
    main()
