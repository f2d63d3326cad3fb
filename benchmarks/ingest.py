"""Time and memory of an ingestion, compared with the time of the encoder alone, in one run.

    .venv/bin/python -m benchmarks.ingest [FOLDER] [--documents N] [--memory]

Without a folder it ingests copies of the example handbook, N documents in all (500). Prints files,
pages and chunks per second, the seconds in each stage, and peak memory. Then it divides the total
time by three others: that of a second run, in which nothing has changed; that of twotower's encoder
alone for the same chunks (in bf16 where the processor supports it); and that of torch alone in fp32
(measured on every eighth chunk, because it takes three times as long). `--memory` prints the peak
memory for 500 and for 5,000 small files. Times depend on the machine; compare the ratios.
"""

import argparse
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from twotower.app.services.ingestion import Ingestion
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.ingest.report import IngestReport
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.models.runtime.torch_runtime import TorchEncoder

HANDBOOK = Path(__file__).resolve().parents[1] / "examples" / "handbook"
SAMPLE = 8
_NAMES = ("amber", "birch", "coral", "delta", "ember", "fjord", "grove", "heron", "ivory", "jade")


def ingest(folder: Path, data_dir: Path) -> tuple[Application, IngestReport, float]:
    """Ingest a folder into a new collection; return the seconds from paths to report as well."""
    application = Application(load_settings(data_dir=data_dir))
    application.encoder().encode_passages(["Warm up."])
    report, duration = timed(application, folder)
    return application, report, duration


def timed(application: Application, folder: Path) -> tuple[IngestReport, float]:
    """Ingest a folder; return the report and the seconds from paths to report."""
    start = time.perf_counter()
    with Ingestion(application, [folder], "benchmark") as ingestion:
        for _ in ingestion.run():
            pass
        report = ingestion.report()
    return report, time.perf_counter() - start


def copies(folder: Path, documents: int) -> None:
    """Fill a folder with ``documents`` copies of the handbook's files.

    Each has a name of its own, which its passages contain: no vector of another one fits.
    """
    files = sorted(path for path in HANDBOOK.rglob("*") if path.is_file())
    for number in range(documents):
        source = files[number % len(files)]
        tens, ones = divmod(number // len(files), len(_NAMES))
        name = f"{source.stem} {_NAMES[tens]} {_NAMES[ones]}{source.suffix}"
        target = folder / source.relative_to(HANDBOOK).with_name(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def seconds_to_encode(encoder: Encoder, texts: Sequence[str]) -> float:
    """Return the seconds of the encoder alone, in groups of the size that an ingestion uses."""
    encoder.encode_passages(texts[:8])
    start = time.perf_counter()
    for first in range(0, len(texts), 256):
        encoder.encode_passages(texts[first : first + 256])
    return time.perf_counter() - start


def throughput(folder: Path) -> None:
    """Print rates, stages and ratios for one folder."""
    with tempfile.TemporaryDirectory() as data:
        application, report, total = ingest(folder, Path(data))
        with application.catalog.open("benchmark") as collection:
            documents = list(collection.documents())
            texts = [
                chunk.encoded_text
                for document in documents
                for chunk in collection.chunks_of(document.source)
            ]
        size = sum(document.size for document in documents)
        _, again = timed(application, folder)
    assert len(set(texts)) > 0.95 * len(texts), "copies are encoded once: the ratio would be wrong"
    pages = sum(document.pages or 1 for document in documents)
    print(f"{len(documents)} documents, {size / 2**20:.1f} MB, {pages} pages, {len(texts)} chunks")
    rates = [(len(documents), "files"), (pages, "pages"), (len(texts), "chunks")]
    print("  ".join(f"{count / total:.1f} {name}/s" for count, name in rates))
    stages = "  ".join(f"{name} {seconds:.1f} s" for name, seconds in report.seconds.items())
    print(f"total {total:.1f} s:  {stages}  (read: waiting for parsers; write runs in parallel)")
    print(f"peak memory {peak_mb():.0f} MB, in a worker {peak_mb(children=True):.0f} MB")
    print(f"total / second run without changes ({again:.2f} s): {total / again:.0f}")
    bf16 = seconds_to_encode(application.encoder(), texts)
    fp32 = seconds_to_encode(TorchEncoder(application.model(), "fp32"), texts[::SAMPLE])
    fp32 *= len(texts) / len(texts[::SAMPLE])
    print(f"total / encoding alone in bf16: {total / bf16:.2f}")
    print(f"total / encoding alone in fp32: {total / fp32:.2f}")


def peak_mb(children: bool = False) -> float:
    """Return the peak resident memory of this process, or of its largest ended child, in MB."""
    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    return resource.getrusage(who).ru_maxrss / 1024


def small_files_peak(count: int) -> float:
    """Return the peak memory of a process that ingests ``count`` small files, in MB."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            note = f"Note {number}: the tool number {number * 7} hangs in bay {number % 40}."
            Path(folder, f"{number}.txt").write_text(note, encoding="utf-8")
        with tempfile.TemporaryDirectory() as data:
            ingest(Path(folder), Path(data))
    return peak_mb()


def memory() -> None:
    """Print the peak memory for 500 and for 5,000 small files, each in a separate process."""
    context = multiprocessing.get_context("spawn")
    peaks = {}
    for count in (500, 5000):
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            peaks[count] = pool.submit(small_files_peak, count).result()
        print(f"{count} small files: peak memory {peaks[count]:.0f} MB")
    print(f"ratio {peaks[5000] / peaks[500]:.2f}")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--memory", action="store_true")
    arguments = parser.parse_args()
    if arguments.memory:
        memory()
    elif arguments.folder:
        throughput(arguments.folder)
    else:
        with tempfile.TemporaryDirectory() as folder:
            copies(Path(folder), arguments.documents)
            throughput(Path(folder))


if __name__ == "__main__":
    main()
