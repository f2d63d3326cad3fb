import re

import pytest

from twotower.retrieval.vocabulary.errors import DocumentError

ICS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//goneproduct//EN
X-WR-CALNAME:markcalendar
X-WR-CALDESC:markabout
BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19701025T030000
TZNAME:gonezone
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:goneuid@x
DTSTART;TZID=Europe/Berlin:20260302T090000
DTEND;TZID=Europe/Berlin:20260302T103000
RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE;UNTIL=20261231T230000Z
EXDATE;TZID=Europe/Berlin:20260316T090000,20260330T090000
SUMMARY:marksummary\\, with a
  markfolded word
LOCATION:markroom\\; first floor
DESCRIPTION:markdescription\\nmarksecond line with C:\\\\temp
ORGANIZER;CN="Lee: markorganizer":mailto:ann@markmail.example
ATTENDEE;CN=markattendee;ROLE=REQ-PARTICIPANT:MAILTO:bo@x.example
CATEGORIES:markcategory
URL:https://markurl.example/a
ATTACH;FILENAME=markfile.pdf;ENCODING=BASE64;VALUE=BINARY:gonedata
BEGIN:VALARM
DESCRIPTION:gonealarm
END:VALARM
END:VEVENT
BEGIN:VEVENT
DTSTART;VALUE=DATE:20260501
DTEND;VALUE=DATE:20260504
SUMMARY:markholiday
X-ALT-DESC;FMTTYPE=text/html:<html><body><p>markhtml</p></body></html>
END:VEVENT
BEGIN:VTODO
DUE:20260601T120000Z
SUMMARY:marktask
DESCRIPTION:<b>markbold</b><br>markbreak
END:VTODO
END:VCALENDAR
""".replace("\n", "\r\n")


BEGIN = "Monday 2 March 2026 (2026-03-02), 23:00, UTC"
RULE = "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE;UNTIL=20261231T230000Z"
UNTIL = "Thursday 31 December 2026 (2026-12-31), 23:00, UTC"
FIRST = "Monday 16 March 2026 (2026-03-16), 09:00, Europe/Berlin"
SECOND = "Monday 30 March 2026 (2026-03-30), 09:00, Europe/Berlin"


def text_of(document):
    return "\n".join(element.text for element in document.elements)


def test_a_calendar(parsed):
    document = parsed("a.ics", ICS)
    text = f"{document.title}\n{text_of(document)}"
    assert set(re.findall(r"mark\w+", ICS)) - set(re.findall(r"mark\w+", text)) == set()
    assert "gone" not in text
    headings = [e.text for e in document.elements if e.kind == "heading"]
    assert headings == ["marksummary, with a markfolded word", "markholiday", "marktask"]
    for line in (
        "When: Monday 2 March 2026 (2026-03-02), 09:00 to 10:30, Europe/Berlin",
        f"Repeats: every 2 weeks on Monday, Wednesday until {UNTIL} ({RULE})",
        f"Except on: {FIRST}; {SECOND}",
        "Place: markroom; first floor",
        "markdescription\nmarksecond line with C:\\temp",
        "Organizer: Lee: markorganizer <ann@markmail.example>",
        "Attendee: markattendee <bo@x.example>",
        "When: Friday 1 May 2026 (2026-05-01) to Sunday 3 May 2026 (2026-05-03)",
        "Due: Monday 1 June 2026 (2026-06-01), 12:00, UTC",
    ):
        assert f"\n{line}\n" in f"\n{text}\n"


def event(*lines: str) -> str:
    return "\n".join(["BEGIN:VCALENDAR", "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR", ""])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["DTSTART:20260302T090000"], "When: Monday 2 March 2026 (2026-03-02), 09:00"),
        (["DTSTART;VALUE=DATE:20260302"], "When: Monday 2 March 2026 (2026-03-02)"),
        (
            ["DTSTART;VALUE=DATE:20260302", "DTEND;VALUE=DATE:20260303"],
            "When: Monday 2 March 2026 (2026-03-02)",
        ),
        (
            ["DTSTART:20260302T230000Z", "DURATION:PT1H30M"],
            "When: Monday 2 March 2026 (2026-03-02), 23:00, UTC, for 1 hour 30 minutes",
        ),
        (
            ["DTSTART:20260302T230000Z", "DTEND:20260303T010000Z"],
            f"When: {BEGIN} to Tuesday 3 March 2026 (2026-03-03), 01:00, UTC",
        ),
        (["DTSTART:20261399T990000"], "When: 20261399T990000"),
        (["DTSTART:soon", "DTEND:later"], "When: soon"),
        (
            ["RRULE:FREQ=MONTHLY;BYDAY=-1FR;COUNT=3"],
            "Repeats: every month on last Friday 3 times (FREQ=MONTHLY;BYDAY=-1FR;COUNT=3)",
        ),
        (["RRULE:nonsense"], "Repeats: nonsense"),
        (["COMMENT:markword"], "Comment: markword"),
        (["LOCATION:20260302 Main Street"], "Place: 20260302 Main Street"),
        (["RDATE;VALUE=PERIOD:20260302T09Z/PT1H"], "Also on: 20260302T09Z/PT1H"),
    ],
)
def test_dates_and_rules(parsed, lines, expected):
    assert text_of(parsed("a.ics", event(*lines))) == f"(no summary)\n{expected}"


def test_lines_that_are_not_indented_belong_to_the_text_before_them(parsed):
    text = text_of(
        parsed("a.ics", event("SUMMARY:One", "DESCRIPTION:two", "three four", "", "five"))
    )
    assert text == "One\ntwo\nthree four\n\nfive"


def test_a_calendar_that_was_cut_and_one_in_another_encoding(parsed):
    assert "markroom" in text_of(parsed("a.ics", ICS[: ICS.index("DESCRIPTION:markdesc")]))
    assert "Prüfung" in text_of(parsed("a.ics", event("SUMMARY:Prüfung im März").encode("cp1252")))


def test_a_line_that_is_folded_inside_a_letter(parsed):
    content = event("SUMMARY:Prüfung im März").encode().replace(b"\xc3\xbc", b"\xc3\r\n \xbc")
    assert text_of(parsed("a.ics", content)) == "Prüfung im März"


VCF = """BEGIN:VCARD
VERSION:2.1
N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:markm=C3=BCller;markanna;;Dr.
FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:markanna markm=C3=BCller
TEL;HOME;VOICE:+49 markone
TEL;CELL:+49 marktwo
ADR;WORK:;;Markstrasse 1;markcity;;12345;Germany
NOTE;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:marknote =
marksoft=0D=0Amarkline
PHOTO;ENCODING=BASE64;JPEG:gonephoto
 gonephoto

END:VCARD
BEGIN:VCARD
VERSION:3.0
FN:markbo Lee
N:Lee;markbo;markmiddle;;
ORG:markorg\\, Ltd;markunit
TITLE:marktitle
item1.EMAIL;TYPE=INTERNET,pref:bo@markmail.example
item1.X-ABLabel:_$!<marklabel>!$_
EMAIL;TYPE=WORK:bo2@x.example
URL:https://markurl.example
BDAY:1980-02-03
CATEGORIES:markcat,markother
X-SKYPE:markskype
X-GONE:gonex
NOTE:markv3\\nnote
END:VCARD
BEGIN:VCARD
VERSION:4.0
FN:markcy
TEL;VALUE=uri;TYPE="voice,home":tel:+49-markfour
PHOTO:data:image/jpeg;base64,gonepic
RELATED;VALUE=text:markrelated
END:VCARD
BEGIN:VCARD
ORG:markonlyorg
END:VCARD
"""


def test_contacts_of_each_version(parsed):
    document = parsed("a.vcf", VCF)
    text = text_of(document)
    assert set(re.findall(r"mark[a-z]+", VCF)) - set(re.findall(r"mark[a-z]+", text)) == set()
    assert "gone" not in text
    assert [e.text for e in document.elements if e.kind == "heading"] == [
        "markanna markmüller Dr.",
        "markbo Lee markmiddle",
        "markcy",
        "markonlyorg",
    ]
    for line in (
        "Telephone (home): +49 markone",
        "Telephone (cell): +49 marktwo",
        "Address (work): Markstrasse 1, markcity, 12345, Germany",
        "marknote marksoft\nmarkline",
        "Organization: markorg, Ltd, markunit",
        "E-mail (marklabel): bo@markmail.example",
        "E-mail (work): bo2@x.example",
        "Telephone (home): +49-markfour",
    ):
        assert f"\n{line}\n" in f"\n{text}\n"


def test_one_contact_is_the_title(parsed):
    assert parsed("a.vcf", "BEGIN:VCARD\nFN:Ann Lee\nEND:VCARD\n").title == "Ann Lee"
    assert "Ann" in text_of(parsed("a.vcf", "BEGIN:VCARD\nFN:Ann Lee\nTEL:1\nEMA"))


@pytest.mark.parametrize("name", ["a.ics", "a.vcf"])
@pytest.mark.parametrize("content", ["just text", "SUMMARY:text", "\n", "<html></html>"])
def test_other_content_is_refused(parsed, name, content):
    with pytest.raises(DocumentError) as caught:
        parsed(name, content)
    assert caught.value.kind == "malformed"


@pytest.mark.parametrize(
    "line",
    ["TEL;A;B;C", 'TEL;A="b', "X" * 99, "N;ENCODING=QUOTED-PRINTABLE:a=", " x", "no property",
     "BEGIN:VEVENT", "N:a;b\\", "TEL;" + "a;" * 50, ";" * 60],
)  # fmt: skip
def test_time_is_linear(parsed, line):
    lines = f"{line}\n" * 20_000
    parsed("a.vcf", f"BEGIN:VCARD\nFN:Ann\n{lines}")
    parsed("a.ics", f"BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:One\n{lines}")
    parsed("a.vcf", f"BEGIN:VCARD\nFN:Ann\n{line * 20_000}")
