"""Uploading a winner to the Hugging Face hub: the model, its tokenizer and its card."""

from pathlib import Path
from typing import TYPE_CHECKING

from tune_sentiment.errors import StartError, UsageError
from tune_sentiment.patience import UPLOAD_FACTOR, Patience, limited
from tune_sentiment.predictor import winner_folder

if TYPE_CHECKING:
    from huggingface_hub import HfApi, RepoUrl

CARD = "README.md"


def push(study: Path, repo_id: str, *, is_private: bool) -> str:
    """Upload a study's winner, and return its address.

    The token is the one that ``hf auth login`` or ``HF_TOKEN`` gave; nothing here reads it.

    Args:
        study: A study's folder, or a winner's.
        repo_id: ``name`` or ``owner/name``; made if it is not there.
        is_private: Whether a new repository is seen by its owner only.

    Raises:
        UsageError: If there is no winner, or the name is not one that the hub takes.
        StartError: If the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    folder = winner_folder(study)
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise UsageError(f"--push wants NAME or OWNER/NAME, got '{repo_id}'") from error
    patience = Patience()
    try:
        with limited(patience, UPLOAD_FACTOR):
            made = _uploaded(HfApi(), folder, repo_id, is_private=is_private)
    except Exception as error:  # the libraries behind this raise dozens of classes
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = patience.ended or _reason(error, status)
        raise StartError(f"{constants.ENDPOINT} {reason}") from error
    return str(made)


def _uploaded(api: "HfApi", folder: Path, repo_id: str, *, is_private: bool) -> "RepoUrl":
    made = api.create_repo(repo_id, private=is_private, exist_ok=True)
    api.upload_folder(
        repo_id=made.repo_id,
        folder_path=folder,
        ignore_patterns=CARD,
        commit_message="Upload a study's winner",
    )
    if (folder / CARD).exists():
        card = (folder / CARD).read_text(encoding="utf-8")
        card = card.replace('model="winner"', f'model="{made.repo_id}"')
        api.upload_file(repo_id=made.repo_id, path_in_repo=CARD, path_or_fileobj=card.encode())
    return made


def _reason(error: Exception, status: int | None) -> str:
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if status in (401, 403):
        return f"refuses ({status}): log in with hf auth login, or set HF_TOKEN"
    return f"refuses ({status}): {first}" if status else f"did not take the winner: {first}"
