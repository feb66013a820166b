"""What the licence of a track allows, from its name as collections write it; and the licences of many tracks."""

import re
from typing import NamedTuple

import pandas as pd

CREATIVE_COMMONS = "https://creativecommons.org"
# Versions for one country have a link of their own. Others have none here: a wrong link would be worse.
PORTS = {"united states": "us", "germany": "de", "france": "fr", "italy": "it", "spain": "es", "netherlands": "nl"}
NO_PORT = ("", "international", "generic", "unported")
NOT_STATED, UNKNOWN = "not stated", "unknown artist"
UNCERTAIN = ("reserved", "permission", "arrangement", "notpublic", "downloadonly")  # no free licence, whatever else


class Licence(NamedTuple):
    """What is known of a licence.

    Attributes
    ----------
    name : str
        As the collection writes it.
    changes : bool
        Whether it certainly allows to pass on changed versions, such as an excerpt that is compressed again. False for
        NoDerivatives, and for a licence that this module does not know.
    link : str
        URL of its text; "" if that is not certain.
    """

    name: str
    changes: bool
    link: str


def read(name: str) -> Licence:
    """Read the name of a licence.

    Parameters
    ----------
    name : str
        Such as ``Attribution-Noncommercial-Share Alike 3.0 United States``, ``CC BY-NC-ND 4.0`` or the URL of a
        Creative Commons licence.

    Returns
    -------
    Licence

    References
    ----------
    Creative Commons, https://creativecommons.org/licenses/list.en.
    """
    text = " ".join(name.lower().split())
    letters = re.sub(r"[^a-z0-9]", "", text)
    joined = re.sub(r"[^a-z0-9.]+", "-", text).strip("-")  # cc-by-nc-4.0, licenses-by-nc-3.0-us
    if any(word in letters for word in UNCERTAIN):
        return Licence(name, False, "")
    if "cc0" in letters or "publicdomainzero" in letters:
        return Licence(name, True, f"{CREATIVE_COMMONS}/publicdomain/zero/1.0/")
    if "publicdomain" in letters:
        return Licence(name, True, f"{CREATIVE_COMMONS}/publicdomain/mark/1.0/")
    found = re.search(r"(?:licenses-|^cc-|^creative-commons-|^)by((?:-nc|-sa|-nd)*)(?:-[1-4]\.[05][a-z-]*)?$", joined)
    short = found is not None and joined != "by"
    if not short and not re.match(r"(creative commons )?attribution\b", text):
        return Licence(name, False, "")
    tokens = set(joined.split("-"))
    parts = {
        "nc": "noncom" in letters or "nc" in tokens,
        "nd": bool(re.search(r"non?deriv", letters)) or "musicsharing" in letters or "nd" in tokens,
        "sa": "sharealike" in letters or "sa" in tokens,
    }
    code = "-".join(["by", *(part for part, there in parts.items() if there)])
    version = re.search(r"\b([1-4]\.[05])\b[\s/]*([a-z: ]*)", text)
    where = version[2].strip() if version else "?"
    port = "" if where in NO_PORT else PORTS.get(where, where if where in PORTS.values() else None)
    link = "" if port is None or version is None else f"{CREATIVE_COMMONS}/licenses/{code}/{version[1]}/"
    return Licence(name, not parts["nd"], link + (f"{port}/" if port and link else ""))


def withheld(names: pd.Series) -> pd.Series:
    """Whose sound must not be in a page that is passed on.

    Parameters
    ----------
    names : pd.Series of str
        The licence of each track; "" if it is not stated.

    Returns
    -------
    pd.Series of bool
        True unless the licence certainly allows changed versions; False for all if no licence is stated at all, as in
        a folder of one's own.
    """
    allowed = {name: read(name).changes for name in names.unique()}
    return ~names.map(allowed).astype(bool) & bool((names != "").any())


def counted(names: pd.Series) -> pd.DataFrame:
    """The licences of some tracks, the most frequent first.

    Parameters
    ----------
    names : pd.Series of str
        The licence of each track; "" if it is not stated.

    Returns
    -------
    pd.DataFrame [columns=licence, link, changes, n]
        Empty if no licence is stated at all.
    """
    known = names if (names != "").any() else names[:0]
    found = [(read(name), int(n)) for name, n in known.value_counts().items()]
    rows = [(one.name or NOT_STATED, one.link, one.changes, n) for one, n in found]
    table = pd.DataFrame(rows, columns=["licence", "link", "changes", "n"])
    return table.sort_values(["n", "licence"], ascending=[False, True], ignore_index=True)


def credits_of(tracks: pd.DataFrame) -> pd.Series:
    """Artist, title and licence of the tracks whose sound may be passed on, as in a notebook that plays it.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog.

    Returns
    -------
    pd.Series of str [index=track_id]
        What is known of the three, or "unknown artist"; without the tracks that :func:`withheld` names.

    References
    ----------
    Notebook: 01_eda, 04_evaluation, 07_transfer.
    """
    texts = tracks.set_index("track_id").reindex(columns=["artist", "title", "licence"], fill_value="")
    shown = texts[~withheld(texts["licence"])]
    return shown.apply(lambda row: ", ".join(filter(None, row)) or UNKNOWN, axis=1, result_type="reduce").astype(str)
