"""OCR of drawn pages: the share of wrong characters and the time, by engine and language.

    .venv/bin/python -m benchmarks.ocr
    .venv/bin/python -m benchmarks.ocr FONT   # also Chinese and Japanese, in a font of your own

Draws a page of text in each language, with the DejaVu fonts of matplotlib: clean at 300 dpi, and
at 150 dpi with noise and tilted by one degree. Each installed engine reads every page as a loader
does. A row shows the character error rate: the edit distance to the text as a share of its length,
where white space counts once. The last row shows the time of a page on one core, without the time
for loading models.
"""

import statistics
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rapidfuzz.distance import Levenshtein

from twotower.ingest.elements import Limits
from twotower.ingest.loaders import ocr
from twotower.ingest.loaders.ocr import tesseract
from twotower.ingest.loaders.pdf.scan import elements_of_pieces

FONTS = Path(mpl.get_data_path(), "fonts", "ttf")
DOTS = 300  # pixels for an inch
PAGE = (8.27, 11.69)  # inches, A4
MARGIN = 1.0  # inch
COLUMNS = 74  # letters in a line
NOISE = 15  # standard deviation of a pixel, from 255
SIZES = (("DejaVuSans.ttf", 11.0), ("DejaVuSerif.ttf", 10.0), ("DejaVuSans.ttf", 9.0))  # points

TEXTS = {
    "English": """
        The harbour office opens at seven and closes at six. Berths are given by length, and
        the fee of 845.50 crowns is due on the first day of each month. Boats longer than 12
        m lie at the north pier; their owners sign a separate contract. Whoever loses a key
        pays 35 crowns for a new one. Questions go to office@harbour.example or to 555-0143.
        In winter the water is turned off on 15 November, so please empty your tanks before
        that date.""",
    "German": """
        Das Hafenbüro öffnet um sieben und schließt um sechs Uhr. Die Liegeplätze werden
        nach Länge vergeben, die Gebühr von 845,50 € ist am Ersten jedes Monats fällig.
        Größere Boote liegen am Nordpier; für sie gilt ein eigener Vertrag. Wer einen
        Schlüssel verliert, zahlt 35 € für einen neuen. Im Winter wird das Wasser am 15.
        November abgestellt, bitte leeren Sie vorher die Tanks. Außerdem gehören Öl und
        Fäkalien nicht ins Hafenbecken.""",
    "French": """
        Le bureau du port ouvre à sept heures et ferme à dix-huit heures. Les places sont
        attribuées selon la longueur, et la redevance de 845,50 € est due le premier de
        chaque mois. Les bateaux de plus de 12 m sont amarrés au quai nord ; leurs
        propriétaires signent un contrat séparé. Une clé perdue coûte 35 €. L'eau est coupée
        le 15 novembre : pensez à vider vos réservoirs. Où trouver l'électricité ? À côté de
        la grue, près du hangar français.""",
    "Spanish": """
        La oficina del puerto abre a las siete y cierra a las seis. Los amarres se asignan
        según la eslora, y la tasa de 845,50 € se paga el primer día de cada mes. Los barcos
        de más de 12 m atracan en el muelle norte; sus dueños firman un contrato aparte. ¿Ha
        perdido una llave? La nueva cuesta 35 €. El agua se corta el 15 de noviembre: vacíe
        los depósitos antes de esa fecha. El año próximo habrá también electricidad en el
        pequeño muelle español.""",
    "Polish": """
        Biuro portu jest czynne od siódmej do osiemnastej. Miejsca przydziela się według
        długości, a opłata 845,50 zł jest należna pierwszego dnia każdego miesiąca. Łodzie
        dłuższe niż 12 m stoją przy pomoście północnym; ich właściciele podpisują osobną
        umowę. Za zgubiony klucz płaci się 35 zł. Zimą, od 15 listopada, woda jest
        zakręcona, proszę więc wcześniej opróżnić zbiorniki. Źródło prądu znajduje się obok
        dźwigu, między halą a wiatą.""",
    "Greek": """
        Το γραφείο του λιμανιού ανοίγει στις επτά και κλείνει στις έξι. Οι θέσεις δίνονται
        ανάλογα με το μήκος, και το τέλος των 845,50 € πληρώνεται την πρώτη κάθε μήνα. Τα
        σκάφη πάνω από 12 μ δένουν στη βόρεια προβλήτα και οι ιδιοκτήτες τους υπογράφουν
        χωριστή σύμβαση. Όποιος χάσει το κλειδί πληρώνει 35 €. Το χειμώνα, από τις 15
        Νοεμβρίου, το νερό κόβεται, γι' αυτό αδειάστε πρώτα τις δεξαμενές σας.""",
    "Russian": """
        Контора порта открыта с семи до восемнадцати часов. Места выдаются по длине, а сбор
        845,50 рублей платят в первый день каждого месяца. Лодки длиннее 12 м стоят у
        северного причала; их владельцы подписывают отдельный договор. За потерянный ключ
        платят 35 рублей. Зимой, с 15 ноября, воду отключают, поэтому прежде опорожните
        баки. Щит с электричеством находится у крана, между ангаром и навесом.""",
}

ASIAN = {
    "Chinese": """港口办公室七点开门，六点关门。泊位按船长分配，费用八百四十五元五角，每月一日缴纳。
        长度超过十二米的船停在北码头，船主另签合同。丢失钥匙须付三十五元。冬季从十一月十五日起停水，
        请在此之前排空水箱。电源箱位于起重机旁边，在机库和棚子之间。有问题请致电办公室。""",
    "Japanese": """港の事務所は七時に開き、六時に閉まります。バースは船の長さで割り当てられ、料金は
        毎月一日に支払います。十二メートルより長い船は北の桟橋に係留し、所有者は別の契約に署名します。
        鍵をなくした人は三十五クローネを払います。冬は十一月十五日から水道が止まりますので、
        その前にタンクを空にしてください。電源はクレーンの隣、格納庫と屋根の間にあります。""",
}


def drawn(text: str) -> tuple[Image.Image, str]:
    """Draw a text on a page in each font and size, and return what the page shows."""
    own = sys.argv[1] if text in ASIAN.values() else ""
    text = "".join(text.split()) if own else " ".join(text.split())
    columns = COLUMNS // 2 if own else COLUMNS
    page = Image.new("L", [round(side * DOTS) for side in PAGE], "white")
    pen = ImageDraw.Draw(page)
    top = MARGIN * DOTS
    for name, points in SIZES:
        font = ImageFont.truetype(own or FONTS / name, points * DOTS / 72)
        for line in textwrap.wrap(text, columns):
            pen.text((MARGIN * DOTS, top), line, fill=0, font=font)
            top += points * DOTS / 72 * 1.4
        top += points * DOTS / 72
    return page.convert("RGB"), " ".join([text] * len(SIZES))


def worn(page: Image.Image) -> Image.Image:
    """Scan a page badly: 150 dpi, tilted by one degree, grey letters, noise."""
    small = page.convert("L").resize((page.width // 2, page.height // 2))
    tilted = small.rotate(1, Image.Resampling.BICUBIC, fillcolor=255)
    faded = tilted.point(lambda value: 40 + value * 0.75)
    noise = np.random.default_rng(0).normal(0, NOISE, (faded.height, faded.width))
    pixels = np.clip(np.asarray(faded) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).convert("RGB")


CONDITIONS = {"300 dpi, clean": lambda page: page, "150 dpi, noise, tilted": worn}


def settings() -> Iterator[tuple[str, Limits]]:
    """Yield each way of reading that is installed, with its name."""
    for engine in ocr.engines("auto"):
        if engine == "tesseract":
            yield "tesseract (eng)", Limits(ocr="tesseract", ocr_languages="eng")
            if tesseract.knows_more(""):
                name = f"tesseract ({'+'.join(tesseract.used())})"
                yield name, Limits(ocr="tesseract")
        else:
            yield engine, Limits(ocr=engine)


def read(page: Image.Image, limits: Limits) -> str:
    """Read a page as a loader does."""
    pieces = ocr.recognise(page, limits).pieces
    return " ".join(" ".join(e.text for e in elements_of_pieces(pieces, 1)).split())


def main() -> None:
    """Draw, read and print."""
    ways, texts = dict(settings()), TEXTS | (ASIAN if sys.argv[1:] else {})
    print(f"| page | language | {' | '.join(ways)} |\n|---|---|{'---|' * len(ways)}")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for condition, scan in CONDITIONS.items():
        for language, text in texts.items():
            page, shown = drawn(text)
            page = scan(page)
            cells = []
            for name, limits in ways.items():
                if not seconds[name]:
                    read(page, limits)  # loads the models
                started = time.perf_counter()
                found = read(page, limits)
                seconds[name].append(time.perf_counter() - started)
                if language in ASIAN:
                    shown, found = ("".join(part.split()) for part in (shown, found))
                cells.append(f"{Levenshtein.distance(shown, found) / len(shown):.1%}")
            print(f"| {condition} | {language} | {' | '.join(cells)} |", flush=True)
    times = " | ".join(f"{statistics.mean(taken):.1f}" for taken in seconds.values())
    print(f"| seconds for a page | | {times} |")


if __name__ == "__main__":
    main()
