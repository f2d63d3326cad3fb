"""Write a corpus of hostile files that contains two good ones.

python -m tests.hostile FOLDER
"""

import io
import os
import socket
import sys
import zipfile
import zlib
from functools import cache
from pathlib import Path

import pypdf

GOOD = {"good.md": "goodphrase one", "sub/also good.txt": "goodphrase two"}

# The kinds of error that an ingestion may report for each file.
EXPECTED = {
    "zip-bomb.docx": {"archive-bomb"},
    "wide-bomb.xlsx": {"archive-bomb"},
    "nested.epub": {"archive-bomb", "malformed", "no-text"},
    "entity-bomb.xml": {"malformed", "memory", "no-text"},
    "page-loop.pdf": {"too-large", "malformed", "no-text", "crashed", "timeout"},
    "stream-bomb.pdf": {"crashed", "memory", "no-text"},
    "huge.txt": {"too-large"},
    "no-permission.txt": {"unreadable"},
    "pipe.txt": {"not-a-file"},
    "socket.txt": {"not-a-file"},
    "device.txt": {"not-a-file", "link-outside"},
    "broken-link.txt": {"broken-link"},
    "cyclic-link.txt": {"broken-link"},
    "outside.txt": {"link-outside"},
    "zero.txt": {"empty"},
    "caf\\udce9.txt": {"name"},
}
ODD_NAMES = ("new\nline.txt", "right\u202eto\u2066left.txt", "-rf.txt", " leading space.txt")
EMPTY = 300  # empty files in a folder of their own; 100,000 take a minute to write


def write(folder: Path, outside: Path, empty: int = EMPTY) -> None:
    """Write the corpus; ``outside`` is a file that must not be read."""
    for name, text in GOOD.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for number, name in enumerate(ODD_NAMES):
        (folder / name).write_text(f"oddphrase {number}")
    outside.write_text("secretphrase")
    _archives(folder)
    _documents(folder)
    _special(folder, outside)
    (folder / "empty").mkdir()
    for number in range(empty):
        (folder / "empty" / f"{number}.txt").touch()


def _archives(folder: Path) -> None:
    with zipfile.ZipFile(folder / "zip-bomb.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * (60 * 2**20))
    with zipfile.ZipFile(folder / "wide-bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        for sheet in range(10):
            archive.writestr(f"xl/worksheets/sheet{sheet}.xml", b"0" * (11 * 2**20))
    inner = b"0" * 2**20
    for _ in range(30):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("next.zip", inner)
        inner = packed.getvalue()
    (folder / "nested.epub").write_bytes(inner)


def _documents(folder: Path) -> None:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    (folder / "entity-bomb.xml").write_text(
        f'<!DOCTYPE r [<!ENTITY a0 "ha">{entities}]><r>&a11;</r>'
    )
    (folder / "page-loop.pdf").write_bytes(
        b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
        b"2 0 obj\n<< /Type /Pages /Kids [2 0 R 2 0 R] /Parent 2 0 R /Count 1000000 >>\nendobj\n"
        b"trailer << /Root 1 0 R /Prev 0 >>\n%%EOF"
    )
    (folder / "stream-bomb.pdf").write_bytes(stream_bomb())
    with (folder / "huge.txt").open("wb") as stream:
        stream.truncate(500 * 2**20)  # sparse: it takes no space on the disk
    (folder / "zero.txt").touch()


def write_unreadable_pdfs(folder: Path) -> None:
    """Write `blank.pdf`, `locked.pdf` and `broken.pdf`."""
    writer = pypdf.PdfWriter()
    writer.add_blank_page(200, 200)
    writer.write(folder / "blank.pdf")
    writer.encrypt("secret")
    writer.write(folder / "locked.pdf")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj")


@cache
def stream_bomb() -> bytes:
    """Return a PDF of 1 MB whose page inflates to 500 MB: pdfium aborts when memory runs out."""
    pack = zlib.compressobj(9)
    content = b"".join(pack.compress(b"q " * 5_000_000) for _ in range(50)) + pack.flush()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R >>",
        b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    body = b"%PDF-1.7\n"
    for number, each in enumerate(objects, 1):
        body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    return body + b"trailer << /Root 1 0 R >>\n%%EOF"


def _special(folder: Path, outside: Path) -> None:
    (folder / "no-permission.txt").write_text("secretphrase")
    (folder / "no-permission.txt").chmod(0)
    os.mkfifo(folder / "pipe.txt")
    previous = Path.cwd()
    os.chdir(folder)  # the path of a socket may have only 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket.txt")
    finally:
        os.chdir(previous)
    (folder / "device.txt").symlink_to("/dev/zero")
    (folder / "broken-link.txt").symlink_to(folder / "nowhere.txt")
    (folder / "cyclic-link.txt").symlink_to(folder / "cyclic-link.txt")
    (folder / "loop").symlink_to(folder)
    (folder / "outside.txt").symlink_to(outside)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).write_text("secretphrase")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write(target, target.parent / "outside-secret.txt", empty=100_000)
