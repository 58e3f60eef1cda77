from tune_sentiment.plain_text import bar, one_line, shortened, side_by_side


def test_text_is_shortened_by_columns() -> None:
    assert shortened("a lovely film", 8) == "a lovel…"
    assert shortened("a film", 8) == "a film"
    assert shortened("悪い映画", 5) == "悪い…"
    assert one_line(" a\tb\r\nc\x9bd ") == "a b c d"


def test_a_bar_of_something_is_never_invisible() -> None:
    assert bar(1.0, 10) == "█" * 10
    assert bar(0.55, 10) == "█████▌"
    assert bar(0.0001, 10) == "▏"
    assert bar(0.0, 10) == ""


def test_cells_stand_below_each_other_and_break_together() -> None:
    rows = [["[CLS]", "good", "film"], ["101", "7", "12345"]]
    assert side_by_side(["word", "id"], rows, 17) == [
        "word  [CLS] good",
        "id    101   7",
        "word  film",
        "id    12345",
    ]
