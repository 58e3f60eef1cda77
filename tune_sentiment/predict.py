"""``python -m tune_sentiment.predict STUDY TEXT…``: classify texts with a study's winner.

Texts come from the command line, from stdin (one a line), or from a column of a csv or tsv file.
"""

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from tune_sentiment.columns import TEXT_COLUMNS, Columns, find_column
from tune_sentiment.durable import write_text
from tune_sentiment.environment import set_environment
from tune_sentiment.errors import StartError, TuneSentimentError, UsageError, ended_by
from tune_sentiment.labels import has_surrogates
from tune_sentiment.options import Parser, add_option
from tune_sentiment.paths import is_folder, is_same, user_path
from tune_sentiment.places import winner_at
from tune_sentiment.plain_text import one_line
from tune_sentiment.reader import Table, read_table

if TYPE_CHECKING:
    from tune_sentiment.predictor import Predictor

EPILOG = """examples:
  python -m tune_sentiment.predict results/STUDY "a gorgeous, witty film"
  python -m tune_sentiment.predict results/STUDY < sentences.txt
  python -m tune_sentiment.predict results/STUDY --file reviews.csv --output classified.csv
  python -m tune_sentiment.predict results/STUDY --push my-name/my-model

With --file every column stays, and 'predicted' and 'probability' (of svm: 'decision_value') follow;
cells that a spreadsheet would take for a formula get an apostrophe in front."""
FORMULA = tuple("=+-@＝＋－＠\t\r\n")  # how a spreadsheet's formula may begin
SHOWN_TEXTS = 256  # lines of stdin that are read before their answers are printed


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog="python -m tune_sentiment.predict",
        description="Classify texts with a study's winner.",
        epilog=EPILOG,
    )
    parser.add_argument("study", help="a study's folder, or a winner's")
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="default: the lines of stdin")
    parser.add_argument("--file", help="classify a column of this csv or tsv instead")
    add_option(parser, "--text-column", help="of --file (default: found)")
    add_option(parser, "--encoding", help="of --file")
    parser.add_argument("--output", help="csv to write (default: stdout)")
    parser.add_argument(
        "--push", metavar="REPO_ID", help="upload the winner to the Hugging Face hub instead"
    )
    parser.add_argument(
        "--public", action="store_true", help="of --push: let everybody see it (default: private)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    set_environment()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # texts may hold what the terminal cannot show
    args = build_parser().parse_args(argv)
    try:
        _check(args)
        if args.push:
            from tune_sentiment.push import push

            print(push(winner_at(args.study), args.push, is_private=not args.public))
        elif args.file:
            _classify_file(args)
        else:
            _classify_lines(args)
    except TuneSentimentError as error:
        return ended_by(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # of a pipe into head: nobody reads on
        sys.stderr.close()
        return 0
    return 0


def _check(args: argparse.Namespace) -> None:
    if sum(map(bool, (args.texts, args.file, args.push))) > 1:
        raise UsageError("texts, --file and --push exclude one another")
    if any(map(has_surrogates, args.texts)):
        raise UsageError("a text is not utf-8")
    if args.output and user_path(args.output).suffix.lower() != ".csv":
        raise UsageError(f"--output wants a .csv file, got '{args.output}'")
    if args.output and args.file and is_same(user_path(args.output), user_path(args.file)):
        raise UsageError(f"--output {args.output} would overwrite --file")
    if args.output and is_folder(user_path(args.output)):
        raise UsageError(f"--output {args.output} is a folder")
    if (args.output or args.text_column) and not args.file:
        raise UsageError("--output and --text-column belong to --file")
    if args.public and not args.push:
        raise UsageError("--public belongs to --push")
    if not (args.texts or args.file or args.push) and sys.stdin.isatty():
        raise UsageError("no text: name one, a --file, or pipe lines into stdin (see --help)")


def _load(args: argparse.Namespace) -> "Predictor":
    from tune_sentiment.predictor import load_winner

    return load_winner(winner_at(args.study))


def _classify_lines(args: argparse.Namespace) -> None:
    """Print class, score and text of each text, as soon as some are known."""
    lines = iter(args.texts or _lines(sys.stdin.buffer))
    predictor = _load(args)
    names = [one_line(name) for name in predictor.classes]
    width = max(map(len, names))
    while texts := list(islice(lines, SHOWN_TEXTS)):
        scores = predictor.scores(texts)
        for text, row in zip(texts, scores, strict=True):
            chosen = int(row.argmax())
            print(f"{names[chosen]:<{width}}  {row[chosen]:.3f}  {one_line(text)}")


def _lines(stream: Any) -> Iterator[str]:
    """The lines that are not blank.

    Raises:
        UsageError: If one is not UTF-8.
    """
    for number, line in enumerate(stream, start=1):
        try:
            text = line.decode("utf-8").removeprefix("\ufeff" if number == 1 else "")
        except UnicodeDecodeError as error:
            raise UsageError(f"stdin line {number}: not utf-8") from error
        if text.strip():
            yield text.strip()


def _classify_file(args: argparse.Namespace) -> None:
    path = user_path(args.file)
    columns = Columns(text=args.text_column, encoding=args.encoding)
    table = read_table(path, columns.encoding)
    place = find_column(path, table.header, "text", columns.text, TEXT_COLUMNS)
    predictor = _load(args)
    score = "probability" if predictor.has_probabilities else "decision_value"
    for name in ("predicted", score):
        if name in table.header:
            raise UsageError(f"{path}: has a column '{name}' already; rename it first")
    answers = _answers(predictor, [row[place] for row in table.rows])
    content = _csv(table, ["predicted", score], answers)
    if args.output is None:
        sys.stdout.write(content)
        return
    try:
        write_text(user_path(args.output), content)
    except OSError as error:
        raise StartError(f"cannot write {args.output}: {error.strerror}") from error
    blank = sum(not answer[0] for answer in answers)
    left_out = f"; {blank:,} without a text were left blank" if blank else ""
    print(f"{args.output}: {len(answers):,} rows{left_out}", file=sys.stderr)


def _answers(predictor: "Predictor", texts: Sequence[str]) -> list[tuple[str, str]]:
    """Class and score of each text as they are written; empty for a blank one."""
    from rich.console import Console
    from rich.progress import track

    from tune_sentiment.predictor import CHUNK_TEXTS

    made = [("", "")] * len(texts)
    given = [place for place, text in enumerate(texts) if text.strip()]
    parts = [given[start : start + CHUNK_TEXTS] for start in range(0, len(given), CHUNK_TEXTS)]
    console = Console(stderr=True)
    for part in track(parts, "classifying", console=console, disable=not console.is_terminal):
        for place, row in zip(part, predictor.scores([texts[i] for i in part]), strict=True):
            chosen = int(row.argmax())
            made[place] = predictor.classes[chosen], f"{row[chosen]:.6g}"
    return made


def _csv(table: Table, names: Sequence[str], answers: Sequence[tuple[str, str]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)  # its own line ends: a lone carriage return is quoted then
    writer.writerow([plain_cell(cell) for cell in (*table.header, *names)])
    for row, (label, score) in zip(table.rows, answers, strict=True):
        writer.writerow([*(plain_cell(cell) for cell in (*row, label)), score])
    return text.getvalue()


def plain_cell(cell: str) -> str:
    """The cell as a spreadsheet takes it for a text or a number, never for a formula."""
    if not cell.startswith(FORMULA) and not cell.strip().startswith(FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


if __name__ == "__main__":
    sys.exit(main())
