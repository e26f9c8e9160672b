"""Dates and numbers in the words of five languages, written as ISO dates and as digits.

    python examples/dates_and_numbers.py [--quick] [--epochs N] [--seed N] [--write FILE.tsv]

English, German, French, Spanish and Italian; the texts are made here: numbers below a million in
words, and dates with their month in words, with and without a weekday, in several orders. The
network is not told the language. The test set are texts that are not among the others. With
--write the table is only written, for: chainrule train FILE.tsv --target digits --kind
sequence-to-text
"""

from __future__ import annotations

import argparse
import datetime
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl

import chainrule as cr

EN_ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
           "fifteen sixteen seventeen eighteen nineteen")  # fmt: skip
EN_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety"
DE_ONES = ("null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn "
           "fünfzehn sechzehn siebzehn achtzehn neunzehn")  # fmt: skip
DE_TENS = "- - zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"
FR_ONES = ("zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze "
           "quinze seize dix-sept dix-huit dix-neuf")  # fmt: skip
FR_TENS = "- - vingt trente quarante cinquante soixante soixante quatre-vingt quatre-vingt"
ES_ONES = ("cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce "
           "quince dieciséis diecisiete dieciocho diecinueve veinte veintiuno veintidós "
           "veintitrés veinticuatro veinticinco veintiséis veintisiete veintiocho "
           "veintinueve")  # fmt: skip
ES_TENS = "- - - treinta cuarenta cincuenta sesenta setenta ochenta noventa"
ES_HUNDREDS = ("- ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos "
               "ochocientos novecientos")  # fmt: skip
IT_ONES = ("zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici "
           "quattordici quindici sedici diciassette diciotto diciannove")  # fmt: skip
IT_TENS = "- - venti trenta quaranta cinquanta sessanta settanta ottanta novanta"


def english(n: int) -> str:
    if n < 20:
        return EN_ONES.split()[n]
    if n < 100:
        rest = f"-{english(n % 10)}" if n % 10 else ""
        return EN_TENS.split()[n // 10] + rest
    if n < 1000:
        rest = f" and {english(n % 100)}" if n % 100 else ""
        return f"{english(n // 100)} hundred{rest}"
    joined = " and " if 0 < n % 1000 < 100 else " "
    rest = joined + english(n % 1000) if n % 1000 else ""
    return f"{english(n // 1000)} thousand{rest}"


def german(n: int) -> str:
    def part(n: int) -> str:
        """As it begins a word: ein in place of eins."""
        return german(n).removesuffix("s") if n % 100 == 1 else german(n)

    if n < 20:
        return DE_ONES.split()[n]
    if n < 100:
        first = f"{part(n % 10)}und" if n % 10 else ""
        return first + DE_TENS.split()[n // 10]
    if n < 1000:
        return f"{part(n // 100)}hundert{german(n % 100) if n % 100 else ''}"
    return f"{part(n // 1000)}tausend{german(n % 1000) if n % 1000 else ''}"


def french(n: int) -> str:
    if n < 20:
        return FR_ONES.split()[n]
    if n < 100:
        tens, rest = divmod(n, 10)
        if tens in (7, 9):
            rest += 10
        word = FR_TENS.split()[tens]
        if not rest:
            return word + "s" * (tens == 8)
        return f"{word} et {french(rest)}" if rest in (1, 11) and tens < 8 else (
            f"{word}-{french(rest)}")  # fmt: skip
    if n < 1000:
        hundreds, rest = divmod(n, 100)
        word = "cent" if hundreds == 1 else f"{french(hundreds)} cent" + "s" * (not rest)
        return f"{word} {french(rest)}" if rest else word
    thousands, rest = divmod(n, 1000)
    before = french(thousands)
    for plural in ("cents", "vingts"):  # no s before mille
        before = before.removesuffix("s") if before.endswith(plural) else before
    word = "mille" if thousands == 1 else f"{before} mille"
    return f"{word} {french(rest)}" if rest else word


def spanish(n: int) -> str:
    if n < 30:
        return ES_ONES.split()[n]
    if n < 100:
        return ES_TENS.split()[n // 10] + (f" y {spanish(n % 10)}" if n % 10 else "")
    if n == 100:
        return "cien"
    if n < 1000:
        return ES_HUNDREDS.split()[n // 100] + (f" {spanish(n % 100)}" if n % 100 else "")
    thousands, rest = divmod(n, 1000)
    before = spanish(thousands)
    if before.endswith("veintiuno"):
        before = before.removesuffix("uno") + "ún"
    before = before.removesuffix("o") if before.endswith("uno") else before
    word = "mil" if thousands == 1 else f"{before} mil"
    return f"{word} {spanish(rest)}" if rest else word


def italian(n: int) -> str:
    if n < 20:
        return IT_ONES.split()[n]
    if n < 100:
        tens, rest = IT_TENS.split()[n // 10], n % 10
        tens = tens[:-1] if rest in (1, 8) else tens
        return tens + ("tré" if rest == 3 else italian(rest) if rest else "")
    if n < 1000:
        hundreds = ("" if n < 200 else italian(n // 100)) + "cento"
        return hundreds + (italian(n % 100) if n % 100 else "")
    thousands = "mille" if n < 2000 else italian(n // 1000).replace("tré", "tre") + "mila"
    return thousands + (italian(n % 1000) if n % 1000 else "")


NUMBERS: dict[str, Callable[[int], str]] = {
    "english": english, "german": german, "french": french, "spanish": spanish, "italian": italian,
}  # fmt: skip
MONTHS = {
    "english": "January February March April May June July August September October November "
    "December",
    "german": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "french": "janvier février mars avril mai juin juillet août septembre octobre novembre "
    "décembre",
    "spanish": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre "
    "diciembre",
    "italian": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre "
    "novembre dicembre",
}
WEEKDAYS = {
    "english": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "german": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "french": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "spanish": "lunes martes miércoles jueves viernes sábado domingo",
    "italian": "lunedì martedì mercoledì giovedì venerdì sabato domenica",
}
#: How a date is written: weekday, day, month and year.
ORDERS = {
    "english": ("{w}, {m} {d}, {y}", "{m} {d}, {y}", "{d} {m} {y}", "the {o} of {m} {y}",
                "{w} the {o} of {m}, {y}"),
    "german": ("{w}, der {d}. {m} {y}", "{d}. {m} {y}", "am {d}. {m} {y}", "{w}, {d}. {m} {y}"),
    "french": ("le {w} {f} {m} {y}", "{f} {m} {y}", "le {f} {m} {y}"),
    "spanish": ("{w}, {d} de {m} de {y}", "{d} de {m} de {y}", "el {d} de {m} del {y}"),
    "italian": ("{w} {d} {m} {y}", "{d} {m} {y}", "il {d} {m} {y}"),
}  # fmt: skip


def date(language: str, day: datetime.date, r: random.Random) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    end = "th" if 10 < day.day < 14 else ends.get(day.day % 10, "th")
    return r.choice(ORDERS[language]).format(
        w=WEEKDAYS[language].split()[day.weekday()], m=MONTHS[language].split()[day.month - 1],
        d=day.day, o=f"{day.day}{end}", f="1er" if day.day == 1 else day.day, y=day.year,
    )  # fmt: skip


def pairs(count: int, seed: int) -> pl.DataFrame:
    """So many different texts: the columns language, kind, words and digits."""
    r = random.Random(seed)
    first = datetime.date(1900, 1, 1).toordinal()
    last = datetime.date(2099, 12, 31).toordinal()
    rows: dict[str, tuple[str, str, str, str]] = {}
    while len(rows) < count:
        language = r.choice(list(NUMBERS))
        if r.random() < 0.5:
            n = r.randrange(10 ** r.randint(1, 6))
            words, kind, digits = NUMBERS[language](n), "number", str(n)
        else:
            day = datetime.date.fromordinal(r.randint(first, last))
            words, kind, digits = date(language, day, r), "date", day.isoformat()
        rows.setdefault(words, (language, kind, words, digits))
    return pl.DataFrame(list(rows.values()), ["language", "kind", "words", "digits"], orient="row")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small part, in seconds")
    parser.add_argument("--minutes", type=float, help="be done in so many minutes")
    parser.add_argument("--texts", type=int, default=60_000, help="how many are made")
    parser.add_argument("--epochs", type=int, default=6, help="times through the texts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of the native code; all by default")
    parser.add_argument("--write", metavar="FILE.tsv", type=Path, help="write the table, and stop")
    arguments = parser.parse_args()
    table = pairs(300 if arguments.quick else arguments.texts, arguments.seed)
    if arguments.write:
        table.select("words", "digits").write_csv(arguments.write, separator="\t")
        return
    row = pl.int_range(pl.len())
    train, test = table.filter(row % 10 != 0), table.filter(row % 10 == 0)
    options = cr.sequence_to_text.SequenceToTextOptions(
        # Words are put together of few parts, also where these are written as one.
        target="digits", features=("words",), tokenizer="bpe", vocabulary=500,
        target_tokenizer="character", test=0.02, dropout=0.0, label_smoothing=0.0,
        seed=arguments.seed, minutes=arguments.minutes, threads=arguments.threads,
        hidden=(32,) if arguments.quick else (128, 128), lr=2e-3,
        epochs=1 if arguments.quick else arguments.epochs,
    )  # fmt: skip
    result = cr.sequence_to_text.train(train, options, say=print)
    with tempfile.TemporaryDirectory() as folder:
        result.save(Path(folder) / "model.safetensors")
        model = cr.sequence_to_text.load(Path(folder) / "model.safetensors")
    right = test.with_columns(right=model.predict(test)["prediction"] == test["digits"])
    for name in ("language", "kind"):
        by_name = right.group_by(name, maintain_order=True).agg(pl.col("right").mean())
        for value, fraction in by_name.rows():
            print(f"{value:10} exact match {fraction:.2%}")
    print(f"{'all':10} exact match {right['right'].mean():.2%}")


if __name__ == "__main__":
    main()
