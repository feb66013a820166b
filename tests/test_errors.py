from genre_utils.errors import NAMED, by_reason


def test_files_are_grouped_by_reason_the_most_frequent_first():
    reasons = [
        "holds 3.00 s; one needs 5.00 s.",
        "is silent.",
        "holds 0.50 s; one needs 5.00 s.",
        "holds 12.00 s; one needs 5.00 s.",
    ]
    assert by_reason(["a", "b", "c", "d"], reasons) == [
        "a, c, d: holds 0.50 to 12.00 s; one needs 5.00 s.",
        "b: is silent.",
    ]
    assert by_reason([], []) == []


def test_ten_files_are_all_named_whatever_their_reasons():
    for kinds in (1, 3, 10):
        names = [f"track {chr(97 + number)}" for number in range(NAMED)]
        lines = by_reason(names, [f"reason {'x' * (number % kinds)}" for number in range(NAMED)], "all.csv")
        assert len(lines) == kinds
        assert sorted(name for line in lines for name in line.split(":")[0].split(", ")) == names


def test_five_thousand_missing_files_are_one_line_and_where_the_list_is():
    names = [f"{number:04}.mp3" for number in range(5_000)]
    lines = by_reason(names, ["cannot be read (No such file)"] * 5_000, "runs/x/left_out.csv")
    assert lines == [
        f"{', '.join(names[:10])} and 4,990 more: cannot be read (No such file)",
        "All of them: runs/x/left_out.csv",
    ]


def test_reasons_too_are_counted_and_nothing_gets_lost():
    kinds = ["x" * number for number in range(1, 31)]
    lines = by_reason([f"t{number}" for number in range(60)], kinds * 2, "all.csv")
    assert len(lines) == NAMED + 2
    assert lines[-2:] == ["40 more, for 20 other reasons", "All of them: all.csv"]
