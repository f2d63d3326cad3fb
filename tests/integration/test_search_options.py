"""Narrowing, grouping, widening and explaining a search, as a person types it."""

import json

import pytest

QUESTION = "who has to agree to spend more money"


def search(handbook, *arguments):
    done = handbook("search", *arguments, "--json")
    assert done.code == 0, done.err
    return done.json["hits"]


def test_filters_narrow_both_legs(handbook):
    for mode in ("hybrid", "dense", "bm25"):
        hits = search(handbook, QUESTION, "--filter", "source=policies/**", "--mode", mode)
        assert hits
        assert all(hit["source"].startswith("policies/") for hit in hits)
    pages = search(handbook, QUESTION, "-f", "type=pdf", "-f", "page>=2")
    assert pages
    assert all(hit["source"].endswith(".pdf") and hit["page"] >= 2 for hit in pages)
    none = search(handbook, QUESTION, "--filter", "modified<1990-01-01")
    assert none == []


def test_facets_count_what_filters_find(handbook):
    counts = handbook("facets", "type", "--json").json["counts"]
    assert sum(counts.values()) == handbook("status", "--json").json["collections"][0]["chunks"]
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    narrowed = handbook("facets", "page", "--filter", "type=pdf", "--json").json["counts"]
    assert sum(narrowed.values()) == counts["pdf"]
    shown = handbook("facets", "folder")
    assert "policies" in shown.out


def test_few_hits_of_each_document_neighbours_and_diversity(handbook):
    hits = search(handbook, QUESTION, "--per-document", 1, "--expand", 1)
    sources = [hit["source"] for hit in hits]
    assert len(hits) == 10 == len(set(sources))
    assert any(hit["before"] for hit in hits)
    assert any(hit["after"] for hit in hits)
    plain = [hit["chunk_id"] for hit in search(handbook, QUESTION)]
    mixed = [hit["chunk_id"] for hit in search(handbook, QUESTION, "--diversity", 0.7)]
    assert mixed[0] == plain[0]
    assert mixed != plain


@pytest.mark.parametrize("identifier", ["XK-2041/b", "4.2.1", "GK-118/d"])
def test_an_identifier_is_found_as_it_is_written(handbook, identifier):
    first = search(handbook, identifier, "--mode", "bm25")[0]
    assert identifier.lower() in first["text"].lower()
    assert search(handbook, identifier)[0]["text"].lower().count(identifier.lower())
    exact = search(handbook, f'"{identifier}"')
    assert exact
    assert all(identifier.lower() in " ".join(hit["text"].lower().split()) for hit in exact)


def test_the_explanation_is_printed_and_carried(handbook):
    done = handbook("search", "bolt torque of the flange", "--explain", "--limit", 2)
    for word in ("fused:", "x", "(dense)", "terms:", "closest:"):
        assert word in done.out
    (hit,) = search(handbook, "bolt torque of the flange", "--explain", "--limit", 1)
    explanation = hit["explanation"]
    assert hit["fused"] == pytest.approx(
        sum(part["weight"] * part["normalised"] for part in explanation["parts"].values())
    )
    assert explanation["closest"]["text"] in hit["text"]
    moved = handbook("search", "bolt torque", "--feedback", 3, "--explain", "--limit", 1)
    assert "added by feedback:" in moved.out


def test_fusions_agree_on_what_they_search(handbook):
    for fusion in ("convex", "minmax", "rrf", "dbsf"):
        hits = search(handbook, "how long is the guarantee", "--fusion", fusion)
        assert hits[0]["source"].startswith("policies/warranty")
        assert [hit["score"] for hit in hits] == sorted((h["score"] for h in hits), reverse=True)


def test_a_context_is_cited_and_within_its_budget(handbook):
    done = handbook("search", QUESTION, "--context", 300, "--json")
    context = done.json
    assert 0 < context["tokens"] <= 300
    assert [passage["number"] for passage in context["passages"]] == list(
        range(1, len(context["passages"]) + 1)
    )
    known = {hit["chunk_id"] for hit in search(handbook, QUESTION)}
    assert set(context["passages"][0]["chunk_ids"]) <= known
    shown = handbook("search", QUESTION, "--context", 300)
    assert shown.out.startswith(f"[1] {context['passages'][0]['source']}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--filter", "colour=red"), "unknown key 'colour' at character 1: use one of source"),
        (("--filter", "page>=two"), "'two' at character 7 where a number is expected"),
        (("--filter", "page"), "no operator (= != > >= < <=) at character 5"),
        (("--filter", "modified>soon"), "'soon' at character 10 where a date is expected"),
        (("--limit", "0"), "the option limit is 0: it must be between 1"),
        (("--limit", "20", "--depth", "5"), "the option depth is 5, but the option limit is 20"),
        (("--context", "0"), "the context is 0 tokens"),
        (("--diversity", "2"), "the option diversity is 2.0: it must be between 0 and 1"),
        (("--per-document", "-1"), "the option per_document is -1: it must be 0 or more"),
    ],
)
def test_bad_input_gets_one_clear_line(handbook, arguments, message):
    done = handbook("search", "pump", *arguments)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_more_hits_than_there_are_passages_are_all_of_them(handbook):
    hits = search(handbook, "pump", "--limit", 5000, "--mode", "dense")
    assert len(hits) == handbook("status", "--json").json["collections"][0]["chunks"]


def test_an_unknown_facet_names_the_known(handbook):
    done = handbook("facets", "colour")
    assert done.code == 2
    assert "no facet 'colour'; there are: source, folder, type" in done.err


def test_metadata_beside_a_file_and_in_front_matter(twotower, tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("The pump stands in the yard.")
    (folder / "b.md").write_text("---\nauthor: Bo\nyear: 2025\n---\n\nThe pump stands in the hall.")
    beside = folder / "a.txt.meta.json"
    beside.write_text(json.dumps({"author": "Ann", "year": 2024}))
    assert twotower("ingest", folder).code == 0
    assert {entry["source"] for entry in twotower("list", "--json").json} == {"a.txt", "b.md"}

    def found(expression):
        hits = search(twotower, "pump", "--mode", "bm25", "--filter", expression)
        return {hit["source"]: hit["metadata"] for hit in hits}

    assert found("author=Ann") == {"a.txt": {"author": "Ann", "year": 2024}}
    assert set(found("year>=2025")) == {"b.md"}
    assert twotower("facets", "author", "--json").json["counts"] == {"Ann": 1, "Bo": 1}

    beside.write_text(json.dumps({"author": "Cy"}))
    again = twotower("ingest", folder, "--json").json
    assert (again["changed"], again["chunks_embedded"]) == (1, 0)
    assert found("author=Cy") == {"a.txt": {"author": "Cy"}}
    assert found("author=Ann") == {}
    beside.write_text("{")
    broken = twotower("ingest", folder, "--json")
    assert broken.code == 1
    assert broken.json["failed"][0]["kind"] == "metadata"
    assert found("author=Cy"), "what was there before stays"
    beside.unlink()
    assert twotower("ingest", folder, "--json").json["changed"] == 1
    assert found("author=Cy") == {}
