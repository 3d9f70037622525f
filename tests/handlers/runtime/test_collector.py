import gc

from handlers.runtime.collector import spare_loaded


def test_what_is_loaded_is_not_gone_through_again() -> None:
    before = gc.get_freeze_count()
    try:
        spare_loaded()
        assert gc.get_freeze_count() > before
        assert len(gc.get_objects()) < gc.get_freeze_count()
    finally:
        gc.unfreeze()
