import io
import struct
import zipfile
from email.message import EmailMessage

import pytest

from twotower.ingest.elements import Limits
from twotower.ingest.loaders import archive
from twotower.retrieval.vocabulary.errors import DocumentError


def zipped(members: dict[str, bytes | str], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return stream.getvalue()


def encrypted(data: bytes, names: int) -> bytes:
    """Set the flag of encryption for the first members, in both of their headers."""
    changed = bytearray(data)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        for _ in range(names):
            at = data.index(signature, at + 1)
            changed[at + flags] |= 1
    return bytes(changed)


def test_each_file_is_a_part_under_its_name(parsed):
    mail = EmailMessage()
    mail["Subject"] = "markmail"
    mail.set_content("See it.")
    mail.add_attachment("a,b\nmarkattached,1\n", filename="prices.csv")
    content = zipped({
        "notes/b.md": "---\ntitle: markfront\n---\n# Pump\n\nmarknote",
        "a.html": "<title>marktitle</title><p>markpage</p>",
        "inner.ZIP": zipped({"c.csv": "x,y\nmarkinner,2\n", "d.bin": "x"}),
        "mail.eml": bytes(mail),
        "broken.docx": "not a document",
        "photo.jpg2": "x",
        "movie.mp4": "x",
        "film.mp4": "x",
        "empty/": "",
        "__MACOSX/notes/._b.md": "gone",
        "notes/.DS_Store": "gone",
        ".git/config.ini": "gone",
        "notes/~$b.md": "gone",
        "desktop.ini": "gone",
    })  # fmt: skip
    document = parsed("a.zip", content)
    assert [(e.kind, e.level, e.text) for e in document.elements] == [
        ("heading", 1, "a.html"),
        ("text", 0, "marktitle"),
        ("text", 0, "markpage"),
        ("heading", 1, "inner.ZIP"),
        ("heading", 2, "c.csv"),
        ("table", 0, "x | y\nmarkinner | 2"),
        ("note", 0, "d.bin"),
        ("heading", 1, "mail.eml"),
        ("lines", 0, "Subject: markmail"),
        ("text", 0, "See it."),
        ("heading", 2, "Attachment: prices.csv"),
        ("table", 0, "a | b\nmarkattached | 1"),
        ("heading", 1, "notes/b.md"),
        ("lines", 0, "title: markfront"),
        ("heading", 2, "Pump"),
        ("text", 0, "marknote"),
        ("note", 0, "broken.docx\nfilm.mp4\nmovie.mp4\nphoto.jpg2"),
    ]
    reasons = dict(warning.split(": ", 1) for warning in document.warnings)
    assert set(reasons) == {"inner.ZIP", "broken.docx", "film.mp4, movie.mp4", "photo.jpg2"}
    assert reasons["inner.ZIP"] == "d.bin: no loader reads '.bin' files"
    assert document.title == "a"


def test_archives_inside_one_another_are_read_to_a_depth(parsed):
    data = b"x,y\nmarkdeep,2\n"
    name = "a.csv"
    for depth in range(1, 7):
        data, name = zipped({name: data}), f"{depth}.zip"
        document = parsed(name, data)
        text = "\n".join(element.text for element in document.elements)
        assert ("markdeep" in text) == (depth <= 4)
        assert ("inside one another" in "".join(document.warnings)) == (depth > 4)


def test_encrypted_members_are_named(parsed):
    data = zipped({"a.csv": "gone,1\n", "b.csv": "marktext,2\n"})
    document = parsed("a.zip", encrypted(data, 1))
    assert document.warnings == ("a.csv: the file is encrypted",)
    assert [element.text for element in document.elements] == ["b.csv", "marktext | 2", "a.csv"]
    with pytest.raises(DocumentError) as caught:
        parsed("b.zip", encrypted(data, 2))
    assert caught.value.kind == "encrypted"


def test_a_damaged_member_does_not_cost_the_others(parsed):
    data = bytearray(zipped({"a.csv": "gonegone,1\n", "b.csv": "mark,2\n"}, zipfile.ZIP_STORED))
    at = data.index(b"gonegone")
    data[at : at + 4] = b"bad!"
    at = data.index(b"PK\x01\x02")
    document = parsed("a.zip", bytes(data))
    assert [element.text for element in document.elements] == ["b.csv", "mark | 2", "a.csv"]
    assert document.warnings[0].startswith("a.csv: the file cannot be unpacked (Bad CRC-32")
    struct.pack_into("<H", data, at + 10, 99)
    struct.pack_into("<H", data, 8, 99)
    assert "compression" in parsed("b.zip", bytes(data)).warnings[0]


def test_a_bomb_is_refused_also_inside_an_archive(parsed):
    bomb = zipped({"a.csv": b"0" * (60 * 2**20)})
    with pytest.raises(DocumentError) as caught:
        parsed("a.zip", bomb)
    assert caught.value.kind == "archive-bomb"
    document = parsed("b.zip", zipped({"bomb.zip": bomb}))
    assert "times its size" in document.warnings[0]
    with pytest.raises(DocumentError, match="limit is 1 MB"):
        parsed("c.zip", zipped({"a.txt": bytes(2**21)}), Limits(max_expanded_mb=1))


def test_only_so_many_files_are_read(parsed, monkeypatch):
    monkeypatch.setattr(archive, "_MOST_MEMBERS", 2)
    document = parsed("a.zip", zipped({f"{n:02}.csv": f"mark{n},1\n" for n in range(40)}))
    assert sum(element.kind == "heading" for element in document.elements) == 2
    (warning,) = document.warnings
    assert warning.endswith("21.csv and 18 more: only 2 files of an archive are read")


@pytest.mark.parametrize("encoding", ["utf-8", "cp850", "cp866", "cp932", "gb18030"])
def test_names_in_any_encoding(parsed, encoding):
    folder = {
        "cp866": "Новые договоры",
        "cp932": "契約書とお知らせ",
        "gb18030": "合同和通知书",
    }
    name = folder.get(encoding, "Verträge für Geräte")
    stand_in = "?" * len(name.encode(encoding))
    data = zipped({f"{stand_in}.csv": "a,b\n"}).replace(stand_in.encode(), name.encode(encoding))
    assert parsed("a.zip", data).elements[0].text == f"{name}.csv"


def test_a_name_never_leads_out_of_the_temporary_folder(parsed, tmp_path):
    names = ["../../evil.csv", "/etc/evil.csv", "C:\\evil.csv", "a\nb/evil.csv", "x" * 300 + ".csv"]
    document = parsed("a.zip", zipped(dict.fromkeys(names, "mark,1\n")))
    assert sum(element.text == "mark | 1" for element in document.elements) == len(names)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", zipped({"a.csv": "x,y\n"})[:-30]])
def test_other_content_is_refused(parsed, content):
    with pytest.raises(DocumentError) as caught:
        parsed("a.zip", content)
    assert caught.value.kind == "malformed"


def test_a_member_without_a_name_is_left_out(parsed):
    data = bytearray(zipped({"a.csv": "x,y\n", "bbbb": "gone"}))
    at = data.rindex(b"PK\x01\x02")
    struct.pack_into("<HH", data, at + 28, 0, 4)  # its name becomes an extra field
    data[at + 46 : at + 50] = b"\x99\x99\0\0"
    assert [element.text for element in parsed("a.zip", bytes(data)).elements] == ["a.csv", "x | y"]


def test_an_archive_without_documents_has_no_text(parsed):
    for members in ({}, {"a/": ""}, {"__MACOSX/a.csv": "x"}):
        with pytest.raises(DocumentError, match="no text"):
            parsed("a.zip", zipped(members))


MHTML = """From: <Saved by Blink>
Snapshot-Content-Location: https://page.example/
Subject: =?utf-8?Q?marksubject?=
MIME-Version: 1.0
Content-Type: multipart/related; type="text/html"; boundary="B"

--B
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable
Content-Location: https://page.example/

<html><head><title>marktitle</title></head><body><h1>markheading</h1>=
<p>Gr=C3=BC=C3=9Fe marksoft=
ly</p><iframe src=3D"cid:frame"></iframe></body></html>
--B
Content-Type: text/css

.gone { color: red }
--B
Content-Type: image/png
Content-Transfer-Encoding: base64

Z29uZQ==
--B
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: 8bit

<p>markframe caf\u00e9</p>
--B--
"""


@pytest.mark.parametrize("suffix", [".mhtml", ".mht"])
def test_a_saved_page(parsed, suffix):
    document = parsed(f"a{suffix}", MHTML.encode("latin-1"))
    assert document.title == "marktitle"
    assert [(e.kind, e.text) for e in document.elements] == [
        ("heading", "markheading"),
        ("text", "Grüße marksoftly"),
        ("text", "markframe café"),
    ]


@pytest.mark.parametrize("content", ["", "text", MHTML[: MHTML.index("--B")], "<p>page</p>"])
def test_a_file_without_a_page_is_refused(parsed, content):
    with pytest.raises(DocumentError) as caught:
        parsed("a.mhtml", content)
    assert caught.value.kind == "malformed"


def test_a_saved_page_that_was_cut(parsed):
    document = parsed("a.mhtml", MHTML[: MHTML.index("ly</p>")])
    assert "marksoft" in document.elements[-1].text
