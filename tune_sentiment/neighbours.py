"""What a backbone makes of a text before any training, and which texts it holds for similar."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tune_sentiment.tokens import token_lengths, tokenise

if TYPE_CHECKING:
    from tune_sentiment.backbone import Backbone


@dataclass(frozen=True)
class Encoded:
    """What a backbone makes of one text before any training.

    Args:
        tokens: As the tokenizer names them, special tokens included.
        ids: Their numbers.
        attention_mask: 1 for each of them.
        shape: Of the last hidden states, ``(1, tokens, width)``.
        vector: The first token's, ``[width]``.
        num_cut: Tokens that the whole text has more.
    """

    tokens: list[str]
    ids: list[int]
    attention_mask: list[int]
    shape: tuple[int, ...]
    vector: npt.NDArray[np.float32]
    num_cut: int


def encode(backbone: "Backbone", texts: Sequence[str], max_length: int) -> list[Encoded]:
    """Each text by itself through tokenizer and encoder, truncated as in a search."""
    import torch

    tokenizer: Any = backbone.tokenizer()
    tokens = tokenise(backbone, texts, np.zeros(len(texts), dtype=np.int64), max_length)
    whole = token_lengths(backbone, texts)
    encoder = backbone.classifier(["0", "1"]).base_model.eval()
    made = []
    for item in range(len(texts)):
        batch = tokens.batch(np.array([item]))
        with torch.inference_mode():
            states = encoder(**batch).last_hidden_state
        ids = batch["input_ids"][0].tolist()
        made.append(
            Encoded(
                tokens=tokenizer.convert_ids_to_tokens(ids),
                ids=ids,
                attention_mask=batch["attention_mask"][0].tolist(),
                shape=tuple(states.shape),
                vector=states[0, 0].numpy(),
                num_cut=int(whole[item]) - len(ids),
            )
        )
    return made


def nearest(
    vector: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32], number: int
) -> list[tuple[int, float]]:
    """The rows of ``vectors`` that point most nearly where ``vector`` does.

    Args:
        vector: ``[width]``, not zero.
        vectors: ``[items, width]``, none zero.
        number: How many to find, ``>= 1``; all if there are fewer.

    Returns:
        Row numbers and cosine similarities in ``[-1, 1]``, the nearest first; of equal ones the
        first.
    """
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(vector)
    similarities = vectors @ vector / lengths
    order = np.argsort(-similarities, kind="stable")[:number]
    return [(int(item), float(similarities[item])) for item in order]
