"""Which letters beyond ASCII the languages of each legacy encoding use, the frequent ones first: what tells them apart.

Plain data. Orders follow the usual letter counts of each language; only their rough places matter.
"""

from typing import Final

_WESTERN = (
    "éèàêçâîôùûëïœ",  # French
    "äüößé",  # German
    "óáíéñúü",  # Spanish, Catalan
    "ãçáéíóõêâàúô",  # Portuguese
    "èàùòìé",  # Italian
    "äåöéøæ",  # Swedish, Finnish, Danish, Norwegian
    "áíðéöþúóýæ",  # Icelandic
    "éëïóèü",  # Dutch, English
)
_CENTRAL = (
    "łęąóżśćńź",  # Polish
    "áíéěýžčřšůúňóťď",  # Czech
    "áíéúčšžýľťôňäďóĺŕ",  # Slovak
    "áéöóőüíúű",  # Hungarian
    "ăîâşţ",  # Romanian
    "čšžćđ",  # Croatian, Slovene, Bosnian
    "äüöß",  # German
)
_CYRILLIC = (
    "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",  # Russian
    "оанивтерсклудмпязьгбйчхіжцшюєїщфґ",  # Ukrainian
    "аоеинтрсвлкдмпугзъяйчбхцжшщюфь",  # Bulgarian
    "аиоенрсјтукдвлмпгзбшчцљњжћхђфџ",  # Serbian
    "аніерыосткдлмпуцявзгбуўьйчшжёэюхф",  # Belarusian
)
_GREEK = ("αοιετσνηυρπκμλςωγδθίάόχέφήύβξώζψϊϋΐΰ",)
_TURKISH = ("ıüşğçöâîiû",)
_BALTIC = (
    "ąėšįžųūčę",  # Lithuanian
    "āīēšņūļžčģķ",  # Latvian
    "äõüöšž",  # Estonian
)
_HEBREW = ("יוהלאמרבתשנכדעקםפגחזטסןצךףץ",)
_ARABIC = (
    "اليمونرتبةدعسفهكقحجأشصىخطضغثإئزذءظؤآ",  # Arabic
    "ایرنمودهتبسشکزلخقعفگحپجطغصچضآظژثئ",  # Persian
)
_THAI = ("านรอกเงมยลวดทสตะปบคหแจพชขใไผโซถฟศษณ่้ัิีุูื์ำ็",)
_VIETNAMESE = ("đàáôưêâơăóíìúòéèùýã",)

OF_ENCODING: Final = {
    "cp1252": _WESTERN,
    "cp1250": _CENTRAL,
    "cp1251": _CYRILLIC,
    "cp1253": _GREEK,
    "cp1254": _TURKISH,
    "cp1255": _HEBREW,
    "cp1256": _ARABIC,
    "cp1257": _BALTIC,
    "cp1258": _VIETNAMESE,
    "cp874": _THAI,
    "koi8_r": _CYRILLIC,
    "koi8_u": _CYRILLIC,
    "iso8859_2": _CENTRAL,
    "iso8859_5": _CYRILLIC,
    "iso8859_7": _GREEK,
    "iso8859_9": _TURKISH,
    "iso8859_15": _WESTERN,
    "mac_roman": _WESTERN,
    "mac_cyrillic": _CYRILLIC,
    "cp866": _CYRILLIC,
    "cp852": _CENTRAL,
    "cp850": _WESTERN,
    "cp437": _WESTERN,
}
"""Single-byte encodings, the likelier first: of two that read the same, the earlier one is named."""
