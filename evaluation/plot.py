"""A chart of search configurations with their intervals."""

from collections.abc import Sequence
from pathlib import Path

from twotower.evaluation.measure import SystemResult
from twotower.retrieval.vocabulary.errors import ConfigurationError, MissingExtra


def plot(name: str, labels: Sequence[str], results: Sequence[SystemResult], file: Path) -> None:
    """Draw nDCG@10 of each configuration with its 95% interval, as PNG or SVG by the file's suffix.

    Raises
    ------
    ConfigurationError
        If the suffix is another one, or the file cannot be written.
    """
    if file.suffix.lower() not in (".png", ".svg"):
        raise ConfigurationError(
            f"the chart cannot be written to {file}: give a name that ends in .png or .svg"
        )
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - belongs to an extra
    except ImportError as error:
        raise MissingExtra(
            "a chart needs the extra 'eval': run `make install`, or pip install 'twotower[eval]'"
        ) from error
    figure = Figure(figsize=(7, 0.9 + 0.5 * len(results)), layout="constrained")
    axes = figure.subplots()
    rows = range(len(results))
    means = [result.mean("ndcg@10") for result in results]
    ends = [result.interval() for result in results]
    errors = [
        [mean - low for mean, (low, _) in zip(means, ends, strict=True)],
        [high - mean for mean, (_, high) in zip(means, ends, strict=True)],
    ]
    axes.barh(rows, means, xerr=errors, color="#4878a8", ecolor="#222222", capsize=3, height=0.6)
    axes.set_yticks(rows, labels)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("nDCG@10, with 95% bootstrap interval")
    axes.set_title(f"{name}: {len(results[0].questions)} questions", loc="left")
    for row, mean in zip(rows, means, strict=True):
        axes.annotate(f"{mean:.3f}", (0.01, row), va="center", color="white")
    try:
        figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else {})
    except OSError as error:
        raise ConfigurationError(
            f"the chart cannot be written to {file}: {error.strerror or error}"
        ) from error
