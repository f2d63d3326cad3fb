import pytest

from twotower.retrieval.models.bm25 import Bm25, Bm25Settings
from twotower.retrieval.models.languages import language_of
from twotower.retrieval.models.legibility import is_latin, is_legible
from twotower.retrieval.models.model_folder import DEFAULT_ENCODER, find_model, load_tokenizer

GERMAN = "Die Häuser der Gemeinde werden jedes Jahr im Herbst von zwei Handwerkern geprüft."
ENGLISH = "The houses of the village are inspected by two workers every autumn."
AUTO = Bm25(Bm25Settings())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (GERMAN, "german"),
        (ENGLISH, "english"),
        ("Las casas del pueblo se revisan cada año en el mes de octubre.", "spanish"),
        ("Дома нашей деревни каждую осень осматривают два мастера из города.", "russian"),
        ("تُفحص بيوت القرية كل خريف من قبل عاملين اثنين.", "arabic"),
        ("Domy we wsi są co roku jesienią sprawdzane przez dwóch fachowców.", "english"),
        ("村里的房屋每年秋天由两名工人检查。", "english"),
        ("M12 | 55", "english"),
    ],
)
def test_the_language_of_a_text(text, language):
    assert language_of(text) == language


def test_each_passage_is_stemmed_in_its_own_language():
    passage = AUTO.encode_passage(GERMAN)
    in_german = AUTO.question_terms("Gemeinden", ["german"]).own
    assert sum(passage.weight(term) for term in in_german) > 0
    in_english = AUTO.question_terms("Gemeinden", ["english"]).own
    assert sum(passage.weight(term) for term in in_english) == 0


def test_a_question_has_the_terms_of_all_languages_of_the_collection():
    terms = AUTO.question_terms("Wann werden die Häuser geprüft?", ["english", "german"])
    german = AUTO.question_terms("Wann werden die Häuser geprüft?", ["german"])
    assert set(german.own) <= {*terms.own, *terms.others}
    die = AUTO.question_terms("die", ["english"]).own
    assert not {*terms.own, *terms.others} & set(die)  # a stop word in German


def test_the_language_of_a_passage_is_a_term_of_it():
    marks = AUTO.marks
    assert [marks[t] for t in AUTO.encode_passage(ENGLISH).indices if t in marks] == ["english"]
    assert Bm25(Bm25Settings(language="german")).marks == {}


def test_whether_the_default_encoder_knows_the_words():
    tokenizer = load_tokenizer(find_model(DEFAULT_ENCODER))
    for text in ("Where is the key?", "Wo ist der Schlüssel?", "XK-2041/b", "¿Dónde está?"):
        assert is_latin(text)
    for text in ("Где ключ от дома?", "أين المفتاح؟", "鍵はどこですか", "열쇠는 어디에 있습니까"):
        assert not is_latin(text)
        assert not is_legible(text, tokenizer)
    assert is_legible("What does θ mean in the formula?", tokenizer)
