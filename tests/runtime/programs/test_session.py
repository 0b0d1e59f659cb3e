"""One training process sees one card."""

import pytest

from ftsdk.runtime.programs.session import limit_to_one_device


@pytest.mark.parametrize(("given", "seen"), [(None, "0"), ("", ""), ("3", "3"), ("2,3", "2"), ("GPU-a,GPU-b", "GPU-a")])
def test_one_process_sees_the_first_visible_card(given, seen):
    environ = {} if given is None else {"CUDA_VISIBLE_DEVICES": given}
    limit_to_one_device(environ)
    assert environ == {"CUDA_VISIBLE_DEVICES": seen}
