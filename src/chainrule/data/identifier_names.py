"""What the name of a column says of integers in it: they count rows, name things, or are codes.

Names are compared in lower case, without accents, their words joined by ``_``: ``lfd. Nr.`` is
``lfd_nr``, ``StoreID`` is ``store_id``, ``N° client`` and ``# client`` are ``no_client``.
"""

from __future__ import annotations

import re
import unicodedata

#: Letters that Unicode does not take apart.
_PLAIN = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "ı": "i", "ß": "ss"})
_IDENTIFIER = re.compile(
    r"(?:^|_)(?:id|ids|uid|uuid|guid|key|pk|rowid|rownames|identifier)$|^id_"
    r"|^(?:row|unnamed_0|column_1)$|^(?:row|record|observation|obs|line|serial|sample)_"
    r"(?:no|nr|num|number|index|id)$"
    r"|^(?:customer|user|client|order|product|item|store|passenger|transaction|session|employee"
    r"|patient|student|account|device|record|house|object)id$"
    # The same in other languages, and the numbers that states give to people and firms.
    r"|^(?:matricule|matricola|matricula|kennung|kennziffer|aktenzeichen|identifiant|identificador"
    r"|identificativo|identificatore|identyfikator|идентификатор|артикул|folio|ssn|nif|dni|cpf"
    r"|cnpj|siret|siren|инн|снилс)(?:_|$)"
)
#: The word for number, also as abbreviated; where it stands for an amount, a plural follows.
_NUMBER = (
    r"(?:no|nr|num|nro|number|nummer|numero|numer|nombor|cislo|broj|stevilka|sorszam|sira_no|номер"
    r"|nmr|رقم)"
)
_ENTITY_NUMBER = re.compile(
    rf"^\w+_{_NUMBER}$"  # customer_no, lfd_nr
    rf"|^{_NUMBER}_(?:(?:de|del|do|da|du|d|de_la|des)_)?(?!of_|von_|di_)[^\W_]*[^\W_s]$"
    rf"|^\w{{3,}}(?:nummer|nr|numer|sorszam|szam)$"  # kundennummer
    r"|(?:编号|序号|号码|番号|번호|เลขที่)$"
    rf"|^{_NUMBER}_п_п$"
)
#: Names of counters, which may be quantities, too: the number of something, an index.
_COUNTER = re.compile(
    rf"^(?:{_NUMBER}|index|idx|n|counter|count_no|seq|sequence|ord|pos|lp|п_п|progressivo|orden"
    r"|ordem|sira|rekord)$"
)
_CODE = re.compile(
    r"(?:^|_)(?:zip|zipcode|postcode|postalcode|plz|code|fips|naics|sic|icd|cpt|sku|ean|upc|isbn"
    r"|type|kind|category|region|district|segment|cluster|department|dept)$"
)
_NUMBERED = re.compile(rf"^{_NUMBER}$")


def words_of_name(name: str) -> str:
    """The name in lower case, without accents, with its words joined by ``_``.

    Example:
        >>> [words_of_name(name) for name in ("StoreID", "lfd. Nr.", "Numéro", "N° client", "№")]
        ['store_id', 'lfd_nr', 'numero', 'no_client', 'no']
    """
    signs = re.sub(r"\b[nN]\s?[°º]", " no ", name).replace("#", " no ").translate(_PLAIN)
    apart = unicodedata.normalize("NFKD", signs.replace("№", " no "))
    plain = "".join(letter for letter in apart if unicodedata.category(letter) != "Mn")
    plain = unicodedata.normalize("NFC", plain)
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+|\d+", plain)
    return "_".join(part.lower() for part in parts)


def names_things(words: str) -> bool:
    """Does the name say that the values are identifiers?

    Example:
        >>> [names_things(words) for words in ("store_id", "id_client", "matricule", "humid")]
        [True, True, True, False]
    """
    return bool(_IDENTIFIER.search(words))


def is_code(words: str) -> bool:
    """Does the name say that the values are codes of something?"""
    return bool(_CODE.search(words))


def counts_something(words: str) -> bool:
    """Does the name say that the values count rows or things? They may be quantities, too.

    Example:
        >>> [counts_something(words) for words in ("lfd_nr", "index", "no_of_rooms", "rooms")]
        [True, True, False, False]
    """
    return bool(_COUNTER.search(words)) or numbers_things(words)


def numbers_things(words: str) -> bool:
    """Does the name say that the values are the numbers of things, such as customers?

    Example:
        >>> names = ("kunde_nr", "kundennummer", "no_client", "numero_de_serie", "номер_клиента")
        >>> all(map(numbers_things, names))
        True
        >>> [numbers_things(words) for words in ("n", "index", "num_rooms", "numero_de_pisos")]
        [False, False, False, False]
    """
    return bool(_NUMBERED.search(words)) or bool(_ENTITY_NUMBER.search(words))
