"""A Ray session, and what is shared through its object store: tokens and features, made once."""

import logging
import os
import secrets
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from tune_sentiment.backbone import Backbone
from tune_sentiment.config import LOCAL, Resources
from tune_sentiment.environment import set_environment
from tune_sentiment.errors import StartError
from tune_sentiment.failures import reason
from tune_sentiment.hub import go_offline
from tune_sentiment.machines import whole_node
from tune_sentiment.memory import release_memory
from tune_sentiment.methods import Method
from tune_sentiment.nodes import check_reached, runtime_env
from tune_sentiment.signals import listen
from tune_sentiment.slots import Slots
from tune_sentiment.splits import Split

if TYPE_CHECKING:
    from tune_sentiment.tokens import Tokens

OBJECT_STORE_BYTES = 1 << 30


@contextmanager
def ray_session(resources: Resources) -> Generator[None, None, None]:
    """A Ray for the time of the body: an own one on this machine, or a running cluster.

    Workers of our own inherit what is set here; those of a cluster are brought it, and our code.

    Raises:
        StartError: If the cluster cannot be joined.
    """
    set_environment()
    go_offline()  # model and data were found before
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if resources.address == LOCAL:
            _keep_private()
            ray.init(
                address=LOCAL,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                **quiet,
            )
        else:
            check_reached(resources.address)
            ray.init(address=resources.address, runtime_env=runtime_env(), **quiet)
    except StartError:
        raise
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StartError(f"Ray does not start at '{resources.address}': {first}") from error
    listen()  # again: Ray has put a handler of its own in place
    try:
        yield
    finally:
        ray.shutdown()


def _keep_private() -> None:
    """Give a Ray of our own a token and a folder that no other user of this machine can read.

    Ray would write its token to the home folder with the umask's mode, and its logs and sockets
    below ``/tmp/ray``, where everybody may write.

    Raises:
        StartError: If the folder belongs to somebody else.
    """
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    if not {"RAY_TMPDIR", "TMPDIR"} & os.environ.keys():
        os.environ["RAY_TMPDIR"] = str(own_folder(Path("/tmp")))


def own_folder(root: Path) -> Path:
    """A folder that is this user's alone, the same one each time.

    Raises:
        StartError: If it cannot be made, or is somebody else's.
    """
    folder = root / f"tune_sentiment-{os.getuid()}"
    try:
        folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise StartError(f"cannot make {folder}: {error.strerror}; set RAY_TMPDIR") from error
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not is_ours or stat.S_IMODE(found.st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise StartError(f"{folder} is open to other users; remove it, or set RAY_TMPDIR")
    return folder


def remotely(function: Callable[..., Any], slots: Slots, *arguments: Any) -> Any:
    """Reference to what a function returns in a worker; one that used a GPU ends and frees it."""
    options = {"num_cpus": slots.cpus, "num_gpus": slots.gpus, "max_calls": 1 if slots.gpus else 0}
    return ray.remote(**options)(function).remote(*arguments)


def runs_here(resources: Resources, slots: Slots) -> bool:
    """Whether what runs once, and does not train, runs in this process.

    On CPUs of a Ray of our own: a worker would first spend seconds on importing what is imported
    here. What trains takes memory for gradients, too, and is better lost with a worker.
    """
    return not (slots.gpus or resources.is_cluster)


def run_once(
    resources: Resources, function: Callable[..., Any], slots: Slots, *arguments: Any
) -> Any:
    """What a function returns that runs alone, and once: here, or in a worker.

    Args:
        resources: What was asked for.
        function: Sets its number of threads itself.
        slots: What it gets.
        arguments: Values, or references to them.

    Raises:
        Exception: What the function raises; of a worker as ``ray.exceptions.RayTaskError``.
    """
    if not runs_here(resources, slots):
        return ray.get(remotely(function, slots, *arguments))
    known = [ray.get(each) if isinstance(each, ray.ObjectRef) else each for each in arguments]
    try:
        return function(*known)
    finally:
        release_memory("cpu")


def featurised(backbone: Backbone, tokens: Any, device: str, num_threads: int) -> Any:
    """A split's frozen features."""
    import torch

    from tune_sentiment.features import frozen_features

    torch.set_num_threads(num_threads)
    return frozen_features(backbone, tokens, device)


@dataclass(frozen=True)
class SharedInputs:
    """A split as every training reads it, in the object store; made when first asked for.

    Args:
        backbone: Its tokenizer and encoder are used.
        split: Texts and labels.
        max_length: In tokens.
        device: Where features are computed.
        resources: What was asked for.
    """

    backbone: Backbone
    split: Split
    max_length: int
    device: str
    resources: Resources

    @cached_property
    def _made_tokens(self) -> "Tokens":
        from tune_sentiment.tokens import tokenise

        try:
            return tokenise(self.backbone, self.split.texts, self.split.labels, self.max_length)
        except Exception as error:  # tokenizers raise nothing more special
            said = " ".join(str(error).split())
            raise StartError(f"the texts cannot be tokenised: {said}") from error

    @cached_property
    def tokens(self) -> Any:
        """Reference to ``Tokens``."""
        return ray.put(self._made_tokens)

    @cached_property
    def features(self) -> Any:
        """Reference to ``Features``; computed where none are kept here."""
        from tune_sentiment.features import cached_features, keep_features

        if (kept := cached_features(self.backbone, self._made_tokens)) is not None:
            return ray.put(kept)
        slots = whole_node(self.device)
        asked = featurised, slots, self.backbone, self.tokens, self.device, slots.cpus
        try:
            if runs_here(self.resources, slots):
                return ray.put(run_once(self.resources, *asked))
            reference = remotely(*asked)
            made = ray.get(reference)
        except Exception as error:
            cause = getattr(error, "cause", error)  # of a task in a worker
            raise StartError(f"the inputs cannot be made: {reason(cause)}") from error
        if self.backbone.fetch is not None:  # kept on that node, where nobody looks again
            keep_features(self.backbone, self._made_tokens, made)
        return reference

    def of(self, method: Method) -> Any:
        """Reference to what a method reads."""
        return self.features if method.reads_features else self.tokens
