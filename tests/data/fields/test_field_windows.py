"""Windows of fields, with the length and stride that a model needs."""

import pytest
import torch
from waves import waves

from adlx.data.fields.fields import Fields
from adlx.data.fields.sources.trajectories import Trajectories


class Given(Fields):
    def load(self) -> Trajectories:
        return waves(steps=48)


def data_of(**windows) -> Given:
    data = Given(**windows)
    data.setup("fit")
    return data


@pytest.mark.parametrize(
    ("given", "window", "overlapping", "cut"),
    [
        ({}, None, True, (36, 3)),  # three quarters of 48 steps, and a twelfth of that
        ({}, 8, False, (8, 8)),
        ({}, 2, True, (2, 1)),
        ({}, 99, True, (48, 4)),  # not longer than the trajectory
        ({"stride": 5}, None, True, (36, 5)),
        ({"window": 10}, 2, True, (10, 1)),
        ({"window": 10, "stride": 7}, None, False, (10, 7)),
    ],
)
def test_length_and_stride_are_set_for_the_model_unless_given(given, window, overlapping, cut):
    data = data_of(**given)
    data.use_windows(window, overlapping)
    assert (data.window, data.stride) == cut
    starts = data.windows("train")[:, 1]
    assert sorted(set(starts.tolist())) == list(range(0, 48 - cut[0] + 1, cut[1]))


def test_without_load_fields_training_batches_have_no_cells():
    data = data_of()
    data.use_windows(None, True, load_fields=False)
    for lean, full in zip(data.train_dataloader(), data_of().train_dataloader(), strict=True):
        assert lean[0].shape == (*full[0].shape[:2], 0, full[0].shape[3])
        assert all(torch.equal(a, b) for a, b in zip(lean[1:], full[1:], strict=True))
    assert next(iter(data.val_dataloader()))[0].shape[2] == data.spec.cells
