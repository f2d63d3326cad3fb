from twotower.ingest.loaders.plain import elements_of_text


def read(text: str, headings: bool = True) -> list[tuple[str, int, str]]:
    return [(e.kind, e.level, e.text) for e in elements_of_text(text, headings)]


def test_headings_are_underlined_in_capitals_or_by_themselves():
    text = "Manual\n======\nOf the pump.\n\nSAFETY\nWear gloves.\n\nFirst steps\n\nOpen it.\n\nEnd"
    assert read(text) == [
        ("heading", 1, "Manual"),
        ("text", 0, "Of the pump."),
        ("heading", 2, "SAFETY"),
        ("text", 0, "Wear gloves."),
        ("heading", 3, "First steps"),
        ("text", 0, "Open it."),
        ("text", 0, "End"),
    ]
    assert {kind for kind, _, _ in read(text, headings=False)} <= {"text", "lines"}


def test_wrapped_lines_are_joined_and_others_kept():
    prose = (
        "The pump is serviced by the\nworkshop every spring, before the\nfirst trip of the year."
    )
    assert read(prose) == [("text", 0, " ".join(prose.split()))]
    address = "Mill Lane 4\nTarnwick\nNorth Shore"
    assert read(address) == [("lines", 0, address)]
    table = "Hall     Tobias\nShop     Elka and\nStore    Caspian"
    assert read(table) == [("lines", 0, table)]


def test_items_keep_their_marks_and_their_lines():
    text = "Steps:\n1. Open the\n   valve.\n2. Close it.\n* Done."
    assert read(text) == [
        ("text", 0, "Steps:"),
        ("item", 0, "1. Open the valve."),
        ("item", 0, "2. Close it."),
        ("item", 0, "- Done."),
    ]


def test_chinese_lines_are_joined_without_a_space():
    assert read("本合同自签字之日起生效有效期三年任何一方可提前三十天书面通知\n终止合同") == [
        ("text", 0, "本合同自签字之日起生效有效期三年任何一方可提前三十天书面通知终止合同")
    ]


def test_nothing_is_left_of_rules_and_blank_lines():
    assert read("\n \n-----\n\n\f\n") == []
