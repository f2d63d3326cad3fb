import pytest

from twotower.retrieval.vocabulary.errors import DocumentError

SRT = """1
00:00:01,600 --> 00:00:04,200 X1:10 X2:20
<i>The heron stands</i>
{\\an8}very still

2
00:00:04,500 --> 00:00:06,000
- For an hour.

- After an empty line.

3
01:02:03,000 --> 01:02:05,000
Then it catches 2
<font color="#fff">eels</font> &amp; a < b.
"""

VTT = """\ufeffWEBVTT - The heron

STYLE
::cue { color: red }

NOTE a comment

with two lines? no: this belongs to nothing

intro
00:01.000 --> 00:03.000 align:start position:0%
<v.loud Ann Lee>Where is <00:02.000><c>the</c> heron?</v>

00:03.100 --> 00:04.000
Where is the heron?
Over <b>there</b>.
"""


def test_captions_are_joined_until_a_pause(pairs):
    assert pairs("a.srt", SRT) == [
        ("text", "00:00:01 The heron stands very still - For an hour. - After an empty line."),
        ("text", "01:02:03 Then it catches 2 eels & a < b."),
    ]


def test_web_captions_have_voices_and_hide_notes_and_styles(parsed):
    document = parsed("a.vtt", VTT)
    assert document.title == "The heron"
    assert [element.text for element in document.elements] == [
        "00:00:01 Ann Lee: Where is the heron? Where is the heron? Over there."
    ]


def test_a_line_that_scrolls_up_counts_once(pairs):
    cues = "".join(
        f"00:0{n}.000 --> 00:0{n + 1}.000\nline {n - 1}\nline {n}\n\n" for n in range(1, 5)
    )
    assert pairs("a.vtt", f"WEBVTT\n\n{cues}") == [
        ("text", "00:00:01 line 0 line 1 line 2 line 3 line 4")
    ]


def test_captions_without_empty_lines_or_numbers(pairs):
    content = "1\n00:00:01,000 --> 00:00:02,000\nOne\n2\n00:00:02,000 --> 00:00:03,000\nTwo"
    assert pairs("a.srt", content) == [("text", "00:00:01 One Two")]


def test_long_speech_is_cut_at_the_end_of_a_sentence(pairs):
    cues = (
        f"{n}\n00:{n // 60:02}:{n % 60:02},000 --> 00:{n // 60:02}:{n % 60:02},900\n"
        f"word{n}{'.' if n % 7 == 0 else ''}\n"
        for n in range(200)
    )
    texts = [text for _, text in pairs("a.srt", "\n".join(cues))]
    assert len(texts) > 3
    assert all(text.endswith(".") for text in texts[:-1])
    assert [word for text in texts for word in text.replace(".", "").split()[1:]] == [
        f"word{n}" for n in range(200)
    ]


@pytest.mark.parametrize("content", ["no captions", "WEBVTT\n\nNOTE nothing\n", " "])
def test_a_file_without_captions_is_refused(parsed, content):
    with pytest.raises(DocumentError, match="contains no captions"):
        parsed("a.srt", content)


def test_a_file_that_was_cut_keeps_what_it_has(pairs):
    assert pairs("a.srt", SRT[: SRT.index("still")]) == [("text", "00:00:01 The heron stands very")]


@pytest.mark.parametrize("part", ["<v ", "<v" + " " * 999, "{\\", "<i", "00:00:01,0 --> ", "1\n"])
def test_time_is_linear(parsed, part):
    assert parsed("a.srt", f"{SRT}\n{part * 50_000}")
