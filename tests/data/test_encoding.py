"""Tables in the world's older encodings are read as they were written."""

from pathlib import Path

import pytest

from chainrule.data import read_table
from chainrule.data.table_scan import TableScan

RUSSIAN = "город,темп,ответ\nМосква,5,да\nКазань,4,нет\nТомск,3,да\nУфа,1,нет\n"
GERMAN = "name,stadt,größe\nMüller,Köln,groß\nSchäfer,Düsseldorf,übergroß\nWeiß,Nürnberg,klein\n"
FRENCH = "nom,ville\nHélène,Orléans\nFrançois,Besançon\nAgnès,Nîmes\n"
POLISH = "imię,miasto\nŁukasz,Łódź\nPaweł,Kraków\nGrażyna,Gdańsk\nŚwiętosław,Wrocław\n"
JAPANESE = "都市,答え\n東京,はい\n大阪,いいえ\n名古屋,はい\n札幌,いいえ\n"
TABLES = [
    ("cp1252", GERMAN),
    ("cp1252", FRENCH),
    ("cp1252", "nombre,ciudad\nMuñoz,Málaga\nJosé,Córdoba\nGarcía,León\n"),
    ("cp1252", "nome,cidade\nJoão,São Paulo\nConceição,Brasília\n"),
    ("cp1252", "navn,by\nBjørn,Tromsø\nÅse,Ålesund\nKjær,Århus\n"),
    ("cp1252", "nafn,bær\nÞórður,Reykjavík\nGuðrún,Akranes\nSigríður,Ísafjörður\n"),
    ("cp1252", "city,x\nZürich,1\nMálaga,2\nSão Paulo,3\nKøbenhavn,4\nOrléans,5\n"),
    ("cp1252", "a,b\ncafé,1\ntea,2\n"),
    ("cp1252", "t,unit\n5,°C\n7,°C\n"),
    ("cp1252", "price,b\n5 €,1\n7 €,“a” – b\n"),
    ("cp1250", POLISH),
    ("cp1250", "jméno,město\nJiří,Plzeň\nVěra,Břeclav\nTomáš,České Budějovice\nŽofie,Přerov\n"),
    ("cp1250", "név,város\nGyőző,Győr\nLászló,Székesfehérvár\nEmőke,Hódmezővásárhely\n"),
    ("cp1250", "nume,oraş\nŞtefan,Bucureşti\nIonuţ,Constanţa\nCătălina,Timişoara\n"),
    ("cp1254", "ad,şehir\nAyşe,İstanbul\nOğuz,Eskişehir\nÇağlar,Diyarbakır\nGülşen,Muğla\n"),
    ("cp1257", "vardas,miestas\nŽydrūnas,Šiauliai\nEglė,Klaipėda\nRūta,Panevėžys\n"),
    ("cp1251", RUSSIAN),
    ("cp1251", RUSSIAN.upper()),
    ("cp1251", "місто,відповідь\nКиїв,так\nЛьвів,ні\nЧернігів,так\nЄвпаторія,ні\n"),
    ("cp1251", "град,одговор\nБеоград,да\nЊегуши,не\nЋуприја,да\nЉубљана,не\n"),
    ("koi8-r", RUSSIAN),
    ("cp866", RUSSIAN),
    ("iso8859-5", RUSSIAN),
    ("cp1253", "πόλη,απάντηση\nΑθήνα,ναι\nΘεσσαλονίκη,όχι\nΠάτρα,ναι\nΗράκλειο,όχι\n"),
    ("cp1255", "עיר,תשובה\nירושלים,כן\nחיפה,לא\nתל אביב,כן\nבאר שבע,לא\n"),
    ("cp1256", "مدينة,جواب\nالقاهرة,نعم\nبغداد,لا\nدمشق,نعم\nالرياض,لا\n"),
    ("cp850", GERMAN),
    ("cp850", FRENCH),
    ("cp852", POLISH),
    ("mac-roman", GERMAN),
    ("cp932", JAPANESE),
    ("euc-jp", JAPANESE),
    ("gb18030", "城市,回答\n北京,是\n上海,不是\n广州,是\n深圳,不是\n"),
    ("big5", "城市,回答\n臺北,是\n高雄,不是\n臺中,是\n臺南,不是\n"),
    ("cp949", "도시,대답\n서울,예\n부산,아니오\n대구,예\n인천,아니오\n"),
]


@pytest.mark.parametrize(("encoding", "text"), TABLES)
def test_the_encoding_is_found(tmp_path: Path, encoding: str, text: str) -> None:
    expected = read_table(text.encode())
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    notes: list[str] = []
    assert read_table(path, notes=notes).equals(expected)
    assert "not UTF-8" in notes[0]
    scan = TableScan(path)
    assert next(scan.parts()).equals(expected)
    assert "not UTF-8" in scan.notes[0]


def test_what_is_valid_at_first_need_not_be_at_last() -> None:
    """Windows-1251 has no character 0x98, so the whole text cannot be in it."""
    notes: list[str] = []
    text = RUSSIAN.encode("cp1251") + b"a,1,\x98\n"
    assert read_table(text, notes=notes).height == 5
    assert "1251" not in notes[0]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("iso8859-2", "miasto,płeć\nŁódź,kobieta\nKraków,mężczyzna\nPoznań,śląsk\n"),
        ("iso8859-15", "ville,prix\nNîmes,5 €\nOrléans,7 €\n"),
        ("koi8-u", "місто,дохід\nКиїв,1\nЛьвів,2\nХарків,3\nЗапоріжжя,4\n"),
        ("cp1254", "şehir,değer\nİstanbul,1\nİzmir,2\nEskişehir,3\nAğrı,4\n"),
        ("cp874", "เมือง,ราคา\nกรุงเทพ,1\nเชียงใหม่,2\nภูเก็ต,3\n"),
        ("mac_cyrillic", "город,доход\nМосква,1\nКазань,2\nПермь,3\n"),
        ("iso2022_jp", "都市,価格\n東京,1\n大阪,2\n名古屋,3\n"),
        ("utf-16-le", "город,доход\nМосква,1\nКазань,2\nПермь,3\n"),
        ("utf-16-be", "城市,价格\n北京,1\n上海,2\n广州,3\n"),
        ("utf-32-le", "a,ж\n1,ы\n"),
    ],
)
def test_encodings_of_few_letters_and_without_a_mark(encoding: str, text: str) -> None:
    notes: list[str] = []
    found = read_table(text.encode(encoding), notes=notes)
    assert found.equals(read_table(text.encode()))
    assert "read as" in notes[0]
    assert read_table(text.encode(encoding), encoding=encoding).equals(found)
