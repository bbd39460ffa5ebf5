"""Which images are right is read as it was written, and digits of other images are not taken for them."""

import pytest
import torch

from snslib.study.bits import as_hex, from_hex


def test_a_byte_holds_eight_images_the_first_in_its_highest_bit() -> None:
    right = torch.tensor([1, 0, 0, 0, 0, 0, 1, 1, 1], dtype=torch.bool)
    assert as_hex(right) == "8380"
    assert from_hex("8380", 9).tolist() == right.tolist()
    assert from_hex("8380", 16).tolist() == [*right.tolist(), *[False] * 7]


@pytest.mark.parametrize("n", [1, 7, 8, 1000])
def test_what_was_written_is_read(n: int) -> None:
    right = torch.rand(n, generator=torch.Generator().manual_seed(n)) < 0.5
    assert from_hex(as_hex(right), n).tolist() == right.tolist()


@pytest.mark.parametrize(
    ("digits", "n", "said"),
    [
        ("8380", 8, "4 are not of 8 images"),
        ("8380", 17, "4 are not of 17 images"),
        ("", 1, "0 are not of 1 images"),
        ("8x", 8, "non-hexadecimal"),
    ],
)
def test_digits_of_another_number_of_images_are_refused(digits: str, n: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_hex(digits, n)
