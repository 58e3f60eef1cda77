import gc
import weakref

from tune_sentiment.memory import _set_libraries_aside, free_memory


class Node:
    """Something that only the garbage collector can free."""

    def __init__(self) -> None:
        self.itself = self


def test_what_a_training_left_is_freed_each_time_and_libraries_are_set_aside_once() -> None:
    _set_libraries_aside.cache_clear()
    try:
        for _ in range(2):
            left = weakref.ref(Node())
            free_memory("cpu", "svm")
            assert left() is None
        assert gc.get_freeze_count() > len(gc.get_objects())
    finally:
        gc.unfreeze()
        _set_libraries_aside.cache_clear()
