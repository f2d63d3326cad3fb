import pytest

from benchmarks.encodings import TEXTS
from twotower.ingest.loaders.text import decode, read_text
from twotower.retrieval.vocabulary.errors import DocumentError


@pytest.mark.parametrize("language", TEXTS)
def test_a_short_text_is_decoded_as_written(language):
    text, encodings = TEXTS[language]
    for encoding in encodings:
        data = text.encode(encoding, "replace")
        assert decode(data) == data.decode(encoding)


def test_utf8_that_was_cut_inside_a_letter_stays_utf8():
    data = "Où est la clé ? Près de la fenêtre, à gauche, déjà là-haut, à côté".encode()
    assert decode(data[:-1]) == data[:-2].decode() + "\ufffd"


def test_a_declared_encoding_is_followed(tmp_path):
    page = tmp_path / "a.html"
    text = '<meta charset="iso-8859-5"><p>Ключ</p>'
    page.write_bytes(text.encode("iso8859-5"))
    assert read_text(page, markup=True) == text


@pytest.mark.parametrize("declared", ["utf-8", "klingon", "iso-8859-1"])
def test_a_wrong_declaration_does_not_spoil_the_text(declared, tmp_path):
    page = tmp_path / "a.html"
    text = f'<meta http-equiv=x content="text/html; charset={declared}"><p>“50 €”</p>'
    page.write_bytes(text.encode("cp1252"))
    assert read_text(page, markup=True) == text


def test_a_binary_file_is_refused(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(DocumentError, match="binary"):
        read_text(file)
