"""What an ingestion costs, and what of it the encoder alone would take, in one run.

    .venv/bin/python -m benchmarks.ingest [FOLDER] [--documents N] [--memory]

Without a folder it takes the example handbook, copied until there are N documents (500). Prints
files, pages and chunks in a second, the seconds in each stage, peak memory, and the ratio of the
whole to the time that `SentenceTransformer.encode` alone needs for the same chunks in bf16, and in
fp32 (from every eighth chunk, because it takes three times as long). With `--memory`: peak memory
over 5,000 small files against 500. Times depend on the machine; compare the ratios.
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

from app.ingestion import Ingestion
from app.settings import load_settings
from app.wiring import Application
from ingest.report import IngestReport
from retrieval.encoder import Encoder
from retrieval.runtime.torch_runtime import TorchEncoder

HANDBOOK = Path(__file__).resolve().parents[1] / "examples" / "handbook"
SAMPLE = 8


def ingest(folder: Path, data_dir: Path) -> tuple[Application, IngestReport, float]:
    """Ingest a folder into a new collection; seconds from paths to report."""
    application = Application(load_settings(data_dir=data_dir))
    application.encoder().encode_passages(["Loaded and warm."])
    start = time.perf_counter()
    with Ingestion(application, [folder], "benchmark") as ingestion:
        for _ in ingestion.run():
            pass
        report = ingestion.report()
    return application, report, time.perf_counter() - start


def copies(folder: Path, documents: int) -> None:
    """Fill a folder with copies of the handbook until it has so many documents."""
    files = sorted(path for path in HANDBOOK.rglob("*") if path.is_file())
    for number in range(documents):
        source = files[number % len(files)]
        target = folder / str(number // len(files)) / source.relative_to(HANDBOOK)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def seconds_to_encode(encoder: Encoder, texts: Sequence[str]) -> float:
    """Time the encoder alone, in groups as large as an ingestion's."""
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
    pages = sum(document.pages or 1 for document in documents)
    print(f"{len(documents)} documents, {size / 2**20:.1f} MB, {pages} pages, {len(texts)} chunks")
    rates = [(len(documents), "files"), (pages, "pages"), (len(texts), "chunks")]
    print("  ".join(f"{count / total:.1f} {name}/s" for count, name in rates))
    stages = "  ".join(f"{name} {seconds:.1f} s" for name, seconds in report.seconds.items())
    print(f"whole {total:.1f} s:  {stages}  (read: waiting for parsers; write runs beside)")
    print(f"peak memory {peak_mb():.0f} MB, and {peak_mb(children=True):.0f} MB in a worker")
    bf16 = seconds_to_encode(application.encoder(), texts)
    fp32 = seconds_to_encode(TorchEncoder(application.model(), "fp32"), texts[::SAMPLE])
    fp32 *= len(texts) / len(texts[::SAMPLE])
    print(f"whole / encoding alone in bf16: {total / bf16:.2f}")
    print(f"whole / encoding alone in fp32: {total / fp32:.2f}")


def peak_mb(children: bool = False) -> float:
    """Peak resident memory of this process, or of the largest child that has ended."""
    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    return resource.getrusage(who).ru_maxrss / 1024


def small_files_peak(count: int) -> float:
    """Peak memory of a process that ingests so many small files."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            note = f"Note {number}: the tool number {number * 7} hangs in bay {number % 40}."
            Path(folder, f"{number}.txt").write_text(note, encoding="utf-8")
        with tempfile.TemporaryDirectory() as data:
            ingest(Path(folder), Path(data))
    return peak_mb()


def memory() -> None:
    """Print the peak over 5,000 small files against 500, each in a process of its own."""
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
