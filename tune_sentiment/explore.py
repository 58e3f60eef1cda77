"""``python -m tune_sentiment.explore``: look at the texts before any search.

Prints counts, lengths, repeated texts and samples, and what the backbone makes of a given text.
Texts of the test split are never shown: of them only counts and hashes are known here.
"""

import argparse
import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tune_sentiment.config import StudyConfig
from tune_sentiment.data import MIRROR_VARIABLE, load_train_val, mirror_folder
from tune_sentiment.datasets_table import dataset_named
from tune_sentiment.environment import set_environment
from tune_sentiment.errors import StartError, TuneSentimentError, UsageError, ended_by
from tune_sentiment.labels import has_surrogates
from tune_sentiment.methods import BASELINE
from tune_sentiment.options import Parser, add_option, columns_from
from tune_sentiment.paths import is_folder, user_path
from tune_sentiment.progress import say
from tune_sentiment.splits import Split, stratified_subset, take

if TYPE_CHECKING:
    import numpy.typing as npt

    from tune_sentiment.source import Source

SEARCHED_TEXTS = 2_000  # half a minute of MiniLM on two cores
SHOWN_NEAREST = 5
EPILOG = f"""examples:
  python -m tune_sentiment.explore --dataset rotten_tomatoes
  python -m tune_sentiment.explore --dataset feelings.tsv --model minilm --figure lengths.png
  python -m tune_sentiment.explore --dataset demo --model minilm --text "a gorgeous, witty film"

Exit codes: 0 all was printed, 2 bad usage, 3 cannot start.
Named datasets are looked for in --data-dir or ${MIRROR_VARIABLE} before the hub is asked."""


def build_parser() -> Parser:
    """The command line; it shares its options with ``run_search.py``."""
    parser = Parser(
        prog="python -m tune_sentiment.explore",
        description="Look at a dataset, and at texts through a backbone, before any search.",
        epilog=EPILOG,
    )
    what = parser.add_argument_group("what")
    add_option(what, "--dataset", required=True)
    for flag in ("--text-column", "--label-column", "--drop-empty", "--encoding", "--model"):
        add_option(what, flag)
    what.add_argument(
        "--text", action="append", default=[], help="show its tokens and its nearest neighbours"
    )
    much = parser.add_argument_group("how much")
    searched = f"training texts that --text is compared with (default: {SEARCHED_TEXTS:,} or all)"
    add_option(much, "--train-samples", help=searched)
    add_option(much, "--max-length")
    add_option(much, "--seed", help="of splits that are cut, and of samples")
    where = parser.add_argument_group("where")
    add_option(where, "--data-dir")
    where.add_argument("--figure", metavar="FILE.png", help="draw the lengths, too")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    set_environment()
    args = build_parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # texts may hold what the terminal cannot show
    try:
        for number, block in enumerate(blocks(args)):
            print(block if number == 0 else f"\n{block}", flush=True)
    except TuneSentimentError as error:
        return ended_by(error)
    except BrokenPipeError:  # whoever read has seen enough; Python would write once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def blocks(args: argparse.Namespace) -> Iterator[str]:
    """What the command prints, block by block, each as soon as it is known.

    Raises:
        UsageError: If a value is wrong.
        StartError: If data or model cannot be had, or the figure cannot be written.
    """
    asked = ("dataset", "model", "train_samples", "max_length", "seed")
    config = StudyConfig(method=BASELINE, **{name: getattr(args, name) for name in asked})
    for text in args.text:
        if not text.strip() or has_surrogates(text):
            raise UsageError(f"--text wants a text, got {text!a}")
    figure = None if args.figure is None else _figure_path(args.figure)
    mirror = mirror_folder(args.data_dir)
    spec = dataset_named(config.dataset, columns_from(args))

    from tune_sentiment.source import Source

    wants_gpu = bool(args.text)
    source = Source.find(spec, config.model, mirror=mirror, seed=config.seed, wants_gpu=wants_gpu)
    train, validation = load_train_val(
        spec, mirror=mirror, train_samples=None, seed=config.seed, planned=source.splits
    )
    searched = searched_subset(train, config.train_samples, config.seed)
    yield from _dataset_blocks(source, config, {"train": train, "validation": validation}, figure)
    if args.text:
        yield from _text_blocks(source, config, searched, args.text)


def _dataset_blocks(
    source: "Source", config: StudyConfig, splits: dict[str, Split], figure: Path | None
) -> Iterator[str]:
    from tune_sentiment import overview_text as shown
    from tune_sentiment.tokens import readable_length, token_lengths

    spec, backbone, train = source.dataset, source.backbone, splits["train"]
    dropped = max(summary.dropped for summary in source.splits.values())
    left_out = f"; rows without a text left out of a file: {dropped:,}" if dropped else ""
    yield f"{spec.name} (splits: {spec.split.name}{left_out})"
    yield shown.counts_block(spec.classes, source.splits)
    yield "Texts are the same if their letters and digits are. Of test there are counts only."
    yield shown.repeated_block(train, spec.classes)
    limit = readable_length(backbone, backbone.tokenizer(), config.max_length)
    lengths = {name: token_lengths(backbone, split.texts) for name, split in splits.items()}
    why = f", all that {backbone.name} reads" if limit < config.max_length else ""
    table = shown.lengths_block(lengths, limit, backbone.name)
    yield f"{table}\nLonger texts are cut to {limit:,}{why}."
    yield f"Training texts by tokens:\n{shown.histogram_block(lengths['train'])}"
    if figure is not None:
        _draw(lengths["train"], f"{spec.name}: training texts by tokens ({backbone.name})", figure)
        yield f"Figure: {figure}"
    samples = shown.samples_block(train, spec.classes, config.seed)
    yield f"Training texts at random (--seed {config.seed}):\n{samples}"


def _text_blocks(
    source: "Source", config: StudyConfig, searched: Split, texts: Sequence[str]
) -> Iterator[str]:
    from tune_sentiment import overview_text as shown
    from tune_sentiment.features import cached_features, frozen_features
    from tune_sentiment.neighbours import encode, nearest
    from tune_sentiment.tokens import tokenise

    backbone, classes = source.backbone, source.dataset.classes
    num_train = source.splits["train"].rows
    tokens = tokenise(backbone, searched.texts, searched.labels, config.max_length)
    if cached_features(backbone, tokens) is None:
        say(f"reading {len(searched):,} training texts with {backbone.name}, kept for next time")
    vectors = frozen_features(backbone, tokens, source.device).pooled["cls"]
    for text, found in zip(texts, encode(backbone, texts, config.max_length), strict=True):
        near = nearest(found.vector, vectors, SHOWN_NEAREST)
        yield (
            f"{shown.quoted(text)}\n{shown.encoded_block(found)}\n"
            f"  nearest of {len(searched):,} of {num_train:,} training texts (--train-samples):\n"
            f"{shown.neighbours_block(near, searched, classes)}"
        )
    state = f"{backbone.name}'s last hidden state of the first token"
    yield f"Nearest by the cosine of frozen [CLS] vectors: {state}."


def searched_subset(train: Split, size: int | None, seed: int) -> Split:
    """The training texts that others are compared with: those of a search of the same size.

    Args:
        train: All of them.
        size: As it was asked for; ``None`` for SEARCHED_TEXTS, or all if there are fewer.
        seed: Of the choice.

    Raises:
        UsageError: If a size that was asked for cannot be had.
    """
    if size is not None or len(train) <= SEARCHED_TEXTS:
        return stratified_subset(train, size, seed)
    try:
        return stratified_subset(train, SEARCHED_TEXTS, seed)
    except UsageError:  # a class too rare to be stratified, in a size that nobody asked for
        random = np.random.default_rng(seed)
        return take(train, np.sort(random.choice(len(train), SEARCHED_TEXTS, replace=False)))


def _figure_path(named: str) -> Path:
    path = user_path(named)
    if path.suffix.lower() != ".png":
        raise UsageError(f"--figure wants a name that ends in .png, got '{named}'")
    if is_folder(path) or not is_folder(path.absolute().parent):
        raise UsageError(f"--figure {named}: {'a folder' if is_folder(path) else 'no such folder'}")
    return path


def _draw(lengths: "npt.NDArray[np.int64]", title: str, path: Path) -> None:
    from tune_sentiment.overview import draw_lengths

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of letters in a name that the font does not have
            draw_lengths(lengths, title).savefig(path, dpi=150)
    except OSError as error:
        raise StartError(f"cannot write {path}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
