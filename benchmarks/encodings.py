"""Short texts in 29 languages and their usual encodings: which of them are decoded as written.

    .venv/bin/python -m benchmarks.encodings

Encodes each text in each of its encodings, decodes the bytes as a loader does, and prints one row
for each language: the encodings that are decoded right, and for the others what was read. In the
last line `charset-normalizer`, which twotower used before, decodes the same bytes.
"""

import charset_normalizer

from twotower.ingest.loaders.text import decode

WEST = ("cp1252", "iso8859-15")
CENTRAL = ("cp1250", "iso8859-2")
TEXTS = {
    "Danish": ("Nøglen ligger under måtten. Færgen går klokken ti, prisen er 95 kr.", WEST),
    "Norwegian": ("Båten må være på land før første frost.", WEST),
    "Swedish": ("Hyresgästen får lämna nycklarna på måndag.", WEST),
    "Finnish": ("Vuokra maksetaan kuun ensimmäisenä päivänä.", WEST),
    "Icelandic": ("Lykillinn er hjá nágrannanum í næsta húsi.", WEST),
    "German": ("Die Kündigungsfrist beträgt drei Monate, Gebühr 50 €.", WEST),
    "Dutch": ("De huur is € 35 per week, inclusief één parkeerplaats.", WEST),
    "French": ("La clé est chez le gardien, à côté de l'entrée.", WEST),
    "Italian": ("La caparra è già stata pagata, il resto più tardi.", WEST),
    "Spanish": ("La reunión será mañana en el muelle pequeño.", WEST),
    "Portuguese": ("A reunião será às três horas. Não há exceções.", WEST),
    "Polish": ("Łódź stoi przy pomoście, klucz jest u sąsiada.", CENTRAL),
    "Czech": ("Klíč leží pod rohožkou, loď čeká u mola.", CENTRAL),
    "Hungarian": ("A kulcs a szomszédnál van, a bérlet júliusig érvényes.", CENTRAL),
    "Croatian": ("Ključ je kod susjeda, a šupa je zaključana.", CENTRAL),
    "Romanian": ("Cheia este la vecină, în casa de lângă pod.", CENTRAL),
    "Turkish": ("Anahtar komşuda, kira ayın ilk günü ödenir.", ("cp1254", "iso8859-9")),
    "Lithuanian": ("Raktas yra pas kaimyną, šalia žalių durų.", ("cp1257",)),
    "Russian": ("Ключ висит за синей дверью, цена 35 рублей.", ("cp1251", "koi8-r", "cp866")),
    "Ukrainian": ("Ключ у сусідки, човен стоїть біля пристані.", ("cp1251", "koi8-u")),
    "Bulgarian": ("Ключът е при съседа, наемът е платен.", ("cp1251",)),
    "Greek": ("Το κλειδί είναι στον γείτονα, δίπλα στη θάλασσα.", ("cp1253", "iso8859-7")),
    "Hebrew": ("המפתח נמצא אצל השכן ליד הבית.", ("cp1255", "iso8859-8")),
    "Arabic": ("المفتاح عند الجار بجانب البيت.", ("cp1256",)),
    "Thai": ("กุญแจอยู่ที่เพื่อนบ้าน", ("cp874",)),
    "Japanese": ("鍵は台所に掛かっています。", ("shift_jis", "euc_jp")),
    "Chinese": ("钥匙在邻居家里。", ("gb18030",)),
    "Chinese (Taiwan)": ("鑰匙在鄰居家裡。", ("big5",)),
    "Korean": ("열쇠는 이웃집에 있습니다.", ("cp949",)),
}


def main() -> None:
    """Decode and print."""
    right = total = before = 0
    print("| language | decoded | not decoded |\n|---|---|---|")
    for language, (text, encodings) in TEXTS.items():
        good, bad = [], []
        for encoding in encodings:
            try:
                data = text.encode(encoding)
            except UnicodeEncodeError:
                continue
            decoded = decode(data)
            if decoded == text:
                good.append(encoding)
            else:
                bad.append(f"{encoding}: {decoded}")
            guess = charset_normalizer.from_bytes(data).best()
            before += str(guess) == text
        right, total = right + len(good), total + len(good) + len(bad)
        print(f"| {language} | {', '.join(good)} | {'; '.join(bad)} |")
    print(f"\n{right} of {total} decoded as written; charset-normalizer: {before} of {total}")


if __name__ == "__main__":
    main()
