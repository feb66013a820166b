"""What a licence allows, from its name as the Free Music Archive and others write it."""

import pandas as pd
import pytest

from genre_utils.datasets import licences

CC = "https://creativecommons.org/licenses"


@pytest.mark.parametrize(
    ("name", "changes", "link"),
    [
        ("Attribution", True, ""),
        ("Attribution 3.0 International", True, f"{CC}/by/3.0/"),
        ("Attribution-Noncommercial-Share Alike 3.0 United States", True, f"{CC}/by-nc-sa/3.0/us/"),
        ("Attribution-Noncommercial-Share Alike 2.5 UK: Scotland", True, ""),
        ("Creative Commons Attribution-NonCommercial-NoDerivatives 4.0", False, f"{CC}/by-nc-nd/4.0/"),
        (
            "Attribution-NonCommercial-NoDerivatives (aka Music Sharing) 3.0 International",
            False,
            f"{CC}/by-nc-nd/3.0/",
        ),
        ("Attribution-Noncommercial-No Derivative Works 3.0 Germany", False, f"{CC}/by-nc-nd/3.0/de/"),
        ("Attribution-NonCommercial-NoDerivs 2.5 Israel", False, ""),
        ("CC BY-NC-ND 4.0", False, f"{CC}/by-nc-nd/4.0/"),
        ("CC-BY-4.0", True, f"{CC}/by/4.0/"),
        ("cc by-sa", True, ""),
        ("http://creativecommons.org/licenses/by-nc-sa/3.0/us/", True, f"{CC}/by-nc-sa/3.0/us/"),
        ("CC0 1.0 Universal", True, "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("Public Domain Mark 1.0", True, "https://creativecommons.org/publicdomain/mark/1.0/"),
        ("FMA-Limited: Download Only", False, ""),
        ("Music Sharing", False, ""),
        ("Noncommercial Sampling Plus", False, ""),
        ("All Rights Reserved", False, ""),
        ("recorded by Bob", False, ""),
        ("by", False, ""),
        ("", False, ""),
        ("CC BY ND", False, ""),
        ("CC BY NC ND 4.0", False, f"{CC}/by-nc-nd/4.0/"),
        ("CC BY–ND 4.0", False, f"{CC}/by-nd/4.0/"),
        ("CC-BY_ND", False, ""),
        ("Attribution-NC-ND 4.0", False, f"{CC}/by-nc-nd/4.0/"),
        ("Attribution-NonDerivative", False, ""),
        ("Creative Commons BY 4.0", True, f"{CC}/by/4.0/"),
        ("By permission of the artist", False, ""),
        ("by arrangement with X", False, ""),
        ("Attribution required, all rights reserved", False, ""),
        ("Not public domain", False, ""),
    ],
)
def test_a_name_says_whether_changed_versions_may_be_passed_on(name, changes, link):
    assert licences.read(name) == (name, changes, link)


@pytest.mark.parametrize("name", ["by", "by-nc", "by-sa", "by-nd", "by-nc-sa", "by-nc-nd"])
@pytest.mark.parametrize("version", ["1.0", "2.0", "2.5", "3.0", "4.0"])
def test_a_link_is_read_as_itself(name, version):
    link = f"{CC}/{name}/{version}/"
    assert licences.read(link) == (link, "nd" not in name, link)


def test_without_any_licence_nothing_is_withheld_and_else_what_is_not_certain():
    names = pd.Series(["", "Attribution", "Attribution-NoDerivatives 4.0 International", "mine"], [4, 5, 6, 7])
    assert licences.withheld(names).to_dict() == {4: True, 5: False, 6: True, 7: True}
    assert not licences.withheld(pd.Series(["", ""])).any()
    assert len(licences.withheld(pd.Series([], dtype=str))) == 0


def test_licences_are_counted_the_most_frequent_first():
    table = licences.counted(pd.Series(["", "CC0", "Attribution", "CC0", ""]))
    assert table[["licence", "n"]].to_numpy().tolist() == [["CC0", 2], ["not stated", 2], ["Attribution", 1]]
    assert table["changes"].tolist() == [True, False, True]
    assert licences.counted(pd.Series(["", ""])).empty


def test_credits_name_who_made_what_under_which_licence():
    tracks = pd.DataFrame(
        {
            "track_id": ["1", "2", "3"],
            "artist": ["Ann", "", "Bob"],
            "title": ["Song", "", "Other"],
            "licence": ["Attribution", "CC0", "Attribution-NoDerivs"],
        }
    )
    assert licences.credits_of(tracks).to_dict() == {"1": "Ann, Song, Attribution", "2": "CC0"}
    assert licences.credits_of(tracks.drop(columns="licence")).to_dict() == {
        "1": "Ann, Song",
        "2": "unknown artist",
        "3": "Bob, Other",
    }
    assert licences.credits_of(tracks[:0]).empty
